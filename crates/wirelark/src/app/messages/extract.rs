//! What a message handler can ask for.

use std::fmt;
use std::future::{Future, ready};
use std::num::NonZeroU64;
use std::ops::Deref;

use axum::Json;
use axum::extract::{Extension, FromRef, FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use wirelark_proto::contract::Problem;
use wirelark_proto::{Message, Text};

use crate::app::auth::User;
use crate::app::socket::{Sender, Socket};
use crate::connection::{self, ConnectionId};
use crate::hub::presence::Attendee;
use crate::hub::{Excepted, Hub};

/// An argument of a message handler.
///
/// | type | what it is | refuses the message |
/// |---|---|---|
/// | [`Json<T>`](axum::Json) | the message, read as JSON | when it is no JSON, or no `T` |
/// | [`String`], [`Text`] | the message's text | when it is binary |
/// | [`Bytes`], [`Message`] | the message as it is | |
/// | [`User`], `Option<User>` | who is at the other end | `User`: when nobody has signed in |
/// | [`Connection`] | sends, joins rooms, closes | |
/// | [`Hub`] | sends to anybody | |
/// | [`RequestId`] | tells the message from all others of the app | |
/// | [`CancellationToken`] | fires when this message's handling is over, in whatever way | |
/// | [`State<T>`](axum::extract::State), [`Extension<T>`](axum::extract::Extension) | as in axum | |
/// | [`Path<T>`](axum::extract::Path), [`Query<T>`](axum::extract::Query) | of the upgrade request | |
/// | [`RoomPass`](crate::RoomPass) | for the room that `{room}` in the path names | |
///
/// Between two messages there is no request any more. What an extractor needs of it is [kept](Self::keep) from before
/// the 101, and takes memory for as long as the connection lives: `Path`, `Query`, `Extension` and `RoomPass` keep their
/// value, and are refused before the 101 as in axum; the others keep nothing.
///
/// A `RoomPass` is refused with 403 by the [room policy](super::MessagesBuilder::room_policy). Where clients sign in by
/// their [first message](crate::auth::first_message) the policy is asked once they have, before any handler runs; the
/// refusal is then a close with 4403.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of a message handler",
    note = "such as `Json<T>`, `String`, `Bytes`, `User`, `Connection`, `Hub`, `State<T>`, `Path<T>`; see `wirelark::messages::FromMessage`"
)]
pub trait FromMessage<S>: Sized + Send + 'static {
    /// What is kept of the upgrade request for as long as the connection lives; `()` for most.
    type Kept: Send + Sync + 'static;

    /// Whether the message itself is looked at: `false` is a promise. The last of a handler's extractors that looks at it
    /// gets it [without a copy](Incoming::take_message).
    const READS_MESSAGE: bool = true;

    /// Takes from the upgrade request what will be needed. An error is the answer to the request, instead of the 101.
    fn keep(parts: &mut Parts, state: &S) -> impl Future<Output = Result<Self::Kept, Response>> + Send;

    /// The value for one message. It is asked for before the handler runs, and must not wait.
    ///
    /// # Errors
    /// What the client is told instead of a reply.
    fn from_message(incoming: &mut Incoming<'_>, kept: &Self::Kept, state: &S) -> Result<Self, Problem>;
}

/// A message that is about to be handled, as extractors see it.
pub struct Incoming<'a> {
    message: Option<Message>,
    /// Extractors that look at the message and have not had their turn; the present one among them.
    pub(super) readers: usize,
    socket: &'a Socket,
    id: RequestId,
    event: Option<&'static str>,
    /// Of the handling of this message, once somebody has asked for it.
    token: Option<CancellationToken>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(
        message: Option<Message>,
        socket: &'a Socket,
        id: RequestId,
        event: Option<&'static str>,
    ) -> Self {
        Self { message, readers: usize::MAX, socket, id, event, token: None }
    }

    /// The message.
    ///
    /// # Errors
    /// There is none in `attached` and `closed`.
    pub fn message(&self) -> Result<&Message, Problem> {
        self.message.as_ref().ok_or_else(no_message)
    }

    /// The message, to be kept. The last extractor that looks at it gets the message itself, and can ask for it once.
    ///
    /// # Errors
    /// As [`message`](Self::message).
    pub fn take_message(&mut self) -> Result<Message, Problem> {
        let message = if self.readers <= 1 { self.message.take() } else { self.message.clone() };
        message.ok_or_else(no_message)
    }

    /// The connection it came from.
    pub fn connection(&self) -> Connection {
        Connection(self.socket.sender())
    }

    /// Who is at the other end, if anybody has signed in.
    pub fn user(&self) -> Option<User> {
        self.socket.user()
    }

    /// The app's hub.
    pub fn hub(&self) -> &'a Hub {
        self.socket.hub()
    }

    /// What tells this message from all others.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The event it was taken for, by [`on`](super::on).
    pub fn event(&self) -> Option<&'static str> {
        self.event
    }

    /// Fires when the handling of this message is over: replied to, failed, timed out, or its client gone.
    pub fn token(&mut self) -> CancellationToken {
        self.token.get_or_insert_with(|| self.socket.token().child_token()).clone()
    }

    pub(super) fn shared(&self) -> &'a connection::Connection {
        self.socket.shared()
    }

    /// The token, for whoever fires it.
    pub(super) fn into_token(self) -> Option<CancellationToken> {
        self.token
    }
}

fn no_message() -> Problem {
    Problem::new("`attached` and `closed` run without a message")
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("id", &self.id).field("event", &self.event).finish_non_exhaustive()
    }
}

/// The connection a message came from. Cheap to clone; usable from any task for as long as one likes: once the client
/// is gone, what is sent to it goes nowhere.
#[derive(Clone, Debug)]
pub struct Connection(Sender);

impl From<&Connection> for Excepted {
    fn from(connection: &Connection) -> Self {
        (&connection.0).into()
    }
}

impl From<&Connection> for Attendee {
    fn from(connection: &Connection) -> Self {
        (&connection.0).into()
    }
}

impl Deref for Connection {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.0
    }
}

/// Tells a message from all others of the app: its connection and its number there, which counts from 1; 0 stands for
/// what runs without a message. Written as `CONNECTION-NUMBER`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    connection: ConnectionId,
    number: u64,
}

impl RequestId {
    pub(super) fn new(connection: ConnectionId, number: Option<NonZeroU64>) -> Self {
        Self { connection, number: number.map_or(0, NonZeroU64::get) }
    }

    /// The connection.
    pub fn connection(self) -> ConnectionId {
        self.connection
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connection, self.number)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// Extractors that need nothing of the upgrade request.
macro_rules! of_the_message {
    ($($(#[$generics:ident])? $type:ty, reads: $reads:expr, |$incoming:ident| $value:expr;)*) => {$(
        impl<S: Sync $(, $generics: DeserializeOwned + Send + 'static)?> FromMessage<S> for $type {
            type Kept = ();

            const READS_MESSAGE: bool = $reads;

            fn keep(_: &mut Parts, _: &S) -> impl Future<Output = Result<(), Response>> + Send {
                ready(Ok(()))
            }

            fn from_message($incoming: &mut Incoming<'_>, (): &(), _: &S) -> Result<Self, Problem> {
                $value
            }
        }
    )*};
}

of_the_message! {
    #[T] Json<T>, reads: true, |incoming| json(incoming.message()?);
    String, reads: true, |incoming| Ok(text(incoming.message()?)?.as_str().to_owned());
    Text, reads: true, |incoming| match incoming.take_message()? {
        Message::Text(text) => Ok(text),
        _ => Err(not_text()),
    };
    Bytes, reads: true, |incoming| Ok(incoming.take_message()?.into_bytes());
    Message, reads: true, |incoming| incoming.take_message();
    User, reads: false, |incoming| incoming.user().ok_or_else(nobody);
    Option<User>, reads: false, |incoming| Ok(incoming.user());
    Connection, reads: false, |incoming| Ok(incoming.connection());
    Hub, reads: false, |incoming| Ok(incoming.hub().clone());
    RequestId, reads: false, |incoming| Ok(incoming.id());
    CancellationToken, reads: false, |incoming| Ok(incoming.token());
}

fn json<T: DeserializeOwned>(message: &Message) -> Result<Json<T>, Problem> {
    match serde_json::from_slice(message.as_bytes()) {
        Ok(value) => Ok(Json(value)),
        Err(error) => Err(not_json(&error)),
    }
}

/// A message that is not the JSON expected.
pub(super) fn not_json(error: &serde_json::Error) -> Problem {
    let what = if error.is_data() { "unexpected message" } else { "the message is no JSON" };
    Problem::new(format!("{what}: {error}")).code("BAD_MESSAGE")
}

fn text(message: &Message) -> Result<&Text, Problem> {
    match message {
        Message::Text(text) => Ok(text),
        _ => Err(not_text()),
    }
}

fn not_text() -> Problem {
    Problem::new("this route takes text; send a text message").code("BAD_MESSAGE")
}

fn nobody() -> Problem {
    Problem::new("sign in first").code("UNAUTHORIZED")
}

/// Extractors of axum that are asked once, before the 101, and whose value each message gets.
macro_rules! of_the_request {
    ($($type:ident: $($bound:path),+;)*) => {$(
        impl<S, T> FromMessage<S> for $type<T>
        where
            S: Send + Sync,
            T: Clone + Send + Sync + 'static $(+ $bound)+,
        {
            type Kept = T;

            const READS_MESSAGE: bool = false;

            async fn keep(parts: &mut Parts, state: &S) -> Result<T, Response> {
                let extracted = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await;
                extracted.map(|Self(value)| value).map_err(IntoResponse::into_response)
            }

            fn from_message(_: &mut Incoming<'_>, kept: &T, _: &S) -> Result<Self, Problem> {
                Ok(Self(kept.clone()))
            }
        }
    )*};
}

of_the_request! {
    Path: DeserializeOwned;
    Query: DeserializeOwned;
    Extension: Clone;
}

impl<S, T> FromMessage<S> for State<T>
where
    S: Sync,
    T: FromRef<S> + Send + 'static,
{
    type Kept = ();

    const READS_MESSAGE: bool = false;

    fn keep(_: &mut Parts, _: &S) -> impl Future<Output = Result<(), Response>> + Send {
        ready(Ok(()))
    }

    fn from_message(_: &mut Incoming<'_>, (): &(), state: &S) -> Result<Self, Problem> {
        Ok(Self(T::from_ref(state)))
    }
}
