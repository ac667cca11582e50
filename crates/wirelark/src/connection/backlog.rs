//! What an outbox knows about its frames once a client is behind: which may be replaced, and which dropped.
//!
//! It is made when something must first be replaced or dropped, and forgotten when the outbox is empty again.
//! Each question is answered in constant time, however long the queue is.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::outbox::{Class, ConflationKey};

/// Positions are counted from the first frame of the queue when the backlog was made, so that frames that leave at
/// the front move none of them.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    removed: u64,
    keys: HashMap<ConflationKey, u64>,
    /// Frames that may be dropped, oldest first. Those that have left meanwhile are passed over.
    droppable: VecDeque<u64>,
    /// When a sampled push was last queued.
    sampled: Vec<(u16, Instant)>,
}

impl Backlog {
    /// The backlog of a queue with these frames in it.
    pub(super) fn of<'a>(classes: impl Iterator<Item = &'a Class>) -> Self {
        let mut backlog = Self::default();
        backlog.index(classes);
        backlog
    }

    /// Begins to count anew, after frames were taken out of the middle.
    pub(super) fn index<'a>(&mut self, classes: impl Iterator<Item = &'a Class>) {
        self.removed = 0;
        self.keys.clear();
        self.droppable.clear();
        for (index, class) in classes.enumerate() {
            self.pushed(index, class);
        }
    }

    /// A frame is now at `index` of the queue, its last.
    pub(super) fn pushed(&mut self, index: usize, class: &Class) {
        let Class::Data(treatment) = class else { return };
        let position = self.removed + index as u64;
        if let Some(key) = treatment.key {
            self.keys.insert(key, position);
        }
        if treatment.droppable {
            self.droppable.push_back(position);
        }
    }

    /// The frame at the front left.
    pub(super) fn popped(&mut self, class: &Class) {
        self.forget_key(class, self.removed);
        self.removed += 1;
    }

    /// The index of the frame that waits under `key`.
    pub(super) fn waiting(&self, key: ConflationKey) -> Option<usize> {
        self.keys.get(&key).map(|position| (position - self.removed) as usize)
    }

    /// The index of the oldest frame from `first` on that may be dropped. It is not named again.
    pub(super) fn oldest_droppable(&mut self, first: usize) -> Option<usize> {
        let first = self.removed + first as u64;
        while let Some(position) = self.droppable.pop_front() {
            if position >= first {
                return Some((position - self.removed) as usize);
            }
        }
        None
    }

    /// The frame at `index` was dropped.
    pub(super) fn dropped(&mut self, index: usize, class: &Class) {
        self.forget_key(class, self.removed + index as u64);
    }

    fn forget_key(&mut self, class: &Class, position: u64) {
        if let Class::Data(treatment) = class
            && let Some(key) = treatment.key
            && self.keys.get(&key) == Some(&position)
        {
            self.keys.remove(&key);
        }
    }

    /// Whether a push that is sampled once in `interval` may be queued now. If so, its time begins anew.
    pub(super) fn take_sample(&mut self, push: u16, interval: Duration, now: Instant) -> bool {
        match self.sampled.iter_mut().find(|(of, _)| *of == push) {
            Some((_, last)) if now < *last + interval => false,
            Some((_, last)) => {
                *last = now;
                true
            }
            None => {
                self.sampled.push((push, now));
                true
            }
        }
    }
}
