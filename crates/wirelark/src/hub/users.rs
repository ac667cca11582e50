//! Which connections are whose.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

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
    pub(super) fn enter(&self, user: &str, connection: ConnectionId) {
        self.stripe(user).lock().entry(user.into()).or_default().push(connection);
    }

    pub(super) fn leave(&self, user: &str, connection: ConnectionId) {
        let mut stripe = self.stripe(user).lock();
        let Some(connections) = stripe.get_mut(user) else { return };
        connections.retain(|other| *other != connection);
        if connections.is_empty() {
            stripe.remove(user);
        }
    }

    pub(super) fn list(&self, user: &str) -> Arc<[ConnectionId]> {
        self.stripe(user)
            .lock()
            .get(user)
            .map(|connections| connections.as_slice().into())
            .unwrap_or_default()
    }

    fn stripe(&self, user: &str) -> &Mutex<ByUser> {
        &self.stripes[self.hasher.hash_one(user) as usize % STRIPES]
    }
}
