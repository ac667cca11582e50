//! What is sent to many and larger than some of them may be sent: it reaches the others, and everybody is told.

use std::time::Duration;

use serde_json::{Value, json};
use wirelark::contract::Session;
use wirelark::testing::{Client, Host};
use wirelark::{App, CompressionOptions, Delivered, Options, Socket, contract, socket};

const SMALL: usize = 100;

async fn member(socket: Socket) -> wirelark::Result {
    socket.join("room")?;
    socket.keep_open();
    Ok(())
}

fn delivered(queued: usize, too_large: usize) -> Delivered {
    Delivered { queued, too_large, ..Delivered::default() }
}

/// Members of one room from two routes, of which one allows small messages only.
async fn members(options: Options) -> (Host, Client, Client) {
    let small = options.clone().message_bytes(SMALL);
    let host = Host::new(
        App::new()
            .socket("/small", socket(member).options(small))
            .socket("/large", socket(member).options(options)),
    );
    let attempt = |path| host.at(path).compression(CompressionOptions::default());
    let (small, large) = (attempt("/small").connect().await, attempt("/large").connect().await);
    let room = host.hub().room("room").expect("a name");
    while room.count() < 2 {
        host.advance(Duration::from_millis(1)).await;
    }
    (host, small, large)
}

fn left_out(host: &Host, route: &str) -> u64 {
    host.counter("websocket.messages.too_large.total", &[("route", route)])
}

async fn check_members(options: Options) {
    let (host, mut small, mut large) = members(options).await;
    let hub = host.hub();
    let room = hub.room("room").expect("a name");
    let (fits, too_large) = ("x".repeat(SMALL), "y".repeat(SMALL + 1));
    let nobody = room.members().await[0];

    assert_eq!(room.publish(&*too_large).counted().await, delivered(1, 1), "a burst");
    assert_eq!(room.publish(&*too_large).except(nobody).counted().await.queued, 1, "one by one");
    assert_eq!(hub.broadcast(&*too_large).counted().await, delivered(1, 1));
    assert_eq!(hub.broadcast_to("/small", &*too_large).counted().await, delivered(0, 1));
    assert_eq!(hub.send_to(nobody, &*too_large).counted().await, delivered(0, 1));
    room.publish(&*too_large).await;
    // Two at once, of which one fits: neither is held back for the other.
    let (first, second) = tokio::join!(room.publish(&*too_large).counted(), room.publish(&*fits).counted());
    assert_eq!((first, second), (delivered(1, 1), delivered(2, 0)));

    assert_eq!(small.expect_text().await, fits, "nothing of what came before it");
    for _ in 0..5 {
        assert_eq!(large.expect_text().await, too_large);
    }
    assert_eq!(large.expect_text().await, fits);
    assert_eq!((left_out(&host, "/small"), left_out(&host, "/large")), (6, 0));
    small.close(1000, "").await;
    small.expect_close(1000).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn members_of_a_smaller_limit_are_left_out_and_stay() {
    check_members(Options::new()).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_measured_before_it_is_compressed() {
    check_members(Options::new().compression(CompressionOptions::default())).await;
}

#[tokio::test(start_paused = true)]
async fn a_handlers_own_send_fails_and_closes() {
    async fn sends(socket: Socket) -> wirelark::Result {
        Ok(socket.send("y".repeat(SMALL + 1)).await?)
    }
    let options = Options::new().message_bytes(SMALL);
    let host = Host::new(App::new().socket("/small", socket(sends).options(options)));
    host.at("/small").connect().await.expect_close(1009).await;
    assert_eq!(left_out(&host, "/small"), 1);
    host.close().await;
}

#[contract]
trait Feed {
    /// Pushes a text to the caller, and answers for how many it was too large.
    async fn push_to_me(&self, length: usize) -> usize;
    #[push]
    fn said(text: String);
}

struct Server;

impl FeedServer for Server {
    type Data = ();

    async fn push_to_me(&self, session: Session<Feed, ()>, length: usize) -> usize {
        session.push(Feed::said("y".repeat(length))).await.too_large
    }
}

const HEAD_JSON: usize = r#"{"socka":"serverEvent","v":1,"event":"said","body":{"text":""}}"#.len();

/// A client that speaks the contract, and is in its room.
async fn listener(host: &Host, protocol: &str) -> Client {
    let mut client = host.at("/feed").protocols([protocol]).connect().await;
    client.send_ping("").await;
    client.expect_pong().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_of_the_push_it_missed() {
    let options = Options::new().message_bytes(HEAD_JSON + 10);
    let host = Host::new(App::new().contract("/feed", Feed::serve(Server).options(options)));
    let mut json = listener(&host, "wirelark.v1.json").await;
    let mut msgpack = listener(&host, "wirelark.v1.msgpack").await;
    let room = host.hub().contract::<Feed>().room("/feed").expect("a name");

    // As MessagePack the same push is smaller: what counts is what each of them would be sent.
    assert_eq!(room.push(Feed::said("y".repeat(11))).await, delivered(1, 1));
    assert_eq!(room.push(Feed::said("y".repeat(10))).await, delivered(2, 0));
    let gap = json!({"socka": "serverEvent", "v": 1, "event": "$gap", "body": {"push": "said", "missed": 1}});
    assert_eq!(json.expect_json::<Value>().await, gap);
    assert_eq!(json.expect_json::<Value>().await["body"]["text"], "y".repeat(10));
    assert!(msgpack.expect_bytes().await.ends_with(b"yyyyyyyyyyy"));
    assert!(msgpack.expect_bytes().await.ends_with(b"yyyyyyyyyy"));

    let push = [("route", "/feed"), ("push", "said")];
    let counted =
        |outcome| host.counter("websocket.contract.pushes.total", &[push[0], push[1], ("outcome", outcome)]);
    assert_eq!((counted("queued"), counted("too_large"), left_out(&host, "/feed")), (3, 1, 1));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_push_to_one_alone_is_left_out_too() {
    let options = Options::new().message_bytes(HEAD_JSON + 50);
    let host = Host::new(App::new().contract("/feed", Feed::serve(Server).options(options)));
    let mut client = listener(&host, "wirelark.v1.json").await;
    for (length, event, too_large) in [(50, "said", 0), (51, "$gap", 1)] {
        let call = json!({"socka": "clientRequest", "v": 1, "id": "r", "rpc": "push_to_me", "body": {"length": length}});
        client.send_json(&call).await;
        assert_eq!(client.expect_json::<Value>().await["event"], event);
        assert_eq!(client.expect_json::<Value>().await["body"], too_large, "the answer");
    }
    host.close().await;
}
