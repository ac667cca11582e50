//! What the tests share: seeded randomness, frames written by hand, and a decoder driven with any chunking.

// Each test file is a crate of its own, which uses a part of this and exports nothing.
#![allow(dead_code, unreachable_pub)]

pub mod pair;

use wirelark_proto::{
    CloseFrame, Compression, Config, Event, Head, Message, Opcode, Protocol, ProtocolError, Role, mask,
};

/// An event in owned bytes: a message, or the peer's close.
pub type Seen = Result<Message, Option<CloseFrame>>;

/// What came out of a stream of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub events: Vec<Seen>,
    pub error: Option<ProtocolError>,
}

/// Feeds `wire` to a fresh protocol, cut as `cuts` says, and asserts what must hold whatever the bytes are.
pub fn decode(config: Config, wire: &[u8], cuts: Cuts) -> Decoded {
    let mut protocol = Protocol::new(config);
    let mut events = Vec::new();
    let mut error = None;
    let mut copy = wire.to_vec();
    let mut rest = copy.as_mut_slice();
    for piece in cuts.split(wire) {
        let mut input;
        (input, rest) = rest.split_at_mut(piece.len());
        loop {
            match protocol.poll_event(&mut input) {
                Ok(Some(event)) => {
                    assert!(error.is_none(), "an event came after the error {error:?}");
                    events.push(event.into_message());
                }
                Ok(None) => break,
                Err(new) => {
                    assert_eq!(error.replace(new), None, "an error was reported twice");
                }
            }
        }
        assert!(input.is_empty(), "Ok(None) left {} bytes unconsumed", input.len());
    }
    Decoded { events, error }
}

/// Hands `bytes` to the protocol and polls once.
pub fn feed(protocol: &mut Protocol, bytes: &[u8]) -> Result<Option<Seen>, ProtocolError> {
    let mut bytes = bytes.to_vec();
    let mut input = bytes.as_mut_slice();
    Ok(protocol.poll_event(&mut input)?.map(Event::into_message))
}

/// How a stream of bytes is cut into reads.
#[derive(Clone, Copy, Debug)]
pub enum Cuts {
    /// Not at all.
    Whole,
    /// Into pieces of this size.
    Every(usize),
    /// Once, at this byte.
    At(usize),
    /// At random, by this seed.
    Random(u64),
}

impl Cuts {
    /// A selection that finds most mistakes.
    pub fn several(seed: u64) -> [Self; 5] {
        [Self::Whole, Self::Every(1), Self::Every(7), Self::Random(seed), Self::Random(!seed)]
    }

    pub fn split(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![bytes],
            Self::Every(size) => bytes.chunks(size).collect(),
            Self::At(at) => {
                let (head, tail) = bytes.split_at(at.min(bytes.len()));
                vec![head, tail]
            }
            Self::Random(seed) => {
                let mut random = Random(seed);
                let mut rest = bytes;
                let mut pieces = Vec::new();
                while !rest.is_empty() {
                    let longest = if random.chance(4) { 4096 } else { 16 };
                    let (piece, after) = rest.split_at(random.below(longest + 1).min(rest.len()));
                    pieces.push(piece);
                    rest = after;
                }
                pieces
            }
        }
    }
}

pub fn server(message_bytes_max: usize) -> Config {
    Config { role: Role::Server, message_bytes_max, compression: None }
}

pub fn client(message_bytes_max: usize) -> Config {
    Config { role: Role::Client, message_bytes_max, compression: None }
}

/// A server that agreed to compression.
pub fn inflating(message_bytes_max: usize, compression: Compression) -> Config {
    Config { role: Role::Server, message_bytes_max, compression: Some(compression) }
}

/// Compression as it is agreed by default.
pub const ALONE: Compression = Compression {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    level: 6,
};

/// Compression with context takeover in both directions.
pub const TAKEOVER: Compression =
    Compression { server_no_context_takeover: false, client_no_context_takeover: false, ..ALONE };

pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame from its first byte: FIN is `0x80`, RSV1 `0x40`, RSV2 `0x20`, RSV3 `0x10`, then the
/// opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes =
        Head::new(Opcode::Continuation, false, false, payload.len(), Some(KEY)).as_slice().to_vec();
    bytes[0] = first;
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    mask(&mut bytes[at..], KEY, 0);
    bytes
}

/// A server's frame from its first byte.
pub fn bare(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Head::new(Opcode::Continuation, false, false, payload.len(), None).as_slice().to_vec();
    bytes[0] = first;
    bytes.extend_from_slice(payload);
    bytes
}

/// SplitMix64: small, good enough, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True one time in `of`.
    pub fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Text whose characters take one to four bytes.
    pub fn text(&mut self, chars: usize) -> String {
        const ALPHABET: [char; 8] = ['a', ' ', 'é', 'ß', '語', '€', '🦜', '\u{10ffff}'];
        (0..chars).map(|_| ALPHABET[self.below(8)]).collect()
    }

    pub fn key(&mut self) -> [u8; 4] {
        (self.next() as u32).to_ne_bytes()
    }

    /// A message of any kind.
    pub fn message(&mut self) -> Message {
        let len = match self.below(8) {
            0 => 0,
            1 => 125 + self.below(3),
            2 => 65_534 + self.below(4),
            _ => self.below(300),
        };
        match self.below(4) {
            0 => Message::from(self.text(len)),
            1 => Message::from(self.bytes(len)),
            2 => Message::Ping(self.bytes(len.min(125)).into()),
            _ => Message::Pong(self.bytes(len.min(125)).into()),
        }
    }
}
