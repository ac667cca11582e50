//! A message encoded once for any number of receivers.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::OnceLock;

use wirelark_proto::contract::{Delivery, Format};
use wirelark_proto::{Compression, Frame, Kind, Message, compress};

/// Smaller payloads do not shrink enough to pay for the inflating at the other end.
const COMPRESS_BYTES_MIN: usize = 64;

/// A message as the frames its receivers need: in the formats that are in use among them, plain, and compressed
/// for those that agreed to permessage-deflate. Each form is made once, by whoever first needs it, and its
/// bytes are shared.
#[derive(Debug)]
pub(crate) struct SharedFrame {
    /// As it is, or as JSON.
    first: Form,
    push: Option<Box<PushForms>>,
}

/// Makes the MessagePack form of a push.
pub(crate) type EventSource = Box<dyn Fn() -> Option<Message> + Send + Sync>;

/// What kind of push a frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushClass {
    /// The contract it belongs to: connections of others are passed over.
    pub(crate) contract: &'static str,
    /// Its place among the contract's pushes.
    pub(crate) index: u16,
    pub(crate) delivery: Delivery,
    /// The key newer ones replace older ones by, unlike the keys of the contract's other pushes.
    pub(crate) key: Option<NonZeroU64>,
}

struct PushForms {
    class: PushClass,
    source: EventSource,
    msgpack: OnceLock<Option<Form>>,
}

#[derive(Debug)]
struct Form {
    message: Message,
    plain: Frame,
    /// Compressed without context takeover in the full window. Receivers that agreed to a smaller window
    /// get the plain form, which is always legal (RFC 7692 section 6).
    deflated: OnceLock<Frame>,
}

impl Form {
    fn new(message: Message) -> Self {
        Self { plain: Frame::unmasked(message.clone()), message, deflated: OnceLock::new() }
    }

    fn encoded(&self, compression: Option<&Compression>) -> Frame {
        match compression {
            Some(agreed) if agreed.server_max_window_bits == 15 && is_compressible(&self.message) => {
                self.deflated.get_or_init(|| deflate(&self.message, agreed)).clone()
            }
            _ => self.plain.clone(),
        }
    }
}

impl SharedFrame {
    pub(crate) fn new(message: Message) -> Self {
        Self { first: Form::new(message), push: None }
    }

    /// A push: its JSON, and how its MessagePack is made.
    pub(crate) fn push(json: Message, source: EventSource, class: PushClass) -> Self {
        let forms = PushForms { class, source, msgpack: OnceLock::new() };
        Self { first: Form::new(json), push: Some(Box::new(forms)) }
    }

    pub(crate) fn push_class(&self) -> Option<&PushClass> {
        self.push.as_deref().map(|push| &push.class)
    }

    /// The kind of the form everybody gets who did not ask for another.
    pub(crate) fn kind(&self) -> Kind {
        self.first.message.kind()
    }

    pub(crate) fn payload_len(&self) -> usize {
        self.first.message.len()
    }

    /// Bytes this frame takes while it waits to be handed out.
    pub(crate) fn len(&self) -> usize {
        self.first.plain.len()
    }

    /// The plain frame everybody gets who did not ask for another.
    pub(crate) fn plain(&self) -> Frame {
        self.first.plain.clone()
    }

    /// Payload bytes of what a receiver with this format gets, before they are compressed.
    pub(crate) fn payload_len_in(&self, format: Option<Format>) -> usize {
        self.form(format).message.len()
    }

    pub(crate) fn kind_in(&self, format: Option<Format>) -> Kind {
        self.form(format).message.kind()
    }

    /// The form for a receiver with this agreement.
    pub(crate) fn encoded(&self, format: Option<Format>, compression: Option<&Compression>) -> (Frame, Kind) {
        let form = self.form(format);
        (form.encoded(compression), form.message.kind())
    }

    fn form(&self, format: Option<Format>) -> &Form {
        match (format, &self.push) {
            (Some(Format::MsgPack), Some(push)) => push.msgpack().unwrap_or(&self.first),
            _ => &self.first,
        }
    }
}

impl PushForms {
    fn msgpack(&self) -> Option<&Form> {
        self.msgpack.get_or_init(|| (self.source)().map(Form::new)).as_ref()
    }
}

impl fmt::Debug for PushForms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushForms").field("class", &self.class).finish_non_exhaustive()
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
