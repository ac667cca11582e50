//! MessagePack as msgpackr writes it with `useRecords: false`, and everything a peer may write.
//!
//! rmp-serde cannot write this dialect: it gives 64-bit integers eight bytes, which JavaScript reads as a
//! `BigInt`, has no way to say how wide a map's length is, refuses `undefined` and floats in the place of
//! integers, and ignores what follows the value. So here is our own serde format, for `&[u8]` and `Vec<u8>`
//! only.
//!
//! Written are: maps with a 16-bit length, 32-bit if that is too short; integers within `i32` and `u32` in
//! their smallest form, also those that come as floats; every other number as a 64-bit float; strings, bytes
//! and arrays in their smallest form; nothing as nil. Types that have a form for people, such as addresses and
//! UUIDs, take that one, as in JSON.
//!
//! Read are all forms of those, integers in the place of floats and whole floats in the place of integers.
//! `undefined`, the extension 0 of msgpackr, is an absent key in a map and nil elsewhere, as in JSON. There are
//! no other extensions: time is an RFC 3339 string or a number of milliseconds.

mod read;
mod write;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    Body, DecodeError, EncodeError, Format,
    envelope::{Fields, Request},
};
use read::{Head, Reader};

pub(super) const NIL: u8 = 0xc0;

/// msgpackr's `undefined`: an extension of one byte, of type 0.
pub(super) const UNDEFINED: [u8; 3] = [0xd4, 0, 0];

pub(super) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    value.serialize(write::Writer(out))
}

pub(super) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Appends a string that the caller knows to be shorter than 32 bytes, such as a key of ours.
pub(super) fn short_text(text: &'static str, out: &mut Vec<u8>) {
    debug_assert!(text.len() < 32, "{text:?} needs a longer head");
    out.push(0xa0 | text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// Whether a value that begins with this byte is a map.
pub(super) const fn is_map(marker: u8) -> bool {
    matches!(marker, 0x80..=0x8f | 0xde | 0xdf)
}

/// Whether the bytes are one value.
pub(super) fn is_one_value(bytes: &[u8]) -> bool {
    one_value(bytes).is_ok()
}

fn one_value(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    reader.end()
}

/// Whether the value is the number 1, in any form.
pub(super) fn is_one(value: &[u8]) -> bool {
    match Reader::new(value).head() {
        Ok(Head::Unsigned(number)) => number == 1,
        Ok(Head::Float(number)) => number == 1.0,
        _ => false,
    }
}

/// The text, if the value is a string.
pub(super) fn text(value: &[u8]) -> Result<Option<Cow<'_, str>>, DecodeError> {
    match Reader::new(value).head()? {
        Head::Text(text) => Ok(Some(Cow::Borrowed(text.to_str()?))),
        _ => Ok(None),
    }
}

/// The values of an envelope's keys, none if the value is no map.
pub(super) fn fields(bytes: &[u8]) -> Result<Option<Fields<'_>>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let Head::Map(entries) = reader.head()? else { return one_value(bytes).map(|()| None) };
    let mut fields = Fields::default();
    for _ in 0..entries {
        let key = reader.raw()?;
        let value = reader.raw()?;
        // Keys that are no text are none of ours.
        let Ok(Some(key)) = text(key) else { continue };
        if let Some(slot) = fields.slot(&key) {
            *slot = (value != UNDEFINED).then(|| Body::new(Format::MsgPack, value));
        }
    }
    reader.end()?;
    Ok(Some(fields))
}

/// See [`Request::scan`].
pub(super) fn scan(frame: &[u8]) -> Option<Request<'_>> {
    // msgpackr writes the first form of a map of five, @msgpack/msgpack the second one.
    let rest = frame.strip_prefix(b"\xde\x00\x05").or_else(|| frame.strip_prefix(b"\x85"))?;
    let rest = rest.strip_prefix(b"\xa5socka\xadclientRequest\xa1v\x01\xa2id")?;
    let (id, rest) = Reader::split_text(rest)?;
    let (call, rest) = Reader::split_text(rest.strip_prefix(b"\xa3rpc")?)?;
    let body = Body::new(Format::MsgPack, rest.strip_prefix(b"\xa4body")?);
    body.is_object().then(|| Request { id: id.into(), call: call.into(), body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanning_takes_the_forms_clients_write_and_no_other() {
        const KEYS: &[u8] = b"\xa5socka\xadclientRequest\xa1v\x01\xa2id\xa1i\xa3rpc\xd9\x02\xc3\xbc\xa4body";
        for head in [b"\xde\x00\x05".as_slice(), b"\x85"] {
            for body in [b"\x80".as_slice(), b"\xde\x00\x00", b"\xdf?", b"\x81\xc1"] {
                let frame = [head, KEYS, body].concat();
                let request = scan(&frame).expect("the body is not looked at");
                assert_eq!((&*request.id, &*request.call, request.body.as_bytes()), ("i", "ü", body));
            }
            for body in [b"".as_slice(), b"\x90", b"\xc0", b"\xd4\x00\x00", b"\xc4\x00"] {
                assert_eq!(scan(&[head, KEYS, body].concat()), None, "{body:02x?}");
            }
        }
        assert_eq!(scan(&[b"\x86", KEYS, b"\x80\xc0\xc0"].concat()), None, "another key");
        let damaged: Vec<u8> = KEYS.iter().map(|byte| if *byte == 0xbc { b'x' } else { *byte }).collect();
        assert_eq!(scan(&[b"\x85", &*damaged, b"\x80"].concat()), None, "not UTF-8");
    }
}
