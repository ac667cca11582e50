//! Floor 3: who is connected, in which rooms, and how a message reaches all of them.
//!
//! The hub holds handles to connections; a connection never knows that the hub exists. Connections are
//! spread over *shards*. A shard is one task that owns its connections' places in rooms and their timers;
//! everybody else sends it mail.
//!
//! Lock order: a connection's directory entry, then a stripe (of a room, a room's presence or a user), then a mailbox or
//! the deadlines. Never two stripes, never across an await, user code or I/O. A seat is passed on under the entry, and takes
//! none of the others.

mod deadlines;
mod delivery;
mod directory;
mod mailbox;
mod pass;
pub(crate) mod presence;
mod recipients;
mod ring;
mod room;
mod shard;
mod sockets;
mod user_hooks;
mod users;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wirelark_proto::{CloseCode, CloseFrame, Message};

use crate::budget::Budget;
use crate::connection::{ConflationKey, Connection, ConnectionId, Full, RunQueue, SignInError, User};
use crate::observe::Observer;

use self::deadlines::Deadlines;
pub use self::delivery::{Busy, Delivered, Excepted, Publish, Target};
pub(crate) use self::directory::Reservation;
use self::directory::{Closed, Directory};
pub(crate) use self::mailbox::Turns;
use self::mailbox::{Mail, Mailbox, Whom};
pub(crate) use self::pass::SharedPolicy;
pub use self::pass::{Joinable, OpenRooms, RoomDenied, RoomPass, RoomPolicy};
pub use self::recipients::{Recipients, RecipientsError, USERS_MAX};
use self::room::Rooms;
pub use self::room::{InvalidRoom, RoomName};
use self::user_hooks::Telling;
pub(crate) use self::user_hooks::UserHooks;
use self::users::Users;

/// What a client is told whose user was revoked.
const REVOKED: &str = "sign in again: the credentials were revoked";

/// Clients that may be told at the same time, by a close frame, why they are refused.
const FAREWELLS_MAX: usize = 1024;

/// Sends to users, to a room, to everyone, or to one connection, from anywhere: a handler, an HTTP handler, a plain
/// task. Cheap to clone.
///
/// Messages one sender publishes to one room reach every member in that order, and all members see the
/// messages of a room in the same order. A message is encoded once, however many receive it.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Box<[Arc<ShardHandle>]>,
    next_shard: AtomicUsize,
    rooms: Rooms,
    presence: presence::Registry,
    users: Users,
    telling: Telling,
    observer: Arc<Observer>,
    budget: Arc<Budget>,
    farewells: Arc<Semaphore>,
    /// How connections are closed once the server has begun to stop.
    draining: OnceLock<CloseFrame>,
    /// Cancelled when it has waited long enough.
    stopped: CancellationToken,
    /// The drivers of all connections; shutting down waits for them.
    tasks: TaskTracker,
    shard_tasks: parking_lot::Mutex<Option<JoinSet<()>>>,
    /// Where they run.
    runtime: OnceLock<Handle>,
}

/// What others may touch of a shard.
struct ShardHandle {
    mailbox: Mailbox,
    /// Connections without a task of their own that want a turn.
    run_queue: Arc<RunQueue>,
    directory: Directory,
}

impl ShardHandle {
    /// Has connections closed; the answer is how many there were.
    fn close(&self, whom: Whom, frame: CloseFrame) -> oneshot::Receiver<usize> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.put(Mail::Close { whom, frame, reply: Some(reply) });
        answer
    }
}

/// How many connections were closed. All shards have been asked by then.
async fn all_closed(answers: impl IntoIterator<Item = oneshot::Receiver<usize>>) -> usize {
    let mut closed = 0;
    for answer in answers {
        closed += answer.await.unwrap_or_default();
    }
    closed
}

impl Hub {
    /// A hub of `shards` shards. Their tasks start with the first connection.
    pub(crate) fn new(
        shards: usize,
        observer: Arc<Observer>,
        budget: Arc<Budget>,
        user_hooks: UserHooks,
    ) -> Self {
        let shards = shards.clamp(1, usize::from(u8::MAX));
        let handle = |shard| {
            let directory = Directory::new(u8::try_from(shard).expect("at most 255 shards"));
            Arc::new(ShardHandle { mailbox: Mailbox::new(), run_queue: Arc::default(), directory })
        };
        Self {
            inner: Arc::new(Inner {
                shards: (0..shards).map(handle).collect(),
                next_shard: AtomicUsize::new(0),
                rooms: Rooms::new(shards),
                presence: presence::Registry::default(),
                users: Users::new(user_hooks.grace, user_hooks.are_set()),
                telling: Telling::new(user_hooks),
                observer,
                budget,
                farewells: Arc::new(Semaphore::new(FAREWELLS_MAX)),
                draining: OnceLock::new(),
                stopped: CancellationToken::new(),
                tasks: TaskTracker::new(),
                shard_tasks: parking_lot::Mutex::new(None),
                runtime: OnceLock::new(),
            }),
        }
    }

    // For users.

    /// A room. Nothing is made until somebody joins, and an empty room costs nothing.
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn room(
        &self,
        name: impl TryInto<RoomName, Error = impl Into<InvalidRoom>>,
    ) -> Result<Room, InvalidRoom> {
        Ok(Room { hub: self.clone(), name: name.try_into().map_err(Into::into)? })
    }

    /// Puts a connection into a room and returns how many are in it then; see
    /// [`Socket::join`](crate::Socket::join). Joining twice changes nothing. `None` if the connection is gone.
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn join(&self, connection: ConnectionId, room: impl Joinable) -> Result<Option<usize>, InvalidRoom> {
        Ok(self.enter(room.into_pass()?.name(), connection))
    }

    /// Joins a room, and returns it.
    pub(crate) fn join_room(&self, connection: ConnectionId, pass: RoomPass) -> Room {
        self.enter(pass.name(), connection);
        Room { hub: self.clone(), name: pass.into_name() }
    }

    /// Sends to every connection of the app.
    pub fn broadcast(&self, message: impl Into<Message>) -> Publish {
        Publish::new(self.clone(), Target::Everyone, message.into())
    }

    /// Sends to every connection of the routes whose pattern begins with `prefix`.
    pub fn broadcast_to(&self, prefix: impl Into<Box<str>>, message: impl Into<Message>) -> Publish {
        Publish::new(self.clone(), Target::Routes(prefix.into()), message.into())
    }

    /// Sends to one connection. One that is gone is counted as closed; it is not an error.
    pub fn send_to(&self, connection: ConnectionId, message: impl Into<Message>) -> Publish {
        Publish::new(self.clone(), Target::Connection(connection), message.into())
    }

    /// Closes one connection; false if it is gone or closing already.
    ///
    /// # Cancel safety
    /// As [`Recipients::close`].
    pub async fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str) -> bool {
        self.close_all([connection].into(), CloseFrame::new(code, reason)).await > 0
    }

    /// Closes all connections of a user with [`SIGN_IN`](CloseCode::SIGN_IN), which has clients ask for new credentials,
    /// and says how many there were.
    ///
    /// It ends what is open. First have whoever checks tokens refuse the old ones: a client that comes back with one, or
    /// was about to connect, would otherwise be let in.
    pub async fn revoke(&self, user: &str) -> usize {
        self.user(user).close(CloseCode::SIGN_IN, REVOKED).await
    }

    /// As [`revoke`](Self::revoke), for all users that `matches` is true for, such as those of one token. It looks at every
    /// connection.
    ///
    /// ```
    /// # async fn example(hub: wirelark::Hub, token_id: String) {
    /// hub.revoke_where(move |user| user.token_id().as_deref() == Some(&*token_id)).await;
    /// # }
    /// ```
    pub async fn revoke_where(&self, matches: impl Fn(&User) -> bool + Send + Sync + 'static) -> usize {
        if !self.has_started() {
            return 0;
        }
        let whom = Whom::UsersWhere(Arc::new(matches));
        let frame = CloseFrame::new(CloseCode::SIGN_IN, REVOKED);
        let closing = self.inner.shards.iter().map(|shard| shard.close(whom.clone(), frame.clone()));
        all_closed(closing.collect::<Vec<_>>()).await
    }

    /// Rooms that have members.
    pub fn room_count(&self) -> usize {
        self.inner.rooms.len()
    }

    /// Connections registered now.
    pub fn connection_count(&self) -> usize {
        self.inner.shards.iter().map(|shard| shard.directory.len()).sum()
    }

    /// Bytes that wait for slow clients now, over all connections.
    pub fn backlog_bytes(&self) -> usize {
        self.inner.budget.used()
    }

    /// Closes these connections, and says how many of them were open.
    async fn close_all(&self, connections: Arc<[ConnectionId]>, frame: CloseFrame) -> usize {
        all_closed(self.mail_close(&connections, &frame)).await
    }

    fn mail_close(
        &self,
        connections: &Arc<[ConnectionId]>,
        frame: &CloseFrame,
    ) -> Vec<oneshot::Receiver<usize>> {
        let shards = self.inner.shards.iter().enumerate();
        let concerned = shards.filter(|(index, _)| connections.iter().any(|id| id.shard() == *index));
        concerned.map(|(_, shard)| shard.close(Whom::These(Arc::clone(connections)), frame.clone())).collect()
    }

    // For the floors above.

    /// Keeps a place for a connection that is about to open. `None` when the hub is draining, over its
    /// budget or full.
    pub(crate) fn reserve(&self) -> Option<Reservation> {
        if self.inner.draining.get().is_some() || self.inner.budget.is_exceeded() {
            return None;
        }
        let shard = self.inner.next_shard.fetch_add(1, Relaxed) % self.inner.shards.len();
        self.inner.shards[shard].directory.reserve(self.clone())
    }

    /// Where a connection asks its shard for a turn.
    pub(crate) fn run_queue(&self, connection: ConnectionId) -> Option<Arc<RunQueue>> {
        self.inner.shards.get(connection.shard()).map(|shard| Arc::clone(&shard.run_queue))
    }

    /// From here on the connection receives what is sent to it, and its timers run. With a driver the shard polls
    /// it too.
    pub(crate) fn register(&self, connection: &Arc<Connection>, driver: Option<Turns>) {
        self.start();
        connection.route.counters.opened();
        let shard = &self.inner.shards[connection.id.shard()];
        shard.directory.open(connection.id);
        let mut mail = Some(Mail::Register { connection: Arc::clone(connection), driver });
        let mut register = || mail.take().into_iter().for_each(|mail| shard.mailbox.put(mail));
        match connection.user() {
            // Mailed under the stripe: the shard knows the connection before anything is sent to its user, and the
            // connection cannot have ended before its user has it.
            Some(user) => {
                let users = &self.inner.users;
                let arrive = || users.arrive(user.id(), |change| self.tell(user.id(), change));
                while !users.enter(arrive(), connection.id, &mut register) {}
            }
            None => register(),
        }
        // An upgrade that was under way when the server began to stop.
        if let Some(frame) = self.inner.draining.get() {
            connection.close(frame.clone());
        }
        if self.inner.stopped.is_cancelled() {
            connection.kill();
        }
    }

    /// Takes a connection out of its rooms and frees its place.
    pub(crate) fn forget(&self, connection: &Connection) {
        let code = connection.closed().map_or(CloseCode::ABNORMAL, |closed| closed.code);
        connection.route.counters.closed(code);
        let id = connection.id;
        let shard = &self.inner.shards[id.shard()];
        let Closed { rooms, attending } = shard.directory.close(id);
        if let Some(user) = connection.user() {
            self.inner.users.leave(user.id(), id);
        }
        for room in rooms {
            self.inner.rooms.leave(&room, id.shard(), || {
                shard.mailbox.put(Mail::Leave { room: room.clone(), connection: id });
            });
        }
        for room in attending.into_iter().flat_map(|rooms| *rooms) {
            self.inner.presence.forget(&room, id);
        }
        shard.mailbox.put(Mail::Forget { connection: id });
    }

    /// Puts a connection into a room. The number of members afterwards; `None` if the connection is gone.
    pub(crate) fn enter(&self, room: &RoomName, connection: ConnectionId) -> Option<usize> {
        let shard = &self.inner.shards[connection.shard()];
        let mut entry = shard.directory.entry(connection)?;
        if entry.rooms.contains(room) {
            return Some(self.inner.rooms.count(room));
        }
        entry.rooms.push(room.clone());
        // Mailed under the stripe, so that a join is exactly before or after each publish.
        Some(self.inner.rooms.join(room, connection.shard(), || {
            shard.mailbox.put(Mail::Join { room: room.clone(), connection });
        }))
    }

    /// Takes a connection out of a room it may be in. The number of members afterwards.
    pub(crate) fn leave(&self, room: &RoomName, connection: ConnectionId) -> usize {
        let shard = &self.inner.shards[connection.shard()];
        let Some(mut entry) = shard.directory.entry(connection) else { return self.inner.rooms.count(room) };
        let Some(at) = entry.rooms.iter().position(|joined| joined == room) else {
            return self.inner.rooms.count(room);
        };
        entry.rooms.swap_remove(at);
        self.inner.rooms.leave(room, connection.shard(), || {
            shard.mailbox.put(Mail::Leave { room: room.clone(), connection });
        })
    }

    /// Has a connection take part in a room's presence, until it is forgotten. `None` if it is gone.
    fn attend<R>(&self, room: &RoomName, connection: ConnectionId, begin: impl FnOnce() -> R) -> Option<R> {
        // Held until it is there: a connection that goes meanwhile is taken out again by whoever forgets it.
        let mut entry = self.inner.shards.get(connection.shard())?.directory.entry(connection)?;
        let attending = entry.attending.get_or_insert_default();
        if !attending.contains(room) {
            attending.push(room.clone());
        }
        Some(begin())
    }

    /// Has it take part no more, or only in part. `None` if the connection is gone.
    fn unattend<R>(&self, room: &RoomName, connection: ConnectionId, end: impl FnOnce() -> R) -> Option<R> {
        let mut entry = self.inner.shards.get(connection.shard())?.directory.entry(connection)?;
        let ended = end();
        if !self.inner.presence.involves(room, connection)
            && let Some(attending) = &mut entry.attending
        {
            attending.retain(|attended| attended != room);
            if attending.is_empty() {
                entry.attending = None;
            }
        }
        Some(ended)
    }

    /// `user` is at the other end of a connection that is already there: one that signed in late, or renewed its token.
    pub(crate) fn sign_in(&self, connection: &Connection, user: &User) -> Result<(), SignInError> {
        self.identify(connection, user, |before| before.id() == user.id())
    }

    /// As [`sign_in`](Self::sign_in), whoever was there before.
    pub(crate) fn switch_user(&self, connection: &Connection, user: &User) -> Result<(), SignInError> {
        self.identify(connection, user, |_| true)
    }

    fn identify(
        &self,
        connection: &Connection,
        user: &User,
        may_follow: impl Fn(&User) -> bool,
    ) -> Result<(), SignInError> {
        if let Some(lacking) = connection.route.requirements.lacking(user) {
            return Err(SignInError::Forbidden(lacking));
        }
        let (id, users) = (connection.id, &self.inner.users);
        // Asked again below; asked here so that nobody hears of a user coming online who is then refused.
        if connection.user().is_some_and(|before| !may_follow(&before)) {
            return Err(SignInError::AnotherUser);
        }
        if !self.is_connected(id) {
            return Err(SignInError::Ended);
        }
        let shard = &self.inner.shards[id.shard()];
        // Free only when whoever sat there has left: nobody is ever seen with one connection too many.
        let mut left_seat = None;
        let is_news = loop {
            let arrival = users.arrive(user.id(), |change| self.tell(user.id(), change));
            // Held until the user is entered: a connection that goes meanwhile is taken out again by whoever forgets it.
            let Some(_entry) = shard.directory.entry(id) else {
                users.give_up(arrival);
                return Err(SignInError::Ended);
            };
            let before = connection.user();
            if before.as_ref().is_some_and(|before| !may_follow(before)) {
                users.give_up(arrival);
                return Err(SignInError::AnotherUser);
            }
            if before.as_ref().is_some_and(|before| before.id() == user.id()) {
                users.give_up(arrival);
                break connection.set_user(user.clone());
            }
            // Should another round be needed, it finds that the seat is the user's already.
            match connection.pass_seat_to(user) {
                Ok(left) => left_seat = left.or(left_seat),
                Err(Full(why)) => {
                    users.give_up(arrival);
                    return Err(SignInError::TooManyConnections(why));
                }
            }
            if users.enter(arrival, id, || ()) {
                if let Some(before) = before {
                    users.leave(before.id(), id);
                }
                break connection.set_user(user.clone());
            }
        };
        drop(left_seat);
        if is_news {
            shard.mailbox.put(Mail::UserChanged { connection: id });
        }
        Ok(())
    }

    fn is_connected(&self, connection: ConnectionId) -> bool {
        self.inner.shards.get(connection.shard()).is_some_and(|it| it.directory.entry(connection).is_some())
    }

    /// Whether one more client may be accepted only to be told why it is refused; for as long as what comes back is
    /// kept.
    pub(crate) fn allow_farewell(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.farewells).try_acquire_owned().ok()
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    pub(crate) fn observer(&self) -> &Arc<Observer> {
        &self.inner.observer
    }

    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.inner.stopped
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.inner.budget
    }

    /// Closes every connection and takes no more. [`tasks`](Self::tasks) tells when they are gone.
    pub(crate) fn drain(&self, frame: &CloseFrame) {
        self.inner.users.drain();
        let _ = self.inner.draining.set(frame.clone());
        for shard in &self.inner.shards {
            shard.mailbox.put(Mail::Close { whom: Whom::All, frame: frame.clone(), reply: None });
        }
        self.inner.tasks.close();
    }

    /// Drops every connection and handler that is left, and ends the shards.
    pub(crate) async fn stop(&self) {
        self.inner.stopped.cancel();
        for shard in &self.inner.shards {
            shard.mailbox.put(Mail::Abort);
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        let shards = self.inner.shard_tasks.lock().take();
        if let Some(mut shards) = shards {
            shards.shutdown().await;
        }
    }

    /// Runs a task of the hub's own, wherever it is called from; shutting down waits for it. It ends by itself when the
    /// hub is stopped.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Nothing happens before the first connection, which starts the hub.
        if let Some(runtime) = self.inner.runtime.get() {
            self.inner.tasks.spawn_on(task, runtime);
        }
    }

    /// Whether the shards' tasks run.
    fn has_started(&self) -> bool {
        self.inner.shard_tasks.lock().is_some()
    }

    /// Starts the shards' tasks, once. Not at construction: an app is built outside of a runtime.
    fn start(&self) {
        let mut tasks = self.inner.shard_tasks.lock();
        if tasks.is_some() {
            return;
        }
        let _ = self.inner.runtime.set(Handle::current());
        let mut set = JoinSet::new();
        set.spawn(presence::tell_watchers(Arc::downgrade(&self.inner)));
        set.spawn(see_users_off(Arc::downgrade(&self.inner), Arc::clone(&self.inner.users.departures)));
        for (index, shard) in self.inner.shards.iter().enumerate() {
            let observer = (index == 0).then(|| Arc::clone(&self.inner.observer));
            set.spawn(shard::run(Arc::clone(shard), Arc::clone(&self.inner.budget), observer));
        }
        *tasks = Some(set);
    }
}

/// Users whose grace period is over are offline. Until the hub is gone.
async fn see_users_off(hub: Weak<Inner>, departures: Arc<Deadlines<Box<str>>>) {
    loop {
        let (departure, user) = departures.next().await;
        let Some(inner) = hub.upgrade() else { return };
        let hub = Hub { inner };
        hub.inner.users.depart(&user, departure, |change| hub.tell(&user, change));
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("connections", &self.connection_count())
            .field("rooms", &self.room_count())
            .finish()
    }
}

/// A set of receivers, by name.
#[derive(Clone, Debug)]
pub struct Room {
    hub: Hub,
    name: RoomName,
}

impl Room {
    /// The room's name.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// Sends to every member, the sender included unless it is [excepted](Publish::except).
    pub fn publish(&self, message: impl Into<Message>) -> Publish {
        Publish::new(self.hub.clone(), Target::Room { name: self.name.clone(), key: None }, message.into())
    }

    /// As [`publish`](Self::publish); a member that is behind, on a route with
    /// [`SlowClient::Conflate`](crate::SlowClient::Conflate), gets only the newest message of each key.
    pub fn publish_keyed(&self, key: ConflationKey, message: impl Into<Message>) -> Publish {
        let target = Target::Room { name: self.name.clone(), key: Some(key) };
        Publish::new(self.hub.clone(), target, message.into())
    }

    /// Takes a connection out and returns how many are left. Leaving a room one is not in is harmless.
    pub fn leave(&self, connection: ConnectionId) -> usize {
        self.hub.leave(&self.name, connection)
    }

    /// How many connections are in the room.
    pub fn count(&self) -> usize {
        self.hub.inner.rooms.count(&self.name)
    }

    /// The members, shard by shard in the order they joined.
    pub async fn members(&self) -> Vec<ConnectionId> {
        let mut answers = Vec::new();
        for shard in self.hub.inner.rooms.shards_with_members(&self.name) {
            let (reply, answer) = oneshot::channel();
            self.hub.inner.shards[shard].mailbox.put(Mail::Members { room: self.name.clone(), reply });
            answers.push(answer);
        }
        let mut members = Vec::new();
        for answer in answers {
            members.extend(answer.await.unwrap_or_default());
        }
        members
    }
}
