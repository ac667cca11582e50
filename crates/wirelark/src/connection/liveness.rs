//! Heartbeat and idle limit of one connection.
//!
//! A shard asks each connection when its time has come; nothing ticks per connection. Whether anything was
//! heard is a flag the reader sets, so traffic costs no clock.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use wirelark_proto::{CloseCode, CloseFrame, Message};

use super::Connection;

/// The timers of one connection, kept by its shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness {
    next_ping: Option<Instant>,
    /// Set while a ping is unanswered.
    pong_due: Option<Instant>,
}

impl Liveness {
    pub(crate) fn new(connection: &Connection, now: Instant) -> Self {
        let heartbeat = connection.route.limits.heartbeat;
        Self { next_ping: heartbeat.map(|interval| now + interval), pong_due: None }
    }

    /// When the connection must be looked at again; `None` if never.
    pub(crate) fn next(&self, connection: &Connection) -> Option<Instant> {
        let idle_due =
            connection.idle_since().zip(connection.route.limits.idle).map(|(since, limit)| since + limit);
        [self.pong_due, self.next_ping, idle_due].into_iter().flatten().min()
    }

    /// Does what is due: pings, closes an idle connection, drops a dead one.
    pub(crate) fn on_timer(&mut self, connection: &Connection, now: Instant) {
        let limits = &connection.route.limits;
        if connection.idle_since().zip(limits.idle).is_some_and(|(since, limit)| now >= since + limit) {
            connection.close(CloseFrame::new(CloseCode::GOING_AWAY, "idle timeout"));
            return;
        }
        if let Some(due) = self.pong_due {
            if connection.take_heard() {
                self.pong_due = None;
            } else if connection.is_behind() {
                // The handler leaves messages unread; the pong may sit behind them.
                self.pong_due = Some(now + limits.pong_deadline);
            } else if now >= due {
                connection.terminate(CloseFrame::new(CloseCode::GOING_AWAY, "heartbeat timeout"));
                return;
            }
        }
        if let Some((ping, interval)) = self.next_ping.zip(limits.heartbeat)
            && now >= ping
        {
            self.next_ping = Some(next_after(ping, interval, now));
            // One ping at a time: a deadline longer than the interval is not pushed on by the next beat.
            if self.pong_due.is_none() {
                connection.take_heard();
                connection.ping();
                self.pong_due = Some(now + limits.pong_deadline);
            }
        }
    }
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
