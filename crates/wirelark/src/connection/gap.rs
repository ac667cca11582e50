//! The frame that tells a client that it missed pushes.

use wirelark_proto::contract::{Event, Format, Gap};
use wirelark_proto::{Frame, Message, Text};

pub(super) fn frame(gap: &Gap, format: Format) -> Option<Frame> {
    let mut bytes = Vec::new();
    Event { event: Gap::EVENT.into(), body: Some(gap) }.encode(format, &mut bytes).ok()?;
    Some(Frame::unmasked(match format {
        Format::Json => Message::Text(Text::from_validated(bytes.into())),
        Format::MsgPack => Message::Binary(bytes.into()),
    }))
}
