//! One attempt at a job: its time, its panics, and what becomes of it.

use std::any::Any;
use std::hash::{BuildHasher as _, RandomState};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use wirelark::Hub;

use crate::clock::Clock;
use crate::job::Facts;
use crate::lane::{Failure, Lane, Retries};
use crate::metric_names as names;
use crate::store::{End, Settled, Taken};

/// How long a handler has to end by itself once its token has fired.
const GRACE: Duration = Duration::from_secs(5);

/// Before the first retry; twice as long before each one after. With a quarter on top, and rounded up to a whole second as the
/// store does, the first comes within two seconds.
const FIRST_BACKOFF: Duration = Duration::from_millis(750);

const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// What is kept of an error.
const ERROR_BYTES_MAX: usize = 1024;

/// How the handler's part of it ended.
enum Outcome {
    Done,
    Failed(Failure),
    Panicked(String),
    TimedOut,
    /// The server stops, and the handler was not done.
    Interrupted,
}

impl Outcome {
    fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Panicked(_) => "panicked",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Runs a job that was taken until it may be settled.
pub(crate) async fn run(
    lane: &Lane,
    taken: Taken,
    hub: Hub,
    clock: Clock,
    stop: &CancellationToken,
) -> Settled {
    let Taken { id, payload, user, queued, attempt, attempts } = taken;
    let facts = Facts { id: id.clone(), user, attempt, attempts, queued, token: stop.child_token() };
    let span = tracing::info_span!("job", queue = &**lane.name(), id = %id, attempt);
    let (started, running) = (clock.now(), Running::new(lane));
    let outcome = attempt_once(lane, payload, facts, hub, stop).instrument(span.clone()).await;
    drop(running);
    let labels = [("queue", lane.name().to_string()), ("outcome", outcome.label().to_owned())];
    metrics::counter!(names::ATTEMPTS, &labels).increment(1);
    let ended = clock.now();
    let end = span.in_scope(|| judge(lane, outcome, &id, attempt, attempts, ended));
    Settled { id, attempt, started, ended, end }
}

async fn attempt_once(
    lane: &Lane,
    payload: Vec<u8>,
    facts: Facts,
    hub: Hub,
    stop: &CancellationToken,
) -> Outcome {
    let token = facts.token.clone();
    // The handler's own part, before its future, may panic too.
    let work = async { (lane.handler)(payload, facts, hub).await };
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    let too_late = tokio::select! {
        ended = &mut work => return outcome(ended),
        () = sleep(lane.limits.timeout) => Outcome::TimedOut,
        () = stop.cancelled() => Outcome::Interrupted,
    };
    token.cancel();
    match timeout(GRACE, work).await.map(outcome) {
        // It was asked to give up. That it did not succeed says nothing of the job.
        Ok(Outcome::Failed(Failure::Error(_))) | Err(_) => too_late,
        Ok(ended) => ended,
    }
}

fn outcome(ended: Result<Result<(), Failure>, Box<dyn Any + Send>>) -> Outcome {
    match ended {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(failure)) => Outcome::Failed(failure),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Outcome::Panicked(text.unwrap_or_default())
        }
    }
}

fn judge(lane: &Lane, outcome: Outcome, id: &crate::JobId, attempt: u32, attempts: u32, now: u64) -> End {
    let (error, hopeless) = match outcome {
        Outcome::Done => return End::Done,
        Outcome::Interrupted => return End::Returned,
        Outcome::Failed(Failure::Error(error)) => (chain(&*error), false),
        Outcome::Failed(Failure::Unreadable(error)) => (format!("the payload cannot be read: {error}"), true),
        Outcome::Panicked(text) => (format!("it panicked: {text}"), false),
        Outcome::TimedOut => (format!("it took longer than {:?}", lane.limits.timeout), false),
    };
    let error = shortened(error);
    if lane.retries == Retries::None {
        tracing::error!(error, "a run of a schedule failed");
        return End::Failed { error };
    }
    if hopeless || attempt >= attempts {
        tracing::error!(error, "a job is dead: this was its last attempt");
        metrics::counter!(names::DEAD, "queue" => lane.name().to_string()).increment(1);
        return End::Dead { error };
    }
    let pause = backoff(attempt, RandomState::new().hash_one(id.as_str()));
    tracing::warn!(error, retry_in = ?pause, "an attempt at a job failed");
    End::Retry { due: now + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), error }
}

/// How long to wait after a failed attempt. `chance` spreads jobs that failed together over a quarter of it.
fn backoff(attempt: u32, chance: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let pause = (FIRST_BACKOFF * (1 << doublings)).min(BACKOFF_MAX);
    pause + pause * u32::try_from(chance % 256).unwrap_or(0) / 1024
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // Many print their cause themselves.
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

fn shortened(mut error: String) -> String {
    let end = error.floor_char_boundary(ERROR_BYTES_MAX);
    error.truncate(end);
    error
}

/// Counts an attempt among those that run, whatever becomes of it.
struct Running(metrics::Gauge);

impl Running {
    fn new(lane: &Lane) -> Self {
        let gauge = metrics::gauge!(names::RUNNING, "queue" => lane.name().to_string());
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_come_later_each_time_and_not_all_at_once() {
        assert_eq!(backoff(1, 0), FIRST_BACKOFF);
        assert!((1..256).all(|chance| backoff(1, chance) < Duration::from_secs(1)));
        assert_ne!(backoff(1, 1), backoff(1, 2));
        assert_eq!(backoff(4, 0), FIRST_BACKOFF * 8);
        assert_eq!((backoff(10, 0), backoff(100, 0)), (BACKOFF_MAX, BACKOFF_MAX));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let error = shortened("ü".repeat(2000));
        assert_eq!(error, "ü".repeat(ERROR_BYTES_MAX / 2));
        assert_eq!(shortened("x".repeat(1023) + "ü"), "x".repeat(1023));
    }
}
