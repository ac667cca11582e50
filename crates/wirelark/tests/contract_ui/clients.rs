//! Names that a client has for something else.

use wirelark::contract;

#[contract]
trait Connects {
    async fn connect(&self);
}

#[contract]
trait Listens {
    async fn on_posted(&self);
    #[push]
    fn posted();
}

#[contract]
trait Gaps {
    #[push]
    fn gap();
}

fn main() {}
