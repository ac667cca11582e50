//! When a schedule fires: cron text, read by croner, in UTC.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};

use crate::clock::Millis;

/// Fire times that are looked at to learn how often a schedule fires.
const GAPS_LOOKED_AT: usize = 50;

/// Why a schedule cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// The text is no cron expression.
    #[error(
        "{text:?} is no schedule ({reason}): write five fields such as \"30 6 * * *\" (minute, hour, day of month, month, \
             day of week), six with seconds first, a name such as \"@hourly\", or \"never\""
    )]
    Text {
        /// What was written.
        text: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// Both kinds of days are restricted, which crons disagree about.
    #[error(
        "{0:?} restricts the day of the month and the day of the week, which some take for `and` and others for `or`: \
             make one of them *, and look at the date in the handler"
    )]
    BothDays(Box<str>),
    /// No time fits, such as February 30th.
    #[error("{0:?} never comes: to run it only by hand, write \"never\"")]
    NeverComes(Box<str>),
}

/// When to fire; nothing for a schedule that is only run by hand.
#[derive(Clone, Debug)]
pub(crate) struct Cron(Option<croner::Cron>);

impl Cron {
    pub(crate) fn parse(text: &str, now: Millis) -> Result<Self, CronError> {
        let text = text.trim();
        if text == "never" {
            return Ok(Self(None));
        }
        let refuse = |reason: &str| CronError::Text { text: text.into(), reason: reason.into() };
        let fields = text.split_whitespace().count();
        if !text.starts_with('@') && !(5..=6).contains(&fields) {
            return Err(refuse(&format!("it has {fields} fields")));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| refuse(error.to_string().trim_end_matches('.')))?;
        if !cron.pattern.is_dom_wildcard() && !cron.pattern.is_dow_wildcard() {
            return Err(CronError::BothDays(text.into()));
        }
        let cron = Self(Some(cron));
        match cron.next_after(now) {
            Some(_) => Ok(cron),
            None => Err(CronError::NeverComes(text.into())),
        }
    }

    /// The first fire time after `time`.
    pub(crate) fn next_after(&self, time: Millis) -> Option<Millis> {
        let next = self.0.as_ref()?.find_next_occurrence(&date(time)?, false).ok()?;
        u64::try_from(next.timestamp_millis()).ok()
    }

    /// The last fire time that is not after `time`.
    pub(crate) fn last_until(&self, time: Millis) -> Option<Millis> {
        let last = self.0.as_ref()?.find_previous_occurrence(&date(time)?, true).ok()?;
        u64::try_from(last.timestamp_millis()).ok()
    }

    /// The shortest time between two of the next fire times.
    pub(crate) fn shortest_gap(&self, now: Millis) -> Option<Duration> {
        let mut last = self.next_after(now)?;
        let gaps = std::iter::from_fn(|| {
            let next = self.next_after(last)?;
            let gap = next - last;
            last = next;
            Some(gap)
        });
        gaps.take(GAPS_LOOKED_AT).min().map(Duration::from_millis)
    }
}

fn date(time: Millis) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(time).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 00:00:00 UTC, a Thursday.
    const NEW_YEAR: Millis = 1_767_225_600_000;
    const HOUR: Millis = 3_600_000;

    #[track_caller]
    fn check_next(text: &str, seconds_later: u64) {
        let cron = Cron::parse(text, NEW_YEAR).expect("a good schedule");
        assert_eq!(cron.next_after(NEW_YEAR), Some(NEW_YEAR + seconds_later * 1000), "{text}");
    }

    #[test]
    fn five_fields_six_fields_and_names_fire_in_utc() {
        check_next("* * * * *", 60);
        check_next("* * * * * *", 1);
        check_next("30 6 * * *", 6 * 3600 + 30 * 60);
        check_next("15 30 6 * * *", 6 * 3600 + 30 * 60 + 15);
        check_next("@hourly", 3600);
        check_next("@daily", 24 * 3600);
        check_next("@weekly", 3 * 24 * 3600);
        check_next("@monthly", 31 * 24 * 3600);
        check_next("0 0 L * *", 30 * 24 * 3600);
        check_next("0 9 * * MON", (4 * 24 + 9) * 3600);
    }

    #[track_caller]
    fn check_refused(text: &str, fragment: &str) {
        let error = Cron::parse(text, NEW_YEAR).expect_err("a bad schedule").to_string();
        assert!(error.contains(fragment), "{text}: {error}");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_what_to_write() {
        check_refused("", "it has 0 fields");
        check_refused("* * *", "write five fields");
        check_refused("* * * * * * *", "it has 7 fields");
        check_refused("60 * * * *", "write five fields");
        check_refused("every day", "write five fields");
        check_refused("@fortnightly", "such as \"@hourly\"");
        check_refused("0 0 13 * FRI", "make one of them *");
        check_refused("0 0 30 2 *", "write \"never\"");
    }

    #[test]
    fn never_fires_never() {
        let cron = Cron::parse("never", NEW_YEAR).expect("a good schedule");
        assert_eq!((cron.next_after(NEW_YEAR), cron.shortest_gap(NEW_YEAR)), (None, None));
    }

    #[test]
    fn the_last_time_and_the_shortest_gap() {
        let cron = Cron::parse("0 0,1 * * *", NEW_YEAR).expect("a good schedule");
        assert_eq!(cron.last_until(NEW_YEAR), Some(NEW_YEAR));
        assert_eq!(cron.last_until(NEW_YEAR + 5 * HOUR), Some(NEW_YEAR + HOUR));
        assert_eq!(cron.shortest_gap(NEW_YEAR), Some(Duration::from_secs(3600)));
    }
}
