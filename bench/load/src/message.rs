//! Payloads that can be checked. Each begins with a stamp, who sent it and as its how-manieth message; the rest is
//! the same in all of them.

use std::str::FromStr;

use anyhow::{Result, bail, ensure};

/// The connection that sent a message, and its number on that connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The sender.
    pub sender: u32,
    /// Counts from 0.
    pub number: u32,
}

/// What the messages of a run look like.
#[derive(Debug)]
pub struct Template {
    filler: Vec<u8>,
}

/// Which text fills a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// One byte a character.
    Ascii,
    /// One to four bytes a character, as most of the world writes.
    NonAscii,
}

impl FromStr for Text {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "ascii" => Ok(Self::Ascii),
            "non-ascii" => Ok(Self::NonAscii),
            _ => bail!("the text is `ascii` or `non-ascii`"),
        }
    }
}

impl Template {
    /// Messages of exactly `bytes` bytes, the stamp among them.
    pub fn new(bytes: usize, text: Text) -> Result<Self> {
        ensure!(bytes >= STAMP_BYTES, "a message has at least the {STAMP_BYTES} bytes of its stamp");
        let sample = match text {
            Text::Ascii => ASCII,
            Text::NonAscii => NON_ASCII,
        };
        let mut filler = String::with_capacity(bytes);
        let room = bytes - STAMP_BYTES;
        filler.extend(sample.chars().cycle().take(room));
        while filler.len() > room {
            filler.pop();
        }
        // The last character may not have fitted whole.
        let short = room - filler.len();
        filler.extend(std::iter::repeat_n('.', short));
        Ok(Self { filler: filler.into_bytes() })
    }

    /// What follows the stamp in every message.
    pub fn filler(&self) -> &[u8] {
        &self.filler
    }

    /// The stamp of a message; an error unless the message is, byte for byte, the one that stamp belongs to.
    pub fn check(&self, message: &[u8]) -> Result<Stamp> {
        let Some((stamp, filler)) = message.split_first_chunk() else {
            bail!("a reply of {} bytes has no stamp", message.len());
        };
        ensure!(filler == self.filler, "a reply differs from what was sent");
        Stamp::decode(stamp)
    }
}

impl Stamp {
    /// The first bytes of the message with this stamp. They are letters, four bits each from `A`, so that a stamp is
    /// text and needs no escape in JSON.
    pub fn encode(self) -> [u8; STAMP_BYTES] {
        let bits = u64::from(self.sender) << 32 | u64::from(self.number);
        std::array::from_fn(|place| b'A' + (bits >> (60 - 4 * place) & 0xF) as u8)
    }

    fn decode(letters: &[u8; STAMP_BYTES]) -> Result<Self> {
        let mut bits = 0;
        for letter in letters {
            let digit = letter.wrapping_sub(b'A');
            ensure!(digit < 16, "a reply's stamp is damaged");
            bits = bits << 4 | u64::from(digit);
        }
        Ok(Self { sender: (bits >> 32) as u32, number: bits as u32 })
    }
}

/// Letters of a stamp.
pub(crate) const STAMP_BYTES: usize = 16;
const ASCII: &str = "The quick brown fox jumps over the lazy dog; pack my box with five dozen jugs. ";
const NON_ASCII: &str =
    "Съешь ещё этих мягких булок. 色は匂へど散りぬるを。 Zwölf Boxkämpfer jagen Viktor. 🦊 ";

#[cfg(test)]
mod tests {
    use super::*;

    fn message(template: &Template, stamp: Stamp) -> Vec<u8> {
        [&stamp.encode(), template.filler()].concat()
    }

    #[test]
    fn a_message_has_the_size_asked_for_and_is_text() {
        for bytes in STAMP_BYTES..STAMP_BYTES + 64 {
            for text in [Text::Ascii, Text::NonAscii] {
                let message = message(&Template::new(bytes, text).unwrap(), Stamp { sender: 7, number: 9 });
                assert_eq!(message.len(), bytes);
                assert!(str::from_utf8(&message).is_ok_and(|text| !text.contains(['"', '\\'])));
            }
        }
    }

    #[test]
    fn a_reply_is_recognised_and_a_damaged_one_is_not() {
        let template = Template::new(64, Text::NonAscii).unwrap();
        let stamp = Stamp { sender: 0xFFFF_FFFF, number: 0x0102_0304 };
        let message = message(&template, stamp);
        assert_eq!(template.check(&message).unwrap(), stamp);
        for place in 0..message.len() {
            let mut damaged = message.clone();
            damaged[place] ^= 1;
            assert!(template.check(&damaged).map_or(true, |found| found != stamp), "byte {place}");
        }
        assert!(template.check(&message[..63]).is_err());
    }
}
