//! Why a value could not be written, or bytes not be read.

use std::fmt::Display;

use serde::{de, ser};

use super::{DEPTH_MAX, Format};

/// Why a value could not be encoded. All of these are bugs of the program: the value's type does not fit the
/// wire.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The integer would arrive as another integer.
    #[error(
        "the integer {0} is beyond ±9007199254740991, where JavaScript numbers lose digits; \
         make it a BigInt, which travels as a string"
    )]
    InexactInteger(String),
    /// The body of a request is something else than an object.
    #[error("the body of a request must be an object; use a struct with named fields, or a map")]
    RequestBodyNotObject,
    /// The body was encoded in another format than its frame.
    #[error("the body is {body} and its frame is {frame}; encode the value in the format of the connection")]
    BodyFormat {
        /// The format of the body.
        body: Format,
        /// The format of the frame.
        frame: Format,
    },
    /// The type cannot be written, in its own words or in those of the format.
    #[error("{0}")]
    Invalid(String),
}

impl ser::Error for EncodeError {
    fn custom<T: Display>(text: T) -> Self {
        Self::Invalid(text.to_string())
    }
}

/// Why bytes could not be decoded as a type.
///
/// It does not tell malformed bytes from a well-formed value of another shape: [`Envelope::decode`] judges
/// whole frames, and what is wrong with a body in a good frame is its shape.
///
/// [`Envelope::decode`]: super::Envelope::decode
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The value nests deeper than [`DEPTH_MAX`].
    #[error("the value is nested deeper than {DEPTH_MAX} levels; send a flatter one")]
    TooDeep,
    /// The bytes are malformed, or they are not a value of the type.
    #[error("{0}")]
    Invalid(String),
}

impl de::Error for DecodeError {
    fn custom<T: Display>(text: T) -> Self {
        Self::Invalid(text.to_string())
    }
}
