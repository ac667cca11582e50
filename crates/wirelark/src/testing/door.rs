//! How clients get to the app of a host: in memory, over TCP or over TLS.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::ClientStream;
use crate::app::Built;
use crate::app::auth::User;
use crate::net::pipe;
use crate::serve::serve_connection;

/// A way into a host, for as many streams as a client needs.
#[derive(Clone)]
pub(super) enum Door {
    Memory {
        built: Built,
        user: Option<User>,
        stopping: CancellationToken,
        requests: TaskTracker,
        seed: Arc<AtomicU64>,
    },
    Tcp(SocketAddr),
    #[cfg(feature = "tls")]
    Tls(SocketAddr, tokio_rustls::TlsConnector),
}

impl Door {
    /// A fresh stream to the app.
    pub(super) async fn open(&self) -> io::Result<Box<dyn ClientStream>> {
        match self {
            Self::Memory { stopping, .. } if stopping.is_cancelled() => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Self::Memory { built, user, stopping, requests, seed } => {
                let (ours, theirs) = pipe::pipe(seed.fetch_add(0x9E37_79B9, Relaxed));
                let mut router = built.router();
                if let Some(user) = user.clone() {
                    router = router.layer(axum::Extension(user));
                }
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                let serving = serve_connection(theirs, address, router, stopping.clone());
                requests.spawn(built.hub().stopped().clone().run_until_cancelled_owned(serving));
                Ok(Box::new(ours))
            }
            Self::Tcp(address) => Ok(Box::new(connect(*address).await?)),
            #[cfg(feature = "tls")]
            Self::Tls(address, connector) => {
                let name = rustls::pki_types::ServerName::try_from("localhost").expect("a valid name");
                Ok(Box::new(connector.connect(name, connect(*address).await?).await?))
            }
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whoever connects over a network has to say itself who it is.
pub(super) fn refuse_user(user: Option<&User>) {
    assert!(
        user.is_none(),
        "`user` is for hosts in memory: over a network a client must sign in, so send a token"
    );
}
