//! One frame in one pass, straight into the buffer that will be sent.

use crate::contract::{Body, EncodeBody, EncodeError, Format, msgpack};

/// A frame that is being written.
pub(super) struct Frame<'o> {
    format: Format,
    out: &'o mut Vec<u8>,
}

impl<'o> Frame<'o> {
    /// Writes a frame, or nothing at all.
    pub(super) fn write(
        format: Format,
        out: &'o mut Vec<u8>,
        keys: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let mut frame = Self { format, out };
        match keys(&mut frame) {
            Ok(()) => frame.end(),
            Err(error) => {
                frame.out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The two keys every frame has. `keys` counts them and those that follow.
    pub(super) fn begin(&mut self, kind: &'static str, keys: u8) {
        match self.format {
            Format::Json => {
                self.out.extend_from_slice(br#"{"socka":""#);
                self.out.extend_from_slice(kind.as_bytes());
                self.out.extend_from_slice(br#"","v":1"#);
            }
            Format::MsgPack => {
                self.out.extend_from_slice(&[0xde, 0, keys]);
                msgpack::short_text("socka", self.out);
                msgpack::short_text(kind, self.out);
                msgpack::short_text("v", self.out);
                self.out.push(1);
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.value(key, &text)
    }

    pub(super) fn value<B: EncodeBody>(&mut self, key: &'static str, value: &B) -> Result<(), EncodeError> {
        self.key(key);
        value.encode_body(self.format, self.out)
    }

    /// JavaScript's `undefined`: JSON leaves the key out, MessagePack has a value for it.
    pub(super) fn value_or_undefined<B: EncodeBody>(
        &mut self,
        key: &'static str,
        value: Option<&B>,
    ) -> Result<(), EncodeError> {
        match (value, self.format) {
            (Some(value), _) => self.value(key, value)?,
            (None, Format::Json) => {}
            (None, Format::MsgPack) => {
                self.key(key);
                self.out.extend_from_slice(&msgpack::UNDEFINED);
            }
        }
        Ok(())
    }

    /// An object. Null becomes an object without keys.
    pub(super) fn object<B: EncodeBody>(&mut self, key: &'static str, value: &B) -> Result<(), EncodeError> {
        let (null, empty): (&[u8], &[u8]) = match self.format {
            Format::Json => (b"null", b"{}"),
            Format::MsgPack => (&[msgpack::NIL], &[0xde, 0, 0]),
        };
        self.key(key);
        let start = self.out.len();
        value.encode_body(self.format, self.out)?;
        let written = &self.out[start..];
        if written == null {
            self.out.truncate(start);
            self.out.extend_from_slice(empty);
        } else if !Body::new(self.format, written).is_object() {
            return Err(EncodeError::RequestBodyNotObject);
        }
        Ok(())
    }

    fn key(&mut self, key: &'static str) {
        match self.format {
            Format::Json => {
                self.out.extend_from_slice(b",\"");
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            Format::MsgPack => msgpack::short_text(key, self.out),
        }
    }

    fn end(self) {
        if self.format == Format::Json {
            self.out.push(b'}');
        }
    }
}
