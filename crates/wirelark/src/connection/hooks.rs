//! Who is told of every message, and of what goes wrong, while it happens.
//!
//! A hook looks on: it sees no body, and can neither change nor stop anything. It runs right where the message
//! passes, so it must not wait.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::Level;
use uuid::Uuid;
use wirelark_proto::Kind;

use super::{Connection, ConnectionId, User};
use crate::limits::Setting;
use crate::shared_frame::SharedFrame;

/// What the default hooks log under; by a name of its own, so that a filter can single it out.
const TARGET: &str = "wirelark::hooks";

/// Longer ids of requests are the client's text rather than ids, and have no place in a log.
const LOGGED_ID_BYTES: usize = 64;

/// A message a client has sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Received<'a> {
    /// Who sent it.
    pub connection: ConnectionId,
    /// The pattern of the connection's route.
    pub route: &'a str,
    /// The id of the connection's user, if it has one.
    pub user: Option<&'a str>,
    /// The call it asks for; `None` on a raw socket, and for what is no call of the route's contract.
    pub call: Option<&'a str>,
    /// The id its client gave to the request. Any text a client likes.
    pub id: Option<&'a str>,
    /// What kind of message.
    pub kind: Kind,
    /// Bytes of its payload.
    pub bytes: usize,
}

impl Received<'_> {
    /// What happens where no hook is set: a line in the log, at the level `debug`.
    pub fn log(&self) {
        let Self { connection, route, user, call, kind, bytes, .. } = *self;
        let id = logged_id(self.id);
        tracing::debug!(target: TARGET, route, %connection, user, call, id, ?kind, bytes, "received");
    }
}

/// A message that was queued for a client, in its order.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sent<'a> {
    /// Who gets it.
    pub connection: ConnectionId,
    /// The pattern of the connection's route.
    pub route: &'a str,
    /// The id of the connection's user, if it has one.
    pub user: Option<&'a str>,
    /// The call it answers, or the push it is; `None` on a raw socket, and for the answer to a call that does not
    /// exist.
    pub name: Option<&'a str>,
    /// The id of the request it answers; `None` for everything that is no answer.
    pub id: Option<&'a str>,
    /// What kind of message.
    pub kind: Kind,
    /// Bytes of its payload, before compression.
    pub bytes: usize,
}

impl Sent<'_> {
    /// A line in the log, at the level `debug`. Nothing happens where no hook is set; `on_sent(|sent| sent.log())`
    /// has every message logged.
    pub fn log(&self) {
        let Self { connection, route, user, name, kind, bytes, .. } = *self;
        let id = logged_id(self.id);
        tracing::debug!(target: TARGET, route, %connection, user, name, id, ?kind, bytes, "sent");
    }
}

/// Something that went wrong on a connection.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Report<'a> {
    /// What kind of thing.
    pub kind: ReportKind,
    /// Which connection.
    pub connection: ConnectionId,
    /// The pattern of the connection's route.
    pub route: &'a str,
    /// The id of the connection's user, if it has one.
    pub user: Option<&'a str>,
    /// Which call, where there is one.
    pub call: Option<&'a str>,
    /// The id its client gave to the request, where there is one. Any text a client likes.
    pub id: Option<&'a str>,
    /// What went wrong. May quote what a handler put into its errors, and for [`ReportKind::Malformed`] and
    /// [`ReportKind::Input`] a piece of the message.
    pub error: &'a dyn fmt::Display,
    /// What the client was told to ask about.
    pub reference: Option<Uuid>,
}

/// The kinds of reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ReportKind {
    /// A client of a contract sent a frame that is none. It is told nothing, and the connection stays.
    Malformed,
    /// A client asked for a call that does not exist, that it may not make, or with a body it does not take. It was told so.
    Input,
    /// A call's handler answered with a [`Problem`](wirelark_proto::contract::Problem), made for the client.
    Problem,
    /// A handler failed with an error that is not the client's business, or panicked. A raw socket was closed
    /// with 1011.
    Handler,
    /// A call's answer cannot be written.
    Output,
    /// A call took longer than the route allows.
    Timeout,
    /// The `attached` hook of a contract's server failed.
    Attached,
    /// The `closed` hook of a contract's server failed, or took longer than the close timeout.
    Closed,
}

impl Report<'_> {
    /// What happens where no hook is set: a line in the log. What clients did wrong, or were told on purpose, at
    /// the level `debug`, and without the text that may quote their messages; what is the server's own fault at the
    /// level `error`, as nobody could find it otherwise.
    pub fn log(&self) {
        let Self { kind, connection, route, user, call, error, reference, .. } = *self;
        let id = logged_id(self.id);
        match kind {
            ReportKind::Malformed | ReportKind::Input => {
                tracing::debug!(target: TARGET, route, %connection, user, call, id, ?kind, "refused a message");
            }
            ReportKind::Problem => {
                tracing::debug!(target: TARGET, route, %connection, user, call, id, %error, "answered with a problem");
            }
            _ => {
                let reference = reference.map(tracing::field::display);
                tracing::error!(target: TARGET, route, %connection, user, call, id, reference, %error, "{kind:?} failed");
            }
        }
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

fn logged_id(id: Option<&str>) -> Option<&str> {
    id.filter(|id| id.len() <= LOGGED_ID_BYTES)
}

/// Who is told of messages and of what goes wrong; given to an app, a scope or a route with `.hooks(..)`.
///
/// Of each of the three kinds one hook runs: the route's own, else that of the nearest scope that has one, else the
/// app's, else the default.
///
/// | hook | runs | default |
/// |---|---|---|
/// | [`on_received`](Self::on_received) | before the handler has the message | [`Received::log`] |
/// | [`on_sent`](Self::on_sent) | when the message is queued, once for each receiver, whoever sent it from wherever | nothing |
/// | [`on_error`](Self::on_error) | when something has gone wrong | [`Report::log`] |
///
/// Hooks run where the message passes: on the connection's task, or on its shard's for contracts and for what is
/// sent to many. One that waits or computes holds up others; hand over to a channel what takes time. A hook that
/// panics is logged and changes nothing: the message goes on, the answer leaves.
///
/// ```
/// use wirelark::App;
/// use wirelark::hooks::{Hooks, Received, Report, ReportKind};
///
/// # fn count(_: Option<&str>) {}
/// let hooks = Hooks::new()
///     .no_received()
///     .on_sent(|sent| count(sent.user))
///     // The default goes on, beside what one's own hook does.
///     .on_error(|report| {
///         if report.kind == ReportKind::Timeout {
///             count(report.call);
///         }
///         report.log();
///     });
/// # let _: App =
/// App::new().hooks(hooks);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Hooks {
    received: Setting<OnReceived>,
    sent: Setting<OnSent>,
    error: Setting<OnError>,
}

type OnReceived = Arc<dyn Fn(&Received<'_>) + Send + Sync>;
type OnSent = Arc<dyn Fn(&Sent<'_>) + Send + Sync>;
type OnError = Arc<dyn Fn(&Report<'_>) + Send + Sync>;

impl Hooks {
    /// Hooks that inherit everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `hook` for each message before its handler has it. What no handler takes has no hook either.
    pub fn on_received(mut self, hook: impl Fn(&Received<'_>) + Send + Sync + 'static) -> Self {
        self.received = Setting::On(Arc::new(hook));
        self
    }

    /// No hook for what is received, whatever the scopes around say; nothing is logged either.
    pub fn no_received(mut self) -> Self {
        self.received = Setting::Off;
        self
    }

    /// Runs `hook` for each message when it has its place in the outbox. One that is dropped or refused, or takes the
    /// place of a waiting one, is not heard of; [`metric_names::BACKPRESSURE`](crate::metric_names::BACKPRESSURE) counts it.
    ///
    /// With a hook, each member of a room is queued a burst message by message, instead of all at once.
    pub fn on_sent(mut self, hook: impl Fn(&Sent<'_>) + Send + Sync + 'static) -> Self {
        self.sent = Setting::On(Arc::new(hook));
        self
    }

    /// No hook for what is sent, whatever the scopes around say.
    pub fn no_sent(mut self) -> Self {
        self.sent = Setting::Off;
        self
    }

    /// Runs `hook` for everything that goes wrong on a connection.
    pub fn on_error(mut self, hook: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        self.error = Setting::On(Arc::new(hook));
        self
    }

    /// No hook for what goes wrong, whatever the scopes around say; nothing is logged either, and the references
    /// clients are given stand nowhere.
    pub fn no_error(mut self) -> Self {
        self.error = Setting::Off;
        self
    }

    /// These hooks with everything they leave out taken from `outer`.
    pub(crate) fn or(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            received: self.received.or(outer.received),
            sent: self.sent.or(outer.sent),
            error: self.error.or(outer.error),
        }
    }

    /// Whether anybody is told of messages that arrive. Cheap: it is asked for each one.
    pub(crate) fn hear_received(&self) -> bool {
        match self.received {
            Setting::Inherited => is_logged(),
            Setting::Off => false,
            Setting::On(_) => true,
        }
    }

    /// Whether anybody is told of messages that leave.
    pub(crate) fn hear_sent(&self) -> bool {
        matches!(self.sent, Setting::On(_))
    }

    fn received(&self, received: &Received<'_>) {
        match &self.received {
            Setting::Inherited => received.log(),
            Setting::Off => {}
            Setting::On(hook) => {
                contain("on_received", || hook(received));
            }
        }
    }

    fn sent(&self, sent: &Sent<'_>) {
        if let Setting::On(hook) = &self.sent {
            contain("on_sent", || hook(sent));
        }
    }

    fn error(&self, report: &Report<'_>) {
        match &self.error {
            Setting::Inherited => report.log(),
            Setting::Off => {}
            Setting::On(hook) => {
                // What went wrong must not get lost over what went wrong with its hook.
                if !contain("on_error", || hook(report)) {
                    report.log();
                }
            }
        }
    }
}

fn is_logged() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

/// Whether the hook came to its end. Hooks run in the middle of receiving and answering, which go on either way.
fn contain(name: &str, hook: impl FnOnce()) -> bool {
    let ended = catch_unwind(AssertUnwindSafe(hook)).is_ok();
    if !ended {
        tracing::error!(target: TARGET, hook = name, "a hook panicked");
    }
    ended
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("received", &said_of(&self.received))
            .field("sent", &said_of(&self.sent))
            .field("error", &said_of(&self.error))
            .finish()
    }
}

fn said_of<T>(hook: &Setting<T>) -> &'static str {
    match hook {
        Setting::Inherited => "inherited",
        Setting::Off => "off",
        Setting::On(_) => "set",
    }
}

// Never called while one of the connection's locks is held: hooks are user code.
impl Connection {
    /// The handler is about to have a message.
    pub(crate) fn received(&self, call: Option<&str>, id: Option<&str>, kind: Kind, bytes: usize) {
        let (connection, route, who) = (self.id, &*self.route.pattern, self.user());
        let user = who.as_ref().map(User::id);
        self.route.hooks.received(&Received { connection, route, user, call, id, kind, bytes });
    }

    /// A message was queued.
    pub(crate) fn sent(&self, name: Option<&str>, id: Option<&str>, kind: Kind, bytes: usize) {
        let (connection, route, who) = (self.id, &*self.route.pattern, self.user());
        let user = who.as_ref().map(User::id);
        self.route.hooks.sent(&Sent { connection, route, user, name, id, kind, bytes });
    }

    /// A frame was queued that others may get too.
    pub(super) fn sent_shared(&self, frame: &SharedFrame) {
        let push = frame.push_class().zip(self.route.contract);
        let push = push.and_then(|(class, contract)| contract.pushes.get(usize::from(class.index)));
        self.sent(
            push.map(|push| push.name),
            None,
            frame.kind_in(self.format),
            frame.payload_len_in(self.format),
        );
    }

    /// Something went wrong.
    pub(crate) fn report(
        &self,
        kind: ReportKind,
        (call, id): (Option<&str>, Option<&str>),
        error: &dyn fmt::Display,
        reference: Option<Uuid>,
    ) {
        let (connection, route, who) = (self.id, &*self.route.pattern, self.user());
        let user = who.as_ref().map(User::id);
        self.route.hooks.error(&Report { kind, connection, route, user, call, id, error, reference });
    }
}
