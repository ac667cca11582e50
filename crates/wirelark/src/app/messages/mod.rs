//! The messages style: one call of a handler for each message, and nothing at all between two.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wirelark::App;
//! use wirelark::auth::User;
//! use wirelark::axum::Json;
//! use wirelark::messages::on;
//!
//! #[derive(Deserialize)]
//! struct Say {
//!     text: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Said {
//!     by: String,
//!     length: usize,
//! }
//!
//! // {"type": "say", "text": "hello"} is answered with {"by": "ada", "length": 5}.
//! async fn say(user: User, Json(say): Json<Say>) -> Json<Said> {
//!     Json(Said { by: user.id().to_owned(), length: say.text.len() })
//! }
//!
//! async fn shout(text: String) -> String {
//!     text.to_uppercase()
//! }
//!
//! # let _ =
//! App::new()
//!     .messages("/chat", on("say", say))
//!     .messages("/shout", shout);
//! ```

mod events;
mod extract;
mod guard;
mod handler;
mod limit;
mod reply;
mod serving;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

pub use self::events::{Events, on, on_field};
pub use self::extract::{Connection, FromMessage, Incoming, RequestId};
pub use self::guard::{Guarded, guarded};
use self::handler::{AnyHandler, Erased};
#[doc(hidden)]
pub use self::handler::{AnyRunning, Choice, Handling, Keeping, Refused};
pub use self::handler::{MessageHandler, PushOnly, push_only};
pub use self::limit::{Limited, limited};
pub use self::reply::IntoReply;
#[doc(hidden)]
pub use self::reply::ReplyOf;
use self::serving::{Service, Serving};
use super::auth::{AskedRoom, Authenticator};
use super::route::Call;
use super::terms::Terms;
use super::upgrade::Runner;
use super::{Plain, SocketRoute, WithOptions};
use crate::connection::Hooks;
use crate::hub::RoomPolicy;
use crate::limits::{Options, SlowClient};

/// How long a message's handler may take, unless the route says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The least and the most a route may say.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A message handler with options of its own: `messages(on_note).timeout(..)`.
#[must_use = "a route does nothing until it is added to an app"]
pub struct MessagesBuilder<H, S = ()> {
    handler: H,
    attached: Option<Box<dyn AnyHandler<S>>>,
    closed: Option<Box<dyn AnyHandler<S>>>,
    terms: Terms,
    concurrency: NonZeroUsize,
    timeout: Duration,
}

/// Gives a message handler options of its own.
pub fn messages<H, S>(handler: H) -> MessagesBuilder<H, S> {
    MessagesBuilder {
        handler,
        attached: None,
        closed: None,
        terms: Terms::default(),
        concurrency: NonZeroUsize::MIN,
        timeout: TIMEOUT,
    }
}

impl<H, S: Send + Sync + 'static> MessagesBuilder<H, S> {
    /// Runs for each connection before its first message, when it can be reached already: the place to join rooms and
    /// to greet. It takes the extractors of a message handler except for the message. What it returns is sent; an error
    /// is reported, and sent as a handler's would be.
    pub fn attached<M: 'static>(mut self, hook: impl MessageHandler<M, S>) -> Self {
        self.attached = Some(Box::new(Erased::new(hook)));
        self
    }

    /// Runs for each connection after its last message, for at most the route's close timeout. It is still in its rooms
    /// then, unless handlers that ran on after its end have used that time up.
    pub fn closed<M: 'static>(mut self, hook: impl MessageHandler<M, S>) -> Self {
        self.closed = Some(Box::new(Erased::new(hook)));
        self
    }
}

impl<H, S> MessagesBuilder<H, S> {
    /// Options of this route; what is left out is inherited. Its own default for slow clients is
    /// [`SlowClient::Wait`]: answers wait for room, and no further message is read meanwhile.
    pub fn options(mut self, options: Options) -> Self {
        self.terms.set_options(options);
        self
    }

    /// Hooks of this route; what is left out is inherited.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.terms.set_hooks(hooks);
        self
    }

    /// Authenticates this route, instead of what the scopes around it say.
    pub fn auth(mut self, authenticator: impl Authenticator) -> Self {
        self.terms.set_auth(authenticator);
        self
    }

    /// The user must have this scope; otherwise 403.
    pub fn require_scope(mut self, scope: &str) -> Self {
        self.terms.require_scope(scope);
        self
    }

    /// The user must have this role; otherwise 403.
    pub fn require_role(mut self, role: &str) -> Self {
        self.terms.require_role(role);
        self
    }

    /// Who may join the rooms that clients name in this route's path, for handlers that take a
    /// [`RoomPass`](crate::RoomPass); instead of what the scopes around it say.
    pub fn room_policy(mut self, policy: impl RoomPolicy) -> Self {
        self.terms.set_room_policy(policy);
        self
    }

    /// How many messages of one connection may be handled at the same time; one unless set. With more than one, a
    /// handler that waits does not hold up the messages behind it, and replies come in the order in which they are
    /// ready. What is beyond stays unread.
    pub fn concurrency(mut self, messages: NonZeroUsize) -> Self {
        self.concurrency = messages;
        self
    }

    /// How long a handler may take: ten seconds unless set, from one to thirty. Its client is then told so, and the
    /// handler is dropped at the place where it waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<H, S> fmt::Debug for MessagesBuilder<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagesBuilder").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A message route that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessagesError {
    /// A handler that is given too little time, or too much.
    #[error(
        "a message's handler has from 1 s to 30 s, not {0:?}; what takes longer is a job, or a raw socket"
    )]
    Timeout(Duration),
    /// Two handlers of one event.
    #[error("the event {0:?} has two handlers; remove one of them")]
    Event(&'static str),
    /// A handler of an event that cannot be told from others.
    #[error("an event needs a name, such as `on(\"say\", say)`")]
    Unnamed,
    /// A rate that no handler can be limited to.
    #[error("{0}")]
    Rate(Box<str>),
}

/// What can be added as a message route: an async function, [`on`] of several, [`push_only`], or [`messages`] of one of
/// these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot serve a message route",
    note = "a message handler is an `async fn(extractors..)` whose arguments implement `FromMessage` and whose result implements `IntoReply`",
    note = "its future must be `Send`: no `Rc`, no lock guard held across an `.await`"
)]
pub trait IntoMessagesRoute<Marker, S> {
    #[doc(hidden)]
    fn into_route(self, path: &str, state: S) -> Result<SocketRoute, MessagesError>;
}

#[diagnostic::do_not_recommend]
impl<H, M, S> IntoMessagesRoute<(Plain, M), S> for H
where
    H: MessageHandler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    fn into_route(self, path: &str, state: S) -> Result<SocketRoute, MessagesError> {
        messages(self).into_route(path, state)
    }
}

impl<H, M, S> IntoMessagesRoute<(WithOptions, M), S> for MessagesBuilder<H, S>
where
    H: MessageHandler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    fn into_route(mut self, path: &str, state: S) -> Result<SocketRoute, MessagesError> {
        self.handler.check()?;
        for hook in [&self.attached, &self.closed].into_iter().flatten() {
            hook.check()?;
        }
        if self.timeout < TIMEOUTS.0 || self.timeout > TIMEOUTS.1 {
            return Err(MessagesError::Timeout(self.timeout));
        }
        let defaults = Options::new().slow_client(SlowClient::Wait);
        self.terms.inherit(&Terms { options: defaults, ..Terms::default() });
        let service = Arc::new(Service {
            handler: self.handler,
            attached: self.attached,
            closed: self.closed,
            concurrency: self.concurrency.get(),
            timeout: self.timeout,
            state,
        });
        let kind = if H::TAKES_MESSAGES { "messages" } else { "pushes" };
        Ok(SocketRoute {
            path: path.to_owned(),
            kind,
            call: call(service),
            terms: self.terms,
            contract: None,
            endpoint: Arc::default(),
        })
    }
}

/// What happens between the checks of the route and the 101.
fn call<H, M, S>(service: Arc<Service<H, S>>) -> Call
where
    H: MessageHandler<M, S>,
    M: 'static,
    S: Clone + Send + Sync + 'static,
{
    Arc::new(move |mut parts, mut pending| {
        let service = Arc::clone(&service);
        Box::pin(async move {
            let kept = match service.keep::<M>(&mut parts).await {
                Ok(kept) => kept,
                Err(rejection) => return pending.refuse(rejection),
            };
            pending.asked_room = parts.extensions.remove::<AskedRoom>();
            // Whatever of the request is kept now would be kept as long as the connection.
            drop(parts);
            pending.runner = Runner::Shard;
            pending.accept(move |socket| Serving::new(service, kept, socket))
        })
    })
}
