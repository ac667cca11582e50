//! A connection in the hands of a handler.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wirelark_proto::{CONTROL_BYTES_MAX, CloseCode, CloseFrame, Message};

use super::json::JsonSocket;
use crate::connection::{
    Batch, Closed, ConflationKey, Connection, ConnectionId, SendError, SignInError, Unsent, User, Wish,
};
use crate::hub::presence::Attendee;
use crate::hub::{Excepted, Hub, InvalidRoom, Joinable, Recipients, RecipientsError, Room};

/// One open WebSocket connection: the last argument of a socket handler.
///
/// Receiving and sending may be done from one place ([`recv`](Self::recv), [`send`](Self::send)), from two
/// ([`split`](Self::split)), or through the `Stream` and `Sink` traits. Pings are answered, fragments put
/// together and limits kept without the handler's help.
///
/// When the handler returns the connection closes with 1000, unless [`keep_open`](Self::keep_open) was
/// called.
pub struct Socket {
    receiver: Receiver,
    hub: Hub,
}

impl Socket {
    pub(crate) fn new(connection: Arc<Connection>, hub: Hub) -> Self {
        Self { receiver: Receiver { connection, batch: Batch::default() }, hub }
    }

    /// The next message, for those who tell the hooks about it themselves.
    pub(super) fn poll_unheard(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_unheard(cx)
    }

    pub(super) fn shared(&self) -> &Arc<Connection> {
        &self.receiver.connection
    }

    // A socket is three words, because handlers tend to hold it twice; so it borrows no `Sender` of its own.
    fn connection(&self) -> &Connection {
        &self.receiver.connection
    }

    /// The next text or binary message, in order. `None` when no more will come: the client closed or
    /// vanished, or this side closed. [`closed`](Sender::closed) tells which.
    ///
    /// Messages that arrived before the end are still handed over first.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub fn recv(&mut self) -> Receiving<'_> {
        self.receiver.recv()
    }

    /// Queues a message for the client. What is queued leaves in one write when the handler next waits.
    ///
    /// # When the outbox is full
    /// The route's [`SlowClient`](crate::SlowClient) policy decides: an error, a close, a wait, or a drop.
    ///
    /// # Errors
    /// [`SendError::Closed`] once the connection is closing: a normal end, which `?` in a handler passes on
    /// as such. [`SendError::TooLarge`] over the route's `message_bytes`; the connection then closes with 1009.
    ///
    /// # Cancel safety
    /// Dropped while it waits for room, the message was not queued.
    pub fn send(&self, message: impl Into<Message>) -> Sending<'_> {
        Sending::new(self.connection(), message)
    }

    /// Queues a value as JSON text.
    ///
    /// # Errors
    /// As [`send`](Self::send); or the value cannot be written as JSON.
    pub fn send_json(&self, value: &impl Serialize) -> SendingJson<'_> {
        SendingJson::new(self.connection(), value)
    }

    /// A sending half and a receiving half, for two tasks or two places in one.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender(), self.receiver)
    }

    /// A handle that can send, close and join from anywhere, for as long as the connection lives.
    pub fn sender(&self) -> Sender {
        Sender { connection: Arc::clone(&self.receiver.connection), hub: self.hub.clone() }
    }

    /// Receives and sends values as JSON; see [`JsonSocket`].
    pub fn json<In, Out>(self) -> JsonSocket<In, Out> {
        JsonSocket::new(self)
    }

    /// Leaves the connection open when the handler returns, until the client or somebody else closes it.
    /// Messages that arrive after the `Socket` is dropped are counted and dropped.
    pub fn keep_open(&self) {
        self.connection().keep_open();
    }

    /// Begins the close handshake. Only the first call counts; messages sent before it still leave.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.connection().close(CloseFrame::new(code, reason));
    }

    /// Sends a ping with a payload of at most 125 bytes. The heartbeat sends its own.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] for a longer payload, [`SendError::Closed`].
    pub fn ping(&self, payload: impl Into<Bytes>) -> Result<(), SendError> {
        control(self.connection(), Message::Ping(payload.into()))
    }

    /// Sends an unsolicited pong with a payload of at most 125 bytes.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] for a longer payload, [`SendError::Closed`].
    pub fn pong(&self, payload: impl Into<Bytes>) -> Result<(), SendError> {
        control(self.connection(), Message::Pong(payload.into()))
    }

    /// Fires once, when nothing more will be received: the client closed or vanished, this side closes, or
    /// the server shuts down.
    pub fn token(&self) -> CancellationToken {
        self.connection().token()
    }

    /// This connection's id.
    pub fn id(&self) -> ConnectionId {
        self.connection().id
    }

    /// Who is connected, if anybody has been authenticated.
    pub fn user(&self) -> Option<User> {
        self.connection().user()
    }

    /// From now on `user` is at the other end, and gets what is sent to that user: for connections that sign in late, or
    /// whose token was renewed. When the new user [expires](User::expires), and no longer when the one before does, the
    /// connection closes.
    ///
    /// # Errors
    /// [`SignInError::AnotherUser`] if the connection is somebody else's already, [`SignInError::Forbidden`] if the user
    /// lacks what the route requires, [`SignInError::TooManyConnections`] if the user has as many as the route allows,
    /// [`SignInError::Ended`]. Nothing has changed then.
    pub fn sign_in(&self, user: &User) -> Result<(), SignInError> {
        self.hub.sign_in(self.connection(), user)
    }

    /// As [`sign_in`](Self::sign_in), also where the connection was another user's. Whatever was set up for that one, such
    /// as the rooms that were joined, stays: it is for the handler to leave them.
    ///
    /// # Errors
    /// [`SignInError::Forbidden`], [`SignInError::TooManyConnections`], [`SignInError::Ended`].
    pub fn switch_user(&self, user: &User) -> Result<(), SignInError> {
        self.hub.switch_user(self.connection(), user)
    }

    /// The subprotocol that was agreed, or `""`.
    pub fn protocol(&self) -> &str {
        self.connection().protocol()
    }

    /// The app's hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Joins a room: one whose name is a literal, or one there is a [`RoomPass`](crate::RoomPass) for. It is left when the
    /// connection ends.
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn join(&self, room: impl Joinable) -> Result<Room, InvalidRoom> {
        Ok(self.hub.join_room(self.id(), room.into_pass()?))
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<Closed> {
        self.connection().closed()
    }
}

impl From<&Socket> for Excepted {
    fn from(socket: &Socket) -> Self {
        socket.id().into()
    }
}

impl From<&Socket> for Attendee {
    fn from(socket: &Socket) -> Self {
        Self::new(socket.connection())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.id()).finish()
    }
}

impl Stream for Socket {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_recv(cx)
    }
}

/// Ready when the outbox has taken the message before. `poll_flush` does not wait for the client: frames
/// leave when the task yields.
impl Sink<Message> for Socket {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.connection().poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.connection().try_send(message, None)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.close(CloseCode::NORMAL, "");
        Poll::Ready(Ok(()))
    }
}

/// The receiving half of a [`Socket`].
pub struct Receiver {
    connection: Arc<Connection>,
    batch: Batch,
}

impl Receiver {
    /// As [`Socket::recv`].
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub fn recv(&mut self) -> Receiving<'_> {
        Receiving { receiver: self }
    }

    /// The next message, of which nobody is told.
    fn poll_unheard(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.connection.poll_recv(cx, &mut self.batch)
    }

    /// The next message, of which the route's hook is told before its handler.
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let polled = self.poll_unheard(cx);
        let connection = &self.connection;
        if connection.route.hooks.hear_received()
            && let Poll::Ready(Some(message)) = &polled
        {
            connection.received(None, None, message.kind(), message.len());
        }
        polled
    }
}

impl Stream for Receiver {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.connection.abandon_inbound();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.connection.id).finish()
    }
}

/// The sending half of a [`Socket`]. Cheap to clone; usable from any task.
///
/// Messages of one task keep their order; between tasks the order is that of the calls.
#[derive(Clone)]
pub struct Sender {
    connection: Arc<Connection>,
    hub: Hub,
}

impl Sender {
    /// As [`Socket::send`].
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send(&self, message: impl Into<Message>) -> Sending<'_> {
        Sending::new(&self.connection, message)
    }

    /// As [`send`](Self::send). On a route with [`SlowClient::Conflate`](crate::SlowClient::Conflate), and
    /// only while the client is behind, the message replaces a waiting one of the same key.
    ///
    /// # Errors
    /// As [`Socket::send`].
    pub fn send_keyed(&self, key: ConflationKey, message: impl Into<Message>) -> Sending<'_> {
        Sending { key: Some(key), ..self.send(message) }
    }

    /// Queues a value as JSON text.
    ///
    /// # Errors
    /// As [`Socket::send`]; or the value cannot be written as JSON.
    pub fn send_json(&self, value: &impl Serialize) -> SendingJson<'_> {
        SendingJson::new(&self.connection, value)
    }

    /// Queues a message without waiting, whatever the policy.
    ///
    /// # Errors
    /// [`SendError::Full`] where [`send`](Self::send) would wait or fail; otherwise as [`Socket::send`].
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.connection.try_send(message.into(), None)
    }

    /// As [`Socket::ping`].
    ///
    /// # Errors
    /// As [`Socket::ping`].
    pub fn ping(&self, payload: impl Into<Bytes>) -> Result<(), SendError> {
        control(&self.connection, Message::Ping(payload.into()))
    }

    /// As [`Socket::pong`].
    ///
    /// # Errors
    /// As [`Socket::pong`].
    pub fn pong(&self, payload: impl Into<Bytes>) -> Result<(), SendError> {
        control(&self.connection, Message::Pong(payload.into()))
    }

    /// As [`Socket::close`].
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(CloseFrame::new(code, reason));
    }

    /// As [`Socket::keep_open`].
    pub fn keep_open(&self) {
        self.connection.keep_open();
    }

    /// As [`Socket::token`].
    pub fn token(&self) -> CancellationToken {
        self.connection.token()
    }

    /// This connection's id.
    pub fn id(&self) -> ConnectionId {
        self.connection.id
    }

    /// As [`Socket::user`].
    pub fn user(&self) -> Option<User> {
        self.connection.user()
    }

    /// As [`Socket::sign_in`].
    ///
    /// # Errors
    /// As [`Socket::sign_in`].
    pub fn sign_in(&self, user: &User) -> Result<(), SignInError> {
        self.hub.sign_in(&self.connection, user)
    }

    /// As [`Socket::switch_user`].
    ///
    /// # Errors
    /// As [`Socket::switch_user`].
    pub fn switch_user(&self, user: &User) -> Result<(), SignInError> {
        self.hub.switch_user(&self.connection, user)
    }

    /// The subprotocol that was agreed, or `""`.
    pub fn protocol(&self) -> &str {
        self.connection.protocol()
    }

    /// The app's hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// As [`Socket::join`].
    ///
    /// # Errors
    /// As [`Socket::join`].
    pub fn join(&self, room: impl Joinable) -> Result<Room, InvalidRoom> {
        Ok(self.hub.join_room(self.id(), room.into_pass()?))
    }

    /// How the connection ended, once it has.
    pub fn closed(&self) -> Option<Closed> {
        self.connection.closed()
    }

    /// All devices of whoever is at the other end: the user's, or this connection alone where nobody has signed in.
    pub fn devices(&self) -> Recipients {
        self.recipients(None::<&[&str]>).expect("a connection is somebody")
    }

    /// The users a message names, or who sent it if it names none: [`devices`](Self::devices).
    ///
    /// # Errors
    /// As [`Hub::users`].
    pub fn recipients<S: AsRef<str>>(&self, named: Option<&[S]>) -> Result<Recipients, RecipientsError> {
        let user = self.user();
        self.hub.recipients(named, user.as_ref().map(User::id), Some(self.id()))
    }

    /// Waits until the connection has ended, and says how.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn ended(&self) -> Closed {
        self.token().cancelled().await;
        self.closed().expect("how a connection ended is known before its token fires")
    }

    /// Messages dropped for this connection by its route's policy.
    pub fn dropped_messages(&self) -> u64 {
        self.connection.dropped_messages()
    }

    /// Bytes queued and not yet taken by the kernel.
    pub fn queued_bytes(&self) -> usize {
        self.connection.queued_bytes()
    }
}

impl From<&Sender> for Excepted {
    fn from(sender: &Sender) -> Self {
        sender.id().into()
    }
}

impl From<&Sender> for Attendee {
    fn from(sender: &Sender) -> Self {
        Self::new(&sender.connection)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.connection.id).finish()
    }
}

fn control(connection: &Connection, message: Message) -> Result<(), SendError> {
    match message.len() {
        0..=CONTROL_BYTES_MAX => connection.try_send(message, None),
        _ => Err(SendError::TooLarge),
    }
}

/// The next message of a socket; see [`Socket::recv`]. One word, so that a waiting handler stays small.
#[derive(Debug)]
#[must_use = "nothing is received until this is awaited"]
pub struct Receiving<'a> {
    receiver: &'a mut Receiver,
}

impl Future for Receiving<'_> {
    type Output = Option<Message>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_recv(cx)
    }
}

/// A message on its way into the outbox; see [`Socket::send`].
#[derive(Debug)]
#[must_use = "nothing is sent until this is awaited"]
pub struct Sending<'a> {
    connection: &'a Connection,
    unsent: Option<Unsent>,
    key: Option<ConflationKey>,
}

impl<'a> Sending<'a> {
    fn new(connection: &'a Connection, message: impl Into<Message>) -> Self {
        Self { connection, unsent: Some(Unsent::Message(message.into())), key: None }
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Self { connection, unsent, key } = self.get_mut();
        connection.poll_send(cx, unsent, Wish::Plain(*key))
    }
}

/// A value on its way into the outbox as JSON; see [`Socket::send_json`]. The value itself is not kept.
#[derive(Debug)]
#[must_use = "nothing is sent until this is awaited"]
pub struct SendingJson<'a> {
    /// The error is taken when it is reported.
    sending: Result<Sending<'a>, Option<serde_json::Error>>,
}

impl<'a> SendingJson<'a> {
    fn new(connection: &'a Connection, value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).map_err(Some);
        Self { sending: text.map(|text| Sending::new(connection, text)) }
    }
}

impl Future for SendingJson<'_> {
    type Output = crate::Result;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<crate::Result> {
        match &mut self.get_mut().sending {
            Ok(sending) => Pin::new(sending).poll(cx).map_err(Into::into),
            Err(error) => Poll::Ready(error.take().map_or(Ok(()), |error| Err(error.into()))),
        }
    }
}
