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
    #[require]
    async fn nothing_required(&self);
    #[require()]
    async fn nothing_required_either(&self);
    #[require(scope = write)]
    async fn unquoted_scope(&self);
    #[require(scopes = "write")]
    async fn misspelt_scope(&self);
    #[push]
    #[require(role = "editor")]
    fn required_of_nobody();
}

#[contract(version = 2)]
trait Unknown {}

#[contract(rename_all = "kebab-case")]
trait Kebab {}

#[contract(name = Chat)]
trait Unquoted {}

fn main() {}
