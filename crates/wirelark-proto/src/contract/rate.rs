//! How often a call may be made, as data, and what a client is told that makes it more often.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Problem;

/// So many a second, a minute or an hour, and how many of them at once.
///
/// The allowance fills up evenly: with five a second one more is allowed every 200 ms, until the burst is full again.
///
/// ```
/// use wirelark_proto::contract::Rate;
///
/// let rate = Rate::per_minute(10).burst(3);
/// assert_eq!(rate.to_string(), "10 a minute, 3 at once");
/// assert!(Rate::per_second(0).check().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Rate {
    count: u32,
    per: Per,
    burst: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Per {
    Second,
    Minute,
    Hour,
}

/// A burst that takes longer than this to be allowed again is a mistake, and more than clocks may hold.
const WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

impl Rate {
    /// So many a second, all of them at once if need be.
    pub const fn per_second(count: u32) -> Self {
        Self { count, per: Per::Second, burst: count }
    }

    /// So many a minute, all of them at once if need be.
    pub const fn per_minute(count: u32) -> Self {
        Self { count, per: Per::Minute, burst: count }
    }

    /// So many an hour, all of them at once if need be.
    pub const fn per_hour(count: u32) -> Self {
        Self { count, per: Per::Hour, burst: count }
    }

    /// The same with another number that may come at once after a quiet time.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// The same, counted for something else than each connection.
    pub const fn by(self, by: RateBy) -> CallRate {
        CallRate { rate: self, by }
    }

    /// How many may come at once.
    pub const fn burst_size(self) -> u32 {
        self.burst
    }

    /// After how long one more is allowed. Nothing for a rate that cannot be.
    pub const fn interval(self) -> Duration {
        if self.count == 0 {
            Duration::ZERO
        } else {
            Duration::from_nanos(self.per.nanos() / self.count as u64)
        }
    }

    /// Whether anything can be measured with it.
    ///
    /// # Errors
    /// It has a zero, is faster than a nanosecond, or its burst takes more than a year to be allowed again.
    pub fn check(self) -> Result<(), InvalidRate> {
        if self.count == 0 || self.burst == 0 {
            return Err(InvalidRate("has a zero, and lets nothing through: write at least 1"));
        }
        if self.interval().is_zero() {
            return Err(InvalidRate("is more than one a nanosecond, which is no limit: write less"));
        }
        if self.interval().checked_mul(self.burst).is_none_or(|window| window > WINDOW_MAX) {
            return Err(InvalidRate(
                "has a burst that takes more than a year to be allowed again: write less",
            ));
        }
        Ok(())
    }
}

impl Per {
    const fn nanos(self) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        match self {
            Self::Second => SECOND,
            Self::Minute => 60 * SECOND,
            Self::Hour => 3_600 * SECOND,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per {
            Per::Second => "a second",
            Per::Minute => "a minute",
            Per::Hour => "an hour",
        };
        write!(f, "{} {per}", self.count)?;
        if self.burst == self.count { Ok(()) } else { write!(f, ", {} at once", self.burst) }
    }
}

/// A rate nothing can be measured with: what is wrong with it, and what to write instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the rate {0}")]
pub struct InvalidRate(&'static str);

impl InvalidRate {
    /// What is wrong, as the end of a sentence about the rate.
    pub fn problem(self) -> &'static str {
        self.0
    }
}

/// What has a rate of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateBy {
    /// Each connection. Whoever connects again begins anew.
    #[default]
    Connection,
    /// Each user, on all devices together. Who is nobody's user is counted by address.
    User,
    /// Each address. Of IPv6 the first 64 bits, which one household or machine has to itself.
    Address,
}

/// How often one call may be made, and by whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CallRate {
    /// How often.
    #[serde(flatten)]
    pub rate: Rate,
    /// What is counted together.
    pub by: RateBy,
}

impl From<Rate> for CallRate {
    fn from(rate: Rate) -> Self {
        rate.by(RateBy::Connection)
    }
}

impl fmt::Display for CallRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            RateBy::Connection => "connection",
            RateBy::User => "user",
            RateBy::Address => "address",
        };
        write!(f, "{} for each {by}", self.rate)
    }
}

/// Too often: what was asked for was not done, and may be asked for again after `retry_after`.
///
/// As a [`Problem`] it has the code [`RateLimited::CODE`] and the data `{"retry_after_ms": n}`, rounded up, so that who
/// waits exactly so long is not too early.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("too often: try again in {} ms", self.retry_after_ms())]
pub struct RateLimited {
    /// When one more will be allowed, unless others come first.
    pub retry_after: Duration,
}

impl RateLimited {
    /// The code by which clients know it.
    pub const CODE: &'static str = "RATE_LIMITED";

    /// The time in milliseconds, rounded up.
    pub fn retry_after_ms(self) -> u64 {
        self.retry_after.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX)
    }
}

/// How it travels.
#[derive(Serialize, Deserialize)]
struct Data {
    retry_after_ms: u64,
}

impl Serialize for RateLimited {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Data { retry_after_ms: self.retry_after_ms() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RateLimited {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Data { retry_after_ms } = Data::deserialize(deserializer)?;
        Ok(Self { retry_after: Duration::from_millis(retry_after_ms) })
    }
}

impl From<RateLimited> for Problem {
    fn from(limited: RateLimited) -> Self {
        Self::new(limited.to_string()).code(RateLimited::CODE).data(limited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_rates_name_the_fix() {
        for (rate, fragment) in [
            (Rate::per_second(0), "at least 1"),
            (Rate::per_second(5).burst(0), "at least 1"),
            (Rate::per_second(2_000_000_000), "nanosecond"),
            (Rate::per_hour(1).burst(10_000), "year"),
            (Rate::per_hour(1).burst(u32::MAX), "year"),
        ] {
            let error = rate.check().expect_err("an impossible rate").to_string();
            assert!(error.contains(fragment), "{error:?} does not mention {fragment:?}");
        }
        assert_eq!(Rate::per_hour(1).check(), Ok(()));
        assert_eq!(Rate::per_second(1_000_000_000).check(), Ok(()));
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        let rate = Rate::per_minute(10).burst(3).by(RateBy::User);
        let written = serde_json::json!({"count": 10, "per": "minute", "burst": 3, "by": "user"});
        assert_eq!(serde_json::to_value(rate).expect("plain data"), written);
        assert_eq!(serde_json::from_value::<CallRate>(written).expect("as it was written"), rate);
        assert_eq!(rate.to_string(), "10 a minute, 3 at once for each user");
        assert_eq!(CallRate::from(Rate::per_second(5)).to_string(), "5 a second for each connection");
    }

    #[test]
    fn who_waits_as_long_as_it_says_is_not_too_early() {
        let limited = RateLimited { retry_after: Duration::from_nanos(1_000_001) };
        assert_eq!(serde_json::to_string(&limited).expect("plain data"), r#"{"retry_after_ms":2}"#);
        assert_eq!(RateLimited { retry_after: Duration::MAX }.retry_after_ms(), u64::MAX);
    }
}
