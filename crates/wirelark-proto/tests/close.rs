//! The payload of close frames, both ways.

use bytes::Bytes;
use wirelark_proto::{CloseCode, CloseFrame, ProtocolError, REASON_BYTES_MAX, Text};

#[test]
fn a_reason_is_cut_at_a_whole_character() {
    let exact = "a".repeat(REASON_BYTES_MAX);
    assert_eq!(CloseFrame::new(CloseCode::NORMAL, exact.as_str()).reason, exact.as_str());
    assert_eq!(CloseFrame::new(CloseCode::NORMAL, format!("{exact}b")).reason, exact.as_str());
    // 41 characters of three bytes are 123 bytes; one byte before them pushes the last one over the edge.
    assert_eq!(CloseFrame::new(CloseCode::NORMAL, "語".repeat(50)).reason, "語".repeat(41).as_str());
    assert_eq!(CloseFrame::new(CloseCode::NORMAL, format!("a{}", "語".repeat(50))).reason.len(), 121);
    assert_eq!(CloseFrame::new(CloseCode::NORMAL, "🦜".repeat(31)).reason.len(), 120);
}

#[test]
fn a_reason_made_too_long_by_hand_still_fits_the_frame() {
    let frame = CloseFrame { code: CloseCode::NORMAL, reason: Text::from("é".repeat(100)) };
    assert_eq!(frame.encode().len(), 2 + 122);
}

#[test]
fn what_is_encoded_is_decoded() {
    for frame in [CloseFrame::from(CloseCode::GOING_AWAY), CloseFrame::new(CloseCode::new(4999), "tschüß")]
    {
        assert_eq!(CloseFrame::decode(&frame.encode()), Ok(Some(frame)));
    }
}

#[test]
fn a_code_that_may_not_travel_is_left_out() {
    assert_eq!(CloseFrame::new(CloseCode::NO_STATUS, "never").encode(), Bytes::new());
    assert_eq!(CloseFrame::new(CloseCode::new(5000), "never").encode(), Bytes::new());
}

#[test]
fn payloads_are_judged() {
    let check = |payload: &[u8], expected: Result<Option<(u16, &str)>, ProtocolError>| {
        let decoded = CloseFrame::decode(payload);
        let expected =
            expected.map(|frame| frame.map(|(code, text)| CloseFrame::new(CloseCode::new(code), text)));
        assert_eq!(decoded, expected, "{payload:02x?}");
    };
    check(b"", Ok(None));
    check(b"\x03", Err(ProtocolError::BadClosePayload));
    check(b"\x03\xe8", Ok(Some((1000, ""))));
    check(b"\x03\xe8bye", Ok(Some((1000, "bye"))));
    check(b"\x03\xe8\xff", Err(ProtocolError::InvalidUtf8));
    check(b"\x03\xe8\xe2\x82", Err(ProtocolError::InvalidUtf8));
    check(b"\x03\xed", Err(ProtocolError::BadCloseCode));
}
