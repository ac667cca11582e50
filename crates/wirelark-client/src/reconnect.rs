//! Whether a connection that ended is made again, and when.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use wirelark_proto::{Action, CloseCode};

use crate::closed::Closed;

/// What a client does when its connection ends, or cannot be made.
///
/// Whatever is chosen, it stays closed after [`Client::close`](crate::Client::close), after 1000, and after every
/// code whose row in the [table](wirelark_proto::table) tells a client to stop or to sign in: 1008, 4401 and their
/// like, and the HTTP statuses they are twins of. [`Client::connect`](crate::Client::connect) opens it again.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Reconnect {
    /// Nothing: the client is closed.
    Never,
    /// It tries again, ever more seldom.
    Backoff(Backoff),
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::Backoff(Backoff::default())
    }
}

/// How long a client waits before each attempt.
///
/// The delay before attempt `n` is `initial * factor^(n-1)`, at most `max`, and then up to `jitter` of itself
/// longer or shorter. A server that says how long to wait (`retry after 3 s` in a close reason, or a `Retry-After`
/// header) is waited for at least that long, for up to an hour.
///
/// Attempts count from 1 again once a connection has stayed open longer than the delay before it, so that a server
/// that accepts and hangs up does not get a client that comes back every second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backoff {
    /// Before the first attempt; 1 s.
    pub initial: Duration,
    /// The longest delay, before jitter; 30 s.
    pub max: Duration,
    /// How much longer each delay is than the one before it; 2. At least 1.
    pub factor: f64,
    /// Which part of a delay is left to chance, from 0 to 1; 0.2.
    pub jitter: f64,
    /// How many attempts in a row may fail before the client is closed; `None` is no limit.
    pub max_attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(30),
            factor: 2.0,
            jitter: 0.2,
            max_attempts: None,
        }
    }
}

/// The longest a server can ask a client to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

impl Reconnect {
    /// The delay before attempt `attempt`, counted from 1, after a connection that ended like this. `None` if there
    /// is to be no attempt. `asked` is how long the server wants to be left alone.
    pub(crate) fn delay(
        &self,
        attempt: u32,
        closed: &Closed,
        asked: Option<Duration>,
        random: &mut StdRng,
    ) -> Option<Duration> {
        let Self::Backoff(backoff) = self else { return None };
        if is_final(closed.code) || backoff.max_attempts.is_some_and(|max| attempt > max) {
            return None;
        }
        let delay = backoff.delay(attempt, random);
        let Some(asked) = asked.or_else(|| closed.retry_after()) else { return Some(delay) };
        // Never earlier than asked; the jitter keeps clients apart that were all told the same.
        let asked = asked.min(RETRY_AFTER_MAX);
        Some(delay.max(asked.mul_f64(1.0 + backoff.jitter * random.random::<f64>())))
    }
}

impl Backoff {
    fn delay(&self, attempt: u32, random: &mut StdRng) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        // In seconds and bounded before it is a duration: the power may well be infinite.
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let seconds = seconds.min(self.max.as_secs_f64());
        let jitter = 1.0 + self.jitter * random.random_range(-1.0..=1.0);
        Duration::from_secs_f64(seconds * jitter)
    }

    /// What is wrong with it, and what to write instead.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let Self { initial, max, factor, jitter, .. } = *self;
        if initial.is_zero() {
            return Some("`initial` is zero, which is a client that never rests: write 1 s");
        }
        if max < initial || max > Duration::from_secs(365 * 24 * 3_600) {
            return Some("`max` must be at least `initial`, and at most a year");
        }
        if !(factor.is_finite() && factor >= 1.0) {
            return Some("`factor` must be at least 1");
        }
        (!(0.0..=1.0).contains(&jitter)).then_some("`jitter` must be from 0 to 1")
    }
}

/// Whether a connection that ended with this code would only end like this again, or has done its work.
fn is_final(code: CloseCode) -> bool {
    code == CloseCode::NORMAL || matches!(code.action(), Action::Stop | Action::SignIn)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use wirelark_proto::CloseFrame;

    use super::*;

    fn closed(code: u16, reason: &'static str) -> Closed {
        Closed::by_server(Some(CloseFrame::new(CloseCode::new(code), reason)))
    }

    fn delay(attempt: u32, closed: &Closed, seed: u64) -> Option<Duration> {
        Reconnect::default().delay(attempt, closed, None, &mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn delays_double_up_to_the_longest_and_vary_by_a_fifth() {
        for (attempt, seconds) in
            [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 30.0), (40, 30.0), (u32::MAX, 30.0)]
        {
            let delays: Vec<f64> = (0..100)
                .filter_map(|seed| delay(attempt, &closed(1006, ""), seed))
                .map(|it| it.as_secs_f64())
                .collect();
            assert_eq!(delays.len(), 100);
            assert!(
                delays.iter().all(|it| (seconds * 0.8..=seconds * 1.2).contains(it)),
                "{attempt}: {delays:?}"
            );
            assert!(
                delays.iter().any(|it| *it < seconds * 0.9) && delays.iter().any(|it| *it > seconds * 1.1)
            );
        }
    }

    #[test]
    fn a_server_that_asks_for_more_time_gets_it() {
        for seed in 0..100 {
            let asked = delay(1, &closed(1013, "busy; retry after 20 s"), seed).unwrap().as_secs_f64();
            assert!((20.0..=24.0).contains(&asked), "{asked}");
            let for_ever = delay(1, &closed(1012, "retry after 99999999999 s"), seed).unwrap();
            assert!(for_ever <= RETRY_AFTER_MAX.mul_f64(1.2));
            let soon = delay(3, &closed(1012, "retry after 1 s"), seed).unwrap().as_secs_f64();
            assert!(soon >= 3.2, "{soon}");
        }
    }

    #[test]
    fn some_ends_are_final() {
        for code in [1000, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4404, 4409, 4426] {
            assert_eq!(delay(1, &closed(code, "retry after 1 s"), 1), None, "{code}");
        }
        for code in [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3000, 4000, 4408, 4429, 4500, 4504] {
            assert!(delay(1, &closed(code, ""), 1).is_some(), "{code}");
        }
        let mut random = StdRng::seed_from_u64(1);
        assert_eq!(Reconnect::Never.delay(1, &closed(1006, ""), None, &mut random), None);
        let twice = Reconnect::Backoff(Backoff { max_attempts: Some(2), ..Backoff::default() });
        assert!(twice.delay(2, &closed(1006, ""), None, &mut random).is_some());
        assert_eq!(twice.delay(3, &closed(1006, ""), None, &mut random), None);
    }
}
