//! Floor 6: the whole app in memory, for tests.
//!
//! A [`Host`] runs the real stack (HTTP parser, middleware, authentication, limits, codec, hub) over pipes
//! in memory, or the very same over TCP or TLS on a free port. Under `#[tokio::test(start_paused = true)]`
//! [`Host::advance`] moves the clock: a heartbeat test takes no time.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use wirelark::testing::Host;
//! use wirelark::{App, Socket};
//!
//! async fn echo(mut socket: Socket) -> wirelark::Result {
//!     while let Some(message) = socket.recv().await {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! let host = Host::new(App::new().socket("/echo", echo));
//! let mut client = host.at("/echo").connect().await;
//! client.send_text("hello").await;
//! assert_eq!(client.expect_text().await, "hello");
//! client.close(1000, "").await;
//! host.close().await;
//! # }
//! ```

mod client;
mod contract;
mod door;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use wirelark_proto::{CloseCode, CloseFrame};

pub use self::client::{Client, ClientEvent, Connecting, Rejected};
pub use self::contract::ExpectError;
#[doc(hidden)]
pub use self::contract::{HasTester, Inbox};
use self::door::{Door, refuse_user};
use crate::app::auth::User;
use crate::app::{App, Built};
use crate::hub::Hub;

/// An app that runs for a test.
///
/// Everything it started has ended when [`close`](Self::close) returns.
pub struct Host {
    built: Built,
    way: Way,
    seed: Arc<AtomicU64>,
    jwt_secret: Option<Arc<[u8]>>,
}

/// How clients reach the app.
enum Way {
    Memory {
        stopping: CancellationToken,
        requests: TaskTracker,
        alongside: TaskTracker,
    },
    Tcp {
        address: SocketAddr,
        stop: CancellationToken,
        serving: JoinHandle<()>,
    },
    #[cfg(feature = "tls")]
    Tls {
        address: SocketAddr,
        stop: CancellationToken,
        serving: JoinHandle<()>,
        connector: tokio_rustls::TlsConnector,
    },
}

impl Host {
    /// Runs an app over pipes in memory, with one shard.
    ///
    /// # Panics
    /// If the app cannot be built.
    pub fn new<S: Clone + Send + Sync + 'static>(app: App<S>) -> Self {
        let built = app.shards(1).build().unwrap_or_else(|error| panic!("{error}"));
        let stopping = CancellationToken::new();
        let alongside = built.run_alongside(&stopping);
        let way = Way::Memory { stopping, requests: TaskTracker::new(), alongside };
        Self { built, way, seed: Arc::new(AtomicU64::new(0x5EED)), jwt_secret: None }
    }

    /// Runs the same over TCP, on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If the app cannot be built or no port is free.
    pub async fn tcp<S: Clone + Send + Sync + 'static>(app: App<S>) -> Self {
        let server = app.bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap_or_else(|error| panic!("{error}"));
        let (built, address) = (server.app().clone(), server.local_addr());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run_until(stop.clone().cancelled_owned()));
        Self {
            built,
            way: Way::Tcp { address, stop, serving },
            seed: Arc::new(AtomicU64::new(1)),
            jwt_secret: None,
        }
    }

    /// Runs the same over TLS, on a free port of 127.0.0.1. `connector` must trust the certificate for the
    /// name `localhost`.
    ///
    /// # Panics
    /// If the app cannot be built or no port is free.
    #[cfg(feature = "tls")]
    pub async fn tls<S: Clone + Send + Sync + 'static>(
        app: App<S>,
        tls: crate::Tls,
        connector: tokio_rustls::TlsConnector,
    ) -> Self {
        let server = app.bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap_or_else(|error| panic!("{error}"));
        let server = server.tls(tls);
        let (built, address) = (server.app().clone(), server.local_addr());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run_until(stop.clone().cancelled_owned()));
        let way = Way::Tls { address, stop, serving, connector };
        Self { built, way, seed: Arc::new(AtomicU64::new(1)), jwt_secret: None }
    }

    /// The seed of the sizes in which a pipe hands over bytes; a failing test prints it so that it can be
    /// run again.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.seed.store(seed, Relaxed);
        self
    }

    /// The secret [`Connecting::jwt`] signs with.
    #[must_use]
    pub fn jwt_secret(mut self, secret: &[u8]) -> Self {
        self.jwt_secret = Some(secret.into());
        self
    }

    /// A client about to connect to a path.
    pub fn at(&self, path: &str) -> Connecting<'_> {
        Connecting::new(self, path)
    }

    /// Sends a plain HTTP request through the router.
    pub async fn request(&self, request: Request<Body>) -> Response<Body> {
        match self.built.router().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The app's hub.
    pub fn hub(&self) -> &Hub {
        self.built.hub()
    }

    /// The app.
    pub fn app(&self) -> &Built {
        &self.built
    }

    /// Where the host listens; `None` in memory.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.way {
            Way::Memory { .. } => None,
            Way::Tcp { address, .. } => Some(*address),
            #[cfg(feature = "tls")]
            Way::Tls { address, .. } => Some(*address),
        }
    }

    /// The value of a counter or gauge; see [`metric_names`](crate::metric_names). Every label must be
    /// given.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.hub().observer().value(name, labels)
    }

    /// Lets time pass. With a paused clock everything that is due happens, and it takes no time.
    pub async fn advance(&self, time: Duration) {
        // `sleep` and not `tokio::time::advance`: a jump would let several deadlines pass at once, and close
        // connections that were never given the chance to answer.
        tokio::time::sleep(time).await;
    }

    /// Closes every connection with 1001 and waits until nothing of the app runs any more.
    pub async fn close(self) {
        match self.way {
            Way::Memory { stopping, requests, alongside } => {
                stopping.cancel();
                requests.close();
                self.built.hub().drain(&CloseFrame::new(CloseCode::GOING_AWAY, "server shutdown"));
                let drained = async {
                    requests.wait().await;
                    self.built.hub().tasks().wait().await;
                    alongside.wait().await;
                };
                let _ = tokio::time::timeout(Duration::from_secs(10), drained).await;
                self.built.hub().stop().await;
                requests.wait().await;
                alongside.wait().await;
            }
            Way::Tcp { stop, serving, .. } => {
                stop.cancel();
                let _ = serving.await;
            }
            #[cfg(feature = "tls")]
            Way::Tls { stop, serving, .. } => {
                stop.cancel();
                let _ = serving.await;
            }
        }
    }

    /// A fresh stream to the app.
    async fn open(&self, user: Option<User>) -> std::io::Result<Box<dyn client::ClientStream>> {
        self.door(user).open().await
    }

    /// The way in, for a client that comes back by itself.
    fn door(&self, user: Option<User>) -> Door {
        match &self.way {
            Way::Memory { stopping, requests, .. } => Door::Memory {
                built: self.built.clone(),
                user,
                stopping: stopping.clone(),
                requests: requests.clone(),
                seed: Arc::clone(&self.seed),
            },
            Way::Tcp { address, .. } => {
                refuse_user(user.as_ref());
                Door::Tcp(*address)
            }
            #[cfg(feature = "tls")]
            Way::Tls { address, connector, .. } => {
                refuse_user(user.as_ref());
                Door::Tls(*address, connector.clone())
            }
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("app", &self.built)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
