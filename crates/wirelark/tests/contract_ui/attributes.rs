//! Attributes a contract does not know, or that say too little or too much.

use wirelark::contract;

#[contract]
trait Functions {
    #[inline]
    async fn unknown(&self);
    #[event]
    fn misnamed();
    #[name]
    async fn unnamed(&self);
    #[name = posted]
    async fn unquoted(&self);
    #[send(later)]
    async fn configured(&self);
}

#[contract(version = 2)]
trait Unknown {}

#[contract(rename_all = "kebab-case")]
trait Kebab {}

#[contract(name = Chat)]
trait Unquoted {}

fn main() {}
