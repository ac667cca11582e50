//! Names that cannot be served, or not twice.

use wirelark::contract;

#[contract]
trait Names {
    async fn ünsafe(&self);
    async fn _leading(&self);
    #[name = "9lives"]
    async fn lives(&self);
    #[name = "with space"]
    #[push]
    fn space();
    async fn constructor(&self);
    #[name = "then"]
    async fn next(&self);
}

#[contract(rename_all = "camelCase")]
trait CamelNames {
    async fn to_string(&self);
    async fn item_list(&self);
    #[push]
    fn value_of();
}

#[contract]
trait Duplicates {
    async fn post(&self);
    async fn post(&self, text: String);
    #[push]
    fn posted();
    #[name = "posted"]
    async fn confirm(&self);
    #[name = "other"]
    #[push]
    fn post();
}

#[contract]
trait Hooks {
    async fn attached(&self);
    async fn closed(&self);
    #[push]
    fn serve();
}

#[contract]
trait Österreich {}

#[contract(name = "a:b")]
trait Colon {}

fn main() {}
