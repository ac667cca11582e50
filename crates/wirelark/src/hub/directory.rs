//! The places of a shard: which slots are taken, and which rooms each connection is in.

use std::fmt;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use smallvec::SmallVec;

use super::{Hub, RoomName};
use crate::connection::ConnectionId;

#[derive(Debug, Default)]
pub(crate) struct Directory {
    shard: u8,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

/// A slot, and the rooms of the connection that has it.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    generation: u32,
    /// The connection is registered: before and after, it can join nothing.
    open: bool,
    /// Most connections are in one room, which then takes no memory of its own.
    pub(crate) rooms: SmallVec<[RoomName; 1]>,
    /// Rooms whose presence it takes part in; boxed, as most connections have none.
    #[allow(clippy::box_collection, reason = "one word in every connection, where a vector would be three")]
    pub(crate) attending: Option<Box<Vec<RoomName>>>,
}

/// What a connection that is going leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    pub(crate) rooms: SmallVec<[RoomName; 1]>,
    /// Rooms whose presence it takes part in.
    #[allow(clippy::box_collection, reason = "as the entry has it")]
    pub(crate) attending: Option<Box<Vec<RoomName>>>,
}

impl Directory {
    pub(crate) fn new(shard: u8) -> Self {
        Self { shard, slots: Mutex::default() }
    }

    /// Which shard's places these are.
    pub(crate) fn shard(&self) -> usize {
        self.shard.into()
    }

    /// Takes a slot. `None` when all are taken.
    pub(crate) fn reserve(&self, hub: Hub) -> Option<Reservation> {
        let mut slots = self.slots.lock();
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None => {
                let slot =
                    u32::try_from(slots.entries.len()).ok().filter(|slot| *slot < ConnectionId::SLOTS_MAX)?;
                slots.entries.push(Entry::default());
                slot
            }
        };
        let entry = &mut slots.entries[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        Some(Reservation { id: Some(ConnectionId::new(self.shard, entry.generation, slot)), hub })
    }

    /// The connection of a reserved slot is there.
    pub(crate) fn open(&self, id: ConnectionId) {
        if let Some(entry) = self.slots.lock().entry(id) {
            entry.open = true;
        }
    }

    /// The connection is going: its rooms, to be left, and no more can be joined.
    pub(crate) fn close(&self, id: ConnectionId) -> Closed {
        match self.slots.lock().entry(id) {
            Some(entry) => {
                entry.open = false;
                Closed { rooms: std::mem::take(&mut entry.rooms), attending: entry.attending.take() }
            }
            None => Closed::default(),
        }
    }

    /// The entry of a connection that is there.
    pub(crate) fn entry(&self, id: ConnectionId) -> Option<MappedMutexGuard<'_, Entry>> {
        MutexGuard::try_map(self.slots.lock(), |slots| slots.entry(id).filter(|entry| entry.open)).ok()
    }

    /// Frees a slot; ids of this generation miss from now on.
    pub(crate) fn release(&self, id: ConnectionId) {
        let mut slots = self.slots.lock();
        let Some(entry) = slots.entry(id) else { return };
        *entry = Entry { generation: entry.generation.wrapping_add(1), ..Entry::default() };
        slots.free.push(id.slot() as u32);
    }

    /// Slots taken.
    pub(crate) fn len(&self) -> usize {
        let slots = self.slots.lock();
        slots.entries.len() - slots.free.len()
    }
}

impl Slots {
    fn entry(&mut self, id: ConnectionId) -> Option<&mut Entry> {
        self.entries.get_mut(id.slot()).filter(|entry| entry.generation == id.generation())
    }
}

/// A place kept for a connection that is about to open; given back if it never does.
pub(crate) struct Reservation {
    id: Option<ConnectionId>,
    hub: Hub,
}

impl Reservation {
    pub(crate) fn id(&self) -> ConnectionId {
        self.id.expect("the id is there until the reservation is taken, by value")
    }

    /// Uses the place.
    pub(crate) fn take(mut self) -> ConnectionId {
        self.id.take().expect("a reservation is taken once, by value")
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.hub.inner.shards[id.shard()].directory.release(id);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reservation").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_misses_the_slots_next_user() {
        let hub = Hub::new(
            1,
            Default::default(),
            std::sync::Arc::new(crate::budget::Budget::new(1)),
            Default::default(),
        );
        let first = hub.reserve().expect("room for one").take();
        let directory = &hub.inner.shards[0].directory;
        assert!(directory.entry(first).is_none(), "a reserved place can join nothing");
        directory.open(first);
        assert!(directory.entry(first).is_some());
        directory.release(first);
        let second = hub.reserve().expect("room for one").take();
        assert_eq!(second.slot(), first.slot());
        directory.open(second);
        assert!(directory.entry(first).is_none() && directory.entry(second).is_some());
        directory.release(first);
        assert_eq!(directory.len(), 1, "releasing twice frees nobody else's slot");
    }

    #[test]
    fn a_reservation_that_is_dropped_gives_its_place_back() {
        let hub = Hub::new(
            1,
            Default::default(),
            std::sync::Arc::new(crate::budget::Budget::new(1)),
            Default::default(),
        );
        drop(hub.reserve());
        assert_eq!(hub.connection_count(), 0);
    }
}
