//! A server that does anything, and a client none of whose calls ever hangs.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use wirelark_client::{CallError, Client, CloseCode, Status};

use crate::fake::{Arrived, Fake, Peer, fake_with_pipe, reporting};

/// Serves until it is aborted, and none too well.
async fn serve_badly(mut fake: Fake, mut random: StdRng) {
    loop {
        match random.random_range(0..6) {
            0 => drop(fake.stream().await),
            1 => drop(fake.answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await),
            _ => {
                let peer = fake.accept().await;
                converse(peer, &mut random).await;
            }
        }
    }
}

async fn converse(mut peer: Peer, random: &mut StdRng) {
    loop {
        let Arrived::Message(message) = peer.next().await else { return };
        let frame: Value = serde_json::from_slice(message.as_bytes()).unwrap();
        let (id, name) = (frame["id"].as_str().unwrap(), frame["rpc"].as_str().unwrap());
        match random.random_range(0..20) {
            // Cut, closed, or never answered.
            0 => return,
            1 => return peer.close(1013, "").await,
            2 => {}
            3 => sleep(Duration::from_secs(random.random_range(0..15))).await,
            4 => peer.try_json(json!({"socka": "serverError", "v": 1, "id": id, "error": "no"})).await,
            // To somebody else, and twice.
            5 => peer.try_json(json!({"socka": "serverResponse", "v": 1, "id": "a-1", "rpc": "a"})).await,
            6 => {
                let answer = json!({"socka": "serverResponse", "v": 1, "id": id, "rpc": name, "body": id});
                peer.try_json(answer.clone()).await;
                peer.try_json(answer).await;
            }
            _ => {
                peer.try_json(json!({"socka": "serverResponse", "v": 1, "id": id, "rpc": name, "body": id}))
                    .await;
            }
        }
    }
}

/// Calls, now and then without waiting for the end. Returns how many answers came.
async fn call_often(client: Client, mut random: StdRng) -> u32 {
    let mut answered = 0;
    for _ in 0..50 {
        sleep(Duration::from_millis(random.random_range(0..2_000))).await;
        let patience = Duration::from_secs(if random.random_ratio(1, 5) { 1 } else { 60 });
        let began = Instant::now();
        match timeout(patience, client.call::<_, String>("a", &json!({"pad": "x".repeat(100)}))).await {
            Ok(Ok(id)) => {
                assert!(id.starts_with("a-"), "{id}");
                answered += 1;
            }
            Ok(Err(CallError::Closed(closed))) => panic!("nobody closed it: {closed}"),
            Ok(Err(_)) | Err(_) => {}
        }
        assert!(began.elapsed() <= Duration::from_secs(10), "a call hung for {:?}", began.elapsed());
    }
    answered
}

async fn check_that_calls_settle(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (builder, fake) = fake_with_pipe(random.random_range(64..4096));
    let (builder, reports) = reporting(builder);
    let client = builder.calls(6).outbox(3, 600).seed(seed).build().unwrap();
    let server = tokio::spawn(serve_badly(fake, StdRng::seed_from_u64(random.random())));
    let callers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(call_often(client.clone(), StdRng::seed_from_u64(random.random()))))
        .collect();
    let mut answered = 0;
    for caller in callers {
        answered += caller.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(answered > 0, "seed {seed}: nothing was ever answered");
    assert!(reports.take().is_empty(), "seed {seed}");
    client.close(CloseCode::NORMAL, "").await;
    assert_eq!(client.status(), Status::Closed, "seed {seed}");
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn every_call_settles_whatever_the_server_does() {
    let seed: u64 = rand::random();
    println!("seeds from {seed}");
    for seed in seed..seed.saturating_add(10) {
        check_that_calls_settle(seed).await;
    }
}
