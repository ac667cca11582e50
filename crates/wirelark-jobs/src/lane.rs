//! A lane: jobs of one kind in the store, and who works on them. Each queue has one, and each schedule.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;
use wirelark::Hub;

use crate::job::Facts;
use crate::queue::Limits;
use crate::store::LaneKey;

/// Whatever a handler's error is.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Working = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;
pub(crate) type Handler = Box<dyn Fn(Vec<u8>, Facts, Hub) -> Working + Send + Sync>;

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the handler says.
    Error(BoxError),
    /// The payload is not what the handler takes. It never will be.
    Unreadable(serde_json::Error),
}

/// What becomes of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retries {
    /// It is tried again, later each time, and dead in the end.
    BackOff,
    /// It is over: the next fire time comes by itself.
    None,
}

pub(crate) struct Lane {
    pub(crate) key: LaneKey,
    pub(crate) limits: Limits,
    pub(crate) retries: Retries,
    /// What is enqueued, to tell when somebody enqueues another type.
    pub(crate) payload: TypeId,
    pub(crate) handler: Handler,
    /// Something may be due earlier than the lane knew.
    pub(crate) arrived: Notify,
    unfinished: AtomicUsize,
}

impl Lane {
    pub(crate) fn new(
        name: &str,
        limits: Limits,
        retries: Retries,
        payload: TypeId,
        handler: Handler,
    ) -> Self {
        let key = LaneKey::new(Arc::from(name));
        Self {
            key,
            limits,
            retries,
            payload,
            handler,
            arrived: Notify::new(),
            unfinished: AtomicUsize::new(0),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    /// Whether no more jobs may be enqueued. A burst of enqueuers may overshoot by their number.
    pub(crate) fn is_full(&self) -> bool {
        self.unfinished.load(Relaxed) >= self.limits.waiting_max
    }

    /// Jobs were stored.
    pub(crate) fn enter(&self, jobs: usize) {
        self.unfinished.fetch_add(jobs, Relaxed);
        self.arrived.notify_one();
    }

    /// A job has ended for good.
    pub(crate) fn leave(&self) {
        let left = |jobs: usize| Some(jobs.saturating_sub(1));
        self.unfinished.fetch_update(Relaxed, Relaxed, left).expect("the closure always gives a value");
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("name", self.name())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
