//! Why a call failed: what the client may know, and what only the log may.

use wirelark_proto::contract::{EncodeError, Problem, RateLimited};

use crate::app::Error;

/// How a call ended that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Made for the client.
    Problem(Problem),
    /// For the log; the client gets a constant text and an id to ask about.
    Internal(Error),
    /// The handler's answer cannot be written. As internal: it is a bug of the server.
    Unwritable(EncodeError),
    /// The handler panicked; already reported.
    Panicked,
    /// The call took longer than the route allows.
    TimedOut,
}

/// What a call's handler may fail with.
///
/// A [`Problem`], or anything that turns into one (`impl From<PostError> for Problem`), reaches the client as
/// it is. A [`wirelark::Error`](crate::Error), into which `?` turns any other error, reaches it as a constant
/// text with an id that stands in the log beside the error; unless it holds a `Problem` or a [`RateLimited`], which is
/// unpacked.
pub trait IntoFailure: Send {
    #[doc(hidden)]
    fn into_failure(self) -> FailureOf;
}

/// A failure, without its crate-private type in a public signature.
#[doc(hidden)]
#[derive(Debug)]
pub struct FailureOf(pub(super) Failure);

impl<E: Into<Problem> + Send> IntoFailure for E {
    fn into_failure(self) -> FailureOf {
        FailureOf(Failure::Problem(self.into()))
    }
}

impl IntoFailure for Error {
    fn into_failure(self) -> FailureOf {
        let unpacked =
            self.downcast::<Problem>().or_else(|error| error.downcast::<RateLimited>().map(Into::into));
        FailureOf(unpacked.map_or_else(Failure::Internal, Failure::Problem))
    }
}
