//! JSON as JavaScript writes it.
//!
//! The work is serde_json's. Its numbers are written by a formatter of ours, and its errors get texts that
//! say what to send instead.

use std::{borrow::Cow, fmt, io};

use serde::{Deserialize, Serialize, de};
use serde_json::{
    ser::{CompactFormatter, Formatter},
    value::RawValue,
};

use super::{
    Body, DecodeError, EncodeError, Format,
    envelope::{Fields, Request},
    number::exact_integer,
};

pub(super) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut serializer = serde_json::Serializer::with_formatter(out, JavaScript::default());
    value.serialize(&mut serializer).map_err(encode_error)
}

pub(super) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    from_str(utf8(bytes)?)
}

/// Whether the bytes are one value without whitespace around it.
pub(super) fn is_one_value(bytes: &[u8]) -> bool {
    decode::<&RawValue>(bytes).is_ok_and(|raw| raw.get().len() == bytes.len())
}

/// Whether a value that has been delimited is the number 1, written in any way: `1.0` and `10e-1` are equal
/// to it in JavaScript.
pub(super) fn is_one(value: &[u8]) -> bool {
    // Rust parses every JSON number, and none of JSON's other values.
    str::from_utf8(value).is_ok_and(|text| text.parse() == Ok(1.0_f64))
}

/// The text, if a value that has been delimited is a string.
pub(super) fn text(value: &[u8]) -> Result<Option<Cow<'_, str>>, DecodeError> {
    match value {
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => Ok(Some(Cow::Borrowed(utf8(plain)?))),
        [b'"', ..] => decode(value).map(|text| Some(Cow::Owned(text))),
        _ => Ok(None),
    }
}

/// The values of an envelope's keys, none if the text is JSON but not an object.
pub(super) fn fields(bytes: &[u8]) -> Result<Option<Fields<'_>>, DecodeError> {
    let text = utf8(bytes)?;
    if text.trim_ascii_start().starts_with('{') {
        from_str(text).map(Some)
    } else {
        from_str::<de::IgnoredAny>(text).map(|_| None)
    }
}

/// See [`Request::scan`].
pub(super) fn scan(frame: &[u8]) -> Option<Request<'_>> {
    let rest = frame.strip_prefix(br#"{"socka":"clientRequest","v":1,"id":""#)?;
    let (id, rest) = plain_text(rest)?;
    let (call, rest) = plain_text(rest.strip_prefix(br#","rpc":""#)?)?;
    let body = rest.strip_prefix(br#","body":"#)?.strip_suffix(b"}")?;
    // A body that is decoded successfully begins with its first byte and ends with its last one only if there
    // is no whitespace around it.
    let exact = body.starts_with(b"{") && body.ends_with(b"}");
    exact.then(|| Request { id: id.into(), call: call.into(), body: Body::new(Format::Json, body) })
}

/// The text up to the next quote and what follows the quote. Texts with escapes are not plain.
#[inline]
fn plain_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    let (text, rest) = bytes.split_at(end);
    Some((str::from_utf8(text).ok()?, rest.strip_prefix(b"\"")?))
}

fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| decode_error(&error))
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| DecodeError::Invalid("the JSON is not valid UTF-8".into()))
}

/// Numbers as `JSON.stringify` prints them.
#[derive(Default)]
struct JavaScript {
    /// Integers that are map keys come between the quotes of a string, where they have no bound.
    in_string: bool,
}

impl JavaScript {
    fn check<N: TryInto<i64> + fmt::Display + Copy>(&self, integer: N) -> io::Result<()> {
        if !self.in_string {
            exact_integer(integer).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Formatter for JavaScript {
    fn begin_string<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.in_string = true;
        CompactFormatter.begin_string(writer)
    }

    fn end_string<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.in_string = false;
        CompactFormatter.end_string(writer)
    }

    fn write_u64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.check(value)?;
        CompactFormatter.write_u64(writer, value)
    }

    fn write_i64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.check(value)?;
        CompactFormatter.write_i64(writer, value)
    }

    fn write_u128<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: u128) -> io::Result<()> {
        self.check(value)?;
        CompactFormatter.write_u128(writer, value)
    }

    fn write_i128<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: i128) -> io::Result<()> {
        self.check(value)?;
        CompactFormatter.write_i128(writer, value)
    }

    fn write_f32<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        self.write_f64(writer, value.into())
    }

    /// serde_json has written NaN and the infinities as `null` before it comes here.
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }
}

/// Unwraps what [`JavaScript`] complained about; a `Vec` itself cannot fail to be written.
fn encode_error(error: serde_json::Error) -> EncodeError {
    if !error.is_io() {
        return EncodeError::Invalid(error.to_string());
    }
    match io::Error::from(error).downcast() {
        Ok(ours) => ours,
        Err(other) => EncodeError::Invalid(other.to_string()),
    }
}

/// Says in our words what serde_json says too briefly. It does not show its codes, so its texts are compared;
/// tests hold them.
pub(super) fn decode_error(error: &serde_json::Error) -> DecodeError {
    let text = error.to_string();
    if error.is_data() {
        // The type complains, not the grammar, and it has no use for a position. MessagePack says the same.
        let position = format!(" at line {} column {}", error.line(), error.column());
        DecodeError::Invalid(text.strip_suffix(&position).unwrap_or(&text).to_owned())
    } else if text.starts_with("recursion limit exceeded") {
        DecodeError::TooDeep
    } else if text.starts_with("lone leading surrogate") || text.starts_with("unexpected end of hex escape") {
        DecodeError::Invalid(
            "a string has half of a surrogate pair, which is not text; send whole characters".into(),
        )
    } else {
        DecodeError::Invalid(text)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> de::Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(slot) = map.next_key_seed(Slot(&mut fields))? {
            let value: &RawValue = map.next_value()?;
            if let Some(slot) = slot {
                *slot = Some(Body::new(Format::Json, value.get().as_bytes()));
            }
        }
        Ok(fields)
    }
}

/// Reads a key and finds where its value goes, none for keys that are not ours.
struct Slot<'s, 'a>(&'s mut Fields<'a>);

impl<'de, 's, 'a> de::DeserializeSeed<'de> for Slot<'s, 'a> {
    type Value = Option<&'s mut Option<Body<'a>>>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s, 'a> de::Visitor<'_> for Slot<'s, 'a> {
    type Value = Option<&'s mut Option<Body<'a>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.slot(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_one_has_many_spellings() {
        for one in ["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.00000000000000000001"] {
            assert!(is_one(one.as_bytes()), "{one}");
        }
        for other in ["\"1\"", "true", "null", "[1]", "{}", "2", "-1", "1.0000000000000003"] {
            assert!(!is_one(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn scanning_takes_the_form_clients_write_and_no_other() {
        let frame = r#"{"socka":"clientRequest","v":1,"id":"","rpc":"ü","body":{?}}"#;
        let request = scan(frame.as_bytes()).expect("the body is not looked at");
        assert_eq!((&*request.id, &*request.call, request.body.as_bytes()), ("", "ü", b"{?}".as_slice()));

        for other in [
            r#" {"socka":"clientRequest","v":1,"id":"","rpc":"","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body":{}} "#,
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body":{} }"#,
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body": {}}"#,
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body":[]}"#,
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body":{}"#,
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"\u0061","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"id":"\"","rpc":"","body":{}}"#,
            r#"{"socka":"clientRequest","v":1.0,"id":"","rpc":"","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"rpc":"","id":"","body":{}}"#,
            "{\"socka\":\"clientRequest\",\"v\":1,\"id\":\"\n\",\"rpc\":\"\",\"body\":{}}",
        ] {
            assert_eq!(scan(other.as_bytes()), None, "{other}");
        }
        let mut frame = frame.as_bytes().to_vec();
        frame[37] = 0xff;
        assert_eq!(scan(&frame), None, "not UTF-8");
    }
}
