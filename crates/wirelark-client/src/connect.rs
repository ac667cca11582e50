//! One attempt to connect: a stream, and the handshake on it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wirelark_proto::handshake::client::{Connected, Handshake, HandshakeError, Refused, Request};
use wirelark_proto::{CloseCode, CloseFrame};

use crate::address::Address;
use crate::builder::BuildError;
use crate::closed::{Closed, ClosedBy};
use crate::connector::{Connector, Stream};

/// Why an attempt to connect failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The client could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No stream could be opened, or it broke during the handshake.
    #[error("no connection could be made: {0}")]
    Io(Arc<io::Error>),
    /// The server answered with another status than 101. Redirects are not followed.
    #[error("the server refused the connection with {status}: {body}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The beginning of the response's body, for people.
        body: Box<str>,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server's answer breaks the protocol.
    #[error("{0}")]
    Handshake(HandshakeError),
    /// The server agreed to none of the formats that were offered, so that nobody knows what it will send.
    #[error(
        "the server did not agree to `{0}`: for servers that agree to no subprotocol there is `plain_socka()`"
    )]
    Subprotocol(&'static str),
    /// It took longer than the connect timeout.
    #[error("the connection was not made in time")]
    Timeout,
    /// The client was closed before it was connected.
    #[error("the client was closed {0}")]
    Closed(Closed),
}

impl ConnectError {
    /// The same in the words of the table that says what to do next.
    pub(crate) fn closed(&self) -> Closed {
        match self {
            Self::Io(error) if is_certificate(error) => {
                Closed { code: CloseCode::TLS, reason: error.to_string().into(), by: ClosedBy::Network }
            }
            Self::Io(_) | Self::Timeout | Self::Handshake(HandshakeError::Eof) => {
                Closed::by_network(self.to_string())
            }
            Self::Refused { status, .. } => Closed {
                code: CloseCode::twin_of(*status),
                reason: status.to_string().into(),
                by: ClosedBy::Server,
            },
            Self::Build(_) | Self::Handshake(_) | Self::Subprotocol(_) => {
                Closed::by_client(CloseFrame::new(CloseCode::PROTOCOL, self.to_string()))
            }
            Self::Closed(closed) => closed.clone(),
        }
    }

    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Refused(refused) => Self::from(*refused),
            error => Self::Handshake(error),
        }
    }
}

impl From<Refused> for ConnectError {
    fn from(refused: Refused) -> Self {
        let retry_after = refused.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok());
        Self::Refused {
            status: refused.status,
            body: String::from_utf8_lossy(&refused.body).into(),
            retry_after: retry_after.and_then(|after| after.parse().ok()).map(Duration::from_secs),
        }
    }
}

/// Whether the server could not prove who it is, which another attempt would not change.
#[cfg(feature = "tls")]
fn is_certificate(error: &io::Error) -> bool {
    use tokio_rustls::rustls::Error;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented))
}

#[cfg(not(feature = "tls"))]
fn is_certificate(_: &io::Error) -> bool {
    false
}

/// Opens a stream and shakes hands on it.
pub(crate) async fn open(
    connector: &dyn Connector,
    address: &Address,
    request: Request,
) -> Result<(Box<dyn Stream>, Connected), ConnectError> {
    let (mut handshake, head) =
        Handshake::start(request).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut stream = connector.connect(address).await?;
    stream.write_all(&head).await?;
    stream.flush().await?;
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(handshake.handle_eof().into());
        }
        if let Some(connected) = handshake.receive(&buffer[..read])? {
            return Ok((stream, connected));
        }
    }
}
