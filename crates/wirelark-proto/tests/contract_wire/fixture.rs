//! Every shape serde knows, in one type.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use wirelark_proto::contract::BigInt;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
pub(crate) struct Fixture<T> {
    pub(crate) external: Vec<External>,
    pub(crate) internal: Vec<Internal>,
    pub(crate) adjacent: Vec<Adjacent>,
    pub(crate) untagged: Vec<Untagged>,
    pub(crate) generic: T,
    pub(crate) some: Option<u8>,
    pub(crate) none: Option<u8>,
    pub(crate) options: Vec<Option<bool>>,
    pub(crate) text_keys: BTreeMap<String, Vec<i32>>,
    pub(crate) integer_keys: BTreeMap<u32, f64>,
    pub(crate) negative_keys: BTreeMap<i64, ()>,
    pub(crate) bool_keys: BTreeMap<bool, u8>,
    pub(crate) char_keys: BTreeMap<char, u8>,
    pub(crate) variant_keys: BTreeMap<Color, u8>,
    pub(crate) newtype_keys: BTreeMap<Meters, u8>,
    pub(crate) newtype: Meters,
    pub(crate) pair: Pair,
    pub(crate) tuple: (u8, String, [i16; 3]),
    pub(crate) unit: (),
    pub(crate) unit_struct: Unit,
    pub(crate) matrix: Vec<Vec<Vec<f32>>>,
    #[serde(flatten)]
    pub(crate) flat: Flat,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    #[serde(default)]
    pub(crate) defaulted: u8,
    #[serde(rename = "großer Schlüssel")]
    pub(crate) renamed: char,
    pub(crate) largest: u64,
    pub(crate) smallest: i64,
    pub(crate) milliseconds: u64,
    pub(crate) big: BigInt<u64>,
    pub(crate) address: std::net::IpAddr,
    pub(crate) borrowed: Cow<'static, str>,
    pub(crate) floats: Vec<f64>,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug, Clone, Copy)]
pub(crate) enum Color {
    Red,
    Green,
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug, Clone, Copy)]
pub(crate) struct Meters(u64);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
pub(crate) struct Pair(i32, Option<String>);

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
pub(crate) struct Unit;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
pub(crate) enum External {
    Unit,
    Newtype(u64),
    Tuple(i8, f64),
    Struct { a: String, b: Option<()> },
    Nested(Box<Self>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "kind")]
pub(crate) enum Internal {
    Unit,
    Newtype(Flat),
    Struct { at: u64, x: f64 },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "kind", content = "value")]
pub(crate) enum Adjacent {
    Unit,
    Newtype(i64),
    Tuple(u8, u8),
    Struct { at: u64 },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<u16>),
    Struct { at: u64 },
    Unit,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
pub(crate) struct Flat {
    flat_time: u64,
    flat_float: f64,
    #[serde(flatten)]
    rest: BTreeMap<String, Untagged>,
}

pub(crate) fn fixture() -> Fixture<Fixture<Vec<Color>>> {
    fn with<T>(generic: T) -> Fixture<T> {
        // Beyond 32 bits, where MessagePack has a float.
        let at = 1_700_000_000_123;
        let flat = Flat {
            flat_time: at,
            flat_float: 3.0,
            rest: [("rest".into(), Untagged::Float(0.5)), ("more".into(), Untagged::Integer(-5_000_000_000))]
                .into(),
        };
        Fixture {
            external: vec![
                External::Unit,
                External::Newtype(at),
                External::Tuple(-128, 1.0),
                External::Struct { a: "\u{1}\u{2028}\"\\".into(), b: None },
                External::Nested(Box::new(External::Nested(Box::new(External::Unit)))),
            ],
            internal: vec![Internal::Unit, Internal::Newtype(flat.clone()), Internal::Struct { at, x: 7.0 }],
            adjacent: vec![
                Adjacent::Unit,
                Adjacent::Newtype(-5_000_000_000),
                Adjacent::Tuple(0, 255),
                Adjacent::Struct { at },
            ],
            untagged: vec![
                Untagged::Integer(-5_000_000_000),
                Untagged::Float(-0.25),
                Untagged::Text("🦀".repeat(100)),
                Untagged::List((0..300).collect()),
                Untagged::Struct { at },
                Untagged::Unit,
            ],
            generic,
            some: Some(0),
            none: None,
            options: vec![Some(true), None],
            text_keys: [(String::new(), vec![]), ("0".into(), vec![i32::MIN, i32::MAX])].into(),
            integer_keys: [(0, 1.0), (u32::MAX, 0.1)].into(),
            negative_keys: [(i64::MIN, ()), (i64::MAX, ())].into(),
            bool_keys: [(false, 0), (true, 1)].into(),
            char_keys: [('"', 1), ('🦀', 2)].into(),
            variant_keys: [(Color::Red, 1), (Color::Green, 2)].into(),
            newtype_keys: [(Meters(u64::MAX), 1)].into(),
            newtype: Meters(40_075_017),
            pair: Pair(-33, Some("x".repeat(31))),
            tuple: (128, "é".repeat(16), [-129, 32767, -32768]),
            unit: (),
            unit_struct: Unit,
            matrix: vec![vec![vec![], vec![0.1, -1.0]], vec![]],
            flat,
            skipped: None,
            defaulted: 1,
            renamed: 'ß',
            largest: (1 << 53) - 1,
            smallest: 1 - (1 << 53),
            milliseconds: at,
            big: BigInt(u64::MAX),
            address: "2001:db8::1:2:3:4".parse().unwrap(),
            borrowed: "x".repeat(70_000).into(),
            floats: vec![0.1, 1e300, -5e-324, 4_294_967_296.0, -2_147_483_649.0, f64::MIN],
        }
    }

    with(with(vec![Color::Red, Color::Green]))
}
