//! Traits that are no contracts.

use wirelark::contract;

#[contract]
trait Generic<T> {
    async fn post(&self, value: T);
}

#[contract]
trait Sub: Send {
    async fn post(&self);
}

#[contract]
trait Items {
    type Message;
    const LIMIT: usize;
}

fn main() {}
