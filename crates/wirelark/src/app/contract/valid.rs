//! Input that has been checked beyond its shape.

use std::borrow::Cow;
use std::ops::Deref;

use garde::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A `T` that has passed its [`garde::Validate`]. On the wire, and in the contract's schema, it is a `T`.
///
/// Arguments with `#[garde(..)]` attributes are validated without it. It is for types that stand as a whole body,
/// or deeper inside of one. A value that does not pass cannot be decoded: the call fails with the texts of all
/// issues, each with the path it is about, and its handler does not run.
///
/// Values that only the program itself makes are not checked: the field is public.
///
/// ```
/// use garde::Validate;
/// use serde::Deserialize;
/// use wirelark::contract::Valid;
///
/// #[derive(Debug, Deserialize, Validate)]
/// struct NewPost {
///     #[garde(length(min = 1, max = 100))]
///     title: String,
/// }
///
/// let empty = serde_json::from_str::<Valid<NewPost>>(r#"{"title":""}"#);
/// assert_eq!(empty.unwrap_err().to_string(), "title: length is lower than 1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Valid<T>(pub T);

impl<T> Valid<T> {
    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T> Deserialize<'de> for Valid<T>
where
    T: Deserialize<'de> + Validate<Context = ()>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = T::deserialize(deserializer)?;
        match value.validate() {
            Ok(()) => Ok(Self(value)),
            Err(report) => Err(de::Error::custom(one_line(&report))),
        }
    }
}

/// Nothing tells it from the value: derived, it would be a type of its own.
impl<T: JsonSchema> JsonSchema for Valid<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// What garde writes line by line.
fn one_line(report: &garde::Report) -> String {
    let issues = report.iter().map(|(path, issue)| match path.is_empty() {
        true => issue.to_string(),
        false => format!("{path}: {issue}"),
    });
    issues.collect::<Vec<_>>().join("; ")
}
