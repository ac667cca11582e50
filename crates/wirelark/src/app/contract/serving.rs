//! One connection of a contract: requests in, answers out.
//!
//! The order of a session's life: it is registered and in its room → its peers can see it → `attached` → its
//! messages → its token fires → `closed` → its peers no longer see it → its rooms are left.

use std::fmt::Display;
use std::future::{Future, ready};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::FutureExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::time::{Sleep, sleep, timeout};
use uuid::Uuid;
use wirelark_proto::contract::{DecodeError, Envelope, ErrorResponse, Format, Problem, RateLimited, Request};
use wirelark_proto::{Kind, Message};

use super::calls::{Calls, Ended, Running};
use super::failure::Failure;
use super::peers::Attendance;
use super::push;
use super::rates::Measured;
use super::session::Session;
use crate::app::socket::Socket;
use crate::connection::{Connection, ReportKind, Unsent, Wish};

/// What all connections of a contract's route share.
pub(super) struct Service<C, T, D> {
    pub(super) server: Arc<T>,
    pub(super) calls: Calls<C, T, D>,
    /// Calls of one connection that may run at the same time.
    pub(super) concurrency: usize,
    pub(super) call_timeout: Duration,
}

/// A call that did not end at once.
struct Pending {
    call: Call,
    running: Running,
}

impl Future for Pending {
    type Output = (Call, Ended);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.running.as_mut().poll(cx).map(|ended| (this.call.clone(), ended))
    }
}

/// Which call of which request.
#[derive(Clone)]
struct Call {
    number: NonZeroU64,
    name: &'static str,
    id: Arc<str>,
}

/// What an answer is to: the id of a request, and its call if there is one of that name.
struct Answers {
    call: Option<&'static str>,
    id: Arc<str>,
}

impl Call {
    fn answered(self) -> Answers {
        Answers { call: Some(self.name), id: self.id }
    }

    fn known(&self) -> (Option<&str>, Option<&str>) {
        (Some(self.name), Some(&self.id))
    }
}

/// An answer that waits for room in the outbox.
struct Waiting {
    unsent: Unsent,
    to: Answers,
}

/// What a frame led to.
enum Begun {
    Running(Call, Running),
    /// With what its client is told, and why.
    Refused(Answers, Bytes, String),
    /// It came too often; with what its client is told.
    Limited(Answers, Bytes),
    Malformed(String),
}

impl<C, T, D> Service<C, T, D>
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    fn attached(self: Arc<Self>, session: Session<C, D>) -> Hook {
        Box::pin(async move {
            let hook = self.calls.run_attached(&self.server, session.clone());
            self.run_hook(&session, ReportKind::Attached, hook).await;
        })
    }

    fn closed(self: Arc<Self>, session: Session<C, D>) -> Hook {
        Box::pin(async move {
            let limit = session.inner().connection.route.limits.close_timeout;
            let hook = self.calls.run_closed(&self.server, session.clone());
            if timeout(limit, self.run_hook(&session, ReportKind::Closed, hook)).await.is_err() {
                let error = "the hook took longer than the close timeout";
                session.inner().connection.report(ReportKind::Closed, (None, None), &error, None);
            }
        })
    }

    async fn run_hook(
        &self,
        session: &Session<C, D>,
        kind: ReportKind,
        hook: impl Future<Output = crate::Result>,
    ) {
        let connection = &session.inner().connection;
        match AssertUnwindSafe(hook).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => connection.report(kind, (None, None), &error, None),
            Err(_) => connection.report(kind, (None, None), &"the hook panicked", None),
        }
    }
}

type Hook = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a session is in its life.
#[derive(Clone, Copy)]
enum Stage {
    Coming,
    Attached,
    Talking,
    Closed,
}

/// A session of one connection, from its beginning to its end.
///
/// A future by hand: one that is written `async` keeps its arguments twice, which every session at rest would pay for.
pub(super) struct Serving<C: 'static, T, D: Send + Sync + 'static> {
    service: Arc<Service<C, T, D>>,
    stage: Stage,
    /// The hook of the stage that runs one.
    hook: Option<Hook>,
    /// Until the session's last message.
    socket: Option<Socket>,
    running: Option<Box<RunningCalls>>,
    /// An answer that waits for room in the outbox.
    unsent: Option<Box<Waiting>>,
    measured: Measured,
    /// The number of the last call.
    last: u64,
    // Last, as its peers see it until the rest is gone.
    attendance: Attendance<C, D>,
}

#[derive(Default)]
struct RunningCalls {
    calls: FuturesUnordered<Pending>,
    /// When those that outlive the connection are dropped.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<C, T, D> Serving<C, T, D>
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    pub(super) fn new(
        service: Arc<Service<C, T, D>>,
        session: Session<C, D>,
        socket: Socket,
        measured: Measured,
    ) -> Self {
        Self {
            service,
            attendance: Attendance::of(session),
            stage: Stage::Coming,
            hook: None,
            socket: Some(socket),
            running: None,
            unsent: None,
            measured,
            last: 0,
        }
    }

    fn poll_hook(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(hook) = &mut self.hook {
            ready!(hook.as_mut().poll(cx));
            self.hook = None;
        }
        Poll::Ready(())
    }

    /// Ready when the connection has ended, and every call with it. Calls that run on when it ends have been told
    /// so by their token, and have the close timeout to come to an end; what they answer goes nowhere.
    fn poll_talk(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.poll_unsent(cx));
            if let Some((call, ended)) = self.poll_running(cx) {
                self.end(call, ended, cx);
                continue;
            }
            let running = self.running.as_ref().map_or(0, |running| running.calls.len());
            if running < self.service.concurrency
                && let Some(socket) = &mut self.socket
            {
                match socket.poll_unheard(cx) {
                    Poll::Ready(Some(message)) => {
                        self.receive(&message, cx);
                        continue;
                    }
                    Poll::Ready(None) if running == 0 => return Poll::Ready(()),
                    Poll::Ready(None) | Poll::Pending => {}
                }
            }
            return self.poll_outlived(cx);
        }
    }

    /// Ready when no answer waits: nothing else is done before, so that a client that reads no answers is not
    /// read from either.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = self.unsent.take() {
            self.send_on(*waiting, cx);
        }
        if self.unsent.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<(Call, Ended)> {
        let running = self.running.as_mut()?;
        match Pin::new(&mut running.calls).poll_next(cx) {
            Poll::Ready(Some(ended)) => Some(ended),
            Poll::Ready(None) => {
                self.running = None;
                None
            }
            Poll::Pending => None,
        }
    }

    /// Ready when calls have outlived their connection for too long.
    fn poll_outlived(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let connection = &self.attendance.inner().connection;
        let Some(running) = self.running.as_mut().filter(|_| connection.is_cancelled()) else {
            return Poll::Pending;
        };
        let limit = connection.route.limits.close_timeout;
        let deadline = running.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(())
    }

    fn receive(&mut self, message: &Message, cx: &mut Context<'_>) {
        let format = self.connection().format();
        if matches!(message.kind(), Kind::Ping | Kind::Pong) {
            return;
        }
        let message_rate = self.connection().route.limits.message_rate;
        let in_time = self.measured.check_message(message_rate);
        if (format, message.kind()) == (Format::MsgPack, Kind::Text) {
            self.tell_received(message, None);
            return self.malformed(&"socka: unexpected JSON frame in msgpack mode");
        }
        match self.begin(format, message, in_time) {
            Begun::Running(call, running) => self.run(call, running, cx),
            Begun::Refused(to, frame, why) => {
                self.connection().report(ReportKind::Input, (to.call, Some(&to.id)), &why, None);
                self.send(frame, to, cx);
            }
            // Counted and not reported: what a client can do this often must not fill a log.
            Begun::Limited(to, frame) => {
                self.connection().route.counters.rate_limited(1);
                self.send(frame, to, cx);
            }
            Begun::Malformed(why) => self.malformed(&why),
        }
    }

    /// Has the route's hook look at a message before anything is done about it.
    fn tell_received(&self, message: &Message, request: Option<&Request<'_>>) {
        let connection = self.connection();
        if connection.route.hooks.hear_received() {
            let call = request.and_then(|request| self.service.calls.find(&request.call));
            let id = request.map(|request| &*request.id);
            connection.received(call.map(|call| call.name), id, message.kind(), message.len());
        }
    }

    /// A frame nobody can be told about: socka's clients would not know what it belongs to.
    fn malformed(&self, why: &dyn Display) {
        self.connection().route.counters.malformed();
        self.connection().report(ReportKind::Malformed, (None, None), why, None);
    }

    fn connection(&self) -> &Connection {
        &self.attendance.inner().connection
    }

    fn session(&self) -> Session<C, D> {
        self.attendance.session()
    }

    fn begin(&mut self, format: Format, message: &Message, in_time: Result<(), RateLimited>) -> Begun {
        let scanned = Request::scan(format, message.as_bytes());
        if let Some(request) = &scanned {
            self.tell_received(message, Some(request));
            if let Err(limited) = in_time.and_then(|()| self.check_rate(request)) {
                return self.limited(format, request, limited);
            }
            if let Some(Ok(begun)) = self.try_begin(request) {
                return begun;
            }
        }
        // Unusual, or something is wrong: now it matters exactly what.
        let decoded = Envelope::decode(format, message.as_bytes());
        if scanned.is_none() {
            let request = match &decoded {
                Ok(Envelope::Request(request)) => Some(request),
                _ => None,
            };
            self.tell_received(message, request);
        }
        if scanned.is_none()
            && let Ok(Envelope::Request(request)) = &decoded
            && let Err(limited) = in_time.and_then(|()| self.check_rate(request))
        {
            return self.limited(format, request, limited);
        }
        match decoded {
            Ok(Envelope::Request(request)) => match self.try_begin(&request) {
                Some(Ok(begun)) => begun,
                Some(Err(error)) => self.refused(format, &request, error.to_string()),
                None => self.refused(format, &request, format!("Unknown call: {}", request.call)),
            },
            Ok(_) => Begun::Malformed("socka: unexpected server-originated frame from client".to_owned()),
            Err(error) => Begun::Malformed(error.to_string()),
        }
    }

    fn refused(&self, format: Format, request: &Request<'_>, why: String) -> Begun {
        let frame = error_frame(format, &request.id, &request.call, &Problem::new(&*why));
        let call = self.service.calls.find(&request.call).map(|entry| entry.name);
        Begun::Refused(Answers { call, id: Arc::from(&*request.id) }, frame, why)
    }

    fn check_rate(&mut self, request: &Request<'_>) -> Result<(), RateLimited> {
        let Some(entry) = self.service.calls.find(&request.call) else { return Ok(()) };
        let Some(limit) = &entry.limit else { return Ok(()) };
        let connection = &self.attendance.inner().connection;
        self.measured.check_call(entry.name, limit, || connection.user())
    }

    fn limited(&self, format: Format, request: &Request<'_>, limited: RateLimited) -> Begun {
        let frame = error_frame(format, &request.id, &request.call, &limited.into());
        let call = self.service.calls.find(&request.call).map(|entry| entry.name);
        Begun::Limited(Answers { call, id: Arc::from(&*request.id) }, frame)
    }

    /// Begins the call, unless its body is not what it takes; `None` if there is no such call.
    fn try_begin(&mut self, request: &Request<'_>) -> Option<Result<Begun, DecodeError>> {
        let entry = self.service.calls.find(&request.call)?;
        let number = NonZeroU64::MIN.saturating_add(self.last);
        let session = Session::for_call(Arc::clone(self.attendance.inner()), number);
        let id = Arc::from(&*request.id);
        // Decoding runs other people's code, and a handler may fail before there is a future of it.
        let invoke = || (entry.invoke)(&self.service.server, session, request, &id);
        let invoked = catch_unwind(AssertUnwindSafe(invoke));
        let running = invoked.unwrap_or_else(|_| Ok(Box::pin(ready(Err(Failure::Panicked)))));
        Some(running.map(|running| {
            self.last += 1;
            Begun::Running(Call { number, name: entry.name, id }, running)
        }))
    }

    /// Most calls end without waiting for anything, and then cost nothing but themselves.
    fn run(&mut self, call: Call, mut running: Running, cx: &mut Context<'_>) {
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
            Ok(Poll::Ready(ended)) => self.end(call, ended, cx),
            Err(_) => self.end(call, Err(Failure::Panicked), cx),
            Ok(Poll::Pending) => {
                let limit = self.service.call_timeout;
                let running = Box::pin(async move {
                    match timeout(limit, AssertUnwindSafe(running).catch_unwind()).await {
                        Ok(Ok(ended)) => ended,
                        Ok(Err(_)) => Err(Failure::Panicked),
                        Err(_) => Err(Failure::TimedOut),
                    }
                });
                self.running.get_or_insert_default().calls.push(Pending { call, running });
            }
        }
    }

    fn end(&mut self, call: Call, ended: Ended, cx: &mut Context<'_>) {
        self.attendance.inner().end_call(call.number);
        match ended {
            Ok(Some(frame)) => self.send(frame, call.answered(), cx),
            Ok(None) => {}
            Err(failure) => {
                let problem = self.problem(&call, failure);
                let frame = error_frame(self.connection().format(), &call.id, call.name, &problem);
                self.send(frame, call.answered(), cx);
            }
        }
    }

    /// What the client is told. What it is not told goes to the log.
    fn problem(&self, call: &Call, failure: Failure) -> Problem {
        match failure {
            Failure::Problem(problem) => {
                self.connection().report(ReportKind::Problem, call.known(), &problem.message(), None);
                problem
            }
            Failure::TimedOut => {
                let error = "the call timed out";
                self.connection().report(ReportKind::Timeout, call.known(), &error, None);
                Problem::new("the call took too long").code("TIMEOUT")
            }
            Failure::Internal(error) => self.internal(call, ReportKind::Handler, &error),
            Failure::Unwritable(error) => self.internal(call, ReportKind::Output, &error),
            Failure::Panicked => {
                self.connection().route.counters.panicked();
                self.internal(call, ReportKind::Handler, &"the handler panicked")
            }
        }
    }

    fn internal(&self, call: &Call, kind: ReportKind, error: &dyn Display) -> Problem {
        let reference = Uuid::now_v7();
        self.connection().report(kind, call.known(), error, Some(reference));
        Problem::new("internal error").code("INTERNAL").data(Reference { reference: reference.to_string() })
    }

    fn send(&mut self, frame: Bytes, to: Answers, cx: &mut Context<'_>) {
        let message = push::reply(self.connection().format(), frame);
        self.send_on(Waiting { unsent: Unsent::Message(message), to }, cx);
    }

    /// Queues an answer, or keeps it until there is room. A client that is gone needs none, and `recv` says so
    /// next.
    fn send_on(&mut self, waiting: Waiting, cx: &mut Context<'_>) {
        let Waiting { unsent, to } = waiting;
        let (kind, bytes) = unsent.kind_and_bytes();
        let mut unsent = Some(unsent);
        let polled = self.connection().poll_send(cx, &mut unsent, Wish::Answer);
        if self.connection().route.hooks.hear_sent() && matches!(polled, Poll::Ready(Ok(()))) {
            self.connection().sent(to.call, Some(&to.id), kind, bytes);
        }
        self.unsent = unsent.map(|unsent| Box::new(Waiting { unsent, to }));
    }
}

impl<C, T, D> Future for Serving<C, T, D>
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            match this.stage {
                Stage::Coming => {
                    this.attendance.begin();
                    this.hook = Some(Arc::clone(&this.service).attached(this.session()));
                    this.stage = Stage::Attached;
                }
                Stage::Attached => {
                    ready!(this.poll_hook(cx));
                    this.stage = Stage::Talking;
                }
                Stage::Talking => {
                    ready!(this.poll_talk(cx));
                    (this.socket, this.running, this.unsent) = (None, None, None);
                    this.hook = Some(Arc::clone(&this.service).closed(this.session()));
                    this.stage = Stage::Closed;
                }
                Stage::Closed => return this.poll_hook(cx),
            }
        }
    }
}

/// What a client can quote when it asks what went wrong.
#[derive(Serialize)]
struct Reference {
    reference: String,
}

/// An error as it travels. What cannot be written of it is left out.
fn error_frame(format: Format, id: &str, call: &str, problem: &Problem) -> Bytes {
    let mut frame = Vec::new();
    let error = ErrorResponse {
        id: id.into(),
        error: problem.message().into(),
        call: Some(call.into()),
        code: problem.as_code().map(Into::into),
        data: problem.as_data(),
    };
    if error.encode(format, &mut frame).is_err() {
        let _ = ErrorResponse { data: None, ..error }.encode(format, &mut frame);
    }
    frame.into()
}
