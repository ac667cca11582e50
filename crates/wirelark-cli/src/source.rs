//! Where an AsyncAPI document comes from: a server, a file, or standard input.
//!
//! Nothing here knows what is in it, except that it is JSON; [`Api`](crate::api::Api) does.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest document that is read, in bytes. That of a hundred contracts has a few hundred thousand.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a server may take for its whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a document is read from.
///
/// ```
/// use wirelark_cli::source::Source;
///
/// assert!(matches!("http://127.0.0.1:3000/asyncapi.json".parse(), Ok(Source::Url(_))));
/// assert!(matches!("api.json".parse(), Ok(Source::File(_))));
/// assert!(matches!("-".parse(), Ok(Source::Stdin)));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// What a server serves there.
    Url(Uri),
    /// What is in a file.
    File(PathBuf),
    /// What comes in.
    Stdin,
}

/// A document could not be read; the text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// An address of no server.
    #[error("{0} is not an address of a document; write it like http://127.0.0.1:3000/asyncapi.json")]
    Address(String),
    /// There is no server, or it does not speak HTTP.
    #[error("{url}: {error}; is the server running?")]
    Connect {
        /// The address.
        url: Uri,
        /// What happened.
        error: io::Error,
    },
    /// The server did not answer in time.
    #[error("{0}: no answer within {seconds} seconds", seconds = ANSWER_TIMEOUT.as_secs())]
    Timeout(Uri),
    /// The server answered that the document is elsewhere.
    #[error(
        "{url}: the server answers {status} and sends us to {location}; write that address if you trust it"
    )]
    Moved {
        /// The address.
        url: Uri,
        /// The answer.
        status: StatusCode,
        /// Where it is.
        location: String,
    },
    /// The server has no such document.
    #[error(
        "{url}: the server answers {status}; serve the document with `App::asyncapi(\"/asyncapi.json\")` and write \
         its address"
    )]
    Status {
        /// The address.
        url: Uri,
        /// The answer.
        status: StatusCode,
    },
    /// A file that cannot be read, or a connection that broke.
    #[error("{name}: {error}")]
    Read {
        /// Where it was read from.
        name: String,
        /// What happened.
        error: io::Error,
    },
    /// More than [`DOCUMENT_BYTES_MAX`].
    #[error("{0} has more than {DOCUMENT_BYTES_MAX} bytes, which no AsyncAPI document of an app has")]
    TooLarge(String),
    /// Something else: often the HTML of a page.
    #[error("{name} is not JSON but begins with {begin:?} ({error})")]
    NotJson {
        /// Where it was read from.
        name: String,
        /// How it begins.
        begin: String,
        /// What the parser says.
        error: serde_json::Error,
    },
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let url: Uri = text.parse().map_err(|_| SourceError::Address(text.to_owned()))?;
        let known = url.scheme() == Some(&Scheme::HTTP) || url.scheme() == Some(&Scheme::HTTPS);
        if known && url.host().is_some() {
            Ok(Self::Url(url))
        } else {
            Err(SourceError::Address(text.to_owned()))
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

impl Source {
    /// Reads the document. Files are read where this is polled, which blocks its thread.
    pub async fn read(&self) -> Result<Value, SourceError> {
        let bytes = match self {
            Self::Url(url) => {
                let fetched = tokio::time::timeout(ANSWER_TIMEOUT, fetch(url)).await;
                fetched.map_err(|_| SourceError::Timeout(url.clone()))??
            }
            Self::File(path) => File::open(path)
                .and_then(read_bounded)
                .map_err(|error| SourceError::Read { name: self.to_string(), error })?,
            Self::Stdin => read_bounded(io::stdin())
                .map_err(|error| SourceError::Read { name: self.to_string(), error })?,
        };
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(SourceError::TooLarge(self.to_string()));
        }
        serde_json::from_slice(&bytes).map_err(|error| SourceError::NotJson {
            name: self.to_string(),
            begin: String::from_utf8_lossy(&bytes).trim_start().chars().take(40).collect(),
            error,
        })
    }
}

/// At most one byte more than a document may have.
fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn fetch(url: &Uri) -> Result<Vec<u8>, SourceError> {
    let response = answer(url).await.map_err(|error| SourceError::Connect { url: url.clone(), error })?;
    let status = response.status();
    if let (true, Some(location)) = (status.is_redirection(), response.headers().get(header::LOCATION)) {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        return Err(SourceError::Moved { url: url.clone(), status, location });
    }
    if status != StatusCode::OK {
        return Err(SourceError::Status { url: url.clone(), status });
    }
    match Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(SourceError::TooLarge(url.to_string())),
        Err(error) => Err(SourceError::Read { name: url.to_string(), error: io::Error::other(error) }),
    }
}

/// One request over one connection. It is little enough to need no HTTP client beside hyper, which we have.
async fn answer(url: &Uri) -> io::Result<Response<Incoming>> {
    let secure = url.scheme() == Some(&Scheme::HTTPS);
    let host = url.host().unwrap_or_default();
    // As addresses of version 6 are written in a URL, and nowhere else.
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((bare_host, port)).await?;
    if secure {
        let name = ServerName::try_from(bare_host.to_owned()).map_err(io::Error::other)?;
        request(tls().connect(name, stream).await?, url).await
    } else {
        request(stream, url).await
    }
}

async fn request<S>(stream: S, url: &Uri) -> io::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut requests, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the body, or when that is dropped.
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.authority().map_or("", |authority| authority.as_str());
    // What is in front of an `@` is a password, and no part of a host.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    requests.send_request(request).await.map_err(io::Error::other)
}

fn tls() -> TlsConnector {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the versions rustls has by default")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
