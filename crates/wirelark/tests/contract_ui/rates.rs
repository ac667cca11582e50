//! Rates that say too little, too much, or something nobody can measure.

use wirelark::contract;

#[contract]
trait Rates {
    #[rate]
    async fn nothing(&self);
    #[rate(5)]
    async fn without_a_unit(&self);
    #[rate(burst = 5)]
    async fn only_a_burst(&self);
    #[rate(per_second = 0)]
    async fn never(&self);
    #[rate(per_second = 0.5)]
    async fn a_fraction(&self);
    #[rate(per_second = 5, burst = -1)]
    async fn negative(&self);
    #[rate(per_second = 5, per_minute = 100)]
    async fn two(&self);
    #[rate(per_day = 5)]
    async fn another_unit(&self);
    #[rate(per_second = 5, by = "user")]
    async fn quoted(&self);
    #[rate(per_second = 5, by = room)]
    async fn by_something_else(&self);
    #[push]
    #[rate(per_second = 5)]
    fn pushed();
}

fn main() {}
