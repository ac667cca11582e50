//! Which connections are whose.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::connection::ConnectionId;

/// Locks the users are spread over.
const STRIPES: usize = 64;

/// Most users have one device or two.
type Connections = SmallVec<[ConnectionId; 2]>;
type ByUser = HashMap<Box<str>, Connections>;

pub(super) struct Users {
    stripes: Box<[Mutex<ByUser>]>,
    hasher: RandomState,
}

impl Default for Users {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Users {
    /// A connection is its user's from now on; `mail` runs under the stripe's lock.
    pub(super) fn enter(&self, user: &str, connection: ConnectionId, mail: impl FnOnce()) {
        let mut stripe = self.stripe(user).lock();
        stripe.entry(user.into()).or_default().push(connection);
        mail();
    }

    pub(super) fn leave(&self, user: &str, connection: ConnectionId) {
        let mut stripe = self.stripe(user).lock();
        let Some(connections) = stripe.get_mut(user) else { return };
        connections.retain(|other| *other != connection);
        if connections.is_empty() {
            stripe.remove(user);
        }
    }

    /// Adds the connections of a user to a list, and says how many those are.
    pub(super) fn list(&self, user: &str, list: &mut Vec<ConnectionId>) -> usize {
        let stripe = self.stripe(user).lock();
        let connections = stripe.get(user).map_or(&[][..], |connections| connections);
        list.extend_from_slice(connections);
        connections.len()
    }

    pub(super) fn count(&self, user: &str) -> usize {
        self.stripe(user).lock().get(user).map_or(0, |connections| connections.len())
    }

    fn stripe(&self, user: &str) -> &Mutex<ByUser> {
        &self.stripes[self.hasher.hash_one(user) as usize % STRIPES]
    }
}
