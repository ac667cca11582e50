//! The frame that stands behind a number: what is sent, and what the server owes for it.
//!
//! A frame depends on the seed and its number, and on nothing that was sent before it: any of them can be sent again
//! alone.

use rmpv::Value;
use wirelark_proto::contract::Format;
use wirelark_proto::{Head, Opcode, mask};

use crate::damage::damage;
use crate::oracle::{self, Due};
use crate::random::Random;
use crate::requests;

/// How many frames in a row go to one connection before something else is done.
pub(crate) const BATCH: u64 = 64;

/// The largest message the route takes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// One attack on the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    /// What is written: one frame, or the fragments of one.
    pub(crate) wire: Vec<u8>,
    pub(crate) due: Due,
}

/// Batches take turns between the two formats.
pub(crate) fn format_of(number: u64) -> Format {
    if (number / BATCH).is_multiple_of(2) { Format::Json } else { Format::MsgPack }
}

/// Where the batch of a number ends, and the next one begins.
pub(crate) fn batch_end(number: u64) -> u64 {
    (number / BATCH + 1) * BATCH
}

impl Frame {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let (mut random, format) = (Random::new(seed, number), format_of(number));
        loop {
            let payload = message(&mut random, format, number);
            if random.chance(100) {
                let (wire, due) = violation(&mut random, format, &payload);
                return Self { number, wire, due };
            }
            let is_text = is_text(&mut random, format, &payload);
            if let Some(due) = oracle::judge(format, is_text, &payload) {
                let wire = in_frames(&mut random, is_text, &payload);
                return Self { number, wire, due };
            }
        }
    }

    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self.due, Due::Close(_) | Due::HungUp)
    }
}

/// A message: one in six is good, the others are distorted, damaged or both.
fn message(random: &mut Random, format: Format, number: u64) -> Vec<u8> {
    let (distortions, damages) = match random.below(6) {
        0 => (0, 0),
        1..=2 => (1 + random.below(3), 0),
        3..=4 => (0, 1 + random.below(2)),
        _ => (1, 1),
    };
    let mut value = requests::good(random, number);
    (0..distortions).for_each(|_| requests::distort(random, &mut value));
    // JSON has no keys but text, so that not every distortion can be written.
    let encoded = encoded(format, &value).or_else(|| encoded(format, &requests::good(random, number)));
    let mut bytes = encoded.unwrap_or_default();
    if damages > 0 {
        let other = requests::good(random, number + 1);
        let other = self::encoded(format, &other).unwrap_or_default();
        (0..damages).for_each(|_| damage(random, format, &mut bytes, &other));
    }
    bytes.truncate(MESSAGE_BYTES_MAX);
    bytes
}

fn encoded(format: Format, value: &Value) -> Option<Vec<u8>> {
    match format {
        Format::Json => serde_json::to_vec(value).ok(),
        Format::MsgPack => {
            let mut bytes = Vec::new();
            rmpv::encode::write_value(&mut bytes, value).ok().map(|()| bytes)
        }
    }
}

/// Now and then the wrong opcode. What is no UTF-8 seldom goes out as text, because each ends its connection.
fn is_text(random: &mut Random, format: Format, payload: &[u8]) -> bool {
    let is_text = (format == Format::Json) != random.chance(16);
    is_text && (str::from_utf8(payload).is_ok() || random.chance(8))
}

/// The message as a client writes it: in one frame, or in fragments that are cut anywhere, with pings between them.
fn in_frames(random: &mut Random, is_text: bool, payload: &[u8]) -> Vec<u8> {
    let opcode = if is_text { Opcode::Text } else { Opcode::Binary };
    if !random.chance(8) {
        return frame(random, opcode, true, payload);
    }
    let mut wire = Vec::new();
    let (mut opcode, mut rest) = (opcode, payload);
    for _ in 0..random.below(6) {
        let (piece, after) = rest.split_at(random.below(rest.len() + 1));
        wire.extend(frame(random, opcode, false, piece));
        if random.chance(3) {
            wire.extend(frame(random, Opcode::Ping, true, b"?"));
        }
        (opcode, rest) = (Opcode::Continuation, after);
    }
    wire.extend(frame(random, opcode, true, rest));
    wire
}

fn frame(random: &mut Random, opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let key = random.key();
    let mut wire = Head::new(opcode, fin, false, payload.len(), Some(key)).as_slice().to_vec();
    let at = wire.len();
    wire.extend_from_slice(payload);
    mask(&mut wire[at..], key, 0);
    wire
}

/// Something that ends the connection, whatever the message is.
fn violation(random: &mut Random, format: Format, payload: &[u8]) -> (Vec<u8>, Due) {
    let opcode = if format == Format::Json { Opcode::Text } else { Opcode::Binary };
    let payload = if str::from_utf8(payload).is_ok() { payload } else { b"{}" };
    let whole = frame(random, opcode, true, payload);
    let begun = |random: &mut Random| frame(random, opcode, false, payload);
    let first = |first: u8, mut wire: Vec<u8>| {
        wire[0] = first;
        wire
    };
    let close = |random: &mut Random, payload: &[u8]| frame(random, Opcode::Close, true, payload);
    let ping = frame(random, Opcode::Ping, true, b"?");
    let (wire, code) = match random.below(19) {
        0 => (first(0x83 + random.below(5) as u8, whole), 1002),
        1 => (first(0x8b + random.below(5) as u8, ping), 1002),
        2 => (first(*random.pick(&[0xc1, 0xa1, 0x91, 0xf2]), whole), 1002),
        // A fragment of a ping.
        3 => (first(0x09, ping), 1002),
        4 => (frame(random, Opcode::Ping, true, &[b'?'; 126]), 1002),
        // Not masked.
        5 => ([Head::new(opcode, true, false, payload.len(), None).as_slice(), payload].concat(), 1002),
        // A length in more bytes than it needs, or in more bits than there are.
        6 => (vec![0x81, 0xfe, 0, 5, 1, 2, 3, 4], 1002),
        7 => (vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4], 1002),
        8 => (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002),
        // Lengths that are too much, of which not a byte follows.
        9 => (vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4], 1009),
        10 => (vec![0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
        11 => {
            let half = vec![b' '; MESSAGE_BYTES_MAX / 2 + 1];
            let begin = frame(random, opcode, false, &half);
            ([begin, frame(random, Opcode::Continuation, true, &half)].concat(), 1009)
        }
        // A message in a message, and the end of none.
        12 => ([begun(random), whole].concat(), 1002),
        13 => (frame(random, Opcode::Continuation, true, payload), 1002),
        14 => (close(random, b"\x03"), 1002),
        15 => {
            (close(random, *random.clone().pick(&[b"\x03\xed", b"\x03\xe7", b"\x00\x00", b"\xff\xff"])), 1002)
        }
        16 => (close(random, b"\x03\xe8\xff"), 1007),
        // Text that is wrong before it ends, and need not end to be wrong.
        17 => (frame(random, Opcode::Text, false, b"{\"\xe2\x82\x28"), 1007),
        _ => (close(random, b"\x03\xe8bye"), 1000),
    };
    if random.chance(8) {
        // Hangs up in the middle of a frame instead, the message's own.
        let wire = frame(random, opcode, true, payload);
        let len = 1 + random.below(wire.len() - 1);
        return (wire[..len].to_vec(), Due::HungUp);
    }
    (wire, Due::Close(code))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::on_a_deep_stack;

    #[test]
    fn a_number_is_always_the_same_frame() {
        for number in 0..500 {
            let (one, two) = (Frame::new(3, number), Frame::new(3, number));
            assert_eq!((one.wire, one.due), (two.wire, two.due));
        }
        assert!((0..500).any(|number| Frame::new(3, number).wire != Frame::new(4, number).wire));
    }

    /// What the frames are for: enough of each kind, in both formats.
    #[test]
    fn every_kind_of_frame_comes_often() {
        let kinds = on_a_deep_stack(|| {
            let mut kinds = BTreeMap::<_, usize>::new();
            for number in 0..20_000 {
                let kind = kind(&Frame::new(1, number).due);
                *kinds.entry((format_of(number).to_string(), kind)).or_default() += 1;
            }
            Ok(kinds)
        });
        let kinds = kinds.expect("there is a thread to be had");
        assert_eq!(kinds.len(), 20, "{kinds:?}");
        assert!(kinds.values().all(|count| *count >= 3), "{kinds:?}");
        let of = |wanted| {
            kinds.iter().filter(|((_, kind), _)| *kind == wanted).map(|(_, count)| count).sum::<usize>()
        };
        assert!(of("reply") > 5_000 && of("malformed") > 3_000, "{kinds:?}");
    }

    fn kind(due: &Due) -> &'static str {
        match due {
            Due::Reply { unknown: Some(_), .. } => "unknown",
            Due::Reply { waits: true, .. } => "waits",
            Due::Reply { .. } => "reply",
            Due::Nothing => "nothing",
            Due::Malformed => "malformed",
            Due::Close(1000) => "closed",
            Due::Close(1002) => "violation",
            Due::Close(1007) => "not UTF-8",
            Due::Close(1009) => "too large",
            Due::Close(code) => panic!("nothing ends with {code}"),
            Due::HungUp => "hung up",
        }
    }
}
