//! When a connection comes back, and when it does not.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wirelark_client::{Backoff, CallError, Client, CloseCode, ClosedBy, Reconnect, Status};
use wirelark_proto::{Frame, Head, Message, Opcode};

use crate::fake::{Arrived, Fake, Peer, connected, fake, fake_with_pipe, statuses};

/// Delays without chance.
fn exact() -> Reconnect {
    Reconnect::Backoff(Backoff { jitter: 0.0, ..Backoff::default() })
}

fn reconnecting(attempt: u32, seconds: u64) -> Status {
    Status::Reconnecting { attempt, delay: Duration::from_secs(seconds) }
}

async fn answered(client: &Client, peer: &mut Peer) {
    let (answer, ()) = tokio::join!(client.call::<_, Value>("a", &()), peer.answer("a", json!(1)));
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_is_found_again() {
    let (builder, mut fake) = fake();
    let client = builder.reconnect(exact()).build().unwrap();
    let seen = statuses(&client);
    let mut peer = fake.accept().await;
    answered(&client, &mut peer).await;
    let called = tokio::spawn({
        let client = client.clone();
        async move { client.call::<_, Value>("b", &()).await }
    });
    peer.request("b").await;
    peer.close(1012, "").await;
    let error = called.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Disconnected { sent: true, .. }), "{error:?}");
    assert_eq!(error.closed().map(|closed| closed.code), Some(CloseCode::RESTART));
    assert_eq!(error.to_string(), "there was no answer: the connection ended by the server with 1012");
    let began = Instant::now();
    // Away for two attempts: one that is cut and one that is refused.
    drop(fake.stream().await);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    fake.answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    let mut peer = fake.accept().await;
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    answered(&client, &mut peer).await;
    let expected = [
        Status::Connecting,
        Status::Open,
        reconnecting(1, 1),
        reconnecting(2, 2),
        reconnecting(3, 4),
        Status::Open,
    ];
    assert_eq!(seen.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn delays_grow_within_their_jitter() {
    let (builder, mut fake) = fake();
    let client = builder.build().unwrap();
    let seen = statuses(&client);
    let mut last = Instant::now();
    drop(fake.stream().await);
    for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0_f64] {
        drop(fake.stream().await);
        let waited = last.elapsed().as_secs_f64();
        assert!((expected * 0.8..=expected * 1.2).contains(&waited), "{expected}: {waited}");
        last = Instant::now();
    }
    // What was said is what was waited.
    let delays = seen.take().into_iter().filter_map(|status| match status {
        Status::Reconnecting { delay, .. } => Some(delay.as_secs_f64()),
        _ => None,
    });
    let delays: Vec<f64> = delays.collect();
    assert!(delays.iter().any(|delay| delay.fract() != 0.0), "no jitter: {delays:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_hangs_up_is_left_alone_ever_longer() {
    let (builder, mut fake) = fake();
    let client = builder.reconnect(exact()).build().unwrap();
    let seen = statuses(&client);
    for _ in 0..3 {
        fake.accept().await.close(1013, "").await;
    }
    // One that stays open longer than the wait before it counts as a success.
    let peer = fake.accept().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    peer.close(1001, "").await;
    let _peer = fake.accept().await;
    let delays: Vec<_> =
        seen.take().into_iter().filter(|it| matches!(it, Status::Reconnecting { .. })).collect();
    assert_eq!(delays, [reconnecting(1, 1), reconnecting(2, 2), reconnecting(3, 4), reconnecting(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_says_when_to_come_back() {
    let (client, peer, mut fake) = connected(|it| it.reconnect(exact())).await;
    peer.close(1012, "restarting; retry after 20 s").await;
    let began = Instant::now();
    let mut peer = fake.accept().await;
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    answered(&client, &mut peer).await;
}

async fn check_final(end: impl AsyncFnOnce(Peer), code: u16, by: ClosedBy) {
    let (client, peer, mut fake) = connected(|it| it).await;
    end(peer).await;
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    assert_eq!(client.status(), Status::Closed);
    let closed = client.closed().unwrap();
    assert_eq!((closed.code, closed.by), (CloseCode::new(code), by));
    assert_eq!(client.call::<_, ()>("a", &()).await, Err(CallError::Closed(closed)));
}

#[tokio::test(start_paused = true)]
async fn some_ends_are_final() {
    for code in [1000, 1008, 4401, 4403, 4409, 4426] {
        check_final(async |peer| peer.close(code, "").await, code, ClosedBy::Server).await;
    }
}

#[tokio::test(start_paused = true)]
async fn why_the_server_hung_up_is_read_though_nothing_can_be_written() {
    let (builder, mut fake) = fake_with_pipe(64);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    client.connect().await.unwrap();
    client.send("a", &json!({"text": "x".repeat(1_000)})).await.unwrap();
    tokio::task::yield_now().await;
    peer.raw(&Frame::close(Some(CloseCode::POLICY.into()), None).to_vec()).await;
    drop(peer);
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    assert_eq!(client.closed().map(|closed| closed.code), Some(CloseCode::POLICY));
}

#[tokio::test(start_paused = true)]
async fn others_are_not() {
    for code in [1001, 1011, 1012, 1013, 4000, 4408, 4429] {
        let (client, peer, mut fake) = connected(|it| it).await;
        peer.close(code, "").await;
        answered(&client, &mut fake.accept().await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_the_protocol_is_told_so_and_left() {
    let masked = async |mut peer: Peer| {
        peer.raw(&Frame::masked(Message::from("hello"), [1, 2, 3, 4]).to_vec()).await;
        peer.expect_close(1002, "a server must not mask its frames").await;
    };
    check_final(masked, 1002, ClosedBy::Client).await;
    let huge = async |mut peer: Peer| {
        peer.raw(Head::new(Opcode::Text, true, false, 1024 * 1024 + 1, None).as_slice()).await;
        peer.expect_close(1009, "the message is too big").await;
    };
    check_final(huge, 1009, ClosedBy::Client).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_can_be_told_to_give_up() {
    let (builder, mut fake) = fake();
    let client = builder.reconnect(Reconnect::Never).build().unwrap();
    fake.accept().await.close(1001, "").await;
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    assert_eq!(client.status(), Status::Closed);
    let twice = Reconnect::Backoff(Backoff { max_attempts: Some(2), jitter: 0.0, ..Backoff::default() });
    let (builder, mut fake) = crate::fake::fake();
    let client = builder.reconnect(twice).build().unwrap();
    let seen = statuses(&client);
    for _ in 0..3 {
        drop(fake.stream().await);
    }
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    assert_eq!(seen.take(), [Status::Connecting, reconnecting(1, 1), reconnecting(2, 2), Status::Closed]);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_new_connection() {
    let (client, peer, mut fake) = connected(|it| it).await;
    drop(peer);
    let (answer, ()) = tokio::join!(client.call::<_, Value>("a", &()), async {
        fake.accept().await.answer("a", json!(1)).await;
    });
    assert_eq!(answer, Ok(json!(1)));
}

async fn cut(client: &Client, fake: &mut Fake) {
    let seen = statuses(client);
    fake.accept().await.close(1001, "").await;
    while !seen.take().iter().any(|status| matches!(status, Status::Reconnecting { .. })) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_be_cut_short() {
    let (builder, mut fake) = fake();
    let client = builder.build().unwrap();
    cut(&client, &mut fake).await;
    let began = Instant::now();
    let (connected, mut peer) = tokio::join!(client.connect(), fake.accept());
    connected.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    answered(&client, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_wanted_is_wanted_once() {
    let (builder, mut fake) = fake();
    let client = builder.build().unwrap();
    cut(&client, &mut fake).await;
    // Asked for in the middle of the attempt that fulfils it.
    let stream = fake.stream().await;
    let (connected, peer) = tokio::join!(client.connect(), Peer::shake_hands(stream, true));
    connected.unwrap();
    peer.close(1000, "").await;
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    assert_eq!(client.status(), Status::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_not_cut_short_by_who_asked_before_it() {
    let (builder, mut fake) = fake();
    let client = builder.reconnect(exact()).build().unwrap();
    cut(&client, &mut fake).await;
    let stream = fake.stream().await;
    let (connected, began) = tokio::join!(client.connect(), async {
        drop(stream);
        Instant::now()
    });
    connected.unwrap_err();
    let _peer = fake.accept().await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_the_reconnecting() {
    let (builder, mut fake) = fake();
    let client = builder.build().unwrap();
    cut(&client, &mut fake).await;
    client.close(CloseCode::NORMAL, "").await;
    assert_eq!(client.status(), Status::Closed);
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    peer.send(Message::Ping("a".into())).await;
    assert_eq!(peer.next().await, Arrived::Message(Message::Pong("a".into())));
    // Of several that come together the newest is.
    let pings = ["b", "c", "d"].map(|ping| Frame::unmasked(Message::Ping(ping.into())).to_vec()).concat();
    peer.raw(&pings).await;
    assert_eq!(peer.next().await, Arrived::Message(Message::Pong("d".into())));
    answered(&client, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_vanished_is_noticed() {
    let (client, mut peer, mut fake) = connected(|it| it.heartbeat(Duration::from_secs(25))).await;
    let seen = statuses(&client);
    let began = Instant::now();
    assert_eq!(peer.next().await, Arrived::Message(Message::Ping(Default::default())));
    assert_eq!(began.elapsed(), Duration::from_secs(25));
    peer.send(Message::Pong(Default::default())).await;
    assert_eq!(peer.next().await, Arrived::Message(Message::Ping(Default::default())));
    assert_eq!(began.elapsed(), Duration::from_secs(50));
    let mut fresh = fake.accept().await;
    assert!((60.8..=61.2).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    answered(&client, &mut fresh).await;
    assert!(matches!(seen.take()[..], [Status::Open, Status::Reconnecting { attempt: 1, .. }, Status::Open]));
}
