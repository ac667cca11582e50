//! Bytes from a peer. The first byte chooses the set-up, see [`Setup`], the rest is the stream.

#![no_main]

#[path = "../../crates/wirelark-proto/tests/support/mod.rs"]
mod support;

#[path = "../../crates/wirelark-proto/tests/support/referee.rs"]
mod referee;

use libfuzzer_sys::fuzz_target;
use support::{ALONE, Cuts, Decoded, Seen, TAKEOVER, decode};
use wirelark_proto::{Config, Frame, Message, Protocol, Role};

fuzz_target!(|data: &[u8]| {
    let Some((first, wire)) = data.split_first() else { return };
    let Setup { config, cuts } = Setup::from(*first);

    let whole = decode(config, wire, Cuts::Whole);
    for cuts in [Cuts::Every(1), cuts] {
        assert_eq!(decode(config, wire, cuts), whole, "{cuts:?}");
    }
    memory_is_bounded(config, wire);
    events_can_be_encoded_again(config, &whole);
    if config.compression.is_none() {
        referee::check(config.role, wire, cuts, "");
    }
});

struct Setup {
    config: Config,
    cuts: Cuts,
}

impl From<u8> for Setup {
    fn from(byte: u8) -> Self {
        let role = if byte & 1 == 0 { Role::Server } else { Role::Client };
        let compression = match byte >> 1 & 3 {
            0 | 1 => None,
            2 => Some(ALONE),
            _ => Some(TAKEOVER),
        };
        let message_bytes_max = if byte & 8 == 0 { referee::LIMIT } else { 64 };
        let cuts = match byte >> 4 {
            0 => Cuts::Whole,
            size @ 1..8 => Cuts::Every(usize::from(size)),
            seed => Cuts::Random(u64::from(seed)),
        };
        Self { config: Config { role, message_bytes_max, compression }, cuts }
    }
}

fn memory_is_bounded(config: Config, wire: &[u8]) {
    let mut protocol = Protocol::new(config);
    for chunk in wire.chunks(5) {
        let mut chunk = chunk.to_vec();
        let mut input = chunk.as_mut_slice();
        while let Ok(Some(_)) = protocol.poll_event(&mut input) {}
        // One message, one control frame, one inflater.
        assert!(protocol.message_in_progress() <= config.message_bytes_max + 256 + 48 * 1024);
    }
}

fn events_can_be_encoded_again(config: Config, decoded: &Decoded) {
    let mut wire = Vec::new();
    let mask = [0x9c, 0, 0xff, 0x01];
    for event in &decoded.events {
        let frame = match (config.role, event.clone()) {
            (Role::Server, Ok(message)) => Frame::masked(message, mask),
            (Role::Client, Ok(message)) => Frame::unmasked(message),
            (Role::Server, Err(close)) => Frame::close(close, Some(mask)),
            (Role::Client, Err(close)) => Frame::close(close, None),
        };
        wire.extend(frame.to_vec());
    }
    let expected: Vec<Seen> = decoded.events.clone();
    assert_eq!(decode(config, &wire, Cuts::Every(7)), Decoded { events: expected, error: None });
    assert!(
        decoded.events.iter().flatten().map(Message::len).all(|len| len <= config.message_bytes_max.max(125))
    );
}
