//! One end of a connection: every rule of RFC 6455 section 5 and 7, whole and in pieces, and the memory it
//! takes.

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use support::{
    ALONE, Cuts, Decoded, KEY, Random, Seen, bare, client, decode, feed, frame, inflating, pair::Pair, server,
};
use wirelark_proto::{
    CloseCode, CloseFrame, CloseState, Config, Event, Frame, Head, Kind, Message, Opcode, Payload, Protocol,
    ProtocolError, Role, mask,
};

const LIMIT: usize = 1 << 20;

/// Checks what comes out of `wire` for every cut into two, byte by byte and at random.
fn check(config: Config, wire: &[u8], events: &[Seen], error: Option<ProtocolError>) {
    let expected = Decoded { events: events.to_vec(), error };
    let single = (0..=wire.len().min(300)).map(Cuts::At);
    for cuts in single.chain(Cuts::several(wire.len() as u64)) {
        assert_eq!(decode(config, wire, cuts), expected, "{cuts:?} of {:02x?}", &wire[..wire.len().min(64)]);
    }
}

fn accepts(wire: &[u8], events: &[Seen]) {
    check(server(LIMIT), wire, events, None);
}

fn refuses(wire: &[u8], error: ProtocolError) {
    check(server(LIMIT), wire, &[], Some(error));
}

fn text(text: &str) -> Seen {
    Ok(Message::from(text))
}

fn binary(bytes: &[u8]) -> Seen {
    Ok(Message::from(bytes.to_vec()))
}

fn ping(bytes: &'static [u8]) -> Seen {
    Ok(Message::Ping(Bytes::from_static(bytes)))
}

fn pong(bytes: &'static [u8]) -> Seen {
    Ok(Message::Pong(Bytes::from_static(bytes)))
}

fn closed(code: u16, reason: &str) -> Seen {
    Err(Some(CloseFrame::new(CloseCode::new(code), reason)))
}

// ---- what is accepted ----

#[test]
fn decodes_the_specifications_examples() {
    accepts(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &[text("Hello")]);
    accepts(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &[pong(b"Hello")]);
    let from_server = |wire: &[u8], seen| check(client(LIMIT), wire, &[seen], None);
    from_server(b"\x81\x05Hello", text("Hello"));
    from_server(b"\x01\x03Hel\x80\x02lo", text("Hello"));
    from_server(b"\x89\x05Hello", ping(b"Hello"));
    from_server(&[b"\x82\x7e\x01\x00", &[7; 256][..]].concat(), binary(&[7; 256]));
    from_server(&[b"\x82\x7f\0\0\0\0\0\x01\0\0", &[7; 65_536][..]].concat(), binary(&[7; 65_536]));
}

#[test]
fn takes_empty_messages_of_every_kind() {
    accepts(&frame(0x81, b""), &[text("")]);
    accepts(&frame(0x82, b""), &[binary(b"")]);
    accepts(&frame(0x89, b""), &[ping(b"")]);
    accepts(&frame(0x8a, b""), &[pong(b"")]);
    accepts(&[frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")].concat(), &[text("")]);
}

#[test]
fn takes_every_form_of_the_length() {
    for len in [1, 125, 126, 127, 65_535, 65_536, 65_537] {
        accepts(&frame(0x82, &vec![len as u8; len]), &[binary(&vec![len as u8; len])]);
    }
}

#[test]
fn reassembles_fragments_with_control_frames_between_them() {
    let wire = [
        frame(0x01, "grü".as_bytes()),
        frame(0x89, b"are you there?"),
        frame(0x00, b"\xc3"),
        frame(0x8a, b""),
        frame(0x80, b"\x9fe"),
        frame(0x81, b"next"),
    ];
    accepts(&wire.concat(), &[ping(b"are you there?"), pong(b""), text("grüße"), text("next")]);
}

#[test]
fn control_payloads_may_be_125_bytes() {
    let payload = &[b'p'; 125];
    accepts(&frame(0x89, payload), &[Ok(Message::Ping(Bytes::from_static(payload)))]);
}

#[test]
fn a_zero_mask_key_is_a_key() {
    accepts(b"\x81\x82\0\0\0\0hi", &[text("hi")]);
}

// ---- what is refused ----

#[test]
fn reserved_bits_need_an_extension() {
    for bit in [0x40, 0x20, 0x10, 0x70] {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            refuses(&frame(0x80 | bit | opcode, b"hi"), ProtocolError::ReservedBits);
        }
    }
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_compressed_message() {
    let config = inflating(LIMIT, ALONE);
    let refused = |wire: &[u8]| check(config, wire, &[], Some(ProtocolError::ReservedBits));
    refused(&frame(0xc9, b""));
    refused(&frame(0xc8, b""));
    refused(&[frame(0x01, b"a"), frame(0xc0, b"b")].concat());
    refused(&[frame(0x41, b"\x00"), frame(0xc0, b"")].concat());
    refused(&frame(0xa1, b""));
    refused(&frame(0x91, b""));
}

#[test]
fn reserved_opcodes_are_refused() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        refuses(&frame(0x80 | opcode, b""), ProtocolError::BadOpcode);
        refuses(&frame(opcode, b"hi"), ProtocolError::BadOpcode);
    }
}

#[test]
fn clients_mask_and_servers_do_not() {
    refuses(&bare(0x81, b"hi"), ProtocolError::Unmasked);
    refuses(&bare(0x89, b""), ProtocolError::Unmasked);
    check(client(LIMIT), &frame(0x81, b"hi"), &[], Some(ProtocolError::MaskedFromServer));
}

#[test]
fn control_frames_are_whole_and_short() {
    for opcode in [0x8, 0x9, 0xa] {
        refuses(&frame(opcode, b""), ProtocolError::ControlFragmented);
        refuses(&frame(0x80 | opcode, &[0; 126]), ProtocolError::ControlTooLong);
        refuses(&frame(0x80 | opcode, &[0; 70_000]), ProtocolError::ControlTooLong);
    }
}

#[test]
fn lengths_have_one_form() {
    for len in [0_u16, 1, 125] {
        let wire = [b"\x82\xfe", &len.to_be_bytes()[..], &KEY].concat();
        refuses(&wire, ProtocolError::NonMinimalLength);
    }
    for len in [0_u64, 125, 126, 65_535] {
        let wire = [b"\x82\xff", &len.to_be_bytes()[..], &KEY].concat();
        refuses(&wire, ProtocolError::NonMinimalLength);
    }
    for len in [1 << 63, u64::MAX] {
        let wire = [b"\x82\xff", &len.to_be_bytes()[..], &KEY].concat();
        refuses(&wire, ProtocolError::LengthTopBit);
    }
}

#[test]
fn fragments_follow_one_another() {
    refuses(&frame(0x80, b""), ProtocolError::UnexpectedContinuation);
    refuses(&frame(0x00, b"more"), ProtocolError::UnexpectedContinuation);
    refuses(&[frame(0x01, b"a"), frame(0x81, b"b")].concat(), ProtocolError::ExpectedContinuation);
    refuses(&[frame(0x01, b"a"), frame(0x02, b"b")].concat(), ProtocolError::ExpectedContinuation);
    let wire = [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x80, b"c")].concat();
    check(server(LIMIT), &wire, &[text("ab")], Some(ProtocolError::UnexpectedContinuation));
}

#[test]
fn a_limit_is_met_exactly() {
    let config = server(1000);
    check(config, &frame(0x82, &[1; 1000]), &[binary(&[1; 1000])], None);
    check(config, &frame(0x82, &[1; 1001]), &[], Some(ProtocolError::MessageTooBig));
    let fragments = [frame(0x02, &[1; 400]), frame(0x00, &[1; 400]), frame(0x80, &[1; 200])].concat();
    check(config, &fragments, &[binary(&[1; 1000])], None);
    let fragments = [frame(0x02, &[1; 400]), frame(0x00, &[1; 400]), frame(0x80, &[1; 201])].concat();
    check(config, &fragments, &[], Some(ProtocolError::MessageTooBig));
    // Control frames are bounded by the protocol, not by the limit.
    check(server(0), &[frame(0x89, b"hi"), frame(0x81, b"")].concat(), &[ping(b"hi"), text("")], None);
    check(server(0), &frame(0x81, b"a"), &[], Some(ProtocolError::MessageTooBig));
    check(server(usize::MAX), &frame(0x81, b"a"), &[text("a")], None);
}

#[test]
fn a_message_too_big_is_refused_by_its_head_alone() {
    for len in [LIMIT as u64 + 1, 1 << 32, (1 << 62), i64::MAX as u64] {
        // Not even the mask key has arrived.
        let head = [b"\x82\xff", &len.to_be_bytes()[..]].concat();
        refuses(&head, ProtocolError::MessageTooBig);
    }
}

#[test]
fn heads_fail_at_their_first_bad_byte() {
    let check = |bytes: &[u8], error| {
        let mut protocol = Protocol::new(server(LIMIT));
        let (last, before) = bytes.split_last().unwrap();
        assert_eq!(feed(&mut protocol, before), Ok(None), "before the end of {bytes:02x?}");
        assert_eq!(feed(&mut protocol, &[*last]), Err(error), "{bytes:02x?}");
    };
    check(b"\xf1", ProtocolError::ReservedBits);
    check(b"\x83", ProtocolError::BadOpcode);
    check(b"\x09", ProtocolError::ControlFragmented);
    check(b"\x80", ProtocolError::UnexpectedContinuation);
    check(b"\x81\x01", ProtocolError::Unmasked);
    check(b"\x89\xfe", ProtocolError::ControlTooLong);
    check(b"\x82\xfe\x00\x7d", ProtocolError::NonMinimalLength);
    check(b"\x82\xff\x80\0\0\0\0\0\0\0", ProtocolError::LengthTopBit);
}

// ---- text ----

/// How many bytes of a text settle that it is invalid.
fn settled_at(bytes: &[u8]) -> usize {
    (1..=bytes.len())
        .find(|end| matches!(std::str::from_utf8(&bytes[..*end]), Err(e) if e.error_len().is_some()))
        .expect("the text is invalid")
}

#[test]
fn text_fails_at_its_first_bad_byte_inside_an_unfinished_frame() {
    let bad: [&[u8]; 6] = [
        b"hello \xff and more that never needs to arrive",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
        b"\xed\xa0\x80",
        b"\xe2\x82x",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc0\x80",
        b"\xf0\x9f\xa6\x9c\x9c",
    ];
    for payload in bad {
        let settled = settled_at(payload);
        // One frame that announces more, and a cut at each byte.
        let head = Head::new(Opcode::Text, true, false, payload.len() + 100, Some(KEY));
        for cut in 0..=payload.len() {
            let mut masked = payload.to_vec();
            mask(&mut masked, KEY, 0);
            let (first, second) = masked.split_at(cut);
            let mut protocol = Protocol::new(server(LIMIT));
            let outcome = feed(&mut protocol, &[head.as_slice(), first].concat());
            if cut >= settled {
                assert_eq!(outcome, Err(ProtocolError::InvalidUtf8), "cut at {cut}: {payload:02x?}");
                continue;
            }
            assert_eq!(outcome, Ok(None), "cut at {cut}: {payload:02x?}");
            for (index, byte) in second.iter().enumerate() {
                let outcome = feed(&mut protocol, &[*byte]);
                if cut + index + 1 == settled {
                    assert_eq!(outcome, Err(ProtocolError::InvalidUtf8), "cut at {cut}: {payload:02x?}");
                    break;
                }
                assert_eq!(outcome, Ok(None), "cut at {cut}, byte {index}: {payload:02x?}");
            }
        }
        // The same text in two fragments, cut at each byte.
        for cut in 0..=payload.len() {
            let (first, second) = payload.split_at(cut);
            let mut protocol = Protocol::new(server(LIMIT));
            let outcome = feed(&mut protocol, &frame(0x01, first));
            assert_eq!(outcome.is_err(), cut >= settled, "cut at {cut}: {payload:02x?}");
            if outcome.is_ok() {
                let outcome = feed(&mut protocol, &frame(0x00, second));
                assert_eq!(outcome, Err(ProtocolError::InvalidUtf8));
            }
        }
    }
}

#[test]
fn text_must_not_end_inside_a_character() {
    refuses(&frame(0x81, b"caf\xc3"), ProtocolError::InvalidUtf8);
    refuses(&[frame(0x01, b"caf"), frame(0x80, b"\xc3")].concat(), ProtocolError::InvalidUtf8);
    refuses(&[frame(0x01, b"caf\xc3"), frame(0x80, b"")].concat(), ProtocolError::InvalidUtf8);
}

#[test]
fn binary_may_hold_anything() {
    accepts(&frame(0x82, b"\xff\xfe\xc0"), &[binary(b"\xff\xfe\xc0")]);
    accepts(&[frame(0x02, b"\xff"), frame(0x80, b"\xc0")].concat(), &[binary(b"\xff\xc0")]);
}

// ---- close ----

#[test]
fn nothing_is_decoded_after_a_close_frame() {
    let wire =
        [frame(0x81, b"hi"), frame(0x88, b"\x03\xe8bye"), frame(0x81, b"ignored"), b"garbage".to_vec()];
    accepts(&wire.concat(), &[text("hi"), closed(1000, "bye")]);
    accepts(&[frame(0x88, b""), frame(0x83, b"")].concat(), &[Err(None)]);
    // A close ends a fragmented message too.
    accepts(&[frame(0x01, b"unfinished"), frame(0x88, b"\x0f\xa0")].concat(), &[closed(4000, "")]);
}

#[test]
fn close_payloads_are_judged() {
    refuses(&frame(0x88, b"\x03"), ProtocolError::BadClosePayload);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16] {
        refuses(&frame(0x88, &code.to_be_bytes()), ProtocolError::BadCloseCode);
    }
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999_u16]
    {
        accepts(&frame(0x88, &code.to_be_bytes()), &[closed(code, "")]);
    }
    refuses(&frame(0x88, b"\x03\xe8\xe2\x82"), ProtocolError::InvalidUtf8);
    let longest = "r".repeat(123);
    accepts(&frame(0x88, &[b"\x03\xe8", longest.as_bytes()].concat()), &[closed(1000, &longest)]);
}

#[test]
fn the_close_handshake_started_by_the_peer() {
    let mut protocol = Protocol::new(server(LIMIT));
    assert_eq!(protocol.close_state(), CloseState::Open);
    let event = feed(&mut protocol, &frame(0x88, b"\x03\xe8")).unwrap().unwrap();
    let frame = event.expect_err("a close is not a message");
    assert_eq!(protocol.close_state(), CloseState::Received);
    assert_eq!(protocol.close(frame).unwrap().to_vec(), b"\x88\x02\x03\xe8");
    assert_eq!(protocol.close_state(), CloseState::Closed);
    assert_eq!(protocol.close(None), None);
    protocol.handle_eof();
    assert_eq!(protocol.close_state(), CloseState::Closed);
}

#[test]
fn the_close_handshake_started_here() {
    let mut protocol = Protocol::new(server(LIMIT));
    let frame_out = protocol.close(Some(CloseFrame::new(CloseCode::GOING_AWAY, "bye"))).unwrap();
    assert_eq!(frame_out.to_vec(), b"\x88\x05\x03\xe9bye");
    assert_eq!(protocol.close_state(), CloseState::Sent);
    assert_eq!(protocol.close(None), None);
    // What the peer had sent before it saw the close still arrives.
    let mut wire = [frame(0x81, b"late"), frame(0x88, b"\x03\xe9")].concat();
    let mut input = wire.as_mut_slice();
    assert!(matches!(protocol.poll_event(&mut input), Ok(Some(Event::Text(_)))));
    assert!(matches!(protocol.poll_event(&mut input), Ok(Some(Event::Close(Some(_))))));
    assert_eq!(protocol.close_state(), CloseState::Closed);
}

#[test]
fn a_client_masks_its_close() {
    let mut protocol = Protocol::new(client(LIMIT));
    let frame = protocol.close_masked(Some(CloseCode::NORMAL.into()), [0, 0, 0, 1]).unwrap();
    assert_eq!(frame.to_vec(), b"\x88\x82\0\0\0\x01\x03\xe8");
    assert_eq!(protocol.close_masked(None, [0; 4]), None);
    assert_eq!(protocol.role(), Role::Client);
}

#[test]
fn after_an_error_the_reason_can_be_sent_once() {
    let mut protocol = Protocol::new(server(LIMIT));
    let error = feed(&mut protocol, &frame(0x81, b"\xff")).unwrap_err();
    assert_eq!(protocol.close_state(), CloseState::Failed);
    let mut more = frame(0x81, b"ignored");
    let mut input = more.as_mut_slice();
    assert_eq!(protocol.poll_event(&mut input), Ok(None));
    assert!(input.is_empty());
    let frame = protocol.close(Some(CloseFrame::new(error.close_code(), error.reason()))).unwrap();
    assert_eq!(frame.to_vec(), b"\x88\x1d\x03\xefthe text is not valid UTF-8");
    assert_eq!(protocol.close(None), None);
    assert_eq!(protocol.close_state(), CloseState::Failed);
}

#[test]
fn an_end_without_a_close_frame_is_a_failure() {
    for before in [&b""[..], &frame(0x81, b"hi"), &frame(0x02, b"half"), b"\x81"] {
        let mut protocol = Protocol::new(server(LIMIT));
        let mut wire = before.to_vec();
        let mut input = wire.as_mut_slice();
        while protocol.poll_event(&mut input).unwrap().is_some() {}
        protocol.handle_eof();
        assert_eq!(protocol.close_state(), CloseState::Failed, "after {before:02x?}");
        assert_eq!(protocol.message_in_progress(), 0);
    }
}

#[test]
fn errors_know_their_code_and_fit_a_close_frame() {
    let all = [
        (ProtocolError::ReservedBits, 1002),
        (ProtocolError::BadOpcode, 1002),
        (ProtocolError::Unmasked, 1002),
        (ProtocolError::MaskedFromServer, 1002),
        (ProtocolError::ControlFragmented, 1002),
        (ProtocolError::ControlTooLong, 1002),
        (ProtocolError::NonMinimalLength, 1002),
        (ProtocolError::LengthTopBit, 1002),
        (ProtocolError::UnexpectedContinuation, 1002),
        (ProtocolError::ExpectedContinuation, 1002),
        (ProtocolError::MessageTooBig, 1009),
        (ProtocolError::InvalidUtf8, 1007),
        (ProtocolError::BadClosePayload, 1002),
        (ProtocolError::BadCloseCode, 1002),
        (ProtocolError::Inflate, 1007),
    ];
    for (error, code) in all {
        assert_eq!(error.close_code().get(), code, "{error:?}");
        assert_eq!(CloseFrame::new(error.close_code(), error.reason()).reason, error.reason());
        assert_eq!(error.to_string(), error.reason());
    }
}

// ---- memory ----

#[test]
fn a_protocol_at_rest_is_small() {
    assert!(size_of::<Protocol>() <= 64, "{} bytes", size_of::<Protocol>());
    assert!(size_of::<Event<'_>>() <= 48, "{} bytes", size_of::<Event<'_>>());
}

#[test]
fn whole_frames_are_borrowed_from_the_end_of_what_was_consumed() {
    let mut protocol = Protocol::new(server(LIMIT));
    let mut wire = [frame(0x81, b"first"), frame(0x82, b"second"), frame(0x81, b"cut")].concat();
    let base = wire.as_ptr() as usize;
    let total = wire.len();
    let mut input = wire.as_mut_slice();
    for expected in [&b"first"[..], b"second", b"cut"] {
        let Some(Event::Text(Payload::Borrowed(bytes)) | Event::Binary(Payload::Borrowed(bytes))) =
            protocol.poll_event(&mut input).unwrap()
        else {
            panic!("not borrowed")
        };
        let consumed = total - input.len();
        assert_eq!(bytes.as_ptr() as usize - base + bytes.len(), consumed);
        assert_eq!(bytes, expected);
    }
    // Also when only the head came before.
    let mut wire = frame(0x81, b"payload in place");
    let (head, rest) = wire.split_at_mut(3);
    assert_eq!(protocol.poll_event(&mut &mut *head), Ok(None));
    let mut rest = rest;
    let event = protocol.poll_event(&mut rest).unwrap();
    assert!(matches!(event, Some(Event::Text(Payload::Borrowed(b"payload in place")))));
}

#[test]
fn memory_grows_with_what_arrives_and_not_with_what_is_announced() {
    let mut protocol = Protocol::new(server(1 << 30));
    let head = Head::new(Opcode::Binary, true, false, 1 << 30, Some(KEY));
    assert_eq!(feed(&mut protocol, head.as_slice()), Ok(None));
    assert_eq!(protocol.message_in_progress(), 0);
    let mut arrived = 0;
    for _ in 0..64 {
        assert_eq!(feed(&mut protocol, &vec![0; 65_536]), Ok(None));
        arrived += 65_536;
        assert!(protocol.message_in_progress() >= arrived);
        assert!(
            protocol.message_in_progress() <= 2 * arrived,
            "{} for {arrived}",
            protocol.message_in_progress()
        );
    }
}

#[test]
fn a_finished_message_holds_no_more_than_its_bytes_and_leaves_nothing_behind() {
    let mut protocol = Protocol::new(server(LIMIT));
    let wire = frame(0x82, &vec![7; 1_000_000]);
    let mut event = None;
    for chunk in wire.chunks(65_536) {
        let mut chunk = chunk.to_vec();
        if let Some(Event::Binary(payload)) = protocol.poll_event(&mut chunk.as_mut_slice()).unwrap() {
            assert!(matches!(payload, Payload::Owned(_)));
            event = Some(payload.into_bytes());
        } else {
            // The buffer never grows beyond the end that the head announced.
            assert!(protocol.message_in_progress() <= 1_000_000);
        }
    }
    assert_eq!(event.unwrap(), vec![7; 1_000_000]);
    assert_eq!(protocol.message_in_progress(), 0);
}

#[test]
fn floods_of_empty_fragments_cost_no_memory() {
    let mut protocol = Protocol::new(server(LIMIT));
    assert_eq!(feed(&mut protocol, &frame(0x01, b"x")), Ok(None));
    let held = protocol.message_in_progress();
    let flood = frame(0x00, b"").repeat(10_000);
    for _ in 0..20 {
        assert_eq!(feed(&mut protocol, &flood), Ok(None));
        assert_eq!(protocol.message_in_progress(), held);
    }
    let event = feed(&mut protocol, &frame(0x80, b"y")).unwrap().unwrap();
    assert_eq!(event, text("xy"));
}

#[test]
fn the_number_of_fragments_has_no_limit() {
    let mut wire = frame(0x01, &[b'a'; 64]);
    wire.extend(frame(0x00, &[b'a'; 64]).repeat(65_534));
    wire.extend(frame(0x80, &[b'a'; 64]));
    let decoded = decode(server(4 << 20), &wire, Cuts::Every(65_536));
    assert_eq!(decoded.events, [text(&"a".repeat(4 << 20))]);
}

#[test]
fn text_in_single_bytes_costs_linear_time() {
    let text = Random(13).text(300_000);
    let wire = frame(0x81, text.as_bytes());
    let started = std::time::Instant::now();
    assert_eq!(decode(server(LIMIT), &wire, Cuts::Every(1)).events, [Ok(Message::from(text))]);
    // Validating or copying again what came before would take minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn debug_output_shows_no_payload() {
    let mut protocol = Protocol::new(server(LIMIT));
    assert_eq!(feed(&mut protocol, &frame(0x01, b"secret")), Ok(None));
    let shown = format!("{protocol:?}");
    assert!(shown.contains("message_in_progress: 6") && !shown.contains("secret"), "{shown}");
}

// ---- any message, any cut ----

fn any_message() -> impl Strategy<Value = Message> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    prop_oneof![
        4 => ".{0,80}".prop_map(Message::from),
        4 => bytes(300).prop_map(Message::from),
        1 => (65_500_usize..65_600, any::<u8>()).prop_map(|(len, byte)| Message::from(vec![byte; len])),
        1 => bytes(126).prop_map(|bytes| Message::Ping(bytes.into())),
        1 => bytes(126).prop_map(|bytes| Message::Pong(bytes.into())),
    ]
}

/// Encodes messages for `role` to receive: data messages in fragments at random places, control frames
/// anywhere between them, so the order of events is returned too.
fn encode(messages: &[Message], role: Role, random: &mut Random) -> (Vec<u8>, Vec<Seen>) {
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    let mut put = |opcode, fin, payload: &[u8], random: &mut Random| {
        let key = (role == Role::Server).then(|| random.key());
        wire.extend_from_slice(Head::new(opcode, fin, false, payload.len(), key).as_slice());
        let at = wire.len();
        wire.extend_from_slice(payload);
        mask(&mut wire[at..], key.unwrap_or_default(), 0);
    };
    let mut waiting = messages.iter().peekable();
    while let Some(message) = waiting.next() {
        let mut opcode = Opcode::from(message.kind());
        let mut rest = message.as_bytes();
        while !opcode.is_control() && random.chance(2) {
            let (piece, after) = rest.split_at(random.below(rest.len() + 1));
            put(opcode, false, piece, random);
            (opcode, rest) = (Opcode::Continuation, after);
            while let Some(control) = waiting.next_if(|next| Opcode::from(next.kind()).is_control()) {
                put(control.kind().into(), true, control.as_bytes(), random);
                expected.push(Ok(control.clone()));
            }
        }
        put(opcode, true, rest, random);
        expected.push(Ok(message.clone()));
    }
    (wire, expected)
}

proptest! {
    #[test]
    fn any_messages_arrive_however_they_are_fragmented_and_cut(
        messages in proptest::collection::vec(any_message(), 0..8),
        to_server in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let config = if to_server { server(LIMIT) } else { client(LIMIT) };
        let (wire, expected) = encode(&messages, config.role, &mut Random(seed));
        for cuts in Cuts::several(seed) {
            let decoded = decode(config, &wire, cuts);
            prop_assert_eq!(&decoded.events, &expected);
            prop_assert_eq!(decoded.error, None);
        }
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        seed in any::<u64>(),
    ) {
        for config in [server(100), client(100), inflating(100, ALONE)] {
            let whole = decode(config, &bytes, Cuts::Whole);
            for cuts in Cuts::several(seed) {
                prop_assert_eq!(&decode(config, &bytes, cuts), &whole);
            }
        }
    }
}

// ---- both ends ----

#[test]
fn two_ends_talk_and_close() {
    for seed in 0..30 {
        let mut pair = Pair::new(seed, LIMIT, None);
        let mut random = Random(seed);
        let mut sent = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let message = random.message();
            if random.chance(2) {
                pair.client.send(message.clone());
                sent.0.push(Ok(message));
            } else {
                pair.server.send(message.clone());
                sent.1.push(Ok(message));
            }
            for _ in 0..random.below(10) {
                pair.step();
            }
        }
        pair.drive();
        pair.client.close(Some(CloseFrame::new(CloseCode::NORMAL, "done")));
        pair.drive_bounded(1000);

        // Answers to pings come in between; without them, each end saw what the other sent, in order.
        let without_pongs = |seen: &[Seen]| -> Vec<Seen> {
            seen.iter().filter(|event| !matches!(event, Ok(Message::Pong(_)))).cloned().collect()
        };
        let (client_sent, server_sent) = (without_pongs(&sent.0), without_pongs(&sent.1));
        let done = [closed(1000, "done")];
        assert_eq!(without_pongs(&pair.server.seen), [&client_sent[..], &done].concat(), "seed {seed}");
        assert_eq!(without_pongs(&pair.client.seen), [&server_sent[..], &done].concat(), "seed {seed}");
        assert_eq!(pair.client.protocol.close_state(), CloseState::Closed);
        assert_eq!(pair.server.protocol.close_state(), CloseState::Closed);
        assert_eq!((pair.client.error, pair.server.error), (None, None));
    }
}

#[test]
fn an_error_travels_back_as_a_close() {
    let mut pair = Pair::new(1, 1000, None);
    pair.client.send(Message::from("fine"));
    pair.client.send(Message::from(vec![0; 1001]));
    pair.client.send(Message::from("never read"));
    pair.drive();
    assert_eq!(pair.server.seen, [text("fine")]);
    assert_eq!(pair.server.error, Some(ProtocolError::MessageTooBig));
    assert_eq!(pair.client.seen, [closed(1009, "the message is too big")]);
    assert_eq!(pair.server.protocol.close_state(), CloseState::Failed);
}

#[test]
fn a_broken_stream_fails_one_end_only() {
    let mut pair = Pair::new(2, 1000, None);
    pair.client.write_raw(b"GET / HTTP/1.1\r\n\r\n");
    pair.drive();
    assert_eq!(pair.server.error, Some(ProtocolError::BadOpcode));
    assert_eq!(pair.client.error, None);
    assert_eq!(pair.client.seen.len(), 1);
}

#[test]
fn frames_of_one_kind_cannot_be_taken_for_another() {
    let frame = Frame::compressed_masked(Kind::Text, Bytes::from_static(&[0]), KEY);
    check(inflating(10, ALONE), &frame.to_vec(), &[text("")], None);
    check(server(10), &frame.to_vec(), &[], Some(ProtocolError::ReservedBits));
}
