//! The same bytes to this crate and to tungstenite. Streams are made from a seed, half of them then damaged.

mod support;

#[path = "support/referee.rs"]
mod referee;

use std::io::{self, Read, Write};

use referee::{LIMIT, check, theirs};
use support::{Cuts, Decoded, Random, Seen, decode};
use tungstenite::protocol::{self, WebSocket};
use wirelark_proto::{Config, Head, Message, Opcode, ProtocolError, Role, mask};

/// Frames that mostly make sense: fragments follow each other, controls are short, lengths are around the
/// edges.
fn stream(random: &mut Random, role: Role) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut continuing = false;
    for _ in 0..random.below(12) {
        let fin = !random.chance(3);
        let (opcode, fin) = match random.below(8) {
            0 => (Opcode::Ping, true),
            1 => (Opcode::Pong, true),
            2 if random.chance(4) => (Opcode::Close, true),
            _ if continuing => (Opcode::Continuation, fin),
            n if n % 2 == 0 => (Opcode::Text, fin),
            _ => (Opcode::Binary, fin),
        };
        let longest = match random.below(6) {
            _ if opcode.is_control() => 130,
            0 => LIMIT + 10,
            1 => 130,
            _ => 40,
        };
        let payload = match opcode {
            Opcode::Close if random.chance(3) => Vec::new(),
            Opcode::Close => {
                let code = [1000, 1001, 1002, 1011, 3000, 4999, 1004, 1005, 2000, 999][random.below(10)];
                let mut payload = Vec::from(u16::to_be_bytes(code));
                payload.extend(random.text(5).into_bytes());
                payload
            }
            Opcode::Text | Opcode::Continuation if !random.chance(20) => {
                let chars = random.below(longest) / 4;
                random.text(chars).into_bytes()
            }
            _ => {
                let len = random.below(longest);
                random.bytes(len)
            }
        };
        if !opcode.is_control() {
            continuing = !fin;
        }
        let key = (role == Role::Server).then(|| random.key());
        let mut head = Head::new(opcode, fin, false, payload.len(), key).as_slice().to_vec();
        if payload.len() < 126 && random.chance(100) {
            // The second form of a length that fits the first.
            head[1] |= 126;
            head.splice(2..2, [0, payload.len() as u8]);
        }
        wire.extend_from_slice(&head);
        let at = wire.len();
        wire.extend_from_slice(&payload);
        mask(&mut wire[at..], key.unwrap_or_default(), 0);
    }
    wire
}

fn damage(random: &mut Random, wire: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        if wire.is_empty() {
            return;
        }
        // Heads are where the rules are: prefer the beginning.
        let span = if random.chance(2) { wire.len() } else { wire.len().min(24) };
        let at = random.below(span);
        match random.below(5) {
            0 => wire[at] = random.next() as u8,
            1 => wire[at] ^= 1 << random.below(8),
            2 => drop(wire.remove(at)),
            3 => wire.insert(at, random.next() as u8),
            _ => wire.truncate(at),
        }
    }
}

#[test]
fn valid_and_damaged_streams_are_judged_alike() {
    let first_seed = 20_260;
    let mut accepted = 0;
    let mut refused = std::collections::HashMap::<ProtocolError, u32>::new();
    for seed in first_seed..first_seed + 20_000 {
        let mut random = Random(seed);
        let role = if random.chance(3) { Role::Client } else { Role::Server };
        let mut wire = stream(&mut random, role);
        if random.chance(2) {
            damage(&mut random, &mut wire);
        }
        let cuts = [Cuts::Whole, Cuts::Every(1), Cuts::Every(13), Cuts::Random(seed)][random.below(4)];
        match check(role, &wire, cuts, &format!("seed {seed}, {role:?}, {cuts:?}")) {
            None => accepted += 1,
            Some(error) => *refused.entry(error).or_default() += 1,
        }
    }
    // A comparison that never meets a rule proves nothing about it.
    assert!(accepted > 3_000, "{accepted} accepted");
    for error in [
        ProtocolError::ReservedBits,
        ProtocolError::BadOpcode,
        ProtocolError::Unmasked,
        ProtocolError::MaskedFromServer,
        ProtocolError::ControlFragmented,
        ProtocolError::ControlTooLong,
        ProtocolError::NonMinimalLength,
        ProtocolError::UnexpectedContinuation,
        ProtocolError::ExpectedContinuation,
        ProtocolError::MessageTooBig,
        ProtocolError::InvalidUtf8,
        ProtocolError::BadCloseCode,
    ] {
        assert!(refused.get(&error).is_some_and(|count| *count >= 10), "{error:?} is rare: {refused:?}");
    }
}

#[test]
fn noise_is_judged_alike() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let len = random.below(64);
        let mut wire = random.bytes(len);
        if let Some(first) = wire.first_mut() {
            // Most noise would end at its first bit.
            *first &= 0x8f;
        }
        check(Role::Client, &wire, Cuts::Random(seed), &format!("seed {seed}"));
        if let Some(second) = wire.get_mut(1) {
            *second |= 0x80;
        }
        check(Role::Server, &wire, Cuts::Random(seed), &format!("seed {seed}, masked"));
    }
}

#[test]
fn each_reads_what_the_other_writes() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let messages: Vec<_> =
            (0..5).map(|_| random.message()).filter(|message| message.len() <= LIMIT).collect();
        let expected: Vec<Seen> = messages.iter().cloned().map(Ok).collect();

        let mut wire = Vec::new();
        for message in &messages {
            wire.extend(wirelark_proto::Frame::masked(message.clone(), random.key()).to_vec());
        }
        assert_eq!(theirs(Role::Server, &wire, Cuts::Random(seed)).0, expected, "seed {seed}");

        let mut socket = WebSocket::from_raw_socket(Written(Vec::new()), protocol::Role::Client, None);
        for message in messages {
            let message = match message {
                Message::Text(text) => tungstenite::Message::text(text.as_str()),
                Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
                Message::Ping(bytes) => tungstenite::Message::Ping(bytes),
                Message::Pong(bytes) => tungstenite::Message::Pong(bytes),
            };
            socket.send(message).unwrap();
        }
        let config = Config { role: Role::Server, message_bytes_max: LIMIT, compression: None };
        let decoded = decode(config, &socket.get_ref().0, Cuts::Random(seed));
        assert_eq!(decoded, Decoded { events: expected, error: None }, "seed {seed}");
    }
}

/// Keeps what is written; there is nothing to read.
struct Written(Vec<u8>);

impl Read for Written {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
