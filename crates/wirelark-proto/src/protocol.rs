//! One end of one connection: bytes in, events out; commands in, frames out.
//!
//! The protocol refuses to know how bytes travel, what time it is and when to answer. It judges every byte as
//! soon as it sees it, holds what is unfinished within one bound, and holds nothing at all between two
//! messages.

use std::{fmt, mem};

use bytes::Bytes;

use crate::{
    CloseCode, CloseFrame, Compression, Frame, InvalidUtf8, Kind, Message, Opcode, Text, Utf8Validator,
    deflate::{Contexts, Inflation},
    frame::{Expected, HEAD_BYTES_MAX, ReceivedHead},
    mask,
    mask::rotate,
};

/// One end of one connection, without I/O.
///
/// # Calling contract
///
/// There are three kinds of methods, and the caller decides when to call which:
///
/// * **Input and events.** After every read, call [`poll_event`](Self::poll_event) with the bytes until it
///   returns `Ok(None)`; they are then all consumed. At the end of the stream call
///   [`handle_eof`](Self::handle_eof).
/// * **Commands** return a [`Frame`]. The caller writes frames in the order in which it got them, and nothing
///   after a close frame. Messages need no command: build them with [`Frame`], so that one frame can be
///   shared by many connections.
/// * **Getters** change nothing.
///
/// Pings are not answered here: the caller sees [`Event::Ping`] and decides when a pong is worth a write.
///
/// # When the peer breaks the protocol
///
/// `poll_event` returns the error once. From then on input is discarded; send
/// `close(Some(CloseFrame::new(error.close_code(), error.reason())))` and end the connection.
///
/// # Memory
///
/// Between messages a protocol owns no heap memory (unless context takeover was agreed, see [`Compression`]).
/// While a message is unfinished, its bytes are held in one buffer that grows with what arrives, never with
/// what a head announces, up to `message_bytes_max`.
pub struct Protocol {
    message_bytes_max: usize,
    /// What has begun to arrive and has not ended. Boxed, because most connections are between messages.
    unfinished: Option<Box<Unfinished>>,
    /// Compression streams that must outlive a message: context takeover only.
    contexts: Option<Box<Contexts>>,
    compression: Option<Compression>,
    role: Role,
    failed: bool,

    // Close handshake.
    close_sent: bool,
    close_received: bool,
}

/// What a [`Protocol`] is told once, when its connection is set up.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which end this is.
    pub role: Role,
    /// The largest message taken, counted in payload bytes after reassembly and inflation. A larger one fails
    /// the connection with 1009 before its excess is held.
    pub message_bytes_max: usize,
    /// What the handshake agreed for permessage-deflate, if anything.
    pub compression: Option<Compression>,
}

/// Which end of the connection this is: clients mask, servers do not (RFC 6455 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The end that was connected to.
    Server,
    /// The end that connected.
    Client,
}

impl Protocol {
    /// A connection whose handshake has just ended.
    pub fn new(config: Config) -> Self {
        let Config { role, message_bytes_max, compression } = config;
        Self {
            message_bytes_max,
            unfinished: None,
            contexts: None,
            compression,
            role,
            failed: false,
            close_sent: false,
            close_received: false,
        }
    }

    /// Decodes the next event from `input`, unmasking in place, and advances `input` past what was consumed.
    ///
    /// `Ok(None)` means that all of `input` is consumed; the beginning of an unfinished frame is kept inside.
    /// A message that lies whole in `input` is returned as [`Payload::Borrowed`], without a copy.
    ///
    /// After an error, and after the peer's close frame, input is discarded unread (RFC 6455 sections 5.5.1,
    /// 7.1.7).
    #[inline]
    pub fn poll_event<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        // The path that matters: nothing unfinished, and a whole uncompressed message in the input.
        // Everything else starts over on the general path, which costs it a second look at a few bytes.
        if self.unfinished.is_none()
            && !self.is_deaf()
            && let Ok(Some(head)) = ReceivedHead::read(input, self.expected(None))
            && head.is_whole_message()
            && head.payload_len <= input.len() - head.head_len
        {
            let payload = take_payload(input, &head);
            return self.whole_message(head.opcode, payload).inspect_err(|_| self.fail());
        }
        self.poll_pieces(input)
    }

    /// The stream ended: forgets what was unfinished. If no close frame had arrived, the connection ended
    /// abnormally (1006) and the protocol counts as failed.
    pub fn handle_eof(&mut self) {
        if self.close_received {
            self.release();
        } else {
            self.fail();
        }
    }

    /// The close frame to write, for the server role; `None` if one was sent before.
    ///
    /// After [`Event::Close`] this is the echo, which repeats the peer's code. After an error it tells the
    /// peer why.
    pub fn close(&mut self, frame: Option<CloseFrame>) -> Option<Frame> {
        debug_assert!(self.role == Role::Server, "a client masks its close frame: call close_masked");
        self.close_with(frame, None)
    }

    /// [`close`](Self::close) for the client role, whose frames are masked with an unpredictable `key`.
    pub fn close_masked(&mut self, frame: Option<CloseFrame>, key: [u8; 4]) -> Option<Frame> {
        debug_assert!(self.role == Role::Client, "a server does not mask its close frame: call close");
        self.close_with(frame, Some(key))
    }

    fn close_with(&mut self, frame: Option<CloseFrame>, mask: Option<[u8; 4]>) -> Option<Frame> {
        if mem::replace(&mut self.close_sent, true) {
            return None;
        }
        Some(Frame::close(frame, mask))
    }

    /// Compresses a payload for this connection, in its context if one was agreed; `None` if compression was
    /// not.
    ///
    /// Send the result as [`Frame::compressed`] or [`Frame::compressed_masked`], and in this order: with
    /// context takeover each message builds on those before it. A payload that is shared between connections
    /// comes from [`compress`](crate::compress) instead.
    pub fn compress(&mut self, payload: &[u8]) -> Option<Bytes> {
        let compression = self.compression?;
        if !compression.keeps_context(self.role) {
            return Some(compression.compress_alone(self.role, payload));
        }
        Some(self.contexts.get_or_insert_default().compress(compression, self.role, payload))
    }

    /// Makes the next [`compress`](Self::compress) refer to nothing that was sent before.
    ///
    /// Call it after sending a shared payload on a connection with context takeover: the peer's window now
    /// holds a message that this end's stream has not seen.
    pub fn forget_sent_context(&mut self) {
        if let Some(contexts) = &mut self.contexts {
            contexts.forget_sent();
        }
    }

    /// How far the close handshake is.
    pub fn close_state(&self) -> CloseState {
        match (self.close_sent, self.close_received) {
            (true, true) => CloseState::Closed,
            _ if self.failed => CloseState::Failed,
            (false, false) => CloseState::Open,
            (true, false) => CloseState::Sent,
            (false, true) => CloseState::Received,
        }
    }

    /// How many bytes of memory are held for a message that is unfinished, with the window of an inflater that
    /// works on it; zero between messages. A few hundred bytes of bookkeeping are not counted.
    pub fn message_in_progress(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| unfinished.memory())
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What was agreed for permessage-deflate.
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// The general path: pieces of frames, fragments, compressed messages, and errors.
    #[inline(never)]
    fn poll_pieces<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.is_deaf() {
            *input = &mut [];
            return Ok(None);
        }
        if input.is_empty() {
            return Ok(None);
        }
        let mut unfinished = self.unfinished.take().unwrap_or_default();
        let event = self.advance(&mut unfinished, input).inspect_err(|_| self.fail())?;
        if !unfinished.is_empty() && !self.is_deaf() {
            self.unfinished = Some(unfinished);
        }
        Ok(event)
    }

    fn advance<'a>(
        &mut self,
        unfinished: &mut Unfinished,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            let mut frame = match unfinished.frame.take() {
                Some(frame) => frame,
                None => {
                    let expected = self.expected(unfinished.message.as_ref());
                    let Some(head) = unfinished.head.read(input, expected)? else { return Ok(None) };
                    // A message may still lie whole in the input, if only its head was cut or if it is a
                    // control frame between two fragments.
                    if head.is_whole_message() && head.payload_len <= input.len() {
                        let payload = take_payload(input, &ReceivedHead { head_len: 0, ..head });
                        return self.whole_message(head.opcode, payload);
                    }
                    FrameInFlight::new(&head)
                }
            };

            let piece = frame.take_piece(input);
            if frame.opcode.is_control() {
                unfinished.control.extend_from_slice(piece);
                if frame.remaining > 0 {
                    unfinished.frame = Some(frame);
                    return Ok(None);
                }
                let payload = mem::take(&mut unfinished.control);
                return self.gathered_control(frame.opcode, payload).map(Some);
            }

            let message = unfinished.message.get_or_insert_with(|| self.begin_message(&frame));
            message.push(piece, &frame, self.message_bytes_max)?;
            if frame.remaining > 0 {
                unfinished.frame = Some(frame);
                return Ok(None);
            }
            if frame.fin
                && let Some(message) = unfinished.message.take()
            {
                return self.finish_message(message).map(Some);
            }
        }
    }

    /// A message that lies whole and unmasked in the caller's buffer.
    #[inline]
    fn whole_message<'a>(
        &mut self,
        opcode: Opcode,
        payload: &'a [u8],
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        Ok(Some(match opcode {
            Opcode::Text => {
                simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?;
                Event::Text(Payload::Borrowed(payload))
            }
            Opcode::Ping => Event::Ping(Payload::Borrowed(payload)),
            Opcode::Pong => Event::Pong(Payload::Borrowed(payload)),
            Opcode::Close => self.receive_close(payload)?,
            // A continuation is never a whole message; `is_whole_message` keeps it away.
            Opcode::Binary | Opcode::Continuation => Event::Binary(Payload::Borrowed(payload)),
        }))
    }

    /// A control frame that arrived in pieces.
    fn gathered_control(
        &mut self,
        opcode: Opcode,
        payload: Vec<u8>,
    ) -> Result<Event<'static>, ProtocolError> {
        match opcode {
            Opcode::Close => self.receive_close(&payload),
            Opcode::Ping => Ok(Event::Ping(Payload::Owned(payload.into()))),
            _ => Ok(Event::Pong(Payload::Owned(payload.into()))),
        }
    }

    #[cold]
    fn receive_close(&mut self, payload: &[u8]) -> Result<Event<'static>, ProtocolError> {
        let frame = CloseFrame::decode(payload)?;
        self.close_received = true;
        self.release();
        Ok(Event::Close(frame))
    }

    fn begin_message(&mut self, first: &FrameInFlight) -> UnfinishedMessage {
        let kind = if first.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        let inflation = match self.compression {
            Some(compression) if first.compressed => {
                Some(Inflation::begin(compression, self.role, self.contexts.as_deref_mut()))
            }
            _ => None,
        };
        UnfinishedMessage { kind, buffer: Vec::new(), utf8: Utf8Validator::new(), inflation }
    }

    fn finish_message(&mut self, message: UnfinishedMessage) -> Result<Event<'static>, ProtocolError> {
        let UnfinishedMessage { kind, mut buffer, mut utf8, inflation } = message;
        if let (Some(inflation), Some(compression)) = (inflation, self.compression) {
            let kept = inflation.finish(compression, self.role, |piece| {
                append_inflated(&mut buffer, piece, self.message_bytes_max, kind, &mut utf8)
            })?;
            if kept.is_some() {
                self.contexts.get_or_insert_default().keep_received(kept);
            }
            // The size was unknown while the buffer grew; do not let a long-lived message hold twice its
            // bytes.
            if buffer.capacity() / 2 > buffer.len() {
                buffer.shrink_to_fit();
            }
        }
        let payload = Payload::Owned(buffer.into());
        if kind == Kind::Binary {
            return Ok(Event::Binary(payload));
        }
        utf8.finish()?;
        Ok(Event::Text(payload))
    }

    /// What the next head may say, given the message it would continue.
    #[inline]
    fn expected(&self, message: Option<&UnfinishedMessage>) -> Expected {
        let room = self.message_bytes_max;
        let room_compressed = compressed_bytes_max(room);
        let (room, room_compressed) = match message {
            None => (room, room_compressed),
            Some(message) => match &message.inflation {
                None => (room - message.buffer.len(), 0),
                Some(inflation) => (room_compressed.saturating_sub(inflation.bytes_in()), 0),
            },
        };
        Expected {
            masked: self.role == Role::Server,
            compression: self.compression.is_some(),
            continuation: message.is_some(),
            room,
            room_compressed,
        }
    }

    /// Whether input is discarded.
    #[inline]
    fn is_deaf(&self) -> bool {
        self.failed | self.close_received
    }

    #[cold]
    fn fail(&mut self) {
        self.failed = true;
        self.release();
    }

    /// Frees what only further input could use.
    fn release(&mut self) {
        self.unfinished = None;
        if let Some(contexts) = &mut self.contexts {
            contexts.keep_received(None);
        }
    }
}

impl fmt::Debug for Protocol {
    /// Shows states and sizes, never payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protocol")
            .field("role", &self.role)
            .field("message_bytes_max", &self.message_bytes_max)
            .field("compression", &self.compression)
            .field("close_state", &self.close_state())
            .field("message_in_progress", &self.message_in_progress())
            .finish_non_exhaustive()
    }
}

/// What arrived, in the order in which it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A text message. The payload is valid UTF-8.
    Text(Payload<'a>),
    /// A binary message.
    Binary(Payload<'a>),
    /// A ping, to be answered with a pong that carries the same payload.
    Ping(Payload<'a>),
    /// A pong.
    Pong(Payload<'a>),
    /// The peer's close frame. Nothing follows it; answer with [`Protocol::close`] unless a close was sent
    /// before.
    Close(Option<CloseFrame>),
}

impl Event<'_> {
    /// The message this is, in owned bytes; the close frame otherwise.
    pub fn into_message(self) -> Result<Message, Option<CloseFrame>> {
        match self {
            Self::Text(payload) => Ok(Message::Text(Text::from_validated(payload.into_bytes()))),
            Self::Binary(payload) => Ok(Message::Binary(payload.into_bytes())),
            Self::Ping(payload) => Ok(Message::Ping(payload.into_bytes())),
            Self::Pong(payload) => Ok(Message::Pong(payload.into_bytes())),
            Self::Close(frame) => Err(frame),
        }
    }
}

/// A message's bytes, where they happen to be.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// The whole frame lay in the input; these are the last bytes that were consumed.
    Borrowed(&'a [u8]),
    /// The message was reassembled or inflated.
    Owned(Bytes),
}

impl Payload<'_> {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }

    /// The bytes for keeping: copied if they were borrowed.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Self::Owned(bytes) => bytes,
        }
    }

    /// The length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Payload<'_> {}

/// How far the close handshake is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseState {
    /// No close frame in either direction.
    Open,
    /// Ours was sent, the peer's has not arrived.
    Sent,
    /// The peer's arrived, ours was not sent.
    Received,
    /// Both: the transport can be closed, by the server first (RFC 6455 section 7.1.1).
    Closed,
    /// The peer broke the protocol, or its stream ended without a close frame.
    Failed,
}

/// How the peer broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("{}", self.reason())]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no agreed extension gives a meaning (RFC 6455 section 5.2).
    ReservedBits,
    /// A reserved opcode (section 5.2).
    BadOpcode,
    /// A client's frame is not masked (section 5.1).
    Unmasked,
    /// A server's frame is masked (section 5.1).
    MaskedFromServer,
    /// A control frame is fragmented (section 5.5).
    ControlFragmented,
    /// A control frame is longer than 125 bytes (section 5.5).
    ControlTooLong,
    /// A length is not in its shortest form (section 5.2).
    NonMinimalLength,
    /// The top bit of a 64-bit length is set (section 5.2).
    LengthTopBit,
    /// A continuation without a message to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message before the fragmented one ended (section 5.4).
    ExpectedContinuation,
    /// A message is larger than this end takes (section 10.4).
    MessageTooBig,
    /// Text or a close reason is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A close frame carries half a code (section 5.5.1).
    BadClosePayload,
    /// A close frame carries a code that may not travel (section 7.4).
    BadCloseCode,
    /// Compressed data does not inflate (RFC 7692 section 7.2.2).
    Inflate,
}

impl ProtocolError {
    /// The code that tells the peer.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::MessageTooBig => CloseCode::TOO_BIG,
            Self::InvalidUtf8 | Self::Inflate => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL,
        }
    }

    /// The sentence that tells the peer's developer. It fits into a close frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "a reserved bit is set without an agreed extension",
            Self::BadOpcode => "the opcode is reserved",
            Self::Unmasked => "a client must mask its frames",
            Self::MaskedFromServer => "a server must not mask its frames",
            Self::ControlFragmented => "a control frame must not be fragmented",
            Self::ControlTooLong => "a control frame carries at most 125 bytes",
            Self::NonMinimalLength => "a length must use its shortest form",
            Self::LengthTopBit => "the top bit of a 64-bit length must be clear",
            Self::UnexpectedContinuation => "a continuation frame has no message to continue",
            Self::ExpectedContinuation => "a new message began before the fragmented one ended",
            Self::MessageTooBig => "the message is too big",
            Self::InvalidUtf8 => "the text is not valid UTF-8",
            Self::BadClosePayload => "a close payload is empty or begins with two bytes of code",
            Self::BadCloseCode => "this close code must not be sent",
            Self::Inflate => "the compressed data does not inflate",
        }
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}

/// Everything that has begun to arrive and has not ended.
#[derive(Default)]
struct Unfinished {
    head: UnfinishedHead,
    frame: Option<FrameInFlight>,
    /// The control frame in flight, at most 125 bytes.
    control: Vec<u8>,
    message: Option<UnfinishedMessage>,
}

impl Unfinished {
    fn is_empty(&self) -> bool {
        self.head.len == 0 && self.frame.is_none() && self.message.is_none()
    }

    fn memory(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| {
            message.buffer.capacity() + message.inflation.as_ref().map_or(0, Inflation::memory)
        });
        message + self.control.capacity()
    }
}

/// The first bytes of a head whose last have not arrived.
#[derive(Default)]
struct UnfinishedHead {
    bytes: [u8; HEAD_BYTES_MAX],
    len: u8,
}

impl UnfinishedHead {
    /// Reads a head across two inputs or more. Consumes all of `input` if it is still incomplete.
    fn read(
        &mut self,
        input: &mut &mut [u8],
        expected: Expected,
    ) -> Result<Option<ReceivedHead>, ProtocolError> {
        if self.len == 0
            && let Some(head) = ReceivedHead::read(input, expected)?
        {
            take(input, head.head_len);
            return Ok(Some(head));
        }
        // One byte at a time, because how long a head is stands in the head. It ends within `HEAD_BYTES_MAX`
        // bytes.
        while let [byte, ..] = **input {
            take(input, 1);
            self.bytes[usize::from(self.len)] = byte;
            self.len += 1;
            if let Some(head) = ReceivedHead::read(&self.bytes[..usize::from(self.len)], expected)? {
                self.len = 0;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }
}

/// A frame whose head has arrived and whose payload has not, or not fully.
struct FrameInFlight {
    opcode: Opcode,
    fin: bool,
    compressed: bool,
    /// The mask key, rotated to the next byte.
    key: Option<[u8; 4]>,
    remaining: usize,
}

impl FrameInFlight {
    fn new(head: &ReceivedHead) -> Self {
        let ReceivedHead { opcode, fin, compressed, key, payload_len, .. } = *head;
        Self { opcode, fin, compressed, key, remaining: payload_len }
    }

    /// Takes as much of this frame's payload as `input` has, unmasked.
    fn take_piece<'a>(&mut self, input: &mut &'a mut [u8]) -> &'a mut [u8] {
        let piece = take(input, self.remaining.min(input.len()));
        if let Some(key) = &mut self.key {
            mask(piece, *key, 0);
            *key = rotate(*key, piece.len());
        }
        self.remaining -= piece.len();
        piece
    }
}

/// A data message that is being put together.
struct UnfinishedMessage {
    kind: Kind,
    /// What arrived so far, inflated if it was compressed.
    buffer: Vec<u8>,
    utf8: Utf8Validator,
    inflation: Option<Inflation>,
}

impl UnfinishedMessage {
    /// Adds a piece of `frame`, which has already been taken off its `remaining`.
    fn push(&mut self, piece: &[u8], frame: &FrameInFlight, bytes_max: usize) -> Result<(), ProtocolError> {
        let Self { kind, buffer, utf8, inflation } = self;
        if let Some(inflation) = inflation {
            return inflation
                .push(piece, |inflated| append_inflated(buffer, inflated, bytes_max, *kind, utf8));
        }
        if *kind == Kind::Text {
            utf8.push(piece)?;
        }
        // The last frame says how long the message will be: do not grow beyond that.
        let end = buffer.len() + piece.len() + frame.remaining;
        append(buffer, piece, if frame.fin { end } else { bytes_max });
        Ok(())
    }
}

/// Appends bytes that came out of the inflater. The verdict is the one that single bytes would have got: what
/// fits is judged before the first byte that does not.
fn append_inflated(
    buffer: &mut Vec<u8>,
    piece: &[u8],
    bytes_max: usize,
    kind: Kind,
    utf8: &mut Utf8Validator,
) -> Result<(), ProtocolError> {
    let fitting = piece.len().min(bytes_max - buffer.len());
    if kind == Kind::Text {
        utf8.push(&piece[..fitting])?;
    }
    if fitting < piece.len() {
        return Err(ProtocolError::MessageTooBig);
    }
    append(buffer, piece, bytes_max);
    Ok(())
}

/// Appends with the doubling that keeps many small pieces linear, but never to a capacity beyond `end`.
fn append(buffer: &mut Vec<u8>, piece: &[u8], end: usize) {
    let needed = buffer.len() + piece.len();
    if needed > buffer.capacity() {
        let doubled = buffer.len().saturating_mul(2).min(end);
        buffer.reserve_exact(needed.max(doubled) - buffer.len());
    }
    buffer.extend_from_slice(piece);
}

impl ReceivedHead {
    /// Whether this frame is a message by itself: not a fragment, and nothing to inflate.
    #[inline]
    fn is_whole_message(&self) -> bool {
        self.fin && !self.compressed && self.opcode != Opcode::Continuation
    }
}

/// Takes a frame that lies whole in `input` and unmasks its payload.
#[inline]
fn take_payload<'a>(input: &mut &'a mut [u8], head: &ReceivedHead) -> &'a mut [u8] {
    let frame = take(input, head.head_len + head.payload_len);
    let payload = &mut frame[head.head_len..];
    if let Some(key) = head.key {
        mask(payload, key, 0);
    }
    payload
}

/// Takes the first `len` bytes, which the caller has checked to be there.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (taken, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    taken
}

/// How many compressed bytes a message may take. They are not held, so the bound only stops a peer that sends
/// empty blocks for ever; it is twice the message because incompressible data grows a little, and flushed
/// fragments more.
const fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_mul(2).saturating_add(1024)
}
