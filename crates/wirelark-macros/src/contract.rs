//! `#[contract]`: from a trait to a contract, its server trait and the functions that make its pushes.

mod client;
mod declaration;
mod expansion;
mod names;

pub(crate) use self::declaration::Contract;
