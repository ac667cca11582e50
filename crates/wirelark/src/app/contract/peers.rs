//! Who is where: the sessions of each path of a route.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use parking_lot::Mutex;

use super::session::{Inner, Session};
use crate::connection::ConnectionId;
use crate::hub::RoomName;

/// The sessions of one route, path by path, in the order they came. A path without sessions takes no memory.
pub(super) struct Place<C, D> {
    paths: Mutex<Paths<C, D>>,
}

struct Paths<C, D> {
    by_room: HashMap<RoomName, BTreeMap<NonZeroU64, Arc<Inner<C, D>>>>,
    next: NonZeroU64,
}

impl<C: 'static, D: Send + Sync + 'static> Place<C, D> {
    pub(super) fn new() -> Self {
        Self { paths: Mutex::new(Paths { by_room: HashMap::new(), next: NonZeroU64::MIN }) }
    }

    /// The name of a path, shared by all who are there.
    pub(super) fn name(&self, room: RoomName) -> RoomName {
        let paths = self.paths.lock();
        paths.by_room.get_key_value(&room).map_or(room, |(shared, _)| shared.clone())
    }

    fn enter(&self, inner: &Arc<Inner<C, D>>) -> NonZeroU64 {
        let mut paths = self.paths.lock();
        let order = paths.next;
        paths.next = order.saturating_add(1);
        paths.by_room.entry(inner.room.clone()).or_default().insert(order, Arc::clone(inner));
        order
    }

    fn leave(&self, room: &RoomName, order: NonZeroU64) {
        let mut paths = self.paths.lock();
        let Some(sessions) = paths.by_room.get_mut(room) else { return };
        sessions.remove(&order);
        if sessions.is_empty() {
            paths.by_room.remove(room);
        }
    }

    fn list(&self, room: &RoomName) -> Vec<Arc<Inner<C, D>>> {
        self.paths
            .lock()
            .by_room
            .get(room)
            .map_or_else(Vec::new, |sessions| sessions.values().cloned().collect())
    }

    fn count(&self, room: &RoomName) -> usize {
        self.paths.lock().by_room.get(room).map_or(0, BTreeMap::len)
    }
}

/// A session that, once it has begun, is there: in its room and among its peers. Until it is dropped.
pub(super) struct Attendance<C: 'static, D: Send + Sync + 'static> {
    inner: Arc<Inner<C, D>>,
    /// Its place among its peers.
    order: Option<NonZeroU64>,
}

impl<C: 'static, D: Send + Sync + 'static> Attendance<C, D> {
    pub(super) fn of(session: Session<C, D>) -> Self {
        Self { inner: session.into_inner(), order: None }
    }

    pub(super) fn begin(&mut self) {
        let inner = &self.inner;
        // Who may be here was decided before there was a session.
        inner.hub.enter(&inner.room, inner.connection.id);
        self.order = Some(inner.place.enter(inner));
    }

    pub(super) fn inner(&self) -> &Arc<Inner<C, D>> {
        &self.inner
    }

    pub(super) fn session(&self) -> Session<C, D> {
        Session::from_inner(Arc::clone(&self.inner))
    }
}

impl<C: 'static, D: Send + Sync + 'static> Drop for Attendance<C, D> {
    /// The rooms are left with the connection.
    fn drop(&mut self) {
        let Some(order) = self.order else { return };
        self.inner.place.leave(&self.inner.room, order);
    }
}

/// The sessions of one path; see [`Session::peers`]. Each method looks anew.
pub struct Peers<C, D> {
    of: Session<C, D>,
    except: Option<ConnectionId>,
}

impl<C: 'static, D: Send + Sync + 'static> Peers<C, D> {
    pub(super) fn new(of: &Session<C, D>) -> Self {
        Self { of: of.clone(), except: None }
    }

    /// Without the session that asked.
    #[must_use]
    pub fn except_self(mut self) -> Self {
        self.except = Some(self.of.id());
        self
    }

    /// The sessions, in the order they came.
    pub fn list(&self) -> Vec<Session<C, D>> {
        let inner = self.of.inner();
        let sessions = inner.place.list(&inner.room).into_iter().map(Session::from_inner);
        sessions.filter(|session| Some(session.id()) != self.except).collect()
    }

    /// What `of` makes of each session, in the order they came.
    pub fn map<R>(&self, of: impl FnMut(&Session<C, D>) -> R) -> Vec<R> {
        self.list().iter().map(of).collect()
    }

    /// The sessions that `keep` is true for, in the order they came.
    pub fn with(&self, mut keep: impl FnMut(&Session<C, D>) -> bool) -> Vec<Session<C, D>> {
        let mut sessions = self.list();
        sessions.retain(|session| keep(session));
        sessions
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self.except {
            None => self.of.inner().place.count(&self.of.inner().room),
            Some(_) => self.list().len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl<C, D> fmt::Debug for Peers<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("of", &self.of).finish_non_exhaustive()
    }
}
