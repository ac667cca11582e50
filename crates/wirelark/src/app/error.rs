//! How a handler ends, and what the client is told of it.

use std::error::Error as StdError;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use parking_lot::Mutex;
use wirelark_proto::{CloseCode, CloseFrame};

use super::auth::AuthError;
use crate::connection::{Conclude, Outcome, SendError, SignInError};
use crate::hub::RoomDenied;

/// The result of a socket handler. `Ok` closes the connection with 1000.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Any error a handler may end with; made from every error type by `?`.
///
/// What it says goes to the [`on_error`](crate::Hooks::on_error) hook, or into the log. The client learns a close code: the code of a [`Close`], 1000 where the
/// error only says that the client is gone, the twin of the
/// HTTP status where it is an [`AuthError`](crate::auth::AuthError), a [`SignInError`](crate::auth::SignInError) or a
/// [`RoomDenied`](crate::RoomDenied), 1011 "handler error" for everything else.
pub struct Error(Box<dyn StdError + Send + Sync>);

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl Error {
    /// The error inside, if it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The error inside, if it is an `E`; otherwise this error again.
    pub fn downcast<E: StdError + 'static>(self) -> Result<E, Self> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        if let Some(close) = self.0.downcast_ref::<Close>() {
            return Outcome::Close(close.0.clone());
        }
        if let Some(denied) = self.0.downcast_ref::<RoomDenied>() {
            return Outcome::Close(CloseFrame::new(CloseCode::twin_of(denied.status()), denied.to_string()));
        }
        if let Some(error) = self.0.downcast_ref::<AuthError>() {
            return Outcome::Close(error.close_frame());
        }
        match self.0.downcast_ref() {
            Some(SignInError::Ended) => return Outcome::Finished,
            Some(error) => return Outcome::Close(error.close_frame()),
            None => {}
        }
        if let Some(SendError::Closed) = self.0.downcast_ref() {
            return Outcome::Finished;
        }
        Outcome::Failed(self.0)
    }

    /// The answer to an upgrade that ended with this error before it was accepted.
    pub(crate) fn into_response(self, route: &str) -> Response {
        let error = match self.0.downcast::<RoomDenied>() {
            Ok(denied) => return denied.into_response(),
            Err(error) => error,
        };
        let error = match error.downcast::<AuthError>() {
            Ok(error) => return error.into_response(),
            Err(error) => error,
        };
        match error.downcast::<Refusal>() {
            Ok(refusal) => refusal.into_response(),
            Err(error) => {
                tracing::error!(route, %error, "upgrade handler failed");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An error that closes the connection with a code and a reason of the handler's choice.
///
/// ```
/// # use wirelark::{Close, CloseCode};
/// fn check(text: &str) -> wirelark::Result {
///     if text.is_empty() {
///         return Err(Close::new(CloseCode::POLICY, "say something").into());
///     }
///     Ok(())
/// }
/// # assert!(check("").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close(CloseFrame);

impl Close {
    /// The reason is cut to the 123 bytes a close frame holds.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        Self(CloseFrame::new(code, reason))
    }
}

impl From<CloseFrame> for Close {
    fn from(frame: CloseFrame) -> Self {
        Self(frame)
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close {} {:?}", u16::from(self.0.code), self.0.reason.as_str())
    }
}

impl StdError for Close {}

/// An HTTP response that answers an upgrade instead of the 101.
///
/// The lock makes an error of it: errors cross threads by reference, and a response's body does not.
#[derive(Debug)]
pub struct Refusal(Box<Mutex<Response>>);

impl Refusal {
    /// Refuses with anything axum can respond with.
    pub fn new(response: impl IntoResponse) -> Self {
        Self(Box::new(Mutex::new(response.into_response())))
    }

    /// The status the client will see.
    pub fn status(&self) -> StatusCode {
        self.0.lock().status()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.into_inner()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upgrade refused with {}", self.status())
    }
}

impl StdError for Refusal {}

/// What a socket handler may return.
pub trait IntoOutcome {
    #[doc(hidden)]
    fn into_outcome(self) -> OutcomeOf;
    #[doc(hidden)]
    fn into_refusal(self, route: &str) -> Response;
}

/// An outcome, without its crate-private type in a public signature.
#[doc(hidden)]
#[derive(Debug)]
pub struct OutcomeOf(pub(crate) Outcome);

impl<T: IntoOutcome> Conclude for T {
    fn conclude(self) -> Outcome {
        self.into_outcome().0
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> OutcomeOf {
        OutcomeOf(Outcome::Finished)
    }

    fn into_refusal(self, route: &str) -> Response {
        unanswered(route)
    }
}

impl<E: Into<Error>> IntoOutcome for std::result::Result<(), E> {
    fn into_outcome(self) -> OutcomeOf {
        match self {
            Ok(()) => ().into_outcome(),
            Err(error) => OutcomeOf(error.into().into_outcome()),
        }
    }

    fn into_refusal(self, route: &str) -> Response {
        match self {
            Ok(()) => unanswered(route),
            Err(error) => error.into().into_response(route),
        }
    }
}

impl IntoOutcome for Response {
    fn into_outcome(self) -> OutcomeOf {
        ().into_outcome()
    }

    fn into_refusal(self, _: &str) -> Response {
        self
    }
}

/// A handler that took an upgrade and ended without accepting or refusing it.
fn unanswered(route: &str) -> Response {
    tracing::error!(route, "the handler dropped its Upgrade without accepting or refusing it");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
