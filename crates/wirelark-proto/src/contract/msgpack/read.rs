//! Bytes to values.

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Error as _, Unexpected, Visitor, value::BorrowedStrDeserializer},
};
use serde_json::de::StrRead;

use super::{NIL, UNDEFINED};
use crate::contract::{DEPTH_MAX, DecodeError, json, number::integral};

/// What has not been read yet.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    /// How many arrays and maps are open.
    depth: usize,
}

/// The beginning of a value: all of a scalar, the length of an array or a map.
pub(super) enum Head<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Negative(i64),
    Float(f64),
    Text(TextBytes<'de>),
    Binary(&'de [u8]),
    /// This many values follow.
    Array(usize),
    /// This many keys and values follow.
    Map(usize),
    /// The type of an extension we have no meaning for. Its bytes have been taken.
    Extension(i8),
}

/// A string that has not been validated.
pub(super) struct TextBytes<'de>(&'de [u8]);

impl<'de> TextBytes<'de> {
    pub(super) fn to_str(&self) -> Result<&'de str, DecodeError> {
        simdutf8::basic::from_utf8(self.0)
            .map_err(|_| invalid("a string is not valid UTF-8; send it as binary, or send whole characters"))
    }
}

#[cold]
fn invalid(text: impl Into<String>) -> DecodeError {
    DecodeError::Invalid(text.into())
}

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(invalid(format!("the MessagePack value ends {left} bytes before the message does"))),
        }
    }

    /// Takes the beginning of the next value.
    pub(super) fn head(&mut self) -> Result<Head<'de>, DecodeError> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(marker.into()),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f))?,
            0x90..=0x9f => self.sequence(usize::from(marker & 0x0f))?,
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            NIL => Head::Nil,
            0xc1 => return Err(invalid("0xc1 is not MessagePack")),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4..=0xc6 => {
                let len = self.len(marker - 0xc4)?;
                Head::Binary(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.len(marker - 0xc7)?;
                self.extension(len)?
            }
            0xca => Head::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(u8::from_be_bytes(self.array()?).into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => signed(i8::from_be_bytes(self.array()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.array()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.array()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.len(marker - 0xd9)?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.len(marker - 0xdc + 1)?;
                self.sequence(len)?
            }
            0xde | 0xdf => {
                let len = self.len(marker - 0xde + 1)?;
                self.map(len)?
            }
            0xe0.. => Head::Negative((marker as i8).into()),
        })
    }

    /// Takes the whole next value, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        let mut values = 1;
        while values > 0 {
            values -= 1;
            values += match self.head()? {
                Head::Array(items) => items,
                Head::Map(entries) => 2 * entries,
                _ => 0,
            };
            // Each takes a byte at least. This also keeps the sum from overflowing.
            if values > self.rest.len() {
                return Err(ends_early());
            }
        }
        Ok(())
    }

    /// The bytes of the whole next value.
    pub(super) fn raw(&mut self) -> Result<&'de [u8], DecodeError> {
        let before = self.rest;
        self.skip()?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// The string at the beginning of `bytes` and what follows it, if it is one.
    pub(super) fn split_text(bytes: &'de [u8]) -> Option<(&'de str, &'de [u8])> {
        let mut reader = Self::new(bytes);
        match reader.head() {
            Ok(Head::Text(text)) => Some((str::from_utf8(text.0).ok()?, reader.rest)),
            _ => None,
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, len: usize) -> Result<&'de [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length of one, two or four bytes: 2 to the `width`.
    fn len(&mut self, width: u8) -> Result<usize, DecodeError> {
        Ok(match width {
            0 => usize::from(u8::from_be_bytes(self.array()?)),
            1 => usize::from(u16::from_be_bytes(self.array()?)),
            // Where a `usize` has 16 bits the data cannot be there either.
            _ => u32::from_be_bytes(self.array()?).try_into().unwrap_or(usize::MAX),
        })
    }

    fn text(&mut self, len: usize) -> Result<Head<'de>, DecodeError> {
        Ok(Head::Text(TextBytes(self.take(len)?)))
    }

    /// An array whose items are there, as far as one byte for each can tell. That bounds what a collection
    /// reserves for it.
    fn sequence(&mut self, items: usize) -> Result<Head<'de>, DecodeError> {
        if items > self.rest.len() { Err(ends_early()) } else { Ok(Head::Array(items)) }
    }

    /// As [`Reader::sequence`], with two bytes for each entry.
    fn map(&mut self, entries: usize) -> Result<Head<'de>, DecodeError> {
        if entries > self.rest.len() / 2 { Err(ends_early()) } else { Ok(Head::Map(entries)) }
    }

    fn extension(&mut self, len: usize) -> Result<Head<'de>, DecodeError> {
        let [kind] = self.array()?;
        let data = self.take(len)?;
        let undefined = kind == 0 && data == [0];
        Ok(if undefined { Head::Nil } else { Head::Extension(kind as i8) })
    }

    /// Reads what stands inside an array or a map.
    fn inside<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn visit<V: Visitor<'de>>(&mut self, head: &Head<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        match *head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(bool) => visitor.visit_bool(bool),
            Head::Unsigned(number) => visitor.visit_u64(number),
            Head::Negative(number) => visitor.visit_i64(number),
            // A whole number is the same number in JavaScript however it was written, and types that want a
            // float take integers.
            Head::Float(number) => match integral(number) {
                Some(whole @ 0..) => visitor.visit_u64(whole.unsigned_abs()),
                Some(whole) => visitor.visit_i64(whole),
                None => visitor.visit_f64(number),
            },
            Head::Text(ref text) => visitor.visit_borrowed_str(text.to_str()?),
            Head::Binary(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Array(items) => self.inside(|reader| {
                let mut left = Items { reader, left: items };
                let value = visitor.visit_seq(&mut left)?;
                left.end(items, &"fewer elements in array")?;
                Ok(value)
            }),
            Head::Map(entries) => self.inside(|reader| {
                let mut left = Items { reader, left: entries };
                let value = visitor.visit_map(&mut left)?;
                left.end(entries, &"fewer elements in map")?;
                Ok(value)
            }),
            Head::Extension(-1) => {
                Err(invalid("a MessagePack timestamp; send time as an RFC 3339 string, or in milliseconds"))
            }
            Head::Extension(kind) => Err(invalid(format!(
                "the MessagePack extension {kind}; only plain values have a meaning here"
            ))),
        }
    }
}

fn signed(number: i64) -> Head<'static> {
    u64::try_from(number).map_or(Head::Negative(number), Head::Unsigned)
}

#[cold]
fn ends_early() -> DecodeError {
    invalid("the MessagePack data ends before the value does")
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let head = self.head()?;
        self.visit(&head, visitor)
    }

    /// `String` would take bytes too, if they happen to be UTF-8.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.head()? {
            Head::Binary(bytes) => Err(DecodeError::invalid_type(Unexpected::Bytes(bytes), &visitor)),
            head => self.visit(&head, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let nothing = self.rest.strip_prefix(&[NIL]).or_else(|| self.rest.strip_prefix(&UNDEFINED));
        match nothing {
            Some(rest) => {
                self.rest = rest;
                visitor.visit_none()
            }
            None => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.head()? {
            Head::Text(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text.to_str()?)),
            Head::Map(1) => self.inside(|reader| visitor.visit_enum(Variant { reader })),
            Head::Map(_) => Err(DecodeError::invalid_value(Unexpected::Map, &"map with a single key")),
            // Lets the visitor say what it expected.
            head => self.visit(&head, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.skip()?;
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct
    }
}

/// What is left of an array or a map.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
}

impl Items<'_, '_> {
    /// A tuple, for one, stops when it has what it wants.
    fn end(&self, len: usize, expected: &dyn de::Expected) -> Result<(), DecodeError> {
        if self.left == 0 { Ok(()) } else { Err(DecodeError::invalid_length(len, expected)) }
    }
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        while self.left > 0 {
            self.left -= 1;
            let key = key(self.reader)?;
            // `JSON.stringify` leaves such keys out.
            match self.reader.rest.strip_prefix(&UNDEFINED) {
                Some(rest) => self.reader.rest = rest,
                None => return seed.deserialize(Key(key)).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

fn key<'de>(reader: &mut Reader<'de>) -> Result<&'de str, DecodeError> {
    match reader.head()? {
        Head::Text(text) => text.to_str(),
        _ => Err(invalid("a map key must be a string")),
    }
}

/// A map with the name of a variant as its only key.
struct Variant<'r, 'de> {
    reader: &'r mut Reader<'de>,
}

impl<'r, 'de> de::EnumAccess<'de> for Variant<'r, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let name = key(self.reader)?;
        Ok((seed.deserialize(Key(name))?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        <()>::deserialize(self.reader)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, DecodeError> {
        de::Deserializer::deserialize_any(self.reader, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        de::Deserializer::deserialize_any(self.reader, visitor)
    }
}

/// A key of a map: always a string, from which numbers and booleans are parsed as serde_json parses them.
struct Key<'de>(&'de str);

impl<'de> Key<'de> {
    /// The number between the quotes, for serde_json to read.
    fn number(&self) -> Result<serde_json::Deserializer<StrRead<'de>>, DecodeError> {
        // Around a JSON number there may be whitespace, in a key there may not.
        let spaced = |edge: char| edge.is_ascii_whitespace();
        if self.0.starts_with(spaced) || self.0.ends_with(spaced) {
            return Err(invalid(format!("the map key {:?} is not a number", self.0)));
        }
        Ok(serde_json::Deserializer::from_str(self.0))
    }
}

macro_rules! numeric_keys {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let mut number = self.number()?;
            let value = number.$method(visitor).and_then(|value| number.end().map(|()| value));
            value.map_err(|error| json::decode_error(&error))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(self.0)
    }

    numeric_keys! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(DecodeError::invalid_type(Unexpected::Str(other), &visitor)),
        }
    }

    /// A key is never nil.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.0))
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fmt::Debug};

    use super::*;
    use crate::contract::Format;

    #[track_caller]
    fn check<'de, T: Deserialize<'de> + PartialEq + Debug>(bytes: &'de [u8], value: T) {
        assert_eq!(Format::MsgPack.decode(bytes), Ok(value), "{bytes:02x?}");
    }

    #[track_caller]
    fn refuse<'de, T: Deserialize<'de> + Debug>(bytes: &'de [u8], text: &str) {
        let error = Format::MsgPack.decode::<T>(bytes).unwrap_err();
        assert_eq!(error.to_string(), text, "{bytes:02x?}");
    }

    #[test]
    fn every_width_is_read() {
        for one in [
            b"\x01".as_slice(),
            b"\xcc\x01",
            b"\xcd\x00\x01",
            b"\xce\x00\x00\x00\x01",
            b"\xcf\x00\x00\x00\x00\x00\x00\x00\x01",
            b"\xd0\x01",
            b"\xd1\x00\x01",
            b"\xd2\x00\x00\x00\x01",
            b"\xd3\x00\x00\x00\x00\x00\x00\x00\x01",
            b"\xca\x3f\x80\x00\x00",
            b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        ] {
            check(one, 1_u8);
            check(one, 1_i128);
            check(one, 1.0_f32);
            check(one, serde_json::json!(1));
        }
        for minus_two in [
            b"\xfe".as_slice(),
            b"\xd0\xfe",
            b"\xd1\xff\xfe",
            b"\xd2\xff\xff\xff\xfe",
            b"\xd3\xff\xff\xff\xff\xff\xff\xff\xfe",
            b"\xca\xc0\x00\x00\x00",
            b"\xcb\xc0\x00\x00\x00\x00\x00\x00\x00",
        ] {
            check(minus_two, -2_i8);
            check(minus_two, -2.0_f64);
        }
        for text in [b"\xa1x".as_slice(), b"\xd9\x01x", b"\xda\x00\x01x", b"\xdb\x00\x00\x00\x01x"] {
            check(text, "x");
            check(text, 'x');
        }
        for list in [b"\x92\x01\x02".as_slice(), b"\xdc\x00\x02\x01\x02", b"\xdd\x00\x00\x00\x02\x01\x02"] {
            check(list, vec![1, 2]);
        }
        for map in [b"\x81\xa1x\x01".as_slice(), b"\xde\x00\x01\xa1x\x01", b"\xdf\x00\x00\x00\x01\xa1x\x01"] {
            check(map, BTreeMap::from([("x", 1)]));
        }
        for bytes in [b"\xc4\x01\x07".as_slice(), b"\xc5\x00\x01\x07", b"\xc6\x00\x00\x00\x01\x07"] {
            check::<&[u8]>(bytes, &[7]);
        }
    }

    #[test]
    fn floats_are_integers_only_when_they_are_whole_and_exact() {
        check(&[0xcb, 0x42, 0x78, 0xbc, 0xfe, 0x56, 0x87, 0xb0, 0x00], 1_700_000_000_123_u64);
        check(&[0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0], 0_u8);
        refuse::<u8>(&[0xca, 0x3f, 0xc0, 0, 0], "invalid type: floating point `1.5`, expected u8");
        refuse::<u8>(&[0xca, 0x43, 0x80, 0, 0], "invalid value: integer `256`, expected u8");
        refuse::<u8>(&[0xca, 0xbf, 0x80, 0, 0], "invalid value: integer `-1`, expected u8");
        refuse::<u64>(&[0xca, 0x7f, 0xc0, 0, 0], "invalid type: floating point `NaN`, expected u64");
    }

    #[test]
    fn undefined_is_nothing() {
        check(&UNDEFINED, ());
        check(&UNDEFINED, None::<u8>);
        check(b"\x92\xd4\x00\x00\xc0", vec![None::<u8>, None]);
        // A key without a value might as well not be there, whatever type it has.
        check(b"\x82\xa1a\xd4\x00\x00\xa1b\x01", BTreeMap::from([("b", 1)]));
        check(b"\x81\xa1a\xc0", BTreeMap::from([("a", None::<u8>)]));
    }

    #[test]
    fn other_extensions_say_what_to_send() {
        let time = "a MessagePack timestamp; send time as an RFC 3339 string, or in milliseconds";
        refuse::<u64>(b"\xd6\xff\x00\x00\x00\x01", time);
        refuse::<Option<String>>(b"\xc7\x0c\xff\0\0\0\0\0\0\0\0\0\0\0\0", time);
        for bytes in [b"\xd4\x07\x00".as_slice(), b"\xd8\x07................", b"\xc8\x00\x01\x07."] {
            refuse::<u64>(bytes, "the MessagePack extension 7; only plain values have a meaning here");
            check(bytes, de::IgnoredAny);
        }
        refuse::<u64>(b"\xd4\x00\x01", "the MessagePack extension 0; only plain values have a meaning here");
    }

    #[test]
    fn keys_are_strings_and_parsed_from_them() {
        check(b"\x82\xa21\x30\x01\xa1\x39\x02", BTreeMap::from([(10_u8, 1), (9, 2)]));
        check(b"\x81\xa4true\x01", BTreeMap::from([(true, 1)]));
        refuse::<BTreeMap<u8, u8>>(b"\x81\x01\x01", "a map key must be a string");
        for key in ["", " 1", "1 ", "01", "+1", "1.0", "-1", "256", "x", "[1]", "null"] {
            let mut bytes = vec![0x81, 0xa0 | key.len() as u8];
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(1);
            Format::MsgPack.decode::<BTreeMap<u8, u8>>(&bytes).expect_err(key);
            let json = format!("{{\"{key}\":1}}");
            Format::Json.decode::<BTreeMap<u8, u8>>(json.as_bytes()).expect_err(key);
        }
    }

    #[test]
    fn announced_lengths_are_not_believed() {
        let early = "the MessagePack data ends before the value does";
        for bytes in [
            b"\xdd\xff\xff\xff\xff\x01".as_slice(),
            b"\xdf\x00\x00\x00\x02\xa1a\x01",
            b"\xdb\xff\xff\xff\xffx",
            b"\xc6\x7f\xff\xff\xffx",
            b"\xc9\x7f\xff\xff\xff\x00x",
            b"\x93\x93\x00\x00\x00\x00",
            b"\xcd\x01",
            b"",
        ] {
            refuse::<serde_json::Value>(bytes, early);
            refuse::<de::IgnoredAny>(bytes, early);
        }
        refuse::<u8>(b"\x01\x02\x03", "the MessagePack value ends 2 bytes before the message does");
    }
}
