//! Jobs: retries, dead letters, delays, keys, panics, timeouts, and the way down. Under a paused clock no test waits.

use std::future::{Future, IntoFuture as _};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use wirelark::auth::User;
use wirelark::axum::body::Body;
use wirelark::axum::http::{Request, Response, StatusCode};
use wirelark::axum::{Extension, Json, routing::post};
use wirelark::testing::Host;
use wirelark::{App, Hub};
use wirelark_jobs::{EnqueueError, Job, JobId, Jobs, JobsBuilder, OpenError, Queue};

const NUMBERS: Queue<u32> = Queue::new("numbers").attempts(3).timeout(Duration::from_secs(10));

/// What a handler saw of an attempt.
#[derive(Debug)]
struct Seen {
    id: JobId,
    number: u32,
    attempt: u32,
    user: Option<String>,
    at: Instant,
}

struct Heard(mpsc::Receiver<Seen>);

impl Heard {
    async fn next(&mut self) -> Seen {
        timeout(Duration::from_secs(3600), self.0.recv())
            .await
            .expect("an attempt within the hour")
            .expect("an attempt")
    }

    /// The next attempts, as number and attempt.
    async fn expect(&mut self, expected: &[(u32, u32)]) {
        for expected in expected {
            let seen = self.next().await;
            assert_eq!((seen.number, seen.attempt), *expected);
        }
    }

    async fn expect_nothing_for(&mut self, time: Duration) {
        if let Ok(seen) = timeout(time, self.0.recv()).await {
            panic!("an attempt nobody expected: {seen:?}");
        }
    }
}

/// Jobs whose handler tells of each attempt and then does what `then` says.
fn telling<F, Fut>(queue: Queue<u32>, then: F) -> (JobsBuilder, Heard)
where
    F: Fn(Job<u32>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let (tell, heard) = mpsc::channel(1000);
    let handler = move |job: Job<u32>, _: Hub| {
        let (tell, then) = (tell.clone(), then.clone());
        async move {
            let seen = Seen {
                id: job.id().clone(),
                number: *job.payload(),
                attempt: job.attempt(),
                user: job.user().map(str::to_owned),
                at: Instant::now(),
            };
            tell.send(seen).await.map_err(|error| error.to_string())?;
            then(job).await
        }
    };
    (Jobs::builder().queue(queue, handler), Heard(heard))
}

/// Succeeds.
async fn succeed(_: Job<u32>) -> Result<(), String> {
    Ok(())
}

/// Fails as often as its number says.
async fn fail_first(job: Job<u32>) -> Result<(), String> {
    if job.attempt() <= *job.payload() { Err(format!("failure {}", job.attempt())) } else { Ok(()) }
}

/// Such jobs, worked on in memory.
async fn start<F, Fut>(queue: Queue<u32>, then: F) -> (Jobs, Host, Heard)
where
    F: Fn(Job<u32>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let (builder, heard) = telling(queue, then);
    let jobs = builder.open_in_memory().await.expect("jobs that can be opened");
    let host = Host::new(App::new().alongside(jobs.worker()));
    (jobs, host, heard)
}

async fn enqueue(jobs: &Jobs, number: u32) -> JobId {
    jobs.enqueue(NUMBERS, &number).await.expect("a job that can be enqueued")
}

/// Waits until a job is dead, and says why.
async fn expect_dead(jobs: &Jobs, id: &JobId) -> (u32, String) {
    for _ in 0..3600 {
        let letters = jobs.dead_letters(10).await.expect("a working store");
        if let Some(letter) = letters.iter().find(|letter| letter.id == *id) {
            assert_eq!((letter.queue.as_str(), letter.user.as_deref()), ("numbers", None));
            return (letter.attempts, letter.error.clone());
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("the job did not die");
}

#[tokio::test(start_paused = true)]
async fn a_job_carries_its_payload_and_who_asked() {
    let (jobs, host, mut heard) = start(NUMBERS, succeed).await;
    let id = jobs.enqueue(NUMBERS, &7).user("ada").await.expect("a good job");
    let seen = heard.next().await;
    assert_eq!((seen.id, seen.number, seen.attempt, seen.user.as_deref()), (id, 7, 1, Some("ada")));
    enqueue(&jobs, 8).await;
    assert_eq!(heard.next().await.user, None);
    heard.expect_nothing_for(Duration::from_secs(600)).await;
    host.close().await;
}

/// Lets an enqueuer wait until its job is on the disk, and looks no further after it.
async fn leave_waiting(
    jobs: &Jobs,
    enqueuing: &mut (impl Future<Output = Result<JobId, EnqueueError>> + Unpin),
) {
    assert!(enqueuing.now_or_never().is_none(), "nothing is stored at once");
    // Whoever asks the store is served after who has asked before.
    jobs.dead_letters(1).await.expect("a working store");
}

#[tokio::test(start_paused = true)]
async fn a_stored_job_runs_though_its_enqueuer_has_given_up() {
    let (jobs, host, mut heard) = start(NUMBERS, succeed).await;
    heard.expect_nothing_for(Duration::from_secs(1)).await;
    let mut enqueuing = jobs.enqueue(NUMBERS, &1).into_future();
    leave_waiting(&jobs, &mut enqueuing).await;
    drop(enqueuing);
    heard.expect(&[(1, 1)]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_before_its_enqueuer_looks_leaves_its_room() {
    let (jobs, host, mut heard) = start(NUMBERS.waiting_max(1), succeed).await;
    heard.expect_nothing_for(Duration::from_secs(1)).await;
    let mut enqueuing = jobs.enqueue(NUMBERS, &1).into_future();
    leave_waiting(&jobs, &mut enqueuing).await;
    heard.expect(&[(1, 1)]).await;
    heard.expect_nothing_for(Duration::from_secs(1)).await;
    enqueuing.await.expect("it was stored");
    enqueue(&jobs, 2).await;
    heard.expect(&[(2, 1)]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_is_tried_again_later_each_time() {
    let (jobs, host, mut heard) = start(NUMBERS, fail_first).await;
    enqueue(&jobs, 2).await;
    let [first, second, third] = [heard.next().await, heard.next().await, heard.next().await];
    assert_eq!([first.attempt, second.attempt, third.attempt], [1, 2, 3]);
    let (pause, longer_pause) = ((second.at - first.at).as_millis(), (third.at - second.at).as_millis());
    // The clock of the test stands on a real one, which goes on for some milliseconds.
    assert!((900..2000).contains(&pause), "{pause}");
    assert!((1900..4000).contains(&longer_pause), "{longer_pause}");
    heard.expect_nothing_for(Duration::from_secs(600)).await;
    assert_eq!(jobs.dead_letters(10).await.expect("a working store").len(), 0);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn after_its_last_attempt_a_job_is_dead_until_somebody_retries_it() {
    let (jobs, host, mut heard) = start(NUMBERS, fail_first).await;
    let id = enqueue(&jobs, 4).await;
    heard.expect(&[(4, 1), (4, 2), (4, 3)]).await;
    assert_eq!(expect_dead(&jobs, &id).await, (3, "failure 3".to_owned()));
    heard.expect_nothing_for(Duration::from_secs(600)).await;

    assert!(jobs.retry(&id).await.expect("a working store"));
    heard.expect(&[(4, 4), (4, 5)]).await;
    heard.expect_nothing_for(Duration::from_secs(600)).await;
    assert_eq!(jobs.dead_letters(10).await.expect("a working store").len(), 0);
    assert!(!jobs.retry(&id).await.expect("a working store"), "it is done");

    let hopeless = jobs.enqueue(NUMBERS, &100).attempts(1).await.expect("a good job");
    assert_eq!(expect_dead(&jobs, &hopeless).await.0, 1);
    assert!(jobs.discard(&hopeless).await.expect("a working store"));
    assert!(!jobs.discard(&hopeless).await.expect("a working store"), "it is gone");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_job_does_not_come_early() {
    let (jobs, host, mut heard) = start(NUMBERS, succeed).await;
    for delay in [1, 250, 999, 1500, 90_000, 7_200_000].map(Duration::from_millis) {
        let enqueued = Instant::now();
        jobs.enqueue(NUMBERS, &1).delay(delay).await.expect("a good job");
        let waited = match timeout(Duration::from_secs(8000), heard.0.recv()).await {
            Ok(Some(seen)) => seen.at - enqueued,
            other => panic!("no attempt: {other:?}"),
        };
        // What the store takes of real time, the clock of the test does not see.
        let slack = Duration::from_millis(100);
        assert!(
            waited + slack >= delay && waited <= delay + Duration::from_secs(1),
            "{waited:?} for {delay:?}"
        );
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_taken_while_its_job_waits_and_after_it_is_done() {
    let (jobs, host, mut heard) = start(NUMBERS, fail_first).await;
    let keyed = |number| jobs.enqueue(NUMBERS, &number).unique("order-1").delay(Duration::from_secs(5));
    let first = keyed(0).await.expect("a good job");
    assert_eq!(keyed(1).await.expect("a good job"), first, "it waits");
    let other = jobs.enqueue(NUMBERS, &0).unique("order-2").await.expect("a good job");
    assert_ne!(other, first);
    heard.expect(&[(0, 1), (0, 1)]).await;
    heard.expect_nothing_for(Duration::from_secs(10)).await;
    assert_eq!(keyed(2).await.expect("a good job"), first, "it was done a moment ago");
    heard.expect_nothing_for(Duration::from_secs(60)).await;

    let dead = jobs.enqueue(NUMBERS, &9).unique("order-3").attempts(1).await.expect("a good job");
    heard.expect(&[(9, 1)]).await;
    expect_dead(&jobs, &dead).await;
    let again = jobs.enqueue(NUMBERS, &0).unique("order-3").await.expect("a good job");
    assert_ne!(again, dead, "a dead job lets go of its key");
    heard.expect(&[(0, 1)]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_hurts_nobody_else() {
    let (jobs, host, mut heard) = start(NUMBERS, async |job: Job<u32>| match *job.payload() {
        0 => panic!("out of {}", "luck"),
        _ => Ok(()),
    })
    .await;
    let id = enqueue(&jobs, 0).await;
    heard.expect(&[(0, 1)]).await;
    enqueue(&jobs, 1).await;
    heard.expect(&[(1, 1), (0, 2), (0, 3)]).await;
    assert_eq!(expect_dead(&jobs, &id).await, (3, "it panicked: out of luck".to_owned()));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_told_and_then_dropped() {
    let (tell, mut told) = mpsc::channel(10);
    let (jobs, host, mut heard) = start(NUMBERS, move |job: Job<u32>| {
        let tell = tell.clone();
        async move {
            job.token().cancelled().await;
            tell.send(Instant::now()).await.map_err(|error| error.to_string())?;
            match *job.payload() {
                // Done after all, within the grace.
                0 => Ok(()),
                _ => std::future::pending().await,
            }
        }
    })
    .await;
    enqueue(&jobs, 0).await;
    let start = heard.next().await.at;
    assert_eq!((told.recv().await.expect("the token fires") - start).as_secs(), 10);
    heard.expect_nothing_for(Duration::from_secs(60)).await;

    let id = enqueue(&jobs, 1).await;
    let first = heard.next().await;
    let second = heard.next().await;
    // Ten seconds, five to end, one before the retry.
    assert!((15..18).contains(&(second.at - first.at).as_secs()), "{:?}", second.at - first.at);
    let (attempts, error) = expect_dead(&jobs, &id).await;
    assert_eq!((attempts, error.as_str()), (3, "it took longer than 10s"));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_may() {
    let queue = NUMBERS.concurrency(3);
    let (jobs, host, mut heard) = start(queue, async |job: Job<u32>| {
        // One of the first ends early, and leaves room for one.
        sleep(Duration::from_secs(if *job.payload() == 0 { 1 } else { 5 })).await;
        Ok(())
    })
    .await;
    futures_util::future::join_all((0..7).map(|number| enqueue(&jobs, number))).await;
    let mut starts = Vec::new();
    for _ in 0..7 {
        starts.push(heard.next().await.at);
    }
    let starts: Vec<u64> = starts.iter().map(|start| (*start - starts[0]).as_secs()).collect();
    assert_eq!(starts, [0, 0, 0, 1, 5, 5, 6]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_begin_in_the_order_they_were_enqueued_in() {
    let (jobs, host, mut heard) = start(NUMBERS.concurrency(1), succeed).await;
    // All at once: hundreds within a millisecond, and many in one write.
    futures_util::future::join_all((0..200).map(|number| enqueue(&jobs, number))).await;
    for number in 0..200 {
        assert_eq!(heard.next().await.number, number);
    }
    host.close().await;
}

/// A file of its own for a test, gone with it.
struct TempStore(PathBuf);

impl TempStore {
    fn new() -> Self {
        let name = format!("wirelark-jobs-{}-{}", std::process::id(), ulid::Ulid::generate());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for the test");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("jobs.db")
    }
}

impl Drop for TempStore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_when_the_server_stops_goes_back_and_is_no_failure() {
    let store = TempStore::new();
    for round in 1..=5 {
        let (builder, mut heard) = telling(NUMBERS, async |_| std::future::pending().await);
        let jobs = builder.open(store.path()).await.expect("a store that can be opened");
        let host = Host::new(App::new().alongside(jobs.worker()));
        if round == 1 {
            enqueue(&jobs, 1).await;
        }
        // More often than it may fail.
        heard.expect(&[(1, round)]).await;
        host.close().await;
        jobs.close().await;
    }
    let (builder, mut heard) = telling(NUMBERS, succeed);
    let jobs = builder.open(store.path()).await.expect("a store that can be opened");
    let host = Host::new(App::new().alongside(jobs.worker()));
    heard.expect(&[(1, 6)]).await;
    heard.expect_nothing_for(Duration::from_secs(60)).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_on_the_way_down_is_done() {
    let store = TempStore::new();
    let (builder, mut heard) = telling(NUMBERS, async |job: Job<u32>| {
        job.token().cancelled().await;
        sleep(Duration::from_secs(3)).await;
        Ok(())
    });
    let jobs = builder.open(store.path()).await.expect("a store that can be opened");
    let host = Host::new(App::new().alongside(jobs.worker()));
    enqueue(&jobs, 1).await;
    heard.expect(&[(1, 1)]).await;
    host.close().await;
    jobs.close().await;

    let (builder, mut heard) = telling(NUMBERS, succeed);
    let jobs = builder.open(store.path()).await.expect("a store that can be opened");
    let host = Host::new(App::new().alongside(jobs.worker()));
    heard.expect_nothing_for(Duration::from_secs(60)).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_does_not_hold_up_the_way_down() {
    let (jobs, host, mut heard) = start(NUMBERS, succeed).await;
    enqueue(&jobs, 1).await;
    heard.expect(&[(1, 1)]).await;
    // Whatever the lane asks of its store fails from here on.
    jobs.close().await;
    let start = Instant::now();
    host.close().await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_does_not_cut_short_what_runs_on_the_way_down() {
    let (tell, mut told) = mpsc::channel(1);
    let (jobs, host, mut heard) = start(NUMBERS, move |job: Job<u32>| {
        let tell = tell.clone();
        async move {
            job.token().cancelled().await;
            sleep(Duration::from_secs(4)).await;
            tell.send(()).await.map_err(|error| error.to_string())
        }
    })
    .await;
    enqueue(&jobs, 1).await;
    heard.expect(&[(1, 1)]).await;
    jobs.close().await;
    host.close().await;
    told.try_recv().expect("it had five seconds, and took four");
}

#[tokio::test]
async fn a_store_has_one_owner() {
    let store = TempStore::new();
    let jobs = telling(NUMBERS, succeed).0.open(store.path()).await.expect("a store that can be opened");
    let waiting = tokio::spawn(telling(NUMBERS, succeed).0.open(store.path()));
    let mut waiting = std::pin::pin!(waiting);
    timeout(Duration::from_millis(300), &mut waiting).await.expect_err("it waits for the first to let go");
    enqueue(&jobs, 1).await;
    jobs.close().await;
    waiting.await.expect("no panic").expect("the store is free");
    let error = jobs.enqueue(NUMBERS, &1).await.expect_err("the store is closed");
    assert!(error.to_string().contains("closed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_when_it_is_opened() {
    async fn check(builder: JobsBuilder, fragment: &str) {
        let error = builder.open_in_memory().await.expect_err("jobs that cannot be opened").to_string();
        assert!(error.contains(fragment), "{error}");
    }
    let queue = |queue: Queue<u32>| telling(queue, succeed).0;
    check(queue(Queue::new("Numbers")), "1 to 40 of a-z").await;
    check(queue(NUMBERS.attempts(0)), "`attempts` must be 1 to 100").await;
    let twice = queue(NUMBERS).queue(NUMBERS, async |_: Job<u32>, _| Ok::<_, String>(()));
    check(twice, "\"numbers\" is there twice").await;
    let nowhere = queue(NUMBERS).open("/nowhere/at/all.db").await.expect_err("no such folder");
    assert!(matches!(nowhere, OpenError::Store(_)), "{nowhere}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_when_it_is_enqueued() {
    let jobs = telling(NUMBERS.waiting_max(2), succeed).0.open_in_memory().await.expect("good jobs");
    macro_rules! check {
        ($job:expr, $pattern:pat) => {
            let error = $job.await.expect_err("a job that cannot be");
            assert!(matches!(error, $pattern), "{error}");
        };
    }
    check!(jobs.enqueue(Queue::new("letters"), &1_u32), EnqueueError::UnknownQueue(_));
    check!(jobs.enqueue(Queue::new("numbers"), &"one".to_owned()), EnqueueError::OtherType(_));
    check!(jobs.enqueue(NUMBERS, &1).user(""), EnqueueError::User(_));
    check!(jobs.enqueue(NUMBERS, &1).unique(""), EnqueueError::Key(0));
    check!(jobs.enqueue(NUMBERS, &1).unique(&"k".repeat(257)), EnqueueError::Key(257));
    check!(jobs.enqueue(NUMBERS, &1).attempts(0), EnqueueError::Attempts(0));
    check!(jobs.enqueue(NUMBERS, &1).attempts(101), EnqueueError::Attempts(101));
    check!(jobs.enqueue(NUMBERS, &1).delay(Duration::from_secs(367 * 24 * 3600)), EnqueueError::Delay);
    enqueue(&jobs, 1).await;
    enqueue(&jobs, 2).await;
    check!(jobs.enqueue(NUMBERS, &3), EnqueueError::Full(_));

    const TEXTS: Queue<String> = Queue::new("texts");
    let texts = Jobs::builder().queue(TEXTS, async |_: Job<String>, _| Ok::<_, String>(()));
    let texts = texts.open_in_memory().await.expect("good jobs");
    check!(texts.enqueue(TEXTS, &"x".repeat(1024 * 1024)), EnqueueError::PayloadTooLarge(1_048_578));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_has_room_again_when_jobs_have_ended() {
    let (jobs, host, mut heard) = start(NUMBERS.waiting_max(1), fail_first).await;
    enqueue(&jobs, 1).await;
    heard.expect(&[(1, 1)]).await;
    let full = jobs.enqueue(NUMBERS, &2).await.expect_err("the first job has not ended");
    assert!(matches!(full, EnqueueError::Full(_)), "{full}");
    heard.expect(&[(1, 2)]).await;
    sleep(Duration::from_secs(1)).await;
    enqueue(&jobs, 0).await;
    heard.expect(&[(0, 1)]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_read_any_more_is_dead_at_once() {
    let store = TempStore::new();
    let jobs = telling(NUMBERS, succeed).0.open(store.path()).await.expect("a store that can be opened");
    let id = enqueue(&jobs, 1).await;
    jobs.close().await;
    let renamed = Jobs::builder()
        .queue(Queue::<String>::new("numbers"), async |_: Job<String>, _: Hub| Ok::<_, String>(()));
    let jobs = renamed.open(store.path()).await.expect("a store that can be opened");
    let host = Host::new(App::new().alongside(jobs.worker()));
    let (attempts, error) = expect_dead(&jobs, &id).await;
    assert!(attempts == 1 && error.contains("cannot be read"), "{error}");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn jobs_can_enqueue_jobs() {
    let (jobs, host, mut heard) = {
        let (send_jobs, receive_jobs) = tokio::sync::watch::channel(None::<Jobs>);
        let (builder, heard) = telling(NUMBERS, move |job: Job<u32>| {
            let jobs = receive_jobs.borrow().clone();
            async move {
                let jobs = jobs.ok_or("no jobs yet")?;
                if *job.payload() > 0 {
                    let next = job.payload() - 1;
                    jobs.enqueue(NUMBERS, &next).await.map_err(|error| error.to_string())?;
                }
                Ok(())
            }
        });
        let jobs = builder.open_in_memory().await.expect("good jobs");
        send_jobs.send_replace(Some(jobs.clone()));
        let host = Host::new(App::new().alongside(jobs.worker()));
        (jobs, host, heard)
    };
    enqueue(&jobs, 3).await;
    heard.expect(&[(3, 1), (2, 1), (1, 1), (0, 1)]).await;
    host.close().await;
}

async fn posted(host: &Host, path: &str, content_type: &str, body: &'static str) -> Response<Body> {
    let request = Request::post(path).header("content-type", content_type).body(Body::from(body));
    host.request(request.expect("a good request")).await
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_an_http_route() {
    let (builder, mut heard) = telling(NUMBERS, succeed);
    let jobs = builder.open_in_memory().await.expect("good jobs");
    let app = App::new()
        .route("/numbers", jobs.http(NUMBERS))
        .layer(Extension(User::new("ada").expect("a good id")))
        .alongside(jobs.worker());
    let host = Host::new(app);

    let accepted = posted(&host, "/numbers", "application/json; charset=utf-8", "7").await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let seen = heard.next().await;
    assert_eq!(accepted.headers()["x-job-id"], seen.id.as_str());
    assert_eq!((seen.number, seen.user.as_deref()), (7, Some("ada")));

    for (content_type, body, status) in
        [("text/plain", "7", 415), ("application/json", "", 422), ("application/json", "\"seven\"", 422)]
    {
        assert_eq!(
            posted(&host, "/numbers", content_type, body).await.status(),
            status,
            "{content_type} {body}"
        );
    }
    heard.expect_nothing_for(Duration::from_secs(60)).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn handlers_extract_the_jobs() {
    async fn order(jobs: Jobs, Json(number): Json<u32>) -> Result<String, String> {
        let id = jobs.enqueue(NUMBERS, &number).await.map_err(|error| error.to_string())?;
        Ok(id.to_string())
    }
    let (builder, mut heard) = telling(NUMBERS, succeed);
    let jobs = builder.open_in_memory().await.expect("good jobs");
    let app = App::new()
        .route("/order", post(order))
        .layer(Extension(jobs.clone()))
        .route("/without", post(order))
        .alongside(jobs.worker());
    let host = Host::new(app);
    assert_eq!(posted(&host, "/order", "application/json", "5").await.status(), 200);
    heard.expect(&[(5, 1)]).await;
    assert_eq!(posted(&host, "/without", "application/json", "5").await.status(), 500);
    host.close().await;
}
