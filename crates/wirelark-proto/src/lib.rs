//! The WebSocket protocol without any I/O: RFC 6455 frames, RFC 7692 compression, the opening handshake and
//! the close codes.
//!
//! Nothing here reads a socket, looks at a clock or draws a random number. A caller hands in the bytes it
//! read and gets events back; it asks for frames and writes them itself. A server, a client, a load
//! generator, a simulator and a fuzzer can therefore all drive the same code.
//!
//! ```text
//!                 bytes read                          events
//!   transport  ──────────────▶  Protocol::poll_event ────────▶  application
//!              ◀──────────────  Frame, Protocol::close  ◀─────
//!                frames to write                      commands
//! ```
//!
//! The crate reads from the wire upwards:
//!
//! * [`handshake`] turns HTTP headers into an upgrade, for servers and for clients;
//! * [`Head`] and [`Frame`] are what travels, [`mask`] is the exclusive-or that clients apply;
//! * [`Utf8Validator`] judges text that arrives in pieces;
//! * [`Compression`] is what both ends agreed for permessage-deflate, [`compress`] makes such payloads;
//! * [`Protocol`] is one end of one connection: frames in, messages out;
//! * [`Message`], [`Text`], [`CloseFrame`] and [`CloseCode`] are the words applications use;
//! * [`contract`] is what typed calls and events put into messages.
//!
//! ```
//! use wirelark_proto::{Config, Event, Frame, Message, Protocol, Role};
//!
//! let mut server = Protocol::new(Config { role: Role::Server, message_bytes_max: 1024, compression: None });
//! let mut wire = Frame::masked(Message::from("hello"), [1, 2, 3, 4]).to_vec();
//!
//! let mut input = wire.as_mut_slice();
//! let event = server.poll_event(&mut input)?.expect("the frame is complete");
//! assert!(matches!(event, Event::Text(text) if text.as_slice() == b"hello"));
//! # Ok::<(), wirelark_proto::ProtocolError>(())
//! ```

#![forbid(unsafe_code)]

mod close;
mod codes;
pub mod contract;
mod deflate;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod protocol;
mod utf8;

pub use close::{CloseFrame, REASON_BYTES_MAX};
pub use codes::{Action, CloseCode, CodeEntry, SentBy, table, table_markdown};
pub use deflate::{Compression, CompressionOffer, CompressionOptions, InvalidCompressionOptions, compress};
pub use frame::{CONTROL_BYTES_MAX, Frame, Head, Opcode};
pub use mask::mask;
pub use message::{InvalidUtf8, Kind, Message, Text};
pub use protocol::{CloseState, Config, Event, Payload, Protocol, ProtocolError, Role};
pub use utf8::Utf8Validator;
