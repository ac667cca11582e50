//! What depends on time, under a paused clock.

use std::time::Duration;

use wirelark::testing::{ClientEvent, Host};
use wirelark::{App, Options, Socket, Upgrade};

const SECOND: Duration = Duration::from_secs(1);

async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

fn host(options: Options) -> Host {
    Host::new(App::new().socket("/", echo).options(options))
}

#[tokio::test(start_paused = true)]
async fn pings_come_at_every_beat() {
    let host = host(Options::new().heartbeat(3 * SECOND));
    let mut client = host.at("/").timeout(100 * SECOND).connect().await;
    let start = tokio::time::Instant::now();
    for beat in 1..=5 {
        client.expect_ping().await;
        let late = start.elapsed().saturating_sub(3 * SECOND * beat);
        assert!(start.elapsed() >= 3 * SECOND * beat && late < SECOND / 2, "beat {beat} came {late:?} late");
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_dropped_at_the_deadline() {
    let host = host(Options::new().heartbeat(5 * SECOND).pong_deadline(2 * SECOND));
    let mut client = host.at("/").ignore_pings().timeout(100 * SECOND).connect().await;
    let start = tokio::time::Instant::now();
    client.expect_ping().await;
    assert_eq!(client.expect_close(1001).await, "heartbeat timeout");
    assert!((7 * SECOND..8 * SECOND).contains(&start.elapsed()), "dropped after {:?}", start.elapsed());
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn any_byte_counts_as_an_answer() {
    let host = host(Options::new().heartbeat(5 * SECOND).pong_deadline(2 * SECOND));
    let mut client = host.at("/").ignore_pings().connect().await;
    for _ in 0..20 {
        host.advance(SECOND).await;
        client.send_text("busy").await;
        assert_eq!(client.expect_text().await, "busy");
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_reads_nothing_is_not_taken_for_a_dead_peer() {
    async fn sleepy(mut socket: Socket) {
        tokio::time::sleep(60 * SECOND).await;
        let mut received = 0;
        while socket.recv().await.is_some() {
            received += 1;
            if received == 40 {
                let _ = socket.send("all forty").await;
            }
        }
    }
    let host = Host::new(App::new().socket("/", sleepy).options(Options::new().message_bytes(1 << 20)));
    let mut client = host.at("/").timeout(200 * SECOND).connect().await;
    // More than is read ahead: the pongs of the client are stuck behind its messages.
    for _ in 0..40 {
        client.send_bytes(vec![0; 10_000]).await;
    }
    assert_eq!(client.expect_text().await, "all forty");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_pongs_are_no_life() {
    let host = host(Options::new().idle(30 * SECOND).heartbeat(4 * SECOND));
    let mut client = host.at("/").timeout(100 * SECOND).connect().await;
    host.advance(20 * SECOND).await;
    client.send_text("here").await;
    assert_eq!(client.expect_text().await, "here");
    let start = tokio::time::Instant::now();
    assert_eq!(client.expect_close(1001).await, "idle timeout");
    assert!((29 * SECOND..31 * SECOND).contains(&start.elapsed()), "closed after {:?}", start.elapsed());
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn there_is_no_idle_limit_unless_asked_for() {
    let host = host(Options::new());
    let mut client = host.at("/").connect().await;
    host.advance(Duration::from_secs(24 * 3_600)).await;
    client.send_text("a day later").await;
    assert_eq!(client.expect_text().await, "a day later");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_nobody_answers_ends_at_the_close_timeout() {
    async fn closes(socket: Socket) {
        socket.close(wirelark::CloseCode::NORMAL, "over");
    }
    let options = Options::new().close_timeout(3 * SECOND);
    let host = Host::new(App::new().socket("/", closes).options(options));
    let client = host.at("/").connect().await;
    client.stop_reading();
    let start = tokio::time::Instant::now();
    while host.hub().connection_count() > 0 {
        host.advance(SECOND / 10).await;
    }
    // The client may have read and answered before it stopped; then the end comes at once.
    assert!(start.elapsed() <= 4 * SECOND, "gone after {:?}", start.elapsed());
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_unread_messages_is_answered_at_the_close_timeout() {
    async fn busy(_socket: Socket) {
        tokio::time::sleep(60 * SECOND).await;
    }
    let host = Host::new(App::new().socket("/", busy).options(Options::new().close_timeout(3 * SECOND)));
    let mut client = host.at("/").timeout(100 * SECOND).connect().await;
    client.send_text("never read").await;
    client.close(4000, "bye").await;
    let start = tokio::time::Instant::now();
    assert_eq!(client.expect_close(4000).await, "bye");
    assert!(start.elapsed() <= 4 * SECOND, "answered after {:?}", start.elapsed());
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_must_be_answered_in_time() {
    async fn dawdle(upgrade: Upgrade) -> wirelark::Result {
        tokio::time::sleep(11 * SECOND).await;
        upgrade.accept().await?;
        Ok(())
    }
    let host = Host::new(App::new().socket("/", dawdle));
    let start = tokio::time::Instant::now();
    host.at("/").timeout(100 * SECOND).expect_rejected(504).await;
    assert!((10 * SECOND..11 * SECOND).contains(&start.elapsed()));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn shutting_down_closes_everybody_and_waits_for_handlers() {
    async fn thorough(mut socket: Socket) {
        while socket.recv().await.is_some() {}
        // The last thing a handler does still happens.
        tokio::time::sleep(2 * SECOND).await;
        FINISHED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
    static FINISHED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let host = Host::new(App::new().socket("/", thorough));
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(host.at("/").connect().await);
    }
    let hub = host.hub().clone();
    host.close().await;
    for client in &mut clients {
        assert_eq!(client.expect_close(1001).await, "server shutdown");
    }
    assert_eq!(FINISHED.load(std::sync::atomic::Ordering::SeqCst), 20);
    assert_eq!(hub.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_dropped_at_the_drain_timeout() {
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            DROPPED.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    static DROPPED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    async fn stubborn(_socket: Socket) {
        let _guard = Guard;
        std::future::pending::<()>().await;
    }
    let host = Host::new(App::new().socket("/", stubborn));
    let mut client = host.at("/").connect().await;
    let start = tokio::time::Instant::now();
    host.close().await;
    assert!(start.elapsed() <= 11 * SECOND, "{:?}", start.elapsed());
    assert!(DROPPED.load(std::sync::atomic::Ordering::SeqCst), "the handler's values were dropped");
    assert!(matches!(client.next().await, ClientEvent::Close(_)));
}

#[tokio::test(start_paused = true)]
async fn many_seeds_make_no_difference() {
    for seed in 0..50 {
        let host = host(Options::new()).seed(seed);
        let mut client = host.at("/").connect().await;
        for size in [0, 1, 200, 5_000, 60_000] {
            client.send_bytes(vec![seed as u8; size]).await;
            assert_eq!(client.expect_bytes().await.len(), size, "seed {seed}");
        }
        host.close().await;
    }
}
