//! One test, three ways to reach the app: pipes in memory, TCP, TLS.

// Each test file uses a part of this.
#![allow(dead_code, unused_macros, unused_imports, reason = "shared by test files that use different parts")]

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tokio_rustls::TlsConnector;
use wirelark::testing::Host;
use wirelark::{App, Tls};

/// Runs an async function of a [`Host`] over every way. In memory the clock is paused.
macro_rules! each_way {
    ($app:expr; $($name:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name(wirelark::testing::Host::new($app).jwt_secret(b"test-secret")).await;
                }
            )+
        }
        mod tcp {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(wirelark::testing::Host::tcp($app).await.jwt_secret(b"test-secret")).await;
                }
            )+
        }
        mod tls {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::ways::tls_host($app).await.jwt_secret(b"test-secret")).await;
                }
            )+
        }
    };
}
pub(crate) use each_way;

/// A host that speaks TLS with a certificate made for the occasion.
pub(crate) async fn tls_host(app: App) -> Host {
    let (tls, config) = tls();
    Host::tls(app, tls, TlsConnector::from(config)).await
}

/// A certificate made for the occasion, for a server, and for clients that trust it.
pub(crate) fn tls() -> (Tls, Arc<rustls::ClientConfig>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate can be made");
    let tls =
        Tls::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes()).expect("it can be used");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(cert.der().to_vec())).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (tls, Arc::new(config))
}

/// Claims of a user who may open `/secure`.
pub(crate) fn ada() -> serde_json::Value {
    json!({"sub": "ada", "scope": "realtime"})
}

/// A token with these claims, signed with the server's secret.
pub(crate) fn token(claims: &serde_json::Value) -> String {
    token_signed(claims, b"test-secret")
}

pub(crate) fn token_signed(claims: &serde_json::Value, secret: &[u8]) -> String {
    let mut claims = claims.clone();
    if claims.get("exp").is_none() {
        claims["exp"] = 4_000_000_000_u64.into();
    }
    let key = jsonwebtoken::EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("claims can be signed")
}
