//! How often something may happen, and how many connections there may be: who is let through, what the others are
//! told, and that all of it passes with time.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::{Value, json};
use wirelark::auth::{self, Newcomer, User, Verdict};
use wirelark::contract::{Calls, Contract, Description, Problem, RateBy, Session, serve};
use wirelark::testing::{Client, Connecting, Host};
use wirelark::{App, Message, Meter, Options, Rate, RateLimited, Socket, contract, metric_names, socket};

#[contract]
trait Limited {
    #[rate(per_second = 5)]
    async fn each(&self, n: u32) -> u32;
    #[rate(per_minute = 2, by = user)]
    async fn by_user(&self);
    #[rate(per_minute = 3, by = address)]
    async fn by_address(&self);
    #[send]
    #[rate(per_second = 1)]
    async fn nudge(&self);
    async fn free(&self);
    /// Fails with what a meter of the handler's own says.
    async fn own(&self) -> Result<(), RateLimited>;
    /// The same, on its way through an error of any kind.
    async fn own_in_passing(&self) -> wirelark::Result;
    async fn slow(&self);
}

struct Server {
    ran: Arc<AtomicU32>,
    own: Meter,
}

impl Server {
    fn run(&self) {
        self.ran.fetch_add(1, SeqCst);
    }
}

impl LimitedServer for Server {
    type Data = ();

    async fn each(&self, _: Session<Limited, ()>, n: u32) -> u32 {
        self.run();
        n
    }

    async fn by_user(&self, _: Session<Limited, ()>) {
        self.run();
    }

    async fn by_address(&self, _: Session<Limited, ()>) {
        self.run();
    }

    async fn nudge(&self, _: Session<Limited, ()>) {
        self.run();
    }

    async fn free(&self, _: Session<Limited, ()>) {
        self.run();
    }

    async fn own(&self, _: Session<Limited, ()>) -> Result<(), RateLimited> {
        self.own.check()
    }

    async fn own_in_passing(&self, _: Session<Limited, ()>) -> wirelark::Result {
        self.own.check()?;
        Ok(())
    }

    async fn slow(&self, _: Session<Limited, ()>) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn server() -> (Server, Arc<AtomicU32>) {
    let ran = Arc::new(AtomicU32::new(0));
    let own = Meter::new(Rate::per_minute(1)).expect("a good rate");
    (Server { ran: Arc::clone(&ran), own }, ran)
}

fn host(options: Options) -> (Host, Arc<AtomicU32>) {
    let (server, ran) = server();
    (Host::new(App::new().contract("/limited", Limited::serve(server)).options(options)), ran)
}

fn user(name: &str) -> User {
    User::new(name).expect("a good id")
}

/// The answer to a call, which has this for a body.
async fn call_with(client: &mut Client, name: &str, body: Value) -> Value {
    client.send_json(&json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": name, "body": body})).await;
    client.expect_json().await
}

async fn call(client: &mut Client, name: &str) -> Value {
    call_with(client, name, json!({"n": 1})).await
}

fn is_done(answer: &Value) -> bool {
    answer["socka"] == "serverResponse"
}

/// After how long a client is to come again.
fn wait(answer: &Value) -> u64 {
    assert_eq!(answer["code"], RateLimited::CODE, "{answer}");
    answer["data"]["retry_after_ms"].as_u64().expect("a number of milliseconds")
}

#[tokio::test(start_paused = true)]
async fn a_limited_call_is_answered_and_does_not_run() {
    let (host, ran) = host(Options::new());
    let mut client = host.at("/limited").connect().await;
    for _ in 0..5 {
        assert!(is_done(&call(&mut client, "each").await));
    }
    let refused = call(&mut client, "each").await;
    let expected = json!({
        "socka": "serverError", "v": 1, "id": "1", "rpc": "each", "code": "RATE_LIMITED",
        "error": "too often: try again in 200 ms", "data": {"retry_after_ms": 200},
    });
    assert_eq!(refused, expected);
    assert_eq!(ran.load(SeqCst), 5);
    assert_eq!(host.counter(metric_names::RATE_LIMITED, &[("route", "/limited")]), 1);
    // Others, and other calls, have limits of their own.
    assert!(is_done(&call(&mut client, "free").await));
    assert!(is_done(&call(&mut host.at("/limited").connect().await, "each").await));
    host.advance(Duration::from_millis(199)).await;
    assert_eq!(wait(&call(&mut client, "each").await), 1, "to the millisecond");
    host.advance(Duration::from_millis(1)).await;
    assert!(is_done(&call(&mut client, "each").await), "as long as it was told");
    host.close().await;
}

/// It is counted before anybody looks at the body, and once, however often it is looked at.
#[tokio::test(start_paused = true)]
async fn a_body_of_another_shape_counts_once() {
    let (host, ran) = host(Options::new());
    let mut client = host.at("/limited").connect().await;
    for _ in 0..5 {
        let answer = call_with(&mut client, "each", json!({"n": "one"})).await;
        assert!(answer["error"].as_str().expect("a text").contains("invalid type"), "{answer}");
    }
    assert_eq!(wait(&call(&mut client, "each").await), 200);
    assert_eq!(ran.load(SeqCst), 0);
    host.close().await;
}

/// A frame whose keys are in an unusual order takes another way to its call.
#[tokio::test(start_paused = true)]
async fn no_way_of_writing_a_request_escapes() {
    let (host, ran) = host(Options::new());
    let mut client = host.at("/limited").connect().await;
    for _ in 0..5 {
        let unusual = r#" {"body":{"n":1},"rpc":"each","id":"1","v":1,"socka":"clientRequest"}"#;
        client.send_text(unusual).await;
        assert!(is_done(&client.expect_json().await));
    }
    client.send_text(r#"{"body":{"n":1},"rpc":"each","id":"1","v":1,"socka":"clientRequest"}"#).await;
    assert_eq!(wait(&client.expect_json().await), 200);
    assert_eq!(ran.load(SeqCst), 5);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_send_that_comes_too_often_is_told_so() {
    let (host, ran) = host(Options::new());
    let mut client = host.at("/limited").connect().await;
    let nudge = json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": "nudge", "body": {}});
    client.send_json(&nudge).await;
    client.expect_nothing_for(Duration::from_millis(10)).await;
    client.send_json(&nudge).await;
    assert_eq!(wait(&client.expect_json().await), 990);
    assert_eq!(ran.load(SeqCst), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn users_and_addresses_are_counted_on_all_their_connections() {
    let (host, _) = host(Options::new());
    let of = |name| host.at("/limited").user(user(name)).connect();
    let (mut phone, mut laptop, mut bob) = (of("ada").await, of("ada").await, of("bob").await);
    assert!(is_done(&call(&mut phone, "by_user").await));
    assert!(is_done(&call(&mut laptop, "by_user").await));
    assert_eq!(wait(&call(&mut phone, "by_user").await), 30_000);
    assert_eq!(wait(&call(&mut of("ada").await, "by_user").await), 30_000, "a new connection is no new user");
    assert!(is_done(&call(&mut bob, "by_user").await));
    // Who is nobody's user is counted by address, which all clients here have in common.
    let mut visitor = host.at("/limited").connect().await;
    assert!(is_done(&call(&mut visitor, "by_user").await) && is_done(&call(&mut visitor, "by_user").await));
    assert_eq!(wait(&call(&mut host.at("/limited").connect().await, "by_user").await), 30_000);
    for client in [&mut phone, &mut bob, &mut visitor] {
        assert!(is_done(&call(client, "by_address").await));
    }
    assert_eq!(wait(&call(&mut laptop, "by_address").await), 20_000);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_send_so_many_messages() {
    let (host, ran) = host(Options::new().message_rate(Rate::per_second(2).burst(3)));
    let mut client = host.at("/limited").connect().await;
    assert!(is_done(&call(&mut client, "free").await) && is_done(&call(&mut client, "each").await));
    // What is no frame of a contract counts too.
    client.send_text("nonsense").await;
    assert_eq!(wait(&call(&mut client, "free").await), 500);
    assert_eq!(ran.load(SeqCst), 2);
    host.advance(Duration::from_millis(500)).await;
    assert!(is_done(&call(&mut client, "free").await));
    assert!(is_done(&call(&mut host.at("/limited").connect().await, "free").await));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_say_so_itself() {
    let (host, _) = host(Options::new());
    let mut client = host.at("/limited").connect().await;
    assert!(is_done(&call(&mut client, "own").await));
    assert_eq!(wait(&call(&mut client, "own").await), 60_000);
    assert_eq!(wait(&call(&mut client, "own_in_passing").await), 60_000);
    host.close().await;
}

/// A contract without `#[contract]`.
struct ByHand;

impl Contract for ByHand {
    fn describe() -> &'static Description {
        static DESCRIPTION: OnceLock<Description> = OnceLock::new();
        DESCRIPTION.get_or_init(|| {
            Description::new("ByHand")
                .ack::<()>("each", "")
                .rate("each", Rate::per_hour(1).by(RateBy::Address))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_contract_by_hand_is_limited_too() {
    let calls =
        Calls::<ByHand, (), ()>::new().ack("each", |_, _, _: Value| async move { Ok::<_, Problem>(()) });
    let host = Host::new(App::new().contract("/by-hand", serve((), calls)));
    let mut client = host.at("/by-hand").connect().await;
    assert!(is_done(&call(&mut client, "each").await));
    assert_eq!(wait(&call(&mut client, "each").await), 3_600_000);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn documents_say_what_is_limited() {
    let options = Options::new().message_rate(Rate::per_second(2).burst(3)).connections_per_user(4);
    let (host, _) = host(options);
    let routes = serde_json::to_value(host.app().routes()).expect("plain data");
    let calls = routes[0]["contract"]["calls"].as_array().expect("a list");
    let of = |name: &str| calls.iter().find(|call| call["name"] == name).expect("a call").get("rate");
    let by_user = json!({"count": 2, "per": "minute", "burst": 2, "by": "user"});
    assert_eq!((of("by_user"), of("free")), (Some(&by_user), None));
    let limits = &routes[0]["limits"];
    assert_eq!(limits["message_rate"], json!({"count": 2, "per": "second", "burst": 3}));
    assert_eq!(limits["connections_per_user"], 4);
    assert_eq!(limits["connections_per_address"], Value::Null);
    let document = serde_json::to_value(host.app().asyncapi()).expect("plain data");
    let operation = &document["operations"]["limited.by_user"]["x-wirelark"];
    assert_eq!(operation, &json!({"kind": "ack", "rate": by_user}));
    assert_eq!(document["operations"]["limited.free"]["x-wirelark"], json!({"kind": "ack"}));
    host.close().await;
}

/// Answers each message, at once or after a while.
async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        if message.as_bytes() == b"wait" {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        socket.send(message).await?;
    }
    Ok(())
}

fn raw() -> Host {
    let options = Options::new().message_rate(Rate::per_second(3)).no_heartbeat();
    Host::new(App::new().socket("/echo", socket(echo).options(options)))
}

#[tokio::test(start_paused = true)]
async fn a_raw_socket_is_closed_behind_what_came_in_time() {
    let host = raw();
    let mut client = host.at("/echo").connect().await;
    for text in ["1", "2", "3", "4", "5"] {
        client.send_text(text).await;
    }
    for text in ["1", "2", "3"] {
        assert_eq!(client.expect_text().await, text);
    }
    assert_eq!(client.expect_close(4429).await, "too many messages; retry after 1 s");
    host.advance(Duration::from_secs(1)).await;
    assert_eq!(host.hub().connection_count(), 0);
    let counted = |name, labels| host.counter(name, labels);
    assert!(counted(metric_names::RATE_LIMITED, &[("route", "/echo")]) >= 1);
    assert_eq!(counted(metric_names::CLOSE, &[("route", "/echo"), ("code", "4429")]), 1);
    host.close().await;
}

/// It is the client's pace that counts, and not when the handler comes to it.
#[tokio::test(start_paused = true)]
async fn a_slow_handler_does_not_make_its_client_too_fast() {
    let host = raw();
    let mut client = host.at("/echo").connect().await;
    client.send_text("wait").await;
    for text in 0..20 {
        host.advance(Duration::from_millis(334)).await;
        client.send_text(&text.to_string()).await;
        client.send_ping("pings are no messages").await;
    }
    let mut client = client;
    assert_eq!(client.expect_text().await, "wait");
    for text in 0..20 {
        assert_eq!(client.expect_text().await, text.to_string());
    }
    host.close().await;
}

/// Never answers the upgrade, if the query says so.
struct Patience;

impl<S: Sync> FromRequestParts<S> for Patience {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        match parts.uri.query() {
            Some("never") => std::future::pending().await,
            Some("refused") => Err(StatusCode::IM_A_TEAPOT),
            _ => Ok(Self),
        }
    }
}

async fn sit(_: Patience, mut socket: Socket) {
    while socket.recv().await.is_some() {}
}

fn seats(options: Options) -> Host {
    let options = options.accept_timeout(Duration::from_secs(3)).protocols(["wirelark.v1.json"]);
    let sit = socket(sit).options(options.require_protocol(false));
    Host::new(App::new().socket("/sit", sit).socket(
        "/elsewhere",
        async |mut socket: Socket| {
            while socket.recv().await.is_some() {}
        },
    ))
}

fn sit_as<'a>(host: &'a Host, name: &str) -> Connecting<'a> {
    host.at("/sit").user(user(name))
}

#[tokio::test(start_paused = true)]
async fn a_user_has_so_many_connections() {
    let host = seats(Options::new().connections_per_user(2));
    let mut first = sit_as(&host, "ada").connect().await;
    let second = sit_as(&host, "ada").connect().await;
    let rejected = sit_as(&host, "ada").expect_rejected(429).await;
    assert_eq!(rejected.headers["retry-after"], "5");
    assert!(rejected.body.contains("this user"), "{}", rejected.body);
    // A client of ours is told by the code that means the same.
    let mut ours = sit_as(&host, "ada").protocols(["wirelark.v1.json"]).connect().await;
    assert_eq!(ours.expect_close(4429).await, "Too Many Requests; retry after 5 s");
    assert_eq!(host.counter(metric_names::REJECTED, &[("outcome", "connections")]), 2);
    // Others have seats of their own, and whoever is nobody's user is counted nowhere.
    let _others = (sit_as(&host, "bob").connect().await, host.at("/sit").connect().await);
    host.at("/elsewhere").user(user("ada")).connect().await;

    first.close(1000, "").await;
    first.expect_close(1000).await;
    host.advance(Duration::from_millis(10)).await;
    let third = sit_as(&host, "ada").connect().await;
    sit_as(&host, "ada").expect_rejected(429).await;
    // One that breaks is as free as one that says goodbye.
    second.drop_connection();
    third.drop_connection();
    host.advance(Duration::from_millis(10)).await;
    let _new = (sit_as(&host, "ada").connect().await, sit_as(&host, "ada").connect().await);
    sit_as(&host, "ada").expect_rejected(429).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_comes_to_nothing_gives_its_seat_back() {
    let host = seats(Options::new().connections_per_address(1));
    for _ in 0..3 {
        host.at("/sit?refused").expect_rejected(418).await;
        host.at("/sit?never").expect_rejected(504).await;
    }
    let waiting = host.at("/sit?never").try_connect();
    assert!(tokio::time::timeout(Duration::from_secs(1), waiting).await.is_err(), "it is not answered");
    host.advance(Duration::from_secs(3)).await;
    let _seated = sit_as(&host, "ada").connect().await;
    let rejected = sit_as(&host, "bob").expect_rejected(429).await;
    assert!(rejected.body.contains("this address"), "{}", rejected.body);
    host.close().await;
}

/// Clients come, leave, break and give up at random on several threads; a seat is never taken twice, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn seats_are_counted_exactly_under_races() {
    const SEATS: usize = 3;
    let seed = 0x5EA7;
    println!("seed {seed:#x}");
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counting = {
        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
        move |mut socket: Socket| {
            let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
            async move {
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                while socket.recv().await.is_some() {}
                inside.fetch_sub(1, SeqCst);
            }
        }
    };
    let options = Options::new().connections_per_user(SEATS).connections_per_address(1000);
    let host = Arc::new(Host::new(App::new().socket("/sit", socket(counting).options(options))));
    let clients = (0..16_u64).map(|client| {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let mut random = seed ^ (client << 32);
            let mut refused = 0;
            for _ in 0..60 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                match (sit_as(&host, "ada").try_connect().await, random >> 62) {
                    (Err(rejected), _) => {
                        assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
                        refused += 1;
                    }
                    (Ok(mut client), 0) => client.close(1000, "").await,
                    (Ok(client), 1) => client.drop_connection(),
                    (Ok(client), _) => {
                        tokio::task::yield_now().await;
                        drop(client);
                    }
                }
            }
            refused
        })
    });
    let mut refused = 0;
    for client in clients.collect::<Vec<_>>() {
        refused += client.await.expect("a client that does not panic");
    }
    assert!(refused > 0, "there was no race to lose");
    assert!(most.load(SeqCst) as usize <= SEATS, "{} sat on {SEATS} seats", most.load(SeqCst));
    while inside.load(SeqCst) > 0 || host.hub().connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    let mut all = Vec::new();
    while all.len() < SEATS {
        // The last one's seat is free a moment after its place in the hub is.
        if let Ok(client) = sit_as(&host, "ada").try_connect().await {
            all.push(client);
        }
    }
    sit_as(&host, "ada").expect_rejected(429).await;
}

async fn by_name(message: Message, _: Newcomer) -> Verdict {
    Verdict::User(user(&String::from_utf8_lossy(message.as_bytes())))
}

/// Becomes whom each text names, and answers how that went; `switch NAME` whoever it was before.
async fn become_each(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        let became = match text.strip_prefix("switch ") {
            Some(name) => socket.switch_user(&user(name)),
            None => socket.sign_in(&user(&text)),
        };
        socket.send(became.map_or_else(|error| error.to_string(), |()| "in".to_owned())).await?;
    }
    Ok(())
}

const FULL: &str = "this user has as many connections as it may have";

async fn become_one(client: &mut Client, text: &str, expected: &str) {
    client.send_text(text).await;
    assert_eq!(client.expect_text().await, expected, "{text}");
}

/// Raw sockets at `/`, and at `/first` those that sign in by their first message; so many per user.
fn late_seats(connections: usize) -> Host {
    let route = || socket(become_each).options(Options::new().connections_per_user(connections));
    Host::new(App::new().socket("/", route()).socket("/first", route().auth(auth::first_message(by_name))))
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_later_takes_a_seat_then() {
    let host = late_seats(2);
    let connect = async || host.at("/").connect().await;
    let (mut one, mut two, mut three) = (connect().await, connect().await, connect().await);
    become_one(&mut one, "ada", "in").await;
    let known = host.at("/").user(user("ada")).connect().await;
    become_one(&mut two, "ada", FULL).await;
    host.at("/").user(user("ada")).expect_rejected(429).await;
    // Whoever sits may renew, and who was refused is still nobody and may be somebody else.
    become_one(&mut one, "ada", "in").await;
    become_one(&mut two, "bob", "in").await;
    become_one(&mut two, "switch ada", FULL).await;
    become_one(&mut one, "switch bob", "in").await;
    become_one(&mut three, "ada", "in").await;
    become_one(&mut one, "switch ada", FULL).await;
    assert_eq!((host.hub().user("ada").devices(), host.hub().user("bob").devices()), (2, 2));
    for gone in [known, three] {
        gone.drop_connection();
    }
    host.advance(Duration::from_millis(10)).await;
    become_one(&mut one, "switch ada", "in").await;
    become_one(&mut two, "switch ada", "in").await;
    host.at("/").user(user("ada")).expect_rejected(429).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_by_message_and_has_too_many_connections_is_closed() {
    let host = late_seats(1);
    let mut one = host.at("/first").connect().await;
    one.send_text("ada").await;
    become_one(&mut one, "ada", "in").await;
    let mut two = host.at("/first").connect().await;
    two.send_text("ada").await;
    assert_eq!(two.expect_close(4429).await, format!("{FULL}; retry after 5 s"));
    one.drop_connection();
    host.advance(Duration::from_millis(10)).await;
    let mut three = host.at("/first").connect().await;
    three.send_text("ada").await;
    become_one(&mut three, "ada", "in").await;
    host.close().await;
}

/// Clients sign in, become others, and leave at random on several threads; no user ever has too many, and no seat is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn late_seats_are_counted_exactly_under_races() {
    const SEATS: usize = 2;
    let host = Arc::new(late_seats(SEATS));
    let clients = (0..12_u64).map(|number| {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let (mut random, mut refused) = (0x5EA8 ^ (number << 32), 0);
            for _ in 0..40 {
                let mut client = host.at("/").connect().await;
                for _ in 0..4 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    client.send_text(["switch ada", "switch bob"][(random >> 63) as usize]).await;
                    let answer = client.expect_text().await;
                    assert!(answer == "in" || answer == FULL, "{answer}");
                    refused += u32::from(answer == FULL);
                    for name in ["ada", "bob"] {
                        let now = host.hub().user(name).devices();
                        assert!(now <= SEATS, "{name} has {now} connections");
                    }
                }
                if random >> 62 & 1 == 0 {
                    client.close(1000, "").await;
                }
            }
            refused
        })
    });
    let mut refused = 0;
    for client in clients.collect::<Vec<_>>() {
        refused += client.await.expect("a client that does not panic");
    }
    assert!(refused > 0, "there was no race to lose");
    while host.hub().connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    for name in ["ada", "bob"] {
        let mut all = Vec::new();
        while all.len() < SEATS {
            // The last one's seat is free a moment after its place in the hub is.
            if let Ok(client) = host.at("/").user(user(name)).try_connect().await {
                all.push(client);
            }
        }
        host.at("/").user(user(name)).expect_rejected(429).await;
    }
}
