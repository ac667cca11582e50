//! What it takes to have one message handled, beside being there.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use wirelark_proto::Message;
use wirelark_proto::contract::Problem;

use super::MessagesError;
use super::extract::Incoming;
use super::handler::{Choice, Keeping, MessageHandler, Refused};
use crate::app::auth::Requirements;
use crate::app::permission::{self, Asked, Data, Policy};

/// What a policy is told where messages name no event.
const UNNAMED: &str = "message";

/// A handler that not everybody's messages reach: `on("remove", guarded(remove).require_role("moderator"))`.
///
/// Who may not is answered with an error of the code `FORBIDDEN`, or `UNAUTHORIZED` before anybody has signed in; the
/// handler does not run, and the connection stays.
///
/// ```
/// use serde::Deserialize;
/// use wirelark::auth::User;
/// use wirelark::axum::Json;
/// use wirelark::messages::{guarded, on};
/// use wirelark::{App, Asked};
///
/// #[derive(Deserialize)]
/// struct Remove {
///     owner: String,
/// }
///
/// /// Only its owner removes something.
/// fn own(asked: &Asked<'_>) -> bool {
///     let owner = asked.data().map(|Remove { owner }| owner);
///     owner.as_deref() == asked.user().map(User::id)
/// }
///
/// async fn remove(Json(remove): Json<Remove>) {
/// #   drop(remove.owner);
///     // ..
/// }
/// # let _ =
/// App::new().messages("/files", on("remove", guarded(remove).require_scope("write").policy(own)));
/// ```
#[must_use = "a handler does nothing until it is added to an app"]
pub struct Guarded<H> {
    handler: H,
    requirements: Requirements,
    policy: Option<Policy>,
}

/// Has a handler's messages checked before it runs; see [`Guarded`].
pub fn guarded<H>(handler: H) -> Guarded<H> {
    Guarded { handler, requirements: Requirements::default(), policy: None }
}

impl<H> Guarded<H> {
    /// The user must have this scope.
    pub fn require_scope(mut self, scope: &str) -> Self {
        self.requirements.scopes.push(scope.into());
        self
    }

    /// The user must have this role.
    pub fn require_role(mut self, role: &str) -> Self {
        self.requirements.roles.push(role.into());
        self
    }

    /// `policy` must say yes. It sees the event, the message, the connection and the user, and must not wait. One that
    /// panics lets nothing pass, and the client is told of an internal error.
    pub fn policy(mut self, policy: impl Fn(&Asked<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }
}

/// Marks guarded handlers.
#[derive(Debug)]
pub struct IsGuarded<M>(M);

impl<H, M, S> MessageHandler<IsGuarded<M>, S> for Guarded<H>
where
    H: MessageHandler<M, S>,
    S: Send + Sync + 'static,
{
    type Kept = H::Kept;
    type Running = H::Running;

    const TAKES_MESSAGES: bool = H::TAKES_MESSAGES;

    fn check(&self) -> Result<(), MessagesError> {
        self.handler.check()
    }

    fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, Self::Kept> {
        self.handler.keep(parts, state)
    }

    fn choose(&self, message: &Message) -> Result<Choice, Problem> {
        self.handler.choose(message)
    }

    fn begin(
        &self,
        choice: Choice,
        incoming: Incoming<'_>,
        kept: &Self::Kept,
        state: &S,
    ) -> Result<Self::Running, Refused> {
        let id = incoming.id();
        let asked = Asked {
            contract: None,
            name: incoming.event().unwrap_or(UNNAMED),
            id: &id.to_string(),
            connection: id.connection(),
            user: None,
            data: Data::Message(incoming.message().map_or(&[], Message::as_bytes)),
        };
        permission::check(incoming.shared(), &self.requirements, self.policy.as_ref(), asked)?;
        self.handler.begin(choice, incoming, kept, state)
    }
}

impl<H> fmt::Debug for Guarded<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("requirements", &self.requirements).finish_non_exhaustive()
    }
}
