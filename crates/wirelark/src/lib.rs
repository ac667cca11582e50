//! Wirelark: realtime WebSocket APIs on tokio, axum and tower.
//!
//! An `async fn` becomes a WebSocket route with middleware, authentication, limits and back-pressure:
//!
//! ```no_run
//! use wirelark::{App, Socket};
//!
//! async fn chat(mut socket: Socket) -> wirelark::Result {
//!     let room = socket.join("lobby")?;
//!     while let Some(message) = socket.recv().await {
//!         room.publish(message).await;
//!     }
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), wirelark::ServeError> {
//!     App::new().socket("/chat", chat).serve("127.0.0.1:3000").await
//! }
//! ```
//!
//! - [`App`] holds routes, options and layers, and serves them, or becomes an [`axum::Router`].
//! - [`Socket`] is one connection whose messages a handler receives and sends.
//! - [`Hub`] sends to users on all their devices, to a room, to everyone or to one connection, from anywhere.
//! - [`presence`] tells those who watch a room who is there.
//! - [`Options`] are the limits of a route; all of them have a default, and all of them are on.
//! - [`auth`] tells who connects, before the connection exists or by its first message.
//! - [`hooks`] look on while messages pass, and when something goes wrong.
//! - [`testing`] runs the whole app in memory, under a clock that tests advance.
//!
//! The crate is built on floors; each knows only those below it: `limits`, `observe`, `budget` and
//! `shared_frame`; `net`; `connection`; `hub`; `app`; `serve`; `testing`.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod app;
mod budget;
mod connection;
mod hub;
mod limits;
mod net;
mod observe;
#[cfg(feature = "prometheus")]
mod prometheus;
mod rate;
mod serve;
mod shared_frame;
#[cfg(feature = "testing")]
pub mod testing;

pub use wirelark_macros::{contract, socket};
pub use wirelark_proto::contract::{InvalidRate, Rate, RateLimited};
pub use wirelark_proto::{
    Action, CloseCode, CloseFrame, CompressionOptions, InvalidUtf8, Kind, Message, Text,
};
pub use {axum, schemars};

#[cfg(feature = "client")]
pub use wirelark_client as client;

/// Typed clients, where there is a client at all: for `#[contract]`, which cannot see our features.
#[cfg(feature = "client")]
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_client {
    ($($items:tt)*) => { $($items)* };
}

#[cfg(not(feature = "client"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_client {
    ($($items:tt)*) => {};
}

/// The same for testers.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tester {
    ($($items:tt)*) => { $($items)* };
}

#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tester {
    ($($items:tt)*) => {};
}

/// Who is told of messages, and of what goes wrong.
pub mod hooks {
    pub use crate::connection::hooks::{Hooks, Received, Report, ReportKind, Sent};
}

/// Who is in a room, for those who watch it; see [`Hub::presence`].
pub mod presence {
    pub use crate::hub::presence::{
        Attendee, Left, Listed, METADATA_BYTES_MAX, Member, Metadata, News, Presence, PresenceError,
    };
}

/// What macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use {schemars, serde};
}

#[doc(hidden)]
pub use crate::app::socket_path;
pub use crate::app::{
    App, Asked, BuildError, Built, CallInfo, Close, ContractInfo, Error, Gone, IntoOutcome, IntoSocketRoute,
    JsonSocket, LimitsInfo, PushInfo, Receiver, Receiving, Refusal, Result, RouteInfo, Scope, Sender,
    Sending, SendingJson, Socket, SocketBuilder, SocketHandler, Upgrade, auth, contract, messages, socket,
};
pub use crate::connection::hooks::Hooks;
pub use crate::connection::{Closed, ClosedBy, ConnectionId, SendError};
pub use crate::hub::{
    Busy, Delivered, Excepted, Hub, InvalidRoom, Joinable, OpenRooms, Publish, Recipients, RecipientsError,
    Room, RoomDenied, RoomName, RoomPass, RoomPolicy, Target, USERS_MAX,
};
pub use crate::limits::{OptionError, Options, SlowClient};
#[cfg(feature = "tls")]
pub use crate::net::tls::{Tls, TlsError};
pub use crate::observe::names as metric_names;
pub use crate::rate::Meter;
pub use crate::serve::{ServeError, Server};
