//! Values to bytes.

use std::fmt::{self, Display, Write as _};

use serde::{
    Serialize,
    ser::{self, Error as _, Impossible, Serializer as _},
};

use super::NIL;
use crate::contract::{
    EncodeError,
    number::{exact_integer, integral},
};

/// How the length of one family of values is written: in the marker, or in the bytes after it.
struct Lengths {
    /// The marker of the length zero and the longest length that is added to it.
    inline: Option<(u8, u8)>,
    byte: Option<u8>,
    word: u8,
    long: u8,
}

const ARRAY: Lengths = Lengths { inline: Some((0x90, 15)), byte: None, word: 0xdc, long: 0xdd };
/// The short form exists and msgpackr does not write it: it starts an object before it has counted the keys.
const MAP: Lengths = Lengths { inline: None, byte: None, word: 0xde, long: 0xdf };
const TEXT: Lengths = Lengths { inline: Some((0xa0, 31)), byte: Some(0xd9), word: 0xda, long: 0xdb };
const BINARY: Lengths = Lengths { inline: None, byte: Some(0xc4), word: 0xc5, long: 0xc6 };

impl Lengths {
    /// The shortest head for a length: five bytes of which the first ones count.
    fn head(&self, len: usize) -> Result<([u8; 5], usize), EncodeError> {
        let len = u32::try_from(len).map_err(|_| invalid("MessagePack lengths end at 4294967295"))?;
        let [a, b, c, d] = len.to_be_bytes();
        Ok(match (self.inline, self.byte) {
            (Some((marker, longest)), _) if len <= u32::from(longest) => ([marker | d, 0, 0, 0, 0], 1),
            (_, Some(marker)) if len <= 0xff => ([marker, d, 0, 0, 0], 2),
            _ if len <= 0xffff => ([self.word, c, d, 0, 0], 3),
            _ => ([self.long, a, b, c, d], 5),
        })
    }

    fn push(&self, len: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (head, size) = self.head(len)?;
        out.extend_from_slice(&head[..size]);
        Ok(())
    }

    /// Puts the right head in the place of the one at `start`, which was written for another length.
    fn replace(&self, start: usize, old: usize, new: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (_, old_size) = self.head(old)?;
        let (head, size) = self.head(new)?;
        out.splice(start..start + old_size, head[..size].iter().copied());
        Ok(())
    }
}

#[cold]
fn invalid(text: &str) -> EncodeError {
    EncodeError::Invalid(text.into())
}

/// Appends one value.
pub(super) struct Writer<'o>(pub(super) &'o mut Vec<u8>);

impl<'o> Writer<'o> {
    /// An integer that a JavaScript number holds exactly.
    fn integer(self, number: i64) {
        // The casts keep the low bytes, which the range of each arm says are all there are.
        let out = self.0;
        match number {
            -32..=0x7f => out.push(number as u8),
            0x80..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
            0x100..=0xffff => tagged(out, 0xcd, &(number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => tagged(out, 0xce, &(number as u32).to_be_bytes()),
            -0x80..=-33 => out.extend_from_slice(&[0xd0, number as u8]),
            -0x8000..=-0x81 => tagged(out, 0xd1, &(number as i16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => tagged(out, 0xd2, &(number as i32).to_be_bytes()),
            _ => tagged(out, 0xcb, &(number as f64).to_be_bytes()),
        }
    }

    fn items(self, lengths: &'static Lengths, announced: usize) -> Result<Items<'o>, EncodeError> {
        let start = self.0.len();
        lengths.push(announced, self.0)?;
        Ok(Items { out: self.0, lengths, start, announced, written: 0 })
    }

    /// A map whose only key is the name of a variant, up to its value.
    fn variant(self, variant: &str) -> Result<Self, EncodeError> {
        MAP.push(1, self.0)?;
        Writer(self.0).serialize_str(variant)?;
        Ok(self)
    }
}

fn tagged<const N: usize>(out: &mut Vec<u8>, marker: u8, bytes: &[u8; N]) {
    out.push(marker);
    out.extend_from_slice(bytes);
}

macro_rules! integers {
    ($($method:ident: $integer:ty),*) => {$(
        fn $method(self, number: $integer) -> Result<(), EncodeError> {
            self.integer(exact_integer(number)?);
            Ok(())
        }
    )*};
}

impl<'o> ser::Serializer for Writer<'o> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Items<'o>;
    type SerializeTuple = Items<'o>;
    type SerializeTupleStruct = Items<'o>;
    type SerializeTupleVariant = Items<'o>;
    type SerializeMap = Items<'o>;
    type SerializeStruct = Items<'o>;
    type SerializeStructVariant = Items<'o>;

    integers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.0.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<(), EncodeError> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), EncodeError> {
        match integral(number) {
            Some(whole) => self.integer(whole),
            // There is one NaN in JavaScript.
            None if number.is_nan() => tagged(self.0, 0xcb, &0x7ff8_0000_0000_0000_u64.to_be_bytes()),
            None => tagged(self.0, 0xcb, &number.to_be_bytes()),
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), EncodeError> {
        TEXT.push(text.len(), self.0)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Addresses, UUIDs and the like come this way. Their length is known when they have been written.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        let start = self.0.len();
        TEXT.push(0, self.0)?;
        let text = self.0.len();
        write!(Text(self.0), "{value}").map_err(EncodeError::custom)?;
        TEXT.replace(start, 0, self.0.len() - text, self.0)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        BINARY.push(bytes.len(), self.0)?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.0.push(NIL);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self.variant(variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'o>, EncodeError> {
        self.items(&ARRAY, len.unwrap_or(0))
    }

    fn serialize_tuple(self, len: usize) -> Result<Items<'o>, EncodeError> {
        self.items(&ARRAY, len)
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items<'o>, EncodeError> {
        self.items(&ARRAY, len)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'o>, EncodeError> {
        self.variant(variant)?.items(&ARRAY, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Items<'o>, EncodeError> {
        self.items(&MAP, len.unwrap_or(0))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Items<'o>, EncodeError> {
        // serde_json smuggles its own text through serializers of its own in such structs.
        if name.starts_with("$serde_json::private::") {
            return Err(invalid("a RawValue is JSON; in MessagePack use serde_json::Value"));
        }
        self.items(&MAP, len)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'o>, EncodeError> {
        self.variant(variant)?.items(&MAP, len)
    }
}

/// Where text is formatted into.
struct Text<'o>(&'o mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// An array or a map that is being written.
///
/// Its head is written first, with the length that was announced. Iterators and flattened structs announce
/// none, and nothing makes the others keep to theirs: so what comes is counted, and the head put right at the
/// end. That moves bytes only if the right head is longer, which for maps takes 65,536 entries.
pub(super) struct Items<'o> {
    out: &'o mut Vec<u8>,
    lengths: &'static Lengths,
    start: usize,
    announced: usize,
    written: usize,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.written += 1;
        value.serialize(Writer(self.out))
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), EncodeError> {
        Writer(self.out).serialize_str(key)?;
        self.item(value)
    }

    fn finish(self) -> Result<(), EncodeError> {
        if self.written != self.announced {
            self.lengths.replace(self.start, self.announced, self.written, self.out)?;
        }
        Ok(())
    }
}

/// The four traits of arrays are one.
macro_rules! arrays {
    ($($trait:ident::$method:ident),*) => {$(
        impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.item(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        }
    )*};
}

arrays! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field
}

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        key.serialize(Key(self.out))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.item(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeStruct for Items<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Items<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

/// Appends the key of a map: a string, which numbers and booleans are turned into, as serde_json does.
struct Key<'o>(&'o mut Vec<u8>);

impl Key<'_> {
    fn text(self, text: impl Display) -> Result<(), EncodeError> {
        Writer(self.0).collect_str(&text)
    }
}

#[cold]
fn key_not_string() -> EncodeError {
    invalid("key must be a string")
}

macro_rules! text_keys {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, key: $type) -> Result<(), EncodeError> {
            self.text(key)
        }
    )*};
}

impl ser::Serializer for Key<'_> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Impossible<(), EncodeError>;
    type SerializeTuple = Impossible<(), EncodeError>;
    type SerializeTupleStruct = Impossible<(), EncodeError>;
    type SerializeTupleVariant = Impossible<(), EncodeError>;
    type SerializeMap = Impossible<(), EncodeError>;
    type SerializeStruct = Impossible<(), EncodeError>;
    type SerializeStructVariant = Impossible<(), EncodeError>;

    text_keys! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_bool: bool, serialize_char: char
    }

    fn serialize_f32(self, key: f32) -> Result<(), EncodeError> {
        self.serialize_f64(key.into())
    }

    fn serialize_f64(self, key: f64) -> Result<(), EncodeError> {
        if !key.is_finite() {
            return Err(invalid("float key must be finite (got NaN or +/-inf)"));
        }
        self.serialize_str(ryu_js::Buffer::new().format_finite(key))
    }

    fn serialize_str(self, key: &str) -> Result<(), EncodeError> {
        Writer(self.0).serialize_str(key)
    }

    fn collect_str<T: Display + ?Sized>(self, key: &T) -> Result<(), EncodeError> {
        self.text(key)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        key: &T,
    ) -> Result<(), EncodeError> {
        key.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<(), EncodeError> {
        key.serialize(self)
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        Err(key_not_string())
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        Err(key_not_string())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        Err(key_not_string())
    }

    fn serialize_bytes(self, _bytes: &[u8]) -> Result<(), EncodeError> {
        Err(key_not_string())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), EncodeError> {
        Err(key_not_string())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Self::SerializeSeq, EncodeError> {
        Err(key_not_string())
    }

    fn serialize_tuple(self, _len: usize) -> Result<Self::SerializeTuple, EncodeError> {
        Err(key_not_string())
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleStruct, EncodeError> {
        Err(key_not_string())
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant, EncodeError> {
        Err(key_not_string())
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Self::SerializeMap, EncodeError> {
        Err(key_not_string())
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStruct, EncodeError> {
        Err(key_not_string())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant, EncodeError> {
        Err(key_not_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Serialize + ?Sized>(value: &T, hex: &str) {
        let mut out = Vec::new();
        value.serialize(Writer(&mut out)).unwrap();
        let written: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(written.starts_with(hex), "{} instead of {hex}", &written[..written.len().min(40)]);
        assert!(hex.len() >= 20 || written.len() == hex.len(), "{written} is longer than {hex}");
    }

    /// As printed by msgpackr 2.1.3 for the same numbers.
    #[test]
    fn numbers_are_written_as_msgpackr_writes_them() {
        for (number, hex) in [
            (0.0, "00"),
            (-0.0, "00"),
            (1.5, "cb3ff8000000000000"),
            (-1.0, "ff"),
            (-32.0, "e0"),
            (-33.0, "d0df"),
            (-128.0, "d080"),
            (-129.0, "d1ff7f"),
            (-32_768.0, "d18000"),
            (-32_769.0, "d2ffff7fff"),
            (-2_147_483_648.0, "d280000000"),
            (-2_147_483_649.0, "cbc1e0000000200000"),
            (127.0, "7f"),
            (128.0, "cc80"),
            (255.0, "ccff"),
            (256.0, "cd0100"),
            (65_535.0, "cdffff"),
            (65_536.0, "ce00010000"),
            (2_147_483_648.0, "ce80000000"),
            (4_294_967_295.0, "ceffffffff"),
            (4_294_967_296.0, "cb41f0000000000000"),
            (9_007_199_254_740_991.0, "cb433fffffffffffff"),
            (1e21, "cb444b1ae4d6e2ef50"),
            (f64::NAN, "cb7ff8000000000000"),
            (-f64::NAN, "cb7ff8000000000000"),
            (f64::INFINITY, "cb7ff0000000000000"),
            (f64::NEG_INFINITY, "cbfff0000000000000"),
        ] {
            check(&number, hex);
            if let Some(integer) = integral(number) {
                check(&integer, hex);
                check(&i128::from(integer), hex);
            }
        }
        check(&0.5_f32, "cb3fe0000000000000");
    }

    /// As printed by msgpackr 2.1.3 for the same values.
    #[test]
    fn lengths_are_written_as_msgpackr_writes_them() {
        check("", "a0");
        check(&'é', "a2c3a9");
        check(&"a".repeat(31), &format!("bf{}", "61".repeat(31)));
        check(&"é".repeat(16), &format!("d920{}", "c3a9".repeat(16)));
        check(&"a".repeat(255), "d9ff6161616161616161");
        check(&"a".repeat(256), "da010061616161616161");
        check(&"✓".repeat(21_845), "daffffe29c93e29c93e2");
        check(&"a".repeat(65_536), "db0001000061616161616161");
        check(&vec![0; 15], "9f000000000000000000000000000000");
        check(&vec![0; 16], "dc001000000000000000000000000000");
        check(&vec![0; 65_536], "dd000100000000000000");
        check(&Option::<u8>::None, "c0");
        check(&[true, false], "92c3c2");
        check(&serde_json::json!({ "a": { "b": [{}] } }), "de0001a161de0001a16291de0000");
        check(&std::collections::HashMap::from([(1, 2)]), "de0001a13102");
    }

    /// Lengths that are not announced, or wrong.
    #[test]
    fn what_comes_is_counted() {
        struct Lies<I>(Option<usize>, I);

        impl<I: Iterator<Item = u8> + Clone> Serialize for Lies<I> {
            fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut seq = serializer.serialize_seq(self.0)?;
                self.1.clone().try_for_each(|item| ser::SerializeSeq::serialize_element(&mut seq, &item))?;
                ser::SerializeSeq::end(seq)
            }
        }

        let sixteen = "dc001007070707070707070707070707070707";
        for announced in [None, Some(0), Some(15), Some(16), Some(70_000)] {
            check(&Lies(announced, std::iter::repeat_n(7, 16)), sixteen);
            check(&(1, Lies(announced, std::iter::repeat_n(7, 2)), 1), "930192070701");
        }
        let entries: std::collections::BTreeMap<u32, ()> = (0..65_536).map(|key| (key, ())).collect();
        check(&entries, "df00010000a130c0a131c0a1");
    }

    #[test]
    fn text_that_is_formatted_is_measured_afterwards() {
        check(&format_args!("{:31}", ""), &format!("bf{}", "20".repeat(31)));
        check(&format_args!("{:32}", ""), &format!("d920{}", "20".repeat(32)));
        check(&format_args!("{:300}", ""), "da012c20202020202020");
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let refuse = |result: Result<(), EncodeError>| result.unwrap_err().to_string();
        let key = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(refuse(key.serialize(Writer(&mut Vec::new()))), "key must be a string");
        let raw = serde_json::value::to_raw_value(&1).unwrap();
        let text = "a RawValue is JSON; in MessagePack use serde_json::Value";
        assert_eq!(refuse(raw.serialize(Writer(&mut Vec::new()))), text);
    }
}
