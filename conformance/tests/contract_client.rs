//! The Rust client against `/rpc`, in both formats and over every way.

mod ways;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wirelark::client::{CallError, Client, CloseCode, Format, Network, ReportKind};
use wirelark::contract;
use wirelark::contract::Problem;
use wirelark::schemars::{self, JsonSchema};
use wirelark::testing::{ExpectError as _, Host};

use crate::ways::each_way;

each_way! {
    conformance::app();
    calls_and_pushes_in_json,
    calls_and_pushes_in_message_pack,
    calls_are_answered_as_they_are_done,
    another_contract_is_told_so,
}

/// The contract of `/rpc`, as a client writes it down that shares no code with the server.
#[contract(rename_all = "camelCase")]
trait Rpc {
    async fn echo(&self, text: String) -> Echoed;
    async fn add(&self, a: f64, b: f64) -> Sum;
    async fn fail(&self) -> Result<(), Problem>;
    async fn crash(&self) -> wirelark::Result;
    async fn list(&self) -> Vec<Item>;
    async fn slow(&self, ms: u32, tag: String) -> Slowed;
    async fn emit(&self, ticks: u32);
    #[send]
    async fn nudge(&self, x: f64) -> Result<(), Problem>;
    #[push]
    fn items_changed(#[body] items: Vec<Item>);
    #[push]
    fn tick(n: u32);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Echoed {
    text: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Sum {
    sum: f64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Slowed {
    tag: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Item {
    id: String,
    n: f64,
}

async fn calls_and_pushes_in_json(host: Host) {
    check_calls_and_pushes(&host, Format::Json).await;
    host.close().await;
}

async fn calls_and_pushes_in_message_pack(host: Host) {
    check_calls_and_pushes(&host, Format::MsgPack).await;
    host.close().await;
}

async fn check_calls_and_pushes(host: &Host, format: Format) {
    let rpc = host.at("/rpc").protocols([format.subprotocol()]).contract::<Rpc>().await;
    assert_eq!(rpc.client().format(), format);
    let text = "hi 🌍".repeat(1_000);
    assert_eq!(rpc.echo(&text).await, Ok(Echoed { text }));
    assert_eq!(rpc.add(1.5, -2.0).await, Ok(Sum { sum: -0.5 }));
    let items = rpc.list().await.unwrap();
    assert_eq!((items.len(), items[2].id.as_str()), (3, "ünï"));
    let error = rpc.fail().await.expect_error("FORBIDDEN");
    assert_eq!((&*error.message, error.data()), ("nope", Some(Ok(json!({"why": "test", "n": 7})))));
    rpc.crash().await.expect_error("INTERNAL");

    assert_eq!(rpc.emit(3).await, Ok(()));
    assert_eq!(rpc.expect_items_changed(|items| items.len() == 3).await, items);
    for n in 1..=3 {
        rpc.expect_tick(|tick| *tick == n).await;
    }
}

async fn calls_are_answered_as_they_are_done(host: Host) {
    let rpc = host.at("/rpc").contract::<Rpc>().await;
    let (slow, fast) = tokio::join!(rpc.slow(50, "slow"), async {
        let fast = rpc.slow(0, "fast").await;
        (fast, tokio::time::Instant::now())
    });
    assert_eq!(slow.unwrap().tag, "slow");
    assert_eq!(fast.0.unwrap().tag, "fast");
    assert!(fast.1.elapsed() > Duration::from_millis(20), "the fast one waited for the slow one");
    host.close().await;
}

/// Not what the server serves.
#[contract(name = "Rpc")]
trait Other {
    async fn echo(&self, number: u32) -> u32;
}

async fn another_contract_is_told_so(host: Host) {
    let other = host.at("/rpc").contract::<Other>().await;
    let error = other.echo(1).await.unwrap_err();
    assert_eq!(error.closed().map(|closed| closed.code), Some(CloseCode::OTHER_VERSION));
    assert!(error.to_string().contains("contract Rpc: the client has version"), "{error}");
    host.close().await;
}

async fn check_untyped(client: &Client) {
    let mut ticks = client.pushes::<Value>("tick", NonZeroUsize::MIN.saturating_add(99));
    client.call::<_, ()>("emit", &json!({"ticks": 10})).await.unwrap();
    for n in 1..=10 {
        assert_eq!(ticks.next().await, Some(json!({"n": n})));
    }
    let error = client.call::<_, Value>("missing", &()).await.unwrap_err();
    assert_eq!(error.to_string(), "Unknown call: missing");
}

#[tokio::test]
async fn over_tcp_with_and_without_a_subprotocol() {
    let host = Host::tcp(conformance::app()).await;
    let address = host.address().expect("it listens");
    for (path, format, plain) in [
        ("/rpc", Format::Json, false),
        ("/rpc", Format::MsgPack, false),
        ("/rpc", Format::Json, true),
        ("/rpc?wire=msgpack", Format::MsgPack, true),
    ] {
        let builder = Client::builder(&format!("ws://{address}{path}")).format(format);
        let builder = if plain { builder.plain_socka() } else { builder };
        let client = builder.connect().await.unwrap();
        check_untyped(&client).await;
        client.close(CloseCode::NORMAL, "").await;
    }
    host.close().await;
}

#[tokio::test]
async fn over_tls_with_a_private_root() {
    let (tls, config) = ways::tls();
    let host = Host::tls(conformance::app(), tls, Arc::clone(&config).into()).await;
    let url = format!("wss://localhost:{}/rpc", host.address().expect("it listens").port());
    let client = Client::builder(&url).connector(Network::new().tls(config)).connect().await.unwrap();
    check_untyped(&client).await;
    // To whom the root is unknown the server is nobody, and trying again would not change that.
    let stranger = Client::builder(&url).build().unwrap();
    stranger.connect().await.unwrap_err();
    assert_eq!(
        stranger.call::<_, ()>("emit", &()).await.map_err(|error| matches!(error, CallError::Closed(_))),
        Err(true)
    );
    assert_eq!(stranger.closed().map(|closed| closed.code), Some(CloseCode::TLS));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_send_that_fails_is_reported() {
    let host = Host::new(conformance::app());
    let (reports, mut reported) = tokio::sync::mpsc::channel(8);
    let rpc = host
        .at("/rpc")
        .contract_with::<Rpc>(|builder| {
            builder.reports(move |report| {
                let _ =
                    reports.try_send((report.kind, report.name.map(str::to_owned), report.error.to_string()));
            })
        })
        .await;
    rpc.nudge(1.0).await.unwrap();
    rpc.nudge(-1.0).await.unwrap();
    let expected = (ReportKind::SendFailed, Some("nudge".to_owned()), "bad nudge".to_owned());
    assert_eq!(reported.recv().await, Some(expected));
    rpc.echo("still here").await.unwrap();
    host.close().await;
}
