//! What people type: what counts as a name, a text and a room, and why something does not.

use std::fmt;

use serde::{Deserialize, Serialize};
use wirelark::contract::Problem;
use wirelark::schemars::{self, JsonSchema};

use crate::contract::LIMITS;

/// A name: one line, with a letter or a digit, without spaces around it or several in a row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Name(String);

impl TryFrom<String> for Name {
    type Error = Invalid;

    fn try_from(typed: String) -> Result<Self, Invalid> {
        let name = typed.split_whitespace().collect::<Vec<_>>().join(" ");
        match name.chars().count() {
            0 => Err(Invalid::NameEmpty),
            length if length > LIMITS.name => Err(Invalid::NameTooLong),
            // Nobody is invisible in the list, and nobody turns its lines around.
            _ if !name.chars().any(char::is_alphanumeric) || name.chars().any(is_control) => {
                Err(Invalid::NameUnreadable)
            }
            _ => Ok(Self(name)),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text of one or several lines, without white space around it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Text(String);

impl TryFrom<String> for Text {
    type Error = Invalid;

    fn try_from(typed: String) -> Result<Self, Invalid> {
        let text = typed.trim();
        let unreadable = |c| is_control(c) && c != '\n' && c != '\t';
        match text.chars().count() {
            0 => Err(Invalid::TextEmpty),
            length if length > LIMITS.text => Err(Invalid::TextTooLong { length }),
            _ if text.chars().any(unreadable) => Err(Invalid::TextUnreadable),
            _ => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room's name can stand in a URL as it is.
pub(crate) fn check_room(name: &str) -> Result<(), Invalid> {
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    (plain && (1..=32).contains(&name.chars().count())).then_some(()).ok_or(Invalid::Room)
}

/// Control characters, and those that reorder the text around them.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Why something typed was not taken, for the reader of the page. Fits a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// No name.
    #[error("Please choose a name.")]
    NameEmpty,
    /// More of a name than fits a line.
    #[error("A name has at most {} characters.", LIMITS.name)]
    NameTooLong,
    /// A name nobody could see or read.
    #[error("A name needs a letter or a digit, and no control characters.")]
    NameUnreadable,
    /// No text.
    #[error("There is nothing to send.")]
    TextEmpty,
    /// Too much of a text.
    #[error("A message has at most {} characters; this one has {length}.", LIMITS.text)]
    TextTooLong {
        /// Its characters.
        length: usize,
    },
    /// A text with more in it than can be seen.
    #[error("A message cannot hold control characters.")]
    TextUnreadable,
    /// No name of a room.
    #[error("A room's name has 1 to 32 letters, digits, - and _.")]
    Room,
    /// A post nobody could send again.
    #[error("A message needs a key of 1 to 64 bytes.")]
    Key,
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::new(invalid.to_string()).code("INVALID")
    }
}
