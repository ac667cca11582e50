//! Building an app: scopes, options, layers, errors at start-up, and being a guest in somebody's router.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use wirelark::auth::{self, Jwt, TokenSource, User};
use wirelark::testing::Host;
use wirelark::{App, Delivered, Options, Rate, Socket, metric_names, socket};

async fn quiet(mut socket: Socket) {
    while socket.recv().await.is_some() {}
}

async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[track_caller]
fn check_refused(app: App, fragments: &[&str]) {
    let error = app.build().expect_err("the app cannot be built").to_string();
    for fragment in fragments {
        assert!(error.contains(fragment), "{error:?} does not mention {fragment:?}");
    }
}

#[test]
fn mistakes_are_found_at_start_up() {
    let app = || App::new().socket("/a", quiet);
    check_refused(app().socket("/a", quiet), &["/a", "twice"]);
    check_refused(app().route("/a", get(async || "")), &["/a", "twice"]);
    check_refused(App::new().socket("/r/{x}", quiet).socket("/r/{y}", quiet), &["/r/{y}", "twice"]);
    check_refused(app().scope("/s", |s| s.socket("/x", quiet)).socket("/s/x", quiet), &["/s/x", "twice"]);
    check_refused(App::new().socket("a", quiet), &["slash", "\"/a\""]);
    check_refused(app().scope("s/", |s| s), &["prefix", "\"/api\""]);
    check_refused(
        app().options(Options::new().heartbeat(Duration::ZERO)),
        &["/a", "heartbeat", "no_heartbeat()"],
    );
    let mixed = socket(quiet).options(Options::new().origins(["*", "https://a.example"]));
    check_refused(App::new().socket("/b", mixed), &["/b", "origins", "alone"]);
}

#[test]
#[should_panic(expected = "twice")]
fn a_router_made_of_a_mistaken_app_panics_with_the_fix() {
    let _: Router = App::new().socket("/a", quiet).socket("/a", quiet).into();
}

#[test]
fn options_are_inherited_and_can_be_listed() {
    let inner = Options::new().message_bytes(10).no_heartbeat();
    let app = App::new()
        .options(Options::new().outbox_bytes(7).message_bytes(9))
        .socket("/plain", quiet)
        .scope("/inner", |scope| {
            scope
                .options(inner)
                .socket("/", quiet)
                .socket("/own", socket(quiet).options(Options::new().outbox_bytes(8)))
                .scope("/deep", |deep| deep.socket("/{id}", quiet))
        });
    let built = app.build().expect("the app can be built");
    let listed: Vec<_> = built
        .routes()
        .iter()
        .map(|r| (&*r.path, r.limits.message_bytes, r.limits.outbox_bytes, r.limits.heartbeat_ms.is_some()))
        .collect();
    let expected = [
        ("/plain", 9, 7, true),
        ("/inner", 10, 7, false),
        ("/inner/own", 10, 8, false),
        ("/inner/deep/{id}", 10, 7, false),
    ];
    assert_eq!(listed, expected);
    let json = serde_json::to_value(&built.routes()[0]).expect("a route can be written as JSON");
    assert_eq!((&json["path"], &json["limits"]["slow_client"]), (&json!("/plain"), &json!("error")));
}

#[derive(Clone)]
struct Services {
    greeting: Arc<str>,
    opened: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Greeting(Arc<str>);

impl FromRef<Services> for Greeting {
    fn from_ref(services: &Services) -> Self {
        Self(Arc::clone(&services.greeting))
    }
}

#[derive(Deserialize)]
struct Asked {
    times: u32,
}

#[tokio::test(start_paused = true)]
async fn handlers_take_axums_extractors() {
    async fn greet(
        Path((room, seat)): Path<(String, u8)>,
        Query(Asked { times }): Query<Asked>,
        State(Greeting(greeting)): State<Greeting>,
        State(services): State<Services>,
        headers: HeaderMap,
        user: Option<User>,
        socket: Socket,
    ) -> anyhow::Result<()> {
        services.opened.fetch_add(1, SeqCst);
        let name = user.map_or_else(|| "stranger".to_owned(), |user| user.id().to_owned());
        let shout = headers.contains_key("x-shout");
        for _ in 0..times {
            let text = format!("{greeting}, {name} in {room} at {seat}");
            socket.send(if shout { text.to_uppercase() } else { text }).await?;
        }
        Ok(())
    }
    let opened = Arc::new(AtomicUsize::new(0));
    let services = Services { greeting: "hello".into(), opened: Arc::clone(&opened) };
    let host = Host::new(App::with_state(services).socket("/{room}/{seat}", greet));
    let ada = User::new("ada").expect("a user id");
    let mut client = host.at("/lobby/7?times=2").user(ada).header("x-shout", "yes").connect().await;
    assert_eq!(client.expect_text().await, "HELLO, ADA IN LOBBY AT 7");
    assert_eq!(client.expect_text().await, "HELLO, ADA IN LOBBY AT 7");
    client.expect_close(1000).await;
    // An extractor that fails answers before the 101, and the handler never runs.
    host.at("/lobby/700?times=2").expect_rejected(400).await;
    host.at("/lobby/7").expect_rejected(400).await;
    assert_eq!(opened.load(SeqCst), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn layers_run_from_the_outside_in_and_may_refuse() {
    async fn tag(name: &'static str, mut request: axum::extract::Request, next: Next) -> Response {
        request.headers_mut().append("x-seen", name.parse().expect("a header value"));
        next.run(request).await
    }
    async fn guard(request: axum::extract::Request, next: Next) -> Response {
        if request.headers().contains_key("x-pass") {
            return next.run(request).await;
        }
        (StatusCode::PAYMENT_REQUIRED, "pay first").into_response()
    }
    async fn seen(headers: HeaderMap, socket: Socket) -> wirelark::Result {
        let seen: Vec<_> = headers.get_all("x-seen").iter().filter_map(|value| value.to_str().ok()).collect();
        socket.send(seen.join(" ")).await?;
        Ok(())
    }
    let app = App::new()
        .scope("/in", |scope| {
            scope
                .socket("/seen", seen)
                .layer(from_fn(|request, next| tag("inner", request, next)))
                .layer(from_fn(guard))
        })
        .socket("/seen", seen)
        .layer(from_fn(|request, next| tag("outer", request, next)));
    let host = Host::new(app);
    assert_eq!(host.at("/seen").connect().await.expect_text().await, "outer");
    assert_eq!(host.at("/in/seen").header("x-pass", "1").connect().await.expect_text().await, "outer inner");
    assert_eq!(host.at("/in/seen").expect_rejected(402).await.body, "pay first");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_checks_come_in_the_promised_order() {
    let jwt = || Jwt::hs256(b"test-secret");
    let guarded = socket(quiet)
        .options(Options::new().origins(["https://a.example"]).protocols(["p"]))
        .auth(jwt())
        .require_scope("s")
        .require_role("r");
    let host = Host::new(App::new().socket("/", guarded)).jwt_secret(b"test-secret");
    // Everything is wrong, then one thing less each time.
    host.at("/").origin("https://b.example").expect_rejected(403).await;
    host.at("/").origin("https://a.example").expect_rejected(400).await;
    let good = || host.at("/").origin("https://a.example").protocols(["p"]);
    host.at("/").protocols(["p"]).expect_rejected(401).await;
    assert!(good().jwt(json!({"sub": "ada"})).expect_rejected(403).await.body.contains("scope"));
    assert!(
        good().jwt(json!({"sub": "ada", "scopes": ["s"]})).expect_rejected(403).await.body.contains("role")
    );
    good().jwt(json!({"sub": "ada", "scope": "x s", "roles": ["r"]})).connect().await;
    let rejected = |outcome| host.counter("websocket.upgrades.rejected.total", &[("outcome", outcome)]);
    assert_eq!(
        [rejected("origin"), rejected("protocol"), rejected("unauthorized"), rejected("forbidden")],
        [1, 1, 1, 2]
    );
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_of_one_address_are_limited() {
    let limited = socket(quiet).options(Options::new().upgrade_rate(Rate::per_second(1).burst(3)));
    let host = Host::tcp(App::new().socket("/limited", limited).socket("/free", quiet)).await;
    for _ in 0..3 {
        host.at("/limited").connect().await;
    }
    let refused = host.at("/limited").expect_rejected(429).await;
    assert!(refused.headers.contains_key("retry-after"));
    host.at("/free").connect().await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_routes_run_inside_a_plain_axum_server() {
    let built = App::new().socket("/echo", echo).build().expect("the app can be built");
    let router = Router::new().route("/hello", get(async || "hi")).nest("/realtime", built.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let serving = tokio::spawn(axum::serve(listener, router).into_future());
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("axum accepts");
    // The first frame comes right behind the request: what hyper has read already must not be lost.
    let request = b"GET /realtime/echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\0\0\0\0hi";
    stream.write_all(request).await.expect("axum reads");
    let mut all = Vec::new();
    while !all.ends_with(b"\x81\x02hi") {
        all.push(
            tokio::time::timeout(Duration::from_secs(5), stream.read_u8())
                .await
                .expect("in time")
                .expect("a byte"),
        );
    }
    assert!(all.starts_with(b"HTTP/1.1 101"));
    let response = built.router();
    drop(response);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn visitors_need_no_credentials_and_bad_ones_are_refused() {
    async fn greet(user: Option<User>, socket: Socket) -> wirelark::Result {
        socket.send(user.as_ref().map_or("visitor", User::id)).await?;
        Ok(())
    }
    let jwt =
        Jwt::hs256(b"test-secret").sources([TokenSource::Bearer, TokenSource::Subprotocol("bearer.".into())]);
    let app = App::new()
        .auth(auth::optional(jwt))
        .options(Options::new().protocols(["ours"]).require_protocol(false))
        .socket("/greet", greet)
        .socket("/members", socket(greet).require_scope("s"))
        .socket("/strict", socket(greet).auth(Jwt::hs256(b"test-secret")));
    let host = Host::new(app).jwt_secret(b"test-secret");
    assert_eq!(host.at("/greet").connect().await.expect_text().await, "visitor");
    let mut ada = host.at("/greet").jwt(json!({"sub": "ada"})).connect().await;
    assert_eq!(ada.expect_text().await, "ada");
    // What is a credential stays one: it is not chosen while there is something else.
    let mut offered = host.at("/greet").protocols(["bearer.", "ours"]).connect().await;
    assert_eq!(offered.expect_text().await, "visitor");
    assert_eq!(offered.protocol(), "ours");
    host.at("/greet").bearer("no.token.atall").expect_rejected(401).await;
    host.at("/greet").protocols(["ours", "bearer.no.token"]).expect_rejected(401).await;
    host.at("/members").expect_rejected(401).await;
    host.at("/members").jwt(json!({"sub": "ada", "scope": "s"})).connect().await;
    host.at("/strict").expect_rejected(401).await;
    // The origin is checked before, and each refusal counted.
    host.at("/greet").bearer("no.token.atall").origin("https://evil.example").expect_rejected(403).await;
    let refused = |why| host.counter(metric_names::REJECTED, &[("outcome", why)]);
    assert_eq!((refused("unauthorized"), refused("origin")), (4, 1));
    let visitors: Vec<bool> = host.app().routes().iter().map(|route| route.visitors).collect();
    assert_eq!(visitors, [true, false, false]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_before_the_first_connection_reaches_nobody() {
    let host = Host::new(App::new().socket("/", async |socket: Socket| socket.keep_open()));
    // More than a mailbox holds.
    for _ in 0..100 {
        host.hub().broadcast("x".repeat(100_000)).await;
    }
    assert_eq!(host.hub().broadcast("x").counted().await, Delivered::default());
    assert_eq!(host.hub().broadcast_to("/", "x").try_send(), Ok(()));
    let mut client = host.at("/").connect().await;
    host.hub().broadcast("y").await;
    assert_eq!(client.expect_text().await, "y");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_handle_works_in_http_handlers() {
    async fn member(mut socket: Socket) -> wirelark::Result {
        socket.join("news")?;
        socket.send("joined").await?;
        while socket.recv().await.is_some() {}
        Ok(())
    }
    async fn post(hub: wirelark::Hub, body: String) -> String {
        let room = hub.room("news").expect("a room name");
        format!("{:?}", room.publish(body).counted().await)
    }
    let host = Host::new(App::new().socket("/", member).route("/post", axum::routing::post(post)));
    let mut client = host.at("/").connect().await;
    assert_eq!(client.expect_text().await, "joined");
    let request = Request::post("/post").body("extra".into()).expect("a request");
    assert_eq!(host.request(request).await.status(), StatusCode::OK);
    assert_eq!(client.expect_text().await, "extra");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_never_answered_is_a_500() {
    async fn forgets(upgrade: wirelark::Upgrade) {
        drop(upgrade);
    }
    async fn fails(_upgrade: wirelark::Upgrade) -> wirelark::Result {
        Err(std::io::Error::other("the database is away").into())
    }
    async fn answers_with_what_it_returns(_upgrade: wirelark::Upgrade) -> Response {
        (StatusCode::GONE, "moved on").into_response()
    }
    let app = App::new()
        .socket("/forgets", forgets)
        .socket("/fails", fails)
        .socket("/gone", answers_with_what_it_returns);
    let host = Host::new(app);
    host.at("/forgets").expect_rejected(500).await;
    let refused = host.at("/fails").expect_rejected(500).await;
    assert!(!refused.body.contains("database"), "an error's text is for the log");
    assert_eq!(host.at("/gone").expect_rejected(410).await.body, "moved on");
    host.close().await;
}
