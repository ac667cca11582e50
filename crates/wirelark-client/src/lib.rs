//! The client of Wirelark's contracts: calls, sends and pushes over one WebSocket that is kept open.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use serde::{Deserialize, Serialize};
//! use wirelark_client::Client;
//!
//! #[derive(Serialize)]
//! struct Post { text: String }
//! #[derive(Deserialize)]
//! struct Message { id: u32, text: String }
//!
//! let client = Client::builder("wss://chat.example.com/chat/lobby").bearer("a token").connect().await?;
//! let _listening = client.on("posted", |message: Message| println!("{}", message.text));
//! let message: Message = client.call("post", &Post { text: "hello".into() }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `#[wirelark::contract]` makes a typed client of a contract, `ChatClient` of `Chat`; this crate is what it
//! stands on. It also speaks to servers of socka's wire, see [`Builder::plain_socka`].
//!
//! # What is promised
//!
//! * **A call always settles**: with its answer, with what the server says is wrong, or with a [`CallError`] when
//!   the connection ends, the client is closed, or its time is up. A call whose future is dropped is forgotten.
//! * **The connection comes back** by itself, unless the server said that it is no use; see [`Reconnect`] and
//!   [`Status`]. What was not sent yet waits for it, what was sent is not sent twice.
//! * **Everything is bounded**: what waits to be sent, calls that wait for their answers, pushes that wait for a
//!   [`PushStream`]'s reader, a message's size, every wait. Each method says what happens at its bound.
//! * **Order.** Requests leave in the order in which they were queued. Pushes and answers are handed out in the
//!   order in which they arrive, by one task: an answer that came behind a push is seen after its listeners ran.

#![forbid(unsafe_code)]

mod address;
mod builder;
mod call;
mod client;
mod closed;
mod connect;
mod connector;
mod core;
mod driver;
mod link;
mod listeners;
mod reconnect;
mod report;
mod status;
mod stream;

pub use wirelark_proto::contract::{BigInt, DecodeError, EncodeError, Format, Gap, RateLimited};
pub use wirelark_proto::{CloseCode, CloseFrame};

pub use self::address::{Address, InvalidUrl};
pub use self::builder::{BuildError, Builder, Offline};
pub use self::call::{CallError, ServerError};
pub use self::client::{Client, HasClient, WaitError};
pub use self::closed::{Closed, ClosedBy};
pub use self::connect::ConnectError;
pub use self::connector::{Connecting, Connector, Network, Stream};
pub use self::listeners::Subscription;
pub use self::reconnect::{Backoff, Reconnect};
pub use self::report::{Report, ReportKind};
pub use self::status::Status;
pub use self::stream::PushStream;
