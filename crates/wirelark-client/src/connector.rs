//! Where byte streams come from: TCP and TLS, unless somebody brings their own.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Address;

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that is being opened.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Opens the streams of a client: one for each attempt. [`Network`] unless the
/// [builder](crate::Builder::connector) is given another one, such as an async function of the address, for proxies,
/// Unix sockets and pipes in memory.
///
/// A stream is dropped when an attempt takes longer than the connect timeout.
pub trait Connector: Send + Sync + 'static {
    /// Opens a stream to the address, encrypted if it [says so](Address::is_secure).
    fn connect(&self, address: &Address) -> Connecting;
}

impl<F, Opening, S> Connector for F
where
    F: Fn(Address) -> Opening + Send + Sync + 'static,
    Opening: Future<Output = io::Result<S>> + Send + 'static,
    S: Stream + 'static,
{
    fn connect(&self, address: &Address) -> Connecting {
        let opening = self(address.clone());
        Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn Stream>) })
    }
}

/// TCP, and TLS for `wss`.
///
/// Servers are trusted whose certificates lead to one of Mozilla's roots, which are compiled in: the client behaves
/// the same on every machine, in containers without certificates too.
#[derive(Clone, Default)]
pub struct Network {
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsConnector>,
}

impl Network {
    /// With what is compiled in.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a configuration of one's own, for private roots and client certificates.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.tls = Some(config.into());
        self
    }
}

impl Connector for Network {
    #[cfg(feature = "tls")]
    fn connect(&self, address: &Address) -> Connecting {
        let (address, tls) = (address.clone(), self.tls.clone());
        Box::pin(async move {
            let stream = tcp(&address).await?;
            if !address.is_secure() {
                return Ok(Box::new(stream) as Box<dyn Stream>);
            }
            let tls = tls.map_or_else(tls::trusting_mozilla, Ok)?;
            let name = tls::server_name(&address)?;
            Ok(Box::new(tls.connect(name, stream).await?) as Box<dyn Stream>)
        })
    }

    #[cfg(not(feature = "tls"))]
    fn connect(&self, address: &Address) -> Connecting {
        let address = address.clone();
        Box::pin(async move {
            if address.is_secure() {
                let message = "`wss` needs the feature `tls`, or a connector that encrypts";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
            Ok(Box::new(tcp(&address).await?) as Box<dyn Stream>)
        })
    }
}

async fn tcp(address: &Address) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((address.host(), address.port())).await?;
    // Frames are gathered before they are written: Nagle's algorithm would only delay them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(feature = "tls")]
mod tls {
    use std::io;
    use std::sync::{Arc, OnceLock};

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    use crate::address::Address;

    /// One for the whole process: it also remembers sessions that can be resumed.
    pub(super) fn trusting_mozilla() -> io::Result<TlsConnector> {
        static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = CONFIG.get() {
            return Ok(Arc::clone(config).into());
        }
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))).into())
    }

    pub(super) fn server_name(address: &Address) -> io::Result<ServerName<'static>> {
        ServerName::try_from(address.host().to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
