//! Who is connecting: authentication and authorisation, before the 101 or by the [first message](first_message).
//!
//! An [`Authenticator`] turns the upgrade request into a [`User`], or into nobody. A route that was given
//! one refuses nobody with 401 and a user who lacks a required scope or role with 403; the handler never
//! runs. Plain tower middleware works too: whatever inserts a `User` into the request's extensions has
//! authenticated it.
//!
//! Tokens are never logged: neither here nor in the errors made here.

mod first_message;
#[cfg(feature = "jwt")]
mod jwt;
mod token;

use std::future::Future;
use std::pin::Pin;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use wirelark_proto::contract::Problem;
use wirelark_proto::{CloseCode, CloseFrame};

pub(crate) use self::first_message::AskedRoom;
pub use self::first_message::{FirstMessage, Newcomer, Verdict, Verifier, first_message};
#[cfg(feature = "jwt")]
pub use self::jwt::{Claims, Jwt, JwtError};
pub use self::token::TokenSource;
use super::error::Refusal;
pub(crate) use crate::connection::Requirements;
use crate::connection::SEAT_RETRY_SECONDS;
pub use crate::connection::{InvalidUserId, SignInError, User};

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthError> {
        let user = parts.extensions.get().cloned();
        user.ok_or_else(|| match parts.extensions.get() {
            None => AuthError::Missing,
            Some(SignsInLater) => {
                tracing::error!(
                    "a handler takes a `User` where clients sign in by their first message: take it from `socket.user()`"
                );
                AuthError::Response(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR))
            }
        })
    }
}

/// In a request of which nobody can know yet whose it is.
#[derive(Clone, Copy)]
pub(crate) struct SignsInLater;

impl<S: Sync> OptionalFromRequestParts<S> for User {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthError> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Why a request was not authenticated or not authorised. None of them says what the token was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No credentials: 401.
    #[error("sign in first: the request carries no credentials")]
    Missing,
    /// Credentials that do not hold: 401.
    #[error("the credentials are not valid: {0}")]
    Invalid(&'static str),
    /// A known user who may not: 403.
    #[error("the user lacks the {0}")]
    Forbidden(Box<str>),
    /// Any other response.
    #[error(transparent)]
    Response(Refusal),
}

impl AuthError {
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden(_))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Response(refusal) => refusal.status(),
        }
    }

    /// How a client is told that is connected already.
    pub(crate) fn close_frame(&self) -> CloseFrame {
        CloseFrame::new(CloseCode::twin_of(self.status()), self.to_string())
    }
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let (status, text) = (self.status(), self.to_string());
        match self {
            Self::Response(refusal) => refusal.into_response(),
            Self::Forbidden(_) => (status, text).into_response(),
            Self::Missing | Self::Invalid(_) => {
                let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
                (status, challenge, text).into_response()
            }
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = if error.is_forbidden() { "FORBIDDEN" } else { "UNAUTHORIZED" };
        Self::new(error.to_string()).code(code)
    }
}

impl SignInError {
    /// How a client is told whose connection ends with it.
    pub(crate) fn close_frame(&self) -> CloseFrame {
        match self {
            Self::TooManyConnections(why) => {
                let reason = format!("{why}; retry after {SEAT_RETRY_SECONDS} s");
                CloseFrame::new(CloseCode::RATE_LIMITED, reason)
            }
            _ => CloseFrame::new(CloseCode::FORBIDDEN, self.to_string()),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        let code = match error {
            SignInError::TooManyConnections(_) => "TOO_MANY_CONNECTIONS",
            _ => "FORBIDDEN",
        };
        Self::new(error.to_string()).code(code)
    }
}

/// Tells who a request comes from: [`Jwt`], a function through [`from_fn`], or a type of one's own.
pub trait Authenticator: Send + Sync + 'static {
    /// The user, or why there is none.
    fn authenticate<'a>(
        &'a self,
        parts: &'a mut Parts,
    ) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>>;

    /// Whether an offered subprotocol is a credential of this kind, such as `bearer.<token>`. It is then
    /// not chosen while the client offers another.
    fn is_credential(&self, protocol: &str) -> bool {
        let _ = protocol;
        false
    }

    /// Whether a request that carries no credentials ([`AuthError::Missing`]) is let in, as nobody's; see [`optional`].
    fn admits_visitors(&self) -> bool {
        false
    }

    /// How clients sign in after the 101, where they do; see [`first_message`].
    fn first_message(&self) -> Option<&FirstMessage> {
        None
    }

    /// Where a request may carry a credential, for the documents that describe the routes. The `Authorization` header,
    /// unless said otherwise.
    fn sources(&self) -> Vec<TokenSource> {
        vec![TokenSource::Bearer]
    }
}

/// An authenticator made of a function that looks at the request's head.
///
/// ```
/// use http::request::Parts;
/// use wirelark::auth::{self, AuthError, User};
///
/// async fn by_api_key(parts: &mut Parts) -> Result<User, AuthError> {
///     match parts.headers.get("x-api-key").map(|key| key.as_bytes()) {
///         Some(b"ada's key") => Ok(User::new("ada").expect("a valid id")),
///         Some(_) => Err(AuthError::Invalid("unknown API key")),
///         None => Err(AuthError::Missing),
///     }
/// }
/// # let _ =
/// wirelark::App::new().auth(auth::from_fn(|parts| Box::pin(by_api_key(parts))));
/// ```
pub fn from_fn<F>(function: F) -> impl Authenticator
where
    F: for<'a> Fn(&'a mut Parts) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>>
        + Send
        + Sync
        + 'static,
{
    FromFn(function)
}

struct FromFn<F>(F);

impl<F> Authenticator for FromFn<F>
where
    F: for<'a> Fn(&'a mut Parts) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>>
        + Send
        + Sync
        + 'static,
{
    fn authenticate<'a>(
        &'a self,
        parts: &'a mut Parts,
    ) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>> {
        (self.0)(parts)
    }
}

/// The same authenticator for routes that visitors may open too: a request that carries no credentials has no user. One
/// whose credentials do not hold is still refused, as its owner would otherwise be somebody else without noticing.
///
/// Handlers take an `Option<User>`. What a route requires beside it, a scope or a role, a visitor does not have.
///
/// ```
/// use wirelark::auth::{self, Jwt, User};
/// use wirelark::{App, Socket};
///
/// async fn read(user: Option<User>, socket: Socket) -> wirelark::Result {
///     let name = user.as_ref().map_or("visitor", User::id);
///     socket.send(format!("hello, {name}")).await?;
///     Ok(())
/// }
/// # let _ =
/// App::new().auth(auth::optional(Jwt::hs256(b"a secret"))).socket("/read", read);
/// ```
pub fn optional(authenticator: impl Authenticator) -> impl Authenticator {
    Optional(authenticator)
}

struct Optional<A>(A);

impl<A: Authenticator> Authenticator for Optional<A> {
    fn authenticate<'a>(
        &'a self,
        parts: &'a mut Parts,
    ) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>> {
        self.0.authenticate(parts)
    }

    fn is_credential(&self, protocol: &str) -> bool {
        self.0.is_credential(protocol)
    }

    fn admits_visitors(&self) -> bool {
        true
    }

    fn first_message(&self) -> Option<&FirstMessage> {
        self.0.first_message()
    }

    fn sources(&self) -> Vec<TokenSource> {
        self.0.sources()
    }
}

/// Whether somebody may come to a route; nobody may where something is required.
pub(crate) fn authorize(user: Option<&User>, requirements: &Requirements) -> Result<(), AuthError> {
    if requirements.is_empty() {
        return Ok(());
    }
    let lacking = requirements.lacking(user.ok_or(AuthError::Missing)?);
    lacking.map_or(Ok(()), |lacking| Err(AuthError::Forbidden(lacking)))
}
