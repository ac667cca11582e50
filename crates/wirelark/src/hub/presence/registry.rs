//! The presence of all rooms: who watches what, and when they are told.
//!
//! A room's watchers are told of changes at once, and then not again before a window has passed, in which everything
//! that happens is put together. One task tells all of them, room by room. A room is not told again before its shards
//! have answered for the last time, so that where the server is behind more is put together, and nothing piles up.
//!
//! A watcher whose outbox had no room for all of it has a wrong list, and gets a snapshot later instead of what follows.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;
use wirelark_proto::{CloseCode, CloseFrame, Message};

use super::news::{News, snapshot};
use super::roster::Roster;
use crate::connection::ConnectionId;
use crate::hub::deadlines::{Deadline, Deadlines};
use crate::hub::mailbox::Mail;
use crate::hub::{Hub, Inner, RoomName};
use crate::shared_frame::SharedFrame;

/// Locks the rooms are spread over.
const STRIPES: usize = 64;

/// The shortest time between two messages to the watchers of a small room.
const WINDOW: Duration = Duration::from_millis(50);

/// So many watchers more make the window longer by one [`WINDOW`]: what they cost together stays bounded.
const WATCHERS_PER_WINDOW: usize = 256;

/// However many watch.
const WINDOW_MAX: Duration = Duration::from_secs(1);

/// When a watcher whose outbox is full is tried again, and how often before it is closed for reading too slowly.
const RETRY: Duration = Duration::from_secs(1);
const RETRIES_MAX: u32 = 30;

/// Makes a message of news, for watchers who are told in one way.
pub(crate) type Voice = Arc<dyn Fn(&News) -> Option<SharedFrame> + Send + Sync>;

/// Tells voices apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum VoiceKey {
    Json,
    /// The pushes of a contract that a function makes.
    Push {
        contract: &'static str,
        function: usize,
    },
}

/// News as JSON text.
pub(super) fn json_voice() -> Voice {
    Arc::new(|news| Some(SharedFrame::new(Message::from(serde_json::to_string(news).ok()?))))
}

#[derive(Default)]
struct Watched {
    roster: Roster,
    /// The number of the last diff.
    seq: u64,
    groups: Vec<Group>,
    told_at: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing is to be told.
    #[default]
    Idle,
    /// Something will be, at this time.
    Due(Instant, Deadline),
    /// The shards are being asked, and have not answered.
    Telling,
}

/// Watchers who are told in the same way.
struct Group {
    key: VoiceKey,
    voice: Voice,
    /// Those who know everything up to `seq`.
    knowing: HashSet<ConnectionId>,
    /// Those who need a snapshot.
    new: Vec<ConnectionId>,
    /// Those who had no room for what they were told, until they have once got everything.
    behind: HashMap<ConnectionId, Behind>,
}

#[derive(Clone, Copy)]
struct Behind {
    tries: u32,
    /// When it will need a snapshot again; `None` while it is tried.
    retry_at: Option<Instant>,
}

/// What is to be told to one group.
struct Telling {
    voice: Voice,
    knowing: Arc<[ConnectionId]>,
    new: Arc<[ConnectionId]>,
}

/// What is to be told to all watchers of a room.
struct Round {
    room: RoomName,
    diffs: Vec<News>,
    snapshot: Vec<News>,
    groups: Vec<Telling>,
}

/// Which watchers of a room did not get everything.
type Missed = (RoomName, Vec<ConnectionId>);

pub(in crate::hub) struct Registry {
    stripes: Box<[Mutex<HashMap<RoomName, Watched>>]>,
    hasher: RandomState,
    due: Arc<Deadlines<RoomName>>,
}

impl Default for Registry {
    fn default() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self { stripes, hasher: RandomState::new(), due: Arc::default() }
    }
}

impl Registry {
    fn stripe(&self, room: &RoomName) -> MutexGuard<'_, HashMap<RoomName, Watched>> {
        self.stripes[self.hasher.hash_one(room) as usize % STRIPES].lock()
    }

    /// Looks at a room's roster, if there is anybody.
    pub(super) fn read<R: Default>(&self, room: &RoomName, read: impl FnOnce(&Roster) -> R) -> R {
        self.stripe(room).get(room).map(|watched| read(&watched.roster)).unwrap_or_default()
    }

    /// Changes a room's roster. Watchers will hear of it.
    pub(super) fn change<R>(&self, room: &RoomName, change: impl FnOnce(&mut Roster) -> R) -> R {
        self.with(room, |watched| change(&mut watched.roster))
    }

    pub(super) fn watch(&self, room: &RoomName, connection: ConnectionId, key: VoiceKey, voice: Voice) {
        self.with(room, |watched| {
            if watched.groups.is_empty() {
                // Nobody has believed anything so far.
                watched.roster.forget_changes();
            }
            watched.unwatch(connection);
            match watched.groups.iter_mut().find(|group| group.key == key) {
                Some(group) => group.new.push(connection),
                None => watched.groups.push(Group::new(key, voice, connection)),
            }
        });
    }

    pub(super) fn unwatch(&self, room: &RoomName, connection: ConnectionId) {
        self.with(room, |watched| watched.unwatch(connection));
    }

    /// Whether a connection is there, or watches.
    pub(in crate::hub) fn involves(&self, room: &RoomName, connection: ConnectionId) -> bool {
        self.stripe(room).get(room).is_some_and(|watched| watched.involves(connection))
    }

    /// A connection has gone.
    pub(in crate::hub) fn forget(&self, room: &RoomName, connection: ConnectionId) {
        self.with(room, |watched| {
            watched.unwatch(connection);
            watched.roster.untrack(connection);
        });
    }

    /// Changes something about a room, sees to it that its watchers are told, and forgets a room with nobody in it.
    fn with<R>(&self, room: &RoomName, change: impl FnOnce(&mut Watched) -> R) -> R {
        let mut stripe = self.stripe(room);
        let watched = match stripe.get_mut(room) {
            Some(watched) => watched,
            None => stripe.entry(room.clone()).or_default(),
        };
        let changed = change(watched);
        if watched.groups.is_empty() {
            watched.roster.forget_changes();
        }
        self.schedule(room, watched);
        if watched.is_empty() {
            stripe.remove(room);
            if stripe.capacity() > 64 && stripe.len() * 4 < stripe.capacity() {
                stripe.shrink_to_fit();
            }
        }
        changed
    }

    /// Has the room come up when its watchers are next to be told.
    fn schedule(&self, room: &RoomName, watched: &mut Watched) {
        let Some(at) = watched.next_at() else { return };
        match watched.stage {
            Stage::Telling => return,
            Stage::Due(earlier, _) if earlier <= at => return,
            Stage::Due(_, later) => self.due.cancel(later),
            Stage::Idle => {}
        }
        watched.stage = Stage::Due(at, self.due.add(at, room.clone()));
    }

    /// What is to be told to the watchers of a room whose time has come.
    fn begin(&self, room: RoomName) -> Option<Round> {
        let mut stripe = self.stripe(&room);
        let watched = stripe.get_mut(&room)?;
        watched.stage = Stage::Idle;
        let now = Instant::now();
        watched.groups.iter_mut().for_each(|group| group.retry(now));
        let changes = watched.roster.take_changes();
        let is_anybody_new = watched.groups.iter().any(|group| !group.new.is_empty());
        if watched.groups.is_empty() || (changes.is_empty() && !is_anybody_new) {
            // Everything has been undone meanwhile, and the room may be empty.
            drop(stripe);
            self.with(&room, |_| ());
            return None;
        }
        watched.stage = Stage::Telling;
        watched.told_at = Some(now);
        let diffs = changes.into_diffs(watched.seq);
        watched.seq += diffs.len() as u64;
        let everybody = if is_anybody_new { watched.roster.members() } else { Vec::new() };
        let groups = watched.groups.iter_mut().map(Group::take).collect();
        let seq = watched.seq;
        drop(stripe);
        let snapshot = if is_anybody_new { snapshot(seq, everybody) } else { Vec::new() };
        Some(Round { room, diffs, snapshot, groups })
    }

    /// The shards have answered. Who has been behind for too long.
    fn end(&self, (room, missed): Missed) -> Vec<ConnectionId> {
        self.with(&room, |watched| {
            watched.stage = Stage::Idle;
            let missed: HashSet<_> = missed.into_iter().collect();
            let given_up = watched.groups.iter_mut().flat_map(|group| group.end(&missed)).collect();
            watched.groups.retain(|group| !group.is_empty());
            given_up
        })
    }
}

impl Watched {
    fn unwatch(&mut self, connection: ConnectionId) {
        for group in &mut self.groups {
            group.knowing.remove(&connection);
            group.behind.remove(&connection);
            group.new.retain(|new| *new != connection);
        }
        self.groups.retain(|group| !group.is_empty());
    }

    fn involves(&self, connection: ConnectionId) -> bool {
        self.roster.has(connection) || self.groups.iter().any(|group| group.has(connection))
    }

    fn is_empty(&self) -> bool {
        self.roster.len() == 0 && self.groups.is_empty() && self.stage == Stage::Idle
    }

    /// When the watchers are to be told next, if there is anything.
    fn next_at(&self) -> Option<Instant> {
        let retries = self.groups.iter().filter_map(Group::retry_at).min();
        let has_news = self.roster.has_changes() || self.groups.iter().any(|group| !group.new.is_empty());
        let news = has_news.then(|| self.free_at());
        retries.into_iter().chain(news).min()
    }

    /// From when on the watchers may be told again.
    fn free_at(&self) -> Instant {
        let now = Instant::now();
        let watchers: usize = self.groups.iter().map(|group| group.knowing.len()).sum();
        let window = WINDOW.saturating_mul(1 + (watchers / WATCHERS_PER_WINDOW) as u32).min(WINDOW_MAX);
        self.told_at.map_or(now, |told_at| now.max(told_at + window))
    }
}

impl Group {
    fn new(key: VoiceKey, voice: Voice, first: ConnectionId) -> Self {
        Self { key, voice, knowing: HashSet::new(), new: vec![first], behind: HashMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.knowing.is_empty() && self.new.is_empty() && self.behind.is_empty()
    }

    fn has(&self, connection: ConnectionId) -> bool {
        let Self { knowing, new, behind, .. } = self;
        knowing.contains(&connection) || behind.contains_key(&connection) || new.contains(&connection)
    }

    fn retry_at(&self) -> Option<Instant> {
        self.behind.values().filter_map(|behind| behind.retry_at).min()
    }

    /// Those whose time to be tried again has come need a snapshot.
    fn retry(&mut self, now: Instant) {
        for (connection, behind) in &mut self.behind {
            if behind.retry_at.is_some_and(|at| at <= now) {
                behind.retry_at = None;
                self.new.push(*connection);
            }
        }
    }

    /// Notes who has missed something. Those who have done so too often are watchers no more.
    fn end(&mut self, missed: &HashSet<ConnectionId>) -> Vec<ConnectionId> {
        self.behind.retain(|connection, behind| behind.retry_at.is_some() || missed.contains(connection));
        let retry_at = Some(Instant::now() + RETRY);
        let mut given_up = Vec::new();
        // Whoever has gone meanwhile is not among those who know.
        for connection in missed.iter().filter(|connection| self.knowing.remove(connection)) {
            let behind = self.behind.entry(*connection).or_insert(Behind { tries: 0, retry_at });
            *behind = Behind { tries: behind.tries + 1, retry_at };
            if behind.tries > RETRIES_MAX {
                self.behind.remove(connection);
                given_up.push(*connection);
            }
        }
        given_up
    }

    /// Who is to be told; all of them know it then.
    fn take(&mut self) -> Telling {
        let knowing = self.knowing.iter().copied().collect();
        let new: Arc<[ConnectionId]> = std::mem::take(&mut self.new).into();
        self.knowing.extend(&*new);
        Telling { voice: Arc::clone(&self.voice), knowing, new }
    }
}

/// Tells the watchers of all rooms, for as long as there is a hub.
pub(in crate::hub) async fn tell_watchers(hub: Weak<Inner>) {
    let Some(due) = hub.upgrade().map(|hub| Arc::clone(&hub.presence.due)) else { return };
    let mut telling = FuturesUnordered::new();
    loop {
        tokio::select! {
            (_, room) = due.next() => {
                let Some(hub) = hub.upgrade().map(|inner| Hub { inner }) else { return };
                // Everybody is about to leave, and the watchers with them.
                if hub.inner.draining.get().is_some() {
                    continue;
                }
                if let Some(round) = hub.inner.presence.begin(room) {
                    telling.push(round.mail(&hub));
                }
            }
            Some(missed) = telling.next() => {
                let Some(hub) = hub.upgrade().map(|inner| Hub { inner }) else { return };
                let given_up = hub.inner.presence.end(missed);
                if !given_up.is_empty() {
                    let frame = CloseFrame::new(CloseCode::TRY_AGAIN, "too slow for presence");
                    hub.mail_close(&given_up.into(), &frame);
                }
            }
        }
    }
}

impl Round {
    /// Mails it to the shards. What comes back waits for their answers.
    fn mail(self, hub: &Hub) -> impl Future<Output = Missed> + use<> {
        let (mut answers, mut unspoken) = (Vec::new(), Vec::new());
        for group in self.groups {
            for (news, to) in [(&self.diffs, group.knowing), (&self.snapshot, group.new)] {
                if news.is_empty() || to.is_empty() {
                    continue;
                }
                // The voice of a contract is made of the app's own code.
                let frames = || news.iter().map(|news| group.voice.as_ref()(news).map(Arc::new)).collect();
                let frames: Option<Arc<[Arc<SharedFrame>]>> =
                    catch_unwind(AssertUnwindSafe(frames)).unwrap_or_default();
                let Some(frames) = frames else {
                    tracing::error!(room = %self.room, "a push of presence cannot be made: its watchers miss it");
                    unspoken.extend_from_slice(&to);
                    continue;
                };
                for (index, shard) in hub.inner.shards.iter().enumerate() {
                    if to.iter().any(|id| id.shard() == index) {
                        let (reply, answer) = oneshot::channel();
                        let (to, frames) = (Arc::clone(&to), Arc::clone(&frames));
                        shard.mailbox.put(Mail::News { to, frames, reply });
                        answers.push(answer);
                    }
                }
            }
        }
        let room = self.room;
        async move {
            let missed = join_all(answers).await.into_iter().filter_map(Result::ok).flatten();
            (room, missed.chain(unspoken).collect())
        }
    }
}
