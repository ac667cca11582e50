//! How calls and sends settle.

use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wirelark_client::{CallError, Client, CloseCode, ClosedBy, Offline, Reconnect, ReportKind};
use wirelark_proto::Message;

use crate::fake::{Arrived, Peer, connected, fake, fake_with_pipe, reporting};

async fn call(client: &Client, name: &str) -> Result<Value, CallError> {
    client.call(name, &json!({})).await
}

/// A call on a task of its own.
fn start(client: &Client, name: &'static str) -> tokio::task::JoinHandle<Result<Value, CallError>> {
    let client = client.clone();
    tokio::spawn(async move { call(&client, name).await })
}

fn closed_with(result: &Result<Value, CallError>, code: CloseCode) {
    assert!(matches!(result, Err(CallError::Closed(closed)) if closed.code == code), "{result:?}");
}

fn disconnected<T: std::fmt::Debug>(result: &Result<T, CallError>, was_sent: bool, code: CloseCode) {
    let Err(CallError::Disconnected { sent, closed }) = result else { panic!("{result:?}") };
    assert_eq!((*sent, closed.code), (was_sent, code), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_a_request_and_its_answer() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let input = json!({"text": "hi"});
    let (answer, ()) = tokio::join!(client.call::<_, Value>("echo", &input), async {
        let (id, body) = peer.request("echo").await;
        assert_eq!((id.as_str(), &body), ("echo-1", &json!({"text": "hi"})));
        peer.respond(&id, "echo", body).await;
    });
    assert_eq!(answer, Ok(json!({"text": "hi"})));
    // Without anything in, and without anything out.
    let (done, ()) = tokio::join!(client.call::<_, ()>("ping", &()), async {
        let (id, body) = peer.request("ping").await;
        assert_eq!((id.as_str(), body), ("ping-2", json!({})));
        peer.json(json!({"socka": "serverResponse", "v": 1, "id": id, "rpc": "ping"})).await;
    });
    assert_eq!(done, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_calls_in_any_order() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let (first, second) = (start(&client, "a"), start(&client, "a"));
    let ids = [peer.request("a").await.0, peer.request("a").await.0];
    assert_eq!(ids, ["a-1", "a-2"]);
    peer.respond(&ids[1], "a", json!(2)).await;
    peer.respond(&ids[0], "a", json!(1)).await;
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(json!(1)), Ok(json!(2))));
}

#[tokio::test(start_paused = true)]
async fn an_error_tells_everything_the_server_said() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let call = start(&client, "fail");
    let (id, _) = peer.request("fail").await;
    peer.json(json!({
        "socka": "serverError", "v": 1, "id": id, "error": "nope", "rpc": "fail", "code": "FORBIDDEN", "data": {"n": 7},
    }))
    .await;
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (Some("FORBIDDEN"), "nope"));
    let CallError::Refused(error) = error else { panic!("{error:?}") };
    assert_eq!((&*error.request_id, error.call.as_deref()), ("fail-1", Some("fail")));
    assert_eq!(error.data(), Some(Ok(json!({"n": 7}))));
    assert!(matches!(error.data::<String>(), Some(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_type_is_an_error() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let (answer, ()) = tokio::join!(client.call::<_, u32>("count", &()), peer.answer("count", json!("many")));
    assert!(matches!(answer, Err(CallError::Decode(_))), "{answer:?}");
    let other = start(&client, "a");
    let (id, _) = peer.request("a").await;
    peer.respond(&id, "b", json!(1)).await;
    assert!(matches!(other.await.unwrap(), Err(CallError::Decode(_))));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_not_sent() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    assert!(matches!(client.call::<_, ()>("a", &[1]).await, Err(CallError::Encode(_))));
    assert!(matches!(client.send("a", &u64::MAX).await, Err(CallError::Encode(_))));
    client.send("b", &()).await.unwrap();
    peer.request("b").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_times_out_and_its_late_answer_is_dropped() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    let began = Instant::now();
    let (answer, id) = tokio::join!(call(&client, "slow"), async { peer.request("slow").await.0 });
    assert_eq!(answer, Err(CallError::Timeout { sent: true }));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    peer.respond(&id, "slow", json!("late")).await;
    peer.json(json!({"socka": "serverError", "v": 1, "id": id, "error": "late"})).await;
    let patient = client.with_call_timeout(Duration::from_secs(60));
    let (answer, ()) = tokio::join!(call(&patient, "slow"), async {
        let (id, _) = peer.request("slow").await;
        tokio::time::sleep(Duration::from_secs(59)).await;
        peer.respond(&id, "slow", json!("in time")).await;
    });
    assert_eq!(answer, Ok(json!("in time")));
    assert_eq!(reports.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_forgotten() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.calls(1).build().unwrap();
    // Not sent yet: it never will be.
    let waiting = start(&client, "unsent");
    tokio::task::yield_now().await;
    waiting.abort();
    let _ = waiting.await;
    let mut peer = fake.accept().await;
    let waiting = start(&client, "sent");
    let (id, _) = peer.request("sent").await;
    waiting.abort();
    let _ = waiting.await;
    peer.respond(&id, "sent", json!(1)).await;
    // There is room for one call at a time, and there is again.
    let (answer, ()) = tokio::join!(call(&client, "next"), peer.answer("next", json!(2)));
    assert_eq!((answer, reports.take()), (Ok(json!(2)), vec![]));
}

#[tokio::test(start_paused = true)]
async fn calls_settle_when_the_server_hangs_up() {
    let (client, mut peer, mut fake) = connected(|it| it).await;
    let calls = [start(&client, "a"), start(&client, "b")];
    peer.request("a").await;
    peer.request("b").await;
    drop(peer);
    for call in calls {
        disconnected(&call.await.unwrap(), true, CloseCode::ABNORMAL);
    }
    // The next one waits for the next connection.
    let waiting = start(&client, "c");
    fake.accept().await.answer("c", json!(3)).await;
    assert_eq!(waiting.await.unwrap(), Ok(json!(3)));
}

#[tokio::test(start_paused = true)]
async fn calls_settle_when_the_client_is_closed() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let waiting = start(&client, "a");
    peer.request("a").await;
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close(CloseCode::new(4000), "done").await }
    });
    closed_with(&waiting.await.unwrap(), CloseCode::new(4000));
    peer.expect_close(4000, "done").await;
    closing.await.unwrap();
    closed_with(&call(&client, "b").await, CloseCode::new(4000));
    assert_eq!(client.closed().map(|closed| closed.by), Some(ClosedBy::Client));
}

#[tokio::test(start_paused = true)]
async fn sends_leave_before_the_goodbye_and_calls_do_not() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    // Nothing of this has left when the close is asked for: the client's task has had no turn.
    let mut called = std::pin::pin!(call(&client, "called"));
    assert!(poll_fn(|cx| Poll::Ready(called.as_mut().poll(cx).is_pending())).await);
    client.send("sent", &()).await.unwrap();
    let (called, (), ()) = tokio::join!(called, client.close(CloseCode::NORMAL, ""), async {
        peer.request("sent").await;
        peer.expect_close(1000, "").await;
    });
    closed_with(&called, CloseCode::NORMAL);
}

async fn drain(peer: &mut Peer) -> usize {
    let mut messages = 0;
    while let Arrived::Message(_) = peer.next().await {
        messages += 1;
    }
    messages
}

#[tokio::test(start_paused = true)]
async fn sends_have_no_answer_and_their_failure_is_reported() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    client.send("nudge", &json!({"x": -1})).await.unwrap();
    let (id, body) = peer.request("nudge").await;
    assert_eq!((id.as_str(), body), ("nudge-1", json!({"x": -1})));
    peer.json(json!({"socka": "serverError", "v": 1, "id": id, "error": "bad nudge"})).await;
    peer.json(json!({"socka": "serverResponse", "v": 1, "id": id, "rpc": "nudge"})).await;
    peer.json(
        json!({"socka": "serverError", "v": 1, "id": "nobody-7", "error": "of nobody", "rpc": "nobody"}),
    )
    .await;
    let (_, ()) = tokio::join!(call(&client, "flush"), peer.answer("flush", json!(0)));
    let nudge = Some("nudge".to_owned());
    assert_eq!(
        reports.take(),
        [
            (ReportKind::SendFailed, nudge.clone(), "bad nudge".to_owned()),
            (ReportKind::UnexpectedResponse, nudge, "nudge-1".to_owned()),
            (ReportKind::OrphanError, Some("nobody".to_owned()), "of nobody".to_owned()),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_while_connecting_leaves_in_order() {
    let (builder, mut fake) = fake();
    let client = builder.auto_connect(false).build().unwrap();
    client.send("a", &()).await.unwrap();
    client.send("b", &()).await.unwrap();
    let waiting = start(&client, "c");
    let mut peer = fake.accept().await;
    for name in ["a", "b"] {
        peer.request(name).await;
    }
    peer.answer("c", json!(1)).await;
    assert_eq!(waiting.await.unwrap(), Ok(json!(1)));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_messages_and_in_bytes() {
    let (builder, mut fake) = fake();
    let client = builder.outbox(2, 400).build().unwrap();
    client.send("a", &()).await.unwrap();
    client.send("b", &json!({"text": "x".repeat(300)})).await.unwrap_err();
    client.send("b", &json!({"text": "x".repeat(200)})).await.unwrap();
    assert_eq!(client.send("c", &()).await, Err(CallError::Full), "a third message");
    assert_eq!(call(&client, "c").await, Err(CallError::Full), "a third message");
    let mut peer = fake.accept().await;
    peer.request("a").await;
    peer.request("b").await;
    client.send("c", &()).await.unwrap();
    peer.request("c").await;
    assert_eq!(
        client.send("d", &json!({"text": "x".repeat(400)})).await,
        Err(CallError::Full),
        "it never fits"
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_connection_a_send_waits_for_room() {
    let (builder, mut fake) = fake_with_pipe(1024);
    let client = builder.outbox(4, 1024 * 1024).build().unwrap();
    let mut peer = fake.accept().await;
    client.connect().await.unwrap();
    let sending = tokio::spawn({
        let client = client.clone();
        async move {
            for _ in 0..1000 {
                client.send("chunk", &json!({"text": "x".repeat(1000)})).await?;
            }
            client.close(CloseCode::NORMAL, "").await;
            Ok::<_, CallError>(())
        }
    });
    assert_eq!(drain(&mut peer).await, 1000);
    drop(peer);
    sending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_send_does_not_wait_for_ever() {
    let (builder, mut fake) = fake_with_pipe(1024);
    let client = builder.outbox(2, 1024 * 1024).build().unwrap();
    let _reads_nothing = fake.accept().await;
    client.connect().await.unwrap();
    let began = Instant::now();
    let mut sent = 0;
    let error = loop {
        match client.send("chunk", &json!({"text": "x".repeat(30_000)})).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error, began.elapsed()), (CallError::Full, Duration::from_secs(10)));
    assert!(sent < 10, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_run_are_bounded() {
    let (client, mut peer, _fake) = connected(|it| it.calls(2)).await;
    let running = [start(&client, "a"), start(&client, "a")];
    peer.request("a").await;
    let (id, _) = peer.request("a").await;
    assert_eq!(call(&client, "a").await, Err(CallError::Full));
    client.send("b", &()).await.unwrap();
    peer.request("b").await;
    peer.respond(&id, "a", json!(1)).await;
    let [_, second] = running;
    second.await.unwrap().unwrap();
    let (answer, ()) = tokio::join!(call(&client, "c"), peer.answer("c", json!(2)));
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn offline_calls_can_fail_at_once() {
    let (client, peer, mut fake) = connected(|it| it.offline(Offline::Fail)).await;
    let statuses = crate::fake::statuses(&client);
    peer.close(1001, "").await;
    while !statuses.take().iter().any(|status| matches!(status, wirelark_client::Status::Reconnecting { .. }))
    {
        tokio::task::yield_now().await;
    }
    disconnected(&call(&client, "a").await, false, CloseCode::GOING_AWAY);
    disconnected(&client.send("a", &()).await, false, CloseCode::GOING_AWAY);
    let mut peer = fake.accept().await;
    client.connect().await.unwrap();
    let (answer, ()) = tokio::join!(call(&client, "a"), peer.answer("a", json!(1)));
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_connection_has_its_own_limit() {
    let (builder, _nobody_accepts) = fake();
    let client = builder.connect_timeout(Duration::from_secs(3_600)).build().unwrap();
    let began = Instant::now();
    assert_eq!(call(&client, "a").await, Err(CallError::Timeout { sent: false }));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_lost_with_the_last_attempt() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.reconnect(Reconnect::Never).build().unwrap();
    client.send("a", &()).await.unwrap();
    let waiting = start(&client, "b");
    drop(fake.stream().await);
    disconnected(&waiting.await.unwrap(), false, CloseCode::ABNORMAL);
    closed_with(&call(&client, "c").await, CloseCode::ABNORMAL);
    let lost = "the connection ended before it was sent".to_owned();
    assert_eq!(reports.take(), [(ReportKind::SendLost, Some("a".to_owned()), lost)]);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_reported_and_changes_nothing() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    let garbage = [
        (Message::from("{"), "socka: invalid JSON"),
        (Message::from("[]"), "socka: expected a JSON object"),
        (Message::from("{}"), "socka: missing \"socka\" discriminator"),
        (Message::from(r#"{"socka":"serverEvent","v":2}"#), "socka: unsupported wire version"),
        (Message::from(r#"{"socka":"hello","v":1}"#), "socka: unknown or invalid frame kind hello"),
        (
            Message::from(r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"a","body":{}}"#),
            "socka: unexpected client-originated frame from server",
        ),
        (Message::from(vec![1, 2, 3]), "socka: expected JSON text frame"),
    ];
    for (message, _) in &garbage {
        peer.send(message.clone()).await;
    }
    peer.push("unknown", json!({"is": "no error"})).await;
    for id in ["", "-", "a", "a-0", "a--1", "a-99999999999999999999999", "flush-1", "flush-2"] {
        peer.respond(id, "flush", json!(0)).await;
    }
    let (answer, ()) = tokio::join!(call(&client, "flush"), peer.answer("flush", json!(1)));
    assert_eq!(answer, Ok(json!(1)));
    let texts: Vec<_> = reports.take().into_iter().map(|(kind, _, text)| (kind, text)).collect();
    assert_eq!(texts, garbage.map(|(_, text)| (ReportKind::Malformed, text.to_owned())));
}
