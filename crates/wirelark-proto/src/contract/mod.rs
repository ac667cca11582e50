//! What contracts put into messages: calls, their answers and events, as JSON or as MessagePack.
//!
//! The frames are those of socka's wire, version 1, key by key and byte by byte, so that its clients and ours
//! understand each other. This module turns bytes into frames and frames into bytes. It does not know which
//! calls exist, never answers, and keeps nothing between two frames.
//!
//! * [`Format`] encodes and decodes values of any serde type in either dialect;
//! * [`BigInt`] carries integers that JavaScript numbers cannot hold;
//! * [`Envelope`] is one frame: a [`Request`], a [`Response`], an [`ErrorResponse`] or an [`Event`];
//! * [`Body`] is the encoded value inside it, decoded when its type is known, and shared between frames;
//! * [`Gap`] is the one event that every contract has.
//!
//! # One value, two dialects
//!
//! Both dialects write what a JavaScript peer would write for the same value, and take what it may send. A type
//! therefore means the same in both:
//!
//! * **A number is a JavaScript number.** `42.0` is written as `42` and `-0.0` as `0`. An `f32` is written as
//!   the `f64` it widens to. Integers beyond ±(2^53 - 1) would silently become other integers at the peer, so
//!   encoding them is an error that names [`BigInt`]. Inbound they are taken where JSON or MessagePack spells
//!   them as integers. A `42.0` in JSON is no integer to serde_json, and no JavaScript peer writes it.
//! * **A map key is a string**, for integer keys too, and so an integer key has no bound.
//! * **A body that is decoded nests at most [`DEPTH_MAX`] levels.** What a type skips does not count: skipping
//!   takes no stack. Encoding has no limit, so a value that is deeper cannot be read back.
//! * **Text is Unicode.** A string with half of a surrogate pair, which JavaScript can hold, is refused when it
//!   is decoded. Skipped strings are not judged.
//! * **Nothing follows the value**, and a value that ends early is an error.
//!
//! NaN and the infinities are `null` in JSON, and themselves in MessagePack, as in JavaScript.
//!
//! ```
//! use wirelark_proto::contract::{Body, Envelope, Event, Format};
//!
//! let mut frame = Vec::new();
//! Event { event: "moved".into(), body: Some(&[1.0, 2.5]) }.encode(Format::Json, &mut frame)?;
//! assert_eq!(frame, br#"{"socka":"serverEvent","v":1,"event":"moved","body":[1,2.5]}"#);
//!
//! let Envelope::Event(moved) = Envelope::decode(Format::Json, &frame)? else { unreachable!() };
//! assert_eq!(moved.body.map(Body::decode::<(f64, f64)>), Some(Ok((1.0, 2.5))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bigint;
mod body;
mod description;
mod envelope;
mod error;
mod gap;
mod json;
mod msgpack;
mod number;
mod problem;
mod rate;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Kind;

pub use bigint::BigInt;
pub use body::{Body, EncodeBody};
pub use description::{
    CallDescription, CallKind, Contract, ContractHash, Delivery, Description, InvalidContract,
    PushDescription, RESERVED_NAMES,
};
pub use envelope::{Envelope, EnvelopeError, ErrorResponse, Event, Request, Response};
pub use error::{DecodeError, EncodeError};
pub use gap::Gap;
pub use problem::{Problem, ProblemData};
pub use rate::{CallRate, InvalidRate, Rate, RateBy, RateLimited};

/// How many arrays and objects may stand inside each other in a value that is decoded.
///
/// It is serde_json's own limit, which refuses the 128th level, and bounds the stack that recursion takes.
/// MessagePack is held to the same number, so that a value is not too deep in one dialect only.
pub const DEPTH_MAX: usize = 127;

/// How the frames of a connection are written, fixed when it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// JSON in text messages, as `JSON.stringify` writes it.
    Json,
    /// MessagePack in binary messages, as msgpackr writes it with `useRecords: false`.
    MsgPack,
}

impl Format {
    /// The kind of message that carries this format.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Json => Kind::Text,
            Self::MsgPack => Kind::Binary,
        }
    }

    /// The name a client offers in `Sec-WebSocket-Protocol` to ask for this format and for our additions.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wirelark.v1.json",
            Self::MsgPack => "wirelark.v1.msgpack",
        }
    }

    /// The format that a subprotocol asks for, none if the name is not ours.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        [Self::Json, Self::MsgPack].into_iter().find(|format| format.subprotocol() == name)
    }

    /// Appends the encoded value to `out`. After an error `out` is as it was.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let result = match self {
            Self::Json => json::encode(value, out),
            Self::MsgPack => msgpack::encode(value, out),
        };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Decodes a value that takes all of `bytes`. Strings can be borrowed from them.
    ///
    /// Memory grows with the bytes at hand, never with the lengths they announce.
    pub fn decode<'de, T: Deserialize<'de>>(self, bytes: &'de [u8]) -> Result<T, DecodeError> {
        match self {
            Self::Json => json::decode(bytes),
            Self::MsgPack => msgpack::decode(bytes),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Json => "json",
            Self::MsgPack => "msgpack",
        })
    }
}

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(name: &str) -> Result<Self, InvalidFormat> {
        match name {
            "json" => Ok(Self::Json),
            "msgpack" => Ok(Self::MsgPack),
            _ => Err(InvalidFormat(name.to_owned())),
        }
    }
}

/// The name is not that of a [`Format`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not a wire format; write \"json\" or \"msgpack\"")]
pub struct InvalidFormat(String);
