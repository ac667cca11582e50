//! The rooms: who is in them, and what was said last.
//!
//! The hub delivers; this is what a page that comes in has to be told. Everything here has a bound: rooms,
//! people in a room, and posts kept. A room with nobody in it keeps its posts until its place is needed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use wirelark::{Close, CloseCode, ConnectionId, Hub, JsonSocket, Room};

use crate::protocol::{FromPage, Invalid, LIMITS, Name, Person, Post, RoomInfo, Text, ToPage, check_room};

/// Rooms that are remembered, with people or without: at most 20 MB of posts in all.
const ROOMS_MAX: usize = 100;
/// People in one room.
const PEOPLE_MAX: usize = 200;
/// Bytes of the key a page gives a post.
const KEY_BYTES_MAX: usize = 64;

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
    receivers: Room,
    // Held while a change is published and while a welcome is queued: what a page is told on arrival and
    // what it is told afterwards then join without a gap. An async lock, because publishing may wait.
    inside: tokio::sync::Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    people: BTreeMap<u64, Name>,
    history: VecDeque<Post>,
}

impl Rooms {
    /// A place in a room, until it is dropped.
    pub(crate) fn visit(&self, name: &str, hub: &Hub) -> wirelark::Result<Visit> {
        check_room(name).map_err(crate::refuse)?;
        let mut by_name = self.lock();
        if !by_name.contains_key(name) {
            if by_name.len() >= ROOMS_MAX && !drop_oldest_idle(&mut by_name) {
                return Err(full("There are too many rooms. Try again later.").into());
            }
            let room = ChatRoom { name: name.into(), receivers: hub.room(name)?, inside: Default::default() };
            by_name.insert(name.into(), Entry { room: Arc::new(room), visits: 0, left_at: 0 });
        }
        let entry = by_name.get_mut(name).expect("it was there or has just been added");
        entry.visits += 1;
        Ok(Visit { room: Arc::clone(&entry.room), rooms: self.clone() })
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

/// One connection's place in a room.
pub(crate) struct Visit {
    room: Arc<ChatRoom>,
    rooms: Rooms,
}

impl Visit {
    /// Welcomes a page and announces its reader, whose id it returns.
    pub(crate) async fn enter(
        &self,
        socket: &JsonSocket<FromPage, ToPage>,
        name: Name,
    ) -> wirelark::Result<u64> {
        let mut inside = self.room.inside.lock().await;
        if inside.people.len() >= PEOPLE_MAX {
            return Err(full("This room is full. Try again later.").into());
        }
        let me = Person { id: next_id(), name };
        let others = inside.people.iter().map(|(id, name)| Person { id: *id, name: name.clone() });
        let welcome = ToPage::Welcome {
            you: me.id,
            people: others.chain([me.clone()]).collect(),
            history: inside.history.iter().cloned().collect(),
            limits: LIMITS,
        };
        let connection = socket.socket().id();
        self.room.receivers.join(connection);
        // Before the name is on the list: if this fails there is nothing to take back.
        socket.send(&welcome).await?;
        inside.people.insert(me.id, me.name.clone());
        self.tell(&ToPage::Joined { person: me.clone() }, Some(connection)).await;
        Ok(me.id)
    }

    /// Posts to everyone, the author included: that is the receipt. A post that is here already is not
    /// repeated; its receipt is returned.
    pub(crate) async fn say(&self, me: u64, key: &str, text: &str) -> Result<Option<ToPage>, Invalid> {
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(Invalid::Key);
        }
        let text = Text::try_from(text)?;
        let mut inside = self.room.inside.lock().await;
        if let Some(post) = inside.history.iter().find(|post| post.key == key) {
            return Ok(Some(ToPage::Said { post: post.clone() }));
        }
        let Some(name) = inside.people.get(&me).cloned() else { return Ok(None) };
        let id = next_id();
        let post = Post { id, key: key.into(), author: Person { id: me, name }, text, at: id / 1000 };
        if inside.history.len() == LIMITS.history {
            inside.history.pop_front();
        }
        inside.history.push_back(post.clone());
        self.tell(&ToPage::Said { post }, None).await;
        Ok(None)
    }

    /// Changes a name and tells everyone, its owner included: that is the owner's answer.
    pub(crate) async fn rename(&self, me: u64, name: &str) -> Result<(), Invalid> {
        let person = Person { id: me, name: name.try_into()? };
        let mut inside = self.room.inside.lock().await;
        inside.people.insert(me, person.name.clone());
        self.tell(&ToPage::Renamed { person }, None).await;
        Ok(())
    }

    pub(crate) async fn typing(&self, me: u64, connection: ConnectionId) {
        self.tell(&ToPage::Typing { id: me }, Some(connection)).await;
    }

    pub(crate) async fn leave(&self, me: u64) {
        let mut inside = self.room.inside.lock().await;
        inside.people.remove(&me);
        self.tell(&ToPage::Left { id: me }, None).await;
    }

    async fn tell(&self, message: &ToPage, except: Option<ConnectionId>) {
        let json = serde_json::to_string(message).expect("names, texts and numbers can always be JSON");
        self.room.receivers.publish(json).except_all(except).await;
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

fn full(reason: &str) -> Close {
    Close::new(CloseCode::TRY_AGAIN, reason)
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
