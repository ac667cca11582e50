//! The messages style: what handlers are given, what their clients are told, and what is left between two messages.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wirelark::auth::User;
use wirelark::axum::Json;
use wirelark::axum::body::Bytes;
use wirelark::axum::extract::{Path, Query, State};
use wirelark::contract::Problem;
use wirelark::messages::{
    Connection, IntoReply, MessagesError, RequestId, guarded, limited, messages, on, on_field, push_only,
};
use wirelark::testing::{Client, ClientEvent, Host};
use wirelark::{App, BuildError, Hooks, Hub, Message, Options, Rate, Text, metric_names};

fn user(id: &str) -> User {
    User::new(id).expect("a valid id")
}

async fn check(client: &mut Client, message: &Value, expected: &Value) {
    client.send_json(message).await;
    assert_eq!(client.expect_json::<Value>().await, *expected, "{message}");
}

/// The error a message is answered with.
async fn error(client: &mut Client, message: &str) -> String {
    client.send_text(message).await;
    let answer = client.expect_json::<Value>().await;
    answer["error"].as_str().unwrap_or_else(|| panic!("{message} is answered with {answer}")).to_owned()
}

#[derive(Deserialize, Serialize)]
struct Note {
    text: String,
}

async fn shout(Json(note): Json<Note>) -> Json<Note> {
    Json(Note { text: note.text.to_uppercase() })
}

#[tokio::test(start_paused = true)]
async fn a_handler_gets_what_it_asks_for() {
    #[derive(Clone, Deserialize)]
    struct Asked {
        lang: String,
    }
    #[expect(clippy::too_many_arguments, reason = "as many as a handler may have")]
    async fn everything(
        Json(note): Json<Note>,
        user: User,
        Path(room): Path<String>,
        Query(asked): Query<Asked>,
        State(app): State<&'static str>,
        connection: Connection,
        id: RequestId,
        hub: Hub,
    ) -> Json<Value> {
        assert_eq!(id.connection(), connection.id());
        let number = id.to_string().rsplit('-').next().map(str::to_owned);
        Json(json!([note.text, user.id(), room, asked.lang, app, number, hub.user("ada").devices()]))
    }
    let host = Host::new(App::with_state("notes").messages("/notes/{room}", everything));
    let mut ada = host.at("/notes/lobby?lang=en").user(user("ada")).connect().await;
    for number in ["1", "2"] {
        let expected = json!(["hi", "ada", "lobby", "en", "notes", number, 1]);
        check(&mut ada, &json!({"text": "hi"}), &expected).await;
    }
    // What is kept of the request is looked at before the 101.
    host.at("/notes/lobby").user(user("ada")).expect_rejected(400).await;
    let mut nobody = host.at("/notes/lobby?lang=en").connect().await;
    assert_eq!(error(&mut nobody, r#"{"text":"hi"}"#).await, "sign in first");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_may_be_looked_at_more_than_once() {
    async fn sizes(
        bytes: Bytes,
        text: Text,
        string: String,
        Json(note): Json<Note>,
        message: Message,
    ) -> Json<Value> {
        Json(json!([bytes.len(), text.len(), string.len(), note.text, message.len()]))
    }
    let host = Host::new(App::new().messages("/", sizes));
    let mut client = host.at("/").connect().await;
    check(&mut client, &json!({"text": "hi"}), &json!([13, 13, 13, "hi", 13])).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_type_says_whether_text_or_bytes_are_taken() {
    async fn reversed(bytes: Bytes) -> Vec<u8> {
        bytes.iter().rev().copied().collect()
    }
    async fn upper(text: String) -> String {
        text.to_uppercase()
    }
    let app = App::new().messages("/bytes", reversed).messages("/text", upper).messages("/json", shout);
    let host = Host::new(app);
    let mut bytes = host.at("/bytes").connect().await;
    bytes.send_bytes(vec![1, 2, 3]).await;
    assert_eq!(bytes.expect_bytes().await, [3, 2, 1][..]);
    bytes.send_text("abc").await;
    assert_eq!(bytes.expect_bytes().await, b"cba"[..]);
    let mut text = host.at("/text").connect().await;
    text.send_text("grüße").await;
    assert_eq!(text.expect_text().await, "GRÜSSE");
    text.send_bytes(vec![0xff]).await;
    let told: Value = text.expect_json().await;
    assert_eq!(told, json!({"error": "this route takes text; send a text message", "code": "BAD_MESSAGE"}));
    let mut json = host.at("/json").connect().await;
    json.send_bytes(br#"{"text":"hi"}"#.as_slice()).await;
    assert_eq!(
        json.expect_json::<Value>().await,
        json!({"text": "HI"}),
        "JSON is JSON in binary messages too"
    );
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_is_answered_and_the_connection_stays() {
    let host = Host::new(App::new().messages("/", shout));
    let mut client = host.at("/").connect().await;
    for (message, expected) in [
        ("", "the message is no JSON"),
        ("{", "the message is no JSON"),
        ("[]", "unexpected message"),
        (r#"{"text":1}"#, "unexpected message"),
        (r#"{"text":"a"} x"#, "the message is no JSON"),
    ] {
        let told = error(&mut client, message).await;
        assert!(told.starts_with(expected), "{message} is answered with {told:?}");
    }
    client.send_bytes(vec![0xff, 0xfe]).await;
    assert_eq!(client.expect_json::<Value>().await["code"], "BAD_MESSAGE");
    check(&mut client, &json!({"text": "on"}), &json!({"text": "ON"})).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_told_in_the_words_that_were_meant_for_the_client() {
    async fn any(text: String) -> Result<String, Problem> {
        match &*text {
            "typed" => Err(Problem::new("not now").code("LATER").data(json!({"in": 5}))),
            "panic" => panic!("a secret"),
            "never" => std::future::pending().await,
            _ => Ok(text),
        }
    }
    async fn internal(text: String) -> wirelark::Result<String> {
        if text == "fail" { Err("a secret".into()) } else { Ok(text) }
    }
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    let hooks = Hooks::new().on_error(move |it| keep.lock().push(format!("{:?} {}", it.kind, it.error)));
    let host = Host::new(
        App::new()
            .hooks(hooks)
            .messages("/any", messages(any).timeout(Duration::from_secs(2)))
            .messages("/internal", internal),
    );
    let mut client = host.at("/any").connect().await;
    client.send_text("typed").await;
    assert_eq!(client.expect_text().await, r#"{"error":"not now","code":"LATER","data":{"in":5}}"#);
    for _ in 0..2 {
        client.send_text("panic").await;
        let told: Value = client.expect_json().await;
        assert_eq!((&told["error"], &told["code"]), (&json!("internal error"), &json!("INTERNAL")));
        assert!(told["data"]["reference"].is_string(), "{told}");
    }
    assert_eq!(error(&mut client, "never").await, "the call took too long");
    let mut other = host.at("/internal").connect().await;
    assert_eq!(error(&mut other, "fail").await, "internal error");
    client.send_text("on").await;
    assert_eq!(client.expect_text().await, "on");
    assert_eq!(
        *heard.lock(),
        [
            "Problem not now",
            "Handler the handler panicked",
            "Handler the handler panicked",
            "Timeout the call timed out",
            "Handler a secret",
        ]
    );
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn replies_are_what_handlers_return() {
    async fn sent(host: &Host, path: &str) -> Option<Message> {
        let mut client = host.at(path).connect().await;
        client.send_text("x").await;
        client.send_text("end").await;
        let ClientEvent::Message(first) = client.next().await else { panic!("{path} is not answered") };
        (first != Message::from("end")).then_some(first)
    }
    fn answering<R: IntoReply + Send + 'static>(
        reply: impl Fn() -> R + Clone + Send + Sync + 'static,
    ) -> impl Fn(String, Connection) -> std::pin::Pin<Box<dyn Future<Output = Option<R>> + Send>>
    + Send
    + Sync
    + 'static {
        move |text, connection| {
            let reply = reply.clone();
            Box::pin(async move {
                if text == "end" {
                    let _ = connection.send("end").await;
                    return None;
                }
                Some(reply())
            })
        }
    }
    let app = App::new()
        .messages("/unit", answering(|| ()))
        .messages("/text", answering(|| "text"))
        .messages("/bytes", answering(|| Bytes::from_static(b"bytes")))
        .messages("/json", answering(|| Json(json!({"a": [1]}))))
        .messages("/none", answering(|| None::<String>))
        .messages("/ok", answering(|| Ok::<_, Problem>(Some("some"))));
    let host = Host::new(app);
    for (path, expected) in [
        ("/unit", None),
        ("/text", Some(Message::from("text"))),
        ("/bytes", Some(Message::from(b"bytes".to_vec()))),
        ("/json", Some(Message::from(r#"{"a":[1]}"#))),
        ("/none", None),
        ("/ok", Some(Message::from("some"))),
    ] {
        assert_eq!(sent(&host, path).await, expected, "{path}");
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn several_handlers_share_a_socket() {
    async fn add(Json(numbers): Json<Value>) -> Json<Value> {
        Json(json!({"sum": numbers["a"].as_i64().unwrap_or(0) + numbers["b"].as_i64().unwrap_or(0)}))
    }
    async fn path(Path(room): Path<String>) -> String {
        room
    }
    async fn rest(Json(rest): Json<Value>) -> Json<Value> {
        Json(json!({"rest": rest}))
    }
    let strict = on("add", add).on("path", path);
    let lenient = on_field("op").on("add", add).otherwise(rest);
    let host = Host::new(App::new().messages("/strict/{room}", strict).messages("/lenient", lenient));
    let mut client = host.at("/strict/lobby").connect().await;
    check(&mut client, &json!({"a": 1, "type": "add", "b": 2}), &json!({"sum": 3})).await;
    client.send_json(&json!({"type": "path"})).await;
    assert_eq!(client.expect_text().await, "lobby");
    for (message, expected) in [
        (r#"{"type":"none"}"#, "nothing handles type \"none\""),
        (r#"{"type":1}"#, "the message has no text in its field \"type\""),
        ("{}", "the message has no text in its field \"type\""),
    ] {
        assert_eq!(error(&mut client, message).await, expected, "{message}");
    }
    assert!(error(&mut client, r#"{"type":"add","type":"path"}"#).await.contains("twice"));
    assert!(error(&mut client, "[]").await.starts_with("unexpected message"));
    let mut lenient = host.at("/lenient").connect().await;
    check(&mut lenient, &json!({"op": "add", "a": 2}), &json!({"sum": 2})).await;
    check(&mut lenient, &json!({"op": "else"}), &json!({"rest": {"op": "else"}})).await;
    check(&mut lenient, &json!({}), &json!({"rest": {}})).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn events_may_lie_in_events() {
    async fn ban() -> &'static str {
        "banned"
    }
    async fn kick() -> &'static str {
        "kicked"
    }
    let admin = on_field("op").on("ban", ban).on("kick", kick);
    let host = Host::new(App::new().messages("/", on("admin", guarded(admin).require_role("admin"))));
    let mut ada = host.at("/").user(user("ada").roles(["admin"])).connect().await;
    for (op, expected) in [("kick", "kicked"), ("ban", "banned")] {
        ada.send_json(&json!({"type": "admin", "op": op})).await;
        assert_eq!(ada.expect_text().await, expected);
    }
    assert_eq!(error(&mut ada, r#"{"type":"admin","op":"x"}"#).await, "nothing handles op \"x\"");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn messages_are_handled_one_after_the_other_unless_more_may_run() {
    async fn sleep(Json(ms): Json<u64>) -> Json<u64> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Json(ms)
    }
    let two = NonZeroUsize::new(2).expect("not zero");
    let host =
        Host::new(App::new().messages("/one", sleep).messages("/two", messages(sleep).concurrency(two)));
    for (path, expected) in [("/one", [300, 100, 1]), ("/two", [100, 1, 300])] {
        let mut client = host.at(path).connect().await;
        for ms in [300, 100, 1] {
            client.send_json(&ms).await;
        }
        for ms in expected {
            assert_eq!(client.expect_json::<u64>().await, ms, "{path}");
        }
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_fires_when_its_message_is_over() {
    let tokens = Arc::new(Mutex::new(Vec::<CancellationToken>::new()));
    let keep = Arc::clone(&tokens);
    let handler = move |text: String, token: CancellationToken| {
        keep.lock().push(token.clone());
        async move {
            match &*text {
                "wait" => token.cancelled().await,
                "never" => std::future::pending().await,
                _ => assert!(!token.is_cancelled()),
            }
            text
        }
    };
    let host = Host::new(App::new().messages("/", messages(handler).timeout(Duration::from_secs(1))));
    let last = || tokens.lock().last().expect("a message was handled").clone();
    let mut client = host.at("/").connect().await;
    client.send_text("done").await;
    client.expect_text().await;
    assert!(last().is_cancelled(), "it was answered");
    client.send_text("never").await;
    assert!(client.expect_text().await.contains("too long"));
    assert!(last().is_cancelled(), "its time was over");
    client.send_text("wait").await;
    host.advance(Duration::from_millis(10)).await;
    assert!(!last().is_cancelled());
    client.close(1000, "").await;
    host.advance(Duration::from_millis(10)).await;
    assert!(last().is_cancelled(), "its client has gone");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn hooks_run_before_the_first_message_and_after_the_last() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&log);
    let attached = async |Path(room): Path<String>, connection: Connection| {
        connection.join("everybody")?;
        Ok::<_, wirelark::Error>(format!("welcome to {room}"))
    };
    let closed = move |Path(room): Path<String>, hub: Hub| {
        let keep = Arc::clone(&keep);
        async move {
            keep.lock().push((room, hub.room("everybody").map(|room| room.count()).unwrap_or_default()));
        }
    };
    let host = Host::new(App::new().messages("/{room}", messages(shout).attached(attached).closed(closed)));
    let mut client = host.at("/lobby").connect().await;
    client.send_json(&json!({"text": "early"})).await;
    assert_eq!(client.expect_text().await, "welcome to lobby");
    assert_eq!(client.expect_json::<Value>().await, json!({"text": "EARLY"}));
    assert_eq!(host.hub().room("everybody").expect("a name").count(), 1);
    client.close(1000, "").await;
    host.advance(Duration::from_millis(10)).await;
    assert_eq!(*log.lock(), [("lobby".to_owned(), 1)], "while it is still in its rooms");
    assert_eq!(host.hub().room_count(), 0);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_is_reported_and_the_messages_go_on() {
    let attached = async || -> wirelark::Result { panic!("as asked") };
    let closed = async |Json(_): Json<Value>| {};
    let host = Host::new(App::new().messages("/", messages(shout).attached(attached).closed(closed)));
    let mut client = host.at("/").connect().await;
    assert_eq!(client.expect_json::<Value>().await["error"], "internal error");
    check(&mut client, &json!({"text": "on"}), &json!({"text": "ON"})).await;
    client.close(1000, "").await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_is_told_so_and_the_handler_does_not_run() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let remove = move |Json(_): Json<Value>| {
        count.fetch_add(1, SeqCst);
        async { "removed" }
    };
    let own = |asked: &wirelark::Asked<'_>| {
        assert_eq!((asked.name(), asked.contract()), ("remove", None));
        let owner = asked.data::<Value>().and_then(|data| data["owner"].as_str().map(str::to_owned));
        assert_ne!(owner.as_deref(), Some("panic"));
        owner.as_deref() == asked.user().map(User::id)
    };
    let app = App::new().messages("/", on("remove", guarded(remove).require_scope("write").policy(own)));
    let host = Host::new(app);
    let of = |owner: &str| json!({"type": "remove", "owner": owner});
    let mut nobody = host.at("/").connect().await;
    check(&mut nobody, &of("ada"), &json!({"error": "remove: sign in first", "code": "UNAUTHORIZED"})).await;
    let mut ada = host.at("/").user(user("ada")).connect().await;
    let lacks = json!({"error": "remove: the user lacks the scope \"write\"", "code": "FORBIDDEN"});
    check(&mut ada, &of("ada"), &lacks).await;
    let mut writer = host.at("/").user(user("ada").scopes(["write"])).connect().await;
    check(&mut writer, &of("bob"), &json!({"error": "remove: not allowed", "code": "FORBIDDEN"})).await;
    check(&mut writer, &of("panic"), &json!({"error": "internal error", "code": "INTERNAL"})).await;
    assert_eq!(runs.load(SeqCst), 0);
    writer.send_json(&of("ada")).await;
    assert_eq!(writer.expect_text().await, "removed");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_goes_to_the_connection_and_a_push_to_all_devices() {
    async fn mirror(Json(asked): Json<Value>, connection: Connection) -> Result<&'static str, Problem> {
        let named: Option<Vec<String>> = serde_json::from_value(asked["to"].clone()).ok();
        let recipients =
            connection.recipients(named.as_deref()).map_err(|error| Problem::new(error.to_string()))?;
        recipients.push(asked["say"].to_string()).except(&connection).await;
        Ok("done")
    }
    let app = App::new().messages("/", mirror).messages("/silent", push_only());
    let host = Host::new(app);
    let mut ada = host.at("/").user(user("ada")).connect().await;
    let mut tablet = host.at("/silent").user(user("ada")).connect().await;
    let mut bob = host.at("/silent").user(user("bob")).connect().await;
    ada.send_json(&json!({"say": "mine"})).await;
    assert_eq!(tablet.expect_text().await, "\"mine\"");
    assert_eq!(ada.expect_text().await, "done");
    ada.send_json(&json!({"to": ["bob", "bob", "eve"], "say": "yours"})).await;
    assert_eq!(bob.expect_text().await, "\"yours\"");
    assert_eq!(ada.expect_text().await, "done");
    let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    let told = error(&mut ada, &json!({"to": many, "say": ""}).to_string()).await;
    assert!(told.contains("more than 100 users"), "{told}");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn hooks_hear_of_messages_and_replies_with_event_user_and_id() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let [received, sent] = [Arc::clone(&heard), Arc::clone(&heard)];
    let number = |id: Option<&str>| id.and_then(|id| id.rsplit('-').next()).map(str::to_owned);
    let hooks = Hooks::new()
        .on_received(move |it| {
            received.lock().push(format!("in {:?} {:?} {:?}", it.call, it.user, number(it.id)));
        })
        .on_sent(move |it| sent.lock().push(format!("out {:?} {:?} {:?}", it.name, it.user, number(it.id))));
    let events = on("shout", shout).on("quiet", async || {});
    let host = Host::new(App::new().messages("/", messages(events).hooks(hooks)));
    let mut ada = host.at("/").user(user("ada")).connect().await;
    check(&mut ada, &json!({"type": "shout", "text": "a"}), &json!({"text": "A"})).await;
    ada.send_json(&json!({"type": "quiet"})).await;
    assert_eq!(error(&mut ada, r#"{"type":"?"}"#).await, "nothing handles type \"?\"");
    host.hub().user("ada").push("pushed").await;
    ada.expect_text().await;
    assert_eq!(
        *heard.lock(),
        [
            r#"in Some("shout") Some("ada") Some("1")"#,
            r#"out Some("shout") Some("ada") Some("1")"#,
            r#"in Some("quiet") Some("ada") Some("2")"#,
            r#"in None Some("ada") Some("3")"#,
            r#"out None Some("ada") Some("3")"#,
            r#"out None Some("ada") None"#,
        ]
    );
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_push_only_clients_send_is_counted_and_ignored() {
    let host = Host::new(App::new().messages("/silent", push_only()));
    let mut client = host.at("/silent").user(user("ada")).connect().await;
    for _ in 0..3 {
        client.send_text("hello?").await;
    }
    host.advance(Duration::from_millis(10)).await;
    host.hub().user("ada").push("only this").await;
    assert_eq!(client.expect_text().await, "only this");
    let received = host.counter(metric_names::MESSAGES_IN, &[("route", "/silent"), ("kind", "text")]);
    assert_eq!(received, 3);
    client.close(1000, "").await;
    client.expect_close(1000).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_end_is_answered_before_the_end() {
    let host = Host::new(App::new().messages("/", shout));
    let mut client = host.at("/").connect().await;
    for n in 0..100 {
        client.send_json(&json!({"text": format!("n{n}")})).await;
    }
    client.close(1000, "").await;
    for n in 0..100 {
        assert_eq!(client.expect_json::<Value>().await, json!({"text": format!("N{n}")}));
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_often_is_answered_and_not_handled() {
    async fn say() -> &'static str {
        "said"
    }
    let by_handler = on("say", limited(Rate::per_second(2), say)).on("free", say);
    let by_connection = messages(say).options(Options::new().message_rate(Rate::per_second(2)));
    let host = Host::new(App::new().messages("/handler", by_handler).messages("/connection", by_connection));
    for path in ["/handler", "/connection"] {
        let mut client = host.at(path).connect().await;
        let mut other = host.at(path).connect().await;
        for _ in 0..2 {
            client.send_text(r#"{"type":"say"}"#).await;
            assert_eq!(client.expect_text().await, "said", "{path}");
        }
        client.send_text(r#"{"type":"say"}"#).await;
        let told: Value = client.expect_json().await;
        assert_eq!(told["code"], "RATE_LIMITED", "{path}");
        let wait = told["data"]["retry_after_ms"].as_u64().expect("a number");
        assert!((1..=500).contains(&wait), "{path}: {wait}");
        other.send_text(r#"{"type":"say"}"#).await;
        assert_eq!(other.expect_text().await, "said", "{path}: others are not affected");
        host.advance(Duration::from_millis(wait)).await;
        client.send_text(r#"{"type":"say"}"#).await;
        assert_eq!(client.expect_text().await, "said", "{path}");
        assert_eq!(host.counter(metric_names::RATE_LIMITED, &[("route", path)]), 1);
    }
    let mut client = host.at("/handler").connect().await;
    for _ in 0..10 {
        client.send_text(r#"{"type":"free"}"#).await;
        assert_eq!(client.expect_text().await, "said");
    }
    host.close().await;
}

#[test]
fn impossible_routes_say_what_to_write() {
    async fn nothing() {}
    fn check(app: App, expected: &MessagesError) {
        let error = app.build().expect_err("it cannot be built");
        assert!(matches!(&error, BuildError::Messages { error, .. } if error == expected), "{error}");
    }
    for timeout in [Duration::from_millis(999), Duration::from_millis(30_001), Duration::ZERO] {
        check(App::new().messages("/", messages(nothing).timeout(timeout)), &MessagesError::Timeout(timeout));
    }
    check(
        App::new().messages("/", on("a", nothing).on("b", nothing).on("a", nothing)),
        &MessagesError::Event("a"),
    );
    check(App::new().messages("/", on("", nothing)), &MessagesError::Unnamed);
    // Wherever it stands.
    let never = || limited(Rate::per_second(0), nothing);
    for app in [
        App::new().messages("/", never()),
        App::new().messages("/", on("a", never())),
        App::new().messages("/", on("a", nothing).otherwise(guarded(never()))),
        App::new().messages("/", messages(nothing).attached(never())),
    ] {
        let error = app.build().expect_err("it cannot be built").to_string();
        assert!(error.contains("rate"), "{error}");
    }
    let twice = App::new().messages("/", nothing).messages("/", nothing).build();
    assert!(matches!(twice, Err(BuildError::Duplicate(_))));
}
