//! Why a call or a message failed: what the client may know, and what only the log may.

use wirelark_proto::contract::{Problem, RateLimited};

use super::Error;
use super::auth::{AuthError, SignInError};
use crate::hub::RoomDenied;

/// How a call or a message ended that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Made for the client.
    Problem(Problem),
    /// The client's message is not what is taken here; it is told so.
    Input(Problem),
    /// It came too often. Counted and not reported: what a client can do this often must not fill a log.
    Limited(RateLimited),
    /// For the log; the client gets a constant text and an id to ask about.
    Internal(Error),
    /// The handler's answer cannot be written. As internal: it is a bug of the server.
    Unwritable(Error),
    /// The handler panicked; already reported.
    Panicked,
    /// It took longer than the route allows.
    TimedOut,
}

/// What the handler of a call or a message may fail with.
///
/// A [`Problem`], or anything that turns into one (`impl From<PostError> for Problem`), reaches the client as
/// it is. A [`wirelark::Error`](crate::Error), into which `?` turns any other error, reaches it as a constant
/// text with an id that stands in the log beside the error; unless it holds a `Problem`, or what is as good as one: a
/// [`RateLimited`], a [`RoomDenied`](crate::RoomDenied), an [`AuthError`](crate::auth::AuthError) or a
/// [`SignInError`](crate::auth::SignInError).
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
        let problem = self
            .downcast::<Problem>()
            .or_else(|error| error.downcast::<RateLimited>().map(Into::into))
            .or_else(|error| error.downcast::<RoomDenied>().map(Into::into))
            .or_else(|error| error.downcast::<AuthError>().map(Into::into))
            .or_else(|error| error.downcast::<SignInError>().map(Into::into));
        FailureOf(problem.map_or_else(Failure::Internal, Failure::Problem))
    }
}
