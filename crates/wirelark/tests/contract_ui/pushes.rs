//! Functions that are no pushes.

use wirelark::contract;

#[contract]
trait Pushes {
    #[push]
    fn with_self(&self);
    #[push]
    async fn waits();
    #[push]
    fn answered() -> u32;
    #[push]
    fn with_body() {}
    #[push]
    #[send]
    fn both();
}

#[contract]
trait Deliveries {
    #[push(conflate = user)]
    fn unknown_key(id: u32, x: f32);
    #[push(conflate(id, user))]
    fn unknown_second_key(id: u32, x: f32);
    #[push(conflate = id)]
    fn no_keys();
    #[push(conflate)]
    fn no_key(id: u32);
    #[push(sample = 0)]
    fn never();
    #[push(sample = -1.5)]
    fn less_than_never();
    #[push(sample = "often")]
    fn in_words();
    #[push(sample)]
    fn at_no_rate();
    #[push(drop_newest)]
    fn unknown();
    #[push(reliable, drop_oldest)]
    fn two();
    #[push()]
    fn none();
}

fn main() {}
