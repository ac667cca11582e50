//! How others reach a shard.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use wirelark_proto::CloseFrame;

use super::RoomName;
use super::delivery::{Delivered, Target};
use crate::connection::{ConflationKey, Connection, ConnectionId};
use crate::shared_frame::SharedFrame;

/// Bytes of messages that may wait for a shard. Their senders wait beyond it; joins, leaves and closes do
/// not count, as there are at most a few per connection.
const MAILBOX_BYTES: usize = 4 * 1024 * 1024;

/// What a message costs beside its bytes.
const MAIL_OVERHEAD_BYTES: usize = 128;

#[derive(Debug)]
pub(crate) enum Mail {
    /// A connection is there; with its driver if the shard is to poll it.
    Register {
        connection: Arc<Connection>,
        driver: Option<Turns>,
    },
    Forget {
        connection: ConnectionId,
    },
    Join {
        room: RoomName,
        connection: ConnectionId,
    },
    Leave {
        room: RoomName,
        connection: ConnectionId,
    },
    Deliver(Deliver),
    /// News of a room for its watchers, who may be of other shards too: each gets all frames, in order. The answer is who
    /// had no room for all of them.
    News {
        to: Arc<[ConnectionId]>,
        frames: Arc<[Arc<SharedFrame>]>,
        reply: oneshot::Sender<Vec<ConnectionId>>,
    },
    Members {
        room: RoomName,
        reply: oneshot::Sender<Vec<ConnectionId>>,
    },
    /// Closes some connections, or all. It may name connections of other shards too.
    Close {
        connections: Option<Arc<[ConnectionId]>>,
        frame: CloseFrame,
        reply: Option<oneshot::Sender<usize>>,
    },
    /// Drops all connections.
    Abort,
}

/// The driver of a connection that has no task of its own.
pub(crate) struct Turns(pub(crate) Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

/// A message for connections of one shard.
#[derive(Debug)]
pub(crate) struct Deliver {
    pub(crate) target: Target,
    pub(crate) except: Option<Arc<[ConnectionId]>>,
    pub(crate) frame: Arc<SharedFrame>,
    pub(crate) reply: Option<oneshot::Sender<Delivered>>,
}

impl Deliver {
    pub(crate) fn key(&self) -> Option<ConflationKey> {
        match self.target {
            Target::Room { key, .. } => key,
            Target::Connection(_)
            | Target::Connections(_)
            | Target::Contract(_)
            | Target::Routes(_)
            | Target::Everyone => None,
        }
    }

    pub(crate) fn leaves_out(&self, connection: ConnectionId) -> bool {
        self.except.as_ref().is_some_and(|except| except.contains(&connection))
    }

    fn bytes(&self) -> usize {
        let named = match &self.target {
            Target::Connections(ids) => size_of_val(&**ids),
            _ => 0,
        };
        self.frame.len() + named + MAIL_OVERHEAD_BYTES
    }
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    queue: Mutex<VecDeque<Mail>>,
    bytes: AtomicUsize,
    arrived: Notify,
    emptied: Notify,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            bytes: AtomicUsize::new(0),
            arrived: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Adds mail. The bound on messages is kept by whoever sends them, see [`is_full`](Self::is_full).
    pub(crate) fn put(&self, mail: Mail) {
        if let Mail::Deliver(deliver) = &mail {
            self.bytes.fetch_add(deliver.bytes(), Relaxed);
        }
        let mut queue = self.queue.lock();
        queue.push_back(mail);
        // One wake-up for all mail that comes before the shard looks.
        if queue.len() == 1 {
            self.arrived.notify_one();
        }
    }

    /// Whether messages must wait. Several senders may see room for one at the same time: the bound can be
    /// passed by one message for each of them.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Relaxed) >= MAILBOX_BYTES
    }

    /// Waits until the shard has emptied its mailbox.
    pub(crate) async fn emptied(&self) {
        let emptied = self.emptied.notified();
        if self.is_full() {
            emptied.await;
        }
    }

    /// Everything that waits, in exchange for an empty queue.
    pub(crate) fn take(&self, empty: &mut VecDeque<Mail>) {
        std::mem::swap(&mut *self.queue.lock(), empty);
        self.bytes.store(0, Relaxed);
        self.emptied.notify_waiters();
    }

    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
