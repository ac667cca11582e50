//! The work of a connection whose handler runs once per message: what is running, and what waits to be sent.
//!
//! At rest there is none, and it takes two words.

use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_util::FutureExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::time::{Sleep, sleep, timeout};
use uuid::Uuid;
use wirelark_proto::contract::Problem;
use wirelark_proto::{Kind, Message};

use super::failure::Failure;
use crate::connection::{Connection, ReportKind, Unsent, Wish};

/// How a job ended: with its answer, if there is to be one, or with what went wrong.
pub(super) type Ended = Result<Option<Message>, Failure>;

/// A job that has begun.
pub(super) type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// What tells a connection's jobs apart, for whoever hears of them.
pub(super) trait Job: Clone + Unpin {
    /// Says the call or event, and the id of the request.
    fn tell<R>(&self, to: impl FnOnce(Option<&str>, Option<&str>) -> R) -> R;
}

/// Jobs of one connection: those that wait for something, and an answer that waits for room in the outbox.
pub(super) struct Work<J> {
    running: Option<Box<RunningJobs<J>>>,
    unsent: Option<Box<Waiting<J>>>,
}

struct RunningJobs<J> {
    jobs: FuturesUnordered<Pending<J>>,
    /// When those that outlive the connection are dropped.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// A job that did not end at once.
struct Pending<J> {
    job: J,
    running: Running,
}

struct Waiting<J> {
    unsent: Unsent,
    to: J,
}

impl<J: Job> Future for Pending<J> {
    type Output = (J, Ended);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.running.as_mut().poll(cx).map(|ended| (this.job.clone(), ended))
    }
}

impl<J> Work<J> {
    pub(super) fn none() -> Self {
        Self { running: None, unsent: None }
    }
}

impl<J: Job> Work<J> {
    /// Whether nothing runs and nothing waits: so it is between two messages, and during most bursts.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.running.is_none() && self.unsent.is_none()
    }

    /// Jobs that wait for something.
    pub(super) fn running(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.jobs.len())
    }

    /// Begins a job. Most end without waiting for anything, and then cost nothing but themselves.
    pub(super) fn start(
        &mut self,
        job: J,
        mut running: Running,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Option<(J, Ended)> {
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
            Ok(Poll::Ready(ended)) => Some((job, ended)),
            Ok(Poll::Pending) => {
                self.wait(job, running, limit);
                None
            }
            Err(_) => Some((job, Err(Failure::Panicked))),
        }
    }

    /// Gives a job that has been polled, and waits for something, so much time.
    pub(super) fn wait(&mut self, job: J, running: Running, limit: Duration) {
        let running = Box::pin(async move {
            match timeout(limit, AssertUnwindSafe(running).catch_unwind()).await {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) => Err(Failure::Panicked),
                Err(_) => Err(Failure::TimedOut),
            }
        });
        let none = || Box::new(RunningJobs { jobs: FuturesUnordered::new(), deadline: None });
        self.running.get_or_insert_with(none).jobs.push(Pending { job, running });
    }

    /// A job that has ended. `None` if none has, which says nothing of those that wait.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Option<(J, Ended)> {
        let running = self.running.as_mut()?;
        match Pin::new(&mut running.jobs).poll_next(cx) {
            Poll::Ready(Some(ended)) => Some(ended),
            Poll::Ready(None) => {
                self.running = None;
                None
            }
            Poll::Pending => None,
        }
    }

    /// Ready when jobs have outlived their connection for longer than the close timeout, and are dropped.
    pub(super) fn poll_outlived(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<()> {
        let Some(running) = self.running.as_mut().filter(|_| connection.is_cancelled()) else {
            return Poll::Pending;
        };
        let limit = connection.route.limits.close_timeout;
        let deadline = running.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(())
    }

    /// Queues an answer, or keeps it until there is room. A client that is gone needs none, and `recv` says so
    /// next.
    #[inline]
    pub(super) fn send(&mut self, connection: &Connection, message: Message, to: J, cx: &mut Context<'_>) {
        if connection.join(&message, &Wish::Answer) {
            return tell_sent(connection, &to, message.kind(), message.len());
        }
        self.send_on(connection, Waiting { unsent: Unsent::Message(message), to }, cx);
    }

    /// Ready when no answer waits: nothing else is done before, so that a client that reads no answers is not
    /// read from either.
    pub(super) fn poll_unsent(&mut self, connection: &Connection, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = self.unsent.take() {
            self.send_on(connection, *waiting, cx);
        }
        if self.unsent.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn send_on(&mut self, connection: &Connection, waiting: Waiting<J>, cx: &mut Context<'_>) {
        let Waiting { unsent, to } = waiting;
        let (kind, bytes) = unsent.kind_and_bytes();
        let mut unsent = Some(unsent);
        let polled = connection.poll_send(cx, &mut unsent, Wish::Answer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            tell_sent(connection, &to, kind, bytes);
        }
        self.unsent = unsent.map(|unsent| Box::new(Waiting { unsent, to }));
    }
}

fn tell_sent(connection: &Connection, to: &impl Job, kind: Kind, bytes: usize) {
    if connection.route.hooks.hear_sent() {
        to.tell(|name, id| connection.sent(name, id, kind, bytes));
    }
}

/// What the client is told of a failure. What it is not told goes to the hook, or into the log.
pub(super) fn problem_of(connection: &Connection, job: &impl Job, failure: Failure) -> Problem {
    let report = |kind, error: &dyn Display, reference| {
        job.tell(|name, id| connection.report(kind, (name, id), error, reference));
    };
    let internal = |kind, error: &dyn Display| {
        let reference = Uuid::now_v7();
        report(kind, error, Some(reference));
        Problem::new("internal error").code("INTERNAL").data(Reference { reference: reference.to_string() })
    };
    match failure {
        Failure::Problem(problem) => {
            report(ReportKind::Problem, &problem.message(), None);
            problem
        }
        Failure::Input(problem) => {
            report(ReportKind::Input, &problem.message(), None);
            problem
        }
        Failure::Limited(limited) => {
            connection.route.counters.rate_limited(1);
            limited.into()
        }
        Failure::TimedOut => {
            report(ReportKind::Timeout, &"the call timed out", None);
            Problem::new("the call took too long").code("TIMEOUT")
        }
        Failure::Internal(error) => internal(ReportKind::Handler, &error),
        Failure::Unwritable(error) => internal(ReportKind::Output, &error),
        Failure::Panicked => {
            connection.route.counters.panicked();
            internal(ReportKind::Handler, &"the handler panicked")
        }
    }
}

/// What a client can quote when it asks what went wrong.
#[derive(Serialize)]
struct Reference {
    reference: String,
}
