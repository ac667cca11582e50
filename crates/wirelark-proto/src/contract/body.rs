//! The encoded value inside an envelope.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::{DecodeError, EncodeError, Format, json, msgpack};

/// The bytes of one encoded value, not decoded yet.
///
/// Encoding once and sending to many is putting the same body into each frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Body<'a> {
    format: Format,
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    /// Takes the bytes that [`Format::encode`] wrote for one value, without looking at them.
    ///
    /// Other bytes are a bug of the caller, and so is whitespace around the value: debug builds panic here,
    /// in release builds the peer gets a frame it cannot read.
    pub fn from_encoded(format: Format, bytes: &'a [u8]) -> Self {
        let body = Self { format, bytes };
        debug_assert!(body.is_one_value(), "from_encoded was given something else than one value: {body:?}");
        body
    }

    /// A body that has not been looked at, or whose bytes a decoder has just delimited.
    pub(super) const fn new(format: Format, bytes: &'a [u8]) -> Self {
        Self { format, bytes }
    }

    /// How the bytes are encoded.
    pub const fn format(self) -> Format {
        self.format
    }

    /// The encoded value.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Decodes the value. Strings can be borrowed from the frame.
    pub fn decode<T: Deserialize<'a>>(self) -> Result<T, DecodeError> {
        self.format.decode(self.bytes)
    }

    /// Whether the value is an object, judged by its first byte.
    pub(super) fn is_object(self) -> bool {
        match self.format {
            Format::Json => self.bytes.first() == Some(&b'{'),
            Format::MsgPack => self.bytes.first().is_some_and(|marker| msgpack::is_map(*marker)),
        }
    }

    /// Whether the value is the number 1, however it is written.
    pub(super) fn is_one(self) -> bool {
        match self.format {
            Format::Json => json::is_one(self.bytes),
            Format::MsgPack => msgpack::is_one(self.bytes),
        }
    }

    /// The text, if the value is a string. Strings that are not Unicode are errors.
    pub(super) fn text(self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.format {
            Format::Json => json::text(self.bytes),
            Format::MsgPack => msgpack::text(self.bytes),
        }
    }

    fn is_one_value(self) -> bool {
        match self.format {
            Format::Json => json::is_one_value(self.bytes),
            Format::MsgPack => msgpack::is_one_value(self.bytes),
        }
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Format::Json => write!(f, "Body({})", String::from_utf8_lossy(self.bytes)),
            Format::MsgPack => write!(f, "Body({:02x?})", self.bytes),
        }
    }
}

/// What can stand as the body of a frame: a reference to a value, which is encoded then, or a [`Body`].
pub trait EncodeBody {
    /// Appends the encoded value to `out`.
    fn encode_body(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

impl<T: Serialize + ?Sized> EncodeBody for &T {
    fn encode_body(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        format.encode(*self, out)
    }
}

impl EncodeBody for Body<'_> {
    fn encode_body(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.format != format {
            return Err(EncodeError::BodyFormat { body: self.format, frame: format });
        }
        out.extend_from_slice(self.bytes);
        Ok(())
    }
}
