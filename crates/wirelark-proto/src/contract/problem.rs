//! An error that a client may see.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{EncodeBody, EncodeError, Format};

/// An error of the application, made for the client: its text, a code that programs can tell apart, and data.
///
/// It travels as it is. Whatever else goes wrong in a call reaches the client as a constant text.
///
/// ```
/// use wirelark_proto::contract::Problem;
///
/// let problem = Problem::new("only members may post").code("FORBIDDEN").data(&[("room", "lobby")]);
/// assert_eq!(problem.to_string(), "only members may post");
/// ```
#[derive(Clone)]
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    message: Box<str>,
    code: Option<Box<str>>,
    /// Kept as it was given: encoding it twice would lose the order of its fields.
    data: Option<Arc<dyn EncodeBody + Send + Sync>>,
}

impl Problem {
    /// An error with a text for people, without code and data.
    pub fn new(message: impl Into<Box<str>>) -> Self {
        Self(Box::new(Inner { message: message.into(), code: None, data: None }))
    }

    /// The same with a code, such as `FORBIDDEN`.
    #[must_use]
    pub fn code(mut self, code: impl Into<Box<str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// The same with data. What cannot be written is left out.
    #[must_use]
    pub fn data(mut self, data: impl Serialize + Send + Sync + 'static) -> Self {
        self.0.data = Some(Arc::new(Owned(data)));
        self
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The code, if it has one.
    pub fn as_code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The data, if it has any.
    pub fn as_data(&self) -> Option<ProblemData<'_>> {
        self.0.data.as_deref().map(ProblemData)
    }
}

/// A value as the body of a frame.
struct Owned<T>(T);

impl<T: Serialize> EncodeBody for Owned<T> {
    fn encode_body(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        format.encode(&self.0, out)
    }
}

/// The data of a [`Problem`], as the body of a frame.
#[derive(Clone, Copy)]
pub struct ProblemData<'a>(&'a (dyn EncodeBody + Send + Sync));

impl EncodeBody for ProblemData<'_> {
    fn encode_body(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.0.encode_body(format, out)
    }
}

impl fmt::Debug for ProblemData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProblemData")
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("message", &self.0.message)
            .field("code", &self.0.code)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Problem {}

impl From<std::convert::Infallible> for Problem {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
