//! The fixed routes, as clients see them: over memory, TCP and TLS alike.

mod ways;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wirelark::testing::{ClientEvent, Host};
use wirelark::{CompressionOptions, Message};

use crate::ways::{ada, each_way, token, token_signed};

each_way! {
    conformance::app();
    echo_returns_every_kind_of_message,
    echo_takes_messages_of_sixty_four_mib_and_no_more,
    echo_compresses_when_offered,
    echo_chooses_its_protocol_when_offered,
    fragments_are_put_together_and_pings_answered_between_them,
    a_violation_is_answered_with_its_code,
    what_came_before_the_end_is_answered_before_the_end,
    bounded_refuses_a_message_from_its_header_alone,
    strict_checks_origin_and_protocol,
    foreign_pages_are_refused_by_default,
    closes_are_echoed,
    every_way_a_handler_can_end,
    a_refusal_is_any_http_response,
    secure_takes_a_token_from_four_places,
    secure_refuses_with_401_and_403,
    secure_ends_with_its_token_unless_that_is_renewed,
    first_takes_a_token_and_nothing_before_it,
    first_closes_who_does_not_sign_in,
    everybody_in_a_room_gets_everything_in_one_order,
    rooms_do_not_leak_and_are_freed,
    the_derived_path_answers,
    unknown_paths_and_wrong_methods,
}

async fn echo_returns_every_kind_of_message(host: Host) {
    let mut client = host.at("/echo").connect().await;
    for text in ["", "a", "grüße, 世界 🌍", &"x".repeat(125), &"x".repeat(126), &"x".repeat(70_000)] {
        client.send_text(text).await;
        assert_eq!(client.expect_text().await, text);
    }
    for size in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
        client.send_bytes(bytes.clone()).await;
        assert_eq!(client.expect_bytes().await, bytes);
    }
    for number in 0..1_000 {
        client.send_text(&number.to_string()).await;
    }
    for number in 0..1_000 {
        assert_eq!(client.expect_text().await, number.to_string());
    }
    client.send_ping("hello").await;
    assert_eq!(client.expect_pong().await, "hello");
    client.close(1000, "").await;
    client.expect_close(1000).await;
    host.close().await;
}

async fn echo_takes_messages_of_sixty_four_mib_and_no_more(host: Host) {
    let mut client = host.at("/echo").timeout(Duration::from_secs(60)).connect().await;
    // One fragmented megabyte stands for the size; the limit itself is checked from a header.
    let megabyte = vec![1; 1 << 20];
    client.send_bytes(megabyte.clone()).await;
    assert_eq!(client.expect_bytes().await, megabyte);
    let mut header = vec![0x82, 0xFF];
    header.extend_from_slice(&(64_u64 * 1024 * 1024 + 1).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    client.send_raw(header).await;
    client.expect_close(1009).await;
    host.close().await;
}

async fn echo_compresses_when_offered(host: Host) {
    let mut client = host.at("/echo").compression(CompressionOptions::default()).connect().await;
    assert!(client.is_compressed());
    let text = "all work and no play ".repeat(500);
    for _ in 0..3 {
        client.send_text(&text).await;
        assert_eq!(client.expect_text().await, text);
    }
    let mut plain = host.at("/bounded").compression(CompressionOptions::default()).connect().await;
    assert!(!plain.is_compressed(), "compression is off unless a route asks for it");
    plain.send_text("plain").await;
    assert_eq!(plain.expect_text().await, "plain");
    host.close().await;
}

async fn echo_chooses_its_protocol_when_offered(host: Host) {
    assert_eq!(host.at("/echo").connect().await.protocol(), "");
    assert_eq!(host.at("/echo").protocols(["other", "echo"]).connect().await.protocol(), "echo");
    assert_eq!(host.at("/echo").protocols(["other"]).connect().await.protocol(), "");
    host.close().await;
}

/// A frame of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

async fn fragments_are_put_together_and_pings_answered_between_them(host: Host) {
    let mut client = host.at("/echo").connect().await;
    client.send_raw(frame(0x01, b"one ")).await;
    client.send_raw(frame(0x89, b"between")).await;
    assert_eq!(client.expect_pong().await, "between");
    client.send_raw(frame(0x00, b"two ")).await;
    client.send_raw(frame(0x00, b"")).await;
    client.send_raw(frame(0x80, b"three")).await;
    assert_eq!(client.expect_text().await, "one two three");
    host.close().await;
}

async fn a_violation_is_answered_with_its_code(host: Host) {
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("reserved bit", frame(0xC1, b"x"), 1002),
        ("reserved opcode", frame(0x83, b"x"), 1002),
        ("reserved control opcode", frame(0x8B, b"x"), 1002),
        ("no mask", vec![0x81, 0x01, b'x'], 1002),
        ("fragmented ping", frame(0x09, b"x"), 1002),
        ("long ping", vec![0x89, 0xFE, 0, 126, 0, 0, 0, 0], 1002),
        ("continuation of nothing", frame(0x80, b"x"), 1002),
        ("a message inside a message", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        ("length not minimal", vec![0x81, 0xFE, 0, 5, 0, 0, 0, 0], 1002),
        ("length with the top bit", [&[0x82, 0xFF, 0x80][..], &[0; 11]].concat(), 1002),
        ("close of one byte", frame(0x88, b"x"), 1002),
        ("close code 1005", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        ("close code 999", frame(0x88, &999_u16.to_be_bytes()), 1002),
        ("close reason not UTF-8", frame(0x88, &[0x03, 0xE8, 0xFF]), 1007),
        ("text not UTF-8", frame(0x81, &[0xC3, 0x28]), 1007),
        ("text not UTF-8, unfinished frame", vec![0x81, 0xFE, 0x7F, 0xFF, 0, 0, 0, 0, b'a', 0xFF], 1007),
    ];
    for (name, bytes, code) in cases {
        let mut client = host.at("/bounded").connect().await;
        client.send_raw(bytes.clone()).await;
        match client.next().await {
            ClientEvent::Close(Some(close)) => assert_eq!(u16::from(close.code), *code, "{name}"),
            other => panic!("{name}: expected a close with {code}, got {other:?}"),
        }
        assert_eq!(client.next().await, ClientEvent::End, "{name}");
    }
    let mut honest = host.at("/bounded").connect().await;
    honest.send_text("next").await;
    assert_eq!(honest.expect_text().await, "next");
    host.close().await;
}

async fn what_came_before_the_end_is_answered_before_the_end(host: Host) {
    // All in one piece, so that the server reads the end together with what came before it.
    let mut client = host.at("/bounded").connect().await;
    client.send_raw([frame(0x81, b"one"), frame(0x81, b"two"), frame(0x83, b"x")].concat()).await;
    assert_eq!((client.expect_text().await, client.expect_text().await), ("one".into(), "two".into()));
    client.expect_close(1002).await;

    let mut client = host.at("/bounded").connect().await;
    let pings = (0..10).map(|number| frame(0x89, &[b'0' + number]));
    let all = pings.chain([frame(0x81, b"last words"), frame(0x88, &4000_u16.to_be_bytes())]);
    client.send_raw(all.collect::<Vec<_>>().concat()).await;
    for number in 0..10_u8 {
        assert_eq!(client.expect_pong().await, vec![b'0' + number]);
    }
    assert_eq!(client.expect_text().await, "last words");
    client.expect_close(4000).await;

    // A handler that takes nothing does not keep a client from closing for longer than the close timeout.
    let mut client = host.at("/lifecycle/keep").connect().await;
    client.send_raw([frame(0x81, b"unread"), frame(0x88, &4000_u16.to_be_bytes())].concat()).await;
    client.expect_close(4000).await;
    host.close().await;
}

async fn bounded_refuses_a_message_from_its_header_alone(host: Host) {
    for length in [1_048_577, 1 << 40, (1 << 63) - 1] {
        let mut client = host.at("/bounded").connect().await;
        let mut header = vec![0x82, 0xFF];
        header.extend_from_slice(&u64::to_be_bytes(length));
        header.extend_from_slice(&[0; 4]);
        client.send_raw(header).await;
        client.expect_close(1009).await;
    }
    host.close().await;
}

async fn strict_checks_origin_and_protocol(host: Host) {
    let allowed = "https://app.example.com";
    let connected =
        host.at("/strict").origin(allowed).protocols(["x", "wirelark.test", "echo"]).connect().await;
    assert_eq!(connected.protocol(), "wirelark.test", "the client's order decides");
    host.at("/strict").protocols(["echo"]).connect().await;
    for origin in
        ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"]
    {
        host.at("/strict").origin(origin).protocols(["echo"]).expect_rejected(403).await;
    }
    host.at("/strict").origin(allowed).expect_rejected(400).await;
    host.at("/strict").origin(allowed).protocols(["other"]).expect_rejected(400).await;
    host.close().await;
}

async fn foreign_pages_are_refused_by_default(host: Host) {
    host.at("/bounded").origin("https://evil.example").expect_rejected(403).await;
    host.at("/bounded").header("host", "chat.example").origin("https://chat.example").connect().await;
    host.at("/bounded").connect().await;
    host.close().await;
}

async fn closes_are_echoed(host: Host) {
    for (code, reason) in [(1000, ""), (1001, "gone"), (3000, "x"), (4999, &*"r".repeat(123))] {
        let mut client = host.at("/echo").connect().await;
        client.close(code, reason).await;
        assert_eq!(client.expect_close(code).await, reason);
    }
    let mut client = host.at("/echo").connect().await;
    client.send_raw(frame(0x88, b"")).await;
    client.expect_close(1005).await;
    host.close().await;
}

async fn every_way_a_handler_can_end(host: Host) {
    host.at("/lifecycle/return").connect().await.expect_close(1000).await;
    assert_eq!(host.at("/lifecycle/error").connect().await.expect_close(1011).await, "handler error");
    assert_eq!(host.at("/lifecycle/panic").connect().await.expect_close(1011).await, "handler error");
    assert_eq!(host.at("/lifecycle/close").connect().await.expect_close(4001).await, "bye");
    let mut kept = host.at("/lifecycle/keep").connect().await;
    kept.expect_nothing_for(Duration::from_millis(300)).await;
    kept.send_text("nobody reads this").await;
    kept.send_ping("but pings are answered").await;
    assert_eq!(kept.expect_pong().await, "but pings are answered");
    kept.close(4002, "enough").await;
    kept.expect_close(4002).await;

    let expected = [("return", 1000), ("error", 1011), ("panic", 1011), ("close", 4001), ("keep", 4002)];
    let log = log_with(&host, expected.len() * 3).await;
    for (mode, code) in expected {
        let events: Vec<_> = log.iter().filter(|entry| entry["mode"] == mode).collect();
        let names: Vec<_> = events.iter().map(|entry| entry["event"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["opened", "cancelled", "closed"], "{mode}");
        assert_eq!(events[2]["code"], code, "{mode}");
    }
    host.close().await;
}

/// The lifecycle log, once it has so many entries: the last of them may be written after a client has seen
/// its connection end.
async fn log_with(host: &Host, entries: usize) -> Vec<Value> {
    for _ in 0..100 {
        let log = get_json(host, "/lifecycle/log").await;
        let log = log.as_array().expect("the log is an array").clone();
        if log.len() >= entries {
            assert_eq!(log.len(), entries, "{log:?}");
            return log;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the log never got {entries} entries: {}", get_json(host, "/lifecycle/log").await);
}

async fn get_json(host: &Host, path: &str) -> Value {
    use wirelark::axum::body::{Body, to_bytes};
    use wirelark::axum::http::Request;
    let response = host.request(Request::get(path).body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 200, "{path}");
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    serde_json::from_slice(&body).expect("a JSON body")
}

async fn a_refusal_is_any_http_response(host: Host) {
    let refused = host.at("/lifecycle/refuse").expect_rejected(418).await;
    assert_eq!(refused.body, "short and stout");
    host.at("/lifecycle/never").expect_rejected(504).await;
    let bad_room = format!("/rooms/{}", "x".repeat(300));
    assert!(host.at(&bad_room).expect_rejected(400).await.body.contains("room name"));
    host.close().await;
}

async fn secure_takes_a_token_from_four_places(host: Host) {
    let token = token(&ada());
    let ways = [
        host.at("/secure").jwt(ada()),
        host.at("/secure").bearer(&token),
        host.at("/secure").cookie("token", &token),
        host.at(&format!("/secure?token={token}")),
        host.at("/secure").protocols([format!("bearer.{token}")]),
    ];
    for way in ways {
        let mut client = way.connect().await;
        assert_eq!(client.expect_json::<Value>().await, json!({"type": "hello", "sub": "ada"}));
        client.send_text("echo").await;
        assert_eq!(client.expect_text().await, "echo");
    }
    host.close().await;
}

/// Claims that hold for a few seconds, by the time of day. It stands still where the clock is paused.
fn ada_for(seconds: u64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let mut claims = ada();
    claims["exp"] = (now.as_secs() + seconds).into();
    claims
}

async fn secure_ends_with_its_token_unless_that_is_renewed(host: Host) {
    let connect = async || {
        let mut client = host.at("/secure").jwt(ada_for(2)).connect().await;
        client.expect_json::<Value>().await;
        client
    };
    let (mut one, mut other, mut third) = (connect().await, connect().await, connect().await);
    one.send_json(&json!({"renew": token(&ada_for(100))})).await;
    one.send_text("still here").await;
    assert_eq!(one.expect_text().await, "still here");
    third.send_json(&json!({"renew": "nonsense"})).await;
    assert!(third.expect_close(4401).await.contains("credentials are not valid"));
    assert!(other.expect_close(4401).await.contains("sign in"));
    host.advance(Duration::from_secs(1)).await;
    one.send_text("for longer").await;
    assert_eq!(one.expect_text().await, "for longer");
    let bob = token(&json!({"sub": "bob", "scope": "realtime"}));
    one.send_json(&json!({"renew": bob})).await;
    assert!(one.expect_close(4403).await.contains("another user"));
    host.close().await;
}

async fn first_takes_a_token_and_nothing_before_it(host: Host) {
    let mut client = host.at("/first").connect().await;
    client.send_text("hello?").await;
    client.send_json(&json!({"token": token(&ada())})).await;
    client.send_text("echo").await;
    assert_eq!(client.expect_json::<Value>().await, json!({"type": "hello", "sub": "ada"}));
    assert_eq!(client.expect_text().await, "echo");
    client.send_json(&json!({"token": "mine now"})).await;
    assert_eq!(client.expect_json::<Value>().await, json!({"token": "mine now"}));
    host.close().await;
}

async fn first_closes_who_does_not_sign_in(host: Host) {
    let mut silent = host.at("/first").connect().await;
    let mut noisy = host.at("/first").connect().await;
    for _ in 0..3 {
        noisy.send_json(&json!({"token": token_signed(&ada(), b"another secret")})).await;
    }
    assert!(noisy.expect_close(1008).await.contains("sign nobody in"));
    assert!(silent.expect_close(1008).await.contains("in time"));
    host.close().await;
}

async fn secure_refuses_with_401_and_403(host: Host) {
    host.at("/secure").expect_rejected(401).await;
    host.at("/secure").bearer("nonsense").expect_rejected(401).await;
    let forged = token_signed(&ada(), b"another secret");
    let refused = host.at("/secure").bearer(&forged).expect_rejected(401).await;
    assert!(!refused.body.contains(&forged), "a token is never repeated");
    host.at("/secure")
        .jwt(json!({"sub": "ada", "scope": "realtime", "exp": 1_000}))
        .expect_rejected(401)
        .await;
    host.at("/secure").jwt(json!({"sub": "", "scope": "realtime"})).expect_rejected(401).await;
    let refused = host.at("/secure").jwt(json!({"sub": "bob", "scope": "other"})).expect_rejected(403).await;
    assert!(refused.body.contains("realtime"));
    host.close().await;
}

async fn everybody_in_a_room_gets_everything_in_one_order(host: Host) {
    let mut members = Vec::new();
    for _ in 0..10 {
        members.push(host.at("/rooms/busy").connect().await);
    }
    // A member's own message comes back once it is in.
    for (number, member) in members.iter_mut().enumerate() {
        let own = format!("in {number}");
        member.send_text(&own).await;
        while member.expect_text().await != own {}
    }
    let mut seen = Vec::new();
    for (number, member) in members.iter_mut().enumerate() {
        member.send_text(&format!("from {number}")).await;
    }
    for member in &mut members {
        let mut texts = Vec::new();
        while texts.iter().filter(|text: &&String| text.starts_with("from")).count() < 10 {
            texts.push(member.expect_text().await);
        }
        texts.retain(|text| text.starts_with("from"));
        seen.push(texts);
    }
    for texts in &seen {
        assert_eq!(texts, &seen[0], "every member sees one order");
    }
    host.close().await;
}

async fn rooms_do_not_leak_and_are_freed(host: Host) {
    let mut here = host.at("/rooms/here").connect().await;
    let mut there = host.at("/rooms/there").connect().await;
    here.send_text("hello").await;
    assert_eq!(here.expect_text().await, "hello");
    there.send_text("other").await;
    assert_eq!(there.expect_text().await, "other");
    assert_eq!(host.hub().room_count(), 2);
    let delivered = host.hub().room("here").expect("a room name").publish("from outside").counted().await;
    assert_eq!((delivered.queued, delivered.offline), (1, 0));
    assert_eq!(here.expect_text().await, "from outside");
    let delivered = host.hub().broadcast("everybody").counted().await;
    assert_eq!(delivered.queued, 2);
    assert_eq!(
        (here.expect_text().await, there.expect_text().await),
        ("everybody".into(), "everybody".into())
    );
    for client in [&mut here, &mut there] {
        client.close(1000, "").await;
        client.expect_close(1000).await;
    }
    for _ in 0..100 {
        if host.hub().room_count() == 0 && host.hub().connection_count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((host.hub().room_count(), host.hub().connection_count()), (0, 0));
    let delivered = host.hub().room("here").expect("a room name").publish("nobody").counted().await;
    assert_eq!(delivered.queued, 0);
    host.close().await;
}

async fn the_derived_path_answers(host: Host) {
    let mut client = host.at("/_socket/demo/ping").connect().await;
    client.send_text("anything").await;
    assert_eq!(client.next().await, ClientEvent::Message(Message::from("pong")));
    host.close().await;
}

async fn unknown_paths_and_wrong_methods(host: Host) {
    host.at("/nowhere").expect_rejected(404).await;
    host.at("/healthz").expect_rejected(405).await;
    let routes = get_json(&host, "/routes.json").await;
    let paths: Vec<_> =
        routes.as_array().expect("a list").iter().map(|route| route["path"].clone()).collect();
    assert!(paths.contains(&json!("/secure")) && paths.contains(&json!("/rooms/{room}")), "{paths:?}");
    host.close().await;
}
