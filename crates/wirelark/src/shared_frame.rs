//! A message encoded once for any number of receivers.

use std::sync::OnceLock;

use wirelark_proto::{Compression, Frame, Kind, Message, compress};

/// Smaller payloads do not shrink enough to pay for the inflating at the other end.
const COMPRESS_BYTES_MIN: usize = 64;

/// A message as the frames its receivers need: plain, and compressed for those that agreed to
/// permessage-deflate. Each form is made once, by whoever first needs it, and its bytes are shared.
#[derive(Debug)]
pub(crate) struct SharedFrame {
    message: Message,
    plain: Frame,
    /// Compressed without context takeover in the full window. Receivers that agreed to a smaller window
    /// get the plain form, which is always legal (RFC 7692 section 6).
    deflated: OnceLock<Frame>,
}

impl SharedFrame {
    pub(crate) fn new(message: Message) -> Self {
        Self { plain: Frame::unmasked(message.clone()), message, deflated: OnceLock::new() }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.message.kind()
    }

    pub(crate) fn payload_len(&self) -> usize {
        self.message.len()
    }

    /// Bytes this frame takes while it waits to be handed out.
    pub(crate) fn len(&self) -> usize {
        self.plain.len()
    }

    /// The form for a receiver with this agreement.
    pub(crate) fn encoded(&self, compression: Option<&Compression>) -> Frame {
        match compression {
            Some(agreed) if agreed.server_max_window_bits == 15 && is_compressible(&self.message) => {
                self.deflated.get_or_init(|| deflate(&self.message, agreed)).clone()
            }
            _ => self.plain.clone(),
        }
    }
}

/// Encodes a message for one receiver.
pub(crate) fn encode(message: Message, compression: Option<&Compression>) -> Frame {
    match compression {
        Some(agreed) if is_compressible(&message) => deflate(&message, agreed),
        _ => Frame::unmasked(message),
    }
}

fn is_compressible(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_)) && message.len() >= COMPRESS_BYTES_MIN
}

fn deflate(message: &Message, agreed: &Compression) -> Frame {
    Frame::compressed(message.kind(), compress(message.as_bytes(), agreed))
}
