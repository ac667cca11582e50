//! A queue: a name, what its jobs carry, and the limits they run under.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::error::{InvalidName, OpenError};

/// Most jobs of one queue that may run at once, whatever is asked for.
const CONCURRENCY_MAX: usize = 1024;

/// Most attempts a job may be given.
pub(crate) const ATTEMPTS_MAX: u32 = 100;

/// How long an attempt may take, whatever is asked for.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(900);

/// How long an attempt may take unless said otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);

/// A queue of jobs that carry a `T`.
///
/// It is a name with a type and limits, made where everybody who enqueues can see it:
///
/// ```
/// use std::time::Duration;
/// use wirelark_jobs::Queue;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Order;
///
/// const SHIP: Queue<Order> = Queue::new("ship").concurrency(4).timeout(Duration::from_secs(60));
/// # let _ = SHIP;
/// ```
///
/// | limit | unless set | at most |
/// |---|---|---|
/// | [`concurrency`](Self::concurrency) | 16 | 1024 |
/// | [`attempts`](Self::attempts) | 10 | 100 |
/// | [`timeout`](Self::timeout) | 300 s | 900 s |
/// | [`waiting_max`](Self::waiting_max) | 100,000 | |
///
/// They are checked when the jobs are opened.
pub struct Queue<T> {
    pub(crate) name: &'static str,
    pub(crate) limits: Limits,
    payload: PhantomData<fn(T)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) concurrency: usize,
    pub(crate) attempts: u32,
    pub(crate) timeout: Duration,
    pub(crate) waiting_max: usize,
}

impl<T> Queue<T> {
    /// A queue of this name: 1 to 40 of `a-z`, `0-9`, `_` and `-`.
    pub const fn new(name: &'static str) -> Self {
        let limits = Limits { concurrency: 16, attempts: 10, timeout: TIMEOUT, waiting_max: 100_000 };
        Self { name, limits, payload: PhantomData }
    }

    /// How many of its jobs may run at once.
    #[must_use]
    pub const fn concurrency(mut self, jobs: usize) -> Self {
        self.limits.concurrency = jobs;
        self
    }

    /// How often a job is tried before it is dead, unless the job says so itself.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.limits.attempts = attempts;
        self
    }

    /// How long an attempt may take; from 1 s to 900 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// How many jobs may wait, those that will be tried again among them. Beyond it enqueuing fails with
    /// [`EnqueueError::Full`](crate::EnqueueError::Full).
    ///
    /// It is looked at before a job is stored, so those who enqueue at the same moment may exceed it by their number. A
    /// [retried](crate::Jobs::retry) dead letter is taken in whether there is room or not.
    #[must_use]
    pub const fn waiting_max(mut self, jobs: usize) -> Self {
        self.limits.waiting_max = jobs;
        self
    }

    /// The queue's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Queue<T> {}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).field("limits", &self.limits).finish()
    }
}

impl Limits {
    pub(crate) fn check(&self, queue: &str) -> Result<(), OpenError> {
        let refuse = |option, range| Err(OpenError::Limit { queue: queue.into(), option, range });
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return refuse("concurrency", "1 to 1024");
        }
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts) {
            return refuse("attempts", "1 to 100");
        }
        if !(Duration::from_secs(1)..=TIMEOUT_MAX).contains(&self.timeout) {
            return refuse("timeout", "1 s to 900 s");
        }
        if self.waiting_max == 0 {
            return refuse("waiting_max", "1 or more");
        }
        Ok(())
    }
}

/// Names are labels of metrics, parts of paths and keys of the store: they are kept plain.
pub(crate) fn check_name(name: &str) -> Result<(), InvalidName> {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if (1..=40).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(InvalidName(name.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_short() {
        for good in ["a", "ship", "send_mail-2", &"x".repeat(40)] {
            check_name(good).expect("a good name");
        }
        for bad in ["", "Ship", "a b", "a.b", "ünï", "schedule:x", &"x".repeat(41)] {
            let error = check_name(bad).expect_err("a bad name").to_string();
            assert!(error.contains("1 to 40"), "{error}");
        }
    }

    #[test]
    fn impossible_limits_say_what_is_possible() {
        let check = |queue: Queue<()>, fragment: &str| {
            let error = queue.limits.check(queue.name).expect_err("an impossible limit").to_string();
            assert!(error.contains("\"q\"") && error.contains(fragment), "{error}");
        };
        let queue = Queue::new("q");
        queue.limits.check("q").expect("the defaults hold");
        check(queue.concurrency(0), "1 to 1024");
        check(queue.concurrency(1025), "1 to 1024");
        check(queue.attempts(0), "1 to 100");
        check(queue.timeout(Duration::from_millis(999)), "1 s to 900 s");
        check(queue.timeout(Duration::from_secs(901)), "1 s to 900 s");
        check(queue.waiting_max(0), "1 or more");
    }
}
