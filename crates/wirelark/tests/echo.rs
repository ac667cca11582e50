//! The shortest path through everything.

use std::time::Duration;

use wirelark::testing::Host;
use wirelark::{App, Socket};

async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

fn app() -> App {
    App::new().socket("/echo", echo)
}

async fn check(host: Host) {
    let mut client = host.at("/echo").connect().await;
    client.send_text("hello").await;
    assert_eq!(client.expect_text().await, "hello");
    let large = vec![7; 60_000];
    client.send_bytes(large.clone()).await;
    assert_eq!(client.expect_bytes().await, large);
    client.send_ping("are you there").await;
    assert_eq!(client.expect_pong().await, "are you there");
    client.close(4000, "bye").await;
    assert_eq!(client.expect_close(4000).await, "bye");
    host.close().await;
}

#[tokio::test]
async fn over_memory() {
    check(Host::new(app())).await;
}

#[tokio::test]
async fn over_tcp() {
    check(Host::tcp(app()).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_answered_for_ten_minutes_in_no_time() {
    let host = Host::new(app());
    let mut client = host.at("/echo").connect().await;
    host.advance(Duration::from_secs(600)).await;
    client.send_text("still here").await;
    assert_eq!(client.expect_text().await, "still here");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_dropped() {
    let host = Host::new(app());
    let mut client = host.at("/echo").ignore_pings().connect().await;
    host.advance(Duration::from_secs(34)).await;
    client.expect_ping().await;
    host.advance(Duration::from_secs(2)).await;
    assert_eq!(client.expect_close(1001).await, "heartbeat timeout");
    host.close().await;
}
