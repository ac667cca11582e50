//! What can go wrong, for each operation.

use std::sync::Arc;

use wirelark::auth::InvalidUserId;

use crate::cron::CronError;

/// A name no queue and no schedule can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 40 of a-z, 0-9, _ and -, unlike {0:?}")]
pub struct InvalidName(pub(crate) String);

/// The store failed: its disk is full, its file is damaged, or it was closed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the job store failed: {0}")]
pub struct StoreError(Arc<dyn std::error::Error + Send + Sync>);

impl StoreError {
    pub(crate) fn closed() -> Self {
        Self(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("it is closed")))
    }
}

impl StoreError {
    /// Whether somebody else has the store.
    pub(crate) fn is_busy(&self) -> bool {
        let Some(sqlx::Error::Database(error)) = self.0.downcast_ref::<sqlx::Error>() else { return false };
        // SQLITE_BUSY, whatever its extension.
        error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xFF == 5)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<apalis_sqlite::Error> for StoreError {
    fn from(error: apalis_sqlite::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// Why jobs could not be opened; the message says what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A queue or a schedule has a name that cannot be.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Two queues, or two schedules, have the same name.
    #[error("{0:?} is there twice: give one of them another name")]
    Duplicate(Box<str>),
    /// A limit is out of its range.
    #[error("{queue:?}: `{option}` must be {range}")]
    Limit {
        /// The queue or schedule.
        queue: Box<str>,
        /// Which limit.
        option: &'static str,
        /// What is possible.
        range: &'static str,
    },
    /// A schedule cannot be kept.
    #[error("schedule {name:?}: {error}")]
    Schedule {
        /// The schedule.
        name: Box<str>,
        /// What is wrong with it.
        error: CronError,
    },
    /// Another process has the store open, and did not let go of it in time.
    #[error(
        "the job store {0:?} is in use by another process: stop that one, or give each a store of its own"
    )]
    InUse(Box<str>),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a job was not enqueued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// Nobody works on a queue of this name.
    #[error("there is no queue {0:?}: add it with `Jobs::builder().queue(..)` before the jobs are opened")]
    UnknownQueue(Box<str>),
    /// The queue of this name was added with another type.
    #[error("queue {0:?} carries another type: use the `Queue` it was added with")]
    OtherType(Box<str>),
    /// Too many jobs wait.
    #[error("queue {0:?} is full: its `waiting_max` jobs wait")]
    Full(Box<str>),
    /// The payload cannot be written as JSON.
    #[error("the payload cannot be written as JSON: {0}")]
    Payload(#[source] serde_json::Error),
    /// The payload is larger than a mebibyte as JSON.
    #[error(
        "the payload has {0} bytes as JSON, and 1048576 are allowed: store it elsewhere and enqueue its name"
    )]
    PayloadTooLarge(usize),
    /// A user id no user can have.
    #[error(transparent)]
    User(#[from] InvalidUserId),
    /// A key that is empty or has more than 256 bytes.
    #[error("a unique key has 1 to 256 bytes, and not {0}")]
    Key(usize),
    /// No attempts, or more than there may be.
    #[error("a job has 1 to 100 attempts, and not {0}")]
    Attempts(u32),
    /// A delay of more than a year.
    #[error("a job can be delayed by 366 days at most")]
    Delay,
    /// The store failed. The job may have been enqueued.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a schedule was not run by hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is no schedule of this name.
    #[error(
        "there is no schedule {0:?}: add it with `Jobs::builder().schedule(..)` before the jobs are opened"
    )]
    UnknownSchedule(Box<str>),
    /// So many runs wait already that one more would only wait behind them.
    #[error("schedule {0:?} has as many runs waiting as it may have")]
    Full(Box<str>),
    /// The store failed. The run may have been enqueued.
    #[error(transparent)]
    Store(#[from] StoreError),
}
