//! One connection of a message route: messages in, replies out.
//!
//! The order of its life: it is registered → `attached` → its messages → its token fires → `closed` → its rooms are left.

use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::Response;
use http::request::Parts;
use wirelark_proto::contract::RateLimited;
use wirelark_proto::{Kind, Message};

use super::extract::{Incoming, RequestId};
use super::handler::{AnyHandler, AnyKept, Choice, MessageHandler, Refused, Slot};
use super::reply::error_message;
use crate::app::failure::Failure;
use crate::app::socket::Socket;
use crate::app::work::{Ended, Job, Work, problem_of};
use crate::connection::Connection;
use crate::rate::Meter;

/// What all connections of a message route share.
pub(super) struct Service<H, S> {
    pub(super) handler: H,
    pub(super) attached: Option<Box<dyn AnyHandler<S>>>,
    pub(super) closed: Option<Box<dyn AnyHandler<S>>>,
    /// Messages of one connection that may be handled at the same time.
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
    pub(super) state: S,
}

/// What is kept of the upgrade request.
pub(super) struct Kept<K> {
    handler: K,
    hooks: Option<Box<HooksKept>>,
}

#[derive(Default)]
struct HooksKept {
    attached: AnyKept,
    closed: AnyKept,
}

impl<H, S: Sync> Service<H, S> {
    pub(super) async fn keep<M>(&self, parts: &mut Parts) -> Result<Kept<H::Kept>, Response>
    where
        H: MessageHandler<M, S>,
    {
        let handler = self.handler.keep(parts, &self.state).await?;
        let mut hooks = HooksKept::default();
        if let Some(hook) = &self.attached {
            hooks.attached = hook.keep(parts, &self.state).await?;
        }
        if let Some(hook) = &self.closed {
            hooks.closed = hook.keep(parts, &self.state).await?;
        }
        let keeps = hooks.attached.is_some() || hooks.closed.is_some();
        Ok(Kept { handler, hooks: keeps.then(|| Box::new(hooks)) })
    }
}

/// Which message.
#[derive(Clone, Copy)]
struct Which {
    event: Option<&'static str>,
    id: RequestId,
}

impl Job for Which {
    fn tell<R>(&self, to: impl FnOnce(Option<&str>, Option<&str>) -> R) -> R {
        to(self.event, Some(&self.id.to_string()))
    }
}

/// What runs without a message.
#[derive(Clone, Copy)]
enum Hook {
    Attached,
    Closed,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Closed => "closed",
        }
    }
}

/// Where a connection is in its life.
#[derive(Clone, Copy)]
enum Stage {
    Coming,
    Attached,
    Talking,
    Closed,
}

/// A connection of a message route, from its beginning to its end. At rest it holds its socket, what its handlers keep
/// of the upgrade request, and nothing else.
pub(super) struct Serving<H: MessageHandler<M, S>, M, S> {
    service: Arc<Service<H, S>>,
    socket: Socket,
    kept: Kept<H::Kept>,
    work: Work<Which>,
    /// Where handlers run, during a burst.
    slot: Option<Pin<Box<Slot<H::Running>>>>,
    /// How often messages come, where that is limited; made for the first one.
    meter: Option<Box<Meter>>,
    /// The number of the last message.
    last: u64,
    stage: Stage,
    marker: PhantomData<fn(M)>,
}

/// Nothing in it is pinned in place: what waits is in boxes.
impl<H: MessageHandler<M, S>, M, S> Unpin for Serving<H, M, S> {}

impl<H, M, S> Serving<H, M, S>
where
    H: MessageHandler<M, S>,
    S: Send + Sync + 'static,
{
    pub(super) fn new(service: Arc<Service<H, S>>, kept: Kept<H::Kept>, socket: Socket) -> Self {
        Self {
            service,
            socket,
            kept,
            work: Work::none(),
            slot: None,
            meter: None,
            last: 0,
            stage: Stage::Coming,
            marker: PhantomData,
        }
    }

    fn connection(&self) -> &Connection {
        self.socket.shared()
    }

    /// Ready when the connection has ended, and every handler with it. Those that run on when it ends have been told so
    /// by their token, and have the close timeout to come to an end; what they return goes nowhere.
    fn poll_talk(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.work.is_done() {
                ready!(self.work.poll_unsent(self.socket.shared(), cx));
                if let Some((which, ended)) = self.work.poll_ended(cx) {
                    self.end(which, ended, cx);
                    continue;
                }
            }
            let running = self.work.running();
            if running < self.service.concurrency {
                match self.socket.poll_unheard(cx) {
                    Poll::Ready(Some(message)) => {
                        self.receive(message, cx);
                        continue;
                    }
                    Poll::Ready(None) if running == 0 => return Poll::Ready(()),
                    Poll::Ready(None) | Poll::Pending => {}
                }
            }
            self.slot = None;
            return self.work.poll_outlived(self.socket.shared(), cx);
        }
    }

    fn receive(&mut self, message: Message, cx: &mut Context<'_>) {
        if matches!(message.kind(), Kind::Ping | Kind::Pong) {
            return;
        }
        self.last += 1;
        let id = RequestId::new(self.socket.id(), NonZeroU64::new(self.last));
        // What comes too often is not even looked into.
        let chosen = match self.check_rate() {
            Ok(()) if H::TAKES_MESSAGES => self.service.handler.choose(&message).map_err(Refused::from),
            Ok(()) => Ok(Choice::default()),
            Err(limited) => Err(limited.into()),
        };
        let event = chosen.as_ref().ok().and_then(|choice| choice.event);
        let which = Which { event, id };
        if self.connection().route.hooks.hear_received() {
            which.tell(|event, id| self.connection().received(event, id, message.kind(), message.len()));
        }
        if !H::TAKES_MESSAGES {
            return;
        }
        let Self { service, socket, kept, .. } = self;
        let begin = || {
            let incoming = Incoming::new(Some(message), socket, id, event);
            service.handler.begin(chosen?, incoming, &kept.handler, &service.state)
        };
        // Extractors run other people's code, and a handler may fail before there is a future of it.
        match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(Ok(running)) => self.run(which, running, cx),
            Ok(Err(Refused(failure))) => self.end(which, Err(failure), cx),
            Err(_) => self.end(which, Err(Failure::Panicked), cx),
        }
    }

    /// Counts a message, whatever it is.
    fn check_rate(&mut self) -> Result<(), RateLimited> {
        let Some(rate) = self.connection().route.limits.message_rate else { return Ok(()) };
        self.meter.get_or_insert_with(|| Box::new(Meter::checked(rate))).check()
    }

    /// Most handlers end without waiting for anything, and then cost nothing but themselves.
    #[inline]
    fn run(&mut self, which: Which, running: H::Running, cx: &mut Context<'_>) {
        let mut slot = match self.slot.take() {
            Some(mut slot) => {
                slot.as_mut().put(running);
                slot
            }
            None => Slot::of(running),
        };
        match catch_unwind(AssertUnwindSafe(|| slot.as_mut().poll(cx))) {
            Ok(Poll::Ready(ended)) => {
                slot.as_mut().clear();
                self.slot = Some(slot);
                self.end(which, ended, cx);
            }
            Ok(Poll::Pending) => self.work.wait(which, slot, self.service.timeout),
            Err(_) => self.end(which, Err(Failure::Panicked), cx),
        }
    }

    /// Begins a hook, which is a handler without a message.
    fn begin_hook(&mut self, hook: Hook, limit: Duration, cx: &mut Context<'_>) {
        let Self { service, socket, kept, .. } = self;
        let Some(handler) = (match hook {
            Hook::Attached => &service.attached,
            Hook::Closed => &service.closed,
        }) else {
            return;
        };
        let kept = kept.hooks.as_ref().map_or(&None, |hooks| match hook {
            Hook::Attached => &hooks.attached,
            Hook::Closed => &hooks.closed,
        });
        let id = RequestId::new(socket.id(), None);
        let begin = || handler.begin(Incoming::new(None, socket, id, None), kept, &service.state);
        let which = Which { event: Some(hook.name()), id };
        match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(Ok(running)) => {
                if let Some((which, ended)) = self.work.start(which, running, limit, cx) {
                    self.end(which, ended, cx);
                }
            }
            Ok(Err(Refused(failure))) => self.end(which, Err(failure), cx),
            Err(_) => self.end(which, Err(Failure::Panicked), cx),
        }
    }

    /// Ready when the hook has ended, and what it returned is queued.
    fn poll_hook(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.work.poll_unsent(self.socket.shared(), cx));
            match self.work.poll_ended(cx) {
                Some((which, ended)) => self.end(which, ended, cx),
                None if self.work.running() == 0 => return Poll::Ready(()),
                None => return self.work.poll_outlived(self.socket.shared(), cx),
            }
        }
    }

    #[inline]
    fn end(&mut self, which: Which, ended: Ended, cx: &mut Context<'_>) {
        let reply = match ended {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(failure) => error_message(&problem_of(self.connection(), &which, failure)),
        };
        self.work.send(self.socket.shared(), reply, which, cx);
    }
}

impl<H, M, S> Future for Serving<H, M, S>
where
    H: MessageHandler<M, S>,
    S: Send + Sync + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            match this.stage {
                Stage::Coming => {
                    this.begin_hook(Hook::Attached, this.service.timeout, cx);
                    this.stage = Stage::Attached;
                }
                Stage::Attached => {
                    ready!(this.poll_hook(cx));
                    this.stage = Stage::Talking;
                }
                Stage::Talking => {
                    ready!(this.poll_talk(cx));
                    this.work = Work::none();
                    let limit = this.connection().route.limits.close_timeout;
                    this.begin_hook(Hook::Closed, limit, cx);
                    this.stage = Stage::Closed;
                }
                Stage::Closed => return this.poll_hook(cx),
            }
        }
    }
}
