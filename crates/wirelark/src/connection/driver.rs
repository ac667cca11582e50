//! The task of one connection.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use wirelark_proto::{CloseCode, CloseFrame};

use super::Connection;

/// What a handler that came to its end asks for.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It returned normally: close with 1000, unless it asked to be kept open.
    Finished,
    /// Close so, unless that has happened already.
    Close(CloseFrame),
}

pub(crate) type Handler = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Polls a handler and its connection in one task, until both are done.
///
/// The handler may outlive the connection: it sees the end through `recv` and its token and finishes what
/// it was doing. `closed` runs when the connection has ended and either the handler has returned or the
/// close timeout has passed; the hub forgets the connection there.
pub(crate) struct Driver<F: FnOnce(&Connection)> {
    connection: Arc<Connection>,
    handler: Option<Handler>,
    /// Limits the close handshake, and after it how long a handler may keep its place in the hub. Made
    /// only when the connection ends: one at rest has no timer of its own.
    closing: Option<Pin<Box<Sleep>>>,
    /// Ends a handler that outlives its place in the hub, which could no longer be told to.
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    disconnected: bool,
    closed: Option<F>,
}

impl<F: FnOnce(&Connection)> Driver<F> {
    pub(crate) fn new(connection: Arc<Connection>, handler: Handler, closed: F) -> Self {
        Self {
            connection,
            handler: Some(handler),
            closing: None,
            stopped: None,
            disconnected: false,
            closed: Some(closed),
        }
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) {
        let Some(handler) = &mut self.handler else { return };
        // Made anew for each turn: a span that is kept costs every connection memory, this one only those
        // who have switched it on.
        let Connection { id, route, .. } = &*self.connection;
        let span = tracing::debug_span!("socket", route = &*route.pattern, connection = %id);
        let _entered = span.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx)));
        let outcome = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => {
                self.connection.route.counters.panicked();
                tracing::error!(
                    route = &*self.connection.route.pattern,
                    connection = %self.connection.id,
                    panic = panic_text(&*panic),
                    "socket handler panicked"
                );
                Outcome::Close(CloseFrame::new(CloseCode::INTERNAL, "handler error"))
            }
        };
        self.drop_handler();
        // What the peer's end had to wait for has not come, and will not.
        self.connection.settle_end();
        match outcome {
            Outcome::Finished if self.connection.is_kept_open() => {}
            Outcome::Finished => self.connection.close(CloseFrame::new(CloseCode::NORMAL, "")),
            Outcome::Close(frame) => self.connection.close(frame),
        }
    }

    /// The handler's own values go before the connection does, as at the end of any function. Their
    /// destructors are user code too.
    fn drop_handler(&mut self) {
        let handler = self.handler.take();
        if catch_unwind(AssertUnwindSafe(|| drop(handler))).is_err() {
            self.connection.route.counters.panicked();
        }
    }

    /// Whether the time a closing connection has is over.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.connection.route.limits.close_timeout;
        self.closing.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
    }

    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stopped = &self.connection.route.stopped;
        self.stopped.get_or_insert_with(|| Box::pin(stopped.clone().cancelled_owned())).as_mut().poll(cx)
    }

    fn forget(&mut self) {
        if let Some(closed) = self.closed.take() {
            closed(&self.connection);
        }
    }
}

impl<F: FnOnce(&Connection) + Unpin> Future for Driver<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.connection.begin_turn(cx.waker());
        if this.connection.is_killed() {
            this.drop_handler();
        }
        this.poll_handler(cx);
        let unsettled = this.connection.read_ahead(cx);
        if this.connection.end_turn(cx).is_ready() && !this.disconnected {
            this.disconnected = true;
            this.closing = None;
            // The handler may sit in a `recv` that was pending when it ran in this turn.
            cx.waker().wake_by_ref();
        }
        if this.connection.is_open() {
            if unsettled && this.poll_closing(cx).is_ready() {
                this.closing = None;
                this.connection.settle_end();
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        if this.disconnected && this.handler.is_none() {
            this.forget();
            return Poll::Ready(());
        }
        if this.closed.is_some() && this.poll_closing(cx).is_ready() {
            this.closing = None;
            if this.disconnected {
                this.forget();
            } else {
                this.connection.abort();
                cx.waker().wake_by_ref();
            }
        }
        if this.closed.is_none() && this.poll_stopped(cx).is_ready() {
            this.drop_handler();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<F: FnOnce(&Connection)> Drop for Driver<F> {
    /// A driver is dropped unfinished when a shutdown's deadline has passed.
    fn drop(&mut self) {
        if !self.disconnected {
            self.connection.abort();
        }
        self.forget();
    }
}

/// The message of a panic, for the log.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
