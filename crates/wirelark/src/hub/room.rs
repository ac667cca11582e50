//! Rooms: which shards have members of which room.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;

/// Locks the rooms are spread over; publishes to different rooms seldom meet.
const STRIPES: usize = 64;

/// The name of a room: 1 to 256 characters, none of them a control character. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name no room can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a room name has 1 to 256 characters and no control characters, unlike {0:?}")]
pub struct InvalidRoom(String);

impl From<std::convert::Infallible> for InvalidRoom {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl TryFrom<&str> for RoomName {
    type Error = InvalidRoom;

    fn try_from(name: &str) -> Result<Self, InvalidRoom> {
        let length_fits = name.len() <= 1024 && (1..=256).contains(&name.chars().count());
        if length_fits && !name.chars().any(char::is_control) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRoom(name.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for RoomName {
    type Error = InvalidRoom;

    fn try_from(name: String) -> Result<Self, InvalidRoom> {
        name.as_str().try_into()
    }
}

impl TryFrom<&String> for RoomName {
    type Error = InvalidRoom;

    fn try_from(name: &String) -> Result<Self, InvalidRoom> {
        name.as_str().try_into()
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Members of one room by shard. Who they are is known to the shards alone.
#[derive(Debug)]
struct Members {
    by_shard: Box<[u32]>,
    total: usize,
}

#[derive(Debug)]
pub(crate) struct Rooms {
    stripes: Box<[Mutex<HashMap<RoomName, Members>>]>,
    hasher: RandomState,
    shards: usize,
}

impl Rooms {
    pub(crate) fn new(shards: usize) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::new(HashMap::new())).collect();
        Self { stripes, hasher: RandomState::new(), shards }
    }

    /// Counts a member in; `mail` runs under the stripe's lock.
    pub(crate) fn join(&self, room: &RoomName, shard: usize, mail: impl FnOnce()) -> usize {
        let mut stripe = self.stripe(room).lock();
        let members = stripe
            .entry(room.clone())
            .or_insert_with(|| Members { by_shard: vec![0; self.shards].into(), total: 0 });
        members.by_shard[shard] += 1;
        members.total += 1;
        mail();
        members.total
    }

    /// Counts a member out; `mail` runs under the stripe's lock. An empty room is freed.
    pub(crate) fn leave(&self, room: &RoomName, shard: usize, mail: impl FnOnce()) -> usize {
        let mut stripe = self.stripe(room).lock();
        let Some(members) = stripe.get_mut(room) else { return 0 };
        members.by_shard[shard] -= 1;
        members.total -= 1;
        mail();
        let total = members.total;
        if total == 0 {
            stripe.remove(room);
            if stripe.capacity() > 64 && stripe.len() * 4 < stripe.capacity() {
                stripe.shrink_to_fit();
            }
        }
        total
    }

    /// Runs `mail` for the shards that have members, all under the stripe's lock.
    pub(crate) fn with_shards<R>(
        &self,
        room: &RoomName,
        mail: impl FnOnce(&mut dyn Iterator<Item = usize>) -> R,
    ) -> R {
        let stripe = self.stripe(room).lock();
        let counts = stripe.get(room).map_or(&[][..], |members| &members.by_shard);
        mail(&mut counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(shard, _)| shard))
    }

    pub(crate) fn shards_with_members(&self, room: &RoomName) -> Vec<usize> {
        self.with_shards(room, |shards| shards.collect())
    }

    pub(crate) fn count(&self, room: &RoomName) -> usize {
        self.stripe(room).lock().get(room).map_or(0, |members| members.total)
    }

    pub(crate) fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    fn stripe(&self, room: &RoomName) -> &Mutex<HashMap<RoomName, Members>> {
        &self.stripes[self.hasher.hash_one(room) as usize % STRIPES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "lobby", "ünï", &"x".repeat(256)] {
            assert_eq!(RoomName::try_from(good).expect("a good name").as_str(), good);
        }
        for bad in ["", "a\nb", "\u{7f}", &"x".repeat(257)] {
            RoomName::try_from(bad).expect_err("a bad name");
        }
    }

    #[test]
    fn an_empty_room_is_freed() {
        let rooms = Rooms::new(2);
        let name = RoomName::try_from("r").expect("a good name");
        assert_eq!((rooms.join(&name, 0, || ()), rooms.join(&name, 1, || ())), (1, 2));
        assert_eq!((rooms.leave(&name, 0, || ()), rooms.shards_with_members(&name)), (1, vec![1]));
        assert_eq!((rooms.leave(&name, 1, || ()), rooms.len()), (0, 0));
    }
}
