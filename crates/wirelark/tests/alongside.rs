//! Work that lives as long as the server serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;
use wirelark::testing::Host;
use wirelark::{App, Socket};

async fn listen(mut socket: Socket) {
    while socket.recv().await.is_some() {}
}

/// Greets whoever is there each second, and says goodbye to nobody but us.
fn greeting(ended: &Arc<AtomicBool>) -> App {
    let ended = Arc::clone(ended);
    App::new().socket("/", listen).alongside(async move |hub, stop| {
        while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
            hub.broadcast("hello").await;
        }
        // Nothing waits for this but the server.
        tokio::time::sleep(Duration::from_secs(2)).await;
        ended.store(true, SeqCst);
    })
}

async fn check_life(host: Host, ended: &AtomicBool) {
    let mut client = host.at("/").connect().await;
    assert_eq!(client.expect_text().await, "hello");
    assert!(!ended.load(SeqCst));
    host.close().await;
    assert!(ended.load(SeqCst), "closing waits for what runs alongside");
}

#[tokio::test(start_paused = true)]
async fn it_has_the_hub_and_is_waited_for_in_memory() {
    let ended = Arc::default();
    check_life(Host::new(greeting(&ended)), &ended).await;
}

#[tokio::test]
async fn it_has_the_hub_and_is_waited_for_over_tcp() {
    let ended = Arc::default();
    check_life(Host::tcp(greeting(&ended)).await, &ended).await;
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_dropped_after_the_drain_timeout() {
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&dropped));
    let app = App::new().alongside(async move |_, _| {
        let _guard = guard;
        std::future::pending().await
    });
    let server = app.bind(("127.0.0.1", 0)).await.expect("a free port");
    let start = tokio::time::Instant::now();
    server.drain_timeout(Duration::from_secs(3)).run_until(std::future::ready(())).await;
    assert!(dropped.load(SeqCst));
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_mounted_app_starts_it_once() {
    let starts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&starts);
    let app = App::new().alongside(async move |_, stop: CancellationToken| {
        counted.fetch_add(1, SeqCst);
        stop.cancelled().await;
    });
    let built = app.build().expect("an app that can be built");
    let stop = CancellationToken::new();
    let (first, second) = (built.start_alongside(&stop), built.clone().start_alongside(&stop));
    second.await;
    stop.cancel();
    first.await;
    assert_eq!(starts.load(SeqCst), 1);
}

#[test]
#[should_panic(expected = "call `build()`, mount its `router()`, and call `start_alongside`")]
fn a_router_that_would_never_run_it_is_refused() {
    let _: Router = App::new().alongside(async |_, _| ()).into();
}
