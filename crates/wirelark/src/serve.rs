//! Floor 5: serving. The accept loop, the limits of the handshake, and the way down.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use wirelark_proto::{CloseCode, CloseFrame};

use crate::app::{App, BuildError, Built};
use crate::hub::Hub;
use crate::net::socket_options;
#[cfg(feature = "tls")]
use crate::net::tls::Tls;
use crate::net::withheld::Withheld;
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;

/// How long a client may take to send its request's head, and to finish a TLS handshake. A client that
/// connects and says nothing is cut then too.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A request's head may have this many headers and bytes; beyond them the answer is 431.
const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long connections have to close when the server stops, unless set.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The app cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The address cannot be listened on.
    #[error("cannot listen on that address")]
    Listen(#[from] io::Error),
}

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// Listens on `address` and serves until the process is told to stop (Ctrl-C, or SIGTERM on Unix), then
    /// closes every connection with 1001 and returns when they are gone.
    ///
    /// # Errors
    /// The app cannot be built, or the address cannot be listened on.
    pub async fn serve(self, address: impl ToSocketAddrs) -> Result<(), ServeError> {
        self.bind(address).await?.run().await;
        Ok(())
    }

    /// Listens on `address`; [`Server::run`] serves.
    ///
    /// # Errors
    /// The app cannot be built, or the address cannot be listened on.
    pub async fn bind(self, address: impl ToSocketAddrs) -> Result<Server, ServeError> {
        let built = self.build()?;
        let listener = TcpListener::bind(address).await?;
        socket_options::prepare_listener(&listener);
        let address = listener.local_addr()?;
        Ok(Server {
            listener,
            address,
            built,
            #[cfg(feature = "tls")]
            tls: None,
            drain_timeout: DRAIN_TIMEOUT,
            drain_frame: CloseFrame::new(CloseCode::GOING_AWAY, "server shutdown"),
        })
    }
}

/// An app that listens.
#[derive(Debug)]
#[must_use = "a server serves nothing until it is run"]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    built: Built,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    drain_timeout: Duration,
    drain_frame: CloseFrame,
}

impl Server {
    /// Where it listens: the real port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The app's hub.
    pub fn hub(&self) -> &Hub {
        self.built.hub()
    }

    /// The app that is served.
    pub fn app(&self) -> &Built {
        &self.built
    }

    /// Speaks TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long connections and handlers have to end when the server stops; 10 s unless set. What is left
    /// then is dropped.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// The code connections are closed with when the server stops: 1001 unless set, 1012 when it will be
    /// back in a moment.
    pub fn drain_code(mut self, code: CloseCode, reason: &str) -> Self {
        self.drain_frame = CloseFrame::new(code, reason);
        self
    }

    /// Serves until Ctrl-C, or SIGTERM on Unix; see [`run_until`](Self::run_until).
    pub async fn run(self) {
        self.run_until(stop_signal()).await;
    }

    /// Serves until `stop` is ready. Then it stops listening, closes every connection, waits for handlers and for what
    /// runs [alongside](App::alongside) until the drain timeout, drops what is left, and returns when nothing of it
    /// runs any more.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let Self { listener, built, drain_timeout, drain_frame, .. } = self;
        let hub = built.hub().clone();
        let doors = Doors {
            built,
            #[cfg(feature = "tls")]
            tls: self.tls.map(|tls| tls.acceptor()),
            stopping: CancellationToken::new(),
            requests: TaskTracker::new(),
        };
        let (stopping, requests) = (doors.stopping.clone(), doors.requests.clone());
        let alongside = doors.built.run_alongside(&stopping);
        // A task of its own, so that it runs on the workers. The future of `main` does not, and would have to
        // wake one for every connection.
        let accepting = tokio::spawn(doors.accept_all(listener));
        stop.await;
        stopping.cancel();
        let _ = accepting.await;
        requests.close();
        hub.drain(&drain_frame);
        let drained = async {
            requests.wait().await;
            hub.tasks().wait().await;
            alongside.wait().await;
        };
        if timeout(drain_timeout, drained).await.is_err() {
            tracing::warn!("the drain timeout has passed: dropping what is left");
        }
        hub.stop().await;
        requests.wait().await;
        alongside.wait().await;
    }
}

/// What every accepted connection needs.
struct Doors {
    built: Built,
    #[cfg(feature = "tls")]
    tls: Option<TlsAcceptor>,
    stopping: CancellationToken,
    requests: TaskTracker,
}

impl Doors {
    /// Accepts connections until told to stop; the listener is closed then.
    async fn accept_all(self, listener: TcpListener) {
        let stopping = self.stopping.clone();
        let accepting = async {
            loop {
                let (stream, address) = accept(&listener).await;
                self.admit(stream, address);
            }
        };
        stopping.run_until_cancelled(accepting).await;
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr) {
        socket_options::prepare_accepted(&stream);
        let (router, stopping) = (self.built.router(), self.stopping.clone());
        let stopped = self.built.hub().stopped().clone();
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            self.requests.spawn(stopped.run_until_cancelled_owned(async move {
                match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve_connection(stream, address, router, stopping).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake timed out"),
                }
            }));
            return;
        }
        let serving = serve_connection(stream, address, router, stopping);
        self.requests.spawn(stopped.run_until_cancelled_owned(serving));
    }
}

/// Accepts a connection, however often the system refuses: out of descriptors is a state that passes.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut pause = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_the_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Speaks HTTP/1 on a stream until it ends or is upgraded.
pub(crate) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    address: SocketAddr,
    router: Router,
    stopping: CancellationToken,
) {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Withheld::new(stream)), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Ready when the process is told to stop. It listens from the call on, and not from the first poll: a signal that came
/// in between would end the process without a goodbye to anybody.
#[cfg(unix)]
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [interrupted, terminated] = signals.map(async |signal| match signal {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "a signal cannot be caught and will end the process at once");
                std::future::pending().await
            }
        });
        tokio::select! {
            () = interrupted => {}
            () = terminated => {}
        }
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    let _ = tokio::signal::ctrl_c().await;
}
