//! What a client's handles and its task share: what waits to be sent, who waits for an answer, and who listens.
//!
//! The task alone changes the status and takes from the outbox; handles queue, wait and ask. Everything that must
//! agree stands behind one lock, so that no call slips in between the end of a connection and the settling of its
//! calls. No user code and no await runs under it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use wirelark_proto::contract::{DecodeError, Envelope, ErrorResponse, Event, Format, RateLimited, Response};
use wirelark_proto::{CloseFrame, Kind};

use crate::builder::Offline;
use crate::call::{Answer, CallError, ServerError};
use crate::closed::Closed;
use crate::connect::ConnectError;
use crate::listeners::{Listeners, OnPush, OnStatus, Pushed};
use crate::report::{ReportKind, Reports};
use crate::status::Status;

/// What a client was built with, as far as its handles and its task both need it.
pub(crate) struct Limits {
    pub(crate) format: Format,
    pub(crate) close_timeout: Duration,
    pub(crate) outbox_messages: usize,
    pub(crate) outbox_bytes: usize,
    pub(crate) calls: usize,
    pub(crate) offline: Offline,
    pub(crate) rate_limit_retries: u32,
}

pub(crate) struct Core {
    pub(crate) limits: Limits,
    pub(crate) reports: Reports,
    pub(crate) pushes: Arc<Listeners<Box<str>, OnPush>>,
    pub(crate) statuses: Arc<Listeners<(), OnStatus>>,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    /// Wakes the task: something was queued, or asked for.
    wake: Notify,
    /// Wakes callers who wait for room in the outbox.
    room: Notify,
}

struct State {
    status: Status,
    /// How the last connection or attempt ended.
    closed: Option<Closed>,

    // What handles ask of the task.
    connect: bool,
    close: Option<CloseFrame>,

    // What is queued, and who waits for an answer.
    outbox: Outbox,
    pending: HashMap<u64, Pending>,
    /// The number of the newest request.
    last: u64,
    /// The names that are sent and not called, so that an error can be told from a late answer.
    sends: HashSet<Arc<str>>,
    /// What the server has been asked for too often, and when it may be asked again.
    held: HashMap<Box<str>, Instant>,
}

/// Names that are held back at the same time. A program has no more unless it makes them up; those beyond are sent, and
/// refused again.
const HELD_MAX: usize = 1024;

/// Names of sends that are remembered. A program has no more unless it makes them up; the errors of those beyond are
/// dropped as late answers are.
const SENDS_MAX: usize = 4096;

#[derive(Default)]
struct Outbox {
    requests: VecDeque<Queued>,
    bytes: usize,
}

/// A request that waits to be sent.
pub(crate) struct Queued {
    number: u64,
    name: Arc<str>,
    kind: QueuedKind,
    frame: Vec<u8>,
}

impl Queued {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QueuedKind {
    Call,
    Send,
}

struct Pending {
    name: Arc<str>,
    /// Whether the server may have got it.
    sent: bool,
    answer: oneshot::Sender<Result<Answer, CallError>>,
}

/// What happened so far, for those who wait for something to happen.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    opens: u64,
    failures: u64,
    closes: u64,
    error: Option<ConnectError>,
}

/// Why a request was not queued.
enum Unqueued {
    /// There may soon be room.
    NoRoom,
    /// For this reason.
    For(CallError),
}

/// A call whose answer has not come. Dropped, the call is forgotten.
pub(crate) struct Waiting<'a> {
    core: &'a Core,
    number: u64,
    pub(crate) answer: oneshot::Receiver<Result<Answer, CallError>>,
}

impl Core {
    pub(crate) fn new(limits: Limits, reports: Reports, connect: bool) -> Self {
        Self {
            limits,
            reports,
            pushes: Arc::default(),
            statuses: Arc::default(),
            state: Mutex::new(State {
                status: if connect { Status::Connecting } else { Status::Idle },
                closed: None,
                connect,
                close: None,
                outbox: Outbox::default(),
                pending: HashMap::new(),
                last: 0,
                sends: HashSet::new(),
                held: HashMap::new(),
            }),
            progress: watch::Sender::default(),
            wake: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.state.lock().status
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        self.state.lock().closed.clone()
    }
}

// What handles do.
impl Core {
    /// The number of a new request.
    pub(crate) fn next_number(&self) -> u64 {
        let mut state = self.state.lock();
        state.last += 1;
        state.last
    }

    /// Until the server may be asked for this again, if it says that it was asked too often. What would have to wait
    /// beyond its deadline fails at once.
    pub(crate) async fn allowed(&self, name: &str, deadline: Instant) -> Result<(), CallError> {
        loop {
            // The end of the client is told there too.
            let changed = self.room.notified();
            let until = {
                let state = self.state.lock();
                let now = Instant::now();
                let Some(&until) = state.held.get(name).filter(|until| **until > now) else { return Ok(()) };
                state.check_closed()?;
                if until > deadline {
                    return Err(CallError::RateLimited(RateLimited { retry_after: until - now }));
                }
                until
            };
            let _ = timeout_at(until, changed).await;
        }
    }

    /// Queues a call. While there is a connection it waits for room.
    pub(crate) async fn call(
        &self,
        number: u64,
        name: Arc<str>,
        frame: Vec<u8>,
    ) -> Result<Waiting<'_>, CallError> {
        let (sender, answer) = oneshot::channel();
        let pending = Pending { name: Arc::clone(&name), sent: false, answer: sender };
        let request = Queued { number, name, kind: QueuedKind::Call, frame };
        self.queue(request, Some(pending)).await?;
        Ok(Waiting { core: self, number, answer })
    }

    /// Queues a send, in the same way.
    pub(crate) async fn send(&self, number: u64, name: Arc<str>, frame: Vec<u8>) -> Result<(), CallError> {
        self.queue(Queued { number, name, kind: QueuedKind::Send, frame }, None).await
    }

    async fn queue(&self, request: Queued, pending: Option<Pending>) -> Result<(), CallError> {
        let mut waiting = Some((request, pending));
        loop {
            // Listens before it looks, so that room made in between is not missed.
            let room = self.room.notified();
            match self.try_queue(&mut waiting) {
                Ok(()) => {
                    self.wake.notify_one();
                    return Ok(());
                }
                Err(Unqueued::For(error)) => return Err(error),
                Err(Unqueued::NoRoom) => room.await,
            }
        }
    }

    fn try_queue(&self, waiting: &mut Option<(Queued, Option<Pending>)>) -> Result<(), Unqueued> {
        let mut state = self.state.lock();
        let Some((request, pending)) = waiting.take() else { return Ok(()) };
        if let Err(unqueued) = self.check_queue(&mut state, &request, pending.is_some()) {
            *waiting = Some((request, pending));
            return Err(unqueued);
        }
        match pending {
            Some(pending) => {
                state.pending.insert(request.number, pending);
            }
            None if state.sends.len() < SENDS_MAX && !state.sends.contains(&request.name) => {
                state.sends.insert(Arc::clone(&request.name));
            }
            None => {}
        }
        state.outbox.push(request);
        Ok(())
    }

    fn check_queue(&self, state: &mut State, request: &Queued, call: bool) -> Result<(), Unqueued> {
        state.check_closed().map_err(Unqueued::For)?;
        let limits = &self.limits;
        match state.status {
            Status::Open | Status::Closed => {}
            Status::Idle | Status::Connecting | Status::Reconnecting { .. } => {
                if limits.offline == Offline::Fail {
                    let closed = state.why_closed();
                    return Err(Unqueued::For(CallError::Disconnected { sent: false, closed }));
                }
            }
        }
        if call && state.pending.len() >= limits.calls {
            return Err(Unqueued::For(CallError::Full));
        }
        if !state.outbox.has_room(request.frame.len(), limits) {
            let open = state.status == Status::Open && request.frame.len() <= limits.outbox_bytes;
            return Err(if open { Unqueued::NoRoom } else { Unqueued::For(CallError::Full) });
        }
        state.connect |= state.status == Status::Idle;
        Ok(())
    }

    /// Asks for a connection. Returns what had happened before, unless there is one.
    pub(crate) fn ask_to_connect(&self) -> Option<Progress> {
        let seen = {
            let mut state = self.state.lock();
            if state.status == Status::Open && state.close.is_none() {
                return None;
            }
            // An attempt that is under way will do.
            state.connect |= state.status != Status::Connecting || state.close.is_some();
            let mut seen = self.progress.borrow().clone();
            // A close that comes first counts as a failure, of those who asked before it.
            seen.failures += u64::from(state.close.is_some());
            seen
        };
        self.wake.notify_one();
        Some(seen)
    }

    /// The outcome of the first attempt after `seen`.
    pub(crate) async fn connected(&self, seen: &Progress) -> Result<(), ConnectError> {
        let mut progress = self.progress.subscribe();
        let after = |now: &Progress| now.opens > seen.opens || now.failures > seen.failures;
        let now = progress.wait_for(after).await.map(|now| now.clone());
        match now {
            Ok(now) if now.failures > seen.failures && now.opens == seen.opens => {
                Err(now.error.unwrap_or(ConnectError::Timeout))
            }
            // The sender lives in `self`.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Asks for the end of the connection. Returns what had happened before.
    pub(crate) fn ask_to_close(&self, frame: CloseFrame) -> Progress {
        let seen = {
            let mut state = self.state.lock();
            state.connect = false;
            state.close.get_or_insert(frame);
            self.progress.borrow().clone()
        };
        self.wake.notify_one();
        seen
    }

    /// Until a close that was asked for after `seen` is done.
    pub(crate) async fn is_closed(&self, seen: &Progress) {
        let mut progress = self.progress.subscribe();
        let _ = progress.wait_for(|now| now.closes > seen.closes).await;
    }
}

impl Waiting<'_> {
    /// Whether the server may have got the call.
    pub(crate) fn was_sent(&self) -> bool {
        self.core.state.lock().pending.get(&self.number).is_none_or(|pending| pending.sent)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.core.state.lock();
        let Some(pending) = state.pending.remove(&self.number) else { return };
        if !pending.sent {
            state.outbox.remove(self.number);
            drop(state);
            self.core.room.notify_waiters();
        }
    }
}

// What the task does.
impl Core {
    /// Until something is queued or asked for; it may have been before.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether a connection was asked for since this was answered last.
    pub(crate) fn takes_connect(&self) -> bool {
        std::mem::take(&mut self.state.lock().connect)
    }

    /// The close that was asked for, until it is [done](Self::close).
    pub(crate) fn asked_to_close(&self) -> Option<CloseFrame> {
        self.state.lock().close.clone()
    }

    /// The next request's frame. It counts as sent from now on.
    pub(crate) fn next_frame(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let request = state.outbox.pop()?;
        if let Some(pending) = state.pending.get_mut(&request.number) {
            pending.sent = true;
        }
        Some(request.frame)
    }

    /// Tells those who wait that the outbox has room again.
    pub(crate) fn made_room(&self) {
        self.room.notify_waiters();
    }

    /// The first attempt begins.
    pub(crate) fn connecting(&self) {
        let changed = {
            let mut state = self.state.lock();
            std::mem::replace(&mut state.status, Status::Connecting) != Status::Connecting
        };
        if changed {
            self.tell(Status::Connecting);
        }
    }

    /// There is a connection.
    pub(crate) fn open(&self) {
        {
            let mut state = self.state.lock();
            state.status = Status::Open;
            state.closed = None;
            self.progress.send_modify(|progress| progress.opens += 1);
        }
        self.tell(Status::Open);
    }

    /// An attempt has failed. What it means for the client is said next.
    pub(crate) fn failed(&self, error: ConnectError) {
        let _state = self.state.lock();
        self.progress.send_modify(|progress| {
            progress.failures += 1;
            progress.error = Some(error);
        });
    }

    /// The connection is lost: nobody will answer what was sent over it.
    pub(crate) fn lose_sent(&self, closed: &Closed) {
        let mut state = self.state.lock();
        let sent = state.pending.extract_if(|_, pending| pending.sent).collect::<Vec<_>>();
        drop(state);
        for (_, pending) in sent {
            let closed = closed.clone();
            let _ = pending.answer.send(Err(CallError::Disconnected { sent: true, closed }));
        }
    }

    /// There will be another attempt.
    pub(crate) fn reconnecting(&self, attempt: u32, delay: Duration, closed: &Closed) {
        let status = Status::Reconnecting { attempt, delay };
        let lost = {
            let mut state = self.state.lock();
            state.status = status;
            state.closed = Some(closed.clone());
            // Asked for while the attempt was under way that has just failed, or succeeded a while ago.
            state.connect = false;
            if self.limits.offline == Offline::Fail { state.abandon() } else { Abandoned::default() }
        };
        self.settle(lost, closed);
        self.tell(status);
    }

    /// There will be none: what waited for one is lost.
    pub(crate) fn give_up(&self, closed: &Closed) {
        let lost = {
            let mut state = self.state.lock();
            state.status = Status::Closed;
            state.closed = Some(closed.clone());
            state.connect = false;
            state.abandon()
        };
        self.settle(lost, closed);
        self.end();
    }

    /// The client is closed as it was asked to. Returns the sends that are still to leave.
    pub(crate) fn close(&self, frame: CloseFrame) -> Vec<Queued> {
        let closed = Closed::by_client(frame);
        let Abandoned { calls, sends } = {
            let mut state = self.state.lock();
            state.status = Status::Closed;
            state.closed = Some(closed.clone());
            state.close = None;
            let mut lost = state.abandon();
            lost.calls.extend(state.pending.drain().map(|(_, pending)| pending));
            self.progress.send_modify(|progress| {
                progress.failures += 1;
                progress.error = Some(ConnectError::Closed(closed.clone()));
            });
            lost
        };
        for pending in calls {
            let _ = pending.answer.send(Err(CallError::Closed(closed.clone())));
        }
        self.end();
        sends
    }

    /// Every byte of the goodbye is through.
    pub(crate) fn close_done(&self) {
        self.progress.send_modify(|progress| progress.closes += 1);
    }

    /// Reports sends that were queued and will not leave.
    pub(crate) fn report_lost(&self, name: &str) {
        self.reports.send(ReportKind::SendLost, Some(name), &"the connection ended before it was sent");
    }

    fn settle(&self, lost: Abandoned, closed: &Closed) {
        for pending in lost.calls {
            let closed = closed.clone();
            let _ = pending.answer.send(Err(CallError::Disconnected { sent: false, closed }));
        }
        for request in lost.sends {
            self.report_lost(&request.name);
        }
        self.room.notify_waiters();
    }

    fn end(&self) {
        self.room.notify_waiters();
        self.pushes.end();
        self.tell(Status::Closed);
    }

    fn tell(&self, status: Status) {
        self.statuses.status(status, &self.reports);
    }
}

// What arrives.
impl Core {
    pub(crate) fn receive(&self, kind: Kind, frame: &[u8]) {
        let format = self.limits.format;
        if kind != format.kind() {
            return self.malformed(&match format {
                Format::Json => "socka: expected JSON text frame",
                Format::MsgPack => "socka: expected ArrayBuffer msgpack frame",
            });
        }
        match Envelope::decode(format, frame) {
            Ok(Envelope::Response(response)) => self.respond(&response),
            Ok(Envelope::Error(error)) => self.refuse(&error),
            Ok(Envelope::Event(Event { event, body })) => {
                self.pushes.push(&event, Pushed { format, body }, &self.reports);
            }
            Ok(Envelope::Request(_)) => {
                self.malformed(&"socka: unexpected client-originated frame from server");
            }
            Err(error) => self.malformed(&error),
        }
    }

    fn malformed(&self, why: &dyn std::fmt::Display) {
        self.reports.send(ReportKind::Malformed, None, why);
    }

    fn respond(&self, response: &Response<'_>) {
        let Some(pending) = self.take_pending(&response.id) else {
            // A late answer is dropped. One to a send was never due.
            if self.is_send(&response.id) {
                self.reports.send(ReportKind::UnexpectedResponse, Some(&response.call), &response.id);
            }
            return;
        };
        let answer = if *response.call == *pending.name {
            Ok(Answer::new(self.limits.format, response.body))
        } else {
            let text =
                format!("the answer to {:?} says that it is of the call {:?}", response.id, response.call);
            Err(CallError::Decode(DecodeError::Invalid(text)))
        };
        let _ = pending.answer.send(answer);
    }

    fn refuse(&self, error: &ErrorResponse<'_>) {
        let refused = ServerError::new(error);
        let limited = refused.rate_limited();
        if let Some(pending) = self.take_pending(&error.id) {
            self.hold(&pending.name, limited);
            let refused = || CallError::Refused(Box::new(refused));
            let _ = pending.answer.send(Err(limited.map_or_else(refused, CallError::RateLimited)));
        } else if self.is_send(&error.id) {
            let name = parse_id(&error.id).map(|(name, _)| name);
            self.hold(name.unwrap_or_default(), limited);
            self.reports.server_error(ReportKind::SendFailed, name, &refused);
        } else if !self.is_ours(&error.id) {
            self.reports.server_error(ReportKind::OrphanError, error.call.as_deref(), &refused);
        }
    }

    /// Nothing of this name leaves before the server wants to hear it again.
    fn hold(&self, name: &str, limited: Option<RateLimited>) {
        let Some(RateLimited { retry_after }) = limited else { return };
        let now = Instant::now();
        // What no clock can hold nobody would wait for either.
        let Some(until) = now.checked_add(retry_after) else { return };
        let mut state = self.state.lock();
        state.held.retain(|_, until| *until > now);
        if state.held.len() < HELD_MAX || state.held.contains_key(name) {
            state.held.insert(name.into(), until);
        }
    }

    fn take_pending(&self, id: &str) -> Option<Pending> {
        let (name, number) = parse_id(id)?;
        let mut state = self.state.lock();
        let waits = state.pending.get(&number).is_some_and(|pending| *pending.name == *name && pending.sent);
        waits.then(|| state.pending.remove(&number)).flatten()
    }

    fn is_send(&self, id: &str) -> bool {
        parse_id(id).is_some_and(|(name, number)| {
            let state = self.state.lock();
            number <= state.last && state.sends.contains(name)
        })
    }

    fn is_ours(&self, id: &str) -> bool {
        parse_id(id).is_some_and(|(_, number)| (1..=self.state.lock().last).contains(&number))
    }
}

/// The id of a request.
pub(crate) fn request_id(name: &str, number: u64) -> String {
    format!("{name}-{number}")
}

/// The name and number that [`request_id`] was made of.
fn parse_id(id: &str) -> Option<(&str, u64)> {
    let (name, number) = id.rsplit_once('-')?;
    Some((name, number.parse().ok()?))
}

/// What will not be sent.
#[derive(Default)]
struct Abandoned {
    calls: Vec<Pending>,
    sends: Vec<Queued>,
}

impl State {
    /// Empties the outbox.
    fn abandon(&mut self) -> Abandoned {
        let mut lost = Abandoned::default();
        self.outbox.bytes = 0;
        for request in std::mem::take(&mut self.outbox.requests) {
            match request.kind {
                QueuedKind::Call => lost.calls.extend(self.pending.remove(&request.number)),
                QueuedKind::Send => lost.sends.push(request),
            }
        }
        lost
    }

    /// Whether the client does nothing more. A connection that was asked for meanwhile makes waiting worth while again.
    fn check_closed(&self) -> Result<(), CallError> {
        if let Some(frame) = &self.close {
            return Err(CallError::Closed(Closed::by_client(frame.clone())));
        }
        if self.status == Status::Closed && !self.connect {
            return Err(CallError::Closed(self.why_closed()));
        }
        Ok(())
    }

    fn why_closed(&self) -> Closed {
        self.closed.clone().unwrap_or_else(|| Closed::by_network("there was no connection yet"))
    }
}

impl Outbox {
    fn has_room(&self, bytes: usize, limits: &Limits) -> bool {
        self.requests.len() < limits.outbox_messages && self.bytes + bytes <= limits.outbox_bytes
    }

    fn push(&mut self, request: Queued) {
        self.bytes += request.frame.len();
        self.requests.push_back(request);
    }

    fn pop(&mut self) -> Option<Queued> {
        let request = self.requests.pop_front()?;
        self.bytes -= request.frame.len();
        Some(request)
    }

    fn remove(&mut self, number: u64) {
        let at = self.requests.iter().position(|request| request.number == number);
        if let Some(request) = at.and_then(|at| self.requests.remove(at)) {
            self.bytes -= request.frame.len();
        }
    }
}
