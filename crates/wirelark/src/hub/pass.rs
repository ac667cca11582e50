//! Who may join which room.
//!
//! Whoever is in a room hears all that is said there, and whoever watches it hears who is, so a name that a client chose is a question, and the answer is a
//! [`RoomPass`]. Publishing needs none: it shows its publisher nothing.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use wirelark_proto::contract::Problem;

use super::{InvalidRoom, RoomName};
use crate::connection::User;

/// A room that may be joined, and whose [presence](crate::Hub::presence) may be watched: the server named it, or a [`RoomPolicy`] has said yes to whoever did.
///
/// It is an extractor of socket and [message](crate::messages) handlers, too: the pass for the room that the parameter
/// `{room}` of the route's pattern names. A client that may not join it is refused with 403.
///
/// ```
/// use wirelark::auth::User;
/// use wirelark::{App, RoomName, RoomPass, Socket, socket};
///
/// async fn listen(pass: RoomPass, socket: Socket) -> wirelark::Result {
///     socket.join(pass)?;
///     socket.keep_open();
///     Ok(())
/// }
///
/// // Everybody has a room of their own.
/// let policy = |user: Option<&User>, room: &RoomName| user.is_some_and(|user| user.id() == room.as_str());
/// # let _ =
/// App::new().socket("/inbox/{room}", socket(listen).room_policy(policy));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomPass(RoomName);

impl RoomPass {
    /// A pass for a room that the server named: out of what it knows itself, and of nothing that a client could choose.
    ///
    /// ```
    /// # use wirelark::{RoomPass, Socket};
    /// # fn example(team: u32, socket: &Socket) -> wirelark::Result {
    /// socket.join(RoomPass::trusted(format!("team-{team}"))?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn trusted(
        name: impl TryInto<RoomName, Error = impl Into<InvalidRoom>>,
    ) -> Result<Self, InvalidRoom> {
        name.try_into().map(Self).map_err(Into::into)
    }

    /// A pass for a room that a client named, if the policy has it.
    ///
    /// ```
    /// # use wirelark::{RoomPass, RoomPolicy, Socket};
    /// # async fn example(policy: impl RoomPolicy, socket: &Socket, typed: String) -> wirelark::Result {
    /// socket.join(RoomPass::ask(&policy, socket.user().as_ref(), typed).await?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RoomDenied`], which is an answer for the client: 403 before the 101, close code 4403 where it ends a socket's
    /// handler, and the code `FORBIDDEN` where it ends a call.
    pub async fn ask(
        policy: &(impl RoomPolicy + ?Sized),
        user: Option<&User>,
        name: impl TryInto<RoomName, Error = impl Into<InvalidRoom>>,
    ) -> Result<Self, RoomDenied> {
        let name = name.try_into().map_err(|error| RoomDenied::Invalid(error.into()))?;
        if policy.may_join(user, &name).await { Ok(Self(name)) } else { Err(RoomDenied::Forbidden(name)) }
    }

    /// The room's name.
    pub fn name(&self) -> &RoomName {
        &self.0
    }

    pub(crate) fn into_name(self) -> RoomName {
        self.0
    }
}

/// Why there is no pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomDenied {
    /// The name is none.
    #[error(transparent)]
    Invalid(#[from] InvalidRoom),
    /// The policy says no.
    #[error("this user may not join the room {:?}", .0.as_str())]
    Forbidden(RoomName),
}

impl From<RoomDenied> for Problem {
    fn from(denied: RoomDenied) -> Self {
        let code = match denied {
            RoomDenied::Invalid(_) => "INVALID_ROOM",
            RoomDenied::Forbidden(_) => "FORBIDDEN",
        };
        Self::new(denied.to_string()).code(code)
    }
}

/// Says who may join which rooms that clients name: a function of the user and the name, [`OpenRooms`], or a type of one's
/// own, for answers that have to be waited for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who may join a room",
    note = "write a function: `|user: Option<&User>, room: &RoomName| user.is_some_and(..)`",
    note = "or `OpenRooms`, if everybody may join every room"
)]
pub trait RoomPolicy: Send + Sync + 'static {
    /// Whether somebody may join a room. Of a contract's route the room's name is the path, such as `/chat/lobby`.
    fn may_join<'a>(
        &'a self,
        user: Option<&'a User>,
        room: &'a RoomName,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

#[diagnostic::do_not_recommend]
impl<F> RoomPolicy for F
where
    F: Fn(Option<&User>, &RoomName) -> bool + Send + Sync + 'static,
{
    fn may_join<'a>(
        &'a self,
        user: Option<&'a User>,
        room: &'a RoomName,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(ready(self(user, room)))
    }
}

/// The policy of rooms that everybody may join who knows, or guesses, their names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenRooms;

impl RoomPolicy for OpenRooms {
    fn may_join<'a>(
        &'a self,
        _: Option<&'a User>,
        _: &'a RoomName,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(ready(true))
    }
}

/// A policy that several hold.
#[derive(Clone)]
pub(crate) struct SharedPolicy(pub(crate) Arc<dyn RoomPolicy>);

impl fmt::Debug for SharedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedPolicy")
    }
}

/// What can be joined or watched: a literal, or a [`RoomPass`].
#[diagnostic::on_unimplemented(
    message = "a room may be neither joined nor watched by the name in a `{Self}` alone: a client could have chosen it",
    label = "not a literal, and no `RoomPass`",
    note = "if a client chose the name, ask who may join: `RoomPass::ask(&policy, socket.user().as_ref(), name).await?`, or \
            take a `RoomPass` as an argument of the handler",
    note = "if the server made it of what it knows itself, say so: `RoomPass::trusted(name)?`"
)]
pub trait Joinable {
    #[doc(hidden)]
    fn into_pass(self) -> Result<RoomPass, InvalidRoom>;
}

/// What stands in the program is the server's own choice.
#[diagnostic::do_not_recommend]
impl Joinable for &'static str {
    fn into_pass(self) -> Result<RoomPass, InvalidRoom> {
        RoomPass::trusted(self)
    }
}

impl Joinable for RoomPass {
    fn into_pass(self) -> Result<RoomPass, InvalidRoom> {
        Ok(self)
    }
}
