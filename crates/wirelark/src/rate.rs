//! Floor 0: how often something happens, measured.
//!
//! A meter is one allowance; meters are many, one for each user or address, and bounded: who has been quiet for long
//! enough is as good as new, and forgotten. What happens beyond a rate is the business of whoever asks.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::time::Instant;
use wirelark_proto::contract::{InvalidRate, Rate, RateLimited};

/// Measures how often something happens: five a second, say, of everybody together who asks the same meter.
///
/// What a route or a call is limited to is declared there, see [`Options::message_rate`](crate::Options::message_rate)
/// and `#[rate(..)]` in a contract. A meter of one's own is for what only a handler knows: so many uploads for each
/// project. It follows tokio's clock, a paused one too.
///
/// ```
/// use wirelark::{Meter, Rate};
///
/// let invitations = Meter::new(Rate::per_hour(10).burst(2))?;
/// assert!(invitations.check().is_ok());
/// assert!(invitations.check().is_ok());
/// let limited = invitations.check().unwrap_err();
/// assert!(limited.retry_after > std::time::Duration::from_secs(300));
/// # Ok::<(), wirelark::InvalidRate>(())
/// ```
pub struct Meter(RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>);

impl Meter {
    /// A meter with the whole burst ahead of it.
    ///
    /// # Errors
    /// A rate with a zero, or one that no clock can follow.
    pub fn new(rate: Rate) -> Result<Self, InvalidRate> {
        rate.check()?;
        Ok(Self::checked(rate))
    }

    /// A meter of a rate that was checked when the app was built. Of one that was not nothing gets through beyond one at
    /// a time.
    pub(crate) fn checked(rate: Rate) -> Self {
        let interval = rate.interval().max(Duration::from_nanos(1));
        let burst = NonZeroU32::new(rate.burst_size()).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).expect("a nanosecond at least").allow_burst(burst);
        Self(RateLimiter::direct_with_clock(quota, TokioClock))
    }

    /// Counts one more, if it is allowed now. If not, it counts nothing.
    ///
    /// # Errors
    /// It is too early; the error says how long to wait, and a handler of a contract may return it as it is.
    pub fn check(&self) -> Result<(), RateLimited> {
        self.0.check().map_err(|until| RateLimited { retry_after: until.wait_time_from(TokioClock.now()) })
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}

/// Tokio's clock, so that rates pass with everything else in a test whose time is paused.
struct TokioClock;

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

/// A moment as governor reckons with them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Moment(Instant);

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        self.0.checked_sub(duration.into()).map_or(*self, Self)
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, duration: Nanos) -> Self {
        Self(self.0 + Duration::from(duration))
    }
}

/// Most users or addresses that are measured at the same time, at about a hundred bytes each.
const METERS_MAX: usize = 128 * 1024;

/// Fewer are not worth a search for those that have been quiet.
const METERS_KEPT: usize = 1024;

/// How often they may be searched, however many strangers come.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// A meter for each user, or for each address.
#[derive(Debug)]
pub(crate) struct Meters<K> {
    rate: Rate,
    by_key: Mutex<ByKey<K>>,
}

#[derive(Debug)]
struct ByKey<K> {
    meters: HashMap<K, Meter>,
    /// With so many the quiet ones are forgotten.
    search_at: usize,
    searched: Option<Instant>,
}

impl<K: Eq + Hash> Meters<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        let by_key = ByKey { meters: HashMap::new(), search_at: METERS_KEPT, searched: None };
        Self { rate, by_key: Mutex::new(by_key) }
    }

    /// As [`Meter::check`], for one of them. Where all places are taken by others who are not quiet, a stranger is told
    /// to come later: whoever can make up that many names must not be able to make everybody's limit vanish.
    pub(crate) fn check(&self, key: K) -> Result<(), RateLimited> {
        let mut by_key = self.by_key.lock();
        if let Some(meter) = by_key.meters.get(&key) {
            return meter.check();
        }
        by_key.make_room(self.rate);
        if by_key.meters.len() >= METERS_MAX {
            return Err(RateLimited { retry_after: self.rate.interval().max(SEARCH_INTERVAL) });
        }
        by_key.meters.entry(key).or_insert_with(|| Meter::checked(self.rate)).check()
    }
}

impl<K: Eq + Hash> ByKey<K> {
    fn make_room(&mut self, rate: Rate) {
        let now = Instant::now();
        let is_soon = self.searched.is_some_and(|last| now.saturating_duration_since(last) < SEARCH_INTERVAL);
        if self.meters.len() < self.search_at || is_soon {
            return;
        }
        let whole = NonZeroU32::new(rate.burst_size()).unwrap_or(NonZeroU32::MIN);
        // A meter that gives its whole burst at once is as good as a new one. It loses it by that, and itself.
        self.meters.retain(|_, meter| !matches!(meter.0.check_n(whole), Ok(Ok(()))));
        self.searched = Some(now);
        // Twice as many, so that a search costs each newcomer the same, however many there are.
        self.search_at = (2 * self.meters.len()).clamp(METERS_KEPT, METERS_MAX);
        self.meters.shrink_to(self.search_at);
    }
}

/// Whose an address is. IPv6 gives each household, or machine, 64 bits to make addresses of: they all count as one.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        IpAddr::V4(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(limited: Result<(), RateLimited>) -> Duration {
        limited.expect_err("too early").retry_after
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_one_each_interval() {
        let meter = Meter::new(Rate::per_second(5)).expect("a good rate");
        assert!((0..5).all(|_| meter.check().is_ok()));
        assert_eq!(wait(meter.check()), Duration::from_millis(200));
        tokio::time::advance(Duration::from_millis(150)).await;
        assert_eq!(wait(meter.check()), Duration::from_millis(50), "what was refused did not count");
        tokio::time::advance(Duration::from_millis(50)).await;
        assert_eq!(meter.check(), Ok(()));
        assert_eq!(wait(meter.check()), Duration::from_millis(200));
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert!(
            (0..5).all(|_| meter.check().is_ok()) && meter.check().is_err(),
            "no more than a burst is saved"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_own_and_the_quiet_are_forgotten() {
        let meters = Meters::new(Rate::per_second(1).burst(2));
        for key in 0..METERS_KEPT {
            assert!(meters.check(key).is_ok() && meters.check(key).is_ok() && meters.check(key).is_err());
        }
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(meters.check(usize::MAX), Ok(()));
        assert_eq!(meters.by_key.lock().meters.len(), METERS_KEPT + 1, "none has its whole burst back");
        tokio::time::advance(Duration::from_millis(1_100)).await;
        assert!(meters.check(0).is_ok() && meters.check(1).is_ok());
        // The next search comes with twice as many.
        (1..=METERS_KEPT).for_each(|key| assert_eq!(meters.check(usize::MAX - key), Ok(())));
        let left = meters.by_key.lock().meters.len();
        assert!((METERS_KEPT..METERS_KEPT + 4).contains(&left), "{left} are kept of {}", 2 * METERS_KEPT);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_beyond_the_bound_wait_until_others_are_quiet() {
        let meters = Meters::new(Rate::per_second(1));
        (0..METERS_MAX).for_each(|key| assert_eq!(meters.check(key), Ok(())));
        assert_eq!(meters.by_key.lock().meters.len(), METERS_MAX);
        assert_eq!(wait(meters.check(METERS_MAX)), Duration::from_secs(1));
        assert_eq!(meters.by_key.lock().meters.len(), METERS_MAX);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(meters.check(METERS_MAX), Ok(()));
        assert_eq!(meters.by_key.lock().meters.len(), 1);
    }

    #[test]
    fn neighbours_count_as_one() {
        let of = |address: &str| neighbourhood(address.parse().expect("an address")).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
