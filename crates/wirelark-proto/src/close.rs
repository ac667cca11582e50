//! The payload of a close frame (RFC 6455 section 5.5.1): nothing, or a code and a reason.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{CloseCode, ProtocolError, Text, frame::CONTROL_BYTES_MAX};

/// Why a connection is closed: a code for programs, a reason for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseFrame {
    /// The code; see [`table`](crate::table) for what each asks of a client.
    pub code: CloseCode,
    /// The reason, at most [`REASON_BYTES_MAX`] bytes.
    pub reason: Text,
}

impl CloseFrame {
    /// Pairs a code with a reason. A reason longer than [`REASON_BYTES_MAX`] bytes is cut at the last whole
    /// character.
    pub fn new(code: CloseCode, reason: impl Into<Text>) -> Self {
        let reason = reason.into();
        if reason.len() <= REASON_BYTES_MAX {
            return Self { code, reason };
        }
        let end = fitting(&reason).len();
        Self { code, reason: Text::from_validated(reason.into_bytes().slice(..end)) }
    }

    /// The payload that says this. A code that may not travel becomes an empty payload, which the peer reads
    /// as 1005; a reason that was made too long by hand is cut like [`CloseFrame::new`] does.
    pub fn encode(&self) -> Bytes {
        if !self.code.is_allowed_on_wire() {
            return Bytes::new();
        }
        let reason = fitting(&self.reason);
        let mut payload = BytesMut::with_capacity(2 + reason.len());
        payload.put_u16(self.code.get());
        payload.put_slice(reason.as_bytes());
        payload.freeze()
    }

    /// Reads the payload of a close frame that arrived. An empty one says nothing, which is allowed.
    pub fn decode(payload: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let [high, low, reason @ ..] = payload else {
            return if payload.is_empty() { Ok(None) } else { Err(ProtocolError::BadClosePayload) };
        };
        let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
        if !code.is_allowed_on_wire() {
            return Err(ProtocolError::BadCloseCode);
        }
        let reason = simdutf8::basic::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Some(Self::new(code, reason)))
    }
}

impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> Self {
        Self { code, reason: Text::default() }
    }
}

/// The beginning of `reason` that fits into a frame, up to a whole character.
fn fitting(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// The longest reason: a control frame carries 125 bytes and the code takes two of them.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;
