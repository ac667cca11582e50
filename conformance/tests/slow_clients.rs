//! Every policy for slow clients, driven through `/flood` by a reader that stops: over real TCP, where the
//! kernel has buffers of its own.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use wirelark::Message;
use wirelark::testing::{Client, ClientEvent, Host};

const MIB: usize = 1024 * 1024;
const COUNT: usize = 2_000;
const SIZE: usize = 4_096;

#[derive(Debug, Deserialize)]
struct Counts {
    sent: usize,
    refused: usize,
    dropped: usize,
}

struct Flooded {
    counts: Counts,
    received: usize,
}

/// Asks for a flood, does not read for a while, then reads everything.
async fn flood(host: &Host, policy: &str) -> Flooded {
    let path = format!("/flood?policy={policy}");
    let mut client = host.at(&path).timeout(Duration::from_secs(20)).connect().await;
    client.stop_reading();
    client.send_text(&format!("{COUNT} {SIZE}")).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The outbox's bound, and a frame.
        assert!(
            host.hub().backlog_bytes() <= MIB + SIZE + 14,
            "{policy}: {} bytes wait",
            host.hub().backlog_bytes()
        );
    }
    client.resume_reading();
    let (counts, received) = read_all(&mut client).await;
    assert_eq!(counts.sent + counts.refused + counts.dropped, COUNT, "{policy}: {counts:?}");
    assert_eq!(received, counts.sent, "{policy}: what was sent arrives, what was not does not: {counts:?}");
    Flooded { counts, received }
}

async fn read_all(client: &mut Client) -> (Counts, usize) {
    let mut received = 0;
    loop {
        match client.next().await {
            ClientEvent::Message(Message::Binary(bytes)) => {
                assert_eq!(bytes.len(), SIZE);
                received += 1;
            }
            ClientEvent::Message(Message::Text(text)) => {
                return (serde_json::from_str(&text).expect("counts as JSON"), received);
            }
            other => panic!("expected a message, got {other:?}"),
        }
    }
}

async fn host() -> Host {
    Host::tcp(conformance::app()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_refuses_what_does_not_fit() {
    let host = host().await;
    for policy in ["error", ""] {
        let Flooded { counts, .. } = if policy.is_empty() {
            let mut client = host.at("/flood").timeout(Duration::from_secs(20)).connect().await;
            client.stop_reading();
            client.send_text(&format!("{COUNT} {SIZE}")).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            client.resume_reading();
            let (counts, received) = read_all(&mut client).await;
            Flooded { counts, received }
        } else {
            flood(&host, policy).await
        };
        assert!(counts.refused > 0 && counts.dropped == 0, "{counts:?}");
        assert!(counts.sent * SIZE >= MIB, "the whole outbox is used: {counts:?}");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_newest_keeps_the_beginning() {
    let host = host().await;
    let Flooded { counts, .. } = flood(&host, "drop_newest").await;
    assert!(counts.dropped > 0 && counts.refused == 0, "{counts:?}");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_oldest_keeps_the_end() {
    let host = host().await;
    let Flooded { counts, .. } = flood(&host, "drop_oldest").await;
    assert!(counts.dropped > 0 && counts.refused == 0, "{counts:?}");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflate_keeps_the_newest_of_each_key() {
    let host = host().await;
    let Flooded { counts, received } = flood(&host, "conflate").await;
    assert!(counts.dropped > COUNT / 2 && counts.refused == 0, "{counts:?}");
    // What the kernels took before it was full, and then ten keys.
    assert!(received < COUNT / 2, "{counts:?}");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_loses_nothing() {
    let host = host().await;
    let Flooded { counts, received } = flood(&host, "wait").await;
    assert_eq!((counts.sent, received), (COUNT, COUNT));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_cuts_the_client() {
    let host = host().await;
    let mut client = host.at("/flood?policy=close").timeout(Duration::from_secs(20)).connect().await;
    client.stop_reading();
    client.send_text(&format!("{COUNT} {SIZE}")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.resume_reading();
    let close = loop {
        match client.next().await {
            ClientEvent::Message(Message::Binary(_)) => {}
            ClientEvent::Close(close) => break close.expect("a code"),
            other => panic!("expected the flood and a close, got {other:?}"),
        }
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1013, "send queue full"));
    let labels = [("route", "/flood"), ("outcome", "close")];
    assert_eq!(host.counter("websocket.backpressure.total", &labels), 1);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_reader_loses_nothing_under_any_policy() {
    let host = host().await;
    let mut seen = HashMap::new();
    for policy in ["error", "close", "drop_newest", "drop_oldest", "conflate", "wait"] {
        let path = format!("/flood?policy={policy}");
        let mut client = host.at(&path).timeout(Duration::from_secs(20)).connect().await;
        // As much as fits into the outbox at once: a reader that keeps up never meets its policy.
        for _ in 0..20 {
            client.send_text("50 1000").await;
            let mut received = 0;
            let counts: Counts = loop {
                match client.next().await {
                    ClientEvent::Message(Message::Binary(_)) => received += 1,
                    ClientEvent::Message(Message::Text(text)) => {
                        break serde_json::from_str(&text).expect("counts");
                    }
                    other => panic!("{policy}: {other:?}"),
                }
            };
            assert_eq!((counts.sent, counts.refused, counts.dropped, received), (50, 0, 0, 50), "{policy}");
        }
        seen.insert(policy, true);
    }
    assert_eq!(seen.len(), 6);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_budget_new_connections_are_refused_and_the_largest_is_cut() {
    let app = conformance::app().budget_bytes(512 * 1024);
    let host = Host::tcp(app).await;
    let mut slow = host.at("/flood?policy=drop_newest").timeout(Duration::from_secs(20)).connect().await;
    let mut small = host.at("/echo").connect().await;
    slow.stop_reading();
    slow.send_text(&format!("{COUNT} {SIZE}")).await;
    let mut refused = false;
    for _ in 0..100 {
        match host.at("/echo").try_connect().await {
            Err(rejected) => {
                assert_eq!(rejected.status, 503);
                refused = true;
                break;
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    assert!(refused, "the budget was never felt");
    for _ in 0..300 {
        if host.hub().backlog_bytes() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(host.hub().backlog_bytes(), 0, "the connection that held most was cut");
    small.send_text("still here").await;
    assert_eq!(small.expect_text().await, "still here");
    host.at("/echo").connect().await;
    host.close().await;
}
