//! The receiving side: bytes from the wire become messages for the handler.
//!
//! Bytes are read into a buffer shared by the thread and decoded in place, everything that arrived at
//! once. Only what the handler has not taken yet is kept, and an unfinished message, both bounded. A
//! connection that waits owns no buffer.

use std::cell::RefCell;
use std::io;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::thread::LocalKey;

use bytes::Bytes;
use tokio::time::Instant;
use wirelark_proto::contract::RateLimited;
use wirelark_proto::{CloseFrame, Event, Kind, Message, Payload, Protocol, ProtocolError, Text};

use super::lazy_queue::{Item, LazyQueue, Spares};
use super::outbox::PONGS_MAX;
use crate::net::wire::ReadWire;
use crate::observe::Traffic;
use crate::rate::Meter;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Payload bytes that may wait for a handler before the connection stops reading. The peer then meets
/// TCP's own back-pressure. One read more may be decoded on top of it.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// What a waiting message counts beside its payload, so that empty messages fill the read-ahead too.
const MESSAGE_OVERHEAD_BYTES: usize = size_of::<Message>();

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        bytes: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        found: Vec::new(),
    });
    static SPARE_QUEUES: Spares<Message> = const { RefCell::new(Vec::new()) };
}

impl Item for Message {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARE_QUEUES
    }
}

/// The read buffer of a thread, and what was found in it.
struct Scratch {
    bytes: Box<[u8]>,
    found: Vec<Found>,
}

/// One decoded event; payloads that lie in the scratch as ranges of it.
enum Found {
    InPlace(Kind, Range<usize>),
    Whole(Kind, Bytes),
}

/// What a waiting message counts.
fn counted(message: &Message) -> usize {
    message.len() + MESSAGE_OVERHEAD_BYTES
}

/// Messages in the hands of the receiver: a burst is handed over at once, so that it costs one lock and not one for
/// each message. They count as waiting until the last of them is taken.
#[derive(Debug, Default)]
pub(crate) struct Batch(LazyQueue<Message>);

/// A message out of a batch.
pub(crate) enum FromBatch {
    Next(Message),
    /// The last one: the connection is to be told.
    Last(Message),
    Empty,
}

impl Batch {
    pub(crate) fn take(&mut self) -> FromBatch {
        match self.0.pop_front() {
            Some(message) if self.0.is_empty() => FromBatch::Last(message),
            Some(message) => FromBatch::Next(message),
            None => FromBatch::Empty,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inbound {
    wire: ReadWire,
    protocol: Protocol,
    /// Messages decoded and not yet taken by the handler.
    waiting: LazyQueue<Message>,
    /// What they count, and with them what the receiver holds of its batch.
    waiting_bytes: usize,
    /// The receiver has yet to take the last message of its batch.
    handed: bool,
    /// A receiver in another task than the connection's own, waiting for a message.
    pub(crate) receiver: Option<Waker>,
    /// The handler is inside `recv` in this turn, which has read until nothing was left.
    pub(crate) attended: bool,
    /// Nobody will ever take a message: data is counted and dropped, control frames are still answered.
    pub(crate) unread: bool,
    /// Pings and pongs are handed over too.
    control_frames: bool,
    /// Bytes arrived since this was last cleared.
    heard: bool,
    /// Kept only where an idle limit or a rate needs it, and boxed for all who have none.
    usage: Option<Box<Usage>>,
    /// Boxed: it is there for the last moments of a connection only.
    end: Option<Box<End>>,
    /// The end is known, but the handler has yet to take what came before it: answers to that still leave.
    unsettled: bool,
}

/// How a client uses its connection, where that is limited.
#[derive(Debug)]
pub(crate) struct Usage {
    /// When a message last arrived.
    pub(crate) last_message: Instant,
    /// How often messages may arrive.
    pub(crate) meter: Option<Meter>,
}

/// Why nothing more will be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer sent a close frame.
    Closed(Option<CloseFrame>),
    /// The stream ended, or broke, without one.
    Lost,
    /// The peer broke the protocol.
    Failed(ProtocolError),
    /// The peer sent messages more often than it may.
    TooOften(RateLimited),
    /// This side closed first, or gave up.
    Stopped,
}

/// What one read brought that others must act on.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) traffic: Traffic,
    /// The payloads of pings to answer, in order; of a flood the first ones and the newest.
    pub(crate) pings: Vec<Bytes>,
    /// Messages that came too often, and are dropped.
    pub(crate) rate_limited: u32,
    /// Reading is over since this read.
    pub(crate) ended: bool,
}

impl Inbound {
    pub(crate) fn new(
        wire: ReadWire,
        protocol: Protocol,
        control_frames: bool,
        usage: Option<Usage>,
    ) -> Self {
        Self {
            wire,
            protocol,
            waiting: LazyQueue::default(),
            waiting_bytes: 0,
            handed: false,
            receiver: None,
            attended: false,
            unread: false,
            control_frames,
            heard: false,
            usage: usage.map(Box::new),
            end: None,
            unsettled: false,
        }
    }

    /// The next message, if one waits; what waits behind it goes into the empty batch.
    pub(crate) fn take(&mut self, batch: &mut Batch) -> Option<Message> {
        debug_assert!(batch.0.is_empty() && !self.handed, "the batch before was not taken");
        let message = self.take_one()?;
        if !self.waiting.is_empty() {
            std::mem::swap(&mut self.waiting, &mut batch.0);
            self.handed = true;
        }
        Some(message)
    }

    /// The next message, if one waits; what waits behind it stays.
    pub(crate) fn take_one(&mut self) -> Option<Message> {
        let message = self.waiting.pop_front()?;
        self.waiting_bytes -= counted(&message);
        Some(message)
    }

    /// The receiver has taken its whole batch. Only what has come since counts, which is seldom anything.
    pub(crate) fn batch_taken(&mut self) {
        self.handed = false;
        self.waiting_bytes = self.waiting.iter().map(counted).sum();
    }

    /// Whether the handler is behind by so much that reading rests.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes >= READ_AHEAD_BYTES && self.end.is_none()
    }

    pub(crate) fn has_message(&self) -> bool {
        !self.waiting.is_empty() || self.handed
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_deref()
    }

    /// Whether the peer's end waits for the handler to take what came before it.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// The end to act on now, once.
    pub(crate) fn settle(&mut self) -> Option<&End> {
        if std::mem::take(&mut self.unsettled) { self.end.as_deref() } else { None }
    }

    /// Bytes held: messages not taken and the unfinished one.
    pub(crate) fn held_bytes(&self) -> usize {
        self.waiting_bytes + self.protocol.message_in_progress()
    }

    /// Whether anything arrived since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    pub(crate) fn last_message(&self) -> Option<Instant> {
        self.usage.as_ref().map(|usage| usage.last_message)
    }

    /// This side is closing: the handler gets no more messages. Reading goes on, for the peer's close.
    pub(crate) fn stop(&mut self) {
        if self.end.is_none() {
            self.end = Some(Box::new(End::Stopped));
        }
    }

    /// Nobody will take messages any more.
    pub(crate) fn abandon(&mut self) {
        self.unread = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.handed = false;
    }

    pub(crate) fn polled_socket(&self) -> Option<Arc<TcpStream>> {
        self.wire.polled_socket()
    }

    pub(crate) fn readable(&mut self, hung_up: bool) {
        self.wire.readable(hung_up);
    }

    /// Gives the wire up. Messages that wait stay.
    pub(crate) fn disconnect(&mut self) {
        self.wire = ReadWire::Closed;
        if self.end.is_none() {
            self.end = Some(Box::new(End::Lost));
        }
    }

    pub(crate) fn is_disconnected(&self) -> bool {
        matches!(self.wire, ReadWire::Closed)
    }

    /// Reads once and decodes everything that came. `Ready(None)` when the stream is at its end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arrived>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = match ready!(self.wire.poll_read(cx, &mut scratch.bytes)) {
                Ok(0) => return Poll::Ready(None),
                Ok(read) => read,
                // A reset is an end of the stream without a close frame; there is nobody to tell.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(_) => return Poll::Ready(None),
            };
            self.heard = true;
            Poll::Ready(Some(self.decode(scratch, read)))
        })
    }

    /// Decodes bytes that were not read from the wire.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) -> Arrived {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut arrived = Arrived::default();
            while !bytes.is_empty() {
                let (now, later) = bytes.split_at(bytes.len().min(SCRATCH_BYTES));
                scratch.bytes[..now.len()].copy_from_slice(now);
                arrived.absorb(self.decode(scratch, now.len()));
                bytes = later;
            }
            arrived
        })
    }

    fn decode(&mut self, scratch: &mut Scratch, read: usize) -> Arrived {
        let mut arrived = Arrived::default();
        let Scratch { bytes, found } = scratch;
        found.clear();
        let mut input = &mut bytes[..read];
        let mut end = None;
        let mut limited = None;
        loop {
            match self.protocol.poll_event(&mut input) {
                Ok(Some(event)) => {
                    let consumed = read - input.len();
                    let is_data = matches!(event, Event::Text(_) | Event::Binary(_));
                    let too_often =
                        is_data && self.end.is_none() && is_too_often(self.usage.as_deref(), &mut limited);
                    match event {
                        // Read on all the same: behind it there may be a goodbye.
                        Event::Text(payload) if too_often => arrived.drop_one(Kind::Text, payload.len()),
                        Event::Binary(payload) if too_often => arrived.drop_one(Kind::Binary, payload.len()),
                        Event::Text(payload) => found.push(Found::new(Kind::Text, payload, consumed)),
                        Event::Binary(payload) => found.push(Found::new(Kind::Binary, payload, consumed)),
                        Event::Ping(payload) => {
                            arrived.traffic.add(Kind::Ping, payload.len());
                            let payload = payload.into_bytes();
                            if self.control_frames {
                                found.push(Found::Whole(Kind::Ping, payload.clone()));
                            }
                            arrived.add_ping(payload);
                        }
                        Event::Pong(payload) => {
                            arrived.traffic.add(Kind::Pong, payload.len());
                            if self.control_frames {
                                found.push(Found::new(Kind::Pong, payload, consumed));
                            }
                        }
                        Event::Close(frame) => end = Some(End::Closed(frame)),
                    }
                }
                Ok(None) => break,
                Err(error) => end = Some(End::Failed(error)),
            }
        }
        self.keep(bytes, found, &mut arrived.traffic);
        if let Some(end) = end.or_else(|| limited.map(End::TooOften))
            && matches!(self.end(), None | Some(End::Stopped | End::TooOften(_)))
        {
            self.end = Some(Box::new(end));
            self.unsettled = true;
            arrived.ended = true;
        }
        arrived
    }

    /// Moves what was found out of the scratch. All payloads of one read share one allocation: a burst of
    /// small messages costs one copy and no allocation each, at the price that keeping one of them keeps
    /// its burst (at most 64 KiB).
    fn keep(&mut self, scratch: &[u8], found: &mut Vec<Found>, traffic: &mut Traffic) {
        let mut spans = found.iter().filter_map(Found::range);
        let span = spans.next().map(|first| first.start..spans.next_back().unwrap_or(first).end);
        let span = span.unwrap_or(0..0);
        let open = !self.unread && self.end.is_none();
        let mut burst = if open { Bytes::copy_from_slice(&scratch[span.clone()]) } else { Bytes::new() };
        let mut data = false;
        for found in found.drain(..) {
            let (kind, length) = found.kind_and_length();
            if matches!(kind, Kind::Text | Kind::Binary) {
                traffic.add(kind, length);
                data = true;
            }
            if !open {
                continue;
            }
            let payload = match found {
                // A message alone is not shared with anything, so it is not sliced out.
                Found::InPlace(_, range) if range == span => std::mem::take(&mut burst),
                Found::InPlace(_, range) => burst.slice(range.start - span.start..range.end - span.start),
                Found::Whole(_, bytes) => bytes,
            };
            let message = match kind {
                Kind::Text => Message::Text(Text::from_validated(payload)),
                Kind::Binary => Message::Binary(payload),
                Kind::Ping => Message::Ping(payload),
                Kind::Pong => Message::Pong(payload),
            };
            self.waiting_bytes += counted(&message);
            self.waiting.push_back(message);
        }
        if let (true, Some(usage)) = (data, &mut self.usage) {
            usage.last_message = Instant::now();
        }
    }
}

/// Whether one more message is more than may come. Once one was, all are: the connection ends with it.
fn is_too_often(usage: Option<&Usage>, limited: &mut Option<RateLimited>) -> bool {
    let Some(meter) = usage.and_then(|usage| usage.meter.as_ref()) else { return false };
    if limited.is_none() {
        *limited = meter.check().err();
    }
    limited.is_some()
}

impl Arrived {
    fn drop_one(&mut self, kind: Kind, bytes: usize) {
        self.traffic.add(kind, bytes);
        self.rate_limited += 1;
    }

    fn add_ping(&mut self, payload: Bytes) {
        self.pings.truncate(PONGS_MAX - 1);
        self.pings.push(payload);
    }

    fn absorb(&mut self, later: Self) {
        self.traffic.absorb(&later.traffic);
        later.pings.into_iter().for_each(|ping| self.add_ping(ping));
        self.rate_limited += later.rate_limited;
        self.ended |= later.ended;
    }
}

impl Found {
    fn new(kind: Kind, payload: Payload<'_>, consumed: usize) -> Self {
        match payload {
            // A payload in place is the last thing that was consumed.
            Payload::Borrowed(bytes) => Self::InPlace(kind, consumed - bytes.len()..consumed),
            Payload::Owned(bytes) => Self::Whole(kind, bytes),
        }
    }

    fn range(&self) -> Option<&Range<usize>> {
        match self {
            Self::InPlace(_, range) => Some(range),
            Self::Whole(..) => None,
        }
    }

    fn kind_and_length(&self) -> (Kind, usize) {
        match self {
            Self::InPlace(kind, range) => (*kind, range.len()),
            Self::Whole(kind, bytes) => (*kind, bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use wirelark_proto::{Config, Frame, Role};

    use super::*;

    const LARGE: usize = 30 * 1024;

    /// A connection that has received so many messages.
    fn received(count: usize) -> Inbound {
        let config = Config { role: Role::Server, message_bytes_max: LARGE, compression: None };
        let mut inbound = Inbound::new(ReadWire::Closed, Protocol::new(config), false, None);
        receive(&mut inbound, count);
        inbound
    }

    fn receive(inbound: &mut Inbound, count: usize) {
        let frame = Frame::masked(Message::Binary(vec![7; LARGE].into()), [1, 2, 3, 4]).to_vec();
        inbound.receive(&frame.repeat(count));
    }

    #[test]
    fn a_batch_counts_until_its_last_message_is_taken() {
        let (mut inbound, mut batch) = (received(4), Batch::default());
        assert!(inbound.take(&mut batch).is_some());
        assert!(matches!(batch.take(), FromBatch::Next(_)));
        assert!(inbound.is_full() && inbound.has_message(), "two more are in the receiver's hands");
        receive(&mut inbound, 1);
        assert!(matches!(batch.take(), FromBatch::Next(_)));
        assert!(matches!(batch.take(), FromBatch::Last(_)));
        inbound.batch_taken();
        assert_eq!(inbound.held_bytes(), LARGE + MESSAGE_OVERHEAD_BYTES, "what came meanwhile");
        assert!(inbound.take(&mut batch).is_some() && matches!(batch.take(), FromBatch::Empty));
        assert_eq!((inbound.held_bytes(), inbound.has_message()), (0, false));
    }
}
