//! What time it is, for jobs that must survive a restart and for tests that let time pass.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since 1970, the only time the store knows.
pub(crate) type Millis = u64;

/// The time of day, or what tokio's clock makes of the time of day at the start, whichever is later.
///
/// In a test with a paused clock that is tokio's, which the test advances. In a server it is the system's, and tokio's only
/// while somebody has set the system's clock back: what waits for five minutes then still waits for five minutes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at_start: Millis,
    started: Instant,
}

impl Clock {
    /// Unseen changes of the system's clock are noticed after this long.
    const GLANCE: Duration = Duration::from_secs(60);

    pub(crate) fn start() -> Self {
        Self { at_start: system_now(), started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Millis {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        system_now().max(self.at_start.saturating_add(passed))
    }

    pub(crate) async fn sleep_until(&self, time: Millis) {
        loop {
            let left = Duration::from_millis(time.saturating_sub(self.now()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Self::GLANCE)).await;
        }
    }
}

/// The system's time, by which the store judges what is due.
pub(crate) fn system_now() -> Millis {
    // Before 1970 everything is yet to come.
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn to_system_time(time: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tests_advance_it() {
        let clock = Clock::start();
        let start = clock.now();
        clock.sleep_until(start + 3_600_000).await;
        assert!((3_600_000..3_601_000).contains(&(clock.now() - start)), "{}", clock.now() - start);
    }
}
