//! Types of every shape, and values that fill them.

#![expect(unreachable_pub, reason = "the names of a contract's trait are public, wherever it is")]

use std::collections::BTreeMap;
use std::fmt;

use serde::de::SeqAccess;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wirelark::schemars::{self, JsonSchema};

/// Beyond 32 bits, where MessagePack has a float.
const TIME: u64 = 1_700_000_000_123;

/// The variant is a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum External {
    Unit,
    Newtype(u64),
    Nothing(()),
    Optional(Option<u8>),
    Tuple(i8, f64),
    Empty(),
    Struct { a: String, b: Option<u8> },
    Nested(Box<Self>),
}

impl External {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Unit,
            Self::Newtype(TIME),
            Self::Nothing(()),
            Self::Optional(None),
            Self::Tuple(-128, 1.0),
            Self::Empty(),
            Self::Struct { a: "\u{1}\u{2028}\"\\".into(), b: None },
            Self::Nested(Box::new(Self::Nested(Box::new(Self::Unit)))),
        ]
    }
}

/// The variant is one of the fields.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Internal {
    JustUnit,
    Newtype(Flat),
    Struct { at: u64, x: f64, color: Color },
}

impl Internal {
    pub(crate) fn all() -> Vec<Self> {
        let rest =
            [("rest".into(), Untagged::Float(0.5)), ("more".into(), Untagged::Integer(-5_000_000_000))];
        vec![
            Self::JustUnit,
            Self::Newtype(Flat { at: TIME, rest: rest.into() }),
            Self::Struct { at: TIME, x: 7.0, color: Color::Green },
        ]
    }
}

/// The variant and its content are two fields.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value")]
pub enum Adjacent {
    Unit,
    Newtype(i64),
    Tuple(u8, Color),
    Struct { at: u64 },
    Nested(Option<Box<Self>>),
}

impl Adjacent {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Unit,
            Self::Newtype(-5_000_000_000),
            Self::Tuple(255, Color::Red),
            Self::Struct { at: TIME },
            Self::Nested(Some(Box::new(Self::Nested(None)))),
        ]
    }
}

/// The variant is the first that fits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Untagged {
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<u16>),
    Struct { at: u64 },
    Colors { colors: Vec<Color> },
    Unit,
}

impl Untagged {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::Integer(-5_000_000_000),
            Self::Integer(0),
            Self::Float(-0.25),
            Self::Text("🦀".repeat(100)),
            Self::List((0..300).collect()),
            Self::List(vec![]),
            Self::Struct { at: TIME },
            Self::Colors { colors: vec![Color::Red] },
            Self::Unit,
        ]
    }
}

/// Also a key of maps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    Red,
    Green,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Meters(pub u64);

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Pair(pub i32, pub Option<String>);

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unit;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<T>,
}

/// Fields that need not be there.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Optional {
    written: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<Nothing>,
    #[serde(default)]
    defaulted: Vec<Option<bool>>,
    #[serde(rename = "großer Schlüssel")]
    renamed: Option<Box<Self>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
struct Nothing {}

impl Optional {
    pub(crate) fn all() -> Vec<Self> {
        let full = Self {
            written: Some(0),
            left_out: Some(Nothing {}),
            defaulted: vec![Some(true), None],
            renamed: Some(Box::default()),
        };
        vec![Self::default(), full]
    }
}

/// Keys of every kind that can be written as text.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Maps {
    text: BTreeMap<String, Vec<i32>>,
    unsigned: BTreeMap<u64, f64>,
    signed: BTreeMap<i64, Option<u8>>,
    wide: BTreeMap<i128, u8>,
    newtype: BTreeMap<Meters, u8>,
    color: BTreeMap<Color, External>,
    character: BTreeMap<char, u8>,
    boolean: BTreeMap<bool, u8>,
    nested: BTreeMap<u8, BTreeMap<i8, BTreeMap<String, u8>>>,
}

impl Maps {
    pub(crate) fn full() -> Self {
        let inner =
            BTreeMap::from([(i8::MIN, BTreeMap::from([(String::new(), 1), ("__proto__".into(), 2)]))]);
        Self {
            text: [(String::new(), vec![]), ("0".into(), vec![i32::MIN, i32::MAX])].into(),
            unsigned: [(0, 1.0), (u64::MAX, 0.1)].into(),
            signed: [(i64::MIN, None), (i64::MAX, Some(1))].into(),
            wide: [(i128::MIN, 0), (i128::MAX, 1)].into(),
            newtype: [(Meters(u64::MAX), 1)].into(),
            color: [(Color::Red, External::Unit), (Color::Green, External::Newtype(1))].into(),
            character: [('"', 1), ('🦀', 2)].into(),
            boolean: [(false, 0), (true, 1)].into(),
            nested: [(0, inner), (255, BTreeMap::new())].into(),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    pub children: Vec<Self>,
}

/// Known fields beside unknown ones.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Flat {
    pub at: u64,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Untagged>,
}

/// Bytes: binary in MessagePack, numbers in JSON.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(transparent)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Visitor)
    }
}
