//! Connections that have no task of their own, and want to be polled by whoever owns them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::facts::Fact;
use super::{Connection, ConnectionId};

/// The ready connections of one owner, each at most once.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    ready: Mutex<VecDeque<ConnectionId>>,
    arrived: Notify,
}

impl RunQueue {
    fn push(&self, connection: ConnectionId) {
        let mut ready = self.ready.lock();
        ready.push_back(connection);
        if ready.len() == 1 {
            self.arrived.notify_one();
        }
    }

    /// Everything that is ready, in exchange for an empty list.
    pub(crate) fn take(&self, empty: &mut VecDeque<ConnectionId>) {
        std::mem::swap(&mut *self.ready.lock(), empty);
    }

    /// Waits until something is ready.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

/// A connection is its own waker, so that one at rest has no other.
impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        self.schedule();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.schedule();
    }
}

impl Connection {
    /// Asks the owner for a turn, unless it was asked already.
    pub(crate) fn schedule(&self) {
        if let Some(queue) = &self.run_queue
            && self.facts.set(Fact::Scheduled)
        {
            queue.push(self.id);
        }
    }

    /// The turn begins: what happens from now on asks for another.
    pub(crate) fn unschedule(&self) {
        self.facts.clear(Fact::Scheduled);
    }
}
