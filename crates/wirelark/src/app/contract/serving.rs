//! One connection of a contract: requests in, answers out.
//!
//! The order of a session's life: it is registered and in its room → its peers can see it → `attached` → its
//! messages → its token fires → `closed` → its peers no longer see it → its rooms are left.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_util::FutureExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::time::{Sleep, sleep, timeout};
use uuid::Uuid;
use wirelark_proto::contract::{DecodeError, Envelope, ErrorResponse, Format, Problem, Request};
use wirelark_proto::{Kind, Message};

use super::calls::{Calls, Ended, Running};
use super::failure::Failure;
use super::push;
use super::report::{Report, ReportKind, Reports};
use super::session::Session;
use crate::app::socket::Socket;

/// What all connections of a contract's route share.
pub(super) struct Service<C, T, D> {
    pub(super) server: Arc<T>,
    pub(super) calls: Calls<C, T, D>,
    pub(super) reports: Reports,
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
        this.running.as_mut().poll(cx).map(|result| (this.call.clone(), result))
    }
}

/// Which call of which request.
#[derive(Clone)]
struct Call {
    number: NonZeroU64,
    name: &'static str,
    id: Arc<str>,
}

/// What a frame led to.
enum Begun {
    Running(Call, Running),
    /// To be sent at once.
    Refused(Vec<u8>),
    Malformed(String),
}

enum Step {
    Received(Message),
    Ended(Call, Ended),
    /// Nothing more will be received, and nothing runs.
    Over,
}

/// Serves a session until its connection ends.
pub(super) async fn serve<C, T, D>(service: Arc<Service<C, T, D>>, session: Session<C, D>, socket: Socket)
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    let inner = Arc::clone(session.inner());
    if let Ok(room) = inner.hub.room(inner.room.clone()) {
        room.join(session.id());
    }
    let _present = session.user().map(|user| inner.hub.present(user.id(), session.id()));
    let _entered = inner.place.enter(&session);
    let attached = service.calls.run_attached(&service.server, session.clone());
    service.run_hook(&session, ReportKind::Attached, attached).await;
    let close_timeout = inner.connection.route.limits.close_timeout;
    let mut conversation = Conversation {
        service: &service,
        session: &session,
        socket,
        running: FuturesUnordered::new(),
        last: 0,
    };
    conversation.hold(close_timeout).await;
    let closed = service.calls.run_closed(&service.server, session.clone());
    let closed = service.run_hook(&session, ReportKind::Closed, closed);
    if timeout(close_timeout, closed).await.is_err() {
        service.report(
            &session,
            ReportKind::Closed,
            None,
            &"the hook took longer than the close timeout",
            None,
        );
    }
}

impl<C: 'static, T, D: Send + Sync + 'static> Service<C, T, D> {
    async fn run_hook(
        &self,
        session: &Session<C, D>,
        kind: ReportKind,
        hook: impl Future<Output = crate::Result>,
    ) {
        match AssertUnwindSafe(hook).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.report(session, kind, None, &error, None),
            Err(_) => self.report(session, kind, None, &"the hook panicked", None),
        }
    }

    fn report(
        &self,
        session: &Session<C, D>,
        kind: ReportKind,
        call: Option<&str>,
        error: &dyn Display,
        reference: Option<Uuid>,
    ) {
        let route = &session.inner().connection.route;
        self.reports.send(&Report {
            kind,
            route: &route.pattern,
            connection: session.id(),
            call,
            error,
            reference,
        });
    }
}

struct Conversation<'a, C, T, D> {
    service: &'a Service<C, T, D>,
    session: &'a Session<C, D>,
    socket: Socket,
    running: FuturesUnordered<Pending>,
    /// The number of the last call.
    last: u64,
}

impl<C, T, D> Conversation<'_, C, T, D>
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    /// Until the connection has ended and every call with it. Calls that run on when it ends have been told so
    /// by their token, and have `close_timeout` to come to an end; what they answer goes nowhere.
    async fn hold(&mut self, close_timeout: Duration) {
        let mut deadline = None;
        loop {
            match poll_fn(|cx| self.poll_step(cx, &mut deadline, close_timeout)).await {
                Step::Received(message) => self.receive(&message).await,
                Step::Ended(call, result) => self.end(&call, result).await,
                Step::Over => return,
            }
        }
    }

    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        deadline: &mut Option<Pin<Box<Sleep>>>,
        close_timeout: Duration,
    ) -> Poll<Step> {
        if !self.running.is_empty()
            && let Poll::Ready(Some((call, result))) = Pin::new(&mut self.running).poll_next(cx)
        {
            return Poll::Ready(Step::Ended(call, result));
        }
        if self.running.len() < self.service.concurrency {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(message)) => return Poll::Ready(Step::Received(message)),
                Poll::Ready(None) if self.running.is_empty() => return Poll::Ready(Step::Over),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        if self.session.inner().connection.is_cancelled() && !self.running.is_empty() {
            let deadline = deadline.get_or_insert_with(|| Box::pin(sleep(close_timeout)));
            if deadline.as_mut().poll(cx).is_ready() {
                self.running.clear();
                return Poll::Ready(Step::Over);
            }
        }
        Poll::Pending
    }

    async fn receive(&mut self, message: &Message) {
        let format = self.session.format();
        if (format, message.kind()) == (Format::MsgPack, Kind::Text) {
            return self.malformed(&"socka: unexpected JSON frame in msgpack mode");
        }
        if matches!(message.kind(), Kind::Ping | Kind::Pong) {
            return;
        }
        match self.begin(format, message.as_bytes()) {
            Begun::Running(call, running) => self.run(call, running).await,
            Begun::Refused(frame) => self.send(frame).await,
            Begun::Malformed(why) => self.malformed(&why),
        }
    }

    /// A frame nobody can be told about: socka's clients would not know what it belongs to.
    fn malformed(&self, why: &dyn Display) {
        self.session.inner().connection.route.counters.malformed();
        self.service.report(self.session, ReportKind::Malformed, None, why, None);
    }

    fn begin(&mut self, format: Format, frame: &[u8]) -> Begun {
        if let Some(request) = Request::scan(format, frame)
            && let Some(Ok(begun)) = self.try_begin(&request)
        {
            return begun;
        }
        // Unusual, or something is wrong: now it matters exactly what.
        match Envelope::decode(format, frame) {
            Ok(Envelope::Request(request)) => match self.try_begin(&request) {
                Some(Ok(begun)) => begun,
                Some(Err(error)) => Begun::Refused(error_frame(
                    format,
                    &request.id,
                    &request.call,
                    &Problem::new(error.to_string()),
                )),
                None => {
                    let text = format!("Unknown call: {}", request.call);
                    Begun::Refused(error_frame(format, &request.id, &request.call, &Problem::new(text)))
                }
            },
            Ok(_) => Begun::Malformed("socka: unexpected server-originated frame from client".to_owned()),
            Err(error) => Begun::Malformed(error.to_string()),
        }
    }

    /// Begins the call, unless its body is not what it takes; `None` if there is no such call.
    fn try_begin(&mut self, request: &Request<'_>) -> Option<Result<Begun, DecodeError>> {
        let entry = self.service.calls.find(&request.call)?;
        let number = NonZeroU64::MIN.saturating_add(self.last);
        let session = self.session.for_call(number);
        Some((entry.invoke)(&self.service.server, session, request).map(|running| {
            self.last += 1;
            Begun::Running(Call { number, name: entry.name, id: (&*request.id).into() }, running)
        }))
    }

    /// Most calls end without waiting for anything, and then cost nothing but themselves.
    async fn run(&mut self, call: Call, mut running: Running) {
        let first = poll_fn(|cx| Poll::Ready(catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)))));
        match first.await {
            Ok(Poll::Ready(result)) => self.end(&call, result).await,
            Err(_) => self.end(&call, Err(Failure::Panicked)).await,
            Ok(Poll::Pending) => {
                let limit = self.service.call_timeout;
                let running = async move {
                    match timeout(limit, AssertUnwindSafe(running).catch_unwind()).await {
                        Ok(Ok(result)) => result,
                        Ok(Err(_)) => Err(Failure::Panicked),
                        Err(_) => Err(Failure::TimedOut),
                    }
                };
                self.running.push(Pending { call, running: Box::pin(running) });
            }
        }
    }

    async fn end(&mut self, call: &Call, result: Ended) {
        self.session.end_call(call.number);
        match result {
            Ok(Some(frame)) => self.send(frame).await,
            Ok(None) => {}
            Err(failure) => {
                let problem = self.problem(call, failure);
                self.send(error_frame(self.session.format(), &call.id, call.name, &problem)).await;
            }
        }
    }

    /// What the client is told. What it is not told goes to the log.
    fn problem(&self, call: &Call, failure: Failure) -> Problem {
        let counters = &self.session.inner().connection.route.counters;
        match failure {
            Failure::Problem(problem) => problem,
            Failure::TimedOut => {
                self.service.report(
                    self.session,
                    ReportKind::Timeout,
                    Some(call.name),
                    &"the call timed out",
                    None,
                );
                Problem::new("the call took too long").code("TIMEOUT")
            }
            Failure::Internal(error) => self.internal(call, ReportKind::Handler, &error),
            Failure::Unwritable(error) => self.internal(call, ReportKind::Output, &error),
            Failure::Panicked => {
                counters.panicked();
                self.internal(call, ReportKind::Handler, &"the handler panicked")
            }
        }
    }

    fn internal(&self, call: &Call, kind: ReportKind, error: &dyn Display) -> Problem {
        let reference = Uuid::now_v7();
        self.service.report(self.session, kind, Some(call.name), error, Some(reference));
        Problem::new("internal error").code("INTERNAL").data(Reference { reference: reference.to_string() })
    }

    async fn send(&mut self, frame: Vec<u8>) {
        // A client that is gone needs no answer; `recv` says so next. Anything else that keeps an answer back
        // ends the connection, so that no caller waits for ever.
        let _ = self.socket.send(push::reply(self.session.format(), frame)).await;
    }
}

/// What a client can quote when it asks what went wrong.
#[derive(Serialize)]
struct Reference {
    reference: String,
}

/// An error as it travels. What cannot be written of it is left out.
fn error_frame(format: Format, id: &str, call: &str, problem: &Problem) -> Vec<u8> {
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
    frame
}
