//! From an accepted upgrade to a running connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;
use wirelark_proto::CloseFrame;

use super::auth::{AskedRoom, FirstMessage};
use super::error::IntoOutcome;
use super::farewell::Farewell;
use super::socket::Socket;
use crate::connection::{Agreed, Connection, ConnectionId, Driver, Gate, RouteContext, Seat};
use crate::hub::{Hub, Reservation, Turns};
use crate::limits::SlowClient;
#[cfg(feature = "testing")]
use crate::net::pipe::PipeEnd;
use crate::net::socket_options;
use crate::net::wire::{self, ReadWire, WriteWire};
use crate::net::withheld::Withheld;
use crate::observe::Rejection;

/// An upgrade that has passed every check of its route and waits for the handler.
#[derive(Debug)]
pub struct Pending {
    pub(crate) context: Arc<RouteContext>,
    pub(crate) hub: Hub,
    pub(crate) reservation: Reservation,
    /// Given back when the connection has ended, or never comes to be.
    pub(crate) seat: Option<Seat>,
    pub(crate) on_upgrade: OnUpgrade,
    pub(crate) accept: HeaderValue,
    pub(crate) protocol: Option<HeaderValue>,
    pub(crate) extensions: Option<HeaderValue>,
    pub(crate) agreed: Agreed,
    /// How the client is to say who it is, once there is a connection.
    pub(crate) first: Option<FirstMessage>,
    /// A room the client has named, which nobody can say yet whether it may join.
    pub(crate) asked_room: Option<AskedRoom>,
    pub(crate) runner: Runner,
}

/// Who polls a connection and its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// A task of its own.
    Task,
    /// Its shard: it costs no task, and a TCP socket costs nothing but its descriptor.
    Shard,
}

impl Pending {
    /// Answers 101 and runs the handler once the stream has changed hands.
    pub(crate) fn accept<F, Fut>(self, handler: F) -> Response
    where
        F: FnOnce(Socket) -> Fut + Send + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.context.counters.upgraded();
        self.switch(handler)
    }

    /// Lets the handler decide; it goes on running after it has accepted.
    pub(crate) async fn decide<F, Fut>(self, handler: F) -> Response
    where
        F: FnOnce(Upgrade) -> Fut + Send + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        let (decided, mut decision) = oneshot::channel();
        let (route, hub) = (Arc::clone(&self.context), self.hub.clone());
        let upgrade = Upgrade {
            id: self.reservation.id(),
            protocol: self.agreed.protocol.clone(),
            hub: self.hub.clone(),
            slow_client: None,
            decided,
        };
        let mut running = Box::pin(handler(upgrade));
        let first = poll_fn(|cx| {
            if let Poll::Ready(output) = running.as_mut().poll(cx) {
                // It may have refused and returned in one go.
                return Poll::Ready(Err(match decision.try_recv() {
                    Ok(Decision::Refuse(response)) => *response,
                    _ => output.into_refusal(&route.pattern),
                }));
            }
            Pin::new(&mut decision).poll(cx).map(Ok)
        });
        match first.await {
            Err(response) => self.refuse(response),
            // The `Upgrade` is gone without an answer; what the handler returns is one.
            Ok(Err(_)) => {
                let response = running.await.into_refusal(&route.pattern);
                self.refuse(response)
            }
            Ok(Ok(Decision::Refuse(refusal))) => {
                let response = *refusal;
                // The handler may have more to do; nobody waits for it.
                let refused = self.refuse(response);
                hub.tasks().spawn(async move { drop(running.await) });
                refused
            }
            Ok(Ok(Decision::Accept(opened, slow_client))) => {
                self.context.counters.upgraded();
                self.with_policy(slow_client).switch(move |socket| {
                    // A handler that stopped waiting has dropped its end: its socket closes with it.
                    let _ = opened.send(socket);
                    running
                })
            }
        }
    }

    /// Passes on a handler's or an extractor's own answer.
    pub(crate) fn refuse(&self, response: Response) -> Response {
        self.hub.observer().rejected(match response.status() {
            StatusCode::UNAUTHORIZED => Rejection::Unauthorized,
            StatusCode::FORBIDDEN => Rejection::Forbidden,
            _ => Rejection::Handler,
        });
        response
    }

    /// Closes at once, with a code that no HTTP status is the twin of.
    pub(crate) fn turn_away(self, frame: CloseFrame) -> Response {
        self.hub.observer().rejected(Rejection::Protocol);
        let refusal = (StatusCode::BAD_REQUEST, frame.reason.as_str().to_owned()).into_response();
        let Self { context, hub, on_upgrade, accept, protocol, .. } = self;
        let limit = context.limits.close_timeout;
        Farewell { hub, on_upgrade, accept, protocol, limit }.say(frame, refusal)
    }

    /// The same upgrade for a connection with a policy of its own.
    fn with_policy(mut self, policy: Option<SlowClient>) -> Self {
        if let Some(policy) = policy {
            let mut context = RouteContext::clone(&self.context);
            context.limits.slow_client = policy;
            self.context = Arc::new(context);
        }
        self
    }

    fn switch<H>(self, start: impl FnOnce(Socket) -> H + Send + 'static) -> Response
    where
        H: Future<Output: IntoOutcome> + Send + 'static,
    {
        let response = switching_protocols(self.accept, self.protocol, self.extensions);
        let Self { context, hub, reservation, seat, on_upgrade, agreed, first, asked_room, runner, .. } =
            self;
        // A task of its own only until the stream is here: what it holds is gone before the connection waits.
        hub.tasks().clone().spawn(async move {
            match on_upgrade.await {
                Ok(upgraded) => {
                    let places = (reservation, seat);
                    let gate = |connection: &_| first.map(|first| first.gate(connection, &hub, asked_room));
                    open(upgraded, context, &hub, places, agreed, runner, gate, start);
                }
                Err(error) => {
                    tracing::debug!(route = &*context.pattern, %error, "the client left during its upgrade")
                }
            }
        });
        response
    }
}

/// The 101.
pub(super) fn switching_protocols(
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    extensions: Option<HeaderValue>,
) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.reserve(5);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(extensions) = extensions {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    response
}

#[allow(clippy::too_many_arguments, reason = "each is a part of an upgrade, which ends here")]
fn open<H: Future<Output: IntoOutcome> + Send + 'static>(
    upgraded: Upgraded,
    context: Arc<RouteContext>,
    hub: &Hub,
    (reservation, seat): (Reservation, Option<Seat>),
    agreed: Agreed,
    runner: Runner,
    gate: impl FnOnce(&Arc<Connection>) -> Option<Gate>,
    start: impl FnOnce(Socket) -> H,
) {
    let Taken { wires, head, early } = take_stream(upgraded, runner);
    let id = reservation.take();
    let run_queue = hub.run_queue(id).filter(|_| runner == Runner::Shard);
    let connection = Arc::new(Connection::new(id, context, wires, agreed, run_queue));
    connection.take_seat(seat);
    connection.send_head(&head);
    connection.receive_early(&early);
    drop((head, early));
    let forget = {
        let hub = hub.clone();
        move |connection: &Connection| {
            hub.forget(connection);
            // Behind that nobody signs in on it any more, who would take another seat.
            connection.take_seat(None);
        }
    };
    let socket = Socket::new(Arc::clone(&connection), hub.clone());
    let gate = gate(&connection);
    let driver = Driver::new(Arc::clone(&connection), start(socket), forget).behind(gate);
    match runner {
        Runner::Task => {
            hub.register(&connection, None);
            hub.tasks().spawn(driver);
        }
        Runner::Shard => {
            // Unconstrained: a shard polls many in one go, which would use up the budget of one task.
            let turns = Box::pin(unconstrained(hub.tasks().track_future(driver)));
            hub.register(&connection, Some(Turns(turns)));
        }
    }
}

/// A stream out of hyper's hands.
pub(super) struct Taken {
    pub(super) wires: (ReadWire, WriteWire),
    /// What is to be written before anything else: the 101, unless it is out.
    pub(super) head: Vec<u8>,
    /// What hyper had read already.
    early: Bytes,
}

/// Takes the stream out of hyper's hands. Hyper wraps a stream differently depending on who served the connection, so
/// each wrapping is tried; a failed try gives the whole back. A stream nobody knows is used through hyper's wrapper, at
/// about 11 KB more per connection.
pub(super) fn take_stream(upgraded: Upgraded, runner: Runner) -> Taken {
    // Served by us: hyper's own HTTP/1 connection.
    let upgraded = match upgraded.downcast::<TokioIo<Withheld<TcpStream>>>() {
        Ok(parts) => return Taken::of(parts, |stream| tcp(stream, runner)),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match upgraded.downcast::<TokioIo<Withheld<TlsStream<TcpStream>>>>() {
        Ok(parts) => return Taken::of(parts, wire::stream),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "testing")]
    let upgraded = match upgraded.downcast::<TokioIo<Withheld<PipeEnd>>>() {
        Ok(parts) => return Taken::of(parts, wire::stream),
        Err(upgraded) => upgraded,
    };
    // Served by `axum::serve` or another user of hyper-util's automatic HTTP version.
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => {
            let stream = parts.io.into_inner();
            socket_options::prepare(&stream);
            return Taken::after_head(tcp(stream, runner), parts.read_buf);
        }
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match auto::upgrade::downcast::<TokioIo<TlsStream<TcpStream>>>(upgraded) {
        Ok(parts) => {
            let stream = parts.io.into_inner();
            socket_options::prepare(stream.get_ref().0);
            return Taken::after_head(wire::stream(stream), parts.read_buf);
        }
        Err(upgraded) => upgraded,
    };
    Taken::after_head(wire::stream(TokioIo::new(upgraded)), Bytes::new())
}

impl Taken {
    fn of<S>(
        parts: hyper::upgrade::Parts<TokioIo<Withheld<S>>>,
        wires: impl FnOnce(S) -> (ReadWire, WriteWire),
    ) -> Self {
        let (stream, head) = parts.io.into_inner().into_parts();
        Self { wires: wires(stream), head, early: parts.read_buf }
    }

    fn after_head(wires: (ReadWire, WriteWire), early: Bytes) -> Self {
        Self { wires, head: Vec::new(), early }
    }
}

fn tcp(stream: TcpStream, runner: Runner) -> (ReadWire, WriteWire) {
    match runner {
        Runner::Shard if cfg!(target_os = "linux") => wire::polled(stream).unwrap_or_else(|error| {
            tracing::error!(%error, "a socket cannot be taken from the runtime; its connection is dropped");
            (ReadWire::Closed, WriteWire::Closed)
        }),
        Runner::Shard | Runner::Task => wire::tcp(stream),
    }
}

/// An upgrade whose answer the handler decides: [`accept`](Self::accept) it, [`refuse`](Self::refuse) it,
/// or return an error or a response.
///
/// A handler that returns without an answer sends 500; one that takes longer than the route's
/// `accept_timeout` sends 504.
///
/// ```
/// use axum::http::{HeaderMap, StatusCode};
/// use wirelark::{Refusal, Upgrade};
///
/// async fn guarded(headers: HeaderMap, upgrade: Upgrade) -> wirelark::Result {
///     if !headers.contains_key("x-invitation") {
///         return Err(Refusal::new((StatusCode::FORBIDDEN, "members only")).into());
///     }
///     let socket = upgrade.accept().await?;
///     socket.send("welcome").await?;
///     Ok(())
/// }
/// # let _ = wirelark::App::new().socket("/guarded", guarded);
/// ```
#[derive(Debug)]
pub struct Upgrade {
    id: ConnectionId,
    protocol: Option<Box<str>>,
    hub: Hub,
    slow_client: Option<SlowClient>,
    decided: oneshot::Sender<Decision>,
}

enum Decision {
    Accept(oneshot::Sender<Socket>, Option<SlowClient>),
    Refuse(Box<Response>),
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept(..) => "Accept",
            Self::Refuse(_) => "Refuse",
        })
    }
}

/// The client was gone before the upgrade could be accepted. A normal end in a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client left before the upgrade was accepted")]
pub struct Gone;

impl Upgrade {
    /// Answers 101 and returns the open socket.
    ///
    /// # Errors
    /// The client went away first, or the accept timeout has passed.
    pub async fn accept(self) -> Result<Socket, Gone> {
        let (opened, socket) = oneshot::channel();
        self.decided.send(Decision::Accept(opened, self.slow_client)).map_err(|_| Gone)?;
        socket.await.map_err(|_| Gone)
    }

    /// Gives this connection another policy than its route's, such as one the client asked for.
    #[must_use]
    pub fn slow_client(mut self, policy: SlowClient) -> Self {
        self.slow_client = Some(policy);
        self
    }

    /// Answers with any HTTP response; the handler may go on.
    pub fn refuse(self, response: impl IntoResponse) {
        let _ = self.decided.send(Decision::Refuse(Box::new(response.into_response())));
    }

    /// The id the connection will have.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The subprotocol that was agreed, or `""`.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or("")
    }

    /// The app's hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }
}
