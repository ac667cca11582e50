//! What is asked of a server, and how attempts fail.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wirelark_client::{
    Backoff, BuildError, CallError, Client, CloseCode, ClosedBy, ConnectError, Format, Reconnect, Status,
};

use crate::fake::{Fake, connected, fake, statuses};

#[tokio::test(start_paused = true)]
async fn the_request_says_what_the_builder_was_told() {
    let (builder, mut fake) = fake();
    let builder =
        builder.bearer("secret").header("x-tenant", "a").protocol("bearer.secret").format(Format::MsgPack);
    let _client = builder.build().unwrap();
    let peer = fake.accept().await;
    assert_eq!(peer.line, "GET /path?query HTTP/1.1");
    assert_eq!(peer.protocols, ["wirelark.v1.msgpack", "bearer.secret"]);
    for (name, value) in [("host", "fake.test"), ("authorization", "Bearer secret"), ("x-tenant", "a")] {
        assert_eq!(peer.headers[name], value);
    }
}

#[tokio::test(start_paused = true)]
async fn plain_socka_offers_nothing() {
    let (builder, mut fake) = fake();
    let client = builder.plain_socka().build().unwrap();
    let mut peer = fake.accept().await;
    assert_eq!(peer.protocols, [""; 0]);
    let (answer, ()) = tokio::join!(client.call::<_, Value>("a", &()), peer.answer("a", json!(1)));
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_agree_is_no_server() {
    let (builder, mut fake) = fake();
    let (connected, _) = tokio::join!(builder.connect(), fake.accept_with(false));
    let error = connected.unwrap_err();
    assert!(matches!(error, ConnectError::Subprotocol("wirelark.v1.json")), "{error}");
    assert!(error.to_string().contains("plain_socka()"), "{error}");
}

async fn refused(response: &str) -> (ConnectError, Client, Fake) {
    let (builder, mut fake) = fake();
    let client = builder.build().unwrap();
    let (connected, _stream) = tokio::join!(client.connect(), fake.answer(response));
    (connected.unwrap_err(), client, fake)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_and_final_where_trying_again_is_no_use() {
    let response = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nsign in";
    let (error, client, mut fake) = refused(response).await;
    let ConnectError::Refused { status, body, .. } = error else { panic!("{error}") };
    assert_eq!((status.as_u16(), &*body), (401, "sign in"));
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    assert_eq!(client.status(), Status::Closed);
    let closed = client.closed().unwrap();
    assert_eq!((closed.code, closed.by), (CloseCode::SIGN_IN, ClosedBy::Server));
    assert_eq!(client.call::<_, ()>("a", &()).await, Err(CallError::Closed(closed)));
    // Signed in meanwhile.
    let (connected, _peer) = tokio::join!(client.connect(), fake.accept());
    connected.unwrap();
    assert_eq!((client.status(), client.closed()), (Status::Open, None));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let response = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
    let (_, client, mut fake) = refused(response).await;
    let began = Instant::now();
    let _peer = fake.accept().await;
    assert!((60..=72).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    client.connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_is_an_error() {
    let (error, ..) = refused("HTTP/1.1 101 Switching Protocols\r\n\r\n").await;
    assert!(matches!(error, ConnectError::Handshake(_)), "{error}");
    let (builder, mut fake) = fake();
    let (connected, ()) = tokio::join!(builder.connect(), async { drop(fake.stream().await) });
    assert!(matches!(connected.unwrap_err(), ConnectError::Io(_) | ConnectError::Handshake(_)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_does_not_take_for_ever() {
    let (builder, mut fake) = fake();
    let began = Instant::now();
    let (connected, _stream) = tokio::join!(builder.connect(), fake.stream());
    assert!(matches!(connected.unwrap_err(), ConnectError::Timeout));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_client_can_be_told_to_wait_before_it_connects() {
    let (builder, mut fake) = fake();
    let client = builder.auto_connect(false).build().unwrap();
    let seen = statuses(&client);
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    let (answer, ()) = tokio::join!(client.call::<_, Value>("a", &()), async {
        fake.accept().await.answer("a", json!(1)).await;
    });
    answer.unwrap();
    assert_eq!(seen.take()[..3], [Status::Idle, Status::Connecting, Status::Open]);
}

#[tokio::test(start_paused = true)]
async fn closed_and_connected_again() {
    let (builder, mut fake) = fake();
    let client = builder.auto_connect(false).build().unwrap();
    let seen = statuses(&client);
    for _ in 0..3 {
        let (connected, mut peer) = tokio::join!(client.connect(), fake.accept());
        connected.unwrap();
        client.connect().await.unwrap();
        let (answer, ()) = tokio::join!(client.call::<_, Value>("a", &()), peer.answer("a", json!(1)));
        answer.unwrap();
        tokio::join!(client.close(CloseCode::NORMAL, "bye"), peer.expect_close(1000, "bye"));
        client.close(CloseCode::NORMAL, "again").await;
    }
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
    let round = [Status::Connecting, Status::Open, Status::Closed];
    assert_eq!(seen.take(), [&[Status::Idle][..], &round, &round, &round].concat());
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_an_attempt_and_a_wait() {
    let (builder, mut fake) = fake();
    let client = builder.build().unwrap();
    let _stream = fake.stream().await;
    let (connected, ()) = tokio::join!(client.connect(), client.close(CloseCode::NORMAL, "never mind"));
    assert!(matches!(connected.unwrap_err(), ConnectError::Closed(_)));
    let (connected, _) = tokio::join!(client.connect(), async { drop(fake.stream().await) });
    connected.unwrap_err();
    client.close(CloseCode::NORMAL, "").await;
    assert_eq!(client.status(), Status::Closed);
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_asked_for_behind_a_close_comes_after_it() {
    let (client, peer, mut fake) = connected(|it| it).await;
    let seen = statuses(&client);
    let reconnected = async {
        client.connect().await.unwrap();
        seen.take()
    };
    let ((), seen, (), _peer) = tokio::join!(
        client.close(CloseCode::NORMAL, ""),
        reconnected,
        peer.expect_close(1000, ""),
        fake.accept()
    );
    assert_eq!(seen, [Status::Open, Status::Closed, Status::Connecting, Status::Open]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_hang_up_is_left() {
    let (builder, mut fake) = fake();
    let (connected, _peer) = tokio::join!(builder.connect(), fake.accept());
    let client = connected.unwrap();
    let began = Instant::now();
    client.close(CloseCode::NORMAL, "").await;
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_connection() {
    let (builder, mut fake) = fake();
    let (connected, peer) = tokio::join!(builder.connect(), fake.accept());
    let client = connected.unwrap();
    drop(client.clone());
    client.send("a", &()).await.unwrap();
    drop(client);
    let mut peer = peer;
    peer.request("a").await;
    peer.expect_close(1001, "").await;
    fake.expect_nobody_for(Duration::from_secs(3_600)).await;
}

#[test]
fn what_cannot_work_is_found_by_build() {
    let error = |builder: wirelark_client::Builder| builder.build().unwrap_err();
    let builder = || Client::builder("wss://a.example");
    assert!(matches!(error(Client::builder("http://a.example")), BuildError::Url(_)));
    assert!(matches!(error(builder().header("a b", "c")), BuildError::Header(_)));
    assert!(matches!(error(builder().bearer("a\r\nb: c")), BuildError::Header(_)));
    assert!(matches!(error(builder().header("host", "b.example")), BuildError::Request(_)));
    assert!(matches!(error(builder().protocol("a b")), BuildError::Request(_)));
    assert!(matches!(error(builder().protocol("wirelark.v1.json")), BuildError::Request(_)));
    assert_eq!(error(builder().message_bytes(0)), BuildError::Zero("message_bytes"));
    assert_eq!(error(builder().outbox(1, 0)), BuildError::Zero("outbox"));
    assert_eq!(error(builder().calls(0)), BuildError::Zero("calls"));
    assert_eq!(error(builder().heartbeat(Duration::ZERO)), BuildError::Zero("heartbeat"));
    assert_eq!(error(builder().call_timeout(Duration::ZERO)), BuildError::Zero("call_timeout"));
    assert_eq!(error(builder().call_timeout(Duration::MAX)), BuildError::TooLong("call_timeout"));
    for backoff in [
        Backoff { initial: Duration::ZERO, ..Backoff::default() },
        Backoff { max: Duration::ZERO, ..Backoff::default() },
        Backoff { factor: 0.5, ..Backoff::default() },
        Backoff { factor: f64::NAN, ..Backoff::default() },
        Backoff { jitter: 1.5, ..Backoff::default() },
    ] {
        assert!(matches!(error(builder().reconnect(Reconnect::Backoff(backoff))), BuildError::Backoff(_)));
    }
    assert_eq!(error(builder()), BuildError::NoRuntime);
}
