//! The frames that wait for a client, and how they are put on the wire.
//!
//! Pure data: no clock, no socket, no lock. At rest it owns no memory. A frame is either wholly queued or
//! wholly refused; once its first byte is with the kernel it can be neither dropped nor replaced.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::task::{Poll, ready};
use std::thread::LocalKey;

use wirelark_proto::{Frame, Kind};

use super::lazy_queue::{Item, LazyQueue, Spares};

/// Up to this many bytes are copied together for one plain write; more go out as a vector of slices.
pub(super) const GATHER_BYTES: usize = 16 * 1024;

/// Frames per vectored write, two slices each; far below the kernel's limit of 1,024 slices.
const FRAMES_PER_WRITE: usize = 64;

thread_local! {
    /// Where small frames are put together. One per thread, so that no connection keeps one.
    static GATHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHER_BYTES));
    static SPARE_QUEUES: Spares<Queued> = const { RefCell::new(Vec::new()) };
}

/// Pongs that may wait. Of a flood only the newest is answered beyond that (RFC 6455 section 5.5.3), so that a
/// client that pings and never reads queues a few pongs and no more.
pub(crate) const PONGS_MAX: usize = 16;

/// How far back a waiting pong is looked for. A flood of pings has its last pong right here; a longer search
/// would let mixed traffic make every ping cost a walk through the whole queue.
const PONG_SEARCH_FRAMES: usize = 8;

/// A key under which a newer message replaces an older one that still waits.
pub(crate) type ConflationKey = NonZeroU64;

#[derive(Debug)]
struct Queued {
    frame: Frame,
    class: Class,
}

impl Item for Queued {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARE_QUEUES
    }
}

/// What a queued frame is, as far as dropping it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A text or binary message; under [`SlowClient::Conflate`](crate::SlowClient) perhaps with a key.
    Data(Option<ConflationKey>),
    /// A ping or a close: few, small, never dropped.
    Control,
    /// The answer to a ping; see [`PONGS_MAX`].
    Pong,
}

impl From<Kind> for Class {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Binary => Self::Data(None),
            Kind::Ping | Kind::Pong => Self::Control,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: LazyQueue<Queued>,
    /// Bytes not yet written, frame heads included.
    bytes: usize,
    /// Bytes of the front frame that are written.
    front_written: usize,
    /// Pongs among the waiting frames.
    pongs: usize,
    /// Where each key waits. Built when a keyed message first meets back-pressure.
    conflation: Option<Box<Conflation>>,
}

/// Positions are counted from the first frame ever queued, so that removing the front moves none of them.
#[derive(Debug, Default)]
struct Conflation {
    removed: u64,
    positions: HashMap<ConflationKey, u64>,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: Frame, class: Class) {
        if class == Class::Pong {
            if self.pongs >= PONGS_MAX && self.replace_pong(&frame) {
                return;
            }
            self.pongs += 1;
        }
        if let (Class::Data(Some(key)), Some(conflation)) = (class, &mut self.conflation) {
            conflation.positions.insert(key, conflation.removed + self.queue.len() as u64);
        }
        self.bytes += frame.len();
        self.queue.push_back(Queued { frame, class });
    }

    /// Puts `frame` where the waiting frame of the same key stands. False if none waits; then the frame
    /// comes back unused.
    pub(crate) fn conflate(&mut self, key: ConflationKey, frame: Frame) -> Result<(), Frame> {
        let queue = &self.queue;
        let conflation = self.conflation.get_or_insert_with(|| Box::new(Conflation::index(queue)));
        let Some(&position) = conflation.positions.get(&key) else { return Err(frame) };
        let index = (position - conflation.removed) as usize;
        if index == 0 && self.front_written > 0 {
            return Err(frame);
        }
        let Some(waiting) = self.queue.get_mut(index) else { return Err(frame) };
        self.bytes = self.bytes - waiting.frame.len() + frame.len();
        waiting.frame = frame;
        Ok(())
    }

    /// Drops the oldest messages until `needed` more bytes stay within `bytes_max`; says how many it
    /// dropped. Control frames and the frame being written stay.
    pub(crate) fn drop_oldest(&mut self, needed: usize, bytes_max: usize) -> u64 {
        let mut dropped = 0;
        let mut index = usize::from(self.front_written > 0);
        while self.bytes + needed > bytes_max && index < self.queue.len() {
            if matches!(self.queue[index].class, Class::Data(_)) {
                let removed = self.queue.remove(index).expect("the index was just compared with the length");
                self.bytes -= removed.frame.len();
                dropped += 1;
            } else {
                index += 1;
            }
        }
        dropped
    }

    /// Forgets everything, as nobody will read it.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
        self.rest();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes until everything is out or `write` takes no more.
    pub(crate) fn poll_write(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let written = ready!(self.poll_write_once(&mut write))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_once(
        &self,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.bytes <= GATHER_BYTES {
            return GATHER.with_borrow_mut(|gather| {
                gather.clear();
                for queued in self.queue.iter() {
                    gather.extend_from_slice(queued.frame.head.as_slice());
                    gather.extend_from_slice(&queued.frame.payload);
                }
                write(&[IoSlice::new(&gather[self.front_written..])])
            });
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_PER_WRITE];
        let mut count = 0;
        let mut skip = self.front_written;
        for queued in self.queue.iter().take(FRAMES_PER_WRITE) {
            for part in [queued.frame.head.as_slice(), &queued.frame.payload] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                if part.len() > skipped {
                    slices[count] = IoSlice::new(&part[skipped..]);
                    count += 1;
                }
            }
        }
        write(&slices[..count])
    }

    /// Takes note that so many more bytes are with the kernel.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        if self.bytes == 0 {
            self.queue.clear();
            return self.rest();
        }
        while let Some(front) = self.queue.front() {
            let left = front.frame.len() - self.front_written;
            if written < left {
                self.front_written += written;
                return;
            }
            written -= left;
            self.front_written = 0;
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        let popped = self.queue.pop_front();
        if matches!(popped, Some(Queued { class: Class::Pong, .. })) {
            self.pongs -= 1;
        }
        if let Some(conflation) = &mut self.conflation {
            if let Some(Queued { class: Class::Data(Some(key)), .. }) = popped
                && conflation.positions.get(&key) == Some(&conflation.removed)
            {
                conflation.positions.remove(&key);
            }
            conflation.removed += 1;
        }
    }

    /// An outbox at rest owns nothing.
    fn rest(&mut self) {
        self.front_written = 0;
        self.pongs = 0;
        self.conflation = None;
    }

    fn replace_pong(&mut self, frame: &Frame) -> bool {
        let first = usize::from(self.front_written > 0);
        let mut newest = (first..self.queue.len()).rev().take(PONG_SEARCH_FRAMES);
        let Some(at) = newest.find(|index| self.queue[*index].class == Class::Pong) else { return false };
        let Some(waiting) = self.queue.get_mut(at) else { return false };
        self.bytes = self.bytes - waiting.frame.len() + frame.len();
        waiting.frame = frame.clone();
        true
    }
}

impl Conflation {
    fn index(queue: &VecDeque<Queued>) -> Self {
        let positions = queue.iter().enumerate().filter_map(|(position, queued)| match queued.class {
            Class::Data(Some(key)) => Some((key, position as u64)),
            _ => None,
        });
        Self { removed: 0, positions: positions.collect() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wirelark_proto::Message;

    use super::*;

    fn frame(payload: &'static str) -> Frame {
        Frame::unmasked(Message::Binary(Bytes::from_static(payload.as_bytes())))
    }

    fn key(key: u64) -> Class {
        Class::Data(NonZeroU64::new(key))
    }

    /// Writes `outbox` out, at most `step` bytes a write, and returns the payloads of its two-byte-head
    /// frames.
    fn drain(outbox: &mut Outbox, step: usize) -> Vec<String> {
        let mut wire = Vec::new();
        let done = outbox.poll_write(|slices| {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = all.len().min(step);
            wire.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        });
        assert!(matches!(done, Poll::Ready(Ok(()))));
        assert_eq!(outbox.bytes(), 0);
        assert_eq!(outbox.queue.capacity(), 0, "an outbox at rest owns no buffer");
        let mut payloads = Vec::new();
        let mut rest = &wire[..];
        while let [_, length, tail @ ..] = rest {
            let (payload, tail) = tail.split_at(usize::from(*length));
            payloads.push(String::from_utf8_lossy(payload).into_owned());
            rest = tail;
        }
        payloads
    }

    #[test]
    fn frames_leave_in_order_whatever_the_write_sizes() {
        for step in 1..40 {
            let mut outbox = Outbox::default();
            for payload in ["one", "", "three", "four"] {
                outbox.push(frame(payload), Class::Data(None));
            }
            assert_eq!(drain(&mut outbox, step), ["one", "", "three", "four"], "step {step}");
        }
    }

    #[test]
    fn many_bytes_leave_through_vectored_writes() {
        let large: &'static str = Box::leak("x".repeat(10_000).into_boxed_str());
        for step in [1, 9_999, 10_003, 1 << 20] {
            let mut outbox = Outbox::default();
            for _ in 0..5 {
                outbox.push(frame(large), Class::Data(None));
            }
            let total = outbox.bytes();
            let mut written = 0;
            let _ = outbox.poll_write(|slices| {
                let offered: usize = slices.iter().map(|slice| slice.len()).sum();
                let taken = offered.min(step.max(offered / 100));
                written += taken;
                Poll::Ready(Ok(taken))
            });
            assert_eq!(written, total);
        }
    }

    #[test]
    fn the_oldest_messages_are_dropped_but_never_control_frames() {
        let mut outbox = Outbox::default();
        outbox.push(frame("old"), Class::Data(None));
        outbox.push(frame("ping"), Class::Control);
        outbox.push(frame("mid"), Class::Data(None));
        outbox.push(frame("new"), Class::Data(None));
        assert_eq!(outbox.drop_oldest(10, outbox.bytes()), 2);
        assert_eq!(drain(&mut outbox, 3), ["ping", "new"]);
    }

    #[test]
    fn a_frame_whose_first_byte_is_out_is_neither_dropped_nor_replaced() {
        let mut outbox = Outbox::default();
        outbox.push(frame("started"), key(7));
        outbox.push(frame("waiting"), key(8));
        let mut first = true;
        let stalled = outbox.poll_write(|_| match std::mem::take(&mut first) {
            true => Poll::Ready(Ok(3)),
            false => Poll::Pending,
        });
        assert!(stalled.is_pending());
        assert!(outbox.conflate(NonZeroU64::new(7).unwrap(), frame("seven")).is_err());
        assert!(outbox.conflate(NonZeroU64::new(8).unwrap(), frame("eight")).is_ok());
        assert_eq!(outbox.drop_oldest(1_000, 10), 1);
        assert_eq!(outbox.bytes(), 9 - 3);
    }

    #[test]
    fn the_newest_of_each_key_waits_in_the_oldest_place() {
        let mut outbox = Outbox::default();
        outbox.push(frame("a1"), key(1));
        outbox.push(frame("b1"), key(2));
        for newer in ["a2", "a3"] {
            outbox.conflate(NonZeroU64::new(1).unwrap(), frame(newer)).expect("a waits");
        }
        assert!(outbox.conflate(NonZeroU64::new(3).unwrap(), frame("c1")).is_err());
        outbox.push(frame("c1"), key(3));
        outbox.conflate(NonZeroU64::new(3).unwrap(), frame("c2")).expect("c waits");
        assert_eq!(drain(&mut outbox, 2), ["a3", "b1", "c2"]);
    }

    #[test]
    fn of_a_flood_of_pongs_only_the_newest_waits() {
        let mut outbox = Outbox::default();
        outbox.push(frame("data"), Class::Data(None));
        for _ in 0..PONGS_MAX + 50 {
            outbox.push(frame("pong"), Class::Pong);
        }
        outbox.push(frame("last"), Class::Pong);
        let payloads = drain(&mut outbox, 100);
        assert_eq!(payloads.len(), 1 + PONGS_MAX);
        assert_eq!((payloads[0].as_str(), payloads[PONGS_MAX].as_str()), ("data", "last"));
        outbox.push(frame("pong"), Class::Pong);
        outbox.push(frame("pong"), Class::Pong);
        assert_eq!(drain(&mut outbox, 1), ["pong", "pong"]);
    }
}
