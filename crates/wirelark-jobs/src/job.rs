//! What a handler is given.

use std::fmt;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::clock::{Millis, to_system_time};

/// The name of a job, unique in its store. Later jobs have later names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Box<str>);

impl JobId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An id that was kept as text. One of no job is an id all the same: what is asked about it finds nothing.
impl From<String> for JobId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One attempt at a job, as its handler sees it.
#[derive(Debug)]
pub struct Job<T> {
    pub(crate) payload: T,
    pub(crate) facts: Facts,
}

/// What is known of an attempt beside its payload.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) id: JobId,
    pub(crate) user: Option<Box<str>>,
    pub(crate) attempt: u32,
    pub(crate) attempts: u32,
    pub(crate) queued: Millis,
    pub(crate) token: CancellationToken,
}

impl<T> Job<T> {
    /// What was enqueued.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// What was enqueued, to keep.
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// The job's id, the same in each attempt: a key for whoever must do a thing only once.
    pub fn id(&self) -> &JobId {
        &self.facts.id
    }

    /// Which attempt this is, from 1. Above 1 an earlier one failed, or did not come to its end: what it did may be done.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// Whether the job is dead if this attempt fails.
    pub fn is_last_attempt(&self) -> bool {
        self.facts.attempt >= self.facts.attempts
    }

    /// The id of the user who asked, if the job was enqueued for one. Their devices may be gone, or be others.
    pub fn user(&self) -> Option<&str> {
        self.facts.user.as_deref()
    }

    /// When the job was enqueued.
    pub fn queued_at(&self) -> SystemTime {
        to_system_time(self.facts.queued)
    }

    /// Fires when the attempt has used up its time, or the server stops. The handler then has five seconds to end before
    /// it is dropped.
    pub fn token(&self) -> &CancellationToken {
        &self.facts.token
    }
}

/// One run of a schedule, as its handler sees it.
#[derive(Debug)]
pub struct Run {
    pub(crate) fire: Fire,
    pub(crate) facts: Facts,
}

/// Why a run was stored.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fire {
    pub(crate) due: Millis,
    pub(crate) by_hand: bool,
}

impl Run {
    /// The run's id.
    pub fn id(&self) -> &JobId {
        &self.facts.id
    }

    /// The time the schedule fired for. The run itself may be later.
    pub fn due_at(&self) -> SystemTime {
        to_system_time(self.fire.due)
    }

    /// Whether somebody asked for this run with [`Jobs::run`](crate::Jobs::run).
    pub fn is_by_hand(&self) -> bool {
        self.fire.by_hand
    }

    /// As [`Job::token`].
    pub fn token(&self) -> &CancellationToken {
        &self.facts.token
    }
}
