//! A second opinion: the same bytes to this crate and to tungstenite must give the same messages and the same
//! verdict. Where the two differ on purpose, [`check`] says how.
//!
//! Used by the differential test and by the fuzz target `frames`.

use std::io::{self, Read, Write};

use tungstenite::{
    Error,
    error::ProtocolError as TheirProtocolError,
    protocol::{self, WebSocket, WebSocketConfig},
};
use wirelark_proto::{CloseCode, CloseFrame, Config, Message, ProtocolError, Role, Text};

use crate::support::{Cuts, Decoded, Seen, decode};

/// The largest message both take.
pub(crate) const LIMIT: usize = 4096;

/// Compares the two, and returns what this crate refused the stream for.
pub(crate) fn check(role: Role, wire: &[u8], cuts: Cuts, what: &str) -> Option<ProtocolError> {
    let Decoded { events, error } =
        decode(Config { role, message_bytes_max: LIMIT, compression: None }, wire, cuts);
    let (mut their_events, end) = theirs(role, wire, cuts);
    // tungstenite delivers a close whose code it does not know with a code of its own, 1014 among them.
    if let (Some(Err(Some(ours))), Some(Err(Some(theirs)))) = (events.last(), their_events.last_mut())
        && ours.code == CloseCode::BAD_GATEWAY
    {
        *theirs = ours.clone();
    }
    match error {
        None => assert_eq!((&events, End::Accepted), (&their_events, end), "{what}"),
        // We are stricter: tungstenite takes any form of a length, of control frames too.
        Some(ProtocolError::NonMinimalLength | ProtocolError::ControlTooLong) => {
            assert!(their_events.starts_with(&events), "{what}")
        }
        // The same replacement, of a code that nobody knows: we refuse the frame.
        Some(ProtocolError::BadCloseCode) if end == End::Accepted => {
            let (last, before) = their_events.split_last().expect("a close was delivered");
            assert_eq!((before, last.is_err()), (&events[..], true), "{what}");
        }
        // We are earlier: a verdict that follows from the first bytes of a frame does not wait for the last.
        // Where the stream ends in between, tungstenite is still waiting.
        Some(error) => {
            assert_eq!(events, their_events, "{what}");
            if end == End::Accepted {
                let (whole, _) = theirs(role, &[wire, &vec![0; LIMIT + 100]].concat(), cuts);
                assert_eq!(whole, events, "{what}: {error:?}, and tungstenite goes on");
            }
        }
    }
    error
}

/// How their stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Accepted,
    Rejected(String),
}

/// Bytes to read in pieces, listed from the last to the first; what is written disappears.
struct Pieces<'a>(Vec<&'a [u8]>);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.0.last_mut() {
            if piece.is_empty() {
                self.0.pop();
                continue;
            }
            return piece.read(buffer);
        }
        Ok(0)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of `wire`.
pub(crate) fn theirs(role: Role, wire: &[u8], cuts: Cuts) -> (Vec<Seen>, End) {
    let mut pieces = cuts.split(wire);
    pieces.reverse();
    let stream = Pieces(pieces);
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT))
        .read_buffer_size(512)
        .write_buffer_size(0);
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let mut socket = WebSocket::from_raw_socket(stream, role, Some(config));
    let mut seen = Vec::new();
    loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => seen.push(Ok(Message::from(text.as_str()))),
            Ok(tungstenite::Message::Binary(bytes)) => seen.push(Ok(Message::from(bytes))),
            Ok(tungstenite::Message::Ping(bytes)) => seen.push(Ok(Message::Ping(bytes))),
            Ok(tungstenite::Message::Pong(bytes)) => seen.push(Ok(Message::Pong(bytes))),
            Ok(tungstenite::Message::Close(frame)) => {
                let frame = frame.map(|frame| CloseFrame {
                    code: CloseCode::new(frame.code.into()),
                    reason: Text::from(frame.reason.as_str()),
                });
                seen.push(Err(frame));
                // What follows a close is nobody's business; tungstenite has an opinion, we discard it.
                return (seen, End::Accepted);
            }
            Ok(tungstenite::Message::Frame(_)) => unreachable!("read never returns a raw frame"),
            Err(
                Error::ConnectionClosed | Error::Protocol(TheirProtocolError::ResetWithoutClosingHandshake),
            ) => {
                return (seen, End::Accepted);
            }
            Err(error) => return (seen, End::Rejected(error.to_string())),
        }
    }
}
