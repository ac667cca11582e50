//! Messages that can be checked. Each carries a text that begins with a stamp, who sent it and as its how-manieth
//! message; the rest is the same in all messages of a run, whatever the dialect puts around the text.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::dialect::Dialect;

/// The connection that sent a message, and its number on that connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The sender.
    pub sender: u32,
    /// Counts from 0.
    pub number: u32,
}

/// What the messages of a run look like, in both directions.
#[derive(Debug)]
pub struct Template {
    request: Form,
    reply: Form,
}

/// Which text fills a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// One byte a character.
    Ascii,
    /// The same in capitals, for servers that answer in capitals.
    Upper,
    /// One to four bytes a character, as most of the world writes.
    NonAscii,
}

impl FromStr for Text {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "ascii" => Ok(Self::Ascii),
            "upper" => Ok(Self::Upper),
            "non-ascii" => Ok(Self::NonAscii),
            _ => bail!("the text is `ascii`, `upper` or `non-ascii`"),
        }
    }
}

impl Template {
    /// Messages whose text has exactly `bytes` bytes, the stamp among them.
    pub fn new(dialect: Dialect, bytes: usize, text: Text) -> Result<Self> {
        ensure!(bytes >= STAMP_BYTES, "a message has at least the {STAMP_BYTES} bytes of its stamp");
        let text = SAMPLE.letters() + &filler(bytes - STAMP_BYTES, text);
        Ok(Self {
            request: Form::of(dialect.request(SAMPLE, &text)?)?,
            reply: Form::of(dialect.reply(SAMPLE, &text)?)?,
        })
    }

    /// How long the message to the server is.
    pub fn request_bytes(&self) -> usize {
        self.request.sample.len()
    }

    /// Appends the message to the server with this stamp.
    pub fn write_request(&self, stamp: Stamp, to: &mut Vec<u8>) {
        self.request.write(stamp, to);
    }

    /// The stamp of a reply; an error unless the reply is, byte for byte, the one that stamp belongs to.
    pub fn check(&self, reply: &[u8]) -> Result<Stamp> {
        self.reply.check(reply)
    }
}

impl Stamp {
    /// Four bits each, from `A`, so that a stamp is text and needs no escape in JSON.
    pub(crate) fn letters(self) -> String {
        Spelling::Letters.spell(self)
    }

    /// The number alone, as the id of a call in dialects that want a number there. Counted from a billion, so that
    /// all have the same length.
    pub(crate) fn digits(self) -> String {
        Spelling::Digits.spell(self)
    }

    fn decode(letters: &[u8]) -> Result<Self> {
        let mut bits = 0;
        for letter in letters {
            let digit = letter.wrapping_sub(b'A');
            ensure!(digit < 16, "a reply's stamp is damaged");
            bits = bits << 4 | u64::from(digit);
        }
        Ok(Self { sender: (bits >> 32) as u32, number: bits as u32 })
    }
}

/// One message as its dialect writes it, and where it differs from the next one: messages are copies of it with
/// another stamp. Nothing is encoded while it is measured.
#[derive(Debug)]
struct Form {
    sample: Vec<u8>,
    /// In the order of the message. The last one is in the text, what stands before is the id of a call.
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    begin: usize,
    spelling: Spelling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Letters,
    Digits,
}

impl Form {
    /// The form of a message whose stamp is [`SAMPLE`].
    fn of(sample: Vec<u8>) -> Result<Self> {
        let spelled =
            [Spelling::Letters, Spelling::Digits].map(|spelling| (spelling, spelling.spell(SAMPLE)));
        let mut places = Vec::new();
        for begin in 0..sample.len() {
            let here = spelled.iter().find(|(_, stamp)| sample[begin..].starts_with(stamp.as_bytes()));
            places.extend(here.map(|(spelling, _)| Place { begin, spelling: *spelling }));
        }
        let text = places.last().context("a dialect has lost the text of its message")?;
        ensure!(text.spelling == Spelling::Letters, "a dialect writes an id behind the text");
        Ok(Self { sample, places })
    }

    fn write(&self, stamp: Stamp, to: &mut Vec<u8>) {
        let begin = to.len();
        to.extend_from_slice(&self.sample);
        let message = &mut to[begin..];
        for place in &self.places {
            place.spelling.write(stamp, &mut message[place.begin..place.end()]);
        }
    }

    fn check(&self, message: &[u8]) -> Result<Stamp> {
        ensure!(message.len() == self.sample.len(), "{DIFFERS}: {}", shown(message));
        let text = self.places.last().context("a form has a text")?;
        let stamp = Stamp::decode(&message[text.begin..text.end()])?;
        let mut at = 0;
        for place in &self.places {
            let mut spelled = [0; STAMP_BYTES];
            let spelled = &mut spelled[..place.spelling.len()];
            place.spelling.write(stamp, spelled);
            let same = message[at..place.begin] == self.sample[at..place.begin]
                && message[place.begin..place.end()] == *spelled;
            ensure!(same, "{DIFFERS}: {}", shown(message));
            at = place.end();
        }
        ensure!(message[at..] == self.sample[at..], "{DIFFERS}: {}", shown(message));
        Ok(stamp)
    }
}

impl Place {
    fn end(self) -> usize {
        self.begin + self.spelling.len()
    }
}

impl Spelling {
    fn len(self) -> usize {
        match self {
            Self::Letters => STAMP_BYTES,
            Self::Digits => 10,
        }
    }

    /// Fills `to`, which has the length of this spelling.
    fn write(self, stamp: Stamp, to: &mut [u8]) {
        match self {
            Self::Letters => {
                let bits = u64::from(stamp.sender) << 32 | u64::from(stamp.number);
                for (place, letter) in to.iter_mut().enumerate() {
                    *letter = b'A' + (bits >> (60 - 4 * place) & 0xF) as u8;
                }
            }
            Self::Digits => {
                let mut rest = 1_000_000_000 + u64::from(stamp.number);
                for digit in to.iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
            }
        }
    }

    fn spell(self, stamp: Stamp) -> String {
        let mut spelled = [0; STAMP_BYTES];
        self.write(stamp, &mut spelled[..self.len()]);
        spelled[..self.len()].iter().map(|byte| char::from(*byte)).collect()
    }
}

/// The beginning of a reply that was not due: what a server says there is often the reason.
fn shown(message: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&message[..message.len().min(200)])
}

fn filler(bytes: usize, text: Text) -> String {
    let sample = match text {
        Text::Ascii | Text::Upper => ASCII,
        Text::NonAscii => NON_ASCII,
    };
    let mut filler = String::with_capacity(bytes);
    filler.extend(sample.chars().cycle().take(bytes));
    while filler.len() > bytes {
        filler.pop();
    }
    // The last character may not have fitted whole.
    let short = bytes - filler.len();
    filler.extend(std::iter::repeat_n('.', short));
    if text == Text::Upper {
        filler.make_ascii_uppercase();
    }
    filler
}

/// Letters of a stamp.
pub(crate) const STAMP_BYTES: usize = 16;
/// What is written in forms. Neither of its spellings stands anywhere else in a message.
const SAMPLE: Stamp = Stamp { sender: 0xFEDC_BA98, number: 0x7654_3210 };
const DIFFERS: &str = "a reply differs from what was due";
const ASCII: &str = "The quick brown fox jumps over the lazy dog; pack my box with five dozen jugs. ";
const NON_ASCII: &str =
    "Съешь ещё этих мягких булок. 色は匂へど散りぬるを。 Zwölf Boxkämpfer jagen Viktor. 🦊 ";

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECTS: [&str; 7] =
        ["websocket", "floor", "socka", "socka-msgpack", "jsonrpc", "socketio", "socketio-ack"];

    #[test]
    fn a_text_has_the_size_asked_for_and_needs_no_escape() {
        for bytes in STAMP_BYTES..STAMP_BYTES + 64 {
            for text in [Text::Ascii, Text::NonAscii] {
                let template = Template::new(Dialect::WebSocket, bytes, text).unwrap();
                let mut message = Vec::new();
                template.write_request(Stamp { sender: 7, number: 9 }, &mut message);
                assert_eq!((message.len(), template.request_bytes()), (bytes, bytes));
                assert!(str::from_utf8(&message).is_ok_and(|text| !text.contains(['"', '\\'])));
            }
        }
    }

    #[test]
    fn every_message_is_what_its_dialect_would_write() {
        for dialect in DIALECTS.map(|name| name.parse::<Dialect>().unwrap()) {
            for (bytes, text) in [(16, Text::Ascii), (64, Text::Ascii), (300, Text::NonAscii)] {
                let template = Template::new(dialect, bytes, text).unwrap();
                for stamp in [Stamp { sender: 0, number: 0 }, Stamp { sender: 63, number: u32::MAX }] {
                    let text = stamp.letters() + &filler(bytes - STAMP_BYTES, text);
                    let mut message = b"before".to_vec();
                    template.write_request(stamp, &mut message);
                    let request = dialect.request(stamp, &text).unwrap();
                    assert_eq!(message.strip_prefix(b"before"), Some(&request[..]), "{dialect:?}");
                    assert_eq!(template.check(&dialect.reply(stamp, &text).unwrap()).unwrap(), stamp);
                }
            }
        }
    }

    #[test]
    fn a_damaged_reply_is_not_recognised() {
        let stamp = Stamp { sender: 0xFFFF_FFFF, number: 0x0102_0304 };
        for dialect in DIALECTS.map(|name| name.parse::<Dialect>().unwrap()) {
            let template = Template::new(dialect, 64, Text::NonAscii).unwrap();
            let text = stamp.letters() + &filler(64 - STAMP_BYTES, Text::NonAscii);
            let reply = dialect.reply(stamp, &text).unwrap();
            for place in 0..reply.len() {
                let mut damaged = reply.clone();
                damaged[place] ^= 1;
                let found = template.check(&damaged);
                assert!(found.map_or(true, |found| found != stamp), "{dialect:?}, byte {place}");
            }
            assert!(template.check(&reply[..reply.len() - 1]).is_err());
        }
    }

    #[test]
    fn the_answer_of_another_call_is_not_recognised() {
        let (asked, other) = (Stamp { sender: 1, number: 5 }, Stamp { sender: 1, number: 6 });
        for name in ["socka", "socka-msgpack", "jsonrpc", "socketio-ack"] {
            let dialect = name.parse::<Dialect>().unwrap();
            let template = Template::new(dialect, 16, Text::Ascii).unwrap();
            let reply = dialect.reply(other, &asked.letters()).unwrap();
            assert!(template.check(&reply).is_err(), "{name}");
        }
    }
}
