//! A client and a server joined by two pipes that deliver in seeded pieces. No sockets, no clock.

use std::collections::VecDeque;

use wirelark_proto::{
    CloseFrame, CloseState, Compression, Config, Event, Frame, Kind, Message, Protocol, ProtocolError, Role,
};

use super::{Random, Seen};

/// Both ends of one connection.
pub struct Pair {
    pub client: End,
    pub server: End,
    random: Random,
}

impl Pair {
    pub fn new(seed: u64, message_bytes_max: usize, compression: Option<Compression>) -> Self {
        let end = |role| End {
            protocol: Protocol::new(Config { role, message_bytes_max, compression }),
            seen: Vec::new(),
            error: None,
            unsent: VecDeque::new(),
            random: Random(seed ^ role as u64),
        };
        Self { client: end(Role::Client), server: end(Role::Server), random: Random(seed) }
    }

    /// Delivers one piece in one direction. Returns whether there was anything to deliver.
    pub fn step(&mut self) -> bool {
        let to_server = self.random.chance(2);
        let (from, to) = if to_server {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        let longest = if self.random.chance(3) { 65_536 } else { 20 };
        let len = self.random.below(longest).min(from.unsent.len());
        let piece = from.unsent.drain(..len).collect();
        to.receive(piece);
        !self.client.unsent.is_empty() || !self.server.unsent.is_empty()
    }

    /// Delivers until both pipes are empty.
    pub fn drive(&mut self) {
        self.drive_bounded(1_000_000);
    }

    /// Delivers until both pipes are empty, in at most so many steps.
    pub fn drive_bounded(&mut self, steps_max: usize) {
        for _ in 0..steps_max {
            if !self.step() {
                return;
            }
        }
        panic!("the pair never became idle");
    }
}

/// One end: it answers pings and closes as a well-behaved application does.
pub struct End {
    pub protocol: Protocol,
    pub seen: Vec<Seen>,
    pub error: Option<ProtocolError>,
    unsent: VecDeque<u8>,
    random: Random,
}

impl End {
    pub fn send(&mut self, message: Message) {
        let frame = match self.protocol.role() {
            Role::Server => Frame::unmasked(message),
            Role::Client => Frame::masked(message, self.random.key()),
        };
        self.write(&frame);
    }

    /// Sends a text or binary message compressed.
    pub fn send_compressed(&mut self, message: &Message) {
        let deflated = self.protocol.compress(message.as_bytes()).expect("compression was agreed");
        assert!(matches!(message.kind(), Kind::Text | Kind::Binary));
        let frame = match self.protocol.role() {
            Role::Server => Frame::compressed(message.kind(), deflated),
            Role::Client => Frame::compressed_masked(message.kind(), deflated, self.random.key()),
        };
        self.write(&frame);
    }

    pub fn close(&mut self, frame: Option<CloseFrame>) {
        let frame = match self.protocol.role() {
            Role::Server => self.protocol.close(frame),
            Role::Client => self.protocol.close_masked(frame, self.random.key()),
        };
        if let Some(frame) = frame {
            self.write(&frame);
        }
    }

    /// Writes bytes that no protocol would.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    pub fn write(&mut self, frame: &Frame) {
        self.unsent.extend(frame.head.as_slice());
        self.unsent.extend(&frame.payload);
    }

    fn receive(&mut self, mut piece: Vec<u8>) {
        let mut input = piece.as_mut_slice();
        loop {
            match self.protocol.poll_event(&mut input) {
                Ok(None) => return,
                Ok(Some(event)) => {
                    let answer = match &event {
                        Event::Ping(payload) => Some(Message::Pong(payload.clone().into_bytes())),
                        _ => None,
                    };
                    let seen = event.into_message();
                    if let Some(answer) = answer
                        && self.protocol.close_state() == CloseState::Open
                    {
                        self.send(answer);
                    }
                    if let Err(frame) = &seen {
                        self.close(frame.clone());
                    }
                    self.seen.push(seen);
                }
                Err(error) => {
                    self.error = Some(error);
                    self.close(Some(CloseFrame::new(error.close_code(), error.reason())));
                }
            }
        }
    }
}
