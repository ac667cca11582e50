//! One shard: a task that owns its connections' places in rooms and their timers.
//!
//! Its loop: mail, then one write to each connection that was sent something, then timers. It yields often,
//! so that a large room delays nobody for long; what arrives meanwhile is coalesced into the next round.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use wirelark_proto::{CloseCode, CloseFrame};

use super::delivery::{Delivered, Target};
use super::mailbox::{Deliver, Mail, Turns, Whom};
use super::ring::Ring;
use super::sockets::Sockets;
use super::{RoomName, ShardHandle};
use crate::budget::Budget;
use crate::connection::{Burst, Connection, ConnectionId, Liveness, RouteContext};
use crate::observe::Observer;
use crate::shared_frame::SharedFrame;

/// Connections served before the task yields to others.
const BATCH: usize = 256;

/// How often the budget is looked at and totals are copied to the metrics recorder.
const TICK: Duration = Duration::from_secs(1);

/// Runs a shard until its task is aborted. The shard that is given the observer copies the app's totals
/// into the recorders now and then.
pub(super) async fn run(handle: Arc<ShardHandle>, budget: Arc<Budget>, observer: Option<Arc<Observer>>) {
    let start = Instant::now();
    let mut shard = Shard {
        start,
        handle,
        budget,
        observer,
        slots: Vec::new(),
        connections: 0,
        rooms: HashMap::new(),
        ring: Ring::new(start),
        dirty: Vec::new(),
        sockets: Sockets::default(),
        ready: VecDeque::new(),
    };
    let mut mail = VecDeque::new();
    let mut tick_due = Instant::now() + TICK;
    let mut busy = false;
    loop {
        if busy {
            yield_now().await;
        } else {
            shard.wait(tick_due).await;
        }
        shard.handle.mailbox.take(&mut mail);
        // What goes to one room at once is written to each member at once.
        if let Some((room, burst)) = burst_for_one_room(&mut mail) {
            shard.deliver_burst(room, burst).await;
        }
        while let Some(piece) = mail.pop_front() {
            shard.open(piece).await;
        }
        busy = shard.take_turns();
        shard.flush().await;
        shard.run_timers().await;
        if Instant::now() >= tick_due {
            tick_due = Instant::now() + TICK;
            shard.keep_budget();
            if let Some(observer) = &shard.observer {
                observer.flush();
            }
        }
    }
}

/// The messages at the front of the mail that go to one room and to all of its members, if nothing else
/// follows: mixed mail is queued first and written once for everything.
fn burst_for_one_room(mail: &mut VecDeque<Mail>) -> Option<(RoomName, Vec<Deliver>)> {
    let room = match mail.front()? {
        Mail::Deliver(Deliver { target: Target::Room { name, .. }, .. }) => name.clone(),
        _ => return None,
    };
    let same = |piece: &Mail| match piece {
        Mail::Deliver(Deliver { target: Target::Room { name, .. }, except: None, .. }) => *name == room,
        _ => false,
    };
    if !mail.iter().all(same) {
        return None;
    }
    let burst = mail.drain(..).filter_map(|piece| match piece {
        Mail::Deliver(deliver) => Some(deliver),
        _ => None,
    });
    let burst = burst.collect();
    Some((room, burst))
}

struct Shard {
    start: Instant,
    handle: Arc<ShardHandle>,
    budget: Arc<Budget>,
    observer: Option<Arc<Observer>>,
    slots: Vec<Option<Slot>>,
    connections: usize,
    rooms: HashMap<RoomName, Vec<u32>>,
    ring: Ring,
    /// Connections with frames that nobody else will write.
    dirty: Vec<u32>,
    /// The sockets of connections without a task of their own.
    sockets: Sockets,
    /// Such connections that want a turn.
    ready: VecDeque<ConnectionId>,
}

struct Slot {
    connection: Arc<Connection>,
    liveness: Liveness,
    /// What polls the connection, if the shard does.
    driver: Option<Turns>,
}

impl Shard {
    /// Waits for mail or the next deadline. A shard without connections has no deadline at all.
    async fn wait(&mut self, tick_due: Instant) {
        let tick = (self.connections > 0).then_some(tick_due);
        match [self.ring.next(), tick].into_iter().flatten().min() {
            None => self.handle.mailbox.arrived().await,
            Some(deadline) => {
                tokio::select! {
                    biased;
                    () = self.handle.mailbox.arrived() => {}
                    () = self.handle.run_queue.arrived() => {}
                    () = self.sockets.changed() => {}
                    () = sleep_until(deadline) => {}
                }
            }
        }
    }

    /// Gives each connection that wants one a turn; true if there may be more.
    fn take_turns(&mut self) -> bool {
        let Self { sockets, slots, .. } = self;
        let mut busy = sockets.take(|ready| {
            let id = ConnectionId::from_token(ready.token);
            if let Some(Some(slot)) = slots.get(id.slot())
                && slot.connection.id == id
            {
                slot.connection.ready(ready.hung_up);
            }
        });
        if self.ready.is_empty() {
            self.handle.run_queue.take(&mut self.ready);
        }
        for _ in 0..BATCH {
            let Some(id) = self.ready.pop_front() else { break };
            self.take_turn(id);
        }
        busy |= !self.ready.is_empty();
        busy
    }

    fn take_turn(&mut self, id: ConnectionId) {
        let Some(Slot { connection, driver, .. }) = self.slot_mut(id) else { return };
        connection.unschedule();
        let Some(Turns(turns)) = driver else { return };
        let waker = Waker::from(Arc::clone(connection));
        // A driver contains what its handler does. Whatever it lets through must not end the shard, and with it the
        // connections of everybody else.
        let poll = || turns.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let is_over = catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| {
            connection.route.counters.panicked();
            connection.kill();
            true
        });
        if is_over {
            let over = driver.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(over)));
        }
    }

    async fn open(&mut self, mail: Mail) {
        match mail {
            Mail::Register { connection, driver } => self.register(connection, driver),
            Mail::Forget { connection } => self.forget(connection),
            Mail::Join { room, connection } => {
                self.rooms.entry(room).or_default().push(connection.slot() as u32);
            }
            Mail::Leave { room, connection } => self.leave(&room, connection),
            Mail::Deliver(deliver) => self.deliver(deliver).await,
            Mail::News { to, frames, reply } => {
                let missed = self.tell(&to, &frames).await;
                let _ = reply.send(missed);
            }
            Mail::Members { room, reply } => {
                let members = self.rooms.get(&room).map_or(&[][..], Vec::as_slice);
                let _ = reply.send(members.iter().filter_map(|slot| self.id(*slot)).collect());
            }
            Mail::UserChanged { connection } => self.user_changed(connection),
            Mail::Close { whom, frame, reply } => {
                let closed = self.close(&whom, &frame).await;
                if let Some(reply) = reply {
                    let _ = reply.send(closed);
                }
            }
            Mail::Abort => self.slots.iter().flatten().for_each(|slot| slot.connection.kill()),
        }
    }

    fn register(&mut self, connection: Arc<Connection>, driver: Option<Turns>) {
        let (id, now) = (connection.id, Instant::now());
        if self.slots.len() <= id.slot() {
            self.slots.resize_with(id.slot() + 1, || None);
        }
        let liveness = Liveness::new(&connection, self.start, now);
        if driver.is_some() {
            if let Some(socket) = connection.polled_socket()
                && let Err(error) = self.sockets.add(&socket, id.token())
            {
                tracing::error!(connection = %id, %error, "the socket cannot be watched; its connection is dropped");
                connection.kill();
            }
            connection.schedule();
        }
        self.slots[id.slot()] = Some(Slot { connection, liveness, driver });
        self.connections += 1;
        self.put_in_ring(id);
    }

    fn user_changed(&mut self, id: ConnectionId) {
        let (start, now) = (self.start, Instant::now());
        if let Some(Slot { connection, liveness, .. }) = self.slot_mut(id) {
            liveness.look_at_user(connection, start, now);
            self.put_in_ring(id);
        }
    }

    /// Has the ring bring the connection up when something is next due. Once: a connection whose deadlines are put off
    /// again and again still has one place in the ring, and at most one more for each time they were put forward.
    fn put_in_ring(&mut self, id: ConnectionId) {
        let start = self.start;
        let Some(Some(Slot { connection, liveness, .. })) = self.slots.get_mut(id.slot()) else { return };
        let Some(deadline) = liveness.next(connection, start) else { return };
        if !liveness.is_awaited_by(start, deadline) {
            liveness.await_at(start, self.ring.insert(id, deadline));
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        if self.slot(id).is_some() {
            self.slots[id.slot()] = None;
            self.connections -= 1;
            self.handle.directory.release(id);
        }
    }

    fn leave(&mut self, room: &RoomName, id: ConnectionId) {
        let Some(members) = self.rooms.get_mut(room) else { return };
        if let Some(at) = members.iter().position(|slot| *slot as usize == id.slot()) {
            members.remove(at);
        }
        if members.is_empty() {
            self.rooms.remove(room);
        }
    }

    async fn deliver(&mut self, deliver: Deliver) {
        let mut delivered = Delivered::default();
        match &deliver.target {
            Target::Connection(id) => match self.slot(*id) {
                Some(_) => self.deliver_to(id.slot() as u32, &deliver, &mut delivered),
                None => delivered.closed += 1,
            },
            Target::Room { name, .. } => {
                let members = self.lend_members(name);
                for batch in members.chunks(BATCH) {
                    for slot in batch {
                        self.deliver_to(*slot, &deliver, &mut delivered);
                    }
                    if batch.len() == BATCH {
                        yield_now().await;
                    }
                }
                self.return_members(name, members);
            }
            Target::Connections(ids) => {
                let here = self.handle.directory.shard();
                for batch in ids.chunks(BATCH) {
                    for id in batch.iter().filter(|id| id.shard() == here) {
                        match self.slot(*id) {
                            Some(_) => self.deliver_to(id.slot() as u32, &deliver, &mut delivered),
                            None => delivered.closed += 1,
                        }
                    }
                    if batch.len() == BATCH {
                        yield_now().await;
                    }
                }
            }
            Target::Contract(contract) => {
                self.deliver_where(&deliver, &mut delivered, |route| {
                    route.contract.is_some_and(|spoken| spoken.name == *contract)
                });
            }
            Target::Routes(prefix) => {
                self.deliver_where(&deliver, &mut delivered, |route| route.pattern.starts_with(&**prefix));
            }
            Target::Everyone => self.deliver_where(&deliver, &mut delivered, |_| true),
        }
        if let Some(reply) = deliver.reply {
            let _ = reply.send(delivered);
        }
    }

    /// Who had no room for all of it.
    async fn tell(&mut self, to: &[ConnectionId], frames: &[Arc<SharedFrame>]) -> Vec<ConnectionId> {
        let here = self.handle.directory.shard();
        let mut missed = Vec::new();
        for batch in to.chunks(BATCH) {
            for id in batch.iter().filter(|id| id.shard() == here) {
                let Some(slot) = self.slot(*id) else { continue };
                let (complete, must_flush) = slot.connection.deliver_all(frames);
                if must_flush {
                    self.dirty.push(id.slot() as u32);
                }
                if !complete {
                    missed.push(*id);
                }
            }
            if batch.len() == BATCH {
                yield_now().await;
            }
        }
        missed
    }

    fn deliver_where(
        &mut self,
        deliver: &Deliver,
        delivered: &mut Delivered,
        matches: impl Fn(&RouteContext) -> bool,
    ) {
        for slot in 0..self.slots.len() as u32 {
            let is_for = |slot: &Slot| matches(&slot.connection.route) && !slot.connection.is_undecided();
            if self.place(slot).is_some_and(is_for) {
                self.deliver_to(slot, deliver, delivered);
            }
        }
    }

    fn deliver_to(&mut self, index: u32, deliver: &Deliver, delivered: &mut Delivered) {
        let Some(slot) = self.place(index) else { return };
        if deliver.leaves_out(slot.connection.id) || !slot.connection.speaks(&deliver.frame) {
            return;
        }
        let (delivery, must_flush) = slot.connection.deliver(&deliver.frame, deliver.key());
        delivered.count(delivery);
        if must_flush {
            self.dirty.push(index);
        }
    }

    /// Delivers messages that go to the same room, each member getting all of them under one lock and in
    /// one write.
    async fn deliver_burst(&mut self, name: RoomName, mail: Vec<Deliver>) {
        let burst = Burst::new(mail.iter().map(|piece| (Arc::clone(&piece.frame), piece.key())).collect());
        let mut delivered = vec![Delivered::default(); burst.len()];
        let members = self.lend_members(&name);
        for batch in members.chunks(BATCH) {
            for index in batch {
                let Some(slot) = self.place(*index) else { continue };
                slot.connection.deliver_burst(&burst, |at, delivery| delivered[at].count(delivery));
            }
            if batch.len() == BATCH {
                yield_now().await;
            }
        }
        self.return_members(&name, members);
        for (piece, delivered) in mail.into_iter().zip(delivered) {
            if let Some(reply) = piece.reply {
                let _ = reply.send(delivered);
            }
        }
    }

    /// Nobody else touches a room's list, and delivering neither joins nor leaves: it is lent out whole.
    fn lend_members(&mut self, room: &RoomName) -> Vec<u32> {
        self.rooms.get_mut(room).map(std::mem::take).unwrap_or_default()
    }

    fn return_members(&mut self, room: &RoomName, members: Vec<u32>) {
        if let Some(lent) = self.rooms.get_mut(room) {
            *lent = members;
        }
    }

    /// How many of them were open.
    async fn close(&mut self, whom: &Whom, frame: &CloseFrame) -> usize {
        let close = |slot: &&Slot| {
            let was_open = slot.connection.is_open();
            slot.connection.close(frame.clone());
            was_open
        };
        match whom {
            Whom::These(ids) => {
                let here = self.handle.directory.shard();
                let mut closed = 0;
                for batch in ids.chunks(BATCH) {
                    let ours = batch.iter().filter(|id| id.shard() == here);
                    closed += ours.filter_map(|id| self.slot(*id)).filter(close).count();
                    yield_now().await;
                }
                closed
            }
            Whom::All => self.slots.iter().flatten().filter(close).count(),
            Whom::UsersWhere(matches) => {
                // Somebody else's code, which must not end the shard.
                let matches = |user| catch_unwind(AssertUnwindSafe(|| matches(&user))).unwrap_or_default();
                let is_meant = |slot: &&Slot| slot.connection.user().is_some_and(matches);
                let mut closed = 0;
                // It takes a while to look at claims, and there may be many users.
                for begin in (0..self.slots.len()).step_by(BATCH) {
                    let batch = self.slots.iter().skip(begin).take(BATCH);
                    closed += batch.flatten().filter(is_meant).filter(close).count();
                    yield_now().await;
                }
                closed
            }
        }
    }

    /// Writes to every connection that was sent something in this round.
    async fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for batch in dirty.chunks(BATCH) {
            for index in batch {
                if let Some(slot) = self.place(*index) {
                    slot.connection.flush();
                }
            }
            if batch.len() == BATCH {
                yield_now().await;
            }
        }
        dirty.clear();
        self.dirty = dirty;
    }

    async fn run_timers(&mut self) {
        let now = Instant::now();
        if self.ring.next().is_none_or(|next| next > now) {
            return;
        }
        let mut due = Vec::new();
        self.ring.expire(now, &mut due);
        for batch in due.chunks(BATCH) {
            for id in batch {
                self.run_timer(*id, now);
            }
            if batch.len() == BATCH {
                yield_now().await;
            }
        }
    }

    fn run_timer(&mut self, id: ConnectionId, now: Instant) {
        let start = self.start;
        let Some(Slot { connection, liveness, .. }) = self.slot_mut(id) else { return };
        // The close handshake is timed by its own task.
        if !connection.is_open() || !liveness.take_awaited(start, now) {
            return;
        }
        if liveness.next(connection, start).is_some_and(|next| next <= now) {
            liveness.on_timer(connection, start, now);
        }
        self.put_in_ring(id);
    }

    /// Over the node's budget, the connections of this shard that hold most are cut, one after the other.
    fn keep_budget(&self) {
        while self.budget.is_exceeded() {
            let held = |slot: &&Slot| slot.connection.held_bytes();
            let largest = self.slots.iter().flatten().filter(|slot| held(slot) > 0).max_by_key(held);
            let Some(Slot { connection, .. }) = largest else { return };
            tracing::warn!(connection = %connection.id, "cut: the node's budget for slow clients is used up");
            connection.terminate(CloseFrame::new(CloseCode::TRY_AGAIN, "server overloaded"));
        }
    }

    fn place(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)?.as_ref()
    }

    fn slot(&self, id: ConnectionId) -> Option<&Slot> {
        self.place(id.slot() as u32).filter(|slot| slot.connection.id == id)
    }

    fn slot_mut(&mut self, id: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(id.slot())?.as_mut().filter(|slot| slot.connection.id == id)
    }

    fn id(&self, slot: u32) -> Option<ConnectionId> {
        self.place(slot).map(|slot| slot.connection.id)
    }
}
