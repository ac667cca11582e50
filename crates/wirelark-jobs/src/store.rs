//! Where jobs are kept: a SQLite file in the shape apalis gives it.
//!
//! This is the only file that knows apalis and SQL. The tables, their migrations, and the statements that add, take, lock,
//! acknowledge and take back jobs are apalis-sqlite's. Its worker is not used, for two reasons that were measured
//! (ARCHITECTURE.md): it ends for good when the store fails once, and it acknowledges after it has begun the next jobs, so
//! that a crash repeats jobs that had ended. What apalis has no statement for (back-off, dead letters, when the next job is
//! due, what became of schedules) is written here, over its table and one of ours.
//!
//! The file is locked for as long as it is open. So whoever opens it knows that nothing runs of what is marked as running,
//! and takes it back at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use apalis_core::backend::{TaskResult, WorkerFilter};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::metadata::MetadataStore;
use apalis_core::task::status::Status;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use apalis_sqlite::{Config, SqliteStorage, queries};
use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, oneshot};
use ulid::{Generator, Ulid};

use crate::backlog::{Backlog, Expected};
use crate::clock::{Clock, Millis, system_now};
use crate::error::{OpenError, StoreError};
use crate::job::JobId;

/// How long opening waits for the process before to let go of the file: as long as a server may take to drain.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// For how long a job that is done keeps its unique key.
const DONE_KEPT_SECONDS: i64 = 300;

/// Beyond this many the oldest dead letters are thrown away.
const DEAD_MAX: i64 = 10_000;

/// Lanes of this prefix belong to schedules; no queue can have such a name.
pub(crate) const SCHEDULE_PREFIX: &str = "schedule:";

/// Our own table: what is known of each schedule, over restarts.
const SCHEDULES_TABLE: &str = "CREATE TABLE IF NOT EXISTS WirelarkSchedules (
    lane TEXT PRIMARY KEY, fired INTEGER NOT NULL, started INTEGER, ended INTEGER, outcome TEXT
)";

/// A job about to be stored.
pub(crate) struct NewJob {
    pub(crate) lane: Arc<str>,
    /// Where it is counted, and who is woken once it is stored.
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) payload: Vec<u8>,
    pub(crate) user: Option<Box<str>>,
    pub(crate) due: Millis,
    pub(crate) attempts: u32,
    pub(crate) key: Option<Box<str>>,
}

/// A job that was taken to be run.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) id: JobId,
    pub(crate) payload: Vec<u8>,
    pub(crate) user: Option<Box<str>>,
    pub(crate) queued: Millis,
    /// Which attempt this will be, from 1.
    pub(crate) attempt: u32,
    pub(crate) attempts: u32,
}

/// A job that was taken and runs no more.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) started: Millis,
    pub(crate) ended: Millis,
    pub(crate) end: End,
}

/// What becomes of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// It failed, and that is that: a run of a schedule.
    Failed {
        error: String,
    },
    Retry {
        due: Millis,
        error: String,
    },
    Dead {
        error: String,
    },
    /// The server stops, and the job goes back. The attempt is counted, and one more allowed: a job that is interrupted by
    /// every deploy has not failed.
    Returned,
}

/// What came of a turn at the store.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) taken: Vec<Taken>,
    /// When the next job is due; nothing if none waits, or if more were due than could be taken.
    pub(crate) next_due: Option<Millis>,
}

/// A dead job as it is kept.
pub(crate) struct Dead {
    pub(crate) id: String,
    pub(crate) lane: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) attempts: u32,
    pub(crate) error: String,
    pub(crate) user: Option<String>,
    pub(crate) died: Millis,
}

/// What the store knows of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) fired: Millis,
    pub(crate) started: Option<Millis>,
    pub(crate) ended: Option<Millis>,
    pub(crate) outcome: Option<String>,
}

/// A lane as the store's statements want it named.
#[derive(Clone, Debug)]
pub(crate) struct LaneKey {
    pub(crate) name: Arc<str>,
    config: Config,
    worker: WorkerContext,
}

impl LaneKey {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let config = Config::default().queue(&name);
        let worker = WorkerContext::new(&name);
        Self { name, config, worker }
    }
}

/// The job's id, and whether it is new: there may be one with its key.
type Added = (JobId, bool);
type Answer = oneshot::Sender<Result<Added, StoreError>>;

/// Jobs that wait for the connection, in the order of enqueuing.
type Arriving = Mutex<BTreeMap<Ulid, (NewJob, Answer)>>;

/// A place among those that wait. Whoever gives up takes their job along.
struct Place {
    arriving: Arc<Arriving>,
    id: Ulid,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.arriving.lock().remove(&self.id);
    }
}

pub(crate) struct Store {
    /// Nothing once it is closed. One connection is all there is: SQLite writes one thing after the other anyway.
    connection: Arc<tokio::sync::Mutex<Option<SqliteConnection>>>,
    /// Whoever gets the connection stores all of them, so that a burst costs a few writes to the disk.
    arriving: Arc<Arriving>,
    /// Ids in the order of enqueuing, which is the order in which jobs are taken that are due in the same second.
    ids: Mutex<Generator>,
    clock: Clock,
}

impl Store {
    /// Opens a file, or a store in memory, and takes back what ran when the process before ended.
    pub(crate) async fn open(
        path: Option<&Path>,
        lanes: Vec<LaneKey>,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let shown: Box<str> =
            path.map_or_else(|| "in memory".into(), |path| path.display().to_string().into());
        let options = match path {
            Some(path) => SqliteConnectOptions::new().filename(path).create_if_missing(true),
            None => SqliteConnectOptions::from_str("sqlite::memory:").expect("a fixed address"),
        };
        // FULL: what was acknowledged survives a power cut too.
        let options = options
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(LOCK_TIMEOUT);
        let opened = blocking(async move || {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            // Only writing takes the lock for sure.
            sqlx::query(SCHEDULES_TABLE).execute(&mut connection).await?;
            SqliteStorage::migrations().run(&mut connection).await.map_err(sqlx::Error::from)?;
            take_back(&mut connection, &lanes).await?;
            Ok(connection)
        });
        let connection = opened.await.map_err(|error: StoreError| match error.is_busy() {
            true => OpenError::InUse(shown),
            false => OpenError::Store(error),
        })?;
        let connection = Arc::new(tokio::sync::Mutex::new(Some(connection)));
        Ok(Self { connection, arriving: Arc::default(), ids: Mutex::new(Generator::new()), clock })
    }

    /// Lets go of the file. What is asked of the store afterwards fails.
    pub(crate) async fn close(&self) {
        let connection = self.connection.lock().await.take();
        if let Some(connection) = connection
            && let Err(error) = blocking(async move || Ok(connection.close().await?)).await
        {
            tracing::warn!(%error, "the job store was not closed cleanly");
        }
    }

    /// Stores a job, or finds the one that has its key. When it is ready the job is on the disk. Dropped before, the job
    /// is stored or not.
    pub(crate) async fn add(&self, job: NewJob) -> Result<Added, StoreError> {
        let (answer, mut answered) = oneshot::channel();
        let _place = {
            let mut arriving = self.arriving.lock();
            let id = self.next_id();
            arriving.insert(id, (job, answer));
            Place { arriving: Arc::clone(&self.arriving), id }
        };
        let connection = tokio::select! {
            biased;
            answer = &mut answered => return answer.unwrap_or_else(|_| Err(StoreError::closed())),
            connection = Arc::clone(&self.connection).lock_owned() => connection,
        };
        let arriving = Arc::clone(&self.arriving);
        let now = self.clock.now();
        // Whoever has given up is not waited for, and their job not stored.
        let take = move || -> (Vec<(Ulid, NewJob)>, Vec<Answer>) {
            let arrived = std::mem::take(&mut *arriving.lock()).into_iter();
            arrived
                .filter(|(_, (_, answer))| !answer.is_closed())
                .map(|(id, (job, answer))| ((id, job), answer))
                .unzip()
        };
        blocking(async move || {
            let mut connection = connection;
            let (jobs, answers) = take();
            let stored = storing(&mut connection, async |store, expected| {
                let mut added = Vec::with_capacity(jobs.len());
                for (id, job) in jobs {
                    added.push(insert(store, expected, id, job, now).await?);
                }
                Ok(added)
            });
            match stored.await {
                Ok(added) => {
                    answers.into_iter().zip(added).for_each(|(answer, added)| drop(answer.send(Ok(added))))
                }
                Err(error) => answers.into_iter().for_each(|answer| drop(answer.send(Err(error.clone())))),
            }
            Ok(())
        })
        .await?;
        answered.await.unwrap_or_else(|_| Err(StoreError::closed()))
    }

    /// Settles jobs that have ended and takes up to `free` that are due, all or nothing: a place is free again only when
    /// what ran in it is on the disk.
    pub(crate) async fn turn(
        &self,
        lane: &LaneKey,
        settled: &Arc<Vec<Settled>>,
        free: usize,
    ) -> Result<Turn, StoreError> {
        let (mut lane, settled, now) = (lane.clone(), Arc::clone(settled), self.clock.now());
        self.with(async move |store| {
            for settled in settled.iter() {
                settle(store, &lane, settled).await?;
            }
            if free == 0 {
                return Ok(Turn::default());
            }
            release(store, &lane.name, now).await?;
            lane.config.batch_size = free;
            let mut taken: Vec<Task<Vec<u8>>> =
                queries::fetch_next(&mut *store, &lane.config, &lane.worker).await?;
            let ids: Vec<String> =
                taken.iter().filter_map(|task| task.task_id()).map(ToString::to_string).collect();
            if !ids.is_empty() {
                queries::lock_tasks(&mut *store, &ids, lane.worker.name()).await?;
            }
            // What an UPDATE returns is in no order.
            taken.sort_by_key(|task| (task.run_at(), task.task_id().map(ToString::to_string)));
            let next_due = match taken.len() < free {
                true => next_due(store, &lane.name).await?,
                false => None,
            };
            Ok(Turn { taken: taken.iter().map(read).collect(), next_due })
        })
        .await
    }

    /// How many jobs of a lane have not ended.
    pub(crate) async fn unfinished(&self, lane: &Arc<str>) -> Result<usize, StoreError> {
        let lane = Arc::clone(lane);
        self.with(async move |store| unfinished(store, &lane).await).await
    }

    /// The newest dead jobs.
    pub(crate) async fn dead(&self, limit: u32) -> Result<Vec<Dead>, StoreError> {
        type Row = (String, String, Vec<u8>, i64, Option<String>, Option<String>, i64);
        let rows: Vec<Row> = self
            .with(async move |store| {
                let select = "SELECT id, job_type, job, attempts, last_result ->> 'Err', metadata ->> 'user', done_at \
                              FROM Jobs WHERE status = 'Killed' ORDER BY done_at DESC, id DESC LIMIT ?";
                Ok(sqlx::query_as(select).bind(limit).fetch_all(store).await?)
            })
            .await?;
        let read = |(id, lane, payload, attempts, error, user, died): Row| Dead {
            id,
            lane,
            payload,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            error: error.unwrap_or_else(|| INTERRUPTED.to_owned()),
            user,
            died: u64::try_from(died).unwrap_or(0) * 1000,
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Gives a dead job as many attempts again as it had; false if there is no such dead job.
    pub(crate) async fn revive(
        &self,
        id: &JobId,
        backlog_of: impl Fn(&str) -> Option<Arc<Backlog>> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let (id, now) = (id.to_string(), seconds(self.clock.now()));
        let update = "UPDATE Jobs SET status = 'Pending', run_at = ?, done_at = NULL, lock_by = NULL, lock_at = NULL, \
                      max_attempts = attempts + CAST(metadata ->> 'attempts' AS INTEGER) \
                      WHERE id = ? AND status = 'Killed' RETURNING job_type";
        self.with_arrivals(async move |store, expected| {
            let lane: Option<String> =
                sqlx::query_scalar(update).bind(now).bind(id).fetch_optional(store).await?;
            // Of a lane that is no more nobody counts.
            expected.extend(lane.as_deref().and_then(backlog_of).map(|backlog| backlog.expect()));
            Ok(lane.is_some())
        })
        .await
    }

    /// Throws a dead job away; false if there is no such dead job.
    pub(crate) async fn discard(&self, id: &JobId) -> Result<bool, StoreError> {
        let id = id.to_string();
        self.with(async move |store| {
            let delete = sqlx::query("DELETE FROM Jobs WHERE id = ? AND status = 'Killed'").bind(id);
            Ok(delete.execute(store).await?.rows_affected() > 0)
        })
        .await
    }

    /// Notes that a schedule fires, and stores its run unless `most` of them have not ended. Whether it was stored.
    pub(crate) async fn fire(&self, fired: Millis, run: NewJob, most: usize) -> Result<bool, StoreError> {
        let (id, now) = (self.next_id(), self.clock.now());
        self.with_arrivals(async move |store, expected| {
            let note = sqlx::query("UPDATE WirelarkSchedules SET fired = ? WHERE lane = ?");
            note.bind(signed(fired)).bind(&*run.lane).execute(&mut *store).await?;
            if unfinished(store, &run.lane).await? >= most {
                return Ok(false);
            }
            insert(store, expected, id, run, now).await?;
            Ok(true)
        })
        .await
    }

    /// What is known of a schedule. One that is new has fired until now.
    pub(crate) async fn record(&self, lane: &Arc<str>) -> Result<Record, StoreError> {
        let (lane, now) = (Arc::clone(lane), signed(self.clock.now()));
        type Row = (i64, Option<i64>, Option<i64>, Option<String>);
        let (fired, started, ended, outcome): Row = self
            .with(async move |store| {
                let add = sqlx::query("INSERT OR IGNORE INTO WirelarkSchedules (lane, fired) VALUES (?, ?)");
                add.bind(&*lane).bind(now).execute(&mut *store).await?;
                let select = "SELECT fired, started, ended, outcome FROM WirelarkSchedules WHERE lane = ?";
                Ok(sqlx::query_as(select).bind(&*lane).fetch_one(store).await?)
            })
            .await?;
        let (started, ended) = (started.map(unsigned), ended.map(unsigned));
        Ok(Record { fired: unsigned(fired), started, ended, outcome })
    }

    /// Throws away what is done and no longer asked for, and the oldest dead letters beyond the limit.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        self.with(async |store| sweep(store).await).await
    }

    fn next_id(&self) -> Ulid {
        // Out of ids within one millisecond, which takes 2^80 of them: any other will do.
        self.ids.lock().generate().unwrap_or_else(|_| Ulid::generate())
    }

    /// Does something in a transaction. Dropped before it is ready, it is done nevertheless once it has begun.
    async fn with<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        blocking(async move || in_transaction(&mut connection, work).await).await
    }

    /// The same for what stores jobs.
    async fn with_arrivals<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut SqliteConnection, &mut Vec<Expected>) -> Result<T, StoreError> + Send + 'static,
    {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        blocking(async move || storing(&mut connection, work).await).await
    }
}

/// Runs a future of the database on a blocking thread.
///
/// The database has threads of its own, which tokio knows nothing of: while a task awaits one of them, a paused clock
/// would find everybody asleep and jump to the next deadline. For a blocking thread it stands still.
async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: AsyncFnOnce() -> Result<T, StoreError> + Send + 'static,
{
    let runtime = Handle::current();
    match tokio::task::spawn_blocking(move || runtime.block_on(work())).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Err(StoreError::closed()),
        },
    }
}

async fn in_transaction<T>(
    connection: &mut OwnedMutexGuard<Option<SqliteConnection>>,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let connection = connection.as_mut().ok_or_else(StoreError::closed)?;
    let mut transaction = connection.begin().await?;
    let value = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(value)
}

/// Does something in a transaction that stores jobs, and wakes who works on them.
///
/// That is done here, where nobody who has given up waiting can prevent it: a job that is on the disk must be run, and its
/// lane looks there only when it is woken.
async fn storing<T>(
    connection: &mut OwnedMutexGuard<Option<SqliteConnection>>,
    work: impl AsyncFnOnce(&mut SqliteConnection, &mut Vec<Expected>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut expected = Vec::new();
    let value = in_transaction(connection, async |store| work(store, &mut expected).await).await?;
    expected.into_iter().for_each(Expected::stored);
    Ok(value)
}

/// The error of a job that ran when its process ended, and had no attempt left.
const INTERRUPTED: &str = "its process ended while it ran";

/// Puts everything that is marked as running back: the file was locked by whoever ran it, and is locked by us now.
async fn take_back(store: &mut SqliteConnection, lanes: &[LaneKey]) -> Result<(), StoreError> {
    let running = "SELECT DISTINCT job_type FROM Jobs WHERE status IN ('Running', 'Queued')";
    let running: Vec<String> = sqlx::query_scalar(running).fetch_all(&mut *store).await?;
    for lane in running {
        let count = queries::reenqueue_orphaned(&mut *store, 0, &lane, &WorkerFilter::None).await?;
        tracing::info!(queue = lane, jobs = count, "taken back from a process that ended");
    }
    // A job that takes the process with it must not do so for ever.
    let spent = "UPDATE Jobs SET status = 'Killed', idempotency_key = NULL, done_at = strftime('%s', 'now'), \
                 last_result = json_object('Err', ?) WHERE status = 'Pending' AND attempts >= max_attempts";
    sqlx::query(spent).bind(INTERRUPTED).execute(&mut *store).await?;
    // Each fire time is run once, and the next is near: a run of a schedule is no dead letter.
    let noted = "UPDATE WirelarkSchedules SET outcome = 'interrupted' \
                 WHERE lane IN (SELECT job_type FROM Jobs WHERE status = 'Killed')";
    sqlx::query(noted).execute(&mut *store).await?;
    let forget = "DELETE FROM Jobs WHERE status = 'Killed' AND job_type LIKE ? || '%'";
    sqlx::query(forget).bind(SCHEDULE_PREFIX).execute(&mut *store).await?;
    // Workers of processes that are gone; ours have the lanes' names.
    sqlx::query("UPDATE Jobs SET lock_by = NULL WHERE lock_by IS NOT NULL").execute(&mut *store).await?;
    sqlx::query("DELETE FROM Workers").execute(&mut *store).await?;
    for lane in lanes {
        queries::register_worker(&mut *store, &lane.config, &lane.worker, "wirelark-jobs").await?;
    }
    sweep(store).await
}

async fn insert(
    store: &mut SqliteConnection,
    expected: &mut Vec<Expected>,
    id: Ulid,
    job: NewJob,
    now: Millis,
) -> Result<Added, StoreError> {
    let NewJob { lane, backlog, payload, user, due, attempts, key } = job;
    if let Some(key) = &key {
        let taken = sqlx::query_scalar("SELECT id FROM Jobs WHERE job_type = ? AND idempotency_key = ?");
        let taken: Option<String> = taken.bind(&*lane).bind(&**key).fetch_optional(&mut *store).await?;
        if let Some(id) = taken {
            return Ok((JobId::from(id), false));
        }
    }
    let mut metadata = MetadataStore::new();
    metadata.replace("queued", now.to_string());
    metadata.replace("attempts", attempts.to_string());
    if let Some(user) = user {
        metadata.replace("user", user);
    }
    let run_at = if due > now { not_before(due) } else { seconds(due) };
    let mut task = TaskBuilder::new(payload)
        .with_metadata(metadata)
        .task_id(TaskId::from_ulid(id))
        .max_attempts(attempts as usize)
        .run_at_timestamp(unsigned(run_at));
    if let Some(key) = key {
        task = task.idempotency_key(key);
    }
    expected.push(backlog.expect());
    queries::push_tasks(store, &lane, &[task.build()]).await?;
    Ok((JobId::from(id.to_string()), true))
}

async fn settle(store: &mut SqliteConnection, lane: &LaneKey, settled: &Settled) -> Result<(), StoreError> {
    let (status, result) = match &settled.end {
        End::Returned => return give_back(store, settled).await,
        End::Done => (Status::Done, Ok(serde_json::Value::Null)),
        End::Failed { error } => (Status::Done, Err(error.clone())),
        End::Retry { error, .. } => (Status::Failed, Err(error.clone())),
        End::Dead { error } => (Status::Killed, Err(error.clone())),
    };
    let task_id = TaskId::from_str(settled.id.as_str()).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let outcome = if result.is_ok() { "done" } else { "failed" };
    let payload = TaskResult { task_id, attempt: settled.attempt as usize, status, result };
    if queries::ack_tasks(&mut *store, &[&payload], lane.worker.name()).await? == 0 {
        tracing::error!(queue = &*lane.name, job = %settled.id, "a job ended that the store does not know");
    }
    match &settled.end {
        End::Retry { due, .. } => {
            let later = sqlx::query("UPDATE Jobs SET run_at = ? WHERE id = ?").bind(not_before(*due));
            later.bind(settled.id.as_str()).execute(&mut *store).await?;
        }
        // Whoever enqueues the same again means a new job.
        End::Dead { .. } => {
            let free = sqlx::query("UPDATE Jobs SET idempotency_key = NULL WHERE id = ?");
            free.bind(settled.id.as_str()).execute(&mut *store).await?;
        }
        End::Done | End::Failed { .. } | End::Returned => {}
    }
    if lane.name.starts_with(SCHEDULE_PREFIX) {
        let note =
            sqlx::query("UPDATE WirelarkSchedules SET started = ?, ended = ?, outcome = ? WHERE lane = ?");
        let note = note.bind(signed(settled.started)).bind(signed(settled.ended)).bind(outcome);
        note.bind(&*lane.name).execute(store).await?;
    }
    Ok(())
}

async fn give_back(store: &mut SqliteConnection, settled: &Settled) -> Result<(), StoreError> {
    let update = "UPDATE Jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL, \
                  attempts = attempts + 1, max_attempts = max_attempts + 1 WHERE id = ?";
    sqlx::query(update).bind(settled.id.as_str()).execute(store).await?;
    Ok(())
}

/// The store takes the system's time for the time. Where ours is ahead, what is due by ours is made due by that one.
async fn release(store: &mut SqliteConnection, lane: &str, now: Millis) -> Result<(), StoreError> {
    let (systems, ours) = (seconds(system_now()), seconds(now));
    if systems >= ours {
        return Ok(());
    }
    let update = "UPDATE Jobs SET run_at = ?1 \
                  WHERE job_type = ?2 AND status IN ('Pending', 'Failed') AND run_at > ?1 AND run_at <= ?3";
    sqlx::query(update).bind(systems).bind(lane).bind(ours).execute(store).await?;
    Ok(())
}

/// One look at each of apalis's two indices of what may be taken.
async fn next_due(store: &mut SqliteConnection, lane: &str) -> Result<Option<Millis>, StoreError> {
    let fresh = "SELECT run_at FROM Jobs WHERE job_type = ? AND status = 'Pending' AND lock_by IS NULL \
                 ORDER BY priority DESC, run_at, id LIMIT 1";
    let failed = "SELECT run_at FROM Jobs WHERE job_type = ? AND status = 'Failed' AND attempts < max_attempts \
                  ORDER BY priority DESC, run_at, id LIMIT 1";
    let fresh: Option<i64> = sqlx::query_scalar(fresh).bind(lane).fetch_optional(&mut *store).await?;
    let failed: Option<i64> = sqlx::query_scalar(failed).bind(lane).fetch_optional(store).await?;
    Ok([fresh, failed].into_iter().flatten().min().map(|due| unsigned(due) * 1000))
}

async fn unfinished(store: &mut SqliteConnection, lane: &str) -> Result<usize, StoreError> {
    let count = "SELECT COUNT(*) FROM Jobs \
                 WHERE job_type = ? AND status IN ('Pending', 'Queued', 'Running', 'Failed')";
    let count: i64 = sqlx::query_scalar(count).bind(lane).fetch_one(store).await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

async fn sweep(store: &mut SqliteConnection) -> Result<(), StoreError> {
    let done = "DELETE FROM Jobs WHERE status = 'Done' AND done_at <= strftime('%s', 'now') - ?";
    sqlx::query(done).bind(DONE_KEPT_SECONDS).execute(&mut *store).await?;
    let dead = "DELETE FROM Jobs WHERE id IN (SELECT id FROM Jobs WHERE status = 'Killed' \
                ORDER BY done_at DESC, id DESC LIMIT -1 OFFSET ?)";
    let thrown_away = sqlx::query(dead).bind(DEAD_MAX).execute(store).await?.rows_affected();
    if thrown_away > 0 {
        tracing::warn!(
            jobs = thrown_away,
            "the oldest dead letters were thrown away: there are more than {DEAD_MAX}"
        );
    }
    Ok(())
}

fn read(task: &Task<Vec<u8>>) -> Taken {
    let metadata = task.metadata();
    let number = |key| metadata.get(key).and_then(|text| text.parse().ok());
    let attempts = task.max_attempts().unwrap_or(1);
    Taken {
        id: JobId::from(task.task_id().map(ToString::to_string).unwrap_or_default()),
        payload: task.args.clone(),
        user: metadata.get("user").map(Into::into),
        queued: number("queued").unwrap_or_else(|| task.run_at().unwrap_or(0) * 1000),
        attempt: u32::try_from(task.attempt()).unwrap_or(u32::MAX).saturating_add(1),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
    }
}

/// The first second in which a job may be taken that is due later. What is taken is running, as far as the store knows,
/// and an attempt is counted should the process end: so nothing is taken before it can begin.
fn not_before(due: Millis) -> i64 {
    signed(due.div_ceil(1000))
}

fn seconds(time: Millis) -> i64 {
    signed(time / 1000)
}

/// SQLite's integers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn job(lane: &Arc<str>) -> NewJob {
        let (lane, backlog) = (Arc::clone(lane), Arc::default());
        NewJob { lane, backlog, payload: b"1".to_vec(), user: None, due: 0, attempts: 1, key: None }
    }

    #[tokio::test]
    async fn who_gives_up_waiting_for_the_store_takes_their_job_along() {
        let store = Store::open(None, Vec::new(), Clock::start()).await.expect("a store");
        let busy = Arc::clone(&store.connection).lock_owned().await;
        let mut adding = Box::pin(store.add(job(&Arc::from("lane"))));
        assert!((&mut adding).now_or_never().is_none(), "the store is busy");
        assert_eq!(store.arriving.lock().len(), 1);
        drop(adding);
        assert_eq!(store.arriving.lock().len(), 0);
        drop(busy);
    }

    #[tokio::test]
    async fn nothing_is_taken_before_it_is_due() {
        let lane = LaneKey::new(Arc::from("lane"));
        let clock = Clock::start();
        let store = Store::open(None, vec![lane.clone()], clock).await.expect("a store");
        // In the middle of a second, so that the second has begun for most of the time in which the job may not be taken.
        let due = clock.now() / 1000 * 1000 + 1999;
        let job = NewJob { due, ..job(&lane.name) };
        store.add(job).await.expect("a working store");
        loop {
            let asked = clock.now();
            let turn = store.turn(&lane, &Arc::default(), 1).await.expect("a working store");
            if !turn.taken.is_empty() {
                assert!(clock.now() >= due, "taken {} ms early", due - asked);
                return;
            }
            assert_eq!(turn.next_due, Some(due + 1), "the next whole second");
            clock.sleep_until(asked + 50).await;
        }
    }
}
