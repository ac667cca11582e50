//! TLS, through rustls.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, for [`Server::tls`](crate::Server::tls).
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
}

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The text holds no certificate, or no key.
    #[error("the PEM text holds no usable {0}")]
    Pem(&'static str),
    /// The certificate and the key do not work together.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
}

impl Tls {
    /// From a certificate chain and a private key in PEM.
    ///
    /// # Errors
    /// One of them is missing, or they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or(TlsError::Pem("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Pem("private key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self::from_config(config))
    }

    /// From a rustls configuration of one's own. WebSockets are spoken over HTTP/1.1, so that is what is
    /// offered through ALPN.
    pub fn from_config(mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config) }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
