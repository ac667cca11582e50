//! What went wrong that no client is told about.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use uuid::Uuid;

use crate::connection::ConnectionId;

/// Something that went wrong on a contract's route.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Report<'a> {
    /// What kind of thing.
    pub kind: ReportKind,
    /// The route's pattern.
    pub route: &'a str,
    /// Which connection.
    pub connection: ConnectionId,
    /// Which call, where there is one.
    pub call: Option<&'a str>,
    /// What went wrong. May quote what a handler put into its errors; never a message's body.
    pub error: &'a dyn fmt::Display,
    /// What the client was told to ask about.
    pub reference: Option<Uuid>,
}

/// The kinds of reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ReportKind {
    /// A client sent a frame that is none. It is told nothing, and the connection stays.
    Malformed,
    /// A call's handler failed with an error that is not the client's business, or panicked.
    Handler,
    /// A call's answer cannot be written.
    Output,
    /// A call took longer than the route allows.
    Timeout,
    /// The `attached` hook failed.
    Attached,
    /// The `closed` hook failed, or took longer than the close timeout.
    Closed,
}

/// Where reports go: into the log, unless the route has its own sink.
#[derive(Clone, Default)]
pub(super) struct Reports(Option<Sink>);

type Sink = Arc<dyn Fn(&Report<'_>) + Send + Sync>;

impl Reports {
    pub(super) fn to(sink: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// A sink that panics harms nobody: reports are sent in the middle of answering.
    pub(super) fn send(&self, report: &Report<'_>) {
        match &self.0 {
            None => log(report),
            Some(sink) if catch_unwind(AssertUnwindSafe(|| sink(report))).is_ok() => {}
            Some(_) => {
                tracing::error!("the sink for reports panicked");
                log(report);
            }
        }
    }
}

fn log(report: &Report<'_>) {
    let Report { kind, route, connection, call, error, reference } = report;
    let reference = reference.map(tracing::field::display);
    match kind {
        ReportKind::Malformed => {
            tracing::warn!(route, %connection, %error, "a client sent what is no frame of a contract");
        }
        _ => tracing::error!(route, %connection, call, reference, %error, "{kind:?} failed"),
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("kind", &self.kind)
            .field("call", &self.call)
            .field("error", &format_args!("{}", self.error))
            .finish_non_exhaustive()
    }
}
