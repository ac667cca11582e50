//! Sessions of a contract, seen frame by frame: who gets in, in which order things happen, what each frame is
//! answered, and who hears a push.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use wirelark::auth::User;
use wirelark::contract::{Contract as _, ContractBuilder, Format, Problem, Session};
use wirelark::hooks::{Hooks, ReportKind};
use wirelark::schemars::{self, JsonSchema};
use wirelark::testing::{Client, ClientEvent, Host};
use wirelark::{App, Hub, Message, Options, contract, metric_names};

#[contract(rename_all = "camelCase")]
trait Talk {
    /// What the session was made of.
    async fn whoami(&self) -> Vec<String>;
    /// The names of everybody here.
    async fn all(&self) -> Vec<String>;
    /// The names of everybody else here.
    async fn others(&self) -> Vec<String>;
    /// Changes the caller's name.
    async fn rename(&self, name: String);
    /// Tells everybody here.
    async fn say(&self, text: String);
    /// Answers after a while.
    async fn wait(&self, ms: u64) -> u64;
    /// Never answers.
    async fn forever(&self);
    async fn crash(&self);
    /// Panics while its argument is read.
    async fn light(&self, fuse: Option<Fuse>);
    /// Fails with an error that is nobody's business.
    async fn fail(&self) -> wirelark::Result;
    /// Fails with an error made for the caller.
    async fn refuse(&self) -> Result<u32, Problem>;
    #[send]
    async fn nudge(&self, fail: bool) -> Result<(), Problem>;
    #[push]
    fn said(from: String, text: String);
}

/// Session data, made of everything an upgrade request has to offer.
struct Member {
    room: String,
    name: String,
    user: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        type Extracted = (Path<String>, Query<Asked>, Option<User>);
        let (Path(room), Query(Asked { name }), user) = Extracted::from_request_parts(parts, state).await?;
        match name.as_str() {
            "banned" => Err((StatusCode::FORBIDDEN, "not you").into_response()),
            "eager" => {
                Err((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], "not so fast").into_response())
            }
            _ => Ok(Self { room, name, user: user.map(|user| user.id().to_owned()) }),
        }
    }
}

/// Cannot be read without a panic.
#[derive(Serialize, JsonSchema)]
struct Fuse;

impl<'de> Deserialize<'de> for Fuse {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("it went off")
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: String) {
        self.0.lock().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Hooks go wrong for those whose name says so.
struct Server(Log);

type Caller = Session<Talk, Member>;

fn names(sessions: &[Caller]) -> Vec<String> {
    sessions.iter().map(|session| session.data(|member| member.name.clone())).collect()
}

impl TalkServer for Server {
    type Data = Member;

    async fn whoami(&self, session: Caller) -> Vec<String> {
        session.data(|Member { room, name, user }| vec![room.clone(), name.clone(), format!("{user:?}")])
    }

    async fn all(&self, session: Caller) -> Vec<String> {
        names(&session.peers().list())
    }

    async fn others(&self, session: Caller) -> Vec<String> {
        let others = session.peers().except_self();
        assert_eq!(others.count() + 1, session.peers().count());
        names(&others.list())
    }

    async fn rename(&self, session: Caller, name: String) {
        session.update(|member| member.name = name);
    }

    async fn say(&self, session: Caller, text: String) {
        let from = session.data(|member| member.name.clone());
        self.0.add(format!("{from} says {text}"));
        session.room().push(Talk::said(from, text)).await;
    }

    async fn wait(&self, _: Caller, ms: u64) -> u64 {
        self.0.add(format!("waits {ms}"));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    }

    async fn forever(&self, session: Caller) {
        let (log, token) = (self.0.clone(), session.token());
        tokio::spawn(async move {
            token.cancelled().await;
            log.add("cancelled".to_owned());
        });
        std::future::pending().await
    }

    async fn light(&self, _: Caller, _: Option<Fuse>) {}

    async fn crash(&self, _: Caller) {
        panic!("this call always panics");
    }

    async fn fail(&self, _: Caller) -> wirelark::Result {
        Err(std::io::Error::other("the password is 1234").into())
    }

    async fn refuse(&self, _: Caller) -> Result<u32, Problem> {
        Err(Problem::new("no").code("NO").data(json!({"n": 1})))
    }

    async fn nudge(&self, _: Caller, fail: bool) -> Result<(), Problem> {
        if fail { Err(Problem::new("ouch")) } else { Ok(()) }
    }

    async fn attached(&self, session: Caller) -> wirelark::Result {
        // Long enough for a client's first message to be there before this ends.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let name = session.data(|member| member.name.clone());
        self.0.add(format!("{name} attached among {:?}", names(&session.peers().list())));
        match name.as_str() {
            "grumpy" => Err("grumpy does not like it".into()),
            "shaky" => panic!("shaky falls"),
            _ => Ok(()),
        }
    }

    async fn closed(&self, session: Caller) -> wirelark::Result {
        let name = session.data(|member| member.name.clone());
        let told = session.token().is_cancelled();
        self.0.add(format!("{name} closed among {:?}, told: {told}", names(&session.peers().list())));
        match name.as_str() {
            "sulky" => Err("sulky slams the door".into()),
            "slow" => std::future::pending().await,
            "shaky" => panic!("shaky falls again"),
            _ => Ok(()),
        }
    }
}

/// A report, kept.
#[derive(Clone, PartialEq, Debug)]
struct Kept {
    kind: ReportKind,
    call: Option<String>,
    error: String,
    reference: Option<String>,
}

struct Fixture {
    host: Host,
    log: Log,
    reports: Arc<Mutex<Vec<Kept>>>,
}

fn fixture(
    configure: impl FnOnce(ContractBuilder<Talk, Server, Member>) -> ContractBuilder<Talk, Server, Member>,
) -> Fixture {
    let (log, reports) = (Log::default(), Arc::new(Mutex::new(Vec::new())));
    let builder = Talk::serve(Server(log.clone())).hooks(Hooks::new().on_error({
        let reports = Arc::clone(&reports);
        move |report| {
            // What clients are told on purpose is looked at elsewhere.
            if matches!(report.kind, ReportKind::Problem | ReportKind::Input) {
                return;
            }
            reports.lock().push(Kept {
                kind: report.kind,
                call: report.call.map(str::to_owned),
                error: report.error.to_string(),
                reference: report.reference.map(|reference| reference.to_string()),
            });
        }
    }));
    let app = App::new().contract("/talk/{room}", configure(builder)).route("/tell/{whom}", post(tell));
    Fixture { host: Host::new(app), log, reports }
}

impl Fixture {
    fn plain() -> Self {
        fixture(|builder| builder)
    }

    /// A client that has been attached.
    async fn join(&self, room: &str, name: &str) -> Client {
        let mut client = self.host.at(&format!("/talk/{room}?name={name}")).connect().await;
        client.send_text(&request("hi", "nudge", &json!({"fail": true}))).await;
        assert_eq!(client.expect_text().await, failure("hi", "nudge", "ouch"));
        client
    }

    fn take_reports(&self) -> Vec<Kept> {
        std::mem::take(&mut self.reports.lock())
    }

    async fn end(self) -> Vec<String> {
        self.host.close().await;
        self.log.take()
    }
}

/// Pushes from outside of the contract: to a user, to everyone, or to a room.
async fn tell(Path(whom): Path<String>, hub: Hub, text: String) -> Json<[usize; 2]> {
    let pushes = hub.contract::<Talk>();
    let push = Talk::said("http".to_owned(), text);
    let delivered = match whom.split_once(':') {
        Some(("user", user)) => pushes.user(user).push(push).await,
        Some(("room", room)) => pushes.room(format!("/talk/{room}")).expect("a room's name").push(push).await,
        _ => pushes.everyone(push).await,
    };
    Json([delivered.queued, delivered.offline])
}

fn request(id: &str, call: &str, body: &Value) -> String {
    format!(r#"{{"socka":"clientRequest","v":1,"id":"{id}","rpc":"{call}","body":{body}}}"#)
}

fn answer(id: &str, call: &str, body: &Value) -> String {
    format!(r#"{{"socka":"serverResponse","v":1,"id":"{id}","rpc":"{call}","body":{body}}}"#)
}

fn void(id: &str, call: &str) -> String {
    format!(r#"{{"socka":"serverResponse","v":1,"id":"{id}","rpc":"{call}"}}"#)
}

fn failure(id: &str, call: &str, error: &str) -> String {
    format!(r#"{{"socka":"serverError","v":1,"id":"{id}","error":"{error}","rpc":"{call}"}}"#)
}

fn said(from: &str, text: &str) -> String {
    format!(r#"{{"socka":"serverEvent","v":1,"event":"said","body":{{"from":"{from}","text":"{text}"}}}}"#)
}

async fn check_answer(client: &mut Client, call: &str, body: &Value, expected: &Value) {
    client.send_text(&request("1", call, body)).await;
    assert_eq!(client.expect_text().await, answer("1", call, expected));
}

fn ada() -> User {
    User::new("ada").expect("a user id")
}

#[tokio::test(start_paused = true)]
async fn session_data_is_made_from_the_request() {
    let fixture = Fixture::plain();
    let mut client = fixture.host.at("/talk/caf%C3%A9?name=Ada%20L").user(ada()).connect().await;
    check_answer(&mut client, "whoami", &json!({}), &json!(["café", "Ada L", "Some(\"ada\")"])).await;
    let mut nobody = fixture.join("lobby", "x").await;
    check_answer(&mut nobody, "whoami", &json!({}), &json!(["lobby", "x", "None"])).await;
    nobody.send_text(&request("2", "rename", &json!({"name": "y"}))).await;
    assert_eq!(nobody.expect_text().await, void("2", "rename"));
    check_answer(&mut nobody, "all", &json!({}), &json!(["y"])).await;
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_fails_refuses_the_upgrade() {
    let fixture = Fixture::plain();
    fixture.host.at("/talk/lobby").expect_rejected(400).await;
    assert_eq!(fixture.host.at("/talk/lobby?name=banned").expect_rejected(403).await.body, "not you");
    // Nobody was ever there.
    assert_eq!(fixture.end().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_ours_is_told_by_a_close_code() {
    let fixture = Fixture::plain();
    for protocol in ["wirelark.v1.json", "wirelark.v1.msgpack"] {
        for (path, code, reason) in [
            ("/talk/lobby", 4400, "Bad Request"),
            ("/talk/lobby?name=banned", 4403, "Forbidden"),
            ("/talk/lobby?name=eager", 4429, "Too Many Requests; retry after 7 s"),
        ] {
            let mut client = fixture.host.at(path).protocols([protocol]).connect().await;
            assert_eq!(client.protocol(), protocol);
            assert_eq!(client.expect_close(code).await, reason, "{path}");
        }
        // A page of a foreign origin learns nothing.
        let foreign = fixture.host.at("/talk/lobby?name=x").origin("https://evil.example");
        foreign.protocols([protocol]).expect_rejected(403).await;
    }
    assert_eq!(fixture.end().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn attached_comes_before_the_first_message_and_closed_after_the_last() {
    let fixture = Fixture::plain();
    let mut bob = fixture.join("lobby", "bob").await;
    fixture.log.take();
    let mut ada = fixture.host.at("/talk/lobby?name=ada").connect().await;
    ada.send_text(&request("1", "say", &json!({"text": "early"}))).await;
    assert_eq!(bob.expect_text().await, said("ada", "early"));
    assert_eq!(ada.expect_text().await, said("ada", "early"), "a push comes before the answer behind it");
    assert_eq!(ada.expect_text().await, void("1", "say"));
    // What came before the close is handled before it.
    ada.send_text(&request("2", "say", &json!({"text": "late"}))).await;
    ada.close(1000, "").await;
    assert_eq!(bob.expect_text().await, said("ada", "late"));
    fixture.host.advance(Duration::from_secs(1)).await;
    assert_eq!(
        fixture.log.take(),
        [
            r#"ada attached among ["bob", "ada"]"#,
            "ada says early",
            "ada says late",
            r#"ada closed among ["bob", "ada"], told: true"#,
        ]
    );
    check_answer(&mut bob, "all", &json!({}), &json!(["bob"])).await;
    assert_eq!(fixture.end().await, [r#"bob closed among ["bob"], told: true"#]);
}

#[tokio::test(start_paused = true)]
async fn peers_are_those_of_one_path_in_the_order_they_came() {
    let fixture = Fixture::plain();
    let mut clients = Vec::new();
    for (room, name) in [("a", "one"), ("b", "else"), ("a", "two"), ("a", "three")] {
        clients.push(fixture.join(room, name).await);
    }
    check_answer(&mut clients[2], "all", &json!({}), &json!(["one", "two", "three"])).await;
    check_answer(&mut clients[2], "others", &json!({}), &json!(["one", "three"])).await;
    check_answer(&mut clients[1], "all", &json!({}), &json!(["else"])).await;
    check_answer(&mut clients[1], "others", &json!({}), &json!([])).await;
    clients.remove(0).drop_connection();
    fixture.host.advance(Duration::from_secs(1)).await;
    clients.push(fixture.join("a", "four").await);
    check_answer(&mut clients[1], "all", &json!({}), &json!(["two", "three", "four"])).await;
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_of_two_paths_do_not_leak() {
    let fixture = Fixture::plain();
    let (mut a, mut b) = (fixture.join("a", "ann").await, fixture.join("b", "ben").await);
    // The same path, written otherwise.
    let mut also_a = fixture.join("%61", "abe").await;
    a.send_text(&request("1", "say", &json!({"text": "hello"}))).await;
    assert_eq!(also_a.expect_text().await, said("ann", "hello"));
    assert_eq!(a.expect_text().await, said("ann", "hello"));
    assert_eq!(a.expect_text().await, void("1", "say"));
    b.expect_nothing_for(Duration::from_secs(1)).await;
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_calls_are_named() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    for call in
        ["nothing", "toString", "__proto__", "constructor", "hasOwnProperty", "", "Say", "say ", "attached"]
    {
        client.send_text(&request("1", call, &json!({}))).await;
        assert_eq!(client.expect_text().await, failure("1", call, &format!("Unknown call: {call}")));
    }
    assert_eq!(fixture.take_reports(), []);
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn input_of_another_shape_is_refused_and_the_handler_does_not_run() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    fixture.log.take();
    client.send_text(&request("1", "say", &json!({}))).await;
    assert_eq!(client.expect_text().await, failure("1", "say", "missing field `text`"));
    client.send_text(&request("2", "wait", &json!({"ms": 1.5}))).await;
    let refused = client.expect_text().await;
    assert!(
        refused.starts_with(r#"{"socka":"serverError","v":1,"id":"2","error":"invalid type: "#),
        "{refused}"
    );
    assert_eq!(fixture.log.take(), [""; 0]);
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn malformed_frames_are_reported_and_never_fatal() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    let malformed = [
        ("", "socka: invalid JSON"),
        ("{", "socka: invalid JSON"),
        ("null", "socka: expected a JSON object"),
        ("[]", "socka: expected a JSON object"),
        ("{}", "socka: missing \"socka\" discriminator"),
        (
            r#"{"socka":"clientRequest","v":2,"id":"1","rpc":"all","body":{}}"#,
            "socka: unsupported wire version",
        ),
        (
            r#"{"socka":"clientRequest","v":1,"id":"1","rpc":"all","body":[]}"#,
            "socka: unknown or invalid frame kind clientRequest",
        ),
        (
            r#"{"socka":"clientRequest","v":1,"rpc":"all","body":{}}"#,
            "socka: unknown or invalid frame kind clientRequest",
        ),
        (r#"{"socka":"nonsense","v":1}"#, "socka: unknown or invalid frame kind nonsense"),
        (
            r#"{"socka":"serverEvent","v":1,"event":"said","body":{}}"#,
            "socka: unexpected server-originated frame from client",
        ),
    ];
    for (frame, _) in malformed {
        client.send_text(frame).await;
    }
    check_answer(&mut client, "all", &json!({}), &json!(["x"])).await;
    let reports = fixture.take_reports();
    let expected: Vec<_> = malformed.map(|(_, error)| (ReportKind::Malformed, error.to_owned())).into();
    assert_eq!(reports.into_iter().map(|kept| (kept.kind, kept.error)).collect::<Vec<_>>(), expected);
    let counted = fixture.host.counter(metric_names::MALFORMED, &[("route", "/talk/{room}")]);
    assert_eq!(counted, malformed.len() as u64);
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn formats_are_not_mixed() {
    let fixture = Fixture::plain();
    let mut packed = fixture.host.at("/talk/lobby?name=x").protocols(["wirelark.v1.msgpack"]).connect().await;
    packed.send_text(&request("1", "all", &json!({}))).await;
    packed.send_bytes(b"\xc1".to_vec()).await;
    packed.expect_nothing_for(Duration::from_secs(1)).await;
    let errors: Vec<_> = fixture.take_reports().into_iter().map(|kept| kept.error).collect();
    assert_eq!(errors, ["socka: unexpected JSON frame in msgpack mode", "socka: invalid MessagePack"]);
    // JSON in a binary message is what some clients send.
    let mut json = fixture.join("else", "y").await;
    json.send_bytes(request("1", "all", &json!({})).into_bytes()).await;
    assert_eq!(json.expect_text().await, answer("1", "all", &json!(["y"])));
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_call_alone() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    let panicked = "the handler panicked";
    for (call, body, error) in [
        ("crash", json!({}), panicked),
        ("light", json!({"fuse": 1}), panicked),
        ("fail", json!({}), "the password is 1234"),
    ] {
        client.send_text(&request("1", call, &body)).await;
        let frame: Value = client.expect_json().await;
        let reference = frame["data"]["reference"].as_str().expect("something to quote").to_owned();
        let expected = json!({
            "socka": "serverError", "v": 1, "id": "1", "error": "internal error", "rpc": call,
            "code": "INTERNAL", "data": {"reference": reference},
        });
        assert_eq!(frame, expected);
        let kept = Kept {
            kind: ReportKind::Handler,
            call: Some(call.to_owned()),
            error: error.to_owned(),
            reference: Some(reference),
        };
        assert_eq!(fixture.take_reports(), [kept]);
    }
    check_answer(&mut client, "all", &json!({}), &json!(["x"])).await;
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_given_up() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    fixture.log.take();
    let mut ends = Vec::new();
    for expected in [10, 10] {
        let start = tokio::time::Instant::now();
        client.send_text(&request("1", "forever", &json!({}))).await;
        client.expect_nothing_for(Duration::from_millis(9_900)).await;
        assert_eq!(fixture.log.take(), [""; 0], "the token fires when the call is over");
        let frame: Value = client.expect_json().await;
        assert_eq!((&frame["error"], &frame["code"]), (&json!("the call took too long"), &json!("TIMEOUT")));
        ends.push((start.elapsed().as_secs(), expected));
        fixture.host.advance(Duration::from_millis(1)).await;
        assert_eq!(fixture.log.take(), ["cancelled"]);
    }
    assert!(ends.iter().all(|(took, expected)| took == expected), "{ends:?}");
    let kinds: Vec<_> = fixture.take_reports().into_iter().map(|kept| (kept.kind, kept.call)).collect();
    assert_eq!(kinds, vec![(ReportKind::Timeout, Some("forever".to_owned())); 2]);
    check_answer(&mut client, "wait", &json!({"ms": 9_900}), &json!(9_900)).await;
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_call_fires_when_its_client_leaves() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    fixture.log.take();
    client.send_text(&request("1", "forever", &json!({}))).await;
    fixture.host.advance(Duration::from_millis(100)).await;
    client.drop_connection();
    fixture.host.advance(Duration::from_millis(100)).await;
    assert_eq!(fixture.log.take(), ["cancelled"]);
    // The call itself may finish what it does, for as long as a close may take.
    fixture.host.advance(Duration::from_secs(6)).await;
    assert_eq!(fixture.log.take(), [r#"x closed among ["x"], told: true"#]);
    fixture.end().await;
}

/// The ids of the next answers.
async fn ids(client: &mut Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let frame: Value = client.expect_json().await;
        ids.push(frame["id"].as_str().expect("an id").to_owned());
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_connection_run_one_after_the_other() {
    let fixture = Fixture::plain();
    let mut client = fixture.join("lobby", "x").await;
    fixture.log.take();
    for (id, ms) in [("a", 300), ("b", 200), ("c", 0)] {
        client.send_text(&request(id, "wait", &json!({"ms": ms}))).await;
    }
    fixture.host.advance(Duration::from_millis(299)).await;
    assert_eq!(fixture.log.take(), ["waits 300"]);
    assert_eq!(ids(&mut client, 3).await, ["a", "b", "c"]);
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn so_many_calls_run_at_the_same_time_and_no_more() {
    let fixture = fixture(|builder| builder.concurrency(NonZeroUsize::new(2).expect("not zero")));
    let mut client = fixture.join("lobby", "x").await;
    fixture.log.take();
    for (id, ms) in [("a", 300), ("b", 200), ("c", 50), ("d", 0)] {
        client.send_text(&request(id, "wait", &json!({"ms": ms}))).await;
    }
    fixture.host.advance(Duration::from_millis(199)).await;
    assert_eq!(fixture.log.take(), ["waits 300", "waits 200"]);
    assert_eq!(ids(&mut client, 4).await, ["b", "c", "d", "a"]);
    assert_eq!(fixture.log.take(), ["waits 50", "waits 0"]);
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_own_time() {
    let fixture = fixture(|builder| {
        builder.call_timeout(Duration::from_secs(1)).concurrency(NonZeroUsize::new(2).expect("not zero"))
    });
    let mut client = fixture.join("lobby", "x").await;
    client.send_text(&request("a", "forever", &json!({}))).await;
    fixture.host.advance(Duration::from_millis(600)).await;
    client.send_text(&request("b", "wait", &json!({"ms": 900}))).await;
    assert_eq!(ids(&mut client, 2).await, ["a", "b"]);
    assert_eq!(fixture.take_reports().len(), 1);
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn every_request_is_answered_exactly_once() {
    for concurrency in [1, 4] {
        let fixture =
            fixture(|builder| builder.concurrency(NonZeroUsize::new(concurrency).expect("not zero")));
        let mut client = fixture.join("lobby", "x").await;
        let kinds = [
            ("all", json!({}), "serverResponse"),
            ("rename", json!({"name": "z"}), "serverResponse"),
            ("wait", json!({"ms": 7}), "serverResponse"),
            ("crash", json!({}), "serverError"),
            ("fail", json!({}), "serverError"),
            ("refuse", json!({}), "serverError"),
            ("nudge", json!({"fail": true}), "serverError"),
            ("nudge", json!({"fail": "perhaps"}), "serverError"),
            ("unknown", json!({}), "serverError"),
            ("wait", json!({"ms": -1}), "serverError"),
        ];
        let mut expected = BTreeMap::new();
        for round in 0..20 {
            for (index, (call, body, kind)) in kinds.iter().enumerate() {
                let id = format!("{round}.{index}");
                client.send_text(&request(&id, call, body)).await;
                expected.insert(id, (*call, *kind));
            }
            // One that succeeds in silence, and one that is no request.
            client.send_text(&request("silent", "nudge", &json!({"fail": false}))).await;
            client.send_text(r#"{"socka":"clientRequest","v":1,"id":"bad"}"#).await;
        }
        for event in client.next_n(expected.len()).await {
            let ClientEvent::Message(Message::Text(text)) = event else { panic!("{event:?}") };
            let frame: Value = serde_json::from_str(text.as_str()).expect("JSON");
            let id = frame["id"].as_str().expect("an id");
            let (call, kind) = expected.remove(id).unwrap_or_else(|| panic!("answered twice: {frame}"));
            assert_eq!((&frame["rpc"], &frame["socka"]), (&json!(call), &json!(kind)));
        }
        client.expect_nothing_for(Duration::from_secs(1)).await;
        fixture.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_another_version_is_told_so() {
    let fixture = Fixture::plain();
    let ours = Talk::describe().hash();
    let token = ours.subprotocol("Talk");
    let connect =
        |token: &str| fixture.host.at("/talk/lobby?name=x").protocols(["wirelark.v1.json", token]).connect();
    let mut same = connect(&token).await;
    check_answer(&mut same, "all", &json!({}), &json!(["x"])).await;
    drop(same);

    let reason = connect("wirelark.contract.Talk.0123456789abcdef").await.expect_close(4426).await;
    assert!(reason.contains("0123456789abcdef") && reason.contains(&ours.to_string()), "{reason}");
    let other = format!("wirelark.contract.Other.{ours}");
    let reason = connect(&other).await.expect_close(4426).await;
    assert!(reason.contains("Talk") && reason.contains("Other"), "{reason}");
    fixture.end().await;

    let rolling = self::fixture(|talk| talk.also_accepts(["0123456789abcdef", "FEDCBA9876543210"]));
    let connect =
        |token: &str| rolling.host.at("/talk/lobby?name=x").protocols(["wirelark.v1.json", token]).connect();
    for accepted in
        [&token, "wirelark.contract.Talk.0123456789abcdef", "wirelark.contract.Talk.fedcba9876543210"]
    {
        let mut client = connect(accepted).await;
        check_answer(&mut client, "all", &json!({}), &json!(["x"])).await;
        drop(client);
        rolling.host.advance(Duration::from_secs(1)).await;
    }
    let reason = connect("wirelark.contract.Talk.0123456789abcdee").await.expect_close(4426).await;
    assert!(reason.contains(&ours.to_string()), "it says the server's own version: {reason}");
    connect("wirelark.contract.Other.0123456789abcdef").await.expect_close(4426).await;
    rolling.end().await;

    let lenient = self::fixture(ContractBuilder::any_version);
    let path = lenient.host.at("/talk/lobby?name=x");
    let mut old =
        path.protocols(["wirelark.contract.Talk.0123456789abcdef", "wirelark.v1.json"]).connect().await;
    check_answer(&mut old, "all", &json!({}), &json!(["x"])).await;
    lenient.end().await;
}

#[test]
fn a_version_that_is_none_is_found_when_the_app_is_built() {
    let served = |version: &str| {
        let talk = Talk::serve(Server(Log::default())).also_accepts(["0123456789abcdef", version, "later"]);
        App::new().contract("/talk/{room}", talk).build()
    };
    assert!(served("FEDCBA9876543210").is_err(), "the one behind it is none either");
    for none in ["", "v1", "0123456789abcde", "0123456789abcdefg"] {
        let error = served(none).expect_err("no version").to_string();
        assert!(
            error.contains("/talk/{room}") && error.contains(&format!("{none:?} is no version")),
            "{error}"
        );
    }
    let talk = Talk::serve(Server(Log::default())).any_version().also_accepts(["v1"]);
    assert!(App::new().contract("/talk/{room}", talk).build().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_route_may_ask_for_a_subprotocol() {
    let strict = fixture(|talk| talk.options(Options::new().require_protocol(true)));
    let rejected = strict.host.at("/talk/lobby?name=x").expect_rejected(400).await;
    assert!(rejected.body.contains("wirelark.v1.json, wirelark.v1.msgpack"), "{}", rejected.body);
    let path = strict.host.at("/talk/lobby?name=x");
    let mut client = path.protocols(["wirelark.v1.json"]).connect().await;
    check_answer(&mut client, "all", &json!({}), &json!(["x"])).await;
    strict.end().await;
}

/// Pushes through an HTTP handler; how many were reached, and users who were not there.
async fn tell_over_http(fixture: &Fixture, whom: &str, text: &str) -> [usize; 2] {
    let request = Request::post(format!("/tell/{whom}")).body(text.to_owned().into()).expect("a request");
    let response = fixture.host.request(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1024).await.expect("a short body");
    serde_json::from_slice(&body).expect("two numbers")
}

#[tokio::test(start_paused = true)]
async fn http_handlers_push_to_a_user_a_room_and_everyone() {
    let fixture = Fixture::plain();
    let mut devices = Vec::new();
    for room in ["a", "b"] {
        let mut device = fixture.host.at(&format!("/talk/{room}?name=ada")).user(ada()).connect().await;
        check_answer(&mut device, "others", &json!({}), &json!([])).await;
        devices.push(device);
    }
    let mut bob = fixture.join("b", "bob").await;

    assert_eq!(tell_over_http(&fixture, "user:ada", "to ada").await, [2, 0]);
    assert_eq!(tell_over_http(&fixture, "user:eve", "to eve").await, [0, 1]);
    assert_eq!(tell_over_http(&fixture, "room:b", "to b").await, [2, 0]);
    assert_eq!(tell_over_http(&fixture, "room:empty", "to nobody").await, [0, 0]);
    assert_eq!(tell_over_http(&fixture, "all", "to all").await, [3, 0]);
    for (client, heard) in [(&mut devices[0], &["to ada", "to all"][..]), (&mut bob, &["to b", "to all"])] {
        for text in heard {
            assert_eq!(client.expect_text().await, said("http", text));
        }
    }
    for text in ["to ada", "to b", "to all"] {
        assert_eq!(devices[1].expect_text().await, said("http", text));
    }
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn members_of_both_formats_hear_the_same_push() {
    let fixture = Fixture::plain();
    let mut text = fixture.join("lobby", "text").await;
    let mut packed =
        fixture.host.at("/talk/lobby?name=packed").protocols(["wirelark.v1.msgpack"]).connect().await;
    fixture.host.advance(Duration::from_millis(100)).await;
    text.send_text(&request("1", "say", &json!({"text": "hé"}))).await;
    assert_eq!(text.expect_text().await, said("text", "hé"));
    let bytes = packed.expect_bytes().await;
    let event: Value = Format::MsgPack.decode(&bytes).expect("MessagePack");
    assert_eq!(event, serde_json::from_str::<Value>(&said("text", "hé")).expect("JSON"));
    fixture.end().await;
}

#[tokio::test(start_paused = true)]
async fn hooks_that_fail_are_reported_and_change_nothing() {
    let fixture = Fixture::plain();
    for name in ["grumpy", "shaky", "sulky", "slow"] {
        let mut client = fixture.join("lobby", name).await;
        check_answer(&mut client, "all", &json!({}), &json!([name])).await;
        client.close(1000, "").await;
        client.expect_close(1000).await;
        fixture.host.advance(Duration::from_secs(10)).await;
    }
    let reports: Vec<_> = fixture.take_reports().into_iter().map(|kept| (kept.kind, kept.error)).collect();
    let expected = [
        (ReportKind::Attached, "grumpy does not like it"),
        (ReportKind::Attached, "the hook panicked"),
        (ReportKind::Closed, "the hook panicked"),
        (ReportKind::Closed, "sulky slams the door"),
        (ReportKind::Closed, "the hook took longer than the close timeout"),
    ];
    assert_eq!(reports, expected.map(|(kind, error)| (kind, error.to_owned())));
    // Whoever's hook failed is gone all the same.
    let mut last = fixture.join("lobby", "last").await;
    check_answer(&mut last, "all", &json!({}), &json!(["last"])).await;
    fixture.end().await;
}
