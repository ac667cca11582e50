//! A lane's jobs that have not ended: how many, and a bell for who works on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    unfinished: AtomicUsize,
    /// Something may be due earlier than the lane knew.
    arrived: Notify,
}

impl Backlog {
    /// How many jobs have not ended, those among them that are about to be stored.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.load(Relaxed)
    }

    /// Counts jobs that were there when the store was opened.
    pub(crate) fn found(&self, jobs: usize) {
        self.unfinished.fetch_add(jobs, Relaxed);
    }

    /// Counts a job that is about to be stored: before anybody can see it, because it may have ended a moment later.
    pub(crate) fn expect(self: &Arc<Self>) -> Expected {
        self.unfinished.fetch_add(1, Relaxed);
        Expected { backlog: Arc::clone(self), is_stored: false }
    }

    /// A job has ended for good.
    pub(crate) fn leave(&self) {
        let left = |jobs: usize| Some(jobs.saturating_sub(1));
        self.unfinished.fetch_update(Relaxed, Relaxed, left).expect("the closure always gives a value");
    }

    /// Waits until jobs were stored since the last time.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }
}

/// A job that is counted and not stored yet. Dropped, it is counted no more.
#[must_use = "dropped, the job is not counted"]
pub(crate) struct Expected {
    backlog: Arc<Backlog>,
    is_stored: bool,
}

impl Expected {
    /// The job can be seen: wakes who works on it.
    pub(crate) fn stored(mut self) {
        self.is_stored = true;
        self.backlog.arrived.notify_one();
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        if !self.is_stored {
            self.backlog.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_job_counts_before_it_is_stored_and_not_if_it_never_is() {
        let backlog = Arc::new(Backlog::default());
        let expected = backlog.expect();
        assert_eq!((backlog.unfinished(), backlog.arrival().now_or_never()), (1, None));
        drop(expected);
        assert_eq!((backlog.unfinished(), backlog.arrival().now_or_never()), (0, None));
        backlog.expect().stored();
        assert_eq!((backlog.unfinished(), backlog.arrival().now_or_never()), (1, Some(())));
        backlog.leave();
        assert_eq!(backlog.unfinished(), 0);
    }
}
