//! One client of a contract.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use wirelark_proto::contract::{Contract, Format};
use wirelark_proto::{CloseCode, CloseFrame};

use super::peers::{Peers, Place};
use super::push::{ContractRecipients, ContractRoom, Push, Pushing};
use crate::app::auth::User;
use crate::connection::{Closed, Connection, ConnectionId, SignInError};
use crate::hub::presence::{Attendee, Presence};
use crate::hub::{Excepted, Hub, InvalidRoom, Joinable, RecipientsError, RoomName};

/// One client of the contract `C`, with data `D` of the application's own. Cheap to clone; usable from any task
/// for as long as one likes: once the client is gone, what is pushed to it goes nowhere.
pub struct Session<C, D> {
    inner: Arc<Inner<C, D>>,
    /// The call this handle was made for.
    call: Option<NonZeroU64>,
}

pub(super) struct Inner<C, D> {
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Hub,
    pub(super) place: Arc<Place<C, D>>,
    /// The room of everybody who came to the same path.
    pub(super) room: RoomName,
    data: RwLock<D>,
    /// Tokens of running calls that asked for one; boxed, as most calls do not.
    tokens: Mutex<Option<Box<Tokens>>>,
}

type Tokens = Vec<(NonZeroU64, CancellationToken)>;

impl<C, D> Inner<C, D> {
    /// The call is over: whatever it left behind is told so.
    pub(super) fn end_call(&self, call: NonZeroU64) {
        let mut tokens = self.tokens.lock();
        let Some(list) = &mut *tokens else { return };
        if let Some(at) = list.iter().position(|(of, _)| *of == call) {
            list.swap_remove(at).1.cancel();
        }
        if list.is_empty() {
            *tokens = None;
        }
    }
}

/// What a session is made of.
pub(super) struct Parts<C, D> {
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Hub,
    pub(super) place: Arc<Place<C, D>>,
    pub(super) room: RoomName,
    pub(super) data: D,
}

impl<C: 'static, D: Send + Sync + 'static> Session<C, D> {
    pub(super) fn new(parts: Parts<C, D>) -> Self {
        let Parts { connection, hub, place, room, data } = parts;
        let inner = Inner { connection, hub, place, room, data: RwLock::new(data), tokens: Mutex::default() };
        Self { inner: Arc::new(inner), call: None }
    }

    pub(super) fn from_inner(inner: Arc<Inner<C, D>>) -> Self {
        Self { inner, call: None }
    }

    pub(super) fn inner(&self) -> &Arc<Inner<C, D>> {
        &self.inner
    }

    pub(super) fn into_inner(self) -> Arc<Inner<C, D>> {
        self.inner
    }

    /// A handle for one call.
    pub(super) fn for_call(inner: Arc<Inner<C, D>>, call: NonZeroU64) -> Self {
        Self { inner, call: Some(call) }
    }

    /// The id of the connection.
    pub fn id(&self) -> ConnectionId {
        self.inner.connection.id
    }

    /// Who is connected, if anybody has been authenticated.
    pub fn user(&self) -> Option<User> {
        self.inner.connection.user()
    }

    /// As [`Socket::sign_in`](crate::Socket::sign_in): what a call does that renews the client's token.
    ///
    /// # Errors
    /// As [`Socket::sign_in`](crate::Socket::sign_in).
    pub fn sign_in(&self, user: &User) -> Result<(), SignInError> {
        self.inner.hub.sign_in(&self.inner.connection, user)
    }

    /// As [`Socket::switch_user`](crate::Socket::switch_user).
    ///
    /// # Errors
    /// As [`Socket::switch_user`](crate::Socket::switch_user).
    pub fn switch_user(&self, user: &User) -> Result<(), SignInError> {
        self.inner.hub.switch_user(&self.inner.connection, user)
    }

    /// Reads the session's data. Nothing that waits belongs into `read`: other handles of this session wait for it.
    pub fn data<R>(&self, read: impl FnOnce(&D) -> R) -> R {
        read(&self.inner.data.read())
    }

    /// Changes the session's data; peers see the change at once. Nothing that waits belongs into `change`.
    pub fn update<R>(&self, change: impl FnOnce(&mut D) -> R) -> R {
        change(&mut self.inner.data.write())
    }

    /// Pushes to this client alone. It takes its place behind what was sent to the client before, answers
    /// included. Awaited, it waits for room in the outbox if the push is
    /// [reliable](wirelark_proto::contract::Delivery::Reliable) and its client is behind.
    pub fn push(&self, push: Push<C>) -> Pushing<'_>
    where
        C: Contract,
    {
        Pushing::new(&self.inner.connection, push)
    }

    /// All devices of whoever is at the other end: the user's, or this connection alone where nobody has signed in.
    pub fn devices(&self) -> ContractRecipients<C> {
        self.recipients(None::<&[&str]>).expect("a session is a connection, and so there is somebody")
    }

    /// The users a call names, or who made it if it names none: [`devices`](Self::devices).
    ///
    /// # Errors
    /// As [`Hub::users`].
    pub fn recipients<S: AsRef<str>>(
        &self,
        named: Option<&[S]>,
    ) -> Result<ContractRecipients<C>, RecipientsError> {
        let user = self.user();
        let current = user.as_ref().map(User::id);
        self.inner.hub.recipients(named, current, Some(self.id())).map(ContractRecipients::new)
    }

    /// Everybody who came to the same path as this session, itself included. For a route `/chat/{room}` that is
    /// the people of one room.
    pub fn room(&self) -> ContractRoom<C> {
        ContractRoom::new(self.inner.hub.clone(), self.inner.room.clone())
    }

    /// Who is in the room of this session's path, for those who watch it; [`Hub::presence`] has that of other rooms.
    pub fn presence(&self) -> Presence {
        // Who may be here was decided before there was a session.
        Presence::new(self.inner.hub.clone(), self.inner.room.clone())
    }

    /// Joins another room: one whose name is a literal, or one there is a [`RoomPass`](crate::RoomPass) for. It is left when
    /// the connection ends.
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn join(&self, room: impl Joinable) -> Result<ContractRoom<C>, InvalidRoom> {
        let room = self.inner.hub.join_room(self.id(), room.into_pass()?);
        Ok(ContractRoom::new(self.inner.hub.clone(), room.name().clone()))
    }

    /// Leaves a room that was joined.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn leave(
        &self,
        room: impl TryInto<RoomName, Error = impl Into<InvalidRoom>>,
    ) -> Result<(), InvalidRoom> {
        self.inner.hub.room(room)?.leave(self.id());
        Ok(())
    }

    /// The sessions of the same path, in the order they came: from before `attached` until after `closed`.
    pub fn peers(&self) -> Peers<C, D> {
        Peers::new(self)
    }

    /// Fires when the call this handle was given to is over: answered, timed out, or its client gone. For a
    /// handle that belongs to no call, when nothing more will be received.
    pub fn token(&self) -> CancellationToken {
        let Some(call) = self.call else { return self.inner.connection.token() };
        let mut tokens = self.inner.tokens.lock();
        let tokens = tokens.get_or_insert_default();
        if let Some((_, token)) = tokens.iter().find(|(of, _)| *of == call) {
            return token.clone();
        }
        let token = self.inner.connection.token().child_token();
        tokens.push((call, token.clone()));
        token
    }

    /// Begins the close handshake. Only the first call counts; what was sent before still leaves.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.inner.connection.close(CloseFrame::new(code, reason));
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<Closed> {
        self.inner.connection.closed()
    }

    /// How this client's frames are written.
    pub fn format(&self) -> Format {
        self.inner.connection.format()
    }

    /// The app's hub.
    pub fn hub(&self) -> &Hub {
        &self.inner.hub
    }
}

impl<C, D> Clone for Session<C, D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), call: self.call }
    }
}

impl<C, D> From<&Session<C, D>> for Excepted {
    fn from(session: &Session<C, D>) -> Self {
        session.inner.connection.id.into()
    }
}

impl<C, D> From<&Session<C, D>> for Attendee {
    fn from(session: &Session<C, D>) -> Self {
        Self::new(&session.inner.connection)
    }
}

impl<C, D> fmt::Debug for Session<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.inner.connection.id).finish()
    }
}
