//! Signing in by the first message, for clients that cannot send credentials with their upgrade.
//!
//! Until it is decided who is there the connection's handler does not run: its messages go to the [`Verifier`], it is in no
//! room and no user's, and what is sent to everyone is not for it. What is needed for that is dropped with the decision, so
//! that a connection keeps nothing of it.

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use tokio::time::timeout;
use wirelark_proto::{CloseCode, CloseFrame, Message};

use super::{AuthError, Authenticator, SignInError, TokenSource, User, authorize};
use crate::connection::{Connection, ConnectionId, Gate};
use crate::hub::{Hub, RoomName, RoomPass, SharedPolicy};
use crate::limits::{OptionError, some_time};

/// How long a client may take to sign in, unless the route says otherwise.
const DEADLINE: Duration = Duration::from_secs(5);

/// How many messages may come that decide nothing, unless the route says otherwise.
const ATTEMPTS: u32 = 3;

/// Lets everybody connect, and finds out who it is from the first message: for `.auth(..)` of a route.
///
/// Until `verifier` has decided, every message is for it, and none reaches the handler; what comes behind the deciding one
/// waits, and is handled in order. A client that is silent for longer than the [`deadline`](FirstMessage::deadline), or
/// whose verifier is, and one that has used up its [`attempts`](FirstMessage::attempts), is closed with 1008. A user who
/// lacks what the route requires is closed with 4403, and one who has as many connections as the route allows with 4429. Meanwhile at most one message and what is read ahead (64 KiB) is held.
///
/// A [`Jwt`](super::Jwt) is a verifier of messages `{"token": ".."}`. The handler finds the user on its socket, as there
/// was none yet when its other arguments were made:
///
/// ```
/// use std::time::Duration;
///
/// use wirelark::auth::{self, Jwt, User};
/// use wirelark::{App, Socket, socket};
///
/// async fn desk(socket: Socket) -> wirelark::Result {
///     let name = socket.user().map_or("nobody".into(), |user: User| user.id().to_owned());
///     socket.send(format!("hello, {name}")).await?;
///     Ok(())
/// }
///
/// let by_message = auth::first_message(Jwt::hs256(b"a secret")).deadline(Duration::from_secs(2)).attempts(3);
/// # let _ =
/// App::new().socket("/desk", socket(desk).auth(by_message));
/// ```
pub fn first_message(verifier: impl Verifier) -> FirstMessage {
    FirstMessage { verifier: Arc::new(verifier), deadline: DEADLINE, attempts: ATTEMPTS }
}

/// Finds out from its messages who a client is: a [`Jwt`](super::Jwt), or an async function of a message and a
/// [`Newcomer`] that returns something a [`Verdict`] can be made of.
///
/// ```
/// use wirelark::Message;
/// use wirelark::auth::{self, Newcomer, User, Verdict};
///
/// async fn by_name(message: Message, newcomer: Newcomer) -> Verdict {
///     let Message::Text(name) = message else { return Verdict::Anonymous };
///     match User::new(name.as_str()) {
///         Ok(user) => Verdict::User(user),
///         Err(error) => {
///             newcomer.reply(error.to_string());
///             Verdict::NotYet
///         }
///     }
/// }
/// # let _ =
/// auth::first_message(by_name);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say who is there",
    note = "write an `async fn(message: Message, newcomer: Newcomer) -> Verdict`, or use a `Jwt`"
)]
pub trait Verifier: Send + Sync + 'static {
    /// What the message says of who is there. Dropped at its place when the deadline passes or the client leaves.
    fn decide<'a>(
        &'a self,
        message: Message,
        newcomer: Newcomer,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
}

impl<F, Fut> Verifier for F
where
    F: Fn(Message, Newcomer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Into<Verdict>> + Send,
{
    fn decide<'a>(
        &'a self,
        message: Message,
        newcomer: Newcomer,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(async move { self(message, newcomer).await.into() })
    }
}

#[cfg(feature = "jwt")]
impl Verifier for super::Jwt {
    fn decide<'a>(
        &'a self,
        message: Message,
        _: Newcomer,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        #[derive(serde::Deserialize)]
        struct Credentials {
            token: String,
        }
        let credentials = serde_json::from_slice(message.as_bytes());
        let user = credentials.ok().and_then(|Credentials { token }| self.verify(&token).ok());
        Box::pin(ready(user.map_or(Verdict::NotYet, Verdict::User)))
    }
}

/// What a [`Verifier`] has found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is this user.
    User(User),
    /// It is nobody in particular, who may stay: the messages that follow are the handler's.
    Anonymous,
    /// Nothing; the next message may tell. It counts as an attempt.
    NotYet,
}

impl From<User> for Verdict {
    fn from(user: User) -> Self {
        Self::User(user)
    }
}

/// Credentials that do not hold decide nothing.
impl<E> From<Result<User, E>> for Verdict {
    fn from(user: Result<User, E>) -> Self {
        user.map_or(Self::NotYet, Self::User)
    }
}

/// A connection of which it is not known yet whose it is.
#[derive(Clone, Debug)]
pub struct Newcomer {
    connection: Arc<Connection>,
}

impl Newcomer {
    /// The id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.connection.id
    }

    /// The route's pattern.
    pub fn route(&self) -> &str {
        &self.connection.route.pattern
    }

    /// The subprotocol that was agreed, or `""`.
    pub fn protocol(&self) -> &str {
        self.connection.protocol()
    }

    /// Sends a message, such as a challenge or what was wrong. Who reads no answers, or is gone, gets none.
    pub fn reply(&self, message: impl Into<Message>) {
        let _ = self.connection.try_send(message.into(), None);
    }
}

/// Signing in by the first message; see [`first_message`].
#[derive(Clone)]
pub struct FirstMessage {
    verifier: Arc<dyn Verifier>,
    deadline: Duration,
    attempts: u32,
}

/// A room that a client has named, and who says whether it may join it.
pub(crate) type AskedRoom = (SharedPolicy, RoomName);

impl FirstMessage {
    /// How long it may take until it is decided who is there; five seconds unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many messages may come until then; three unless set. With one, the very first message has to tell.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    pub(crate) fn check(&self) -> Result<(), OptionError> {
        some_time("deadline", self.deadline)?;
        match self.attempts {
            0 => Err(OptionError::new("attempts", "is zero", "give at least 1, as nobody could sign in")),
            _ => Ok(()),
        }
    }

    /// What decides whether a connection's handler runs.
    pub(crate) fn gate(&self, connection: &Arc<Connection>, hub: &Hub, room: Option<AskedRoom>) -> Gate {
        let (first, connection, hub) = (self.clone(), Arc::clone(connection), hub.clone());
        Box::pin(async move {
            let admitting = pin!(timeout(first.deadline, first.admit(&connection, &hub, room)));
            let refusal = match while_open(&connection, admitting).await {
                Some(Ok(Ok(()))) => {
                    connection.decide();
                    return true;
                }
                Some(Ok(Err(refusal))) => refusal,
                Some(Err(_)) => CloseFrame::new(CloseCode::POLICY, "nobody has signed in in time"),
                None => return false,
            };
            connection.close(refusal);
            false
        })
    }

    /// Finds out who is there and lets them in, or says why not.
    async fn admit(
        &self,
        connection: &Arc<Connection>,
        hub: &Hub,
        room: Option<AskedRoom>,
    ) -> Result<(), CloseFrame> {
        let user = self.find_user(connection).await?;
        authorize(user.as_ref(), &connection.route.requirements).map_err(|error| error.close_frame())?;
        if let Some((policy, room)) = room {
            let asked = RoomPass::ask(&*policy.0, user.as_ref(), room).await;
            asked.map_err(|denied| CloseFrame::new(CloseCode::FORBIDDEN, denied.to_string()))?;
        }
        match user.map(|user| hub.sign_in(connection, &user)) {
            None | Some(Ok(()) | Err(SignInError::Ended)) => Ok(()),
            Some(Err(error)) => Err(error.close_frame()),
        }
    }

    async fn find_user(&self, connection: &Arc<Connection>) -> Result<Option<User>, CloseFrame> {
        for _ in 0..self.attempts {
            // Its end is told by whoever waits for this.
            let Some(message) = next_message(connection).await else { break };
            let newcomer = Newcomer { connection: Arc::clone(connection) };
            match self.verifier.decide(message, newcomer).await {
                Verdict::User(user) => return Ok(Some(user)),
                Verdict::Anonymous => return Ok(None),
                Verdict::NotYet => {}
            }
        }
        Err(CloseFrame::new(CloseCode::POLICY, "too many messages that sign nobody in"))
    }
}

async fn next_message(connection: &Connection) -> Option<Message> {
    loop {
        let message = poll_fn(|cx| connection.poll_first(cx)).await?;
        if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
            return Some(message);
        }
    }
}

/// What comes of `future`, unless the connection closes before it is ready.
async fn while_open<T>(connection: &Connection, mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match connection.is_open() {
        true => future.as_mut().poll(cx).map(Some),
        false => Poll::Ready(None),
    })
    .await
}

impl Authenticator for FirstMessage {
    /// Nothing is known yet.
    fn authenticate<'a>(
        &'a self,
        _: &'a mut Parts,
    ) -> Pin<Box<dyn Future<Output = Result<User, AuthError>> + Send + 'a>> {
        Box::pin(ready(Err(AuthError::Missing)))
    }

    fn admits_visitors(&self) -> bool {
        true
    }

    fn sources(&self) -> Vec<TokenSource> {
        Vec::new()
    }

    fn first_message(&self) -> Option<&FirstMessage> {
        Some(self)
    }
}

impl fmt::Debug for FirstMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstMessage")
            .field("deadline", &self.deadline)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
