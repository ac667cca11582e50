//! A schedule: when something runs, and what happens when it has not ended by the next time.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::clock::Millis;
use crate::cron::{Cron, CronError};
use crate::error::OpenError;
use crate::queue::{Limits, TIMEOUT, TIMEOUT_MAX};

/// Runs that may run at once with [`Overlap::Allow`].
const AT_ONCE_MAX: usize = 16;

/// Runs of one schedule that have not ended; beyond it fire times are left out.
const RUNS_MAX: usize = 64;

/// What happens at a fire time while the run before has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overlap {
    /// This fire time is left out.
    #[default]
    Skip,
    /// The run waits until the one before has ended. There are 64 at most; beyond them fire times are left out.
    Queue,
    /// Both run: 16 at once, and 64 with those that wait.
    Allow,
}

impl Overlap {
    pub(crate) fn at_once(self) -> usize {
        match self {
            Self::Skip | Self::Queue => 1,
            Self::Allow => AT_ONCE_MAX,
        }
    }

    /// How many runs there may be, with one that is added at a fire time.
    pub(crate) fn runs_max(self) -> usize {
        match self {
            Self::Skip => 1,
            Self::Queue | Self::Allow => RUNS_MAX,
        }
    }
}

/// Runs that may be asked for by hand, whatever the policy.
pub(crate) const BY_HAND_MAX: usize = RUNS_MAX;

/// When something runs.
///
/// The text is that of cron, and the times are UTC: five fields (minute, hour, day of month, month, day of week), six with
/// seconds first, `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or `never` for what is only run by hand. `L` is
/// the last day of a month, `FRI#2` its second Friday. Restricting the day of the month and the day of the week at once is
/// refused.
#[derive(Clone, Debug)]
#[must_use = "a schedule does nothing until it is added"]
pub struct Schedule {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) overlap: Overlap,
    timeout: Option<Duration>,
}

impl Schedule {
    /// A schedule of this name (as [`Queue`](crate::Queue) has one) that fires as the text says.
    pub fn new(name: &'static str, cron: impl Into<String>) -> Self {
        Self { name, text: cron.into(), overlap: Overlap::default(), timeout: None }
    }

    /// What happens at a fire time while the run before has not ended; it is skipped unless set.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// How long a run may take: from 1 s to 900 s, and to the shortest time between two runs. Unless set it is the shorter
    /// one of that and 300 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn check(&self, now: Millis) -> Result<(Cron, Limits), OpenError> {
        let cron = Cron::parse(&self.text, now)
            .map_err(|error: CronError| OpenError::Schedule { name: self.name.into(), error })?;
        let gap = cron.shortest_gap(now).unwrap_or(TIMEOUT_MAX);
        let timeout = self.timeout.unwrap_or_else(|| gap.min(TIMEOUT));
        if timeout > gap.min(TIMEOUT_MAX) {
            let range = "at most 900 s, and no longer than the time between two runs";
            return Err(OpenError::Limit { queue: self.name.into(), option: "timeout", range });
        }
        let limits =
            Limits { concurrency: self.overlap.at_once(), attempts: 1, timeout, waiting_max: usize::MAX };
        limits.check(self.name)?;
        Ok((cron, limits))
    }
}

/// A schedule as it is kept, and how it went last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScheduleInfo {
    /// Its name.
    pub name: &'static str,
    /// The cron text.
    pub cron: String,
    /// What happens when a run takes too long.
    pub overlap: Overlap,
    /// How long a run may take.
    pub timeout: Duration,
    /// When it fires next; never for `never`.
    pub next_run: Option<SystemTime>,
    /// The run that ended last.
    pub last_run: Option<LastRun>,
}

/// How a schedule's last run went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LastRun {
    /// When it began, if the process lived to tell.
    pub started: Option<SystemTime>,
    /// When it ended, if the process lived to tell.
    pub ended: Option<SystemTime>,
    /// How it ended.
    pub outcome: RunOutcome,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunOutcome {
    /// Its handler returned `Ok`.
    Done,
    /// Its handler failed, panicked or took too long; the log says more.
    Failed,
    /// Its process ended while it ran.
    Interrupted,
}

impl RunOutcome {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "interrupted" => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_767_225_600_000;

    #[track_caller]
    fn check_timeout(schedule: &Schedule, expected: u64) {
        let (_, limits) = schedule.check(NOW).expect("a good schedule");
        assert_eq!(limits.timeout, Duration::from_secs(expected));
    }

    #[test]
    fn a_run_may_not_take_longer_than_the_time_between_two() {
        let at = |cron: &str| Schedule::new("s", cron);
        check_timeout(&at("* * * * * *"), 1);
        check_timeout(&at("* * * * *"), 60);
        check_timeout(&at("@daily"), 300);
        check_timeout(&at("never"), 300);
        check_timeout(&at("@daily").timeout(Duration::from_secs(900)), 900);
        for (cron, timeout) in [("@daily", 901), ("* * * * *", 61), ("never", 901), ("@daily", 0)] {
            let error =
                at(cron).timeout(Duration::from_secs(timeout)).check(NOW).expect_err("too long or too short");
            assert!(error.to_string().contains("900 s"), "{cron} {timeout}: {error}");
        }
    }
}
