//! What is to be done later, in the order of its time, by one task.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// One deadline, unlike all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    due: Instant,
    number: u64,
}

pub(super) struct Deadlines<T> {
    waiting: Mutex<Waiting<T>>,
    /// There is a new first one.
    first_changed: Notify,
}

struct Waiting<T> {
    by_due: BTreeMap<Deadline, T>,
    last_number: u64,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        let waiting = Waiting { by_due: BTreeMap::new(), last_number: 0 };
        Self { waiting: Mutex::new(waiting), first_changed: Notify::new() }
    }
}

impl<T> Deadlines<T> {
    /// Has `item` come up at `due`.
    pub(super) fn add(&self, due: Instant, item: T) -> Deadline {
        let mut waiting = self.waiting.lock();
        waiting.last_number += 1;
        let deadline = Deadline { due, number: waiting.last_number };
        waiting.by_due.insert(deadline, item);
        if waiting.by_due.first_key_value().is_some_and(|(first, _)| *first == deadline) {
            self.first_changed.notify_one();
        }
        deadline
    }

    /// It does not come up any more.
    pub(super) fn cancel(&self, deadline: Deadline) {
        self.waiting.lock().by_due.remove(&deadline);
    }

    /// The next item whose time has come.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was taken out.
    pub(super) async fn next(&self) -> (Deadline, T) {
        loop {
            let due = {
                let mut waiting = self.waiting.lock();
                match waiting.by_due.first_entry() {
                    Some(first) if first.key().due <= Instant::now() => return first.remove_entry(),
                    first => first.map(|first| first.key().due),
                }
            };
            match due {
                None => self.first_changed.notified().await,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.first_changed.notified() => {}
                },
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().by_due.len()
    }
}
