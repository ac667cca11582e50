//! What it takes to make one call, or to have one message handled, beside being there.
//!
//! Who may not is told so, stays connected, and the handler hears nothing of it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use wirelark_proto::contract::{Body, Problem};

use super::auth::{Requirements, User};
use crate::connection::{Connection, ConnectionId, ReportKind};

/// Says whether a call may be made, or a message handled.
pub(super) type Policy = Arc<dyn Fn(&Asked<'_>) -> bool + Send + Sync>;

/// A call or a message that somebody wants handled, for a policy to judge.
///
/// ```
/// use serde::Deserialize;
/// use wirelark::Asked;
/// use wirelark::auth::User;
///
/// #[derive(Deserialize)]
/// struct Edit {
///     owner: String,
/// }
///
/// /// Only its owner edits something.
/// fn own(asked: &Asked<'_>) -> bool {
///     let owner = asked.data().map(|Edit { owner }| owner);
///     asked.name() != "edit" || owner.as_deref() == asked.user().map(User::id)
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub(super) contract: Option<&'static str>,
    pub(super) name: &'a str,
    pub(super) id: &'a str,
    pub(super) connection: ConnectionId,
    pub(super) user: Option<&'a User>,
    pub(super) data: Data<'a>,
}

/// What came with it, not decoded yet.
#[derive(Clone, Copy)]
pub(super) enum Data<'a> {
    /// Of a call.
    Body(Body<'a>),
    /// A message of its own, which may be JSON.
    Message(&'a [u8]),
}

impl Asked<'_> {
    /// The contract's name, if the route serves one.
    pub fn contract(&self) -> Option<&str> {
        self.contract
    }

    /// The name of the call or the event; `message` where messages have no names.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The id of the request.
    pub fn id(&self) -> &str {
        self.id
    }

    /// The connection it came by.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Who asks, if anybody has been authenticated.
    pub fn user(&self) -> Option<&User> {
        self.user
    }

    /// What came with it, as a `T`; `None` if it is none. The handler decodes it once more.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        match self.data {
            Data::Body(body) => body.decode().ok(),
            Data::Message(json) => serde_json::from_slice(json).ok(),
        }
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("contract", &self.contract)
            .field("name", &self.name)
            .field("connection", &self.connection)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Whether somebody may; otherwise what the client is told. Who asks is filled in here, as it is seldom asked.
pub(super) fn check(
    connection: &Connection,
    requirements: &Requirements,
    policy: Option<&Policy>,
    asked: Asked<'_>,
) -> Result<(), Problem> {
    if requirements.is_empty() && policy.is_none() {
        return Ok(());
    }
    let user = connection.user();
    // Somebody whom nobody knows may yet become somebody who may.
    let code = if user.is_some() { "FORBIDDEN" } else { "UNAUTHORIZED" };
    let denied = |why: &dyn fmt::Display| Err(Problem::new(format!("{}: {why}", asked.name)).code(code));
    match &user {
        Some(user) => {
            if let Some(lacking) = requirements.lacking(user) {
                return denied(&format_args!("the user lacks the {lacking}"));
            }
        }
        None if !requirements.is_empty() => return denied(&"sign in first"),
        None => {}
    }
    let Some(policy) = policy else { return Ok(()) };
    let asked = Asked { user: user.as_ref(), ..asked };
    match catch_unwind(AssertUnwindSafe(|| policy(&asked))) {
        Ok(true) => Ok(()),
        Ok(false) => denied(&"not allowed"),
        Err(_) => {
            connection.route.counters.panicked();
            let call = (Some(asked.name), Some(asked.id));
            connection.report(ReportKind::Handler, call, &"the policy panicked", None);
            Err(Problem::new("internal error").code("INTERNAL"))
        }
    }
}
