//! Who is about to be offline: users without a connection, each once, in the order in which their grace periods end.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// One departure, unlike all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Departure {
    due: Instant,
    number: u64,
}

#[derive(Default)]
pub(super) struct Departures {
    waiting: Mutex<Waiting>,
    /// There is a new first one.
    first_changed: Notify,
}

#[derive(Default)]
struct Waiting {
    by_due: BTreeMap<Departure, Box<str>>,
    last_number: u64,
}

impl Departures {
    /// Has `user` come up after `grace`.
    pub(super) fn add(&self, user: &str, grace: Duration) -> Departure {
        let mut waiting = self.waiting.lock();
        waiting.last_number += 1;
        let departure = Departure { due: Instant::now() + grace, number: waiting.last_number };
        waiting.by_due.insert(departure, user.into());
        if waiting.by_due.first_key_value().is_some_and(|(first, _)| *first == departure) {
            self.first_changed.notify_one();
        }
        departure
    }

    /// The user is back.
    pub(super) fn cancel(&self, departure: Departure) {
        self.waiting.lock().by_due.remove(&departure);
    }

    /// The next user whose grace period is over.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nobody was taken out.
    pub(super) async fn next(&self) -> (Departure, Box<str>) {
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
