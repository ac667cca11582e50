//! Integers that JavaScript numbers cannot hold.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A 64-bit or 128-bit integer that travels as a decimal string, `"18446744073709551615"`, in both formats.
///
/// A number would lose its last digits in a JavaScript peer, which reads the string with `BigInt(text)`. Only
/// strings are accepted back: a number in their place means that the peer has already rounded.
///
/// ```
/// use wirelark_proto::contract::{BigInt, Format};
///
/// let mut json = Vec::new();
/// Format::Json.encode(&BigInt(u64::MAX), &mut json)?;
/// assert_eq!(json, br#""18446744073709551615""#);
/// assert_eq!(*Format::Json.decode::<BigInt<u64>>(&json)?, u64::MAX);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct BigInt<T>(pub T);

impl<T> Deref for BigInt<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for BigInt<T> {
    fn from(integer: T) -> Self {
        Self(integer)
    }
}

impl<T: fmt::Display> fmt::Display for BigInt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// For exactly the integers that need it: a `BigInt<u8>` or a `BigInt<f64>` is a mistake.
macro_rules! big_integers {
    ($($integer:ty: $format:literal, $pattern:literal;)*) => {$(
        impl From<BigInt<$integer>> for $integer {
            fn from(big: BigInt<$integer>) -> Self {
                big.0
            }
        }

        impl Serialize for BigInt<$integer> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for BigInt<$integer> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Decimal(PhantomData)).map(Self)
            }
        }

        /// A string, whose `format` is the one schemars gives to the integer: the two together are what a
        /// generated client knows a `BigInt` by.
        impl JsonSchema for BigInt<$integer> {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                concat!("BigInt_", stringify!($integer)).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format, "pattern": $pattern })
            }
        }
    )*};
}

big_integers! {
    u64: "uint64", "^[0-9]+$";
    i64: "int64", "^-?[0-9]+$";
    u128: "uint128", "^[0-9]+$";
    i128: "int128", "^-?[0-9]+$";
}

struct Decimal<T>(PhantomData<T>);

impl<T: FromStr> de::Visitor<'_> for Decimal<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string with a decimal integer in range")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use schemars::generate::SchemaSettings;

    use super::*;

    fn check<T>(format: &str, pattern: &str)
    where
        BigInt<T>: JsonSchema,
    {
        for settings in [SchemaSettings::for_serialize, SchemaSettings::for_deserialize] {
            let settings = settings(SchemaSettings::draft2020_12());
            let schema = settings.into_generator().into_root_schema_for::<Vec<BigInt<T>>>();
            let expected = serde_json::json!({ "type": "string", "format": format, "pattern": pattern });
            assert_eq!(schema.get("items"), Some(&expected));
        }
    }

    #[test]
    fn the_schema_is_that_of_a_decimal_string() {
        check::<u64>("uint64", "^[0-9]+$");
        check::<i64>("int64", "^-?[0-9]+$");
        check::<u128>("uint128", "^[0-9]+$");
        check::<i128>("int128", "^-?[0-9]+$");
    }
}
