//! The rooms: who is in them, and what was said last.
//!
//! The hub delivers; this is what a page that comes in has to be told. Everything here has a bound: rooms,
//! people in a room, and posts kept. A room with nobody in it keeps its posts until its place is needed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use wirelark::CloseCode;
use wirelark::contract::Push;

use crate::Page;
use crate::contract::{Chat, LIMITS, Person, Post, Welcome};
use crate::words::{Invalid, Name, Text, check_room};

/// Rooms that are remembered, with people or without: at most 20 MB of posts in all.
const ROOMS_MAX: usize = 100;
/// People in one room.
const PEOPLE_MAX: usize = 200;
/// Bytes of the key a page gives a post.
const KEY_BYTES_MAX: usize = 64;

/// A room in the list of rooms.
#[derive(Debug, Serialize)]
pub(crate) struct RoomInfo {
    name: String,
    people: usize,
}

/// All rooms. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rooms {
    by_name: Arc<Mutex<HashMap<Box<str>, Entry>>>,
}

struct Entry {
    room: Arc<ChatRoom>,
    visits: usize,
    left_at: u64,
}

struct ChatRoom {
    name: Box<str>,
    // Held while a change is pushed and while a welcome is: what a page is told on arrival and what it is told
    // afterwards then join without a gap. An async lock, because pushing may wait.
    inside: tokio::sync::Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    people: BTreeMap<u64, Name>,
    history: VecDeque<Post>,
}

impl Rooms {
    /// A place in a room, until it is dropped.
    pub(crate) fn visit(&self, name: &str) -> Result<Visit, NoPlace> {
        check_room(name)?;
        let mut by_name = self.lock();
        if !by_name.contains_key(name) {
            if by_name.len() >= ROOMS_MAX && !drop_oldest_idle(&mut by_name) {
                return Err(NoPlace::TooManyRooms);
            }
            let room = ChatRoom { name: name.into(), inside: Default::default() };
            by_name.insert(name.into(), Entry { room: Arc::new(room), visits: 0, left_at: 0 });
        }
        let entry = by_name.get_mut(name).expect("it was there or has just been added");
        entry.visits += 1;
        Ok(Visit { me: next_id(), room: Arc::clone(&entry.room), rooms: self.clone() })
    }

    /// The rooms there are, those with most people first.
    pub(crate) fn list(&self) -> Vec<RoomInfo> {
        let by_name = self.lock();
        let mut rooms: Vec<_> = by_name
            .iter()
            .map(|(name, entry)| RoomInfo { name: name.to_string(), people: entry.visits })
            .collect();
        drop(by_name);
        rooms.sort_by(|a, b| b.people.cmp(&a.people).then_with(|| a.name.cmp(&b.name)));
        rooms
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Entry>> {
        // Nothing panics half-way through a change of the map.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

/// Makes room for a room; false when there are people in all of them.
fn drop_oldest_idle(by_name: &mut HashMap<Box<str>, Entry>) -> bool {
    let idle = by_name.iter().filter(|(_, entry)| entry.visits == 0);
    let oldest = idle.min_by_key(|(_, entry)| entry.left_at).map(|(name, _)| name.clone());
    oldest.is_some_and(|name| by_name.remove(&name).is_some())
}

/// Why there is no place for a page.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum NoPlace {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("There are too many rooms. Try again later.")]
    TooManyRooms,
    #[error("This room is full. Try again later.")]
    RoomFull,
}

impl NoPlace {
    /// By this code the page asks its reader for another room or another name, or waits.
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::Invalid(Invalid::Room) => CloseCode::NOT_FOUND,
            Self::Invalid(_) => CloseCode::BAD_REQUEST,
            Self::TooManyRooms | Self::RoomFull => CloseCode::TRY_AGAIN,
        }
    }
}

/// One page's place in a room.
pub(crate) struct Visit {
    me: u64,
    room: Arc<ChatRoom>,
    rooms: Rooms,
}

impl Visit {
    /// Welcomes a page, and announces its reader.
    pub(crate) async fn enter(&self, page: &Page, name: Name) -> Result<(), NoPlace> {
        let mut inside = self.room.inside.lock().await;
        if inside.people.len() >= PEOPLE_MAX {
            return Err(NoPlace::RoomFull);
        }
        inside.people.insert(self.me, name.clone());
        let welcome = Welcome {
            you: self.me,
            people: inside.people.iter().map(|(id, name)| Person { id: *id, name: name.clone() }).collect(),
            history: inside.history.iter().cloned().collect(),
            limits: LIMITS,
        };
        // Through the hub, which waits for no page: everybody else is waiting for the lock.
        page.hub().contract::<Chat>().connection(page.id(), Chat::welcome(welcome)).await;
        self.tell_others(page, Chat::joined(Person { id: self.me, name })).await;
        Ok(())
    }

    /// Posts to everyone, the author included. A post that is here already is not repeated.
    pub(crate) async fn say(&self, page: &Page, key: String, text: Text) -> Result<Post, Invalid> {
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(Invalid::Key);
        }
        let mut inside = self.room.inside.lock().await;
        if let Some(post) = inside.history.iter().find(|post| post.key == key) {
            return Ok(post.clone());
        }
        let name = inside.people.get(&self.me).cloned().expect("a page leaves after its last call");
        let id = next_id();
        let post = Post { id, key, author: Person { id: self.me, name }, text, at: id / 1000 };
        if inside.history.len() == LIMITS.history {
            inside.history.pop_front();
        }
        inside.history.push_back(post.clone());
        page.room().push(Chat::said(post.clone())).await;
        Ok(post)
    }

    /// Changes a name and tells everyone, its owner included.
    pub(crate) async fn rename(&self, page: &Page, name: Name) {
        let mut inside = self.room.inside.lock().await;
        inside.people.insert(self.me, name.clone());
        page.room().push(Chat::renamed(Person { id: self.me, name })).await;
    }

    pub(crate) async fn typing(&self, page: &Page) {
        self.tell_others(page, Chat::is_typing(self.me)).await;
    }

    pub(crate) async fn leave(&self, page: &Page) {
        let mut inside = self.room.inside.lock().await;
        inside.people.remove(&self.me);
        self.tell_others(page, Chat::left(self.me)).await;
    }

    async fn tell_others(&self, page: &Page, push: Push<Chat>) {
        page.room().push(push).except(page.id()).await;
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("me", &self.me).field("room", &self.room.name).finish()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut by_name = self.rooms.lock();
        let Some(entry) = by_name.get_mut(&self.room.name) else { return };
        entry.visits -= 1;
        entry.left_at = next_id();
        // A room in which nothing was said is not worth a place.
        let forgettable = self.room.inside.try_lock().is_ok_and(|inside| inside.history.is_empty());
        if entry.visits == 0 && forgettable {
            by_name.remove(&self.room.name);
        }
    }
}

/// Ids are the time in microseconds, counted on where two would be equal: they rise, and those of a server
/// that was restarted do not collide with those of the one before. JavaScript counts to 2^53 without
/// error, which lasts until the year 2255.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    // Relaxed: only the counter itself is shared.
    let last = LAST.fetch_update(Relaxed, Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}
