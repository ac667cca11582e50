//! What a server tells its clients unasked, and whom.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::Serialize;
use wirelark_proto::contract::{Contract, Delivery, EncodeError, Event, Format};
use wirelark_proto::{Message, Text};

use super::session::Session;
use crate::connection::{Connection, ConnectionId};
use crate::hub::presence::{News, Presence, PresenceError, Voice, VoiceKey};
use crate::hub::{
    Busy, Delivered, Excepted, Hub, InvalidRoom, Publish, Recipients, RecipientsError, Room, RoomName, Target,
};
use crate::shared_frame::{EventSource, PushClass, SharedFrame};

/// A push of the contract `C`, with its body; made by the functions of the contract's type, such as
/// `Chat::posted(message)`. It is encoded once for each format that is in use among its receivers.
pub struct Push<C> {
    name: &'static str,
    class: PushClass,
    body: Box<dyn ErasedBody>,
    contract: PhantomData<fn() -> C>,
}

impl<C: Contract> Push<C> {
    /// A push by the name it has on the wire.
    ///
    /// # Panics
    /// The contract has no push of this name. Those that `#[contract]` makes always exist.
    pub fn new(name: &'static str, body: impl Serialize + Send + Sync + 'static) -> Self {
        let description = C::describe();
        let mut pushes = description.pushes.iter().enumerate();
        let (index, push) = pushes
            .find(|(_, push)| push.name == name)
            .unwrap_or_else(|| panic!("contract {} has no push {name:?}", description.name));
        let class =
            PushClass { contract: description.name, index: index as u16, delivery: push.delivery, key: None };
        Self { name, class, body: Box::new(body), contract: PhantomData }
    }

    /// Which waiting push this one replaces, where the push is declared with `conflate`.
    #[must_use]
    pub fn key(mut self, key: PushKey) -> Self {
        self.class.key = Some(key.among(self.class.index));
        self
    }

    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The push as a frame, its JSON made now: what cannot be written is found out here, by whoever sends it.
    fn into_frame(self) -> Result<SharedFrame, EncodeError> {
        let Self { name, class, body, .. } = self;
        let json = message(Format::Json, body.encode(name, Format::Json)?);
        let source: EventSource = Box::new(move || {
            // What could be written as JSON can be written as MessagePack: both refuse the same values.
            body.encode(name, Format::MsgPack).ok().map(|bytes| message(Format::MsgPack, bytes))
        });
        Ok(SharedFrame::push(json, source, class))
    }
}

/// Tells pushes of one name apart: two of the same key replace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushKey(u64);

impl PushKey {
    /// The key of a value: a tuple for several.
    pub fn of(value: &(impl Hash + ?Sized)) -> Self {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The key among all pushes of a contract.
    fn among(self, push: u16) -> NonZeroU64 {
        let mut hasher = DefaultHasher::new();
        (self.0, push).hash(&mut hasher);
        NonZeroU64::MIN.saturating_add(hasher.finish())
    }
}

fn message(format: Format, bytes: Bytes) -> Message {
    match format {
        Format::Json => Message::Text(Text::from_validated(bytes)),
        Format::MsgPack => Message::Binary(bytes),
    }
}

/// The encoded message of a session's answer.
pub(super) fn reply(format: Format, frame: Bytes) -> Message {
    message(format, frame)
}

trait ErasedBody: Send + Sync {
    fn encode(&self, name: &str, format: Format) -> Result<Bytes, EncodeError>;
}

impl<T: Serialize + Send + Sync> ErasedBody for T {
    fn encode(&self, name: &str, format: Format) -> Result<Bytes, EncodeError> {
        let mut frame = Vec::with_capacity(128);
        Event { event: name.into(), body: Some(self) }.encode(format, &mut frame)?;
        Ok(frame.into())
    }
}

impl<C> fmt::Debug for Push<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A room whose members speak the contract `C`. Members that do not are passed over.
pub struct ContractRoom<C> {
    hub: Hub,
    name: RoomName,
    contract: PhantomData<fn() -> C>,
}

impl<C: Contract> ContractRoom<C> {
    /// Pushes to every member, in the same order for all of them.
    pub fn push(&self, push: Push<C>) -> Pushed {
        Pushed::new(&self.hub, Target::Room { name: self.name.clone(), key: None }, push)
    }
}

impl<C> ContractRoom<C> {
    pub(super) fn new(hub: Hub, name: RoomName) -> Self {
        Self { hub, name, contract: PhantomData }
    }

    /// The room's name.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// How many connections are in the room.
    pub fn count(&self) -> usize {
        self.untyped().map_or(0, |room| room.count())
    }

    /// The room as the hub knows it.
    fn untyped(&self) -> Result<Room, InvalidRoom> {
        self.hub.room(self.name.clone())
    }
}

impl Presence {
    /// As [`watch`](Self::watch), for clients of a contract: news are pushes of it, which the contract declares with one
    /// line. Whatever their delivery is, none of them is dropped.
    ///
    /// ```
    /// # mod example {
    /// use wirelark::contract;
    /// use wirelark::contract::Session;
    /// use wirelark::presence::News;
    ///
    /// #[contract]
    /// pub trait Lobby {
    ///     /// Who is in the lobby.
    ///     #[push]
    ///     fn presence(#[body] news: News);
    /// }
    ///
    /// pub struct Server;
    ///
    /// impl LobbyServer for Server {
    ///     type Data = ();
    ///
    ///     async fn attached(&self, session: Session<Lobby, ()>) -> wirelark::Result {
    ///         let presence = session.presence();
    ///         presence.track(&session, serde_json::json!({"status": "awake"}))?;
    ///         presence.watch_as(&session, Lobby::presence)?;
    ///         Ok(())
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub fn watch_as<C: Contract, D>(
        &self,
        session: &Session<C, D>,
        push: fn(News) -> Push<C>,
    ) -> Result<bool, PresenceError> {
        let name = C::describe().name;
        let key = VoiceKey::Push { contract: name, function: push as usize };
        let voice: Voice = Arc::new(move |news| {
            let mut push = push(news.clone());
            (push.class.delivery, push.class.key) = (Delivery::Reliable, None);
            let push_name = push.name;
            push.into_frame().inspect_err(|error| unwritable(name, push_name, error)).ok()
        });
        self.watch_with(&session.into(), key, voice)
    }
}

impl<C> Clone for ContractRoom<C> {
    fn clone(&self) -> Self {
        Self::new(self.hub.clone(), self.name.clone())
    }
}

impl<C> fmt::Debug for ContractRoom<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContractRoom").field(&self.name).finish()
    }
}

/// Users, on all their devices that speak the contract `C`. Other devices are passed over.
pub struct ContractRecipients<C> {
    recipients: Recipients,
    contract: PhantomData<fn() -> C>,
}

impl<C> ContractRecipients<C> {
    pub(super) fn new(recipients: Recipients) -> Self {
        Self { recipients, contract: PhantomData }
    }

    /// The same users, whatever their devices speak: to close their connections, or to see whether they are online.
    pub fn on_all_routes(&self) -> &Recipients {
        &self.recipients
    }
}

impl<C: Contract> ContractRecipients<C> {
    /// Pushes to every connection these users have now. Users who have none are counted in
    /// [`Delivered::offline`], and are no error.
    pub fn push(&self, push: Push<C>) -> Pushed {
        Pushed::prepare(push, |frame| self.recipients.publish(frame))
    }
}

impl<C> Clone for ContractRecipients<C> {
    fn clone(&self) -> Self {
        Self::new(self.recipients.clone())
    }
}

impl<C> fmt::Debug for ContractRecipients<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContractRecipients").field(&self.recipients).finish()
    }
}

/// Pushes of the contract `C` to anybody, from anywhere; see [`Hub::contract`].
pub struct Pushes<C> {
    hub: Hub,
    contract: PhantomData<fn() -> C>,
}

impl Hub {
    /// Pushes of a contract, from HTTP handlers, jobs and any other task.
    ///
    /// ```
    /// # use wirelark::contract::{Contract, Push};
    /// # async fn example<Chat: Contract>(hub: wirelark::Hub, posted: Push<Chat>) -> Result<(), wirelark::InvalidRoom> {
    /// hub.contract::<Chat>().room("/chat/lobby")?.push(posted).await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn contract<C: Contract>(&self) -> Pushes<C> {
        Pushes { hub: self.clone(), contract: PhantomData }
    }
}

impl<C: Contract> Pushes<C> {
    /// The members of a room. Sessions are in the room of their path, such as `/chat/lobby`, and in those they
    /// have joined.
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn room(
        &self,
        room: impl TryInto<RoomName, Error = impl Into<InvalidRoom>>,
    ) -> Result<ContractRoom<C>, InvalidRoom> {
        let room = self.hub.room(room)?;
        Ok(ContractRoom::new(self.hub.clone(), room.name().clone()))
    }

    /// Everybody who speaks the contract.
    pub fn everyone(&self, push: Push<C>) -> Pushed {
        Pushed::new(&self.hub, Target::Contract(C::describe().name), push)
    }

    /// One connection.
    pub fn connection(&self, connection: ConnectionId, push: Push<C>) -> Pushed {
        Pushed::new(&self.hub, Target::Connection(connection), push)
    }

    /// A user, on all devices that speak the contract; see [`Hub::user`].
    pub fn user(&self, id: impl Into<Box<str>>) -> ContractRecipients<C> {
        ContractRecipients::new(self.hub.user(id))
    }

    /// Some users, on all their devices that speak the contract.
    ///
    /// # Errors
    /// As [`Hub::users`].
    pub fn users<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<ContractRecipients<C>, RecipientsError> {
        self.hub.users(ids).map(ContractRecipients::new)
    }

    /// As [`users`](Self::users), for a list of any length.
    pub fn users_bulk<S: AsRef<str>>(&self, ids: impl IntoIterator<Item = S>) -> ContractRecipients<C> {
        ContractRecipients::new(self.hub.users_bulk(ids))
    }
}

impl<C> Clone for Pushes<C> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone(), contract: PhantomData }
    }
}

impl<C> fmt::Debug for Pushes<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes").finish_non_exhaustive()
    }
}

/// A push about to go to many.
///
/// Awaited, it is in the outbox of every receiver, in order, and says how many those are. A receiver that is
/// behind gets what the push's [`Delivery`](wirelark_proto::contract::Delivery) says; it delays nobody else. One whose
/// route allows no messages of this size is told that it missed a push, and counted in
/// [`Delivered::too_large`]. A body that cannot be written (an integer beyond 2^53 - 1) goes to nobody and is reported
/// in the log.
///
/// # Cancel safety
/// Dropped before it is ready, the push has gone to everybody or to nobody.
#[derive(Debug)]
#[must_use = "nothing is pushed until this is awaited"]
pub struct Pushed {
    publish: Option<Publish>,
}

impl Pushed {
    fn new<C: Contract>(hub: &Hub, target: Target, push: Push<C>) -> Self {
        Self::prepare(push, |frame| Publish::shared(hub.clone(), target, frame))
    }

    fn prepare<C: Contract>(push: Push<C>, publish: impl FnOnce(SharedFrame) -> Publish) -> Self {
        let name = push.name;
        let frame = push.into_frame().inspect_err(|error| unwritable(C::describe().name, name, error)).ok();
        Self { publish: frame.map(publish) }
    }

    /// Leaves somebody out, such as the sender: `.except(&session)`, or a connection by its id.
    pub fn except(mut self, who: impl Into<Excepted>) -> Self {
        self.publish = self.publish.map(|publish| publish.except(who));
        self
    }

    /// Hands the push to the hub if that needs no waiting, and does not wait for its delivery either.
    ///
    /// # Errors
    /// The hub is [`Busy`].
    pub fn try_send(self) -> Result<(), Busy> {
        self.publish.map_or(Ok(()), Publish::try_send)
    }
}

impl IntoFuture for Pushed {
    type Output = Delivered;
    type IntoFuture = Pin<Box<dyn Future<Output = Delivered> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.publish {
                Some(publish) => publish.counted().await,
                None => Delivered::default(),
            }
        })
    }
}

fn unwritable(contract: &str, push: &str, error: &EncodeError) {
    tracing::error!(contract, push, %error, "a push cannot be written and went to nobody");
}

/// A push about to go to one session; see [`Session::push`](super::Session::push).
#[derive(Debug)]
#[must_use = "nothing is pushed until this is awaited"]
pub struct Pushing<'a> {
    connection: &'a Connection,
    frame: Option<SharedFrame>,
}

impl<'a> Pushing<'a> {
    pub(super) fn new<C: Contract>(connection: &'a Connection, push: Push<C>) -> Self {
        let name = push.name;
        let frame = push.into_frame().inspect_err(|error| unwritable(C::describe().name, name, error)).ok();
        Self { connection, frame }
    }
}

impl Future for Pushing<'_> {
    type Output = Delivered;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Delivered> {
        let Self { connection, frame } = self.get_mut();
        let mut delivered = Delivered::default();
        if let Some(waiting) = frame {
            let delivery = std::task::ready!(connection.poll_push(cx, waiting));
            delivered.count(delivery);
            *frame = None;
        }
        Poll::Ready(delivered)
    }
}
