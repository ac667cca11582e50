//! A lane: jobs of one kind in the store, and who works on them. Each queue has one, and each schedule.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wirelark::Hub;

use crate::backlog::Backlog;
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
    pub(crate) backlog: Arc<Backlog>,
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
        Self { key, limits, retries, payload, handler, backlog: Arc::default() }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    /// Whether no more jobs may be enqueued. A burst of enqueuers may overshoot by their number.
    pub(crate) fn is_full(&self) -> bool {
        self.backlog.unfinished() >= self.limits.waiting_max
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
