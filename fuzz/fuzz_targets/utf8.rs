//! Text in pieces. The first byte seeds the cuts, the rest is the text.

#![no_main]

#[path = "../../crates/wirelark-proto/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use support::Cuts;
use wirelark_proto::{Text, Utf8Validator};

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let expected = std::str::from_utf8(text);

    // Where the text is beyond repair: an error with a length is settled by its last byte.
    let settled = match expected {
        Err(error) => error.error_len().map(|_| settled_at(text, error.valid_up_to())),
        Ok(_) => None,
    };
    for cuts in [
        Cuts::Whole,
        Cuts::Every(1),
        Cuts::Every(usize::from(first % 9) + 1),
        Cuts::Random(u64::from(*first)),
    ] {
        let mut validator = Utf8Validator::new();
        let mut seen = 0;
        let mut refused = false;
        for piece in cuts.split(text) {
            seen += piece.len();
            refused = validator.push(piece).is_err();
            assert_eq!(
                refused,
                settled.is_some_and(|settled| settled <= seen),
                "{cuts:?} after {seen} bytes"
            );
            if refused {
                break;
            }
        }
        assert_eq!(!refused && validator.finish().is_ok(), expected.is_ok(), "{cuts:?}");
    }
    assert_eq!(Text::try_from(bytes::Bytes::copy_from_slice(text)).is_ok(), expected.is_ok());
});

/// How many bytes show that the text is invalid. The bad character begins at `at` and is at most four bytes long.
fn settled_at(text: &[u8], at: usize) -> usize {
    (at + 1..=text.len().min(at + 4))
        .find(|end| matches!(std::str::from_utf8(&text[at..*end]), Err(error) if error.error_len().is_some()))
        .expect("the error has a length")
}
