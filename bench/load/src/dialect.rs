//! What is spoken above TCP. All dialects carry the same messages; Socket.IO wraps each in an event.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::message::STAMP_BYTES;

/// The language of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 6455.
    WebSocket,
    /// RFC 6455 except that the generator does not mask, so that a server that only returns bytes returns valid
    /// server frames.
    Floor,
    /// Calls of a contract: socka's frames in JSON. A message is the text of a call `echo`.
    Socka,
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
}

/// What an incoming message means.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A payload: a reply or a delivery.
    Payload(&'a [u8]),
    /// Part of getting connected, or of staying it: to be answered with this message.
    Housekeeping(&'static str),
    /// From now on the server takes messages.
    Connected,
}

/// What stands around a payload. Where something stands between, the payload's stamp is written before it too: it is
/// the id of a call.
#[derive(Debug, Clone, Copy)]
pub struct Wrapping {
    pub(crate) before: &'static str,
    pub(crate) between: Option<&'static str>,
    pub(crate) after: &'static str,
}

impl Wrapping {
    /// The payload inside a message. Its id must be that of the payload.
    fn open(self, message: &[u8]) -> Option<&[u8]> {
        let rest = message.strip_prefix(self.before.as_bytes())?;
        let inner = rest.strip_suffix(self.after.as_bytes())?;
        let Some(between) = self.between else { return Some(inner) };
        let (id, rest) = inner.split_at_checked(STAMP_BYTES)?;
        rest.strip_prefix(between.as_bytes()).filter(|payload| payload.starts_with(id))
    }
}

impl FromStr for Dialect {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "websocket" => Ok(Self::WebSocket),
            "floor" => Ok(Self::Floor),
            "socka" => Ok(Self::Socka),
            "socketio" => Ok(Self::SocketIo(Event::Echo)),
            _ => bail!("the dialect is `websocket`, `floor`, `socka` or `socketio`"),
        }
    }
}

impl Dialect {
    /// The same dialect, for messages that are to go to everybody.
    #[must_use]
    pub fn fanning_out(self) -> Self {
        match self {
            Self::SocketIo(_) => Self::SocketIo(Event::Fan),
            Self::WebSocket | Self::Floor | Self::Socka => self,
        }
    }

    /// Whether frames are masked, as RFC 6455 asks of a client.
    pub fn masks(self) -> bool {
        self != Self::Floor
    }

    /// What stands around a payload inside its message, on the way to the server.
    pub fn request(self) -> Wrapping {
        match self {
            Self::WebSocket | Self::Floor => Wrapping { before: "", between: None, after: "" },
            Self::Socka => Wrapping {
                before: r#"{"socka":"clientRequest","v":1,"id":""#,
                between: Some(r#"","rpc":"echo","body":{"text":""#),
                after: r#""}}"#,
            },
            Self::SocketIo(Event::Echo) => {
                Wrapping { before: r#"42["echo",""#, between: None, after: r#""]"# }
            }
            Self::SocketIo(Event::Fan) => Wrapping { before: r#"42["fan",""#, between: None, after: r#""]"# },
        }
    }

    /// What stands around it on the way back.
    fn reply(self) -> Wrapping {
        match self {
            Self::Socka => Wrapping { before: r#"{"socka":"serverResponse","v":1,"id":""#, ..self.request() },
            Self::WebSocket | Self::Floor | Self::SocketIo(_) => self.request(),
        }
    }

    /// Reads an incoming message.
    pub fn read(self, message: &[u8]) -> Result<Incoming<'_>> {
        let Self::SocketIo(_) = self else {
            return Ok(Incoming::Payload(self.reply().open(message).context("a reply of another shape")?));
        };
        match message {
            [b'4', b'2', ..] => {
                let payload = self.reply().open(message);
                Ok(Incoming::Payload(payload.context("an event has another name or shape than was sent")?))
            }
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
        assert_eq!(check(r#"42["fan","text"]"#), Incoming::Payload(b"text"));
        assert!(dialect.read(br#"42["echo","text"]"#).is_err());
        assert!(dialect.read(br#"44{"message":"no"}"#).is_err());
    }
}
