//! Who is told of what. Listeners run one after the other on the client's task, and under no lock but their own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use wirelark_proto::contract::{Body, DecodeError, Format};

use crate::call::absent;
use crate::report::{ReportKind, Reports, panic_text};
use crate::status::Status;

/// What is called for each push of a name.
pub(crate) type OnPush = dyn FnMut(Pushed<'_>) -> Result<Heard, DecodeError> + Send;

/// What is called for each status.
pub(crate) type OnStatus = dyn FnMut(Status) + Send;

/// What a listener makes of a push.
pub(crate) enum Heard {
    /// It wants more.
    More,
    /// It has what it wanted.
    Enough,
    /// It wants more, and had to drop one to make room for this.
    Lagged,
}

/// The body of a push: absent where the server had nothing to say.
#[derive(Clone, Copy)]
pub(crate) struct Pushed<'a> {
    pub(crate) format: Format,
    pub(crate) body: Option<Body<'a>>,
}

impl Pushed<'_> {
    pub(crate) fn decode<T: DeserializeOwned>(self) -> Result<T, DecodeError> {
        self.body.map_or_else(|| absent(self.format), Body::decode)
    }
}

/// Listeners with what they listen to. A list: a client has few, and their order is that in which they came.
pub(crate) struct Listeners<K, H: ?Sized> {
    entries: Mutex<Entries<K, H>>,
}

struct Entries<K, H: ?Sized> {
    list: Vec<Entry<K, H>>,
    next_id: u64,
}

struct Entry<K, H: ?Sized> {
    id: u64,
    key: K,
    /// Whether it is of no use once the client is closed.
    until_closed: bool,
    /// Locked while it runs, so that it may change what it owns.
    handler: Arc<Mutex<H>>,
}

impl<K, H: ?Sized> Default for Listeners<K, H> {
    fn default() -> Self {
        Self { entries: Mutex::new(Entries { list: Vec::new(), next_id: 0 }) }
    }
}

impl<K: Send + 'static, H: ?Sized + Send + 'static> Listeners<K, H> {
    pub(crate) fn add(self: &Arc<Self>, key: K, until_closed: bool, handler: Arc<Mutex<H>>) -> Subscription {
        let id = {
            let mut entries = self.entries.lock();
            let id = entries.next_id;
            entries.next_id += 1;
            entries.list.push(Entry { id, key, until_closed, handler });
            id
        };
        let listeners = Arc::downgrade(self);
        Subscription(Some(Box::new(move || {
            if let Some(listeners) = listeners.upgrade() {
                listeners.remove(id);
            }
        })))
    }

    fn remove(&self, id: u64) {
        let mut entries = self.entries.lock();
        let removed = entries.list.iter().position(|entry| entry.id == id).map(|at| entries.list.remove(at));
        drop(entries);
        // Only here: what a handler owns may be dropped with it, and may well have listeners of its own.
        drop(removed);
    }

    /// Lets go of those that wait for what cannot come any more.
    pub(crate) fn end(&self) {
        let mut entries = self.entries.lock();
        let (ended, kept) =
            std::mem::take(&mut entries.list).into_iter().partition(|entry| entry.until_closed);
        entries.list = kept;
        drop(entries);
        let ended: Vec<_> = ended;
        drop(ended);
    }

    /// A copy of those that listen now, so that each may come and go while the others run.
    fn of(&self, is: impl Fn(&K) -> bool) -> Vec<(u64, Arc<Mutex<H>>)> {
        let entries = self.entries.lock();
        let of = entries.list.iter().filter(|entry| is(&entry.key));
        of.map(|entry| (entry.id, Arc::clone(&entry.handler))).collect()
    }
}

impl Listeners<Box<str>, OnPush> {
    /// Hands a push to everybody who listens to its name. Whether anybody does is not the server's business.
    pub(crate) fn push(&self, name: &str, pushed: Pushed<'_>, reports: &Reports) {
        for (id, handler) in self.of(|key| **key == *name) {
            match catch_unwind(AssertUnwindSafe(|| (handler.lock())(pushed))) {
                Ok(Ok(Heard::More)) => {}
                Ok(Ok(Heard::Enough)) => self.remove(id),
                Ok(Ok(Heard::Lagged)) => {
                    reports.send(ReportKind::Lagged, Some(name), &"the oldest push was dropped");
                }
                Ok(Err(error)) => reports.send(ReportKind::InvalidPush, Some(name), &error),
                Err(panic) => reports.send(ReportKind::Listener, Some(name), &panic_text(&*panic)),
            }
        }
    }
}

impl Listeners<(), OnStatus> {
    pub(crate) fn status(&self, status: Status, reports: &Reports) {
        for (_, handler) in self.of(|()| true) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (handler.lock())(status))) {
                reports.send(ReportKind::Listener, None, &panic_text(&*panic));
            }
        }
    }
}

/// A listener that listens. Dropped, it does not any more; what is being handed out at that moment may still reach
/// it.
#[must_use = "a listener is gone when its subscription is dropped: keep it, or `detach` it"]
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Subscription {
    /// Listens for as long as there is a client.
    pub fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(unsubscribe) = self.0.take() {
            unsubscribe();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}
