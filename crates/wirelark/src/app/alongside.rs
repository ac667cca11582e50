//! Work that lives as long as the server serves, beside its connections.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::Hub;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Work = Box<dyn FnOnce(Hub, CancellationToken) -> Running + Send>;

/// What an app runs alongside. A built app may be cloned: whoever serves first takes it and starts it, once.
#[derive(Clone, Default)]
pub(super) struct Alongside(Arc<Mutex<Vec<Work>>>);

impl Alongside {
    pub(super) fn add<F, Fut>(&self, work: F)
    where
        F: FnOnce(Hub, CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.0.lock().push(Box::new(|hub, stop| Box::pin(work(hub, stop))));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Starts what nobody has started yet. The tasks end by themselves after `stop`, or are dropped when the hub stops.
    pub(super) fn start(&self, hub: &Hub, stop: &CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        let works = std::mem::take(&mut *self.0.lock());
        for work in works {
            let running = work(hub.clone(), stop.clone());
            tasks.spawn(hub.stopped().clone().run_until_cancelled_owned(running));
        }
        tasks.close();
        tasks
    }
}

impl fmt::Debug for Alongside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alongside").field("works", &self.0.lock().len()).finish()
    }
}
