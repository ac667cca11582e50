//! `/values`: a contract that gives back what it gets, for encoders and decoders of other people.

use serde_json::Value;
use wirelark::contract::{BigInt, Session};
use wirelark::{App, contract};

use crate::rpc::asked_format;

pub(crate) fn add_to(app: App) -> App {
    app.contract("/values", Values::serve(Server).format_of(asked_format))
}

/// Values, there and back.
#[contract]
pub(crate) trait Values {
    /// Any value.
    async fn any(&self, value: Value) -> Value;
    /// A number.
    async fn float(&self, value: f64) -> f64;
    /// An integer. One beyond 2^53 - 1 can be received as such, and not be sent.
    async fn integer(&self, value: u64) -> u64;
    /// An integer of any size, as text.
    async fn big(&self, value: BigInt<u64>) -> BigInt<u64>;
}

struct Server;

impl ValuesServer for Server {
    type Data = ();

    async fn any(&self, _: Session<Values, ()>, value: Value) -> Value {
        value
    }

    async fn float(&self, _: Session<Values, ()>, value: f64) -> f64 {
        value
    }

    async fn integer(&self, _: Session<Values, ()>, value: u64) -> u64 {
        value
    }

    async fn big(&self, _: Session<Values, ()>, value: BigInt<u64>) -> BigInt<u64> {
        value
    }
}
