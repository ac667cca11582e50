//! Floor 2: one connection. Knows frames, limits, time and a user's name; knows no room, and no route but the limits and
//! counters it was given.
//!
//! A connection is polled by one task, its [`Driver`], in *turns*: the handler runs, then what arrived is
//! read, then everything that was queued meanwhile leaves in one write. Other tasks (a shard that fans
//! out, a cloned sender) only queue, and wake the owner where a flush is needed.
//!
//! Lock order: `inbound`, then `outbound`. Neither is held while user code runs.

mod backlog;
mod burst;
mod driver;
mod facts;
mod gap;
pub(crate) mod hooks;
mod id;
mod inbound;
mod lazy_queue;
mod liveness;
mod outbound;
mod outbox;
mod run_queue;
mod seats;
mod user;

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wirelark_proto::contract::{Description, Format, RateLimited};
use wirelark_proto::{
    CloseCode, CloseFrame, Compression, Config, Frame, Kind, Message, Protocol, ProtocolError, Role,
};

use crate::budget::Budget;
#[cfg(test)]
use crate::limits::Options;
use crate::limits::{Limits, SlowClient};
use crate::net::wire::{ReadWire, WriteWire};
#[cfg(test)]
use crate::observe::Observer;
use crate::observe::{Pressure, RouteCounters, Traffic};
use crate::rate::Meter;

pub(crate) use self::burst::Burst;
pub(crate) use self::driver::{Conclude, Driver, Gate, Outcome};
use self::facts::{Fact, Facts};
pub(crate) use self::hooks::{Hooks, ReportKind};
pub use self::id::ConnectionId;
use self::inbound::{Arrived, FromBatch, Inbound, Usage};
pub(crate) use self::inbound::{Batch, End};
pub(crate) use self::liveness::Liveness;
pub(crate) use self::outbound::Wish;
pub use self::outbound::{Closed, ClosedBy};
use self::outbound::{Offer, Outbound};
use self::outbox::Class;
pub(crate) use self::outbox::ConflationKey;
pub(crate) use self::run_queue::RunQueue;
pub(crate) use self::seats::{Full, SEAT_RETRY_SECONDS, Seat, Seats};
pub(crate) use self::user::Requirements;
pub use self::user::{InvalidUserId, SignInError, User};
use crate::shared_frame::{self, SharedFrame};

/// What all connections of a route have in common.
#[derive(Clone, Debug)]
pub(crate) struct RouteContext {
    pub(crate) pattern: Box<str>,
    /// The contract the route's connections speak.
    pub(crate) contract: Option<&'static Description>,
    /// Nothing on the route can answer a message that comes too often: its connection is closed.
    pub(crate) closes_floods: bool,
    pub(crate) limits: Limits,
    /// What users of the route's connections must have.
    pub(crate) requirements: Requirements,
    pub(crate) counters: Arc<RouteCounters>,
    pub(crate) hooks: Hooks,
    pub(crate) budget: Arc<Budget>,
    /// Cancelled when the server has waited long enough for handlers to end.
    pub(crate) stopped: CancellationToken,
}

#[cfg(test)]
impl RouteContext {
    /// A route with these options and nothing else.
    fn of(options: Options) -> Self {
        Self {
            closes_floods: true,
            pattern: "/".into(),
            contract: None,
            limits: options.resolve().expect("valid options"),
            requirements: Requirements::default(),
            counters: Observer::default().route("/", None),
            hooks: Hooks::default(),
            budget: Arc::new(Budget::new(usize::MAX)),
            stopped: CancellationToken::new(),
        }
    }
}

/// What the handshake agreed on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agreed {
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) compression: Option<Compression>,
    /// How contract frames are written; `None` where none are.
    pub(crate) format: Option<Format>,
    /// Who is connecting, if the route authenticated anybody.
    pub(crate) user: Option<User>,
    /// Nobody knows yet who is there: what is sent to everyone is not for this connection.
    pub(crate) undecided: bool,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The outbox has no room and the route's policy is [`SlowClient::Error`](crate::SlowClient::Error)
    /// (or `try_send` was used). The connection is open; the message can be sent again later.
    #[error("the client reads too slowly: the outbox is full")]
    Full,
    /// The connection is closing or closed. A normal end: `?` in a handler closes nothing twice.
    #[error("the connection is closed")]
    Closed,
    /// The message is larger than the route's `message_bytes`; the connection closes with 1009.
    #[error("the message is larger than the route's message_bytes")]
    TooLarge,
}

/// What became of a fan-out's message at one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Queued,
    Dropped,
    Closed,
    /// Larger than the route's messages may be; not queued, and the connection stays.
    TooLarge,
}

/// A message on its way into an outbox; encoded, and boxed, when it has already waited once: handlers hold
/// one of these in every future that sends.
#[derive(Debug)]
pub(crate) enum Unsent {
    Message(Message),
    /// With its kind, and the bytes of its payload before they were compressed.
    Encoded(Box<(Frame, Kind, usize)>),
}

impl Unsent {
    /// What kind of message, and the bytes of its payload.
    pub(crate) fn kind_and_bytes(&self) -> (Kind, usize) {
        match self {
            Self::Message(message) => (message.kind(), message.len()),
            Self::Encoded(waited) => (waited.1, waited.2),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) route: Arc<RouteContext>,
    compression: Option<Compression>,
    format: Option<Format>,
    facts: Facts,
    /// Where to ask for a turn; none if a task of its own polls it.
    run_queue: Option<Arc<RunQueue>>,
    /// Who is at the other end; may become known later than the connection, and is replaced when a token is renewed.
    user: Mutex<Option<User>>,
    /// Its place among the connections of its user and its address, where these are limited.
    seat: Mutex<Option<Seat>>,
    /// The subprotocol, and a token once somebody has asked for it.
    seldom: OnceLock<Box<Seldom>>,
    inbound: Mutex<Inbound>,
    outbound: Mutex<Outbound>,
}

/// What most connections do not have; in a box of its own.
#[derive(Debug, Default)]
struct Seldom {
    protocol: Box<str>,
    cancel: OnceLock<CancellationToken>,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        route: Arc<RouteContext>,
        (read, write): (ReadWire, WriteWire),
        agreed: Agreed,
        run_queue: Option<Arc<RunQueue>>,
    ) -> Self {
        let limits = &route.limits;
        let config = Config {
            role: Role::Server,
            message_bytes_max: limits.message_bytes,
            compression: agreed.compression,
        };
        let meter = limits.message_rate.filter(|_| route.closes_floods).map(Meter::checked);
        let usage =
            (limits.idle.is_some() || meter.is_some()).then(|| Usage { last_message: Instant::now(), meter });
        let inbound = Inbound::new(read, Protocol::new(config), limits.control_frames, usage);
        // Our own subprotocols are where clients agree to more than socka's frames.
        let gap_format = agreed.protocol.as_deref().and_then(Format::from_subprotocol).and(agreed.format);
        let seldom = OnceLock::new();
        let Agreed { protocol, user, .. } = agreed;
        if let Some(protocol) = protocol {
            let _ = seldom.set(Box::new(Seldom { protocol, cancel: OnceLock::new() }));
        }
        let facts = Facts::default();
        if agreed.undecided {
            facts.set(Fact::Undecided);
        }
        Self {
            id,
            compression: agreed.compression,
            format: agreed.format,
            facts,
            run_queue,
            user: Mutex::new(user),
            seat: Mutex::new(None),
            seldom,
            inbound: Mutex::new(inbound),
            outbound: Mutex::new(Outbound::new(write, gap_format)),
            route,
        }
    }

    // For the driver.

    /// Sends the answer to the upgrade, unless it is out. It leaves with what the first turn queues.
    pub(crate) fn send_head(&self, head: &[u8]) {
        if !head.is_empty() {
            self.outbound.lock().head(head);
        }
    }

    /// Bytes the client sent right behind its upgrade request, before the stream was taken over.
    pub(crate) fn receive_early(&self, bytes: &[u8]) {
        let mut inbound = self.inbound.lock();
        let arrived = inbound.receive(bytes);
        self.act_on(arrived, &mut inbound);
    }

    /// The socket, if whoever owns the connection is to watch it.
    pub(crate) fn polled_socket(&self) -> Option<Arc<std::net::TcpStream>> {
        self.inbound.lock().polled_socket()
    }

    /// The watched socket has something to read or room to write.
    pub(crate) fn ready(&self, hung_up: bool) {
        self.inbound.lock().readable(hung_up);
        self.schedule();
    }

    /// Nobody polls the connection any more.
    fn disown(&self) {
        let owner = self.outbound.lock().owner.take();
        drop(owner);
    }

    fn begin_turn(&self, waker: &Waker) {
        self.inbound.lock().attended = false;
        let mut outbound = self.outbound.lock();
        outbound.in_turn = true;
        if !outbound.owner.as_ref().is_some_and(|owner| owner.will_wake(waker)) {
            outbound.owner = Some(waker.clone());
        }
    }

    /// Reads ahead while the handler does something else: pings are answered, a close is noticed, and up
    /// to 64 KiB of messages wait. True when the peer's end waits for the handler to take them.
    fn read_ahead(&self, cx: &mut Context<'_>) -> bool {
        let mut inbound = self.inbound.lock();
        while !inbound.attended && !inbound.is_full() && !inbound.is_unsettled() {
            let Poll::Ready(()) = self.poll_read(&mut inbound, cx) else { break };
            if inbound.is_disconnected() {
                break;
            }
        }
        if (inbound.has_message() || inbound.end().is_some())
            && let Some(receiver) = inbound.receiver.take()
        {
            receiver.wake();
        }
        inbound.is_unsettled()
    }

    /// Flushes what the turn queued. `Ready` when the connection is over.
    fn end_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbound = self.outbound.lock();
        outbound.in_turn = false;
        ready!(outbound.poll_flush(cx, &self.route));
        drop(outbound);
        self.inbound.lock().disconnect();
        self.cancel();
        Poll::Ready(())
    }

    /// Drops the wire at once, whatever is queued.
    pub(crate) fn abort(&self) {
        let mut outbound = self.outbound.lock();
        outbound.disconnect(&self.route.budget);
        outbound.wake_owner();
        drop(outbound);
        self.cancel();
    }

    /// Tells the peer why, if it can be told at once, and drops the wire.
    pub(crate) fn terminate(&self, frame: CloseFrame) {
        self.close(frame);
        self.flush();
        self.abort();
    }

    /// Drops the wire and has the driver drop the handler too: a shutdown's deadline has passed.
    pub(crate) fn kill(&self) {
        self.facts.set(Fact::Killed);
        self.abort();
    }

    fn is_killed(&self) -> bool {
        self.facts.is(Fact::Killed)
    }

    // For handlers.

    /// The next message. `None` when no more will come. A caller that is polled by the connection's own task
    /// reads right here; another is woken by the driver.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Batch) -> Poll<Option<Message>> {
        match batch.take() {
            FromBatch::Next(message) => return Poll::Ready(Some(message)),
            FromBatch::Last(message) => {
                self.taking(&mut self.inbound.lock(), Inbound::batch_taken);
                return Poll::Ready(Some(message));
            }
            FromBatch::Empty => {}
        }
        self.poll_next(cx, |inbound| inbound.take(batch))
    }

    /// The next message alone: what came with it stays, for whoever receives next.
    pub(crate) fn poll_first(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_next(cx, Inbound::take_one)
    }

    fn poll_next(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Inbound) -> Option<Message>,
    ) -> Poll<Option<Message>> {
        let mut inbound = self.inbound.lock();
        loop {
            if let Some(message) = self.taking(&mut inbound, &mut take) {
                return Poll::Ready(Some(message));
            }
            if inbound.end().is_some() {
                self.settle(&mut inbound);
                return Poll::Ready(None);
            }
            if !self.is_own_task(cx.waker()) {
                if !inbound.receiver.as_ref().is_some_and(|receiver| receiver.will_wake(cx.waker())) {
                    inbound.receiver = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            if self.poll_read(&mut inbound, cx).is_pending() {
                inbound.attended = true;
                return Poll::Pending;
            }
        }
    }

    /// Takes something from what waits, and has reading go on if it had rested for that.
    fn taking<T>(&self, inbound: &mut Inbound, take: impl FnOnce(&mut Inbound) -> T) -> T {
        let was_full = inbound.is_full();
        let taken = take(inbound);
        if was_full && !inbound.is_full() {
            self.outbound.lock().wake_owner();
        }
        taken
    }

    fn is_own_task(&self, waker: &Waker) -> bool {
        let outbound = self.outbound.lock();
        outbound.in_turn && outbound.owner.as_ref().is_some_and(|owner| owner.will_wake(waker))
    }

    /// Queues a message without waiting.
    pub(crate) fn try_send(&self, message: Message, key: Option<ConflationKey>) -> Result<(), SendError> {
        match self.offer(Unsent::Message(message), Wish::Plain(key))? {
            Offer::Queued | Offer::Dropped => Ok(()),
            Offer::Full(_) => {
                self.route.counters.pressed(Pressure::Error, 1);
                Err(SendError::Full)
            }
            Offer::Closed => Err(SendError::Closed),
        }
    }

    /// Queues a message; waits for room where the policy says so. `unsent` is empty once it was queued.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        unsent: &mut Option<Unsent>,
        wish: Wish,
    ) -> Poll<Result<(), SendError>> {
        let Some(offered) = unsent.take() else { return Poll::Ready(Ok(())) };
        if let Unsent::Message(message) = &offered
            && self.join(message, &wish)
        {
            return Poll::Ready(Ok(()));
        }
        let (kind, bytes) = offered.kind_and_bytes();
        match self.offer(offered, wish)? {
            Offer::Queued | Offer::Dropped => Poll::Ready(Ok(())),
            Offer::Closed => Poll::Ready(Err(SendError::Closed)),
            Offer::Full(_)
                if !matches!(wish, Wish::Answer) && self.route.limits.slow_client != SlowClient::Wait =>
            {
                self.route.counters.pressed(Pressure::Error, 1);
                Poll::Ready(Err(SendError::Full))
            }
            Offer::Full(frame) if frame.len() > self.route.limits.outbox_bytes => {
                Poll::Ready(Err(SendError::TooLarge))
            }
            Offer::Full(frame) => {
                self.route.counters.pressed(Pressure::Wait, 1);
                let needed = frame.len();
                *unsent = Some(Unsent::Encoded(Box::new((frame, kind, bytes))));
                self.outbound.lock().wait_for_room(cx.waker(), needed, &self.route);
                Poll::Pending
            }
        }
    }

    /// Queues a message in the usual case; see [`Outbound::join`].
    #[inline]
    pub(crate) fn join(&self, message: &Message, wish: &Wish) -> bool {
        let kind = message.kind();
        if self.compression.is_some()
            || !matches!(kind, Kind::Text | Kind::Binary)
            || message.len() > self.route.limits.message_bytes
            || !self.outbound.lock().join(kind, message.as_bytes(), wish, &self.route)
        {
            return false;
        }
        if self.route.hooks.hear_sent() && !matches!(wish, Wish::Answer) {
            self.sent(None, None, kind, message.len());
        }
        true
    }

    fn offer(&self, unsent: Unsent, wish: Wish) -> Result<Offer, SendError> {
        let (frame, kind, bytes) = match unsent {
            Unsent::Encoded(waited) => *waited,
            Unsent::Message(message) if message.len() > self.route.limits.message_bytes => {
                self.route.counters.too_large();
                self.close(CloseFrame::new(CloseCode::TOO_BIG, "message too large to send"));
                return Err(SendError::TooLarge);
            }
            Unsent::Message(message @ (Message::Ping(_) | Message::Pong(_))) => {
                return Ok(self.control(message));
            }
            Unsent::Message(message) => {
                let (kind, bytes) = (message.kind(), message.len());
                (shared_frame::encode(message, self.compression.as_ref()), kind, bytes)
            }
        };
        let mut outbound = self.outbound.lock();
        let offer = outbound.offer(frame, kind, wish, &self.route);
        outbound.wake_owner();
        drop(outbound);
        // Whoever sends an answer knows what it answers, and says so itself.
        if self.route.hooks.hear_sent() && offer == Offer::Queued && !matches!(wish, Wish::Answer) {
            self.sent(None, None, kind, bytes);
        }
        Ok(offer)
    }

    fn control(&self, message: Message) -> Offer {
        let (kind, length) = (message.kind(), message.len());
        let class = if kind == Kind::Pong { Class::Pong } else { Class::Control };
        let mut outbound = self.outbound.lock();
        if !outbound.is_open() {
            return Offer::Closed;
        }
        outbound.control(Frame::unmasked(message), class);
        self.route.counters.sent(&Traffic::one(kind, length));
        outbound.wake_owner();
        Offer::Queued
    }

    /// Begins the close handshake; later calls change nothing.
    pub(crate) fn close(&self, frame: CloseFrame) {
        self.settle_end();
        let mut outbound = self.outbound.lock();
        outbound.close(frame, ClosedBy::Server);
        outbound.wake_owner();
        drop(outbound);
        self.stop_receiving();
    }

    fn stop_receiving(&self) {
        let mut inbound = self.inbound.lock();
        inbound.stop();
        if let Some(receiver) = inbound.receiver.take() {
            receiver.wake();
        }
        drop(inbound);
        self.cancel();
        // A handler inside `recv` looks again; before, it would have seen no end yet.
        self.outbound.lock().wake_owner();
    }

    /// Ready when the outbox could take a message, or never will again.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut outbound = self.outbound.lock();
        if !outbound.is_open() {
            return Poll::Ready(Err(SendError::Closed));
        }
        let waits = self.route.limits.slow_client == SlowClient::Wait;
        if waits && outbound.queued_bytes() >= self.route.limits.outbox_bytes {
            outbound.wait_for_room(cx.waker(), 1, &self.route);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// The handler's normal return does not close the connection.
    pub(crate) fn keep_open(&self) {
        self.facts.set(Fact::KeptOpen);
    }

    fn is_kept_open(&self) -> bool {
        self.facts.is(Fact::KeptOpen)
    }

    pub(crate) fn protocol(&self) -> &str {
        self.seldom.get().map_or("", |seldom| &seldom.protocol)
    }

    /// Who is at the other end, if that is known.
    pub(crate) fn user(&self) -> Option<User> {
        self.user.lock().clone()
    }

    /// From now on `user` is at the other end. True if whoever keeps the connection's timers is to be told, which is so
    /// once until they have [looked](Self::take_user_changed).
    pub(crate) fn set_user(&self, user: User) -> bool {
        *self.user.lock() = Some(user);
        self.facts.set(Fact::UserChanged)
    }

    /// Puts it onto this seat, and frees the one it had.
    pub(crate) fn take_seat(&self, seat: Option<Seat>) {
        *self.seat.lock() = seat;
    }

    /// Counts it among `user`'s connections, unless there are as many as there may be.
    /// What comes back is to be dropped once it is no longer counted among the ones of whoever's it was before.
    pub(crate) fn pass_seat_to(&self, user: &User) -> Result<Option<Seat>, Full> {
        self.seat.lock().as_mut().map_or(Ok(None), |seat| seat.pass_to(user))
    }

    /// Whether there is another user since the last call. Asked before the user is looked at.
    fn take_user_changed(&self) -> bool {
        let changed = self.facts.is(Fact::UserChanged);
        self.facts.clear(Fact::UserChanged);
        changed
    }

    /// It is known who is there, if only that it is nobody.
    pub(crate) fn decide(&self) {
        self.facts.clear(Fact::Undecided);
    }

    /// Whether nobody knows yet who is there.
    pub(crate) fn is_undecided(&self) -> bool {
        self.facts.is(Fact::Undecided)
    }

    /// The receiving half is gone: whatever arrives is counted and dropped.
    pub(crate) fn abandon_inbound(&self) {
        let mut inbound = self.inbound.lock();
        inbound.abandon();
        self.settle(&mut inbound);
        self.outbound.lock().wake_owner();
    }

    /// How the connection ended, once it has.
    pub(crate) fn closed(&self) -> Option<Closed> {
        let inbound = self.inbound.lock();
        if let Some(closed) = self.outbound.lock().closed() {
            return Some(closed.clone());
        }
        match inbound.end()? {
            End::Closed(frame) => Some(Closed::by_client(frame.clone())),
            End::Failed(error) => Some(Closed::by_server(failure(error))),
            End::TooOften(limited) => Some(Closed::by_server(too_often(*limited))),
            End::Lost | End::Stopped => None,
        }
    }

    /// The handler has had its chance: the peer's end is acted on now.
    pub(crate) fn settle_end(&self) {
        self.settle(&mut self.inbound.lock());
    }

    pub(crate) fn is_open(&self) -> bool {
        self.outbound.lock().is_open()
    }

    pub(crate) fn dropped_messages(&self) -> u64 {
        self.outbound.lock().dropped_messages()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbound.lock().queued_bytes()
    }

    /// Fires once, when nothing more will be received: the peer closed or vanished, or this side closes.
    pub(crate) fn token(&self) -> CancellationToken {
        let seldom = self.seldom.get_or_init(Box::default);
        let token = seldom.cancel.get_or_init(CancellationToken::new).clone();
        if self.facts.is(Fact::Cancelled) {
            token.cancel();
        }
        token
    }

    /// Whether the token has fired, or would have.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.facts.is(Fact::Cancelled)
    }

    fn cancel(&self) {
        self.facts.set(Fact::Cancelled);
        if let Some(token) = self.seldom.get().and_then(|seldom| seldom.cancel.get()) {
            token.cancel();
        }
    }

    // For shards.

    /// Queues a shared frame; says what became of it, and whether the caller must [`flush`](Self::flush) the
    /// connection afterwards.
    pub(crate) fn deliver(&self, frame: &SharedFrame, key: Option<ConflationKey>) -> (Delivery, bool) {
        let mut outbound = self.outbound.lock();
        let delivery = self.offer_shared(&mut outbound, frame, key);
        let must_flush = outbound.promise_flush();
        drop(outbound);
        if self.route.hooks.hear_sent() && delivery == Delivery::Queued {
            self.sent_shared(frame);
        }
        (delivery, must_flush)
    }

    /// Queues frames that only make sense together and that no policy may drop. False, if there was no room for all of
    /// them; and whether the caller must [`flush`](Self::flush) the connection afterwards.
    pub(crate) fn deliver_all(&self, frames: &[Arc<SharedFrame>]) -> (bool, bool) {
        let mut outbound = self.outbound.lock();
        let mut queued = 0;
        let mut complete = true;
        for frame in frames {
            let (encoded, kind) = frame.encoded(self.format, self.compression.as_ref());
            // Like an answer: where there is no room, whoever sends it decides.
            let wish = frame.push_class().map_or(Wish::Answer, |class| Wish::Push(*class));
            match outbound.offer(encoded, kind, wish, &self.route) {
                Offer::Queued => queued += 1,
                // Nothing will be missed by somebody who is going.
                Offer::Closed => break,
                Offer::Dropped | Offer::Full(_) => {
                    complete = false;
                    break;
                }
            }
        }
        let must_flush = outbound.promise_flush();
        drop(outbound);
        if self.route.hooks.hear_sent() {
            frames[..queued].iter().for_each(|frame| self.sent_shared(frame));
        }
        (complete, must_flush)
    }

    /// Sends a burst, in one write where the connection keeps up, and says of each message what became of it.
    pub(crate) fn deliver_burst(&self, burst: &Burst, mut delivered: impl FnMut(usize, Delivery)) {
        if self.route.hooks.hear_sent() {
            for (index, (frame, key)) in burst.iter().enumerate() {
                delivered(index, self.deliver(frame, key).0);
            }
            return self.flush();
        }
        let mut outbound = self.outbound.lock();
        let takes_plain = self.compression.is_none() && self.format != Some(Format::MsgPack);
        let fits = burst.largest() <= self.route.limits.message_bytes;
        if takes_plain && fits && burst.is_for(self) && outbound.write_burst(burst, &self.route) {
            return (0..burst.len()).for_each(|index| delivered(index, Delivery::Queued));
        }
        for (index, (frame, key)) in burst.iter().enumerate() {
            delivered(index, self.offer_shared(&mut outbound, frame, key));
        }
        if outbound.may_flush() {
            outbound.dirty = false;
            outbound.try_flush(&self.route);
        }
    }

    fn offer_shared(
        &self,
        outbound: &mut Outbound,
        frame: &SharedFrame,
        key: Option<ConflationKey>,
    ) -> Delivery {
        if self.is_too_large(frame) {
            return outbound.too_large(frame.push_class(), &self.route);
        }
        match self.offer_form(outbound, frame, key) {
            Offer::Queued => Delivery::Queued,
            Offer::Dropped => Delivery::Dropped,
            Offer::Closed => Delivery::Closed,
            Offer::Full(_) => {
                // A fan-out neither waits for one member nor fails for it: the member is cut, and told.
                self.route.counters.pressed(Pressure::Close, 1);
                outbound.close(CloseFrame::new(CloseCode::TRY_AGAIN, "send queue full"), ClosedBy::Server);
                outbound.wake_owner();
                Delivery::Closed
            }
        }
    }

    fn offer_form(&self, outbound: &mut Outbound, frame: &SharedFrame, key: Option<ConflationKey>) -> Offer {
        let (encoded, kind) = frame.encoded(self.format, self.compression.as_ref());
        let wish = frame.push_class().map_or(Wish::Plain(key), |class| Wish::Push(*class));
        outbound.offer(encoded, kind, wish, &self.route)
    }

    /// Whether the frame is larger than this connection is sent messages. Whoever sends to many cannot know each
    /// route's limit, and no receiver can help it: the frame is left out, and the connection stays.
    fn is_too_large(&self, frame: &SharedFrame) -> bool {
        frame.payload_len_in(self.format) > self.route.limits.message_bytes
    }

    /// Whether this connection can be sent the frame at all: a push is for those who speak its contract.
    pub(crate) fn speaks(&self, frame: &SharedFrame) -> bool {
        frame
            .push_class()
            .is_none_or(|class| self.route.contract.is_some_and(|contract| contract.name == class.contract))
    }

    /// Queues a push for this connection alone. A reliable one waits for room.
    pub(crate) fn poll_push(&self, cx: &mut Context<'_>, frame: &SharedFrame) -> Poll<Delivery> {
        let mut outbound = self.outbound.lock();
        if self.is_too_large(frame) {
            let delivery = outbound.too_large(frame.push_class(), &self.route);
            outbound.wake_owner();
            return Poll::Ready(delivery);
        }
        let delivery = match self.offer_form(&mut outbound, frame, None) {
            Offer::Queued => Delivery::Queued,
            Offer::Dropped => Delivery::Dropped,
            Offer::Closed => Delivery::Closed,
            Offer::Full(frame) if frame.len() > self.route.limits.outbox_bytes => {
                let reason = "push larger than the outbox";
                outbound.close(CloseFrame::new(CloseCode::TOO_BIG, reason), ClosedBy::Server);
                Delivery::Closed
            }
            Offer::Full(frame) => {
                self.route.counters.pressed(Pressure::Wait, 1);
                outbound.wait_for_room(cx.waker(), frame.len(), &self.route);
                return Poll::Pending;
            }
        };
        outbound.wake_owner();
        drop(outbound);
        if self.route.hooks.hear_sent() && delivery == Delivery::Queued {
            self.sent_shared(frame);
        }
        Poll::Ready(delivery)
    }

    /// How contract frames are written for this connection.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or(Format::Json)
    }

    /// Writes what a fan-out queued.
    pub(crate) fn flush(&self) {
        let mut outbound = self.outbound.lock();
        outbound.dirty = false;
        if outbound.may_flush() {
            outbound.try_flush(&self.route);
        }
    }

    /// Bytes this connection holds because its client or its handler is slow.
    pub(crate) fn held_bytes(&self) -> usize {
        let inbound = self.inbound.lock().held_bytes();
        inbound + self.outbound.lock().charged()
    }

    // Reading.

    fn poll_read(&self, inbound: &mut Inbound, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(inbound.poll_read(cx)) {
            Some(arrived) => self.act_on(arrived, inbound),
            None => {
                inbound.disconnect();
                self.outbound.lock().peer_lost();
                self.cancel();
            }
        }
        Poll::Ready(())
    }

    /// Answers pings, and the peer's end unless the handler has yet to answer what came before it.
    fn act_on(&self, arrived: Arrived, inbound: &mut Inbound) {
        self.route.counters.received(&arrived.traffic);
        if arrived.rate_limited > 0 {
            self.route.counters.rate_limited(arrived.rate_limited);
        }
        for payload in arrived.pings {
            self.route.counters.sent(&Traffic::one(Kind::Pong, payload.len()));
            self.outbound.lock().control(Frame::unmasked(Message::Pong(payload)), Class::Pong);
        }
        if arrived.ended {
            if !inbound.has_message() {
                self.settle(inbound);
            }
            self.cancel();
        }
    }

    fn settle(&self, inbound: &mut Inbound) {
        let Some(end) = inbound.settle() else { return };
        let mut outbound = self.outbound.lock();
        match end {
            End::Closed(frame) => outbound.peer_closed(frame.clone()),
            End::Failed(error) => outbound.close(failure(error), ClosedBy::Server),
            End::TooOften(limited) => outbound.close(too_often(*limited), ClosedBy::Server),
            End::Lost | End::Stopped => {}
        }
        outbound.wake_owner();
    }
}

/// Clients of ours read when to come again in the reason.
fn too_often(limited: RateLimited) -> CloseFrame {
    let reason = format!("too many messages; retry after {} s", limited.retry_after.as_secs() + 1);
    CloseFrame::new(CloseCode::RATE_LIMITED, reason)
}

fn failure(error: &ProtocolError) -> CloseFrame {
    CloseFrame::new(error.close_code(), error.reason())
}
