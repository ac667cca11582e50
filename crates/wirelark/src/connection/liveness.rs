//! Heartbeat, idle limit and the user's expiry of one connection.
//!
//! A shard asks each connection when its time has come; nothing ticks per connection. Whether anything was
//! heard is a flag the reader sets, so traffic costs no clock.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use wirelark_proto::{CloseCode, CloseFrame, Message};

use super::Connection;

/// The timers of one connection, kept by its shard, in sixteen bytes: each is a tenth of a second. A shard holds one for
/// each connection, and its ring is no finer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness {
    next_ping: Option<Tenth>,
    /// Set while a ping is unanswered.
    pong_due: Option<Tenth>,
    /// When its user must have signed in again. Counted from when that was said, by the clock that never jumps: somebody
    /// who sets the time of day neither cuts everybody off nor lets them stay.
    expires: Option<Tenth>,
    /// When the ring brings the connection up. It may do so earlier too, where an earlier deadline has been put off.
    awaited: Option<Tenth>,
}

/// A moment, as the first tenth of a second not before it, counted from 1 at the shard's start. Lasts for
/// thirteen years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tenth(NonZeroU32);

impl Tenth {
    const LENGTH: Duration = Duration::from_millis(100);

    fn new(start: Instant, moment: Instant) -> Self {
        let tenths = moment.saturating_duration_since(start).as_millis().div_ceil(Self::LENGTH.as_millis());
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(tenths).unwrap_or(u32::MAX)))
    }

    fn moment(self, start: Instant) -> Instant {
        start + Self::LENGTH * (self.0.get() - 1)
    }
}

impl Liveness {
    pub(crate) fn new(connection: &Connection, start: Instant, now: Instant) -> Self {
        let heartbeat = connection.route.limits.heartbeat;
        let next_ping = heartbeat.map(|interval| Tenth::new(start, now + interval));
        Self { next_ping, pong_due: None, expires: expiry(connection, start, now), awaited: None }
    }

    /// Looks at the connection's user anew, if it is another than before, or the same for longer.
    pub(crate) fn look_at_user(&mut self, connection: &Connection, start: Instant, now: Instant) {
        if connection.take_user_changed() {
            self.expires = expiry(connection, start, now);
        }
    }

    /// Whether the ring brings the connection up by then.
    pub(crate) fn is_awaited_by(&self, start: Instant, moment: Instant) -> bool {
        self.awaited.is_some_and(|awaited| awaited <= Tenth::new(start, moment))
    }

    /// The ring brings the connection up then.
    pub(crate) fn await_at(&mut self, start: Instant, moment: Instant) {
        self.awaited = Some(Tenth::new(start, moment));
    }

    /// Whether the ring was to bring the connection up by now. Otherwise it was for what has been put off since.
    pub(crate) fn take_awaited(&mut self, start: Instant, now: Instant) -> bool {
        self.awaited.take_if(|awaited| awaited.moment(start) <= now).is_some()
    }

    /// When the connection must be looked at again; `None` if never.
    pub(crate) fn next(&self, connection: &Connection, start: Instant) -> Option<Instant> {
        let idle_since = connection.idle_since().zip(connection.route.limits.idle);
        let idle_due = idle_since.map(|(since, limit)| since + limit);
        let beats = [self.pong_due, self.next_ping, self.expires]
            .into_iter()
            .flatten()
            .map(|tenth| tenth.moment(start));
        beats.chain(idle_due).min()
    }

    /// Does what is due: pings, closes an idle connection or one whose user has expired, drops a dead one.
    pub(crate) fn on_timer(&mut self, connection: &Connection, start: Instant, now: Instant) {
        let limits = &connection.route.limits;
        // Somebody who has signed in anew at the last moment is not cut off because the news is under way.
        self.look_at_user(connection, start, now);
        if self.expires.is_some_and(|expires| now >= expires.moment(start)) {
            connection
                .close(CloseFrame::new(CloseCode::SIGN_IN, "sign in again: the credentials have expired"));
            return;
        }
        if connection.idle_since().zip(limits.idle).is_some_and(|(since, limit)| now >= since + limit) {
            connection.close(CloseFrame::new(CloseCode::GOING_AWAY, "idle timeout"));
            return;
        }
        if let Some(due) = self.pong_due {
            if connection.take_heard() {
                self.pong_due = None;
            } else if connection.is_behind() {
                // The handler leaves messages unread; the pong may sit behind them.
                self.pong_due = Some(Tenth::new(start, now + limits.pong_deadline));
            } else if now >= due.moment(start) {
                connection.terminate(CloseFrame::new(CloseCode::GOING_AWAY, "heartbeat timeout"));
                return;
            }
        }
        if let Some((ping, interval)) = self.next_ping.zip(limits.heartbeat)
            && now >= ping.moment(start)
        {
            self.next_ping = Some(Tenth::new(start, next_after(ping.moment(start), interval, now)));
            // One ping at a time: a deadline longer than the interval is not pushed on by the next beat.
            if self.pong_due.is_none() {
                connection.take_heard();
                connection.ping();
                self.pong_due = Some(Tenth::new(start, now + limits.pong_deadline));
            }
        }
    }
}

fn expiry(connection: &Connection, start: Instant, now: Instant) -> Option<Tenth> {
    let left = connection.user()?.expires_in()?;
    Some(Tenth::new(start, now + left))
}

/// The next beat after `now`, keeping the rhythm begun at `last` however late the timer ran.
fn next_after(last: Instant, interval: Duration, now: Instant) -> Instant {
    let late = now.duration_since(last);
    if late < interval { last + interval } else { now + interval }
}

impl Connection {
    fn idle_since(&self) -> Option<Instant> {
        self.inbound.lock().last_message()
    }

    fn take_heard(&self) -> bool {
        self.inbound.lock().take_heard()
    }

    fn is_behind(&self) -> bool {
        self.inbound.lock().is_full()
    }

    fn ping(&self) {
        let _ = self.control(Message::Ping(Bytes::new()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::connection::{Agreed, ConnectionId, RouteContext, User};
    use crate::limits::Options;
    use crate::net::wire::{ReadWire, WriteWire};

    #[tokio::test(start_paused = true)]
    async fn who_signs_in_anew_at_the_last_moment_stays() {
        let ada = |seconds| {
            let user = User::new("ada").expect("a valid id");
            user.expires(SystemTime::now() + Duration::from_secs(seconds))
        };
        let route = Arc::new(RouteContext::of(Options::new().no_heartbeat()));
        let agreed = Agreed { user: Some(ada(10)), ..Agreed::default() };
        let wires = (ReadWire::Closed, WriteWire::Closed);
        let connection = Connection::new(ConnectionId::new(0, 1, 1), route, wires, agreed, None);
        let start = Instant::now();
        let mut liveness = Liveness::new(&connection, start, start);
        let check = |liveness: &mut Liveness, stays: bool| {
            let due = liveness.next(&connection, start).expect("its user expires");
            liveness.on_timer(&connection, start, due);
            assert_eq!(connection.is_open(), stays, "at {:?}", due - start);
        };
        assert!(connection.set_user(ada(60)), "it is news");
        assert!(!connection.set_user(ada(50)), "of which nobody has taken notice yet");
        check(&mut liveness, true);
        assert!(connection.set_user(ada(70)));
        liveness.look_at_user(&connection, start, start);
        check(&mut liveness, false);
    }

    #[test]
    fn timers_are_two_words() {
        assert_eq!(size_of::<Liveness>(), 2 * size_of::<u64>());
    }
}
