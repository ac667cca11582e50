//! What each delivery does for a client that reads too slowly, and that it does nothing to others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;
use wirelark::contract::{Push, Pushes, Session};
use wirelark::testing::{Client, ClientEvent, Host};
use wirelark::{App, Delivered, Options, contract};

#[contract]
trait Feed {
    /// Says nothing; there so that a client can tell that it is served.
    async fn ready(&self);
    #[push]
    fn said(n: u32, text: String);
    #[push(conflate = id)]
    fn moved(id: u32, n: u32, text: String);
    // An argument of this name must not be taken for something the macro makes.
    #[push(conflate(key))]
    fn placed(key: u32);
    #[push(drop_oldest)]
    fn line(n: u32, text: String);
    #[push(sample = 10.0)]
    fn level(n: u32, text: String);
}

struct Server;

impl FeedServer for Server {
    type Data = ();

    async fn ready(&self, _: Session<Feed, ()>) {}
}

const OUTBOX_BYTES: usize = 32 * 1024;
const PUSHES: u32 = 5_000;

fn host() -> Host {
    let options = Options::new().outbox_bytes(OUTBOX_BYTES);
    Host::new(App::new().contract("/feed", Feed::serve(Server).options(options)))
}

fn text() -> String {
    "x".repeat(100)
}

async fn client(host: &Host, protocol: Option<&str>) -> Client {
    let mut attempt = host.at("/feed");
    if let Some(protocol) = protocol {
        attempt = attempt.protocols([protocol]);
    }
    let mut client = attempt.connect().await;
    client.send_text(r#"{"socka":"clientRequest","v":1,"id":"r","rpc":"ready","body":{}}"#).await;
    client.expect_text().await;
    client
}

/// What a client got of one push.
#[derive(Debug, Default)]
struct Got {
    numbers: Vec<u64>,
    last_of: BTreeMap<u64, u64>,
    missed: u64,
}

/// Reads everything that comes until nothing has for a second.
async fn read_all(client: &mut Client, push: &str) -> Got {
    let mut got = Got::default();
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(1), client.next()).await {
        let ClientEvent::Message(message) = event else { break };
        let frame: Value = serde_json::from_slice(message.as_bytes()).expect("JSON");
        let body = &frame["body"];
        match frame["event"].as_str() {
            Some("$gap") => {
                assert_eq!(body["push"], push);
                got.missed += body["missed"].as_u64().expect("a number");
            }
            Some(name) => {
                assert_eq!(name, push);
                let number = body["n"].as_u64().expect("a number");
                got.numbers.push(number);
                got.last_of.insert(body["id"].as_u64().unwrap_or(0), number);
            }
            None => panic!("not a push: {frame}"),
        }
    }
    got
}

/// Pushes to a room with a client that reads and one that does not, then lets the slow one read; what both got.
async fn push_to_both(push: &str, each: impl AsyncFn(&Pushes<Feed>, u32)) -> (Host, Got, Got) {
    let host = host();
    let mut fast = client(&host, Some("wirelark.v1.json")).await;
    let mut slow = client(&host, Some("wirelark.v1.json")).await;
    slow.stop_reading();
    let pushes = host.hub().contract::<Feed>();
    let reading = tokio::spawn({
        let push = push.to_owned();
        async move { read_all(&mut fast, &push).await }
    });
    for n in 0..PUSHES {
        each(&pushes, n).await;
        if n % 50 == 0 {
            // Lets the fast one read.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    slow.resume_reading();
    let slow = read_all(&mut slow, push).await;
    let fast = reading.await.expect("the fast client reads on");
    assert_eq!(fast.numbers, Vec::from_iter(0..u64::from(PUSHES)), "a client that keeps up gets everything");
    assert_eq!(fast.missed, 0);
    (host, fast, slow)
}

fn dropped(host: &Host, push: &str, outcome: &str) -> u64 {
    host.counter(
        "websocket.contract.pushes.total",
        &[("route", "/feed"), ("push", push), ("outcome", outcome)],
    )
}

async fn room(pushes: &Pushes<Feed>, push: Push<Feed>) -> Delivered {
    pushes.room("/feed").expect("a good name").push(push).await
}

#[tokio::test(start_paused = true)]
async fn conflated_pushes_arrive_as_the_last_of_each_key() {
    let (host, _, slow) = push_to_both("moved", async |pushes, n| {
        room(pushes, Feed::moved(n % 10, n, text())).await;
    })
    .await;
    let last: Vec<u64> = slow.last_of.values().copied().collect();
    assert_eq!(last, Vec::from_iter(u64::from(PUSHES) - 10..u64::from(PUSHES)));
    assert_eq!(slow.numbers.len() as u64 + slow.missed, u64::from(PUSHES));
    assert!(slow.missed > u64::from(PUSHES) / 2, "the slow client was behind: {}", slow.missed);
    assert_eq!(dropped(&host, "moved", "conflate"), slow.missed);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_pushes_are_dropped_where_they_may_be() {
    let (host, _, slow) = push_to_both("line", async |pushes, n| {
        room(pushes, Feed::line(n, text())).await;
    })
    .await;
    assert!(slow.numbers.is_sorted());
    assert_eq!(slow.numbers.last(), Some(&u64::from(PUSHES - 1)));
    assert_eq!(slow.numbers.len() as u64 + slow.missed, u64::from(PUSHES));
    assert!(slow.missed > u64::from(PUSHES) / 2);
    assert_eq!(dropped(&host, "line", "drop_oldest"), slow.missed);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn sampled_pushes_arrive_at_their_rate() {
    let (host, _, slow) = push_to_both("level", async |pushes, n| {
        room(pushes, Feed::level(n, text())).await;
    })
    .await;
    assert_eq!(slow.numbers.len() as u64 + slow.missed, u64::from(PUSHES));
    assert!(slow.missed > u64::from(PUSHES) / 2);
    assert_eq!(dropped(&host, "level", "sample"), slow.missed);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_take_a_reliable_push_is_told_to_come_again() {
    let host = host();
    let mut fast = client(&host, None).await;
    let mut slow = client(&host, None).await;
    slow.stop_reading();
    let pushes = host.hub().contract::<Feed>();
    let mut closed = 0;
    for n in 0..PUSHES / 5 {
        closed += room(&pushes, Feed::said(n, text())).await.closed;
        assert!(fast.expect_text().await.contains(&format!("\"n\":{n},")));
    }
    assert!(closed > 0, "it was cut, and counts as closed while it says goodbye");
    slow.resume_reading();
    let mut next = 0;
    loop {
        match slow.next().await {
            ClientEvent::Message(message) => {
                let frame: Value = serde_json::from_slice(message.as_bytes()).expect("JSON");
                assert_eq!(frame["body"]["n"], next, "what it got has no hole");
                next += 1;
            }
            ClientEvent::Close(frame) => {
                assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(1013));
                break;
            }
            ClientEvent::End => panic!("it was not told why"),
        }
    }
    assert!(next < PUSHES / 5);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_did_not_agree_to_it_get_no_gaps() {
    let host = host();
    let mut slow = client(&host, None).await;
    slow.stop_reading();
    let pushes = host.hub().contract::<Feed>();
    for n in 0..PUSHES {
        room(&pushes, Feed::moved(0, n, text())).await;
    }
    slow.resume_reading();
    let got = read_all(&mut slow, "moved").await;
    assert_eq!((got.missed, got.numbers.last()), (0, Some(&u64::from(PUSHES - 1))));
    assert_eq!(dropped(&host, "moved", "conflate"), u64::from(PUSHES) - got.numbers.len() as u64);
    host.close().await;
}

/// A client of the contract whose listener of `said` stays in its first push until told to go on, and so reads
/// nothing meanwhile.
fn stall(feed: &FeedTester) -> std::sync::mpsc::SyncSender<()> {
    let (go_on, told) = std::sync::mpsc::sync_channel(1);
    feed.client()
        .once("said", move |_: Value| {
            let _ = tokio::task::block_in_place(|| told.recv());
        })
        .detach();
    go_on
}

/// Pushes until the server has dropped a hundred of it; how many pushes that took.
async fn push_until_dropped(host: &Host, push: &str, outcome: &str, each: impl Fn(u32) -> Push<Feed>) -> u32 {
    let pushes = host.hub().contract::<Feed>();
    let mut pushed = 0;
    while dropped(host, push, outcome) < 100 {
        assert_eq!(room(&pushes, each(pushed)).await.closed, 0);
        pushed += 1;
    }
    pushed
}

async fn a_stalled_client_is_told_what_it_missed(protocol: &str) {
    let host = host();
    let feed = host.at("/feed").protocols([protocol]).contract::<Feed>().await;
    let (gaps, mut told) = tokio::sync::mpsc::channel(8);
    let heard = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&heard);
    let _lines = feed.on_line(move |_, _| {
        counting.fetch_add(1, Relaxed);
    });
    let _gaps = feed.on_gap(move |gap| gaps.try_send((gap, heard.load(Relaxed))).expect("there is room"));
    let go_on = stall(&feed);
    feed.ready().await.unwrap();
    room(&host.hub().contract::<Feed>(), Feed::said(0, text())).await;
    let moves = push_until_dropped(&host, "moved", "conflate", |n| Feed::moved(n % 2, n, text())).await;
    let lines = push_until_dropped(&host, "line", "drop_oldest", |n| Feed::line(n, text())).await;
    let (replaced, lost) = (dropped(&host, "moved", "conflate"), dropped(&host, "line", "drop_oldest"));
    go_on.send(()).expect("the listener waits");

    let of_moves = feed.expect_gap(|gap| gap.push == "moved").await;
    let of_lines = feed.expect_gap(|gap| gap.push == "line").await;
    assert_eq!((u64::from(of_moves.missed), u64::from(of_lines.missed)), (replaced, lost));
    // Behind everything that waited for it: of each that moves the newest, and every line that was not lost.
    let arrived = lines - of_lines.missed;
    let expected = [(of_moves.clone(), arrived), (of_lines, arrived)];
    assert_eq!([told.recv().await, told.recv().await], expected.map(Some));
    let mut newest = [0; 2];
    for _ in 0..moves - of_moves.missed {
        let (id, n, _) = feed.expect_moved(|_, _, _| true).await;
        newest[id as usize] = n;
    }
    newest.sort_unstable();
    assert_eq!(newest, [moves - 2, moves - 1]);
    let mut last = 0;
    for _ in 0..arrived {
        last = feed.expect_line(|_, _| true).await.0;
    }
    assert_eq!(last, lines - 1);
    feed.ready().await.unwrap();
    assert!(told.try_recv().is_err(), "it is told once");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_client_is_told_what_it_missed_in_json() {
    a_stalled_client_is_told_what_it_missed("wirelark.v1.json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_client_is_told_what_it_missed_in_message_pack() {
    a_stalled_client_is_told_what_it_missed("wirelark.v1.msgpack").await;
}
