//! The task of one connection.

use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use wirelark_proto::{CloseCode, CloseFrame};

use super::{Connection, ReportKind};

/// What a handler that came to its end asks for.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It returned normally: close with 1000, unless it asked to be kept open.
    Finished,
    /// Close so, unless that has happened already.
    Close(CloseFrame),
    /// It failed, for reasons that are not the client's business: close with 1011.
    Failed(Box<dyn Error + Send + Sync>),
}

/// What a handler's result asks for. The floor above says it for its own types.
pub(crate) trait Conclude {
    fn conclude(self) -> Outcome;
}

/// What has to be decided before the handler runs: whether it may.
pub(crate) type Gate = Pin<Box<dyn Future<Output = bool> + Send>>;

pin_project_lite::pin_project! {
    /// Polls a handler and its connection in one task, until both are done.
    ///
    /// The handler may outlive the connection: it sees the end through `recv` and its token and finishes what
    /// it was doing. `closed` runs when the connection has ended and either the handler has returned or the
    /// close timeout has passed; the hub forgets the connection there.
    ///
    /// The handler lies in the task itself: in a box of its own it would cost each connection another
    /// allocation.
    pub(crate) struct Driver<H: Future<Output: Conclude>, F: FnOnce(&Connection)> {
        connection: Arc<Connection>,
        #[pin]
        handler: Option<H>,
        // Made only while the connection begins or ends: one at rest has no timer of its own.
        edges: Option<Box<Edges>>,
        disconnected: bool,
        closed: Option<F>,
    }

    impl<H: Future<Output: Conclude>, F: FnOnce(&Connection)> PinnedDrop for Driver<H, F> {
        // A driver is dropped unfinished when a shutdown's deadline has passed.
        fn drop(this: Pin<&mut Self>) {
            if !this.disconnected {
                this.connection.abort();
            }
            this.connection.disown();
            this.forget();
        }
    }
}

/// What the beginning and the end of a connection wait for.
#[derive(Default)]
struct Edges {
    /// Keeps the handler from running until it is decided that it may.
    gate: Option<Gate>,
    /// Limits the close handshake, and after it how long a handler may keep its place in the hub.
    closing: Option<Pin<Box<Sleep>>>,
    /// Ends a handler that outlives its place in the hub, which could no longer be told to.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<H: Future<Output: Conclude>, F: FnOnce(&Connection)> Driver<H, F> {
    pub(crate) fn new(connection: Arc<Connection>, handler: H, closed: F) -> Self {
        Self { connection, handler: Some(handler), edges: None, disconnected: false, closed: Some(closed) }
    }

    /// The handler first runs when the gate has let it; if that keeps it out, never.
    pub(crate) fn behind(mut self, gate: Option<Gate>) -> Self {
        self.edges = gate.map(|gate| Box::new(Edges { gate: Some(gate), ..Edges::default() }));
        self
    }

    /// Whether the handler may run.
    fn poll_gate(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.as_mut().project();
        let Some(gate) = this.edges.as_mut().and_then(|edges| edges.gate.as_mut()) else { return true };
        let admitted = match catch_unwind(AssertUnwindSafe(|| gate.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(admitted)) => admitted,
            Err(panic) => {
                this.connection.route.counters.panicked();
                let error = format!("the sign-in panicked: {}", panic_text(&*panic));
                this.connection.report(ReportKind::Handler, (None, None), &error, None);
                this.connection.close(CloseFrame::new(CloseCode::INTERNAL, "handler error"));
                false
            }
        };
        // A connection at rest keeps nothing of it.
        let edges = this.edges.take();
        this.connection.contain(|| drop(edges));
        if !admitted {
            self.drop_handler();
        }
        admitted
    }

    fn poll_handler(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if !self.as_mut().poll_gate(cx) {
            return;
        }
        let this = self.as_mut().project();
        let Some(handler) = this.handler.as_pin_mut() else { return };
        // Made anew for each turn: a span that is kept costs every connection memory, this one only those
        // who have switched it on.
        let Connection { id, route, .. } = &**this.connection;
        let span = tracing::debug_span!("socket", route = &*route.pattern, connection = %id);
        let _entered = span.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| handler.poll(cx)));
        let outcome = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(output)) => output.conclude(),
            Err(panic) => {
                route.counters.panicked();
                Outcome::Failed(format!("the handler panicked: {}", panic_text(&*panic)).into())
            }
        };
        self.as_mut().drop_handler();
        // What the peer's end had to wait for has not come, and will not.
        self.connection.settle_end();
        match outcome {
            Outcome::Finished if self.connection.is_kept_open() => {}
            Outcome::Finished => self.connection.close(CloseFrame::new(CloseCode::NORMAL, "")),
            Outcome::Close(frame) => self.connection.close(frame),
            Outcome::Failed(error) => {
                self.connection.report(ReportKind::Handler, (None, None), &error, None);
                self.connection.close(CloseFrame::new(CloseCode::INTERNAL, "handler error"));
            }
        }
    }

    /// The handler's own values go before the connection does, as at the end of any function. Their
    /// destructors are user code too.
    fn drop_handler(self: Pin<&mut Self>) {
        let mut this = self.project();
        let gate = this.edges.as_mut().and_then(|edges| edges.gate.take());
        this.connection.contain(|| drop(gate));
        this.connection.contain(|| this.handler.set(None));
    }

    /// Whether the time a closing connection has is over.
    fn poll_closing(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let timeout = this.connection.route.limits.close_timeout;
        let closing = &mut this.edges.get_or_insert_default().closing;
        closing.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
    }

    /// The time a closing connection has begins anew when it is next asked for.
    fn reset_closing(self: Pin<&mut Self>) {
        if let Some(edges) = self.project().edges {
            edges.closing = None;
        }
    }

    fn poll_stopped(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let stopped = &this.connection.route.stopped;
        let ended = &mut this.edges.get_or_insert_default().stopped;
        ended.get_or_insert_with(|| Box::pin(stopped.clone().cancelled_owned())).as_mut().poll(cx)
    }

    fn forget(self: Pin<&mut Self>) {
        let this = self.project();
        if let Some(closed) = this.closed.take() {
            closed(this.connection);
        }
    }
}

impl<H: Future<Output: Conclude>, F: FnOnce(&Connection)> Future for Driver<H, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.begin_turn(cx.waker());
        if self.connection.is_killed() {
            self.as_mut().drop_handler();
        }
        self.as_mut().poll_handler(cx);
        let unsettled = self.connection.read_ahead(cx);
        if self.connection.end_turn(cx).is_ready() && !self.disconnected {
            *self.as_mut().project().disconnected = true;
            self.as_mut().reset_closing();
            // The handler may sit in a `recv` that was pending when it ran in this turn.
            cx.waker().wake_by_ref();
        }
        if self.connection.is_open() {
            if unsettled && self.as_mut().poll_closing(cx).is_ready() {
                self.as_mut().reset_closing();
                self.connection.settle_end();
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        if self.disconnected && self.handler.is_none() {
            self.forget();
            return Poll::Ready(());
        }
        if self.closed.is_some() && self.as_mut().poll_closing(cx).is_ready() {
            self.as_mut().reset_closing();
            if self.disconnected {
                self.as_mut().forget();
            } else {
                self.connection.abort();
                cx.waker().wake_by_ref();
            }
        }
        if self.closed.is_none() && self.as_mut().poll_stopped(cx).is_ready() {
            self.drop_handler();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Connection {
    /// Runs a piece of somebody else's code that has nobody to tell when it panics.
    fn contain(&self, run: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            self.route.counters.panicked();
        }
    }
}

/// The message of a panic, for the log.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
