//! The sending side: outbox, policies and the close handshake's state, under one lock.
//!
//! Whoever holds the lock may queue. Who writes: the connection's own task at the end of its turn, and the
//! shard after a fan-out. Once the kernel refuses to take more, only the own task goes on, because only it
//! can be woken by the socket.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;
use wirelark_proto::contract::{Delivery, Format, Gap};
use wirelark_proto::{CloseCode, CloseFrame, Frame, Kind, Text};

use super::RouteContext;
use super::burst::Burst;
use super::gap;
use super::outbox::{Class, ConflationKey, Outbox, Treatment};
use crate::budget::Budget;
use crate::limits::SlowClient;
use crate::net::wire::WriteWire;
use crate::observe::{Pressure, PushOutcome, Traffic};
use crate::shared_frame::PushClass;

/// Queued bytes at which a burst is written before the turn ends.
const CORK_BYTES: usize = 64 * 1024;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code: the one that was sent first, 1005 when the peer gave none, 1006 when the connection
    /// broke without a close frame.
    pub code: CloseCode,
    /// The reason that came with it, at most 123 bytes.
    pub reason: Text,
    /// Who ended it.
    pub by: ClosedBy,
}

impl Closed {
    pub(crate) fn by_client(frame: Option<CloseFrame>) -> Self {
        let CloseFrame { code, reason } = frame.unwrap_or_else(|| CloseCode::NO_STATUS.into());
        Self { code, reason, by: ClosedBy::Client }
    }

    pub(crate) fn by_server(frame: CloseFrame) -> Self {
        Self { code: frame.code, reason: frame.reason, by: ClosedBy::Server }
    }
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This side: a handler, a limit or the server.
    Server,
    /// The client sent a close frame.
    Client,
    /// Neither: the connection broke.
    Network,
}

/// What became of a message offered to an outbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Queued,
    /// Dropped, or replaced an older one, by the route's policy; counted.
    Dropped,
    /// No room, and the policy leaves the decision to the caller. The frame comes back.
    Full(Frame),
    /// The connection is closing or closed.
    Closed,
}

/// What a sender asks for, should the client be behind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    /// What the route says; under [`SlowClient::Conflate`] by this key.
    Plain(Option<ConflationKey>),
    /// To wait for room, whatever the route says: somebody waits for this answer.
    Answer,
    /// What the push says.
    Push(PushClass),
}

impl Wish {
    fn treatment(&self, route: &RouteContext) -> Treatment {
        let policy = route.limits.slow_client;
        match self {
            Self::Plain(key) => Treatment {
                key: key.filter(|_| policy == SlowClient::Conflate),
                droppable: policy == SlowClient::DropOldest,
                push: None,
            },
            Self::Answer => Treatment::default(),
            Self::Push(class) => Treatment {
                key: class.key.filter(|_| class.delivery == Delivery::Conflate),
                droppable: matches!(class.delivery, Delivery::DropOldest | Delivery::Sample { .. }),
                push: Some(class.index),
            },
        }
    }
}

/// Whether an outbox has room for a message after all.
enum Room {
    Made,
    /// No; what to do is up to whoever sends it.
    SenderDecides,
    /// No, and this is what became of it.
    None(Offer),
}

/// Text and binary messages since the route's counters were last told.
#[derive(Debug, Default)]
struct Uncounted {
    messages: [u16; 2],
    bytes: [u32; 2],
}

impl Uncounted {
    fn add(&mut self, kind: Kind, bytes: usize, route: &RouteContext) {
        let index = usize::from(kind == Kind::Binary);
        let room = u32::MAX - self.bytes[index];
        if self.messages[index] == u16::MAX || bytes > room as usize {
            self.report(route);
        }
        self.messages[index] += 1;
        self.bytes[index] += bytes as u32;
    }

    fn report(&mut self, route: &RouteContext) {
        if self.messages != [0, 0] {
            let Self { messages: [texts, binaries], bytes: [text_bytes, binary_bytes] } =
                std::mem::take(self);
            let mut traffic = Traffic::default();
            traffic.add_many(Kind::Text, texts.into(), text_bytes.into());
            traffic.add_many(Kind::Binary, binaries.into(), binary_bytes.into());
            route.counters.sent(&traffic);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Outbound {
    wire: WriteWire,
    outbox: Outbox,
    /// The kernel takes no more; the own task waits for it.
    stalled: bool,
    /// The own task is in its turn and will flush at its end.
    pub(crate) in_turn: bool,
    /// Queued frames wait for a flush that somebody has promised.
    pub(crate) dirty: bool,
    pub(crate) owner: Option<Waker>,
    /// Senders that wait for room; boxed, as a connection seldom has any.
    #[allow(clippy::box_collection, reason = "one word in every connection, where a vector would be three")]
    waiting_senders: Option<Box<Vec<Waker>>>,
    /// Bytes of this connection in the node's budget; 4 GiB stand for more.
    charged: u32,
    dropped: u64,
    /// How many of which push were dropped since the client was last told.
    #[allow(clippy::box_collection, reason = "one word in every connection, where a vector would be three")]
    gaps: Option<Box<Vec<(u16, u32)>>>,
    /// How the client is told; none if it would not understand.
    gap_format: Option<Format>,
    /// Messages queued and not yet counted: a burst is counted at once, not message by message.
    uncounted: Uncounted,

    // Close handshake (RFC 6455 section 7).
    /// Our close frame is queued or sent.
    close_queued: bool,
    /// The peer's close frame or its end of stream arrived.
    peer_done: bool,
    /// The writing direction is shut after our close frame.
    shut: bool,
    closed: Option<Box<Closed>>,
}

impl Outbound {
    pub(crate) fn new(wire: WriteWire, gap_format: Option<Format>) -> Self {
        Self {
            wire,
            gap_format,
            gaps: None,
            outbox: Outbox::default(),
            stalled: false,
            in_turn: false,
            dirty: false,
            owner: None,
            waiting_senders: None,
            charged: 0,
            dropped: 0,
            uncounted: Uncounted::default(),
            close_queued: false,
            peer_done: false,
            shut: false,
            closed: None,
        }
    }

    /// Queues the answer to the upgrade, before any frame.
    pub(crate) fn head(&mut self, head: &[u8]) {
        self.outbox.join(head, &[]);
    }

    /// Queues a data message, or does with it what is to be done where there is no room.
    pub(crate) fn offer(&mut self, mut frame: Frame, kind: Kind, wish: Wish, route: &RouteContext) -> Offer {
        if self.close_queued || self.closed.is_some() {
            return Offer::Closed;
        }
        let treatment = wish.treatment(route);
        if self.stalled {
            match self.coalesce(frame, &wish, treatment, route) {
                Ok(()) => return Offer::Dropped,
                Err(back) => frame = back,
            }
        }
        let (bytes, bytes_max) = (frame.len(), route.limits.outbox_bytes);
        if self.outbox.bytes() + bytes > bytes_max {
            // What is merely corked is written first: only what the kernel refuses is back-pressure.
            self.try_flush(route);
        }
        if self.outbox.bytes() + bytes > bytes_max {
            match self.make_room(bytes, &wish, treatment, route) {
                Room::Made => {}
                Room::SenderDecides => return Offer::Full(frame),
                Room::None(offer) => return offer,
            }
        }
        self.uncounted.add(kind, frame.payload.len(), route);
        // Only in a turn, whose end writes: what is fanned out to thousands should not be copied for each of them.
        if self.in_turn && !self.stalled && treatment == Treatment::default() && Outbox::joins(bytes) {
            self.outbox.join(frame.head.as_slice(), &frame.payload);
        } else {
            self.outbox.push(frame, Class::Data(treatment));
        }
        if let Wish::Push(class) = wish {
            route.counters.pushed(class.index, PushOutcome::Queued);
        }
        if self.outbox.bytes() >= CORK_BYTES {
            self.try_flush(route);
        }
        Offer::Queued
    }

    /// While the client is behind: puts the message where an older one of its key waits, or leaves it out of a
    /// sample. Otherwise it comes back.
    fn coalesce(
        &mut self,
        frame: Frame,
        wish: &Wish,
        treatment: Treatment,
        route: &RouteContext,
    ) -> Result<(), Frame> {
        if let Some(key) = treatment.key {
            self.outbox.conflate(key, frame)?;
            self.dropped(treatment, Pressure::Conflate, route);
            return Ok(());
        }
        if let Wish::Push(PushClass { index, delivery: Delivery::Sample { per_second }, .. }) = wish {
            let interval = Duration::from_secs_f32(1.0 / per_second);
            if !self.outbox.take_sample(*index, interval, Instant::now()) {
                self.dropped(treatment, Pressure::Sample, route);
                return Ok(());
            }
        }
        Err(frame)
    }

    /// Does what is to be done for a message there is no room for.
    fn make_room(&mut self, bytes: usize, wish: &Wish, treatment: Treatment, route: &RouteContext) -> Room {
        let policy = match wish {
            Wish::Answer
            | Wish::Push(PushClass { delivery: Delivery::Reliable | Delivery::Conflate, .. }) => {
                return Room::SenderDecides;
            }
            Wish::Push(PushClass { delivery: Delivery::DropOldest | Delivery::Sample { .. }, .. }) => {
                SlowClient::DropOldest
            }
            Wish::Plain(_) => route.limits.slow_client,
        };
        match policy {
            SlowClient::Error | SlowClient::Wait | SlowClient::Conflate => Room::SenderDecides,
            SlowClient::Close => {
                route.counters.pressed(Pressure::Close, 1);
                self.close(CloseFrame::new(CloseCode::TRY_AGAIN, "send queue full"), ClosedBy::Server);
                Room::None(Offer::Closed)
            }
            SlowClient::DropNewest => {
                self.dropped(treatment, Pressure::DropNewest, route);
                Room::None(Offer::Dropped)
            }
            SlowClient::DropOldest => {
                let mut oldest = SmallVec::<[Treatment; 8]>::new();
                self.outbox.drop_oldest(bytes, route.limits.outbox_bytes, |dropped| oldest.push(dropped));
                for dropped in oldest {
                    self.dropped(dropped, Pressure::DropOldest, route);
                }
                if self.outbox.bytes() + bytes <= route.limits.outbox_bytes {
                    return Room::Made;
                }
                self.dropped(treatment, Pressure::DropOldest, route);
                Room::None(Offer::Dropped)
            }
        }
    }

    /// Writes a burst past the outbox if nothing waits in it. False if the burst must be queued instead.
    pub(crate) fn write_burst(&mut self, burst: &Burst, route: &RouteContext) -> bool {
        let Some(joined) = burst.joined().filter(|joined| joined.len() <= route.limits.outbox_bytes) else {
            return false;
        };
        if !self.may_flush() || !self.outbox.is_empty() || self.close_queued || self.closed.is_some() {
            return false;
        }
        let written = match self.wire.try_write(&[IoSlice::new(joined)]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.broken(&route.budget);
                return false;
            }
        };
        route.counters.sent(burst.traffic());
        burst.pushes().for_each(|push| route.counters.pushed(push, PushOutcome::Queued));
        if written == joined.len() {
            self.flush_stream();
            return true;
        }
        for (frame, wish) in burst.plain() {
            self.outbox.push(frame, Class::Data(wish.treatment(route)));
        }
        self.outbox.advance(written);
        self.stall(route);
        true
    }

    /// The kernel takes no more: the own task goes on when it does.
    fn stall(&mut self, route: &RouteContext) {
        self.fall_behind(route);
        self.wake_owner();
    }

    fn fall_behind(&mut self, route: &RouteContext) {
        self.stalled = true;
        self.outbox.settle();
        self.charge(&route.budget);
    }

    /// Has the own task push on what the stream itself still holds back.
    fn flush_stream(&mut self) {
        if self.wire.poll_flush(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.wake_owner();
        }
    }

    /// A message will not reach its client; of a push the client is told how many it missed.
    fn dropped(&mut self, treatment: Treatment, outcome: Pressure, route: &RouteContext) {
        self.dropped += 1;
        route.counters.pressed(outcome, 1);
        let Some(push) = treatment.push else { return };
        route.counters.pushed(push, PushOutcome::Dropped(outcome));
        self.missed(push);
    }

    /// Leaves out a message that is larger than the route's may be. Of a push the client is told, whatever its
    /// delivery: behind what is queued, or once it reads again.
    pub(crate) fn too_large(&mut self, push: Option<&PushClass>, route: &RouteContext) -> super::Delivery {
        if self.close_queued || self.closed.is_some() {
            return super::Delivery::Closed;
        }
        route.counters.too_large();
        if let Some(class) = push {
            route.counters.pushed(class.index, PushOutcome::TooLarge);
            self.missed(class.index);
            if !self.stalled {
                self.tell_gaps(route);
            }
        }
        super::Delivery::TooLarge
    }

    fn missed(&mut self, push: u16) {
        let gaps = self.gaps.get_or_insert_default();
        match gaps.iter_mut().find(|(of, _)| *of == push) {
            Some((_, missed)) => *missed += 1,
            None => gaps.push((push, 1)),
        }
    }

    /// Queues the news of what was missed, for clients that understand it.
    fn tell_gaps(&mut self, route: &RouteContext) {
        let (Some(gaps), Some(format)) = (self.gaps.take(), self.gap_format) else { return };
        if self.close_queued || self.closed.is_some() {
            return;
        }
        for (push, missed) in *gaps {
            let name = route.contract.and_then(|contract| contract.pushes.get(usize::from(push)));
            if let Some(frame) = name.and_then(|push| gap::frame(&Gap::new(push.name, missed), format)) {
                self.outbox.push(frame, Class::Control);
            }
        }
    }

    /// Whether the caller must flush, and has promised to.
    pub(crate) fn promise_flush(&mut self) -> bool {
        let must_flush = self.may_flush() && self.needs_flush() && !self.dirty;
        self.dirty |= must_flush;
        must_flush
    }

    /// Messages this connection has dropped by policy.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Queues a ping or a pong; small, and therefore outside the bound.
    pub(crate) fn control(&mut self, frame: Frame, class: Class) {
        if !self.close_queued && self.closed.is_none() {
            self.outbox.push(frame, class);
        }
    }

    /// Begins the close handshake, or answers the peer's. Only the first call counts.
    pub(crate) fn close(&mut self, frame: CloseFrame, by: ClosedBy) {
        if self.close_queued || self.closed.is_some() {
            return;
        }
        self.close_queued = true;
        self.outbox.push(Frame::close(Some(frame.clone()), None), Class::Control);
        self.ended(Closed { by, ..Closed::by_server(frame) });
    }

    /// The peer's close frame arrived: it is echoed, and nothing is sent after it.
    pub(crate) fn peer_closed(&mut self, frame: Option<CloseFrame>) {
        self.peer_done = true;
        if self.close_queued || self.closed.is_some() {
            return;
        }
        self.close_queued = true;
        self.outbox.push(Frame::close(frame.clone(), None), Class::Control);
        self.ended(Closed::by_client(frame));
    }

    /// The stream ended or broke.
    pub(crate) fn peer_lost(&mut self) {
        self.peer_done = true;
        let lost = Closed { code: CloseCode::ABNORMAL, reason: Text::default(), by: ClosedBy::Network };
        self.ended(lost);
    }

    fn ended(&mut self, closed: Closed) {
        if self.closed.is_none() {
            self.closed = Some(Box::new(closed));
        }
        self.wake_senders();
    }

    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether the wire is given up.
    pub(crate) fn is_disconnected(&self) -> bool {
        matches!(self.wire, WriteWire::Closed)
    }

    /// Writes what the kernel takes, without waiting.
    pub(crate) fn try_flush(&mut self, route: &RouteContext) {
        self.uncounted.report(route);
        while !self.stalled && !self.outbox.is_empty() {
            let Self { outbox, wire, .. } = self;
            let outcome = outbox.poll_write(|slices| match wire.try_write(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                outcome => Poll::Ready(outcome),
            });
            match outcome {
                Poll::Ready(Ok(())) => {
                    self.drained(route);
                    self.flush_stream();
                }
                Poll::Ready(Err(_)) => self.broken(&route.budget),
                Poll::Pending => self.stall(route),
            }
        }
    }

    /// The own task's flush. `Ready` when the connection is over and the wire given up.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>, route: &RouteContext) -> Poll<()> {
        self.dirty = false;
        self.uncounted.report(route);
        while !self.outbox.is_empty() {
            let before = self.outbox.bytes();
            let Self { outbox, wire, .. } = self;
            match outbox.poll_write(|slices| wire.poll_write(cx, slices)) {
                Poll::Ready(Ok(())) => self.drained(route),
                Poll::Ready(Err(_)) => self.broken(&route.budget),
                Poll::Pending => {
                    self.fall_behind(route);
                    if self.outbox.bytes() < before {
                        self.wake_senders();
                    }
                    break;
                }
            }
        }
        if self.wire.poll_flush(cx).is_pending() {
            return Poll::Pending;
        }
        self.poll_finish(cx, route)
    }

    /// Ends the stream when both close frames have passed, or the peer is gone.
    fn poll_finish(&mut self, cx: &mut Context<'_>, route: &RouteContext) -> Poll<()> {
        if self.is_disconnected() {
            return Poll::Ready(());
        }
        let flushed = self.outbox.is_empty() || !self.close_queued;
        if self.closed.is_none() || !flushed {
            return Poll::Pending;
        }
        let shuts = if self.peer_done { self.wire.says_goodbye() } else { self.fails() };
        if shuts && !self.shut {
            match self.wire.poll_shutdown(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => self.shut = true,
            }
        }
        if !self.peer_done {
            return Poll::Pending;
        }
        self.disconnect(&route.budget);
        Poll::Ready(())
    }

    /// After a violation nothing the peer still sends is of use: the stream is ended right behind the
    /// close frame, while what arrives is read and thrown away so that the close frame is not lost to a
    /// reset.
    fn fails(&self) -> bool {
        let failing = [CloseCode::PROTOCOL, CloseCode::INVALID_PAYLOAD, CloseCode::TOO_BIG];
        self.closed.as_ref().is_some_and(|closed| failing.contains(&closed.code))
    }

    /// Gives the wire up, whatever is queued.
    pub(crate) fn disconnect(&mut self, budget: &Budget) {
        self.wire.close();
        self.stalled = false;
        self.peer_lost();
        self.outbox.clear();
        self.charge(budget);
    }

    fn broken(&mut self, budget: &Budget) {
        self.disconnect(budget);
        self.wake_owner();
    }

    fn drained(&mut self, route: &RouteContext) {
        self.stalled = false;
        self.tell_gaps(route);
        self.charge(&route.budget);
        self.wake_senders();
    }

    /// Brings the node's account up to date. Only what the kernel refused is counted, so that traffic
    /// that flows touches no shared memory.
    fn charge(&mut self, budget: &Budget) {
        let now = if self.stalled { self.outbox.bytes() } else { 0 };
        let now = u32::try_from(now).unwrap_or(u32::MAX);
        if now != self.charged {
            budget.change(self.charged(), now as usize);
            self.charged = now;
        }
    }

    pub(crate) fn charged(&self) -> usize {
        self.charged as usize
    }

    pub(crate) fn wake_owner(&self) {
        if !self.in_turn
            && let Some(owner) = &self.owner
        {
            owner.wake_by_ref();
        }
    }

    /// Registers a sender that waits for `needed` bytes of room, and sees to it that somebody makes some.
    pub(crate) fn wait_for_room(&mut self, waker: &Waker, needed: usize, route: &RouteContext) {
        // The outbox may have drained, or the connection closed, since the sender was told that it is full:
        // nobody would wake it then.
        if !self.is_open() || self.outbox.bytes() + needed <= route.limits.outbox_bytes {
            waker.wake_by_ref();
            return;
        }
        // A stalled connection's task is woken by the socket; waking it here would only have it try in vain.
        if !self.stalled {
            self.wake_owner();
        }
        let waiting = self.waiting_senders.get_or_insert_default();
        if !waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn wake_senders(&mut self) {
        if let Some(waiting) = self.waiting_senders.take() {
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Whether the shard may write for the connection right now.
    pub(crate) fn may_flush(&self) -> bool {
        !self.in_turn && !self.stalled
    }

    pub(crate) fn needs_flush(&self) -> bool {
        !self.stalled && !self.outbox.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use tokio_util::sync::CancellationToken;
    use wirelark_proto::Message;

    use super::*;
    use crate::limits::Options;
    use crate::observe::Observer;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn route(outbox_bytes: usize) -> RouteContext {
        RouteContext {
            pattern: "/".into(),
            contract: None,
            limits: Options::new().outbox_bytes(outbox_bytes).resolve().expect("valid options"),
            counters: Observer::default().route("/", None),
            hooks: Default::default(),
            budget: Arc::new(Budget::new(usize::MAX)),
            stopped: CancellationToken::new(),
        }
    }

    /// An outbox of 100 bytes with `queued` in it; how often a sender that asks for `needed` is woken at once.
    fn woken_at_once(queued: usize, needed: usize, prepare: impl FnOnce(&mut Outbound)) -> usize {
        let route = route(100);
        let mut outbound = Outbound::new(WriteWire::Closed, None);
        outbound
            .outbox
            .push(Frame::unmasked(Message::from(vec![0; queued - 2])), Class::Data(Treatment::default()));
        prepare(&mut outbound);
        let woken = Arc::new(Woken::default());
        outbound.wait_for_room(&Waker::from(Arc::clone(&woken)), needed, &route);
        woken.0.load(SeqCst)
    }

    #[test]
    fn a_sender_that_comes_too_late_to_be_woken_is_woken_at_once() {
        assert_eq!(woken_at_once(60, 41, |_| ()), 0, "no room: it waits");
        assert_eq!(woken_at_once(60, 40, |_| ()), 1, "the outbox drained before it had registered");
        let close = |outbound: &mut Outbound| outbound.close(CloseCode::NORMAL.into(), ClosedBy::Server);
        assert_eq!(woken_at_once(60, 41, close), 1, "the connection closed before it had registered");
    }

    #[test]
    fn a_waiting_sender_is_woken_when_the_connection_closes() {
        let route = route(100);
        let mut outbound = Outbound::new(WriteWire::Closed, None);
        let woken = Arc::new(Woken::default());
        outbound.wait_for_room(&Waker::from(Arc::clone(&woken)), 101, &route);
        assert_eq!(woken.0.load(SeqCst), 0);
        outbound.close(CloseCode::NORMAL.into(), ClosedBy::Server);
        assert_eq!(woken.0.load(SeqCst), 1);
    }
}
