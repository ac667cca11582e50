//! The node-wide bound on bytes that wait for slow clients and slow handlers.
//!
//! Every connection has its own bounds; their sum over many connections can still be more than a machine
//! has. Over the budget new connections are refused (503) and the connections that hold most are cut.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { used: AtomicUsize::new(0), bytes_max }
    }

    /// A connection that held `before` bytes now holds `after`.
    pub(crate) fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.used.fetch_add(after - before, Relaxed);
        } else {
            self.used.fetch_sub(before - after, Relaxed);
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.used() > self.bytes_max
    }
}
