//! The frames that wait for a client, and how they are put on the wire.
//!
//! Pure data: no clock, no socket, no lock. At rest it owns no memory. A frame is either wholly queued or
//! wholly refused; once its first byte is with the kernel it can be neither dropped nor replaced. A dropped
//! frame leaves an empty place, so that dropping costs the same wherever it stood.
//!
//! Small frames that nothing will ever drop or replace need no place of their own: they are joined as they come, and
//! leave as they lie there.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::task::{Poll, ready};
use std::thread::LocalKey;
use std::time::Duration;

use tokio::time::Instant;
use wirelark_proto::Frame;

use super::backlog::Backlog;
use super::lazy_queue::{Item, LazyQueue, Spares};

/// Up to this many bytes are copied together for one plain write; more go out as a vector of slices.
pub(super) const GATHER_BYTES: usize = 16 * 1024;

/// Joined frames lie in buffers of this size; a frame that is larger has a place of its own.
const JOINED_BYTES: usize = GATHER_BYTES;

/// Such buffers a thread keeps for its connections: each needs one in its turn, and few turns overlap.
const SPARE_BUFFERS_MAX: usize = 4;

/// Frames per vectored write, two slices each; far below the kernel's limit of 1,024 slices.
const FRAMES_PER_WRITE: usize = 64;

thread_local! {
    /// Where small frames are put together. One per thread, so that no connection keeps one.
    static GATHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(GATHER_BYTES));
    static SPARE_QUEUES: Spares<Queued> = const { RefCell::new(Vec::new()) };
    static SPARE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Pongs that may wait. Of a flood only the newest is answered beyond that (RFC 6455 section 5.5.3), so that a
/// client that pings and never reads queues a few pongs and no more.
pub(crate) const PONGS_MAX: usize = 16;

/// How far back a waiting pong is looked for. A flood of pings has its last pong right here; a longer search
/// would let mixed traffic make every ping cost a walk through the whole queue.
const PONG_SEARCH_FRAMES: usize = 8;

/// A key under which a newer message replaces an older one that still waits.
pub(crate) type ConflationKey = NonZeroU64;

/// Empty places are swept out when there are so many, and more of them than frames.
const SWEEP_PLACES: usize = 64;

#[derive(Debug)]
struct Queued {
    content: Content,
    class: Class,
}

/// What lies in a place of the queue.
#[derive(Debug)]
enum Content {
    Frame(Frame),
    /// Whole frames, one behind the other.
    Joined(Vec<u8>),
    /// It was dropped.
    Nothing,
}

impl Queued {
    fn frame(frame: Frame, class: Class) -> Self {
        Self { content: Content::Frame(frame), class }
    }

    fn is_nothing(&self) -> bool {
        matches!(self.content, Content::Nothing)
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Frame(frame) => frame.len(),
            Content::Joined(bytes) => bytes.len(),
            Content::Nothing => 0,
        }
    }

    fn parts(&self) -> [&[u8]; 2] {
        match &self.content {
            Content::Frame(frame) => [frame.head.as_slice(), &frame.payload],
            Content::Joined(bytes) => [bytes, &[]],
            Content::Nothing => [&[], &[]],
        }
    }
}

fn borrow_buffer() -> Vec<u8> {
    let spare = SPARE_BUFFERS.with_borrow_mut(Vec::pop);
    spare.unwrap_or_else(|| Vec::with_capacity(JOINED_BYTES))
}

fn give_back(mut buffer: Vec<u8>) {
    // One that was cut to what lay in it when its client fell behind is of no more use.
    if buffer.capacity() < JOINED_BYTES {
        return;
    }
    buffer.clear();
    SPARE_BUFFERS.with_borrow_mut(|spares| {
        if spares.len() < SPARE_BUFFERS_MAX {
            spares.push(buffer);
        }
    });
}

impl Item for Queued {
    fn spares() -> &'static LocalKey<Spares<Self>> {
        &SPARE_QUEUES
    }
}

/// What a queued frame is, as far as dropping it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A text or binary message.
    Data(Treatment),
    /// A ping or a close: few, small, never dropped.
    Control,
    /// The answer to a ping; see [`PONGS_MAX`].
    Pong,
}

/// What may become of a message while its client is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Treatment {
    /// A newer one of the same key takes its place.
    pub(crate) key: Option<ConflationKey>,
    /// It may be dropped to make room.
    pub(crate) droppable: bool,
    /// Which push of the connection's contract it is.
    pub(crate) push: Option<u16>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: LazyQueue<Queued>,
    /// Bytes not yet written, frame heads included.
    bytes: usize,
    /// Bytes of the front frame that are written.
    front_written: usize,
    /// Pongs among the waiting frames.
    pongs: u32,
    /// Empty places among them.
    dropped: u32,
    /// Made when a message is first replaced or dropped.
    backlog: Option<Box<Backlog>>,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: Frame, class: Class) {
        if class == Class::Pong {
            if self.pongs as usize >= PONGS_MAX && self.replace_pong(&frame) {
                return;
            }
            self.pongs += 1;
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.pushed(self.queue.len(), &class);
        }
        self.bytes += frame.len();
        self.queue.push_back(Queued::frame(frame, class));
    }

    /// Queues bytes that nothing will ever drop or replace, behind those of the same kind if there is room. A client
    /// that keeps up costs no more than the copy, which a small frame's way to the kernel takes in any case.
    pub(crate) fn join(&mut self, head: &[u8], payload: &[u8]) {
        let len = head.len() + payload.len();
        self.bytes += len;
        if let Some(Queued { content: Content::Joined(bytes), .. }) = self.queue.back_mut()
            && bytes.len() + len <= bytes.capacity()
        {
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(payload);
            return;
        }
        let mut bytes = borrow_buffer();
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(payload);
        let class = Class::Data(Treatment::default());
        if let Some(backlog) = &mut self.backlog {
            backlog.pushed(self.queue.len(), &class);
        }
        self.queue.push_back(Queued { content: Content::Joined(bytes), class });
    }

    /// Whether a frame of this length may be joined with others.
    pub(crate) fn joins(len: usize) -> bool {
        len <= JOINED_BYTES
    }

    /// The client is behind: what waits may wait for long, and keeps no room it does not need.
    pub(crate) fn settle(&mut self) {
        if let Some(Queued { content: Content::Joined(bytes), .. }) = self.queue.back_mut() {
            bytes.shrink_to_fit();
        }
    }

    fn backlog(&mut self) -> &mut Backlog {
        let queue = &self.queue;
        self.backlog.get_or_insert_with(|| Box::new(Backlog::of(queue.iter().map(|queued| &queued.class))))
    }

    /// Puts `frame` where the waiting frame of the same key stands. False if none waits; then the frame
    /// comes back unused.
    pub(crate) fn conflate(&mut self, key: ConflationKey, frame: Frame) -> Result<(), Frame> {
        let Some(index) = self.backlog().waiting(key) else { return Err(frame) };
        if index == 0 && self.front_written > 0 {
            return Err(frame);
        }
        let Some(waiting) = self.queue.get_mut(index) else { return Err(frame) };
        self.bytes = self.bytes - waiting.len() + frame.len();
        waiting.content = Content::Frame(frame);
        Ok(())
    }

    /// Drops the oldest messages that may be dropped until `needed` more bytes stay within `bytes_max`, and
    /// tells `dropped` which they were. Control frames and the frame being written stay.
    pub(crate) fn drop_oldest(
        &mut self,
        needed: usize,
        bytes_max: usize,
        mut dropped: impl FnMut(Treatment),
    ) {
        let first = usize::from(self.front_written > 0);
        while self.bytes + needed > bytes_max {
            let Some(index) = self.backlog().oldest_droppable(first) else { break };
            let Some(queued) = self.queue.get_mut(index) else { break };
            self.bytes -= queued.len();
            queued.content = Content::Nothing;
            self.dropped += 1;
            let class = queued.class;
            self.backlog().dropped(index, &class);
            if let Class::Data(treatment) = class {
                dropped(treatment);
            }
        }
        self.sweep();
    }

    /// Takes empty places out, seldom enough that it costs each dropped frame a constant.
    fn sweep(&mut self) {
        if self.bytes == 0 {
            return self.clear();
        }
        let dropped = self.dropped as usize;
        if dropped < SWEEP_PLACES || dropped * 2 < self.queue.len() {
            return;
        }
        self.queue.retain(|queued| !queued.is_nothing());
        self.dropped = 0;
        if let Some(backlog) = &mut self.backlog {
            backlog.index(self.queue.iter().map(|queued| &queued.class));
        }
    }

    /// Whether a push that is sampled once in `interval` may be queued now.
    pub(crate) fn take_sample(&mut self, push: u16, interval: Duration, now: Instant) -> bool {
        self.backlog().take_sample(push, interval, now)
    }

    /// Forgets everything, as it was written or nobody will read it. An outbox at rest owns nothing.
    pub(crate) fn clear(&mut self) {
        while let Some(Queued { content, .. }) = self.queue.pop_front() {
            if let Content::Joined(bytes) = content {
                give_back(bytes);
            }
        }
        self.bytes = 0;
        self.front_written = 0;
        self.pongs = 0;
        self.dropped = 0;
        self.backlog = None;
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
            while self.queue.front().is_some_and(Queued::is_nothing) {
                self.pop_front();
            }
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
        if self.queue.len() == 1
            && let Some(Queued { content: Content::Joined(bytes), .. }) = self.queue.front()
        {
            return write(&[IoSlice::new(&bytes[self.front_written..])]);
        }
        if self.bytes <= GATHER_BYTES {
            return GATHER.with_borrow_mut(|gather| {
                gather.clear();
                for part in self.queue.iter().flat_map(Queued::parts) {
                    gather.extend_from_slice(part);
                }
                write(&[IoSlice::new(&gather[self.front_written..])])
            });
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_PER_WRITE];
        let mut count = 0;
        let mut skip = self.front_written;
        for queued in self.queue.iter().take(FRAMES_PER_WRITE) {
            for part in queued.parts() {
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
            return self.clear();
        }
        while let Some(front) = self.queue.front() {
            let left = front.len() - self.front_written;
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
        let Some(popped) = self.queue.pop_front() else { return };
        match (popped.content, popped.class) {
            (Content::Nothing, _) => self.dropped -= 1,
            (Content::Joined(bytes), _) => give_back(bytes),
            (Content::Frame(_), Class::Pong) => self.pongs -= 1,
            (Content::Frame(_), Class::Data(_) | Class::Control) => {}
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.popped(&popped.class);
        }
    }

    fn replace_pong(&mut self, frame: &Frame) -> bool {
        let first = usize::from(self.front_written > 0);
        let mut newest = (first..self.queue.len()).rev().take(PONG_SEARCH_FRAMES);
        let Some(at) = newest.find(|index| self.queue[*index].class == Class::Pong) else { return false };
        let Some(waiting) = self.queue.get_mut(at) else { return false };
        self.bytes = self.bytes - waiting.len() + frame.len();
        waiting.content = Content::Frame(frame.clone());
        true
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

    const DATA: Class = Class::Data(Treatment { key: None, droppable: true, push: None });

    fn key(key: u64) -> Class {
        Class::Data(Treatment { key: NonZeroU64::new(key), droppable: true, push: None })
    }

    fn drop_oldest(outbox: &mut Outbox, needed: usize, bytes_max: usize) -> usize {
        let mut count = 0;
        outbox.drop_oldest(needed, bytes_max, |_| count += 1);
        count
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
                outbox.push(frame(payload), DATA);
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
                outbox.push(frame(large), DATA);
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
        outbox.push(frame("old"), DATA);
        outbox.push(frame("ping"), Class::Control);
        outbox.push(frame("mid"), DATA);
        outbox.push(frame("new"), DATA);
        let full = outbox.bytes();
        assert_eq!(drop_oldest(&mut outbox, 10, full), 2);
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
        assert_eq!(drop_oldest(&mut outbox, 1_000, 10), 1);
        assert_eq!(outbox.bytes(), 9 - 3);
    }

    #[test]
    fn joined_frames_keep_their_order_among_the_others() {
        for step in [1, 2, 3, 1_000] {
            let mut outbox = Outbox::default();
            let join = |outbox: &mut Outbox, payload| {
                let Frame { head, payload } = frame(payload);
                outbox.join(head.as_slice(), &payload);
            };
            join(&mut outbox, "a");
            join(&mut outbox, "bb");
            outbox.push(frame("pong"), Class::Pong);
            join(&mut outbox, "c");
            assert_eq!((outbox.queue.len(), outbox.bytes()), (3, 8 + 1 + 2 + 4 + 1));
            // A client that falls behind: what is joined later has another place.
            outbox.settle();
            join(&mut outbox, "d");
            assert_eq!(drop_oldest(&mut outbox, 1_000, 10), 0, "nothing that is joined is ever dropped");
            assert_eq!(drain(&mut outbox, step), ["a", "bb", "pong", "c", "d"]);
            assert!(outbox.is_empty() && outbox.bytes() == 0);
        }
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
    fn a_client_that_never_reads_holds_no_more_places_than_frames() {
        let mut outbox = Outbox::default();
        outbox.push(frame("kept"), Class::Data(Treatment::default()));
        let full = 10 * frame("moved").len();
        for _ in 0..10_000 {
            drop_oldest(&mut outbox, frame("moved").len(), full);
            outbox.push(frame("moved"), DATA);
        }
        assert!(outbox.bytes() <= full && outbox.queue.len() <= 2 * SWEEP_PLACES + 10);
        let mut left = vec!["kept"];
        left.resize(10, "moved");
        assert_eq!(drain(&mut outbox, 4), left);
    }

    #[test]
    fn a_sampled_push_waits_its_time() {
        let mut outbox = Outbox::default();
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        outbox.push(frame("data"), DATA);
        let mut sample = |push, milliseconds| {
            outbox.take_sample(push, second, start + Duration::from_millis(milliseconds))
        };
        assert!(sample(1, 0) && sample(2, 500), "each push has its own time");
        assert!(!sample(1, 999) && sample(1, 1_000) && !sample(2, 1_499));
    }

    #[test]
    fn of_a_flood_of_pongs_only_the_newest_waits() {
        let mut outbox = Outbox::default();
        outbox.push(frame("data"), DATA);
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
