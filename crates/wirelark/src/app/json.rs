//! A socket of JSON values.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wirelark_proto::Message;

use super::socket::Socket;

/// A [`Socket`] whose messages are JSON values: `In` from the client, `Out` to it.
///
/// Text and binary messages are read alike, as UTF-8 JSON. What cannot be read as an `In` is, by choice,
/// skipped with a warning ([`recv`](Self::recv)) or handed over as an error ([`try_recv`](Self::try_recv)).
#[derive(Debug)]
pub struct JsonSocket<In, Out> {
    socket: Socket,
    skipped: u64,
    types: PhantomData<fn(Out) -> In>,
}

impl<In, Out> JsonSocket<In, Out> {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, skipped: 0, types: PhantomData }
    }

    /// The socket underneath.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Gives the socket back.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// How many messages [`recv`](Self::recv) has skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl<In: DeserializeOwned, Out: Serialize> JsonSocket<In, Out> {
    /// The next value; messages that are not an `In` are skipped with a warning in the log. `None` when no
    /// more will come.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub async fn recv(&mut self) -> Option<In> {
        loop {
            match self.try_recv().await? {
                Ok(value) => return Some(value),
                Err(error) => {
                    self.skipped += 1;
                    // The error's own text may quote the message; its place is enough to find it.
                    let (line, column) = (error.line(), error.column());
                    tracing::warn!(connection = %self.socket.id(), line, column, "skipped a message that is not the JSON expected");
                }
            }
        }
    }

    /// The next value, or why the next message is none. `None` when no more will come.
    ///
    /// # Cancel safety
    /// Dropping the future loses no message.
    pub async fn try_recv(&mut self) -> Option<Result<In, serde_json::Error>> {
        loop {
            match self.socket.recv().await? {
                Message::Text(text) => return Some(serde_json::from_slice(text.as_bytes())),
                Message::Binary(bytes) => return Some(serde_json::from_slice(&bytes)),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    /// Queues a value as JSON text.
    ///
    /// # Errors
    /// As [`Socket::send_json`].
    pub async fn send(&self, value: &Out) -> crate::Result {
        self.socket.send_json(value).await
    }
}
