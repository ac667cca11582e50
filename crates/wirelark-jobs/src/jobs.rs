//! The handle everybody enqueues with, and how it is made.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use wirelark::Hub;
use wirelark::auth::User;
use wirelark::axum::extract::FromRequestParts;
use wirelark::axum::http::StatusCode;
use wirelark::axum::http::request::Parts;

use crate::clock::{Clock, to_system_time};
use crate::cron::Cron;
use crate::error::{EnqueueError, OpenError, RunError, StoreError};
use crate::job::{Facts, Fire, Job, JobId, Run};
use crate::lane::{BoxError, Failure, Handler, Lane, Retries};
use crate::metric_names as names;
use crate::queue::{ATTEMPTS_MAX, Limits, Queue, check_name};
use crate::schedule::{BY_HAND_MAX, LastRun, RunOutcome, Schedule, ScheduleInfo};
use crate::store::{NewJob, SCHEDULE_PREFIX, Store};
use crate::worker;

/// The largest payload, as JSON.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

const KEY_BYTES_MAX: usize = 256;

/// The longest delay: a year, and a day for who counts in leap years.
const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Most dead letters that are listed at once.
const LISTED_MAX: u32 = 1000;

/// Jobs about to be opened: their queues and schedules.
#[derive(Default)]
#[must_use = "nothing is opened until `open` is called"]
pub struct JobsBuilder {
    lanes: Vec<(&'static str, TypeId, Limits, Handler)>,
    schedules: Vec<(Schedule, Handler)>,
}

impl JobsBuilder {
    /// Adds a queue and who works on it.
    ///
    /// An error of the handler, a panic in it, and an attempt that takes too long are the same: the job is tried again,
    /// first within two seconds, then after twice as long each time up to five minutes, and is dead after its last attempt.
    pub fn queue<T, F, Fut, E>(mut self, queue: Queue<T>, handler: F) -> Self
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Job<T>, Hub) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let handler = handler_of(move |payload, facts, hub| handler(Job { payload, facts }, hub));
        self.lanes.push((queue.name, TypeId::of::<T>(), queue.limits, handler));
        self
    }

    /// Adds a schedule and what runs at its times. A run that fails is not repeated: the next time comes.
    pub fn schedule<F, Fut, E>(mut self, schedule: Schedule, handler: F) -> Self
    where
        F: Fn(Run, Hub) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let handler = handler_of(move |fire, facts, hub| handler(Run { fire, facts }, hub));
        self.schedules.push((schedule, handler));
        self
    }

    /// Opens the store at `path`, a file that is made if it is not there. What ran when the process before ended is queued
    /// again, its attempt counted. One process can have it open: another waits for 15 s and then fails.
    ///
    /// # Errors
    /// A queue or schedule that cannot be, with what to write instead; a store that is in use or cannot be opened.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<Jobs, OpenError> {
        self.open_store(Some(path.as_ref())).await
    }

    /// Opens a store that is gone with the process, for tests.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_in_memory(self) -> Result<Jobs, OpenError> {
        self.open_store(None).await
    }

    async fn open_store(self, path: Option<&Path>) -> Result<Jobs, OpenError> {
        let clock = Clock::start();
        let mut lanes: HashMap<Box<str>, Arc<Lane>> = HashMap::new();
        let mut add = |name: &str, lane: Lane| {
            let lane = Arc::new(lane);
            match lanes.insert(lane.name().as_ref().into(), Arc::clone(&lane)) {
                None => Ok(lane),
                Some(_) => Err(OpenError::Duplicate(name.into())),
            }
        };
        for (name, payload, limits, handler) in self.lanes {
            check_name(name)?;
            limits.check(name)?;
            add(name, Lane::new(name, limits, Retries::BackOff, payload, handler))?;
        }
        let mut schedules = Vec::with_capacity(self.schedules.len());
        for (about, handler) in self.schedules {
            check_name(about.name)?;
            let (cron, limits) = about.check(clock.now())?;
            let lane = format!("{SCHEDULE_PREFIX}{}", about.name);
            let lane = Lane::new(&lane, limits, Retries::None, TypeId::of::<Fire>(), handler);
            schedules.push(Scheduled { lane: add(about.name, lane)?, about, cron });
        }
        let keys = lanes.values().map(|lane| lane.key.clone()).collect();
        let store = Store::open(path, keys, clock).await?;
        for lane in lanes.values() {
            lane.backlog.found(store.unfinished(lane.name()).await?);
        }
        let inner = Inner { store, clock, lanes, schedules, is_working: AtomicBool::new(false) };
        Ok(Jobs { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for JobsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues: Vec<_> = self.lanes.iter().map(|(name, ..)| name).collect();
        let schedules: Vec<_> = self.schedules.iter().map(|(schedule, _)| schedule.name).collect();
        f.debug_struct("JobsBuilder").field("queues", &queues).field("schedules", &schedules).finish()
    }
}

/// A handler that is given what the payload says, if it says that.
fn handler_of<T, F, Fut, E>(handler: F) -> Handler
where
    T: DeserializeOwned + Send + 'static,
    F: Fn(T, Facts, Hub) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError>,
{
    Box::new(move |payload, facts, hub| match serde_json::from_slice(&payload) {
        Ok(payload) => {
            let working = handler(payload, facts, hub);
            Box::pin(async { working.await.map_err(|error| Failure::Error(error.into())) })
        }
        Err(error) => Box::pin(std::future::ready(Err(Failure::Unreadable(error)))),
    })
}

/// What every handle shares.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    /// By the name the store knows them by.
    pub(crate) lanes: HashMap<Box<str>, Arc<Lane>>,
    pub(crate) schedules: Vec<Scheduled>,
    is_working: AtomicBool,
}

/// A schedule that is kept.
pub(crate) struct Scheduled {
    pub(crate) about: Schedule,
    pub(crate) cron: Cron,
    pub(crate) lane: Arc<Lane>,
}

/// What [`Jobs::worker`] gives, for [`App::alongside`](wirelark::App::alongside).
pub type Worker = Box<dyn FnOnce(Hub, CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Jobs and schedules over one store. Cheap to clone; an extractor where it was added as an
/// [`Extension`](wirelark::axum::Extension).
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

impl Jobs {
    /// Jobs with no queue yet.
    pub fn builder() -> JobsBuilder {
        JobsBuilder::default()
    }

    /// What works on the jobs, to be run [alongside](wirelark::App::alongside) an app. Jobs can be enqueued before, and wait.
    ///
    /// When the server stops, the tokens of running jobs fire, and they have five seconds to end. One that returns `Ok` by
    /// then is done; the others go back to the store, and are tried again after the next start.
    pub fn worker(&self) -> Worker {
        let inner = Arc::clone(&self.inner);
        Box::new(move |hub, stop| {
            Box::pin(async move {
                if inner.is_working.swap(true, SeqCst) {
                    tracing::error!(
                        "these jobs are worked on already: run `Jobs::worker` alongside one app only"
                    );
                    return;
                }
                worker::work(Arc::clone(&inner), hub, stop).await;
                inner.is_working.store(false, SeqCst);
            })
        })
    }

    /// Enqueues a job. Awaited, it is on the disk, and will run at least once.
    pub fn enqueue<T: Serialize + 'static>(&self, queue: Queue<T>, payload: &T) -> Enqueue {
        let stored = self.lane_of(queue).and_then(|lane| {
            let payload = serde_json::to_vec(payload).map_err(EnqueueError::Payload)?;
            match payload.len() {
                0..=PAYLOAD_BYTES_MAX => Ok((lane, payload)),
                bytes => Err(EnqueueError::PayloadTooLarge(bytes)),
            }
        });
        Enqueue {
            jobs: self.clone(),
            stored,
            user: None,
            delay: Duration::ZERO,
            key: None,
            attempts: queue.limits.attempts,
        }
    }

    fn lane_of<T: 'static>(&self, queue: Queue<T>) -> Result<Arc<Lane>, EnqueueError> {
        let lane = self.inner.lanes.get(queue.name).filter(|lane| lane.retries == Retries::BackOff);
        let lane = lane.ok_or_else(|| EnqueueError::UnknownQueue(queue.name.into()))?;
        if lane.payload != TypeId::of::<T>() {
            return Err(EnqueueError::OtherType(queue.name.into()));
        }
        Ok(Arc::clone(lane))
    }

    /// The newest dead jobs: those whose last attempt failed. At most 1000 are listed, and 10,000 kept.
    ///
    /// # Errors
    /// The store failed.
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let dead = self.inner.store.dead(limit.min(LISTED_MAX)).await?;
        let read = |dead: crate::store::Dead| DeadLetter {
            id: JobId::from(dead.id),
            queue: dead.lane,
            payload: String::from_utf8_lossy(&dead.payload).into_owned(),
            user: dead.user,
            attempts: dead.attempts,
            error: dead.error,
            died: to_system_time(dead.died),
        };
        Ok(dead.into_iter().map(read).collect())
    }

    /// Enqueues a dead job again, with as many attempts as it had, even if its queue is full. False if there is no such
    /// dead job.
    ///
    /// # Errors
    /// The store failed.
    pub async fn retry(&self, id: &JobId) -> Result<bool, StoreError> {
        let inner = Arc::clone(&self.inner);
        let backlog_of = move |lane: &str| inner.lanes.get(lane).map(|lane| Arc::clone(&lane.backlog));
        self.inner.store.revive(id, backlog_of).await
    }

    /// Throws a dead job away. False if there is no such dead job.
    ///
    /// # Errors
    /// The store failed.
    pub async fn discard(&self, id: &JobId) -> Result<bool, StoreError> {
        self.inner.store.discard(id).await
    }

    /// Runs a schedule now, beside its times, and does not wait for it. Where its runs may not overlap it comes after the
    /// one that runs.
    ///
    /// # Errors
    /// There is no such schedule, 64 of its runs have not ended, or the store failed.
    pub async fn run(&self, schedule: &str) -> Result<JobId, RunError> {
        let scheduled = self.inner.schedules.iter().find(|scheduled| scheduled.about.name == schedule);
        let scheduled = scheduled.ok_or_else(|| RunError::UnknownSchedule(schedule.into()))?;
        if self.inner.store.unfinished(scheduled.lane.name()).await? >= BY_HAND_MAX {
            return Err(RunError::Full(schedule.into()));
        }
        let fire = Fire { due: self.inner.clock.now(), by_hand: true };
        let (id, _) = self.inner.store.add(worker::run_of(&scheduled.lane, fire)).await?;
        Ok(id)
    }

    /// The schedules, in the order they were added, each with its last run and its next.
    ///
    /// # Errors
    /// The store failed.
    pub async fn schedules(&self) -> Result<Vec<ScheduleInfo>, StoreError> {
        let now = self.inner.clock.now();
        let mut listed = Vec::with_capacity(self.inner.schedules.len());
        for Scheduled { about, cron, lane } in &self.inner.schedules {
            let record = self.inner.store.record(lane.name()).await?;
            let last_run = record.outcome.map(|outcome| LastRun {
                started: record.started.map(to_system_time),
                ended: record.ended.map(to_system_time),
                outcome: RunOutcome::parse(&outcome),
            });
            listed.push(ScheduleInfo {
                name: about.name,
                cron: about.text.clone(),
                overlap: about.overlap,
                timeout: lane.limits.timeout,
                next_run: cron.next_after(now).map(to_system_time),
                last_run,
            });
        }
        Ok(listed)
    }

    /// Lets go of the store, so that it can be opened again. Whatever is asked afterwards fails.
    pub async fn close(&self) {
        self.inner.store.close().await;
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("lanes", &self.inner.lanes.keys()).finish_non_exhaustive()
    }
}

/// The jobs, in a handler of an app that has them as an extension.
impl<S: Sync> FromRequestParts<S> for Jobs {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().cloned().ok_or_else(|| {
            tracing::error!("a handler wants `Jobs`: add `.layer(Extension(jobs))` after its route");
            (StatusCode::INTERNAL_SERVER_ERROR, "the server has no jobs")
        })
    }
}

/// A job that failed for the last time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: String,
    /// What it carries, as JSON.
    pub payload: String,
    /// The id of the user it was enqueued for.
    pub user: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub error: String,
    /// When it failed last.
    pub died: SystemTime,
}

/// A job about to be enqueued.
///
/// # Cancel safety
/// Dropped before it is ready, the job is enqueued or not. Where that matters give it a [key](Self::unique).
#[derive(Debug)]
#[must_use = "nothing is enqueued until this is awaited"]
pub struct Enqueue {
    jobs: Jobs,
    stored: Result<(Arc<Lane>, Vec<u8>), EnqueueError>,
    user: Option<Box<str>>,
    delay: Duration,
    key: Option<Box<str>>,
    attempts: u32,
}

impl Enqueue {
    /// For the user of this id, who asked for it. Nothing else of them travels: their rights may be others when it runs.
    pub fn user(mut self, id: &str) -> Self {
        self.user = Some(id.into());
        self
    }

    /// Not before this long, and within a second after it if there is room. At most 366 days.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Only if there is no job of this key in the queue. The key is taken while its job waits and runs and for five minutes
    /// after it is done, and free when the job is dead. Where it is taken, enqueuing gives the id of the job that has it.
    pub fn unique(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How often it is tried, from 1 to 100; as often as the queue says unless set.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    async fn store(self) -> Result<JobId, EnqueueError> {
        let Self { jobs, stored, user, delay, key, attempts } = self;
        let (lane, payload) = stored?;
        if let Some(user) = &user {
            User::new(user.clone())?;
        }
        if let Some(key) = &key
            && !(1..=KEY_BYTES_MAX).contains(&key.len())
        {
            return Err(EnqueueError::Key(key.len()));
        }
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            return Err(EnqueueError::Attempts(attempts));
        }
        if delay > DELAY_MAX {
            return Err(EnqueueError::Delay);
        }
        if lane.is_full() {
            return Err(EnqueueError::Full(lane.name().as_ref().into()));
        }
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let due = jobs.inner.clock.now() + delay;
        let (name, backlog) = (Arc::clone(lane.name()), Arc::clone(&lane.backlog));
        let job = NewJob { lane: name, backlog, payload, user, due, attempts, key };
        let (id, is_new) = jobs.inner.store.add(job).await?;
        if is_new {
            metrics::counter!(names::ENQUEUED, "queue" => lane.name().to_string()).increment(1);
        }
        Ok(id)
    }
}

impl IntoFuture for Enqueue {
    type Output = Result<JobId, EnqueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.store())
    }
}
