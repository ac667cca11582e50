//! permessage-deflate (RFC 7692): what two ends agree on, and the streams that follow from it.
//!
//! A compressed message is one raw DEFLATE stream, flushed at its end, without the four bytes `00 00 ff ff`
//! every such flush ends with. With *context takeover* a message may refer back to the messages before it:
//! that packs better, and costs both ends a window for as long as the connection lives. This crate asks for
//! none by default. Streams then come from a small pool of the thread and go back after each message, a
//! connection at rest holds nothing, and one compressed payload can be sent to any number of connections.

mod offer;
mod stream;

use bytes::Bytes;

use crate::Role;

pub use offer::{CompressionOffer, CompressionOptions, InvalidCompressionOptions};
pub(crate) use offer::{Extension, parse_extensions};
pub(crate) use stream::{Contexts, Inflation};

/// What the handshake agreed for permessage-deflate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Compression {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The base-two logarithm of the server's window, 9 to 15.
    pub server_max_window_bits: u8,
    /// The base-two logarithm of the client's window, 8 to 15.
    pub client_max_window_bits: u8,
    /// How hard this end compresses, 0 to 9. Not part of the agreement.
    pub level: u8,
}

impl Compression {
    /// Whether the end with this role may refer to its earlier messages.
    pub(crate) const fn keeps_context(&self, sender: Role) -> bool {
        match sender {
            Role::Server => !self.server_no_context_takeover,
            Role::Client => !self.client_no_context_takeover,
        }
    }

    /// The window of the end with this role, in the range the streams take.
    pub(crate) const fn window_bits(&self, sender: Role) -> u8 {
        let bits = match sender {
            Role::Server => self.server_max_window_bits,
            Role::Client => self.client_max_window_bits,
        };
        // No raw stream can be made for 8 bits. Only receivers meet that value, and for them a larger window
        // is right too: it can follow every reference a smaller one can.
        match bits {
            ..9 => 9,
            16.. => 15,
            bits => bits,
        }
    }

    pub(crate) fn compress_alone(&self, sender: Role, payload: &[u8]) -> Bytes {
        stream::compress_alone(self.level, self.window_bits(sender), payload)
    }
}

/// Compresses a payload that a server sends, referring to no other message, for [`Frame::compressed`].
///
/// The result suits every connection whose agreed server window is at least as large as this one's, so a
/// message to many is compressed once. On connections with context takeover, see
/// [`Protocol::forget_sent_context`](crate::Protocol::forget_sent_context).
///
/// [`Frame::compressed`]: crate::Frame::compressed
pub fn compress(payload: &[u8], compression: &Compression) -> Bytes {
    compression.compress_alone(Role::Server, payload)
}
