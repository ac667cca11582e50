//! The name of a connection inside one process.

use std::fmt;

/// Names one connection on this node: shard, generation and slot in 64 bits.
///
/// An id outlives its connection: whatever is sent to it afterwards misses, because the slot's next user
/// has another generation. It is unique within a process, not across nodes or restarts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    const SLOT_BITS: u32 = 24;
    const GENERATION_BITS: u32 = 32;

    /// Connections one shard can hold: 16.7 million.
    pub(crate) const SLOTS_MAX: u32 = 1 << Self::SLOT_BITS;

    pub(crate) fn new(shard: u8, generation: u32, slot: u32) -> Self {
        debug_assert!(slot < Self::SLOTS_MAX);
        let shard = u64::from(shard) << (Self::SLOT_BITS + Self::GENERATION_BITS);
        Self(shard | u64::from(generation) << Self::SLOT_BITS | u64::from(slot))
    }

    /// The id as a number, for those who hand it back.
    pub(crate) fn token(self) -> u64 {
        self.0
    }

    pub(crate) fn from_token(token: u64) -> Self {
        Self(token)
    }

    pub(crate) fn shard(self) -> usize {
        (self.0 >> (Self::SLOT_BITS + Self::GENERATION_BITS)) as usize
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> Self::SLOT_BITS) as u32
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 as u32 & (Self::SLOTS_MAX - 1)) as usize
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_back() {
        for (shard, generation, slot) in [(0, 0, 0), (255, u32::MAX, (1 << 24) - 1), (3, 9, 77)] {
            let id = ConnectionId::new(shard, generation, slot);
            assert_eq!((id.shard(), id.generation(), id.slot()), (shard.into(), generation, slot as usize));
        }
    }
}
