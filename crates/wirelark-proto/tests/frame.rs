//! Frames as they are written: the examples of RFC 6455 section 5.7, and the three forms of the length.

use bytes::Bytes;
use wirelark_proto::{CloseCode, CloseFrame, Frame, Head, Kind, Message, Opcode};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[test]
fn the_specifications_examples_are_encoded_to_the_byte() {
    let check = |frame: Frame, bytes: &[u8]| {
        assert_eq!(frame.to_vec(), bytes, "{frame:?}");
        assert_eq!(frame.len(), bytes.len());
        assert!(!frame.is_empty());
    };
    check(Frame::unmasked("Hello".into()), b"\x81\x05Hello");
    check(Frame::masked("Hello".into(), KEY), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    check(Frame::unmasked(Message::Ping(Bytes::from("Hello"))), b"\x89\x05Hello");
    check(
        Frame::masked(Message::Pong(Bytes::from("Hello")), KEY),
        b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    );
    assert_eq!(Frame::unmasked(vec![0; 256].into()).head.as_slice(), b"\x82\x7e\x01\x00");
    assert_eq!(Frame::unmasked(vec![0; 65_536].into()).head.as_slice(), b"\x82\x7f\0\0\0\0\0\x01\0\0");
}

#[test]
fn lengths_take_their_shortest_form() {
    for (len, head_len) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 40, 10)] {
        let head = Head::new(Opcode::Binary, true, false, len, None);
        assert_eq!(head.as_slice().len(), head_len, "{len}");
        let masked = Head::new(Opcode::Binary, true, false, len, Some(KEY));
        assert_eq!(masked.as_slice().len(), head_len + 4, "{len}, masked");
        assert_eq!(masked.as_slice()[1], head.as_slice()[1] | 0x80);
        assert_eq!(masked.as_slice()[head_len..], KEY);
    }
}

#[test]
fn the_first_byte_holds_flags_and_opcode() {
    let check = |opcode, fin, rsv1, byte| {
        assert_eq!(Head::new(opcode, fin, rsv1, 0, None).as_slice()[0], byte);
    };
    check(Opcode::Continuation, false, false, 0x00);
    check(Opcode::Text, false, true, 0x41);
    check(Opcode::Binary, true, true, 0xc2);
    check(Opcode::Close, true, false, 0x88);
    assert_eq!(Frame::compressed(Kind::Text, Bytes::from_static(b"x")).head.as_slice(), [0xc1, 1]);
    assert_eq!(Frame::compressed_masked(Kind::Binary, Bytes::new(), KEY).head.as_slice()[..2], [0xc2, 0x80]);
}

#[test]
fn masking_leaves_shared_bytes_alone_and_takes_owned_ones_in_place() {
    let shared = Bytes::from(vec![1; 32]);
    let frame = Frame::masked(Message::Binary(shared.clone()), KEY);
    assert_eq!(shared, vec![1; 32]);
    assert_ne!(frame.payload, shared);

    let owned = Bytes::from(vec![1; 32]);
    let address = owned.as_ptr();
    assert_eq!(Frame::masked(Message::Binary(owned), KEY).payload.as_ptr(), address);

    // Static bytes belong to everybody.
    assert_eq!(Frame::masked(Message::Binary(Bytes::from_static(&[0])), KEY).payload, [0x37][..]);
}

#[test]
fn close_frames_carry_code_and_reason() {
    let frame = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
    assert_eq!(Frame::close(Some(frame.clone()), None).to_vec(), b"\x88\x05\x03\xe9bye");
    assert_eq!(Frame::close(Some(frame), Some([0; 4])).to_vec(), b"\x88\x85\0\0\0\0\x03\xe9bye");
    assert_eq!(Frame::close(None, None).to_vec(), b"\x88\x00");
    assert_eq!(Frame::close(Some(CloseCode::ABNORMAL.into()), None).to_vec(), b"\x88\x00");
}

#[test]
fn a_head_shows_its_bytes() {
    assert_eq!(format!("{:?}", Head::new(Opcode::Ping, true, false, 3, None)), "Head([89, 03])");
}
