//! What a client does when the server says that it asks too often.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wirelark_client::{CallError, Client, CloseCode, RateLimited, ReportKind};

use crate::fake::{Peer, connected, fake, reporting};

type Answer = Result<Value, CallError>;

/// A call on a task of its own.
fn start(client: &Client, name: &'static str) -> JoinHandle<Answer> {
    let client = client.clone();
    tokio::spawn(async move { client.call(name, &json!({})).await })
}

async fn refuse(peer: &mut Peer, id: &str, name: &str, ms: u64) {
    peer.json(json!({
        "socka": "serverError", "v": 1, "id": id, "error": "too often", "rpc": name, "code": "RATE_LIMITED",
        "data": {"retry_after_ms": ms},
    }))
    .await;
}

/// The next request is refused.
async fn refuse_next(peer: &mut Peer, name: &str, ms: u64) -> String {
    let (id, _) = peer.request(name).await;
    refuse(peer, &id, name, ms).await;
    id
}

fn limited(ms: u64) -> Answer {
    Err(CallError::RateLimited(RateLimited { retry_after: Duration::from_millis(ms) }))
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_name_wait_until_the_server_wants_them() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let first = start(&client, "post");
    assert_eq!(refuse_next(&mut peer, "post", 500).await, "post-1");
    let first = first.await.unwrap();
    assert_eq!(first, limited(500));
    assert_eq!(first.unwrap_err().code(), Some("RATE_LIMITED"));
    let began = Instant::now();
    let (held, other) = (start(&client, "post"), start(&client, "other"));
    // Another call is not held back, and comes first.
    peer.answer("other", json!(1)).await;
    assert_eq!(other.await.unwrap(), Ok(json!(1)));
    assert!(began.elapsed() < Duration::from_millis(100));
    peer.answer("post", json!(2)).await;
    assert_eq!(held.await.unwrap(), Ok(json!(2)));
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    // Once it has passed nothing is held any more.
    let began = Instant::now();
    let free = start(&client, "post");
    peer.answer("post", json!(3)).await;
    assert_eq!((free.await.unwrap(), began.elapsed()), (Ok(json!(3)), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_again_so_often_and_no_oftener() {
    let (client, mut peer, _fake) = connected(|it| it.rate_limit_retries(2)).await;
    let began = Instant::now();
    let call = start(&client, "post");
    assert_eq!(refuse_next(&mut peer, "post", 100).await, "post-1");
    assert_eq!(refuse_next(&mut peer, "post", 200).await, "post-2", "a new request");
    peer.answer("post", json!("done")).await;
    assert_eq!(call.await.unwrap(), Ok(json!("done")));
    assert_eq!(began.elapsed(), Duration::from_millis(300));
    let call = start(&client, "post");
    for _ in 0..3 {
        refuse_next(&mut peer, "post", 100).await;
    }
    assert_eq!(call.await.unwrap(), limited(100));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_a_call_may_take() {
    let (client, mut peer, _fake) =
        connected(|it| it.rate_limit_retries(5).call_timeout(Duration::from_secs(2))).await;
    let call = start(&client, "post");
    refuse_next(&mut peer, "post", 3_000).await;
    assert_eq!(call.await.unwrap(), limited(3_000), "at once");
    sleep(Duration::from_millis(400)).await;
    assert_eq!(start(&client, "post").await.unwrap(), limited(2_600), "what is left of it");
    assert_eq!(client.send("post", &json!({})).await, limited(2_600).map(drop), "a send, too");
    sleep(Duration::from_millis(700)).await;
    let call = start(&client, "post");
    peer.answer("post", json!(1)).await;
    assert_eq!(call.await.unwrap(), Ok(json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_was_refused_is_reported_and_the_next_one_waits() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    client.send("typing", &json!({})).await.unwrap();
    refuse_next(&mut peer, "typing", 500).await;
    let flush = start(&client, "flush");
    peer.answer("flush", json!(0)).await;
    assert_eq!(flush.await.unwrap(), Ok(json!(0)));
    let kinds: Vec<_> = reports.take().into_iter().map(|(kind, name, _)| (kind, name)).collect();
    assert_eq!(kinds, [(ReportKind::SendFailed, Some("typing".to_owned()))]);
    let began = Instant::now();
    client.send("typing", &json!({})).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(499), "{:?}", began.elapsed());
    peer.request("typing").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_back_ends_with_its_client() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let first = start(&client, "post");
    refuse_next(&mut peer, "post", 5_000).await;
    assert_eq!(first.await.unwrap(), limited(5_000));
    let held = start(&client, "post");
    sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    let (held, ()) = tokio::join!(held, client.close(CloseCode::NORMAL, "bye"));
    assert!(matches!(held.unwrap(), Err(CallError::Closed(closed)) if closed.code == CloseCode::NORMAL));
    assert!(began.elapsed() <= Duration::from_secs(5), "the close timeout, and not the server's time");
}

/// What says that it is too often and not when to come again, is an error like any other.
#[tokio::test(start_paused = true)]
async fn nonsense_holds_nothing_back() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    for data in [json!(null), json!({}), json!({"retry_after_ms": -1}), json!({"retry_after_ms": "soon"})] {
        let call = start(&client, "post");
        let (id, _) = peer.request("post").await;
        peer.json(json!({
            "socka": "serverError", "v": 1, "id": id, "error": "no", "code": "RATE_LIMITED", "data": data,
        }))
        .await;
        assert!(matches!(call.await.unwrap(), Err(CallError::Refused(_))), "{data}");
    }
    let call = start(&client, "post");
    refuse_next(&mut peer, "post", u64::MAX).await;
    assert_eq!(call.await.unwrap(), limited(u64::MAX));
}
