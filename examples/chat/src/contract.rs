//! What page and server say to each other.

use serde::{Deserialize, Serialize};
use wirelark::contract;
use wirelark::contract::Problem;
use wirelark::schemars::{self, JsonSchema};

use crate::words::{Name, Text};

/// A chat, as its pages see it. The room is in the path, and the reader's name in the query.
#[contract(rename_all = "camelCase")]
pub trait Chat {
    /// Posts to the room, whose people are told by `said`. The page makes up the key: a post that is sent again
    /// after a lost connection has the same one, and is answered without being posted twice.
    async fn say(&self, key: String, text: String) -> Result<Post, Problem>;
    /// Changes the caller's name, as everybody is told by `renamed`.
    async fn rename(&self, name: String) -> Result<(), Problem>;
    /// The caller is typing. Forgotten after a few seconds, so a page repeats it.
    #[send]
    async fn typing(&self) -> Result<(), Problem>;

    /// The room as it is now, before anything else is told.
    #[push]
    fn welcome(#[body] welcome: Welcome);
    /// Somebody else came.
    #[push]
    fn joined(#[body] person: Person);
    /// Somebody else went.
    #[push]
    fn left(id: u64);
    /// Somebody has another name.
    #[push]
    fn renamed(#[body] person: Person);
    /// Somebody said something.
    #[push]
    fn said(#[body] post: Post);
    /// Somebody else is typing. A page that is behind needs to know it once.
    #[push(conflate = id)]
    fn is_typing(id: u64);
}

/// What a page has to know on arrival.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The reader's id in the room.
    pub you: u64,
    /// Who is here, the reader included.
    pub people: Vec<Person>,
    /// What was said last, the oldest first.
    pub history: Vec<Post>,
    /// What the page may ask for.
    pub limits: Limits,
}

/// Somebody in a room. The id is that of one visit: a page that reconnects gets a new one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Rises from visit to visit.
    pub id: u64,
    /// What this person wants to be called now.
    pub name: Name,
}

/// Something said in a room, by an author under the name of then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Post {
    /// Rises from post to post, also over restarts of the server: pages sort by it and know what they have.
    pub id: u64,
    /// What the author's page has called it.
    pub key: String,
    /// Who said it.
    pub author: Person,
    /// What was said.
    pub text: Text,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// Characters of a name and of a text, and posts a room remembers; for the page to show.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Characters of a name.
    pub name: usize,
    /// Characters of a text.
    pub text: usize,
    /// Posts of a room.
    pub history: usize,
}

/// What this server keeps to.
pub(crate) const LIMITS: Limits = Limits { name: 24, text: 1000, history: 50 };
