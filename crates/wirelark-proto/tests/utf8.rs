//! UTF-8 in pieces, against the standard library: the same verdict, at the first byte that settles it.

mod support;

use support::Random;
use wirelark_proto::Utf8Validator;

/// How many bytes must be seen before the text is beyond repair; `None` if it never is.
fn settled_at(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len())
        .find(|end| matches!(std::str::from_utf8(&bytes[..*end]), Err(e) if e.error_len().is_some()))
}

/// Feeds the pieces and says in which one the validator refused.
fn refused_in<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Utf8Validator, usize> {
    let mut validator = Utf8Validator::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        validator.push(piece).map_err(|_| index)?;
    }
    Ok(validator)
}

/// Checks every cut into two and the cut into single bytes.
fn check(bytes: &[u8]) {
    let settled = settled_at(bytes);
    let complete = std::str::from_utf8(bytes).is_ok();

    match refused_in(bytes.chunks(1)) {
        Err(index) => assert_eq!(Some(index + 1), settled, "byte by byte: {bytes:02x?}"),
        Ok(validator) => {
            assert_eq!(None, settled, "byte by byte: {bytes:02x?}");
            assert_eq!(validator.finish().is_ok(), complete, "end of {bytes:02x?}");
        }
    }
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        match refused_in([first, second]) {
            Err(0) => {
                assert!(settled.is_some_and(|settled| settled <= at), "too early at {at}: {bytes:02x?}")
            }
            Err(_) => assert!(settled.is_some_and(|settled| settled > at), "too late at {at}: {bytes:02x?}"),
            Ok(validator) => {
                assert_eq!(None, settled, "accepted, cut at {at}: {bytes:02x?}");
                assert_eq!(validator.finish().is_ok(), complete, "end of {bytes:02x?}, cut at {at}");
            }
        }
    }
}

#[test]
fn judges_the_interesting_sequences_at_every_cut() {
    let sequences: &[&[u8]] = &[
        b"",
        b"plain",
        "κόσμε".as_bytes(),
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
        b"\x80",                     // a continuation without a beginning
        b"\xc0\xaf",                 // overlong, two bytes
        b"\xc1\xbf",                 // overlong, two bytes
        b"\xe0\x9f\xbf",             // overlong, three bytes
        b"\xf0\x8f\xbf\xbf",         // overlong, four bytes
        b"\xed\xa0\x80",             // surrogate
        b"\xed\xbf\xbf",             // surrogate
        b"\xed\x9f\xbf",             // just below the surrogates
        b"\xee\x80\x80",             // just above
        b"\xf4\x90\x80\x80",         // beyond U+10FFFF
        b"\xf4\x8f\xbf\xbf",         // U+10FFFF
        b"\xf5\x80\x80\x80",         // no such beginning
        b"\xf8\x88\x80\x80\x80",     // five bytes
        b"\xfc\x84\x80\x80\x80\x80", // six bytes
        b"\xfe",                     // never
        b"\xff",                     // never
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", // Autobahn 6.4
        b"\xf0\x9f\xa6",             // cut short
        b"\xe2\x82",                 // cut short
        b"\xc3",                     // cut short
        b"ok \xe2\x82\xac\xe2\x82x", // a good character, then a broken one
        b"\xf0\x9f\xa6\x9c\xf0\x9f\xa6\x9c\x80",
        b"\xe2\xf0\x9f\xa6\x9c", // a beginning where a continuation must be
    ];
    for sequence in sequences {
        check(sequence);
        // The same behind enough text that the vector path sees it, at each alignment.
        for before in [31, 62, 63, 64, 65, 127] {
            check(&[&vec![b'x'; before], *sequence, b"tail"].concat());
        }
    }
}

#[test]
fn judges_every_sequence_of_two_bytes() {
    for first in 0..=255 {
        for second in 0..=255 {
            check(&[first, second]);
        }
    }
}

#[test]
fn judges_every_three_byte_beginning_at_its_edges() {
    const EDGES: [u8; 12] = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xf4, 0xff];
    for first in 0xc0..=255 {
        for second in EDGES {
            for third in EDGES {
                check(&[first, second, third]);
                check(&[first, second, third, 0x80]);
            }
        }
    }
}

#[test]
fn judges_random_damage_like_the_standard_library() {
    let mut random = Random(6455);
    for round in 0..3_000 {
        let chars = random.below(60);
        let mut bytes = random.text(chars).into_bytes();
        for _ in 0..random.below(3) {
            if !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
        }
        check(&bytes);

        let mut validator = Utf8Validator::new();
        let mut rest = bytes.as_slice();
        let mut refused = false;
        while !rest.is_empty() && !refused {
            let (piece, after) = rest.split_at(random.below(9).min(rest.len()));
            refused = validator.push(piece).is_err();
            rest = after;
        }
        let accepted = !refused && validator.finish().is_ok();
        assert_eq!(accepted, std::str::from_utf8(&bytes).is_ok(), "round {round}: {bytes:02x?}");
    }
}
