//! Compressed payloads. The first byte chooses the set-up; the rest is inflated as it is, and compressed and
//! inflated again.

#![no_main]

#[path = "../../crates/wirelark-proto/tests/support/mod.rs"]
mod support;

use flate2::{Decompress, FlushDecompress, Status};
use libfuzzer_sys::fuzz_target;
use support::{ALONE, Cuts, Decoded, KEY, Seen, TAKEOVER, decode, inflating};
use wirelark_proto::{
    Compression, Config, Frame, Head, Kind, Message, Opcode, Protocol, ProtocolError, Role, mask,
};

const LIMIT: usize = 8192;

fuzz_target!(|data: &[u8]| {
    let Some((first, payload)) = data.split_first() else { return };
    inflates_like_zlib(*first, payload);
    comes_back(*first, payload);
});

fn inflates_like_zlib(setup: u8, payload: &[u8]) {
    let compression = if setup & 1 == 0 { ALONE } else { TAKEOVER };
    let kind = if setup & 2 == 0 { Kind::Binary } else { Kind::Text };
    let wire = fragmented(kind, payload, usize::from(setup >> 4));
    let config = inflating(LIMIT, compression);
    let whole = decode(config, &wire, Cuts::Whole);
    for cuts in [Cuts::Every(1), Cuts::Random(u64::from(setup))] {
        assert_eq!(decode(config, &wire, cuts), whole, "{cuts:?}");
    }

    let (inflated, complete) = reference(payload);
    match (&whole.events[..], whole.error) {
        ([Ok(message)], None) => {
            assert_eq!(message.as_bytes(), inflated);
            assert!(message.len() <= LIMIT);
        }
        ([], Some(ProtocolError::MessageTooBig)) => {
            assert!(inflated.len() > LIMIT || payload.len() > LIMIT);
        }
        ([], Some(ProtocolError::InvalidUtf8)) => {
            assert!(kind == Kind::Text && std::str::from_utf8(&inflated).is_err());
        }
        ([], Some(ProtocolError::Inflate)) => assert!(!complete || compression == ALONE),
        other => panic!("{other:?}"),
    }
}

/// What zlib makes of the payload, a little beyond the limit at most, and whether the message is plainly complete.
fn reference(payload: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = Decompress::new(false);
    let mut inflated = Vec::new();
    let ended = inflate(&mut stream, payload, &mut inflated);
    let produced = inflated.len();
    if produced > LIMIT || payload.is_empty() || ended == Ok(true) {
        return (inflated, true);
    }
    // The tail of a flush is an empty block: it yields nothing and ends nothing.
    let ended = ended.and_then(|_| inflate(&mut stream, b"\0\0\xff\xff", &mut inflated));
    let complete = ended == Ok(false) && inflated.len() == produced;
    (inflated, complete)
}

/// Whether the input's end is the end of a final block.
fn inflate(stream: &mut Decompress, mut input: &[u8], inflated: &mut Vec<u8>) -> Result<bool, ()> {
    let mut output = [0; 999];
    while inflated.len() <= LIMIT {
        let (total_in, total_out) = (stream.total_in(), stream.total_out());
        let status = stream.decompress(input, &mut output, FlushDecompress::None);
        input = &input[(stream.total_in() - total_in) as usize..];
        let produced = (stream.total_out() - total_out) as usize;
        inflated.extend_from_slice(&output[..produced]);
        match status.map_err(drop)? {
            Status::StreamEnd if input.is_empty() => return Ok(true),
            Status::StreamEnd => stream.reset(false),
            _ if produced < output.len() && input.is_empty() => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

fn comes_back(setup: u8, payload: &[u8]) {
    let compression = Compression {
        level: setup & 7,
        server_max_window_bits: 9 + (setup >> 5),
        client_max_window_bits: 9 + (setup >> 5),
        ..if setup & 8 == 0 { ALONE } else { TAKEOVER }
    };
    let config = inflating(payload.len() + 1, compression);
    let mut sender = Protocol::new(Config { role: Role::Client, ..config });
    let mut wire = Vec::new();
    let mut expected = Vec::<Seen>::new();
    // Pieces as messages of their own, then the whole: with context takeover it refers back to them.
    for piece in payload.chunks(payload.len() / 3 + 1).chain([payload]) {
        let deflated = sender.compress(piece).expect("compression was agreed");
        wire.extend(Frame::compressed_masked(Kind::Binary, deflated, KEY).to_vec());
        expected.push(Ok(Message::from(piece.to_vec())));
    }
    assert_eq!(decode(config, &wire, Cuts::Every(11)), Decoded { events: expected, error: None });
}

/// A compressed message in frames of `size` bytes, or in one.
fn fragmented(kind: Kind, payload: &[u8], size: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut pieces = payload.chunks(if size == 0 { usize::MAX } else { size }).peekable();
    let (mut opcode, mut rsv1) = (Opcode::from(kind), true);
    loop {
        let piece = pieces.next().unwrap_or_default();
        let fin = pieces.peek().is_none();
        wire.extend_from_slice(Head::new(opcode, fin, rsv1, piece.len(), Some(KEY)).as_slice());
        let at = wire.len();
        wire.extend_from_slice(piece);
        mask(&mut wire[at..], KEY, 0);
        (opcode, rsv1) = (Opcode::Continuation, false);
        if fin {
            return wire;
        }
    }
}
