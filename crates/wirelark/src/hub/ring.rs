//! Deadlines of a shard's connections, a bucket per tenth of a second.
//!
//! Exactness of a tick is enough for heartbeats and idle limits, and lets a hundred thousand timers cost a
//! hundred thousand small integers. A deadline beyond the ring's horizon waits in its last bucket and is
//! put in again from there.

use std::time::Duration;

use tokio::time::Instant;

use crate::connection::ConnectionId;

const TICK: Duration = Duration::from_millis(100);
const BUCKETS: u64 = 512;

#[derive(Debug)]
pub(crate) struct Ring {
    start: Instant,
    /// Ticks whose buckets have been emptied.
    done: u64,
    buckets: Box<[Vec<ConnectionId>]>,
    /// The first tick whose bucket holds something: a shard asks after each turn, so it is not looked for each time.
    next: Option<u64>,
}

impl Ring {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, done: 0, buckets: (0..BUCKETS).map(|_| Vec::new()).collect(), next: None }
    }

    /// Has `id` come up at the first tick not before `deadline`, or at the horizon; says when that is.
    pub(crate) fn insert(&mut self, id: ConnectionId, deadline: Instant) -> Instant {
        let due = deadline.saturating_duration_since(self.start);
        let tick = due.as_millis().div_ceil(TICK.as_millis()) as u64;
        let tick = tick.clamp(self.done + 1, self.done + BUCKETS - 1);
        self.buckets[(tick % BUCKETS) as usize].push(id);
        self.next = Some(self.next.map_or(tick, |next| next.min(tick)));
        self.moment(tick)
    }

    fn moment(&self, tick: u64) -> Instant {
        self.start + TICK * tick as u32
    }

    /// When to look at the ring next; `None` while nothing waits.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next.map(|tick| self.moment(tick))
    }

    /// Moves everything that is due at `now` into `due`.
    pub(crate) fn expire(&mut self, now: Instant, due: &mut Vec<ConnectionId>) {
        let tick = (now.saturating_duration_since(self.start).as_millis() / TICK.as_millis()) as u64;
        if tick <= self.done {
            return;
        }
        // After a long sleep one turn of the ring visits every bucket.
        let first = (self.done + 1).max(tick.saturating_sub(BUCKETS - 1));
        for passed in first..=tick {
            let bucket = &mut self.buckets[(passed % BUCKETS) as usize];
            due.append(bucket);
            if bucket.capacity() > 64 && bucket.is_empty() {
                *bucket = Vec::new();
            }
        }
        self.done = tick;
        if self.next.is_some_and(|next| next <= tick) {
            let occupied = |tick: &u64| !self.buckets[(tick % BUCKETS) as usize].is_empty();
            self.next = (tick + 1..tick + BUCKETS).find(occupied);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(0, 1, slot)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn each_deadline_comes_up_once_and_never_early() {
        let start = Instant::now();
        let mut ring = Ring::new(start);
        let deadlines = [1, 50, 100, 101, 999, 25_000, 51_000];
        for (slot, deadline) in deadlines.iter().enumerate() {
            ring.insert(id(slot as u32), start + ms(*deadline));
        }
        let mut seen = Vec::new();
        for now in (0..52_000).step_by(50) {
            let mut due = Vec::new();
            ring.expire(start + ms(now), &mut due);
            for id in due {
                assert!(deadlines[id.slot()] <= now, "{id} came up at {now}");
                assert!(now < deadlines[id.slot()] + 200, "{id} came up late, at {now}");
                seen.push(id.slot());
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..deadlines.len()).collect::<Vec<_>>());
        assert_eq!(ring.next(), None);
    }

    #[test]
    fn a_deadline_beyond_the_horizon_comes_up_at_it() {
        let start = Instant::now();
        let mut ring = Ring::new(start);
        ring.insert(id(1), start + Duration::from_secs(3_600));
        let next = ring.next().expect("one waits");
        assert_eq!(next, start + TICK * 511);
        let mut due = Vec::new();
        ring.expire(next, &mut due);
        assert_eq!(due, [id(1)]);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let start = Instant::now();
        let mut ring = Ring::new(start);
        for slot in 0..500 {
            ring.insert(id(slot), start + TICK * slot);
        }
        let mut due = Vec::new();
        ring.expire(start + Duration::from_secs(10_000), &mut due);
        assert_eq!(due.len(), 500);
        ring.insert(id(9), start + Duration::from_secs(10_001));
        assert_eq!(ring.next(), Some(start + Duration::from_secs(10_001)));
    }
}
