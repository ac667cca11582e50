//! The contract style on the wire, frame by frame, against what another implementation of it was captured
//! sending.

mod ways;

use wirelark::Message;
use wirelark::testing::{Client, ClientEvent, Host};

use crate::ways::each_way;

each_way! {
    conformance::app();
    json_frames_are_those_that_were_captured,
    message_pack_frames_are_those_that_were_captured,
}

/// A captured conversation. It is kept with the codec it tests too.
const CAPTURED: &str = include_str!("../../crates/wirelark-proto/tests/vectors/socka-v1.jsonl");

struct Captured {
    from_client: bool,
    message: Message,
}

fn captured(wire: &str) -> Vec<Captured> {
    let lines = CAPTURED.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let of_wire = lines.filter(|line| line["wire"] == *wire);
    of_wire
        .map(|line| Captured {
            from_client: line["dir"] == "client_to_server",
            message: match (line["text"].as_str(), line["hex"].as_str()) {
                (Some(text), _) => Message::from(text),
                (None, Some(hex)) => Message::from(bytes(hex)),
                (None, None) => panic!("neither text nor bytes: {line}"),
            },
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Why a captured answer is not compared; a line of the list beside this file.
fn exception(message: &Message) -> Option<&'static str> {
    let exceptions = include_str!("contract/exceptions.txt").lines().filter(|line| !line.starts_with('#'));
    let contains = |part: &str| {
        let bytes = message.as_bytes();
        bytes.windows(part.len()).any(|window| window == part.as_bytes())
    };
    exceptions
        .map(|line| line.split_once(": ").expect("an id and a reason"))
        .find(|(id, _)| contains(id))
        .map(|(_, why)| why)
}

async fn json_frames_are_those_that_were_captured(host: Host) {
    check_captured(host, "json", "/rpc").await;
}

async fn message_pack_frames_are_those_that_were_captured(host: Host) {
    check_captured(host, "msgpack", "/rpc?wire=msgpack").await;
}

/// Says what the captured client said, and expects what it was answered.
async fn check_captured(host: Host, wire: &str, path: &str) {
    let mut client = host.at(path).connect().await;
    let (mut compared, mut excepted) = (0, 0);
    for Captured { from_client, message } in captured(wire) {
        if from_client {
            send(&mut client, message).await;
            continue;
        }
        // Captured without the pushes that came before some of the answers: those are skipped here too.
        let is_push = |message: &Message| is_about(message, "serverEvent");
        let mut answer = receive(&mut client).await;
        while is_push(&answer) && !is_push(&message) {
            answer = receive(&mut client).await;
        }
        if exception(&message).is_some() {
            excepted += 1;
            assert!(is_about(&answer, "serverError"), "{answer:?}");
            assert!(!is_about(&answer, "plain boom"), "an internal error reached the client: {answer:?}");
        } else {
            compared += 1;
            assert_eq!(answer, message, "frame {compared}");
        }
    }
    assert!(compared > 90 && excepted <= 4, "{compared} compared, {excepted} not");
    host.close().await;
}

async fn send(client: &mut Client, message: Message) {
    match message {
        Message::Text(text) => client.send_text(text.as_str()).await,
        other => client.send_bytes(other.as_bytes().to_vec()).await,
    }
}

async fn receive(client: &mut Client) -> Message {
    match client.next().await {
        ClientEvent::Message(message) => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

fn is_about(message: &Message, part: &str) -> bool {
    message.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}
