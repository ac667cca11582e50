//! Functions that are no calls.

use wirelark::contract;

#[contract]
trait Calls {
    fn blocking(&self);
    async fn nobody();
    async fn somebody(text: String);
    async fn owned(self);
    async fn mutable(&mut self);
    async fn generic<T>(&self, value: T);
    async fn with_body(&self) {}
    #[send]
    async fn answered(&self) -> u32;
    #[send]
    async fn answered_or_failed(&self) -> Result<u32, String>;
}

fn main() {}
