//! How a client is told that it missed pushes.

use serde::Serialize;
use wirelark_proto::contract::{Event, Format};
use wirelark_proto::{Frame, Message, Text};

/// The name of the event. No contract can have one like it.
const EVENT: &str = "$gap";

/// So many of a push were dropped, or replaced by newer ones, since the client was last told.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Gap<'a> {
    pub(super) push: &'a str,
    pub(super) missed: u32,
}

impl Gap<'_> {
    pub(super) fn frame(&self, format: Format) -> Option<Frame> {
        let mut bytes = Vec::new();
        Event { event: EVENT.into(), body: Some(self) }.encode(format, &mut bytes).ok()?;
        Some(Frame::unmasked(match format {
            Format::Json => Message::Text(Text::from_validated(bytes.into())),
            Format::MsgPack => Message::Binary(bytes.into()),
        }))
    }
}
