//! How calls end.

use serde::de::DeserializeOwned;
use wirelark_proto::contract::{Body, DecodeError, EncodeError, ErrorResponse, Format, RateLimited};

use crate::closed::Closed;

/// Why a call has no answer, or a send was not queued.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered that it failed.
    #[error("{0}")]
    Refused(Box<ServerError>),
    /// It was made too often, and the server did not do it. Until `retry_after` has passed the client holds back
    /// whatever else has the same name; see [`Builder::rate_limit_retries`](crate::Builder::rate_limit_retries).
    #[error("{0}")]
    RateLimited(RateLimited),
    /// The connection ended while the call waited, or there is none and the client does not
    /// [wait for one](crate::Offline).
    #[error("there was no answer: the connection ended {closed}")]
    Disconnected {
        /// Whether the server may have got the call. If not, it is safe to call again.
        sent: bool,
        /// How the connection ended, or the last attempt at one.
        closed: Closed,
    },
    /// The answer did not come in time. The server is not told: it may still do what was asked.
    #[error("the answer did not come in time")]
    Timeout {
        /// Whether the server may have got the call. If not, it never will.
        sent: bool,
    },
    /// The client is closed, or was closed by its own end while the call waited; `connect` opens it again.
    #[error("the client was closed {0}")]
    Closed(Closed),
    /// There is no room: for what waits to be sent, or for calls that wait for their answers.
    #[error("the client has no room for another call: wait for some of those that run, or allow it more")]
    Full,
    /// The input cannot be written. Nothing was sent.
    #[error("the input cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// The answer is not what the caller takes.
    #[error("the answer is not the expected one: {0}")]
    Decode(#[from] DecodeError),
}

impl CallError {
    /// The code of an error the server made for its clients, if this is one and has one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => error.code.as_deref(),
            Self::RateLimited(_) => Some(RateLimited::CODE),
            _ => None,
        }
    }

    /// How the connection ended, if that is why there is no answer.
    pub fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Disconnected { closed, .. } | Self::Closed(closed) => Some(closed),
            _ => None,
        }
    }
}

/// What the server says went wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ServerError {
    /// For people.
    pub message: Box<str>,
    /// For programs, such as `FORBIDDEN`.
    pub code: Option<Box<str>>,
    /// The id of the request, as it was sent.
    pub request_id: Box<str>,
    /// The name of the call, if the server said it.
    pub call: Option<Box<str>>,
    data: Option<(Format, Box<[u8]>)>,
}

impl ServerError {
    pub(crate) fn new(error: &ErrorResponse<'_>) -> Self {
        Self {
            message: error.error.as_ref().into(),
            code: error.code.as_deref().map(Into::into),
            request_id: error.id.as_ref().into(),
            call: error.call.as_deref().map(Into::into),
            data: error.data.map(|data| (data.format(), data.as_bytes().into())),
        }
    }

    /// When to come again, if it came too often.
    pub(crate) fn rate_limited(&self) -> Option<RateLimited> {
        self.code.as_deref().filter(|code| *code == RateLimited::CODE)?;
        self.data()?.ok()
    }

    /// More about it, as what the server is known to send; `None` if it sent nothing.
    ///
    /// # Errors
    /// It sent something else.
    pub fn data<T: DeserializeOwned>(&self) -> Option<Result<T, DecodeError>> {
        self.data.as_ref().map(|(format, bytes)| format.decode(bytes))
    }
}

/// An answer as it arrived, decoded by whoever waits for it.
#[derive(Debug)]
pub(crate) struct Answer {
    format: Format,
    body: Option<Box<[u8]>>,
}

impl Answer {
    pub(crate) fn new(format: Format, body: Option<Body<'_>>) -> Self {
        Self { format, body: body.map(|body| body.as_bytes().into()) }
    }

    pub(crate) fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        match &self.body {
            Some(body) => self.format.decode(body),
            None => absent(self.format),
        }
    }
}

/// The value of a body that is not there, which JavaScript calls `undefined`. `()` and `Option` take it.
pub(crate) fn absent<T: DeserializeOwned>(format: Format) -> Result<T, DecodeError> {
    format.decode(match format {
        Format::Json => b"null",
        Format::MsgPack => &[0xc0],
    })
}
