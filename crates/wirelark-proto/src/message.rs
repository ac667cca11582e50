//! What applications exchange: [`Message`], and [`Text`], which is a `str` in shared bytes.

use std::{fmt, ops::Deref};

use bytes::Bytes;

/// One message, as an application sends or receives it.
///
/// Cloning shares the bytes. Pings and pongs are here because they travel like messages; a close is not, see
/// [`CloseFrame`](crate::CloseFrame).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Text, valid UTF-8.
    Text(Text),
    /// Any bytes.
    Binary(Bytes),
    /// A question whether the other end is alive, at most 125 bytes.
    Ping(Bytes),
    /// The answer to a ping, or an unasked sign of life, at most 125 bytes.
    Pong(Bytes),
}

impl Message {
    /// The bytes that travel as payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes,
        }
    }

    /// Gives the payload away without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes,
        }
    }

    /// The length of the payload in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty, which every kind allows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which kind of message this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
        }
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

/// The kinds of [`Message`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Text, valid UTF-8.
    Text,
    /// Any bytes.
    Binary,
    /// A question whether the other end is alive.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// Text in shared bytes: cheap to clone, valid UTF-8 from construction on.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// Takes bytes that are already known to be UTF-8, such as the payload of a text event, without looking
    /// at them.
    ///
    /// Every other source should use `TryFrom<Bytes>`. Bytes that break the promise are a bug of the caller:
    /// debug builds panic here, release builds show the valid prefix as the text. Nothing undefined can
    /// follow, because [`Text::as_str`] looks again.
    pub fn from_validated(bytes: Bytes) -> Self {
        debug_assert!(simdutf8::basic::from_utf8(&bytes).is_ok(), "from_validated was given invalid UTF-8");
        Self(bytes)
    }

    /// The text.
    ///
    /// This crate has no unsafe code, so the bytes are validated again, at many gigabytes a second: next to
    /// parsing or copying the text it is free, in an inner loop keep the `&str`.
    pub fn as_str(&self) -> &str {
        simdutf8::basic::from_utf8(&self.0).unwrap_or_else(|_| valid_prefix(&self.0))
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Gives the bytes away without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What `Text` shows of bytes that should never have been put into it.
#[cold]
fn valid_prefix(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

impl TryFrom<Bytes> for Text {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        match simdutf8::basic::from_utf8(&bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(InvalidUtf8),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        other == self
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        other == self
    }
}

/// The bytes are not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bytes are not valid UTF-8; send them as a binary message instead")]
pub struct InvalidUtf8;
