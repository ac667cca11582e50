//! A queue that owns nothing while it is empty.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::thread::LocalKey;

/// Spare queues kept per thread and kind, and the largest one worth keeping (in items).
const SPARES_MAX: usize = 64;
const SPARE_ITEMS_MAX: usize = 256;

pub(crate) type Spares<T> = RefCell<Vec<Box<VecDeque<T>>>>;

/// What can wait in a [`LazyQueue`]: knows where its thread keeps empty queues.
pub(crate) trait Item: Sized + 'static {
    fn spares() -> &'static LocalKey<Spares<Self>>;
}

/// One word while it is empty. Its first item borrows a queue from the thread, its last one gives it back,
/// so that a burst allocates nothing and a connection at rest keeps nothing.
#[derive(Debug)]
#[allow(clippy::box_collection, reason = "one word in every connection at rest, where a queue would be four")]
pub(crate) struct LazyQueue<T: Item>(Option<Box<VecDeque<T>>>);

impl<T: Item> LazyQueue<T> {
    const EMPTY: &'static VecDeque<T> = &VecDeque::new();

    pub(crate) fn push_back(&mut self, item: T) {
        let borrow = || T::spares().with_borrow_mut(Vec::pop).unwrap_or_default();
        self.0.get_or_insert_with(borrow).push_back(item);
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let item = self.0.as_mut()?.pop_front();
        self.rest_if_empty();
        item
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(queue) = &mut self.0 {
            queue.retain(keep);
        }
        self.rest_if_empty();
    }

    pub(crate) fn back_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()?.back_mut()
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.as_mut()?.get_mut(index)
    }

    pub(crate) fn clear(&mut self) {
        if let Some(queue) = &mut self.0 {
            queue.clear();
        }
        self.rest_if_empty();
    }

    fn rest_if_empty(&mut self) {
        let Some(queue) = self.0.take_if(|queue| queue.is_empty()) else { return };
        if queue.capacity() <= SPARE_ITEMS_MAX {
            T::spares().with_borrow_mut(|spares| {
                if spares.len() < SPARES_MAX {
                    spares.push(queue);
                }
            });
        }
    }
}

impl<T: Item> Default for LazyQueue<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Item> Deref for LazyQueue<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        self.0.as_deref().unwrap_or(Self::EMPTY)
    }
}
