//! Clients that speak one of our subprotocols are refused by a close code, and never become a connection.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use wirelark::auth::{self, AuthError, User};
use wirelark::contract::{Contract as _, Session};
use wirelark::testing::{Client, Connecting, Host};
use wirelark::{App, Options, Rate, SlowClient, Socket, contract, metric_names, socket};

#[contract]
trait Talk {
    async fn ready(&self);
    #[push]
    fn said(text: String);
}

struct Server;

impl TalkServer for Server {
    type Data = Data;

    async fn ready(&self, _: Session<Talk, Data>) {}
}

/// Says by the query what becomes of the upgrade.
struct Data;

impl<S: Sync> FromRequestParts<S> for Data {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        match parts.uri.query() {
            Some("gone") => Err(StatusCode::NOT_FOUND),
            Some("never") => std::future::pending().await,
            _ => Ok(Self),
        }
    }
}

async fn by_header(parts: &mut Parts) -> Result<User, AuthError> {
    let name = parts.headers.get("x-user").ok_or(AuthError::Missing)?;
    match name.as_bytes() {
        b"nobody" => Err(AuthError::Invalid("nobody")),
        b"never" => std::future::pending().await,
        name => Ok(User::new(String::from_utf8_lossy(name)).expect("a good id")),
    }
}

/// Sends until its client's outbox is full, and over the app's budget.
async fn flood(socket: Socket) -> wirelark::Result {
    loop {
        socket.send("x".repeat(10_000)).await?;
    }
}

const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

fn host() -> Host {
    let talk = || Talk::serve(Server).auth(auth::from_fn(|parts| Box::pin(by_header(parts))));
    let options = Options::new().no_heartbeat().accept_timeout(Duration::from_secs(3));
    Host::new(
        App::new()
            .contract("/talk", talk())
            .contract("/editors", talk().require_scope("edit"))
            .contract("/seldom", talk().options(Options::new().upgrade_rate(Rate::per_second(1))))
            .socket("/flood", socket(flood).options(Options::new().slow_client(SlowClient::Wait)))
            .options(options.close_timeout(CLOSE_TIMEOUT))
            .budget_bytes(100_000),
    )
}

fn ours<'a>(host: &'a Host, path: &str, user: &str) -> Connecting<'a> {
    let attempt = host.at(path).protocols(["wirelark.v1.json"]);
    if user.is_empty() { attempt } else { attempt.header("x-user", user) }
}

fn refused(host: &Host, why: &str) -> u64 {
    host.counter(metric_names::REJECTED, &[("outcome", why)])
}

/// Nobody is there while a client is told why it is refused, and nobody was afterwards.
async fn check_turned_away(host: &Host, path: &str, client: &mut Client, code: u16, reason: &str) {
    let hub = host.hub();
    assert_eq!((hub.connection_count(), hub.room_count()), (0, 0));
    assert_eq!(hub.broadcast("hello").counted().await, Default::default());
    assert_eq!(hub.contract::<Talk>().everyone(Talk::said("hello".into())).await, Default::default());
    assert_eq!(client.protocol(), "wirelark.v1.json");
    client.send_text("is anybody there?").await;
    assert_eq!(client.expect_close(code).await, reason);
    let counted = |name, label, value| host.counter(name, &[("route", path), (label, value)]);
    assert_eq!(counted(metric_names::UPGRADES, "outcome", "accepted"), 0);
    assert_eq!(counted(metric_names::MESSAGES_IN, "kind", "text"), 0);
    assert_eq!(counted(metric_names::CLOSE, "code", &code.to_string()), 0);
    for name in [metric_names::CONNECTIONS, metric_names::ACTIVE] {
        assert_eq!(host.counter(name, &[("route", path)]), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_a_close_code_and_leaves_no_trace() {
    let host = host();
    for (path, user, code, reason, why) in [
        ("/talk", "", 4401, "Unauthorized", "unauthorized"),
        ("/talk", "nobody", 4401, "Unauthorized", "unauthorized"),
        ("/editors", "ada", 4403, "Forbidden", "forbidden"),
        ("/talk?gone", "ada", 4404, "Not Found", "handler"),
        ("/talk?never", "ada", 4504, "Gateway Timeout", "timeout"),
        ("/talk", "never", 4504, "Gateway Timeout", "timeout"),
    ] {
        let before = refused(&host, why);
        let mut client = ours(&host, path, user).connect().await;
        let route = path.split('?').next().expect("a path");
        check_turned_away(&host, route, &mut client, code, reason).await;
        assert_eq!(refused(&host, why), before + 1);
        // Others are told by the status.
        let status = if code == 4504 { 504 } else { code - 4000 };
        let plain = host.at(path);
        let plain = if user.is_empty() { plain } else { plain.header("x-user", user) };
        plain.expect_rejected(status).await;
    }
    let path = ours(&host, "/talk", "ada");
    let mut other = path.protocols(["wirelark.contract.Talk.0123456789abcdef"]).connect().await;
    let reason = format!(
        "contract Talk: the client has version 0123456789abcdef, the server {}",
        Talk::describe().hash()
    );
    check_turned_away(&host, "/talk", &mut other, 4426, &reason).await;
    assert_eq!(refused(&host, "protocol"), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn overload_says_when_to_come_back() {
    let host = host();
    let slow = host.at("/flood").connect().await;
    slow.stop_reading();
    while host.hub().backlog_bytes() <= 100_000 {
        tokio::task::yield_now().await;
    }
    let mut client = ours(&host, "/talk", "ada").connect().await;
    assert_eq!(client.expect_close(1013).await, "Service Unavailable; retry after 1 s");
    let rejected = host.at("/talk").header("x-user", "ada").expect_rejected(503).await;
    assert_eq!(rejected.headers["retry-after"], "1");
    ours(&host, "/talk", "ada").origin("https://evil.example").expect_rejected(403).await;
    assert_eq!(refused(&host, "overload"), 2);
    assert_eq!(host.counter(metric_names::CONNECTIONS, &[("route", "/talk")]), 0);
    // The slow one is cut in the end, and there is room again.
    host.advance(Duration::from_secs(2)).await;
    let tester = host.at("/talk").header("x-user", "ada").contract::<Talk>().await;
    tester.ready().await.expect("it is served");
    host.close().await;
}

#[tokio::test]
async fn a_rate_says_when_to_come_back_over_tcp_too() {
    let talk = Talk::serve(Server).options(Options::new().upgrade_rate(Rate::per_second(1)));
    let host = Host::tcp(App::new().contract("/talk", talk)).await;
    let first = host.at("/talk").protocols(["wirelark.v1.json"]).connect().await;
    let mut second = host.at("/talk").protocols(["wirelark.v1.json"]).connect().await;
    // What it says before it reads must not turn its end into a reset.
    second.send_bytes(vec![0; 30_000]).await;
    assert_eq!(second.expect_close(4429).await, "Too Many Requests; retry after 1 s");
    drop(first);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn so_many_are_told_at_a_time_and_each_for_a_while() {
    const FAREWELLS_MAX: usize = 1024;
    let host = host();
    let mut silent = Vec::new();
    for _ in 0..FAREWELLS_MAX {
        let client = ours(&host, "/talk", "").connect().await;
        client.stop_reading();
        silent.push(client);
    }
    ours(&host, "/talk", "").expect_rejected(401).await;
    silent[0].resume_reading();
    silent[0].expect_close(4401).await;
    host.advance(Duration::from_millis(1)).await;
    let next = ours(&host, "/talk", "").connect().await;
    next.stop_reading();
    ours(&host, "/talk", "").expect_rejected(401).await;
    // Who does not close is left alone in the end.
    host.advance(CLOSE_TIMEOUT).await;
    for _ in 0..10 {
        ours(&host, "/talk", "").connect().await.expect_close(4401).await;
    }
    assert_eq!(host.hub().connection_count(), 0);
    drop((silent, next));
    host.close().await;
}
