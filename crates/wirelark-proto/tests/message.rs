//! Messages and text: conversions keep the bytes, text is always UTF-8.

use bytes::Bytes;
use wirelark_proto::{InvalidUtf8, Kind, Message, Text};

#[test]
fn text_is_made_from_strings_and_from_valid_bytes() {
    assert_eq!(Text::from("grüße"), "grüße");
    assert_eq!(Text::from(String::from("grüße")).as_str(), "grüße");
    assert_eq!(Text::try_from(Bytes::from("grüße")).unwrap(), Text::from("grüße"));
    assert_eq!(Text::try_from(Bytes::from_static(b"gr\xfc\xdfe")), Err(InvalidUtf8));
    assert_eq!(Text::from_validated(Bytes::from("é")).as_bytes(), "é".as_bytes());
    assert!(Text::default().is_empty());
}

#[test]
fn text_behaves_like_a_str() {
    let text = Text::from("grüße");
    assert_eq!(text.len(), 7);
    assert_eq!(text.chars().count(), 5);
    assert_eq!(text.to_uppercase(), "GRÜSSE");
    assert_eq!(format!("{text:>7}|{text:?}"), "  grüße|\"grüße\"");
    assert_eq!(text, "grüße");
    assert_eq!("grüße", text);
    assert_eq!(*"grüße", text);
    assert_eq!(AsRef::<str>::as_ref(&text), "grüße");
    assert_eq!(AsRef::<[u8]>::as_ref(&text), "grüße".as_bytes());
    assert_eq!(String::from(text), "grüße");
}

#[test]
fn cloning_text_shares_its_bytes() {
    let text = Text::from("shared");
    let clone = text.clone();
    assert_eq!(text.as_bytes().as_ptr(), clone.as_bytes().as_ptr());
    assert_eq!(Bytes::from(text).as_ptr(), clone.into_bytes().as_ptr());
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "from_validated"))]
fn a_broken_promise_shows_the_valid_prefix_in_release_builds() {
    let text = Text::from_validated(Bytes::from_static(b"ab\xff"));
    assert_eq!(text.as_str(), "ab");
}

#[test]
fn messages_know_their_kind_and_size() {
    let cases = [
        (Message::from("é"), Kind::Text, 2),
        (Message::from(String::from("é")), Kind::Text, 2),
        (Message::from(Text::from("")), Kind::Text, 0),
        (Message::from(vec![1, 2, 3]), Kind::Binary, 3),
        (Message::from(Bytes::from_static(&[1])), Kind::Binary, 1),
        (Message::Ping(Bytes::new()), Kind::Ping, 0),
        (Message::Pong(Bytes::from_static(b"ok")), Kind::Pong, 2),
    ];
    for (message, kind, len) in cases {
        assert_eq!((message.kind(), message.len(), message.is_empty()), (kind, len, len == 0), "{message:?}");
        assert_eq!(message.as_bytes().len(), len);
        assert_eq!(message.into_bytes().len(), len);
    }
}
