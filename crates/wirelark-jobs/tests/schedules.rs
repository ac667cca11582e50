//! Schedules: fire times, what happens when runs overlap, runs by hand, and what is known of them over restarts.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use wirelark::testing::Host;
use wirelark::{App, Hub};
use wirelark_jobs::{
    Jobs, JobsBuilder, OpenError, Overlap, Run, RunError, RunOutcome, Schedule, ScheduleInfo,
};

/// A run that began: for which second it fired, whether by hand, and when.
#[derive(Debug)]
struct Began {
    due: u64,
    by_hand: bool,
    at: Instant,
}

type Heard = mpsc::Receiver<Began>;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// A schedule whose runs tell when they begin and then do what `then` says.
fn telling<F, Fut>(schedule: Schedule, then: F) -> (JobsBuilder, Heard)
where
    F: Fn(Run) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let (tell, heard) = mpsc::channel(1000);
    let handler = move |run: Run, _: Hub| {
        let (tell, then) = (tell.clone(), then.clone());
        async move {
            let began = Began { due: seconds(run.due_at()), by_hand: run.is_by_hand(), at: Instant::now() };
            tell.send(began).await.map_err(|error| error.to_string())?;
            then(run).await
        }
    };
    (Jobs::builder().schedule(schedule, handler), heard)
}

async fn start<F, Fut>(schedule: Schedule, then: F) -> (Jobs, Host, Heard)
where
    F: Fn(Run) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let (builder, heard) = telling(schedule, then);
    let jobs = builder.open_in_memory().await.expect("a good schedule");
    let host = Host::new(App::new().alongside(jobs.worker()));
    (jobs, host, heard)
}

async fn succeed(_: Run) -> Result<(), String> {
    Ok(())
}

async fn next(heard: &mut Heard) -> Began {
    timeout(Duration::from_secs(48 * 3600), heard.recv())
        .await
        .expect("a run within two days")
        .expect("a run")
}

async fn info(jobs: &Jobs) -> ScheduleInfo {
    jobs.schedules().await.expect("a working store").remove(0)
}

#[tokio::test(start_paused = true)]
async fn each_fire_time_has_one_run() {
    let (_, host, mut heard) = start(Schedule::new("tick", "*/2 * * * * *"), succeed).await;
    let first = next(&mut heard).await;
    assert_eq!(first.due % 2, 0);
    for n in 1..50 {
        let run = next(&mut heard).await;
        assert_eq!((run.due, run.by_hand), (first.due + 2 * n, false));
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_day_is_no_wait_under_a_paused_clock() {
    let (jobs, host, mut heard) = start(Schedule::new("night", "30 3 * * *"), succeed).await;
    let expected = seconds(info(&jobs).await.next_run.expect("it fires"));
    let run = next(&mut heard).await;
    assert_eq!((run.due, run.due % 86_400), (expected, 3 * 3600 + 30 * 60));
    assert_eq!(next(&mut heard).await.due, expected + 86_400);
    host.close().await;
}

/// Fires every five seconds; runs take nine. When the first of them began, in seconds after the first.
async fn begins(overlap: Overlap, runs: usize) -> Vec<u64> {
    let schedule = Schedule::new("slow", "*/5 * * * * *").overlap(overlap);
    let (_, host, mut heard) = start(schedule, async |run: Run| {
        // Five seconds are all it has, and then four of grace.
        run.token().cancelled().await;
        sleep(Duration::from_secs(4)).await;
        Ok(())
    })
    .await;
    let mut begins: Vec<Instant> = Vec::new();
    for _ in 0..runs {
        begins.push(next(&mut heard).await.at);
    }
    host.close().await;
    begins.iter().map(|begin| (*begin - begins[0] + Duration::from_millis(500)).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn overlapping_runs_are_skipped_queued_or_allowed() {
    assert_eq!(begins(Overlap::Skip, 4).await, [0, 10, 20, 30]);
    assert_eq!(begins(Overlap::Queue, 4).await, [0, 9, 18, 27]);
    assert_eq!(begins(Overlap::Allow, 4).await, [0, 5, 10, 15]);
}

#[tokio::test(start_paused = true)]
async fn runs_that_wait_are_bounded() {
    let schedule = Schedule::new("slow", "* * * * * *").overlap(Overlap::Queue);
    let (jobs, host, mut heard) = start(schedule, async |_| std::future::pending().await).await;
    // Each run is dropped after six seconds, so 64 of them wait before long.
    sleep(Duration::from_secs(200)).await;
    // One may just have ended, and leaves room for one.
    let asked = [jobs.run("slow").await, jobs.run("slow").await, jobs.run("slow").await];
    assert!(asked.iter().any(|asked| matches!(asked, Err(RunError::Full(_)))), "{asked:?}");
    let mut dues = Vec::new();
    for _ in 0..90 {
        let began = next(&mut heard).await;
        if !began.by_hand {
            dues.push(began.due);
        }
    }
    assert!(
        dues.is_sorted() && dues.windows(2).any(|pair| pair[1] - pair[0] > 1),
        "some were left out: {dues:?}"
    );
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_is_run_by_hand_and_says_how_it_went() {
    let (jobs, host, mut heard) =
        start(Schedule::new("report", "never"), async |_| Err("no paper".to_owned())).await;
    let before = info(&jobs).await;
    assert_eq!((before.name, before.cron.as_str(), before.next_run), ("report", "never", None));
    assert!(before.last_run.is_none());

    jobs.run("report").await.expect("a known schedule");
    assert!(next(&mut heard).await.by_hand);
    sleep(Duration::from_secs(1)).await;
    let last = info(&jobs).await.last_run.expect("it ran");
    assert_eq!(last.outcome, RunOutcome::Failed);
    assert!(last.started.is_some() && last.ended >= last.started);
    // The next time comes by itself: nothing is tried again, and nothing is a dead letter.
    assert!(timeout(Duration::from_secs(3600), heard.recv()).await.is_err());
    assert_eq!(jobs.dead_letters(10).await.expect("a working store").len(), 0);

    let unknown = jobs.run("rapport").await.expect_err("no such schedule");
    assert!(unknown.to_string().contains("there is no schedule \"rapport\""), "{unknown}");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_missed_is_made_up_for_once() {
    let folder = TempFolder::new();
    // It fires each second of real time as well: the store of a new process knows when it fired last.
    let open = async || {
        let (builder, heard) = telling(Schedule::new("tick", "* * * * * *"), succeed);
        let jobs = builder.open(folder.0.join("jobs.db")).await.expect("a good schedule");
        let host = Host::new(App::new().alongside(jobs.worker()));
        (jobs, host, heard)
    };
    let (jobs, host, mut heard) = open().await;
    let first = next(&mut heard).await;
    host.close().await;
    assert_eq!(info(&jobs).await.last_run.expect("it ran").outcome, RunOutcome::Done);
    jobs.close().await;

    // The clock of the test begins anew with each process, so what passes meanwhile has to be real.
    std::thread::sleep(Duration::from_millis(3100));
    let (jobs, host, mut heard) = open().await;
    let late = next(&mut heard).await;
    assert!(late.due >= first.due + 2, "one run for all that was missed: {first:?} {late:?}");
    // The next fire time is yet to come: under a paused clock waiting for it takes no real time.
    assert!(late.due <= seconds(SystemTime::now()), "nothing was made up for: {late:?}");
    let after = next(&mut heard).await;
    assert_eq!(after.due, late.due + 1);
    host.close().await;
    jobs.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_cannot_be_kept_is_refused_when_it_is_opened() {
    async fn check(schedule: Schedule, fragment: &str) {
        let (builder, _) = telling(schedule, succeed);
        let error = builder.open_in_memory().await.expect_err("a bad schedule");
        assert!(error.to_string().contains(fragment), "{error}");
    }
    check(Schedule::new("Tick", "* * * * *"), "1 to 40 of a-z").await;
    check(Schedule::new("tick", "whenever"), "schedule \"tick\": \"whenever\" is no schedule").await;
    check(Schedule::new("tick", "0 0 1 * MON"), "make one of them *").await;
    check(Schedule::new("tick", "0 0 31 2 *"), "never comes").await;
    check(Schedule::new("tick", "* * * * *").timeout(Duration::from_secs(90)), "\"tick\": `timeout`").await;
    let (builder, _) = telling(Schedule::new("tick", "@daily"), succeed);
    let twice = builder.schedule(Schedule::new("tick", "@hourly"), async |_: Run, _| Ok::<_, String>(()));
    let error = twice.open_in_memory().await.expect_err("a name that is taken");
    assert!(matches!(error, OpenError::Duplicate(_)), "{error}");
}

/// A folder of its own for a test, gone with it.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new() -> Self {
        let name = format!("wirelark-schedules-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for the test");
        Self(folder)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
