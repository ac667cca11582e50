//! Who is told of messages and of what goes wrong: which hook it is, what it hears, and that it harms nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span;
use wirelark::auth::User;
use wirelark::contract::{Problem, Session};
use wirelark::hooks::{Hooks, Received, Report, ReportKind, Sent};
use wirelark::testing::{Client, Host};
use wirelark::{App, Kind, Options, SlowClient, Socket, contract, socket};

/// What was heard, in order.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn add(&self, line: impl fmt::Display) {
        self.0.lock().push(line.to_string());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }

    /// Hooks that write down everything, under a name.
    fn hooks(&self, name: &'static str) -> Hooks {
        let [received, sent, errors] = [self.clone(), self.clone(), self.clone()];
        Hooks::new()
            .on_received(move |it| received.add(format_args!("{name}: {}", describe_received(it))))
            .on_sent(move |it| sent.add(format_args!("{name}: {}", describe_sent(it))))
            .on_error(move |it| errors.add(format_args!("{name}: {}", describe_report(it))))
    }
}

fn describe_received(it: &Received<'_>) -> String {
    let Received { route, user, call, id, kind, bytes, .. } = it;
    format!("{route} received {kind:?} of {bytes} from {user:?}, {call:?} {id:?}")
}

fn describe_sent(it: &Sent<'_>) -> String {
    let Sent { route, user, name, id, kind, bytes, .. } = it;
    format!("{route} sent {kind:?} of {bytes} to {user:?}, {name:?} {id:?}")
}

fn describe_report(it: &Report<'_>) -> String {
    let Report { route, user, kind, call, id, error, .. } = it;
    format!("{route} {kind:?} of {user:?}, {call:?} {id:?}: {error}")
}

async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        match message.as_bytes() {
            b"fail" => return Err("as asked".into()),
            b"panic" => panic!("as asked"),
            _ => socket.send(message).await?,
        }
    }
    Ok(())
}

fn ada() -> User {
    User::new("ada").expect("a good id")
}

/// Sends a text to an echo and waits until it is back.
async fn say(client: &mut Client, text: &str) {
    client.send_text(text).await;
    assert_eq!(client.expect_text().await, text);
}

#[tokio::test(start_paused = true)]
async fn the_most_specific_hook_runs_and_no_other() {
    let heard = Heard::default();
    let only = |name| {
        let heard = heard.clone();
        Hooks::new().on_received(move |it| heard.add(format_args!("{name}: {}", describe_received(it))))
    };
    let app = App::new()
        .hooks(heard.hooks("app"))
        .socket("/plain", echo)
        .socket("/own", socket(echo).hooks(only("route")))
        .scope("/outer", |scope| {
            scope.hooks(only("outer")).socket("/plain", echo).scope("/inner", |scope| {
                let quiet = Hooks::new().no_sent();
                scope
                    .hooks(quiet)
                    .socket("/plain", echo)
                    .socket("/off", socket(echo).hooks(Hooks::new().no_received()))
            })
        });
    let host = Host::new(app);
    let app_sent = |path| format!("app: {path} sent Text of 2 to None, None None");
    let received = |who, path| format!("{who}: {path} received Text of 2 from None, None None");
    for (path, expected) in [
        ("/plain", vec![received("app", "/plain"), app_sent("/plain")]),
        ("/own", vec![received("route", "/own"), app_sent("/own")]),
        ("/outer/plain", vec![received("outer", "/outer/plain"), app_sent("/outer/plain")]),
        ("/outer/inner/plain", vec![received("outer", "/outer/inner/plain")]),
        ("/outer/inner/off", vec![]),
    ] {
        say(&mut host.at(path).connect().await, "hi").await;
        assert_eq!(heard.take(), expected);
    }
    let mut client = host.at("/outer/inner/off").connect().await;
    client.send_text("fail").await;
    client.expect_close(1011).await;
    assert_eq!(heard.take(), ["app: /outer/inner/off Handler of None, None None: as asked"]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_raw_sockets_hooks_hear_of_all_ways_to_receive_and_send() {
    use futures_util::{SinkExt, StreamExt};

    async fn every_way(mut socket: Socket) -> wirelark::Result {
        let message = socket.next().await.expect("a message");
        SinkExt::send(&mut socket, message).await?;
        socket.send_json(&[1]).await?;
        socket.sender().try_send(vec![0; 3])?;
        socket.ping("not told")?;
        let (_, mut receiver) = socket.split();
        receiver.recv().await;
        receiver.next().await;
        Ok(())
    }
    let heard = Heard::default();
    let host = Host::new(App::new().socket("/", every_way).hooks(heard.hooks("app")));
    let mut client = host.at("/").user(ada()).connect().await;
    client.send_text("one").await;
    client.send_bytes(vec![0; 4]).await;
    client.send_text("three").await;
    client.send_text("left unread").await;
    assert_eq!(client.expect_text().await, "one");
    assert_eq!(client.expect_text().await, "[1]");
    assert_eq!(client.expect_bytes().await.len(), 3);
    client.expect_ping().await;
    client.expect_close(1000).await;
    let expected = [
        "received Text of 3 from",
        "sent Text of 3 to",
        "sent Text of 3 to",
        "sent Binary of 3 to",
        "received Binary of 4 from",
        "received Text of 5 from",
    ];
    assert_eq!(heard.take(), expected.map(|line| format!("app: / {line} Some(\"ada\"), None None")));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_from_elsewhere_runs_the_receivers_hook() {
    async fn member(socket: Socket) -> wirelark::Result {
        socket.join("room")?;
        socket.keep_open();
        Ok(())
    }
    let heard = Heard::default();
    let app = App::new()
        .socket("/one", socket(member).hooks(heard.hooks("one")))
        .socket("/two", socket(member).hooks(heard.hooks("two")))
        .socket("/none", member);
    let host = Host::new(app);
    let mut clients = Vec::new();
    for path in ["/one", "/two", "/none"] {
        clients.push(host.at(path).user(ada()).connect().await);
    }
    let room = host.hub().room("room").expect("a name");
    while room.count() < 3 {
        host.advance(Duration::from_millis(1)).await;
    }
    let sent =
        |route: &str, bytes| format!("{route}: /{route} sent Text of {bytes} to Some(\"ada\"), None None");
    let [first, ..] = room.members().await[..] else { panic!("nobody is there") };

    // A burst, and one by one.
    tokio::join!(room.publish("a").counted(), room.publish("bb").counted());
    room.publish("ccc").except(first).counted().await;
    host.hub().broadcast("dddd").counted().await;
    host.hub().send_to(first, "eeeee").counted().await;
    let expected =
        [("one", 1), ("one", 2), ("two", 1), ("two", 2), ("two", 3), ("one", 4), ("two", 4), ("one", 5)];
    assert_eq!(heard.take(), expected.map(|(route, bytes)| sent(route, bytes)));
    for text in ["a", "bb", "ccc", "dddd"] {
        assert_eq!(clients[1].expect_text().await, text);
        assert_eq!(clients[2].expect_text().await, text);
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_queued_was_not_sent() {
    async fn flood(mut socket: Socket) -> wirelark::Result {
        while socket.recv().await.is_some() {
            for _ in 0..100 {
                socket.send("x".repeat(1_000)).await?;
            }
        }
        Ok(())
    }
    let heard = Heard::default();
    let options = Options::new().outbox_bytes(10_000).slow_client(SlowClient::DropNewest).no_heartbeat();
    let route = socket(flood).options(options).hooks(heard.hooks("flood").no_received());
    let host = Host::new(App::new().socket("/", route));
    let mut client = host.at("/").connect().await;
    client.stop_reading();
    for _ in 0..10 {
        client.send_text("").await;
    }
    host.advance(Duration::from_secs(1)).await;
    let dropped =
        host.counter(wirelark::metric_names::BACKPRESSURE, &[("route", "/"), ("outcome", "drop_newest")]);
    assert!(dropped > 0, "the client was behind");
    assert_eq!(heard.take().len() as u64, 1_000 - dropped);
    host.close().await;
}

#[contract]
trait Talk {
    async fn echo(&self, text: String) -> String;
    async fn refuse(&self) -> Result<(), Problem>;
    async fn fail(&self) -> wirelark::Result;
    async fn crash(&self);
    async fn push_to_me(&self);
    #[send]
    async fn nudge(&self);
    #[push]
    fn said(text: String);
}

struct Server(Heard);

impl TalkServer for Server {
    type Data = ();

    async fn echo(&self, _: Session<Talk, ()>, text: String) -> String {
        self.0.add("handler: echo");
        text
    }

    async fn refuse(&self, _: Session<Talk, ()>) -> Result<(), Problem> {
        Err(Problem::new("not today"))
    }

    async fn fail(&self, _: Session<Talk, ()>) -> wirelark::Result {
        Err("the disk is full".into())
    }

    async fn crash(&self, _: Session<Talk, ()>) {
        panic!("as asked");
    }

    async fn push_to_me(&self, session: Session<Talk, ()>) {
        session.push(Talk::said("to you".into())).await;
    }

    async fn nudge(&self, _: Session<Talk, ()>) {}
}

fn request(call: &str, body: &Value) -> String {
    format!(r#"{{"socka":"clientRequest","v":1,"id":"id of {call}","rpc":"{call}","body":{body}}}"#)
}

/// Sends a frame, and then a call whose answer tells that the frame was dealt with. What was heard of the frame, and
/// how long the frames were that came back for it.
async fn tell(client: &mut Client, heard: &Heard, frame: &str) -> (Vec<String>, Vec<usize>) {
    client.send_text(frame).await;
    client.send_text(&request("echo", &json!({"text": "mark"}))).await;
    let mut answers = Vec::new();
    loop {
        let answer = client.expect_text().await;
        if answer.contains("\"mark\"") {
            break;
        }
        answers.push(answer.len());
    }
    let mut lines = heard.take();
    let of_mark = |line: &String| line.contains("\"id of echo\"") || line == "handler: echo";
    lines.truncate(lines.iter().position(of_mark).expect("the mark"));
    (lines, answers)
}

#[tokio::test(start_paused = true)]
async fn calls_are_heard_before_and_answers_after() {
    let heard = Heard::default();
    let talk = Talk::serve(Server(heard.clone())).hooks(heard.hooks("talk"));
    let host = Host::new(App::new().contract("/talk", talk));
    let mut client = host.at("/talk").user(ada()).connect().await;

    let frame = request("echo", &json!({"text": "hi"}));
    client.send_text(&frame).await;
    let answer = client.expect_text().await;
    let about_echo = r#"Some("ada"), Some("echo") Some("id of echo")"#;
    assert_eq!(
        heard.take(),
        [
            format!("talk: /talk received Text of {} from {about_echo}", frame.len()),
            "handler: echo".to_owned(),
            format!("talk: /talk sent Text of {} to {about_echo}", answer.len()),
        ]
    );

    let about = |call: &str| format!(r#"Some("ada"), Some("{call}") Some("id of {call}")"#);
    for (call, kind, error) in [
        ("refuse", ReportKind::Problem, "not today"),
        ("fail", ReportKind::Handler, "the disk is full"),
        ("crash", ReportKind::Handler, "the handler panicked"),
    ] {
        let frame = request(call, &json!({}));
        let about = about(call);
        let (lines, answers) = tell(&mut client, &heard, &frame).await;
        let expected = [
            format!("talk: /talk received Text of {} from {about}", frame.len()),
            format!("talk: /talk {kind:?} of {about}: {error}"),
            format!("talk: /talk sent Text of {} to {about}", answers[0]),
        ];
        assert_eq!(lines, expected);
    }
    // Nothing comes back for a send, and a frame in another form is heard of once too.
    let nudge = format!(" {}", request("nudge", &json!({})));
    let expected = [format!("talk: /talk received Text of {} from {}", nudge.len(), about("nudge"))];
    assert_eq!(tell(&mut client, &heard, &nudge).await, (expected.into(), vec![]));

    let unknown = request("hunter2", &json!({}));
    let (lines, _) = tell(&mut client, &heard, &unknown).await;
    let about_unknown = r#"Some("ada"), None Some("id of hunter2")"#;
    assert_eq!(lines[0], format!("talk: /talk received Text of {} from {about_unknown}", unknown.len()));
    assert_eq!(lines[1], format!("talk: /talk Input of {about_unknown}: Unknown call: hunter2"));
    assert!(lines[2].ends_with(about_unknown) && lines.len() == 3, "{lines:?}");
    let wrong = request("echo", &json!({"text": 1})).replace("id of echo", "wrong");
    let (lines, _) = tell(&mut client, &heard, &wrong).await;
    let about_wrong = r#"Some("ada"), Some("echo") Some("wrong")"#;
    assert!(
        lines[0].ends_with(about_wrong) && lines[2].ends_with(about_wrong) && lines.len() == 3,
        "{lines:?}"
    );
    assert!(lines[1].starts_with(&format!("talk: /talk Input of {about_wrong}: ")), "{lines:?}");
    let (lines, _) = tell(&mut client, &heard, "{").await;
    let about_none = r#"Some("ada"), None None"#;
    let expected = [
        format!("talk: /talk received Text of 1 from {about_none}"),
        format!("talk: /talk Malformed of {about_none}: socka: invalid JSON"),
    ];
    assert_eq!(lines, expected);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn pushes_are_heard_by_name_and_in_the_receivers_format() {
    let heard = Heard::default();
    let talk = Talk::serve(Server(heard.clone())).hooks(heard.hooks("talk").no_received());
    let host = Host::new(App::new().contract("/talk", talk));
    let mut json = host.at("/talk").user(ada()).connect().await;
    tell(&mut json, &heard, &request("nudge", &json!({}))).await;
    let (mut lines, _) = tell(&mut json, &heard, &request("push_to_me", &json!({}))).await;
    let push = json!({"socka": "serverEvent", "v": 1, "event": "said", "body": {"text": "to you"}});
    let sent =
        |kind, bytes| format!(r#"talk: /talk sent {kind:?} of {bytes} to Some("ada"), Some("said") None"#);
    assert_eq!(lines.remove(0), sent(Kind::Text, push.to_string().len()));
    assert_eq!(lines.len(), 1, "and the answer: {lines:?}");

    let mut msgpack = host.at("/talk").user(ada()).protocols(["wirelark.v1.msgpack"]).connect().await;
    let pushes = host.hub().contract::<Talk>();
    let room = pushes.room("/talk").expect("a name");
    while room.count() < 2 {
        host.advance(Duration::from_millis(1)).await;
    }
    room.push(Talk::said("to you".into())).await;
    pushes.user("ada").push(Talk::said("to you".into())).await;
    let packed = msgpack.expect_bytes().await;
    let both = [sent(Kind::Text, push.to_string().len()), sent(Kind::Binary, packed.len())];
    assert_eq!(heard.take(), [both.clone(), both].concat());
    assert_eq!(json.expect_json::<Value>().await, push);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_room_is_heard_once_it_is_queued() {
    let heard = Heard::default();
    let talk = Talk::serve(Server(heard.clone()))
        .hooks(heard.hooks("talk").no_received())
        .options(Options::new().outbox_bytes(4_000).no_heartbeat());
    let host = Host::new(App::new().contract("/talk", talk));
    let mut client = host.at("/talk").connect().await;
    client.stop_reading();
    for _ in 0..100 {
        client.send_text(&request("echo", &json!({"text": "x".repeat(3_000)}))).await;
    }
    host.advance(Duration::from_secs(1)).await;
    let begun = |lines: &[String]| lines.iter().filter(|line| *line == "handler: echo").count();
    let lines = heard.take();
    assert_eq!(begun(&lines) * 2 - 1, lines.len(), "the last one waits");
    assert!(begun(&lines) < 100, "the client was behind");
    client.resume_reading();
    for _ in 0..100 {
        client.expect_text().await;
    }
    let rest = heard.take();
    assert_eq!(lines.len() + rest.len(), 200, "each call and each answer once");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_suppresses_no_reply() {
    let hooks = Hooks::new()
        .on_received(|_| panic!("on received"))
        .on_sent(|_| panic!("on sent"))
        .on_error(|_| panic!("on error"));
    let talk = Talk::serve(Server(Heard::default()));
    let host = Host::new(App::new().hooks(hooks).contract("/talk", talk).socket("/echo", echo));
    let mut client = host.at("/talk").connect().await;
    for (call, body, key) in [
        ("echo", json!({"text": "hi"}), "body"),
        ("echo", json!({"text": 1}), "error"),
        ("fail", json!({}), "error"),
        ("nothing", json!({}), "error"),
    ] {
        client.send_text(&request(call, &body)).await;
        assert!(client.expect_json::<Value>().await.get(key).is_some(), "{call} {body}");
    }
    client.send_text("{").await;
    host.hub().contract::<Talk>().everyone(Talk::said("still there".into())).await;
    assert_eq!(client.expect_json::<Value>().await["event"], "said");

    let mut client = host.at("/echo").connect().await;
    say(&mut client, "hi").await;
    client.send_text("panic").await;
    client.expect_close(1011).await;
    host.close().await;
}

/// Keeps every event of our hooks as text.
struct Capture(Heard);

impl tracing::Subscriber for Capture {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target() == "wirelark::hooks" {
            let mut line = Line(format!("{}", event.metadata().level()));
            event.record(&mut line);
            self.0.add(line.0);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !matches!(field.name(), "connection" | "reference") {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_logs_what_came_and_what_went_wrong_and_no_body() {
    let heard = Heard::default();
    let _logging = tracing::subscriber::set_default(Capture(heard.clone()));
    let app = App::new()
        .contract("/talk", Talk::serve(Server(Heard::default())))
        .contract("/off", Talk::serve(Server(Heard::default())).hooks(Hooks::new().no_received().no_error()))
        .socket("/loud", socket(echo).hooks(Hooks::new().no_received().on_sent(|sent| sent.log())))
        .socket("/echo", echo);
    let host = Host::new(app);
    let mut off = host.at("/off").user(ada()).connect().await;
    let mut client = host.at("/talk").user(ada()).connect().await;
    for client in [&mut off, &mut client] {
        for (call, body) in
            [("echo", json!({"text": "secret"})), ("echo", json!({"secret": 1})), ("fail", json!({}))]
        {
            client.send_text(&request(call, &body)).await;
            client.expect_text().await;
        }
        let long = request("secret", &json!({})).replace("id of secret", &"secret".repeat(100));
        client.send_text(&long).await;
        client.expect_text().await;
        client.send_text(r#"{"socka":"secret","v":1}"#).await;
        client.send_ping("").await;
        client.expect_pong().await;
    }
    let mut client = host.at("/echo").user(ada()).connect().await;
    client.send_text("panic").await;
    client.expect_close(1011).await;
    say(&mut host.at("/loud").connect().await, "secret").await;

    let lines = heard.take();
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
    let received = |call: &str, body: Value| {
        let bytes = request(call, &body).len();
        format!(
            r#"DEBUG message=received route="/talk" user="ada" call="{call}" id="id of {call}" kind=Text bytes={bytes}"#
        )
    };
    let on_talk = |line: &str| line.replace("ROUTE", r#"route="/talk" user="ada""#);
    let expected = [
        received("echo", json!({"text": "secret"})),
        received("echo", json!({"secret": 1})),
        on_talk(r#"DEBUG message=refused a message ROUTE call="echo" id="id of echo" kind=Input"#),
        received("fail", json!({})),
        on_talk(r#"ERROR message=Handler failed ROUTE call="fail" id="id of fail" error=the disk is full"#),
        // Neither the name of a call that does not exist, nor an id as long as a message.
        on_talk("DEBUG message=received ROUTE kind=Text bytes=664"),
        on_talk("DEBUG message=refused a message ROUTE kind=Input"),
        on_talk("DEBUG message=received ROUTE kind=Text bytes=24"),
        on_talk("DEBUG message=refused a message ROUTE kind=Malformed"),
        r#"DEBUG message=received route="/echo" user="ada" kind=Text bytes=5"#.to_owned(),
        r#"ERROR message=Handler failed route="/echo" user="ada" error=the handler panicked: as asked"#
            .to_owned(),
        r#"DEBUG message=sent route="/loud" kind=Text bytes=6"#.to_owned(),
    ];
    assert_eq!(lines, expected);
    host.close().await;
}
