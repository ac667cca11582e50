//! `/rpc`: the contract whose frames were captured from another implementation, and so its names too.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wirelark::axum::http::request::Parts;
use wirelark::contract::{Format, Problem, Session};
use wirelark::schemars::{self, JsonSchema};
use wirelark::{App, contract};

/// Calls of one connection that run at the same time.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

pub(crate) fn add_to(app: App) -> App {
    app.contract("/rpc", Rpc::serve(Server).concurrency(CONCURRENCY).format_of(asked_format))
}

/// `?wire=msgpack`, for clients that offer no subprotocol.
pub(crate) fn asked_format(parts: &Parts) -> Option<Format> {
    let query = parts.uri.query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("wire="))?.parse().ok()
}

/// What a client of another implementation calls.
#[contract(rename_all = "camelCase")]
pub(crate) trait Rpc {
    /// Returns its text.
    async fn echo(&self, text: String) -> Echoed;
    /// Adds two numbers.
    async fn add(&self, a: f64, b: f64) -> Sum;
    /// Fails with an error made for the client.
    async fn fail(&self) -> Result<(), Problem>;
    /// Fails with an error the client must not see.
    async fn crash(&self) -> wirelark::Result;
    /// Three items.
    async fn list(&self) -> Vec<Item>;
    /// Answers after `ms` milliseconds.
    async fn slow(&self, ms: u32, tag: String) -> Slowed;
    /// Publishes `itemsChanged` to everyone, then pushes `ticks` times `tick` to the caller.
    async fn emit(&self, ticks: u32);
    /// Fails for negative numbers.
    #[send]
    async fn nudge(&self, x: f64) -> Result<(), Problem>;
    /// The items, as a whole.
    #[push]
    fn items_changed(#[body] items: Vec<Item>);
    /// Counts up.
    #[push]
    fn tick(n: u32);
}

/// What `echo` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Echoed {
    text: String,
}

/// What `add` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Sum {
    sum: f64,
}

/// What `slow` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Slowed {
    tag: String,
}

#[derive(Serialize)]
struct Why {
    why: &'static str,
    n: u32,
}

/// One of a list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Item {
    id: String,
    n: f64,
}

fn items() -> Vec<Item> {
    [("a", 1.0), ("b", 2.5), ("ünï", -3.0)].map(|(id, n)| Item { id: id.into(), n }).into()
}

struct Server;

impl RpcServer for Server {
    type Data = ();

    async fn echo(&self, _: Session<Rpc, ()>, text: String) -> Echoed {
        Echoed { text }
    }

    async fn add(&self, _: Session<Rpc, ()>, a: f64, b: f64) -> Sum {
        Sum { sum: a + b }
    }

    async fn fail(&self, _: Session<Rpc, ()>) -> Result<(), Problem> {
        Err(Problem::new("nope").code("FORBIDDEN").data(Why { why: "test", n: 7 }))
    }

    async fn crash(&self, _: Session<Rpc, ()>) -> wirelark::Result {
        Err("plain boom".into())
    }

    async fn list(&self, _: Session<Rpc, ()>) -> Vec<Item> {
        items()
    }

    async fn slow(&self, _: Session<Rpc, ()>, ms: u32, tag: String) -> Slowed {
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
        Slowed { tag }
    }

    async fn emit(&self, session: Session<Rpc, ()>, ticks: u32) {
        session.room().push(Rpc::items_changed(items())).await;
        for n in 1..=ticks {
            session.push(Rpc::tick(n)).await;
        }
    }

    async fn nudge(&self, _: Session<Rpc, ()>, x: f64) -> Result<(), Problem> {
        if x < 0.0 { Err(Problem::new("bad nudge")) } else { Ok(()) }
    }
}
