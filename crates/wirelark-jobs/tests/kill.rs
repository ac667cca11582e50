//! The referee: a process with ten thousand queued jobs is killed three times, with a signal it cannot see. Each time
//! another one opens the store and goes on. No job may be lost, and none that was acknowledged to whoever enqueued it;
//! only jobs that ran when a process died may run again, and they must see it by their attempt.
//!
//! The test starts its own program as those processes. What they do they write into a journal, a line at a time, which
//! the kernel keeps when they die.

#![cfg(unix)]

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::future::IntoFuture as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wirelark::{App, Hub};
use wirelark_jobs::{Job, Jobs, Queue};

const QUEUED: u32 = 10_000;
const KILLS: u32 = 3;
const AT_ONCE: usize = 16;

/// Where a process finds its store and its journal.
const FOLDER: &str = "WIRELARK_JOBS_KILL_FOLDER";

const WORK: Queue<u32> = Queue::new("work").concurrency(AT_ONCE);

/// A process of the test below, which starts it; by itself it has nothing to do.
#[test]
#[ignore = "a part of the other test, which starts it as a process of its own"]
fn worker() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(live(&folder));
}

/// Works, and enqueues what comes after the last job that was acknowledged, until it is killed.
async fn live(folder: &Path) {
    let journal = OpenOptions::new().append(true).create(true).open(folder.join("journal"));
    let journal = Arc::new(journal.expect("a journal"));
    let told = Arc::clone(&journal);
    let work = move |job: Job<u32>, _: Hub| {
        let journal = Arc::clone(&told);
        async move {
            write(&journal, &format!("begin {} {}", job.payload(), job.attempt()));
            sleep(Duration::from_millis(2)).await;
            write(&journal, &format!("end {} {}", job.payload(), job.attempt()));
            Ok::<_, std::io::Error>(())
        }
    };
    let jobs = Jobs::builder().queue(WORK, work).open(folder.join("jobs.db")).await.expect("a store");
    if !folder.join("filled").exists() {
        let first: Vec<_> = (0..QUEUED).map(|n| tokio::spawn(jobs.enqueue(WORK, &n).into_future())).collect();
        for (n, enqueued) in first.into_iter().enumerate() {
            enqueued.await.expect("no panic").expect("an enqueued job");
            write(&journal, &format!("acknowledged {n}"));
        }
        File::create(folder.join("filled")).expect("a mark");
        return;
    }
    let built = App::new().alongside(jobs.worker()).build().expect("an app");
    let working = tokio::spawn(built.start_alongside(&CancellationToken::new()));
    // Others go on enqueuing while it works, each with a number of its own.
    if !folder.join("drain").exists() {
        let from = QUEUED + 100_000 * (std::process::id() % 10_000);
        for n in from..from + 100_000 {
            jobs.enqueue(WORK, &n).await.expect("an enqueued job");
            write(&journal, &format!("acknowledged {n}"));
            sleep(Duration::from_millis(20)).await;
        }
    }
    working.await.expect("no panic");
}

/// A line in one write: a killed process leaves whole lines.
fn write(mut journal: &File, line: &str) {
    journal.write_all(format!("{line}\n").as_bytes()).expect("a journal that can be written");
}

/// A process that dies with the test.
struct Worker(Child);

impl Worker {
    fn start(folder: &Path) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.args(["worker", "--exact", "--ignored", "--nocapture"]).env(FOLDER, folder);
        Self(command.stdout(Stdio::null()).spawn().expect("a process"))
    }

    /// SIGKILL, and nothing less.
    fn kill(mut self) {
        self.0.kill().expect("it lives");
        self.0.wait().expect("it is dead");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Default)]
struct Journal {
    acknowledged: HashSet<u32>,
    /// The attempts that began, of each job, in their order.
    begun: HashMap<u32, Vec<u32>>,
    ended: HashSet<u32>,
}

impl Journal {
    fn read(folder: &Path) -> Self {
        let mut journal = Self::default();
        for line in fs::read_to_string(folder.join("journal")).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u32>().expect("a number");
            match words[0] {
                "acknowledged" => drop(journal.acknowledged.insert(number(1))),
                "begin" => journal.begun.entry(number(1)).or_default().push(number(2)),
                "end" => drop(journal.ended.insert(number(1))),
                other => panic!("a line that begins with {other:?}"),
            }
        }
        journal
    }

    fn repeats(&self) -> usize {
        self.begun.values().map(|attempts| attempts.len() - 1).sum()
    }

    fn is_drained(&self) -> bool {
        self.acknowledged.is_subset(&self.ended)
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn nothing_is_lost_to_three_kills_and_only_what_ran_is_repeated() {
    let folder = Folder(std::env::temp_dir().join(format!("wirelark-jobs-kill-{}", std::process::id())));
    let folder = &folder.0;
    fs::create_dir(folder).expect("a folder for the test");
    let mut filling = Worker::start(folder);
    assert!(filling.0.wait().expect("it ends").success());
    assert_eq!(Journal::read(folder).acknowledged.len() as u32, QUEUED);

    for kill in 1..=KILLS {
        let worker = Worker::start(folder);
        // In the midst of it: a quarter of the jobs later.
        while (Journal::read(folder).ended.len() as u32) < kill * QUEUED / (KILLS + 1) {
            sleep(Duration::from_millis(20)).await;
        }
        worker.kill();
        let journal = Journal::read(folder);
        assert!((journal.ended.len() as u32) < QUEUED, "it was killed too late to show anything");
    }

    File::create(folder.join("drain")).expect("a mark");
    let worker = Worker::start(folder);
    while !Journal::read(folder).is_drained() {
        sleep(Duration::from_millis(50)).await;
    }
    // Whatever would come twice would come now.
    sleep(Duration::from_secs(1)).await;
    worker.kill();

    let journal = Journal::read(folder);
    let lost: Vec<_> = journal.acknowledged.difference(&journal.ended).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    println!("{} jobs acknowledged, {} repeated", journal.acknowledged.len(), journal.repeats());
    assert!(journal.repeats() > 0, "nothing ran when it was killed: this shows nothing");
    assert!(journal.repeats() <= KILLS as usize * AT_ONCE, "{} repeats", journal.repeats());
    for (job, attempts) in &journal.begun {
        assert!(
            attempts.is_sorted_by(|a, b| a < b),
            "job {job} cannot tell its attempts apart: {attempts:?}"
        );
        assert!(attempts.len() > 1 || attempts[0] <= KILLS, "job {job}: {attempts:?}");
    }
}
