//! What is true or false of a connection, in one byte of it.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// Something that may be true.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Fact {
    /// Nothing more will be received.
    Cancelled = 1,
    /// Its handler is to be dropped.
    Killed = 2,
    /// The handler's normal return does not close it.
    KeptOpen = 4,
    /// Its owner was asked for a turn.
    Scheduled = 8,
    /// It is not known yet who is there.
    Undecided = 16,
    /// Its user is another than its timers know of.
    UserChanged = 32,
}

/// All of them, false at first.
#[derive(Debug, Default)]
pub(super) struct Facts(AtomicU8);

impl Facts {
    pub(super) fn is(&self, fact: Fact) -> bool {
        self.0.load(SeqCst) & fact as u8 != 0
    }

    /// Whether it was false until now.
    pub(super) fn set(&self, fact: Fact) -> bool {
        self.0.fetch_or(fact as u8, SeqCst) & fact as u8 == 0
    }

    pub(super) fn clear(&self, fact: Fact) {
        self.0.fetch_and(!(fact as u8), SeqCst);
    }
}
