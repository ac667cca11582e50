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
use futures_util::FutureExt;
use tokio::time::timeout;
use wirelark_proto::contract::{DecodeError, Envelope, ErrorResponse, Format, Problem, RateLimited, Request};
use wirelark_proto::{Kind, Message};

use super::calls::{Calls, Entry};
use super::peers::Attendance;
use super::push;
use super::rates::Measured;
use super::session::Session;
use crate::app::failure::Failure;
use crate::app::permission::{self, Asked, Data, Policy};
use crate::app::socket::Socket;
use crate::app::work::{Ended, Job, Running, Work, problem_of};
use crate::connection::{Connection, ReportKind};

/// What all connections of a contract's route share.
pub(super) struct Service<C, T, D> {
    pub(super) server: Arc<T>,
    pub(super) calls: Calls<C, T, D>,
    /// Judges each call before it is begun.
    pub(super) policy: Option<Policy>,
    /// Calls of one connection that may run at the same time.
    pub(super) concurrency: usize,
    pub(super) call_timeout: Duration,
}

/// Which call of which request.
#[derive(Clone)]
struct Call {
    /// Of those that have begun.
    number: Option<NonZeroU64>,
    /// `None` if there is no call of the name that was asked for.
    name: Option<&'static str>,
    id: Arc<str>,
}

impl Job for Call {
    fn tell<R>(&self, to: impl FnOnce(Option<&str>, Option<&str>) -> R) -> R {
        to(self.name, Some(&self.id))
    }
}

/// What a frame led to.
enum Begun {
    Running(Call, Running),
    /// With what its client is told, and why.
    Refused(Call, Bytes, String),
    /// It came too often; with what its client is told.
    Limited(Call, Bytes),
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
    work: Work<Call>,
    measured: Measured,
    /// The number of the last call.
    last: u64,
    // Last, as its peers see it until the rest is gone.
    attendance: Attendance<C, D>,
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
            work: Work::none(),
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
            let connection = &self.attendance.inner().connection;
            ready!(self.work.poll_unsent(connection, cx));
            if let Some((call, ended)) = self.work.poll_ended(cx) {
                self.end(call, ended, cx);
                continue;
            }
            let running = self.work.running();
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
            return self.work.poll_outlived(&self.attendance.inner().connection, cx);
        }
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
            Begun::Running(call, running) => {
                let limit = self.service.call_timeout;
                if let Some((call, ended)) = self.work.start(call, running, limit, cx) {
                    self.end(call, ended, cx);
                }
            }
            Begun::Refused(to, frame, why) => {
                self.connection().report(ReportKind::Input, (to.name, Some(&to.id)), &why, None);
                self.send(push::reply(format, frame), to, cx);
            }
            // Counted and not reported: what a client can do this often must not fill a log.
            Begun::Limited(to, frame) => {
                self.connection().route.counters.rate_limited(1);
                self.send(push::reply(format, frame), to, cx);
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
                Some(Err(error)) => self.refused(&request, &Problem::new(error.to_string())),
                None => self.refused(&request, &Problem::new(format!("Unknown call: {}", request.call))),
            },
            Ok(_) => Begun::Malformed("socka: unexpected server-originated frame from client".to_owned()),
            Err(error) => Begun::Malformed(error.to_string()),
        }
    }

    /// Whether its caller may make a call. Asked before anything of it is decoded.
    fn permit(&self, entry: &Entry<C, T, D>, request: &Request<'_>) -> Result<(), Problem> {
        let connection = self.connection();
        let policy = self.service.policy.as_ref();
        let asked = Asked {
            contract: connection.route.contract.map(|contract| contract.name),
            name: entry.name,
            id: &request.id,
            connection: connection.id,
            user: None,
            data: Data::Body(request.body),
        };
        permission::check(connection, &entry.requirements, policy, asked)
    }

    fn refused(&self, request: &Request<'_>, problem: &Problem) -> Begun {
        let frame = error_frame(self.connection().format(), &request.id, &request.call, problem);
        let why = problem.message().to_owned();
        let name = self.service.calls.find(&request.call).map(|entry| entry.name);
        Begun::Refused(Call { number: None, name, id: Arc::from(&*request.id) }, frame, why)
    }

    fn check_rate(&mut self, request: &Request<'_>) -> Result<(), RateLimited> {
        let Some(entry) = self.service.calls.find(&request.call) else { return Ok(()) };
        let Some(limit) = &entry.limit else { return Ok(()) };
        let connection = &self.attendance.inner().connection;
        self.measured.check_call(entry.name, limit, || connection.user())
    }

    fn limited(&self, format: Format, request: &Request<'_>, limited: RateLimited) -> Begun {
        let frame = error_frame(format, &request.id, &request.call, &limited.into());
        let name = self.service.calls.find(&request.call).map(|entry| entry.name);
        Begun::Limited(Call { number: None, name, id: Arc::from(&*request.id) }, frame)
    }

    /// Begins the call, unless its body is not what it takes; `None` if there is no such call.
    fn try_begin(&mut self, request: &Request<'_>) -> Option<Result<Begun, DecodeError>> {
        let entry = self.service.calls.find(&request.call)?;
        if let Err(problem) = self.permit(entry, request) {
            return Some(Ok(self.refused(request, &problem)));
        }
        let number = NonZeroU64::MIN.saturating_add(self.last);
        let session = Session::for_call(Arc::clone(self.attendance.inner()), number);
        let id = Arc::from(&*request.id);
        // Decoding runs other people's code, and a handler may fail before there is a future of it.
        let invoke = || (entry.invoke)(&self.service.server, session, request, &id);
        let invoked = catch_unwind(AssertUnwindSafe(invoke));
        let running = invoked.unwrap_or_else(|_| Ok(Box::pin(ready(Err(Failure::Panicked)))));
        Some(running.map(|running| {
            self.last += 1;
            Begun::Running(Call { number: Some(number), name: Some(entry.name), id }, running)
        }))
    }

    fn end(&mut self, call: Call, ended: Ended, cx: &mut Context<'_>) {
        if let Some(number) = call.number {
            self.attendance.inner().end_call(number);
        }
        match ended {
            Ok(Some(answer)) => self.send(answer, call, cx),
            Ok(None) => {}
            Err(failure) => {
                let problem = problem_of(self.connection(), &call, failure);
                let format = self.connection().format();
                let frame = error_frame(format, &call.id, call.name.unwrap_or_default(), &problem);
                self.send(push::reply(format, frame), call, cx);
            }
        }
    }

    fn send(&mut self, answer: Message, to: Call, cx: &mut Context<'_>) {
        self.work.send(&self.attendance.inner().connection, answer, to, cx);
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
                    (this.socket, this.work) = (None, Work::none());
                    this.hook = Some(Arc::clone(&this.service).closed(this.session()));
                    this.stage = Stage::Closed;
                }
                Stage::Closed => return this.poll_hook(cx),
            }
        }
    }
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
