//! UTF-8 that arrives in pieces.
//!
//! A text message must be valid UTF-8 as a whole, but its frames, and the reads that carry them, may be cut
//! anywhere, inside a character too (RFC 6455 section 5.6). The validator keeps the at most three bytes of a
//! character that has not ended and refuses at the first byte that no continuation can repair. It looks at
//! every byte once, so a message cut into single bytes still costs linear time.

use crate::message::InvalidUtf8;

/// Validates one text that arrives in pieces, failing at the first bad byte.
///
/// ```
/// use wirelark_proto::Utf8Validator;
///
/// let mut text = Utf8Validator::new();
/// text.push(b"\xe2\x82").unwrap(); // a character cut in two is fine ...
/// text.push(b"\xac").unwrap();
/// text.finish().unwrap();
/// assert!(text.push(b"\xed\xa0").is_err()); // ... a surrogate is refused before its last byte arrives
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Validator {
    /// The beginning of a character whose end has not arrived.
    carry: [u8; 4],
    carried: u8,
}

impl Utf8Validator {
    /// A validator at the beginning of a text.
    pub const fn new() -> Self {
        Self { carry: [0; 4], carried: 0 }
    }

    /// Judges the next piece. After an error the text is beyond repair and the validator must not be used
    /// further.
    #[inline]
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let piece = if self.carried == 0 { piece } else { self.complete_carry(piece)? };
        let (whole, tail) = piece.split_at(piece.len() - unfinished(piece));
        // `whole` does not stop inside a character, so any complaint about it is final.
        simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?;
        if !tail.is_empty() {
            self.keep(tail)?;
        }
        Ok(())
    }

    /// Ends the text: an error if it stops inside a character.
    #[inline]
    pub fn finish(self) -> Result<(), InvalidUtf8> {
        if self.carried == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Feeds the carried character byte by byte until it is whole, and returns what follows it.
    fn complete_carry<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        for (index, byte) in piece.iter().enumerate() {
            self.carry[usize::from(self.carried)] = *byte;
            self.carried += 1;
            match std::str::from_utf8(&self.carry[..usize::from(self.carried)]) {
                Ok(_) => {
                    self.carried = 0;
                    return Ok(&piece[index + 1..]);
                }
                // Only a prefix that some continuation can complete has no error length, and such a prefix is
                // at most three bytes long: the carry cannot overflow.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(InvalidUtf8),
            }
        }
        Ok(&[])
    }

    /// Carries the beginning of a character, if it can begin one.
    fn keep(&mut self, tail: &[u8]) -> Result<(), InvalidUtf8> {
        match std::str::from_utf8(tail) {
            Err(error) if error.error_len().is_none() => {
                self.carry[..tail.len()].copy_from_slice(tail);
                self.carried = tail.len() as u8;
                Ok(())
            }
            _ => Err(InvalidUtf8),
        }
    }
}

/// How many bytes at the end of `piece` look like a character that goes on: zero to three.
///
/// Only lengths are compared here. Whether those bytes can begin a character is for [`Utf8Validator::keep`]
/// to say.
#[inline]
fn unfinished(piece: &[u8]) -> usize {
    for (back, byte) in piece.iter().rev().take(3).enumerate() {
        let have = back + 1;
        match byte {
            0x80..=0xbf => {}
            0xc0..=0xdf if have < 2 => return have,
            0xe0..=0xef if have < 3 => return have,
            0xf0..=0xff if have < 4 => return have,
            _ => return 0,
        }
    }
    0
}
