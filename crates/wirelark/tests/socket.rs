//! The socket API: every way to receive, send and end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use wirelark::testing::Host;
use wirelark::{App, Close, CloseCode, ClosedBy, Message, Options, SendError, Socket, socket};

#[derive(Debug, Deserialize, Serialize)]
struct Point {
    x: i32,
    y: i32,
}

#[tokio::test(start_paused = true)]
async fn json_skips_or_hands_over_what_is_none() {
    async fn skipping(socket: Socket) -> wirelark::Result {
        let mut points = socket.json::<Point, Point>();
        while let Some(Point { x, y }) = points.recv().await {
            points.send(&Point { x: y, y: x }).await?;
        }
        Ok(())
    }
    async fn strict(socket: Socket) -> wirelark::Result {
        let mut points = socket.json::<Point, Point>();
        while let Some(point) = points.try_recv().await {
            let Point { x, y } = point.map_err(|_| Close::new(CloseCode::INVALID_PAYLOAD, "not a point"))?;
            points.send(&Point { x: y, y: x }).await?;
        }
        Ok(())
    }
    let host = Host::new(App::new().socket("/skip", skipping).socket("/strict", strict));
    let mut client = host.at("/skip").connect().await;
    for nonsense in ["", "{", "{\"x\":1}", "[1,2,3]"] {
        client.send_text(nonsense).await;
    }
    client.send_bytes(&b"\xFF\xFE"[..]).await;
    client.send_json(&Point { x: 1, y: 2 }).await;
    assert_eq!(client.expect_text().await, r#"{"x":2,"y":1}"#);
    client.send_bytes(&br#"{"x":3,"y":4}"#[..]).await;
    assert_eq!(client.expect_json::<Point>().await.x, 4);
    let mut client = host.at("/strict").connect().await;
    client.send_text("{").await;
    assert_eq!(client.expect_close(1007).await, "not a point");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_is_a_stream_and_a_sink() {
    async fn forward(mut socket: Socket) -> wirelark::Result {
        while let Some(message) = StreamExt::next(&mut socket).await {
            SinkExt::send(&mut socket, message).await?;
        }
        Ok(())
    }
    let host = Host::new(App::new().socket("/", forward));
    let mut client = host.at("/").connect().await;
    for number in 0..100 {
        client.send_text(&number.to_string()).await;
    }
    for number in 0..100 {
        assert_eq!(client.expect_text().await, number.to_string());
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn halves_work_in_two_tasks() {
    async fn halves(socket: Socket) {
        let (sender, mut receiver) = socket.split();
        let reading = tokio::spawn(async move {
            let mut sum = 0;
            while let Some(message) = receiver.recv().await {
                sum += message.len();
            }
            sum
        });
        for number in 0..3 {
            let _ = sender.send(format!("tick {number}")).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        sender.close(CloseCode::NORMAL, "done");
        assert_eq!(reading.await.expect("the reader ends"), 10);
    }
    let host = Host::new(App::new().socket("/", halves));
    let mut client = host.at("/").connect().await;
    client.send_text("0123456789").await;
    for number in 0..3 {
        assert_eq!(client.expect_text().await, format!("tick {number}"));
    }
    assert_eq!(client.expect_close(1000).await, "done");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_something_else_still_answers_and_notices() {
    async fn waiting(mut socket: Socket) {
        let token = socket.token();
        token.cancelled().await;
        let closed = socket.closed().expect("it has ended");
        assert_eq!((closed.code, closed.by), (CloseCode::new(4100), ClosedBy::Client));
        // What had arrived before the end is still there.
        assert_eq!(socket.recv().await, Some(Message::from("early")));
        assert_eq!(socket.recv().await, None);
        assert_eq!(socket.send("too late").await, Err(SendError::Closed));
    }
    let host = Host::new(App::new().socket("/", waiting));
    let mut client = host.at("/").connect().await;
    client.send_text("early").await;
    client.send_ping("there?").await;
    assert_eq!(client.expect_pong().await, "there?");
    client.close(4100, "enough").await;
    assert_eq!(client.expect_close(4100).await, "enough");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_send_fails_and_closes() {
    async fn oversized(socket: Socket) {
        assert_eq!(socket.send(vec![0; 101]).await, Err(SendError::TooLarge));
        assert_eq!(socket.send("after").await, Err(SendError::Closed));
    }
    let host = Host::new(App::new().socket("/", oversized).options(Options::new().message_bytes(100)));
    host.at("/").connect().await.expect_close(1009).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn close_counts_once_and_what_was_sent_before_still_leaves() {
    async fn closes_twice(socket: Socket) -> wirelark::Result {
        socket.send("last words").await?;
        socket.close(CloseCode::new(4001), "first");
        socket.close(CloseCode::new(4002), "second");
        assert_eq!(socket.send("after").await, Err(SendError::Closed));
        assert!(socket.token().is_cancelled());
        Err(Close::new(CloseCode::new(4003), "third").into())
    }
    let host = Host::new(App::new().socket("/", closes_twice));
    let mut client = host.at("/").connect().await;
    assert_eq!(client.expect_text().await, "last words");
    assert_eq!(client.expect_close(4001).await, "first");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_reach_a_handler_that_asks_for_them() {
    async fn all_kinds(mut socket: Socket) -> wirelark::Result {
        socket.ping("from the server")?;
        assert_eq!(socket.ping(vec![0; 126]), Err(SendError::TooLarge));
        while let Some(message) = socket.recv().await {
            socket.send(format!("{:?} of {}", message.kind(), message.len())).await?;
        }
        Ok(())
    }
    let options = Options::new().control_frames(true);
    let host = Host::new(App::new().socket("/", socket(all_kinds).options(options)));
    let mut client = host.at("/").connect().await;
    assert_eq!(client.expect_ping().await, "from the server");
    assert_eq!(client.expect_text().await, "Pong of 15");
    client.send_ping("abc").await;
    assert_eq!(client.expect_pong().await, "abc");
    assert_eq!(client.expect_text().await, "Ping of 3");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_open_socket_hoards_nothing() {
    async fn keeps(socket: Socket) {
        socket.keep_open();
    }
    let host = Host::new(App::new().socket("/", keeps));
    let mut client = host.at("/").connect().await;
    for _ in 0..500 {
        client.send_bytes(vec![0; 10_000]).await;
    }
    client.send_ping("read all of it").await;
    assert_eq!(client.expect_pong().await, "read all of it");
    let labels = [("route", "/"), ("kind", "binary")];
    assert_eq!(host.counter("websocket.messages.in.total", &labels), 500);
    client.close(1000, "").await;
    client.expect_close(1000).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn senders_of_many_tasks_wait_for_room_in_turn() {
    async fn many(mut socket: Socket) {
        let mut tasks = Vec::new();
        for task in 0..8_u8 {
            let sender = socket.sender();
            tasks.push(tokio::spawn(async move {
                for number in 0..50_u8 {
                    sender
                        .send([task, number, 0, 0, 0, 0, 0, 0].repeat(500))
                        .await
                        .expect("the client reads in the end");
                }
            }));
        }
        for task in tasks {
            task.await.expect("every sender ends");
        }
        socket.recv().await;
    }
    let options = Options::new().outbox_bytes(20_000).slow_client(wirelark::SlowClient::Wait);
    let host = Host::new(App::new().socket("/", socket(many).options(options)));
    let mut client = host.at("/").timeout(Duration::from_secs(60)).connect().await;
    client.stop_reading();
    host.advance(Duration::from_secs(3)).await;
    client.resume_reading();
    let mut next = [0; 8];
    for _ in 0..400 {
        let bytes = client.expect_bytes().await;
        let (task, number) = (usize::from(bytes[0]), bytes[1]);
        assert_eq!(number, next[task], "each task's messages keep their order");
        next[task] += 1;
    }
    host.close().await;
}
