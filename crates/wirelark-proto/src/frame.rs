//! Frames (RFC 6455 section 5.2): the head that announces a payload, encoded for sending and decoded from the
//! wire.
//!
//! ```text
//!   byte 0          byte 1          bytes 2..                           then
//!  ┌─┬─┬─┬─┬───────┬─┬─────────────┬───────────────────────────────────┬───────────────┐
//!  │F│R│R│R│ opcode│M│ length 0-125│ 126: 16-bit length                │ 4-byte key    │
//!  │I│S│S│S│       │A│ or 126, 127 │ 127: 64-bit length, top bit clear │ if MASK is set│
//!  │N│1│2│3│       │S│             │ always the shortest form          │               │
//!  └─┴─┴─┴─┴───────┴─┴─────────────┴───────────────────────────────────┴───────────────┘
//! ```

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{CloseFrame, Kind, Message, ProtocolError, mask};

/// A frame ready to be written: its head, then its payload.
///
/// The payload is shared, so one unmasked frame can be queued for any number of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The encoded head.
    pub head: Head,
    /// The payload as it travels: masked already if the head says so.
    pub payload: Bytes,
}

impl Frame {
    /// A server's frame: the payload travels as it is.
    #[inline]
    pub fn unmasked(message: Message) -> Self {
        let opcode = Opcode::from(message.kind());
        let payload = message.into_bytes();
        Self { head: Head::new(opcode, true, false, payload.len(), None), payload }
    }

    /// A client's frame. The payload is masked in place if nobody else holds it, otherwise in a copy.
    ///
    /// `key` must be unpredictable to the application whose message this is (RFC 6455 section 10.3).
    pub fn masked(message: Message, key: [u8; 4]) -> Self {
        let opcode = Opcode::from(message.kind());
        let payload = masked(message.into_bytes(), key);
        Self { head: Head::new(opcode, true, false, payload.len(), Some(key)), payload }
    }

    /// A server's frame whose payload went through [`compress`](crate::compress): RSV1 is set (RFC 7692
    /// section 6).
    ///
    /// Control frames are never compressed: `kind` is [`Kind::Text`] or [`Kind::Binary`].
    pub fn compressed(kind: Kind, deflated: Bytes) -> Self {
        debug_assert!(matches!(kind, Kind::Text | Kind::Binary), "control frames are never compressed");
        Self { head: Head::new(kind.into(), true, true, deflated.len(), None), payload: deflated }
    }

    /// A client's frame whose payload went through [`Protocol::compress`](crate::Protocol::compress).
    pub fn compressed_masked(kind: Kind, deflated: Bytes, key: [u8; 4]) -> Self {
        debug_assert!(matches!(kind, Kind::Text | Kind::Binary), "control frames are never compressed");
        let payload = masked(deflated, key);
        Self { head: Head::new(kind.into(), true, true, payload.len(), Some(key)), payload }
    }

    /// A close frame. Connections send theirs through [`Protocol::close`](crate::Protocol::close), which
    /// knows whether one was sent before.
    pub fn close(frame: Option<CloseFrame>, mask: Option<[u8; 4]>) -> Self {
        let mut payload = frame.map(|frame| frame.encode()).unwrap_or_default();
        if let Some(key) = mask {
            payload = masked(payload, key);
        }
        Self { head: Head::new(Opcode::Close, true, false, payload.len(), mask), payload }
    }

    /// How many bytes the frame takes on the wire.
    #[inline]
    pub fn len(&self) -> usize {
        self.head.as_slice().len() + self.payload.len()
    }

    /// Never true: a frame has a head of at least two bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The whole frame in one buffer, for callers that do not write head and payload as two slices.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.payload].concat()
    }
}

/// Masks shared bytes, copying only if they really are shared.
fn masked(payload: Bytes, key: [u8; 4]) -> Bytes {
    let mut payload = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    mask(&mut payload, key, 0);
    payload.freeze()
}

/// An encoded frame head, kept inline: at most fourteen bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: u8,
}

impl Head {
    /// Encodes a head, with the shortest form of the length.
    #[inline]
    pub fn new(opcode: Opcode, fin: bool, rsv1: bool, payload_len: usize, mask: Option<[u8; 4]>) -> Self {
        let mut bytes = [0; HEAD_BYTES_MAX];
        bytes[0] = opcode as u8 | if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 };
        let mut len = 2;
        bytes[1] = match payload_len {
            0..=125 => payload_len as u8,
            126..=0xffff => {
                bytes[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
                len = 4;
                126
            }
            _ => {
                bytes[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
                len = 10;
                127
            }
        };
        if let Some(key) = mask {
            bytes[1] |= MASKED;
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        Self { bytes, len: len as u8 }
    }

    /// The bytes to write.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({:02x?})", self.as_slice())
    }
}

/// What a frame carries (RFC 6455 section 5.2). The other ten values are reserved and refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The last frame in its direction.
    Close = 0x8,
    /// Are you alive?
    Ping = 0x9,
    /// Yes.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is a control frame: whole, short, and allowed between the fragments of a message.
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    #[inline]
    fn decode(byte: u8) -> Option<Self> {
        Some(match byte & 0x0f {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }
}

impl From<Kind> for Opcode {
    #[inline]
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Binary => Self::Binary,
            Kind::Ping => Self::Ping,
            Kind::Pong => Self::Pong,
        }
    }
}

/// A head read from the wire. It exists only if nothing in it breaks a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedHead {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    pub(crate) compressed: bool,
    pub(crate) key: Option<[u8; 4]>,
    /// The payload's length, within the room there was.
    pub(crate) payload_len: usize,
    /// How many bytes the head itself took.
    pub(crate) head_len: usize,
}

/// What the receiver allows the next head to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Clients must mask, servers must not (RFC 6455 section 5.1).
    pub(crate) masked: bool,
    /// RSV1 has a meaning only when compression was agreed (RFC 7692 section 6).
    pub(crate) compression: bool,
    /// A fragmented message is unfinished.
    pub(crate) continuation: bool,
    /// How many more payload bytes the message may take, as it travels.
    pub(crate) room: usize,
    /// The same for a message that begins with RSV1 set.
    pub(crate) room_compressed: usize,
}

impl ReceivedHead {
    /// Reads the head at the beginning of `bytes`: `None` if it has not arrived in full.
    ///
    /// Checks follow the order of the bytes and never wait for a later one, so a head that arrives byte by
    /// byte fails at the same byte with the same error as one that arrives whole.
    #[inline]
    pub(crate) fn read(bytes: &[u8], expected: Expected) -> Result<Option<Self>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let fin = first & FIN != 0;
        let compressed = first & RSV1 != 0;
        let Some(opcode) = Opcode::decode(first) else { return Err(ProtocolError::BadOpcode) };
        if first & (RSV2 | RSV3) != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        if compressed && !(expected.compression && matches!(opcode, Opcode::Text | Opcode::Binary)) {
            return Err(ProtocolError::ReservedBits);
        }
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::ControlFragmented);
            }
        } else if (opcode == Opcode::Continuation) != expected.continuation {
            return Err(if expected.continuation {
                ProtocolError::ExpectedContinuation
            } else {
                ProtocolError::UnexpectedContinuation
            });
        }

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if (second & MASKED != 0) != expected.masked {
            return Err(if expected.masked {
                ProtocolError::Unmasked
            } else {
                ProtocolError::MaskedFromServer
            });
        }
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
        let (payload_len, key_at) = match short {
            126 => {
                let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk::<2>) else { return Ok(None) };
                let long = u64::from(u16::from_be_bytes(long));
                if long < 126 {
                    return Err(ProtocolError::NonMinimalLength);
                }
                (long, 4)
            }
            127 => {
                let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk::<8>) else { return Ok(None) };
                let long = u64::from_be_bytes(long);
                if long > i64::MAX as u64 {
                    return Err(ProtocolError::LengthTopBit);
                }
                if long <= 0xffff {
                    return Err(ProtocolError::NonMinimalLength);
                }
                (long, 10)
            }
            short => (u64::from(short), 2),
        };
        let room = if compressed { expected.room_compressed } else { expected.room };
        if payload_len > room as u64 && !opcode.is_control() {
            return Err(ProtocolError::MessageTooBig);
        }

        let (key, head_len) = if expected.masked {
            let Some(&key) = bytes.get(key_at..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
            (Some(key), key_at + 4)
        } else {
            (None, key_at)
        };
        Ok(Some(Self { opcode, fin, compressed, key, payload_len: payload_len as usize, head_len }))
    }
}

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Two bytes, a 64-bit length and a key.
pub(crate) const HEAD_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASKED: u8 = 0x80;
