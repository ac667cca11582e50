//! permessage-deflate: the examples of RFC 7692, round trips, bombs, broken streams, and the negotiation.

mod support;

use bytes::Bytes;
use http::HeaderValue;
use proptest::prelude::*;
use support::{
    ALONE, Cuts, Decoded, KEY, Random, Seen, TAKEOVER, decode, feed, frame, inflating, pair::Pair, server,
};
use wirelark_proto::{
    Compression, CompressionOffer, CompressionOptions, Config, Frame, Head, Kind, Message, Opcode, Protocol,
    ProtocolError, Role, compress, mask,
};

const LIMIT: usize = 1 << 20;

fn text(text: &str) -> Seen {
    Ok(Message::from(text))
}

/// Checks what comes out of `wire` for every cut into two, byte by byte and at random.
fn check(compression: Compression, wire: &[u8], events: &[Seen], error: Option<ProtocolError>) {
    let expected = Decoded { events: events.to_vec(), error };
    let single = (0..=wire.len().min(300)).map(Cuts::At);
    for cuts in single.chain(Cuts::several(wire.len() as u64)) {
        assert_eq!(decode(inflating(LIMIT, compression), wire, cuts), expected, "{cuts:?} of {wire:02x?}");
    }
}

/// A compressed message in one frame, for the server to receive.
fn message(kind: Kind, deflated: &[u8]) -> Vec<u8> {
    Frame::compressed_masked(kind, Bytes::copy_from_slice(deflated), KEY).to_vec()
}

// ---- RFC 7692 section 7.2.3 ----

#[test]
fn the_examples_inflate() {
    let hello = |deflated: &[u8]| check(ALONE, &message(Kind::Text, deflated), &[text("Hello")], None);
    hello(b"\xf2\x48\xcd\xc9\xc9\x07\x00"); // 7.2.3.1, one block
    hello(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"); // 7.2.3.3, stored
    hello(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"); // 7.2.3.4, a final block
    hello(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"); // 7.2.3.5, two blocks
    check(ALONE, &message(Kind::Text, b"\x00"), &[text("")], None); // 7.2.3.6, an empty message
}

#[test]
fn the_fragmented_example_inflates() {
    let wire = [frame(0x41, b"\xf2\x48\xcd"), frame(0x80, b"\xc9\xc9\x07\x00")].concat();
    check(ALONE, &wire, &[text("Hello")], None);
}

#[test]
fn the_example_with_a_shared_window_inflates() {
    // 7.2.3.2: the second message refers to the first.
    let wire = [frame(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"), frame(0xc1, b"\xf2\x00\x11\x00\x00")].concat();
    check(TAKEOVER, &wire, &[text("Hello"), text("Hello")], None);
    // Without context takeover there is nothing to refer to.
    check(ALONE, &wire, &[text("Hello")], Some(ProtocolError::Inflate));
}

#[test]
fn an_empty_message_is_one_byte() {
    assert_eq!(compress(b"", &ALONE), Bytes::from_static(&[0]));
    let mut protocol = Protocol::new(inflating(LIMIT, TAKEOVER));
    for _ in 0..3 {
        assert_eq!(protocol.compress(b"").unwrap(), Bytes::from_static(&[0]));
    }
    // No payload at all says the same, if not as section 7.2.3.6 wants it said.
    check(ALONE, &frame(0xc1, b""), &[text("")], None);
    check(ALONE, &[frame(0x41, b""), frame(0x80, b"")].concat(), &[text("")], None);
}

#[test]
fn a_final_block_may_end_a_message_or_come_before_more() {
    let finished = b"\xf3\x48\xcd\xc9\xc9\x07\x00"; // "Hello" in a final block, and nothing behind it
    check(ALONE, &message(Kind::Text, finished), &[text("Hello")], None);
    let twice = [finished, &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]].concat();
    check(ALONE, &message(Kind::Text, &twice), &[text("HelloHello")], None);
    // With context takeover the stream starts over and stays usable.
    let wire = [message(Kind::Text, finished), message(Kind::Text, b"\xf2\x48\xcd\xc9\xc9\x07\x00")].concat();
    check(TAKEOVER, &wire, &[text("Hello"), text("Hello")], None);
}

#[test]
fn uncompressed_messages_are_allowed_in_between() {
    let wire = [
        frame(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        frame(0x81, b"plain"),
        frame(0x41, b"\xf2\x48\xcd"),
        frame(0x89, b"ping"),
        frame(0x80, b"\xc9\xc9\x07\x00"),
    ];
    let ping = Ok(Message::Ping(Bytes::from_static(b"ping")));
    check(ALONE, &wire.concat(), &[text("Hello"), text("plain"), ping, text("Hello")], None);
}

// ---- what is refused ----

#[test]
fn streams_that_do_not_inflate_are_refused() {
    let refused = |deflated: &[u8]| {
        check(ALONE, &message(Kind::Binary, deflated), &[], Some(ProtocolError::Inflate));
    };
    refused(b"\x06"); // the reserved block type
    refused(b"\x00\x05\x00\x00\x00Hello\x00"); // a stored block whose length is not confirmed
    refused(b"\xf2\x00\x11\x00\x00"); // a reference to before the beginning
    refused(b"\xff\xff\xff\xff");
}

#[test]
fn streams_that_stop_early_are_refused() {
    let whole = compress(&Random(3).text(200).into_bytes(), &ALONE);
    for len in 1..whole.len() {
        let decoded = decode(inflating(LIMIT, ALONE), &message(Kind::Binary, &whole[..len]), Cuts::Whole);
        assert_eq!(decoded, Decoded { events: vec![], error: Some(ProtocolError::Inflate) }, "cut at {len}");
    }
}

#[test]
fn inflated_text_must_be_utf8_and_fails_at_the_first_bad_byte() {
    check(ALONE, &message(Kind::Text, &compress(b"abc\xff", &ALONE)), &[], Some(ProtocolError::InvalidUtf8));
    check(ALONE, &message(Kind::Text, &compress(b"abc\xc3", &ALONE)), &[], Some(ProtocolError::InvalidUtf8));
    check(ALONE, &message(Kind::Text, &compress("é".as_bytes(), &ALONE)), &[text("é")], None);
    // Stored, so that the bad byte can be inflated before the message ends.
    let mut protocol = Protocol::new(inflating(LIMIT, ALONE));
    let stored = b"\x00\x64\x00\x9b\xffabc\xff";
    assert_eq!(feed(&mut protocol, &frame(0x41, stored)), Err(ProtocolError::InvalidUtf8));
    // A character may be cut by a fragment.
    let (first, second) = (b"\x00\x02\x00\xfd\xff\xc3", b"\xa9\x00");
    let wire = [frame(0x41, first), frame(0x80, second)].concat();
    check(ALONE, &wire, &[text("é")], None);
}

#[test]
fn the_limit_is_met_exactly() {
    for (len, error) in [(1000, None), (1001, Some(ProtocolError::MessageTooBig))] {
        let wire = message(Kind::Binary, &compress(&vec![7; len], &ALONE));
        for cuts in Cuts::several(1) {
            assert_eq!(decode(inflating(1000, ALONE), &wire, cuts).error, error, "{len} bytes, {cuts:?}");
        }
    }
    // Incompressible data grows a little on the wire; the limit is about the message.
    let noise = Random(1).bytes(1000);
    let wire = message(Kind::Binary, &compress(&noise, &Compression { level: 0, ..ALONE }));
    let decoded = decode(inflating(1000, ALONE), &wire, Cuts::Whole);
    assert_eq!(decoded, Decoded { events: vec![Ok(Message::from(noise))], error: None });
}

#[test]
fn the_first_thing_wrong_with_inflated_text_decides() {
    let refused = |text: &[u8], error| {
        let wire = message(Kind::Text, &compress(text, &ALONE));
        for cuts in Cuts::several(9) {
            assert_eq!(decode(inflating(100, ALONE), &wire, cuts).error, Some(error), "{cuts:?}");
        }
    };
    refused(&[&[b'a'; 99][..], b"\xff", &[b'a'; 50]].concat(), ProtocolError::InvalidUtf8);
    refused(&[&[b'a'; 100][..], b"\xff", &[b'a'; 50]].concat(), ProtocolError::MessageTooBig);
    refused(&[&[b'a'; 99][..], "é".as_bytes()].concat(), ProtocolError::MessageTooBig);
}

#[test]
fn a_bomb_is_refused_within_the_limit() {
    // 1 GiB of zeros in about 1 MiB: blocks that end at a byte can be repeated.
    let mebibyte =
        [&compress(&vec![0; 1 << 20], &Compression { level: 9, ..ALONE })[..], b"\0\0\xff\xff"].concat();
    let bomb = mebibyte.repeat(1024);
    let wire = message(Kind::Binary, &bomb);
    for size in [1, 500, 65_536] {
        let mut protocol = Protocol::new(inflating(LIMIT - 1, ALONE));
        let mut fed = 0;
        let error = wire.chunks(size).find_map(|chunk| {
            fed += chunk.len();
            let outcome = feed(&mut protocol, chunk);
            assert!(protocol.message_in_progress() < LIMIT + 64 * 1024);
            outcome.err()
        });
        assert_eq!(error, Some(ProtocolError::MessageTooBig));
        assert!(fed <= mebibyte.len() + 14 + size, "{fed} bytes were read");
        assert_eq!(protocol.message_in_progress(), 0);
    }
}

#[test]
fn compressed_bytes_are_bounded_too() {
    // Empty blocks inflate to nothing, for ever.
    let head = Head::new(Opcode::Binary, true, true, 1 << 40, Some(KEY));
    let mut protocol = Protocol::new(inflating(LIMIT, ALONE));
    assert_eq!(feed(&mut protocol, head.as_slice()), Err(ProtocolError::MessageTooBig));

    let mut protocol = Protocol::new(inflating(1000, ALONE));
    let fragment = b"\0\0\0\xff\xff".repeat(100);
    let mut outcome = feed(&mut protocol, &frame(0x42, &fragment));
    let mut fragments = 1;
    while outcome == Ok(None) {
        assert!(fragments < 10);
        outcome = feed(&mut protocol, &frame(0x00, &fragment));
        fragments += 1;
    }
    assert_eq!(outcome, Err(ProtocolError::MessageTooBig));
}

#[test]
fn the_memory_of_an_unfinished_message_is_counted() {
    let mut protocol = Protocol::new(inflating(LIMIT, ALONE));
    assert_eq!(feed(&mut protocol, &frame(0x42, b"")), Ok(None));
    assert!(protocol.message_in_progress() >= 32 * 1024, "the inflater has a window");
    assert_eq!(feed(&mut protocol, &frame(0x80, b"\0")), Ok(Some(Ok(Message::from(vec![])))));
    assert_eq!(protocol.message_in_progress(), 0);
}

// ---- round trips ----

fn payloads() -> Vec<Vec<u8>> {
    let mut random = Random(7692);
    vec![
        vec![],
        b"a".to_vec(),
        b"Hello".to_vec(),
        random.text(3_000).into_bytes(),
        random.bytes(100_000),
        vec![0; 500_000],
        r#"{"type":"moved","id":17,"x":1.5,"y":-3.25},"#.repeat(5_000).into_bytes(),
    ]
}

#[test]
fn every_payload_survives_every_level_and_window() {
    for level in [0, 1, 6, 9] {
        for bits in 8..=15 {
            let compression =
                Compression { level, server_max_window_bits: bits, client_max_window_bits: bits, ..ALONE };
            for payload in payloads() {
                let deflated = compress(&payload, &compression);
                assert!(!deflated.ends_with(b"\0\0\xff\xff"));
                let decoded = decode(
                    inflating(LIMIT, compression),
                    &message(Kind::Binary, &deflated),
                    Cuts::Every(4096),
                );
                assert_eq!(decoded.error, None, "level {level}, {bits} bits, {} bytes", payload.len());
                assert!(decoded.events == [Ok(Message::from(payload))], "level {level}, {bits} bits");
            }
        }
    }
}

#[test]
fn two_ends_talk_compressed_with_and_without_contexts() {
    let one_sided = Compression { client_no_context_takeover: false, client_max_window_bits: 9, ..ALONE };
    for compression in [ALONE, TAKEOVER, one_sided] {
        for seed in 0..8 {
            let mut pair = Pair::new(seed, LIMIT, Some(compression));
            let mut random = Random(seed);
            let mut sent = Vec::new();
            for _ in 0..12 {
                let message = match random.below(3) {
                    0 => Message::from(random.text(500)),
                    1 => Message::from(random.bytes(2_000)),
                    _ => Message::from("the same again and again"),
                };
                if random.chance(4) {
                    pair.client.send(message.clone());
                    pair.server.send(message.clone());
                } else {
                    pair.client.send_compressed(&message);
                    pair.server.send_compressed(&message);
                }
                sent.push(Ok(message));
            }
            pair.drive();
            assert_eq!(pair.client.error.or(pair.server.error), None, "seed {seed}, {compression:?}");
            assert_eq!(pair.client.seen, sent, "seed {seed}, {compression:?}");
            assert_eq!(pair.server.seen, sent, "seed {seed}, {compression:?}");
        }
    }
}

#[test]
fn context_takeover_makes_repetition_cheap() {
    let mut protocol = Protocol::new(Config { role: Role::Server, ..inflating(LIMIT, TAKEOVER) });
    let payload = Random(5).text(300).into_bytes();
    let first = protocol.compress(&payload).unwrap();
    let second = protocol.compress(&payload).unwrap();
    assert!(second.len() * 10 < first.len(), "{} after {}", second.len(), first.len());
    // After a shared payload the window on the other side is another one.
    protocol.forget_sent_context();
    assert_eq!(protocol.compress(&payload).unwrap(), first);
}

#[test]
fn shared_payloads_mix_with_a_context() {
    let mut sender = Protocol::new(inflating(LIMIT, TAKEOVER));
    let config = Config { role: Role::Client, ..inflating(LIMIT, TAKEOVER) };
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    for round in 0..5 {
        let own = format!("to one, round {round}");
        wire.extend(Frame::compressed(Kind::Text, sender.compress(own.as_bytes()).unwrap()).to_vec());
        let shared = format!("to all, round {round}");
        wire.extend(Frame::compressed(Kind::Text, compress(shared.as_bytes(), &TAKEOVER)).to_vec());
        sender.forget_sent_context();
        expected.extend([text(&own), text(&shared)]);
    }
    assert_eq!(decode(config, &wire, Cuts::Random(1)), Decoded { events: expected, error: None });
}

#[test]
fn unfinished_messages_of_many_connections_do_not_meet() {
    // More than the pool of the thread holds, all begun before the first ends.
    let mut random = Random(11);
    let payloads: Vec<_> = (0..20).map(|_| random.text(2_000)).collect();
    let wires = payloads.iter().map(|text| message(Kind::Text, &compress(text.as_bytes(), &ALONE)));
    let mut connections: Vec<_> = wires.map(|wire| (Protocol::new(inflating(LIMIT, ALONE)), wire)).collect();
    for (protocol, wire) in &mut connections {
        assert_eq!(feed(protocol, &wire[..wire.len() / 2]), Ok(None));
    }
    for ((protocol, wire), payload) in connections.iter_mut().zip(&payloads) {
        assert_eq!(feed(protocol, &wire[wire.len() / 2..]), Ok(Some(text(payload))));
    }
}

#[test]
fn tiny_fragments_cost_linear_time() {
    let payload = Random(12).bytes(200_000);
    let deflated = compress(&payload, &ALONE);
    let mut wire = frame(0x42, b"");
    deflated.iter().for_each(|byte| wire.extend(frame(0x00, &[*byte])));
    wire.extend(frame(0x80, b""));
    let started = std::time::Instant::now();
    let decoded = decode(inflating(LIMIT, ALONE), &wire, Cuts::Every(65_536));
    assert_eq!(decoded.error, None);
    assert!(decoded.events == [Ok(Message::from(payload))]);
    // Work that grew with what was inflated before would take minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn compress_is_for_connections_that_agreed() {
    assert_eq!(Protocol::new(server(LIMIT)).compress(b"hi"), None);
    let protocol = Protocol::new(inflating(LIMIT, ALONE));
    assert_eq!(protocol.compression(), Some(ALONE));
}

proptest! {
    #[test]
    fn any_payload_survives_any_fragmentation(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 1..5),
        repeat in 1_usize..40,
        takeover in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let compression = if takeover { TAKEOVER } else { ALONE };
        let mut random = Random(seed);
        let mut sender = Protocol::new(Config { role: Role::Client, ..inflating(LIMIT, compression) });
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for payload in payloads {
            let payload = payload.repeat(repeat);
            let deflated = sender.compress(&payload).unwrap();
            let mut rest = &deflated[..];
            let (mut opcode, mut rsv1) = (Opcode::Binary, true);
            loop {
                let last = random.chance(3);
                let (piece, after) = rest.split_at(if last { rest.len() } else { random.below(rest.len() + 1) });
                wire.extend_from_slice(Head::new(opcode, last, rsv1, piece.len(), Some(KEY)).as_slice());
                let at = wire.len();
                wire.extend_from_slice(piece);
                mask(&mut wire[at..], KEY, 0);
                (opcode, rsv1, rest) = (Opcode::Continuation, false, after);
                if last {
                    break;
                }
            }
            expected.push(Ok(Message::from(payload)));
        }
        for cuts in [Cuts::Whole, Cuts::Every(3), Cuts::Random(seed)] {
            let decoded = decode(inflating(LIMIT, compression), &wire, cuts);
            prop_assert_eq!(decoded.error, None);
            prop_assert!(decoded.events == expected);
        }
    }

    #[test]
    fn damaged_streams_mean_the_same_however_they_are_cut(
        payload in proptest::collection::vec(any::<u8>(), 1..300),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        as_text in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut deflated = compress(&payload, &ALONE).to_vec();
        for (index, byte) in damage {
            let index = index.index(deflated.len());
            deflated[index] = byte;
        }
        let kind = if as_text { Kind::Text } else { Kind::Binary };
        let wire = message(kind, &deflated);
        for compression in [ALONE, TAKEOVER] {
            let whole = decode(inflating(400, compression), &wire, Cuts::Whole);
            for cuts in Cuts::several(seed) {
                prop_assert_eq!(&decode(inflating(400, compression), &wire, cuts), &whole);
            }
        }
    }
}

// ---- negotiation ----

const OFFER: CompressionOffer = CompressionOffer {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

#[test]
fn the_servers_answer_follows_from_offer_and_wish() {
    let nothing_asked = CompressionOptions {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..CompressionOptions::default()
    };
    let small =
        CompressionOptions { server_max_window_bits: 10, client_max_window_bits: 11, ..nothing_asked };
    let check = |options: CompressionOptions, offer: CompressionOffer, header: &str, windows: (u8, u8)| {
        let (agreed, value) = options.negotiate(&[offer]).expect("the offer is accepted");
        assert_eq!(value, format!("permessage-deflate{header}"), "{options:?} on {offer:?}");
        assert_eq!((agreed.server_max_window_bits, agreed.client_max_window_bits), windows, "{offer:?}");
        assert_eq!(agreed.server_no_context_takeover, header.contains("server_no_context_takeover"));
        assert_eq!(agreed.client_no_context_takeover, header.contains("client_no_context_takeover"));
        assert_eq!(agreed.level, options.level);
    };
    // By default no context, whether the client asked for that or not.
    let both = "; server_no_context_takeover; client_no_context_takeover";
    check(CompressionOptions::default(), OFFER, both, (15, 15));
    // What the client asks of the server is granted.
    check(nothing_asked, OFFER, "", (15, 15));
    let offer = CompressionOffer { server_no_context_takeover: true, ..OFFER };
    check(nothing_asked, offer, "; server_no_context_takeover", (15, 15));
    let offer = CompressionOffer { client_no_context_takeover: true, ..OFFER };
    check(nothing_asked, offer, "; client_no_context_takeover", (15, 15));
    for bits in [9, 12, 15] {
        let offer = CompressionOffer { server_max_window_bits: Some(bits), ..OFFER };
        check(nothing_asked, offer, &format!("; server_max_window_bits={bits}"), (bits, 15));
    }
    // The client's window is limited only if it said that it can be.
    check(small, OFFER, "; server_max_window_bits=10", (10, 15));
    let offer = CompressionOffer { client_max_window_bits: Some(None), ..OFFER };
    check(nothing_asked, offer, "", (15, 15));
    check(small, offer, "; server_max_window_bits=10; client_max_window_bits=11", (10, 11));
    // A limit the client sets itself is taken, 8 bits too: our inflater follows any window.
    for bits in [8, 9, 14] {
        let offer = CompressionOffer { client_max_window_bits: Some(Some(bits)), ..OFFER };
        check(nothing_asked, offer, &format!("; client_max_window_bits={bits}"), (15, bits));
    }
    let offer = CompressionOffer { client_max_window_bits: Some(Some(15)), ..OFFER };
    check(small, offer, "; server_max_window_bits=10; client_max_window_bits=11", (10, 11));
}

#[test]
fn the_first_offer_that_can_be_kept_wins() {
    let options = CompressionOptions::default();
    assert_eq!(options.negotiate(&[]), None);
    let eight = CompressionOffer { server_max_window_bits: Some(8), ..OFFER };
    assert_eq!(options.negotiate(&[eight]), None, "zlib has no raw window of 8 bits");
    let ten = CompressionOffer { server_max_window_bits: Some(10), ..OFFER };
    assert_eq!(options.negotiate(&[eight, ten, OFFER]).unwrap().0.server_max_window_bits, 10);
    assert_eq!(options.negotiate(&[OFFER, ten]).unwrap().0.server_max_window_bits, 15);
}

#[test]
fn options_out_of_range_are_found_at_start_up_and_harmless_later() {
    let options = CompressionOptions::default();
    assert_eq!(options.check(), Ok(()));
    for bits in [0, 8, 16, 255] {
        assert!(CompressionOptions { server_max_window_bits: bits, ..options }.check().is_err());
        let bad = CompressionOptions { client_max_window_bits: bits, ..options };
        assert!(bad.check().unwrap_err().to_string().contains("9 to 15"));
        let (agreed, _) = bad.negotiate(&[OFFER]).unwrap();
        assert_eq!(compress(b"Hello", &agreed).len(), 7);
    }
    let bad = CompressionOptions { level: 10, ..options };
    assert!(bad.check().unwrap_err().to_string().contains("0 to 9"));
    assert_eq!(bad.negotiate(&[OFFER]).unwrap().0.level, 9);
}

#[test]
fn the_answer_is_a_header_value() {
    let (_, value) = CompressionOptions::default().negotiate(&[OFFER]).unwrap();
    let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(value, HeaderValue::from_static(expected));
}
