//! What went wrong that no caller is told about.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::call::ServerError;

/// Something that went wrong and that no future resolves with.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Report<'a> {
    /// What kind of thing.
    pub kind: ReportKind,
    /// Which call, send or push, where it is known.
    pub name: Option<&'a str>,
    /// What went wrong.
    pub error: &'a dyn fmt::Display,
    /// The same as the server said it, for [`SendFailed`](ReportKind::SendFailed) and
    /// [`OrphanError`](ReportKind::OrphanError).
    pub server_error: Option<&'a ServerError>,
}

/// The kinds of reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ReportKind {
    /// A listener panicked. The others of its push were called all the same.
    Listener,
    /// A push's body is not what a listener takes. It was not called.
    InvalidPush,
    /// The reader of a [`PushStream`](crate::PushStream) is behind: its oldest push was dropped. Reported once until
    /// it has caught up.
    Lagged,
    /// The server could not do what it was sent.
    SendFailed,
    /// A send was queued, and its connection ended for good before it left.
    SendLost,
    /// The server says that a call has failed which was never made.
    OrphanError,
    /// The server answered what is only sent.
    UnexpectedResponse,
    /// The server sent what is no frame of a contract, or not one for clients. The connection stays.
    Malformed,
}

/// Where reports go: into the log, unless the client has its own sink.
#[derive(Clone, Default)]
pub(crate) struct Reports(Option<Arc<Sink>>);

type Sink = dyn Fn(&Report<'_>) + Send + Sync;

impl Reports {
    pub(crate) fn to(sink: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    pub(crate) fn send(&self, kind: ReportKind, name: Option<&str>, error: &dyn fmt::Display) {
        self.deliver(&Report { kind, name, error, server_error: None });
    }

    pub(crate) fn server_error(&self, kind: ReportKind, name: Option<&str>, error: &ServerError) {
        self.deliver(&Report { kind, name, error: &error.message, server_error: Some(error) });
    }

    /// A sink that panics harms nobody: reports are sent in the middle of reading.
    fn deliver(&self, report: &Report<'_>) {
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
    let Report { kind, name, error, server_error } = report;
    let code = server_error.and_then(|error| error.code.as_deref());
    let request_id = server_error.map(|error| &*error.request_id);
    match kind {
        ReportKind::Listener => tracing::error!(name, %error, "a listener panicked"),
        ReportKind::InvalidPush => tracing::warn!(name, %error, "a push is not what its listener takes"),
        ReportKind::Lagged => tracing::warn!(name, %error, "pushes are read too slowly"),
        ReportKind::SendFailed => tracing::warn!(name, code, request_id, %error, "the server refused a send"),
        ReportKind::SendLost => tracing::warn!(name, %error, "a send was lost"),
        ReportKind::OrphanError => {
            tracing::warn!(name, code, request_id, %error, "the server refused a call nobody made");
        }
        ReportKind::UnexpectedResponse => tracing::warn!(name, %error, "the server answered a send"),
        ReportKind::Malformed => tracing::warn!(%error, "the server sent what is no frame of a contract"),
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("error", &format_args!("{}", self.error))
            .finish_non_exhaustive()
    }
}
