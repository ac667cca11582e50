//! Users: which connections are whose, and who is online.
//!
//! A user comes online with the first connection and goes offline a grace period after the last, so that a page that is
//! loaded anew, or a train in a tunnel, is neither. The app's hooks are called before the answer of
//! [`Users::is_online`] changes, and never under a lock. While one is called the user is in a state of its own
//! ([`Standing::Coming`], [`Standing::Going`], [`Standing::Returning`]), and whoever called it goes on from what has
//! become of the user meanwhile. So each change is told once, and those of a user one after the other.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::deadlines::{Deadline, Deadlines};
use crate::connection::ConnectionId;

/// Locks the users are spread over.
const STRIPES: usize = 64;

type ByUser = HashMap<Box<str>, Present>;

/// A user who has connections, or had some a moment ago. There is one of these for each user at rest, so it is counted in
/// words.
enum Present {
    Here {
        /// Most users have one device or two.
        connections: SmallVec<[ConnectionId; 2]>,
        standing: Standing,
    },
    /// Without a connection, and still online until the grace period is over.
    Away(Deadline),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The hook is being told that the user is online; not before it knows is that true.
    Coming,
    Online,
    /// The hook is being told that the user is offline; still online until it knows.
    Going,
    /// Back while the hook was being told: it is told of that too. Online all the time.
    Returning,
}

impl Present {
    fn without_connections(standing: Standing) -> Self {
        Self::Here { connections: SmallVec::new(), standing }
    }

    fn connections(&self) -> &[ConnectionId] {
        match self {
            Self::Here { connections, .. } => connections,
            Self::Away(_) => &[],
        }
    }
}

/// What a hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Online,
    Offline,
}

/// A user whose arrival has been told, if that was needed: what [`Users::enter`] asks for.
#[must_use = "a user who has arrived must enter, or be given up"]
pub(super) struct Arrival<'a> {
    user: &'a str,
    /// The user is in [`Standing::Coming`] because of this arrival, and nobody else changes that.
    told: bool,
}

pub(super) struct Users {
    stripes: Box<[Mutex<ByUser>]>,
    hasher: RandomState,
    grace: Duration,
    /// Whether anybody wants to hear of changes.
    tells: bool,
    /// The server stops: from here on nobody comes or goes.
    draining: AtomicBool,
    pub(super) departures: Arc<Deadlines<Box<str>>>,
}

impl Users {
    pub(super) fn new(grace: Duration, tells: bool) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            grace,
            tells,
            draining: AtomicBool::new(false),
            departures: Arc::default(),
        }
    }

    /// Whether a hook is to be told of whoever comes or goes now.
    fn tells(&self) -> bool {
        self.tells && !self.draining.load(Relaxed)
    }

    /// What comes before [`enter`](Self::enter): `tell` runs, without a lock, if the user was offline.
    pub(super) fn arrive<'a>(&self, user: &'a str, tell: impl FnOnce(Change)) -> Arrival<'a> {
        let told = self.tells() && self.begin(user);
        if told {
            tell(Change::Online);
        }
        Arrival { user, told }
    }

    /// True if the user is coming because of this call.
    fn begin(&self, user: &str) -> bool {
        match self.stripe(user).entry(user.into()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(Present::without_connections(Standing::Coming));
                true
            }
        }
    }

    /// A connection is its user's from now on; `mail` runs under the stripe's lock. False, and nothing has happened, if
    /// the user was online at the arrival and has gone offline since: another arrival is needed.
    #[must_use]
    pub(super) fn enter(
        &self,
        Arrival { user, told }: Arrival<'_>,
        connection: ConnectionId,
        mail: impl FnOnce(),
    ) -> bool {
        let mut stripe = self.stripe(user);
        let present = match stripe.entry(user.into()) {
            Entry::Vacant(_) if self.tells() && !told => return false,
            entry => entry.or_insert_with(|| Present::without_connections(Standing::Online)),
        };
        if let Present::Away(departure) = present {
            self.departures.cancel(*departure);
            *present = Present::without_connections(Standing::Online);
        }
        if let Present::Here { connections, standing } = present {
            connections.push(connection);
            // Unless somebody else tells of it, who then goes on from here.
            if told {
                *standing = Standing::Online;
            }
        }
        mail();
        true
    }

    /// The connection that was to enter has gone.
    pub(super) fn give_up(&self, Arrival { user, told }: Arrival<'_>) {
        if told {
            self.settle(user);
        }
    }

    /// The user of a connection is no longer there.
    pub(super) fn leave(&self, user: &str, connection: ConnectionId) {
        let mut stripe = self.stripe(user);
        let Some(present) = stripe.get_mut(user) else { return };
        let Present::Here { connections, standing } = present else { return };
        connections.retain(|other| *other != connection);
        if connections.is_empty() && *standing == Standing::Online {
            *present = Present::Away(self.departure(user));
        }
    }

    /// A user's grace period is over.
    pub(super) fn depart(&self, user: &str, departure: Deadline, tell: impl Fn(Change)) {
        {
            let mut stripe = self.stripe(user);
            let Some(present) = stripe.get_mut(user) else { return };
            // Back at the last moment, and maybe away again.
            if !matches!(present, Present::Away(until) if *until == departure) {
                return;
            }
            // A server that stops takes nobody offline: its clients are about to reconnect to the next one.
            if !self.tells() {
                return forget(&mut stripe, user);
            }
            *present = Present::without_connections(Standing::Going);
        }
        tell(Change::Offline);
        {
            let mut stripe = self.stripe(user);
            match stripe.get_mut(user) {
                Some(Present::Here { connections, standing }) if !connections.is_empty() => {
                    *standing = Standing::Returning;
                }
                _ => return forget(&mut stripe, user),
            }
        }
        tell(Change::Online);
        self.settle(user);
    }

    /// The hook has been told that the user is online. Meanwhile every connection may have gone.
    fn settle(&self, user: &str) {
        let mut stripe = self.stripe(user);
        let Some(present) = stripe.get_mut(user) else { return };
        match present {
            Present::Here { connections, standing } if !connections.is_empty() => {
                *standing = Standing::Online
            }
            _ => *present = Present::Away(self.departure(user)),
        }
    }

    fn departure(&self, user: &str) -> Deadline {
        self.departures.add(Instant::now() + self.grace, user.into())
    }

    /// From here on nobody comes or goes.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Adds the connections of a user to a list, and says how many those are.
    pub(super) fn list(&self, user: &str, list: &mut Vec<ConnectionId>) -> usize {
        let stripe = self.stripe(user);
        let connections = stripe.get(user).map_or(&[][..], Present::connections);
        list.extend_from_slice(connections);
        connections.len()
    }

    pub(super) fn count(&self, user: &str) -> usize {
        self.stripe(user).get(user).map_or(0, |present| present.connections().len())
    }

    /// What the hooks know: also during the grace period.
    pub(super) fn is_online(&self, user: &str) -> bool {
        match self.stripe(user).get(user) {
            None | Some(Present::Here { standing: Standing::Coming, .. }) => false,
            Some(_) => true,
        }
    }

    fn stripe(&self, user: &str) -> MutexGuard<'_, ByUser> {
        self.stripes[self.hasher.hash_one(user) as usize % STRIPES].lock()
    }
}

/// A user who is gone leaves nothing.
fn forget(stripe: &mut ByUser, user: &str) {
    stripe.remove(user);
    if stripe.capacity() > 64 && stripe.len() * 4 < stripe.capacity() {
        stripe.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const GRACE: Duration = Duration::from_millis(20);

    fn users() -> Users {
        Users::new(GRACE, true)
    }

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(0, 1, slot)
    }

    fn enter(users: &Users, connection: ConnectionId, log: &Mutex<Vec<Change>>) {
        let arrival = users.arrive("ada", |change| log.lock().push(change));
        assert!(users.enter(arrival, connection, || ()));
    }

    /// Lets the grace period of whoever is away pass.
    async fn depart_all(users: &Users, log: &Mutex<Vec<Change>>) {
        while users.departures.len() > 0 {
            let (departure, user) = users.departures.next().await;
            users.depart(&user, departure, |change| log.lock().push(change));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_knows_before_the_answer_changes() {
        let users = users();
        let arrival = users.arrive("ada", |change| {
            assert_eq!((change, users.is_online("ada")), (Change::Online, false));
            // Another device comes meanwhile, for which nobody is told, and which changes nothing.
            let second = users.arrive("ada", |_| panic!("told twice"));
            assert!(users.enter(second, id(2), || ()));
            assert!(!users.is_online("ada"));
            users.leave("ada", id(2));
        });
        assert!(users.enter(arrival, id(1), || ()));
        assert!(users.is_online("ada"));
        users.leave("ada", id(1));
        let (departure, user) = users.departures.next().await;
        users.depart(&user, departure, |change| {
            assert_eq!((change, users.is_online("ada")), (Change::Offline, true));
        });
        assert!(!users.is_online("ada"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_while_the_hook_is_told_is_online_all_the_time() {
        let (users, log) = (users(), Mutex::new(Vec::new()));
        enter(&users, id(1), &log);
        users.leave("ada", id(1));
        let (departure, user) = users.departures.next().await;
        users.depart(&user, departure, |change| {
            log.lock().push(change);
            match change {
                Change::Offline => enter(&users, id(2), &log),
                // And gone again.
                Change::Online => users.leave("ada", id(2)),
            }
            assert!(users.is_online("ada"));
        });
        assert_eq!(*log.lock(), [Change::Online, Change::Offline, Change::Online]);
        assert!(users.is_online("ada"), "away, and within the grace period");
        depart_all(&users, &log).await;
        assert_eq!((log.lock().last(), users.is_online("ada")), (Some(&Change::Offline), false));
        assert!(users.stripes.iter().all(|stripe| stripe.lock().is_empty()), "nothing is left");
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_period_of_one_who_is_back_is_forgotten() {
        let (users, log) = (users(), Mutex::new(Vec::new()));
        for round in 0..1_000 {
            enter(&users, id(round), &log);
            users.leave("ada", id(round));
        }
        assert_eq!((users.departures.len(), log.lock().len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_back_when_the_grace_period_ends_and_away_again_has_another() {
        let (users, log) = (users(), Mutex::new(Vec::new()));
        enter(&users, id(1), &log);
        users.leave("ada", id(1));
        let (departure, user) = users.departures.next().await;
        enter(&users, id(2), &log);
        users.leave("ada", id(2));
        users.depart(&user, departure, |change| log.lock().push(change));
        assert_eq!((log.lock().len(), users.is_online("ada")), (1, true));
        depart_all(&users, &log).await;
        assert_eq!((log.lock().len(), users.is_online("ada")), (2, false));
    }

    #[tokio::test(start_paused = true)]
    async fn who_arrives_while_online_and_enters_when_offline_arrives_again() {
        let (users, log) = (users(), Mutex::new(Vec::new()));
        enter(&users, id(1), &log);
        users.leave("ada", id(1));
        let arrival = users.arrive("ada", |_| panic!("still online"));
        depart_all(&users, &log).await;
        assert!(!users.enter(arrival, id(2), || panic!("nobody knows of it")));
        enter(&users, id(2), &log);
        assert_eq!(*log.lock(), [Change::Online, Change::Offline, Change::Online]);
    }

    #[test]
    fn a_user_at_rest_is_a_word_more_than_a_list_of_connections() {
        assert!(size_of::<Present>() <= size_of::<SmallVec<[ConnectionId; 2]>>() + size_of::<usize>());
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_that_is_given_up_is_followed_by_offline() {
        let (users, log) = (users(), Mutex::new(Vec::new()));
        let arrival = users.arrive("ada", |change| log.lock().push(change));
        users.give_up(arrival);
        depart_all(&users, &log).await;
        assert_eq!(*log.lock(), [Change::Online, Change::Offline]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_takes_nobody_offline() {
        let (users, log) = (users(), Mutex::new(Vec::new()));
        enter(&users, id(1), &log);
        users.drain();
        users.leave("ada", id(1));
        depart_all(&users, &log).await;
        assert_eq!((log.lock().len(), users.is_online("ada")), (1, false));
    }

    /// Threads that come and go as one user: whatever the order, the hook hears of online and offline in turn, and last
    /// what is true. Where a change is told twice or not at all, or under another's nose, the turns break.
    #[tokio::test]
    async fn changes_are_told_in_turn_however_threads_race() {
        let (users, log) = (Arc::new(users()), Arc::new(Mutex::new(Vec::new())));
        let telling = Arc::new(AtomicU32::new(0));
        let tell = {
            let (log, telling) = (Arc::clone(&log), Arc::clone(&telling));
            move |change| {
                assert_eq!(telling.fetch_add(1, Relaxed), 0, "two are told at the same time");
                std::thread::yield_now();
                log.lock().push(change);
                telling.fetch_sub(1, Relaxed);
            }
        };
        let sweeper = tokio::spawn({
            let (users, tell) = (Arc::clone(&users), tell.clone());
            async move {
                loop {
                    let (departure, user) = users.departures.next().await;
                    users.depart(&user, departure, &tell);
                }
            }
        });
        let comers = (0..4).map(|thread| {
            let (users, tell) = (Arc::clone(&users), tell.clone());
            tokio::task::spawn_blocking(move || {
                let mut random = StdRng::seed_from_u64(thread);
                for round in 0..200 {
                    let connection = id(round * 4 + thread as u32);
                    while !users.enter(users.arrive("ada", &tell), connection, || ()) {}
                    std::thread::sleep(Duration::from_micros(random.random_range(0..300)));
                    users.leave("ada", connection);
                    std::thread::sleep(GRACE.mul_f64(random.random_range(0.0..1.3)));
                }
            })
        });
        for comer in comers.collect::<Vec<_>>() {
            comer.await.expect("nobody panics");
        }
        while users.is_online("ada") {
            tokio::time::sleep(GRACE).await;
        }
        sweeper.abort();
        let log = log.lock();
        let in_turn = [Change::Online, Change::Offline].into_iter().cycle().take(log.len());
        assert!(log.len() > 2 && log.len() % 2 == 0 && log.iter().copied().eq(in_turn), "{log:?}");
        assert!(users.stripes.iter().all(|stripe| stripe.lock().is_empty()), "nothing is left");
    }
}
