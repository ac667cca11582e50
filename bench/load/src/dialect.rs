//! What is spoken above TCP. All dialects carry the same texts. In some a message is the text, in others an event with
//! it, and in the rest a call `echo` with the argument `text`, to be answered with an object that has the same `text`.

use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use wirelark_proto::Kind;
use wirelark_proto::contract::{Format, Request, Response};

use crate::message::Stamp;

/// The language of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 6455.
    WebSocket,
    /// RFC 6455 except that the generator does not mask, so that a server that only returns bytes returns valid
    /// server frames.
    Floor,
    /// Calls of a contract: socka's frames.
    Socka(Format),
    /// JSON objects: an operation with a value, and the value.
    Json,
    /// Calls in JSON-RPC 2.0, arguments by name.
    JsonRpc,
    /// Socket.IO 5 over Engine.IO 4 over WebSocket; events are named after what is to happen with them.
    SocketIo(Event),
}

/// What a Socket.IO server is to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Send it back.
    Echo,
    /// Send it to everybody.
    Fan,
    /// Answer it with an acknowledgement, as a call is.
    Call,
}

/// What an incoming message means.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A reply or a delivery, to be checked whole.
    Reply(&'a [u8]),
    /// Part of getting connected, or of staying it: to be answered with this message.
    Housekeeping(&'static str),
    /// From now on the server takes messages.
    Connected,
}

/// The argument of a call, and its result.
#[derive(Serialize)]
struct Echo<'a> {
    text: &'a str,
}

impl FromStr for Dialect {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "websocket" => Ok(Self::WebSocket),
            "floor" => Ok(Self::Floor),
            "socka" => Ok(Self::Socka(Format::Json)),
            "socka-msgpack" => Ok(Self::Socka(Format::MsgPack)),
            "json" => Ok(Self::Json),
            "jsonrpc" => Ok(Self::JsonRpc),
            "socketio" => Ok(Self::SocketIo(Event::Echo)),
            "socketio-ack" => Ok(Self::SocketIo(Event::Call)),
            _ => bail!("the dialect is one of {NAMES}"),
        }
    }
}

impl Dialect {
    /// The same dialect, for messages that are to go to everybody.
    #[must_use]
    pub fn fanning_out(self) -> Self {
        match self {
            Self::SocketIo(_) => Self::SocketIo(Event::Fan),
            Self::WebSocket | Self::Floor | Self::Socka(_) | Self::Json | Self::JsonRpc => self,
        }
    }

    /// Whether frames are masked, as RFC 6455 asks of a client.
    pub fn masks(self) -> bool {
        self != Self::Floor
    }

    /// What messages come and go as.
    pub fn kind(self) -> Kind {
        match self {
            Self::Socka(format) => format.kind(),
            Self::WebSocket | Self::Floor | Self::Json | Self::JsonRpc | Self::SocketIo(_) => Kind::Text,
        }
    }

    /// The message to the server that carries `text`. The text begins with its stamp.
    pub(crate) fn request(self, stamp: Stamp, text: &str) -> Result<Vec<u8>> {
        Ok(match self {
            Self::WebSocket | Self::Floor => text.into(),
            Self::Socka(format) => {
                let (id, body) = (stamp.letters().into(), &Echo { text });
                let mut message = Vec::new();
                Request { id, call: "echo".into(), body }.encode(format, &mut message)?;
                message
            }
            Self::Json => format!(r#"{{"op":"reply","value":"{text}"}}"#).into(),
            Self::JsonRpc => {
                let (id, params) = (stamp.digits(), json(text)?);
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"echo","params":{params}}}"#).into()
            }
            Self::SocketIo(Event::Echo) => format!(r#"42["echo","{text}"]"#).into(),
            Self::SocketIo(Event::Fan) => format!(r#"42["fan","{text}"]"#).into(),
            Self::SocketIo(Event::Call) => format!(r#"42{}["call",{}]"#, stamp.digits(), json(text)?).into(),
        })
    }

    /// What the server makes of it. JSON-RPC leaves the order of keys open; all peers write this one.
    pub(crate) fn reply(self, stamp: Stamp, text: &str) -> Result<Vec<u8>> {
        Ok(match self {
            Self::WebSocket | Self::Floor | Self::SocketIo(Event::Echo | Event::Fan) => {
                self.request(stamp, text)?
            }
            Self::Socka(format) => {
                let (id, body) = (stamp.letters().into(), Some(&Echo { text }));
                let mut message = Vec::new();
                Response { id, call: "echo".into(), body }.encode(format, &mut message)?;
                message
            }
            Self::Json => format!(r#"{{"value":"{text}"}}"#).into(),
            Self::JsonRpc => {
                format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, stamp.digits(), json(text)?).into()
            }
            Self::SocketIo(Event::Call) => format!("43{}[{}]", stamp.digits(), json(text)?).into(),
        })
    }

    /// Tells replies from what else a server says.
    pub fn read(self, message: &[u8]) -> Result<Incoming<'_>> {
        let Self::SocketIo(_) = self else { return Ok(Incoming::Reply(message)) };
        match message {
            [b'4', b'2' | b'3', ..] => Ok(Incoming::Reply(message)),
            [b'0', ..] => Ok(Incoming::Housekeeping("40")),
            [b'2'] => Ok(Incoming::Housekeeping("3")),
            [b'4', b'0', ..] => Ok(Incoming::Connected),
            other => {
                ensure!(!other.starts_with(b"44"), "the server refused the namespace");
                bail!(
                    "an unexpected Socket.IO packet: {}",
                    String::from_utf8_lossy(&other[..other.len().min(40)])
                )
            }
        }
    }
}

fn json(text: &str) -> Result<String> {
    Ok(serde_json::to_string(&Echo { text })?)
}

const NAMES: &str = "websocket, floor, socka, socka-msgpack, json, jsonrpc, socketio and socketio-ack";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_io_connects_stays_and_carries() {
        let dialect = Dialect::SocketIo(Event::Fan);
        let check = |message: &'static str| dialect.read(message.as_bytes()).unwrap();
        assert_eq!(check(r#"0{"sid":"a","pingInterval":25000}"#), Incoming::Housekeeping("40"));
        assert_eq!(check(r#"40{"sid":"b"}"#), Incoming::Connected);
        assert_eq!(check("2"), Incoming::Housekeeping("3"));
        assert_eq!(check(r#"42["fan","text"]"#), Incoming::Reply(br#"42["fan","text"]"#));
        assert_eq!(check(r#"431[{}]"#), Incoming::Reply(b"431[{}]"));
        assert!(dialect.read(br#"44{"message":"no"}"#).is_err());
    }

    #[test]
    fn a_call_in_every_dialect() {
        let check = |name: &str, request: &[u8], reply: &[u8]| {
            let (dialect, stamp) = (name.parse::<Dialect>().unwrap(), Stamp { sender: 0, number: 3 });
            assert_eq!(dialect.request(stamp, "hi").unwrap(), request, "{name}");
            assert_eq!(dialect.reply(stamp, "hi").unwrap(), reply, "{name}");
        };
        check(
            "socka",
            br#"{"socka":"clientRequest","v":1,"id":"AAAAAAAAAAAAAAAD","rpc":"echo","body":{"text":"hi"}}"#,
            br#"{"socka":"serverResponse","v":1,"id":"AAAAAAAAAAAAAAAD","rpc":"echo","body":{"text":"hi"}}"#,
        );
        check(
            "socka-msgpack",
            b"\xde\x00\x05\xa5socka\xadclientRequest\xa1v\x01\xa2id\xb0AAAAAAAAAAAAAAAD\
                \xa3rpc\xa4echo\xa4body\xde\x00\x01\xa4text\xa2hi",
            b"\xde\x00\x05\xa5socka\xaeserverResponse\xa1v\x01\xa2id\xb0AAAAAAAAAAAAAAAD\
                \xa3rpc\xa4echo\xa4body\xde\x00\x01\xa4text\xa2hi",
        );
        check(
            "jsonrpc",
            br#"{"jsonrpc":"2.0","id":1000000003,"method":"echo","params":{"text":"hi"}}"#,
            br#"{"jsonrpc":"2.0","id":1000000003,"result":{"text":"hi"}}"#,
        );
        check("socketio-ack", br#"421000000003["call",{"text":"hi"}]"#, br#"431000000003[{"text":"hi"}]"#);
    }
}
