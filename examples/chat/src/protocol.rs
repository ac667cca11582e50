//! What page and server say to each other, and what counts as a name and a text.

use serde::{Deserialize, Serialize};

/// A message of a page.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromPage {
    /// The page makes up the key. A post sent again after a lost connection has the same one, and is not
    /// posted twice.
    Say {
        key: String,
        text: String,
    },
    /// Forgotten after a few seconds, so a page repeats it.
    Typing,
    Rename {
        name: String,
    },
}

/// A message to a page.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToPage {
    /// The first message: the room as it is now. `you` is the reader's id in it.
    Welcome {
        you: u64,
        people: Vec<Person>,
        history: Vec<Post>,
        limits: Limits,
    },
    Joined {
        person: Person,
    },
    Left {
        id: u64,
    },
    Renamed {
        person: Person,
    },
    Typing {
        id: u64,
    },
    /// Also to whoever posted it: that is their receipt.
    Said {
        post: Post,
    },
    /// What the page asked for was not done; with a key it is about that post.
    Problem {
        key: Option<String>,
        text: String,
    },
}

/// Somebody in a room. The id is that of one visit: a page that reconnects gets a new one.
#[derive(Clone, Serialize)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) name: Name,
}

/// Something said in a room, by an author under the name of then.
#[derive(Clone, Serialize)]
pub(crate) struct Post {
    /// Rises from post to post, also over restarts of the server: pages sort by it and know what they have.
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) author: Person,
    pub(crate) text: Text,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

/// A room in the list of rooms.
#[derive(Debug, Serialize)]
pub(crate) struct RoomInfo {
    pub(crate) name: String,
    pub(crate) people: usize,
}

/// Characters of a name and of a text, and posts a room remembers; for the page to show.
#[derive(Serialize)]
pub(crate) struct Limits {
    name: usize,
    text: usize,
    pub(crate) history: usize,
}

pub(crate) const LIMITS: Limits = Limits { name: 24, text: 1000, history: 50 };

/// A name: one line, with a letter or a digit, without spaces around it or several in a row.
#[derive(Clone, Serialize)]
pub(crate) struct Name(String);

impl TryFrom<&str> for Name {
    type Error = Invalid;

    fn try_from(typed: &str) -> Result<Self, Invalid> {
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

/// A text of one or several lines, without white space around it.
#[derive(Clone, Serialize)]
pub(crate) struct Text(String);

impl TryFrom<&str> for Text {
    type Error = Invalid;

    fn try_from(typed: &str) -> Result<Self, Invalid> {
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
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("Please choose a name.")]
    NameEmpty,
    #[error("A name has at most {} characters.", LIMITS.name)]
    NameTooLong,
    #[error("A name needs a letter or a digit, and no control characters.")]
    NameUnreadable,
    #[error("There is nothing to send.")]
    TextEmpty,
    #[error("A message has at most {} characters; this one has {length}.", LIMITS.text)]
    TextTooLong { length: usize },
    #[error("A message cannot hold control characters.")]
    TextUnreadable,
    #[error("A room's name has 1 to 32 letters, digits, - and _.")]
    Room,
    #[error("A message needs a key of 1 to 64 bytes.")]
    Key,
}
