//! Limits and options of a route, checked once at start-up.
//!
//! [`Options`] is what a user writes: every field may be left out. A scope's options are the defaults of
//! its routes, the app's options the defaults of its scopes. [`Options::resolve`] turns the chain into
//! [`Limits`], in which every value is present and possible; nothing is looked up while messages flow.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use wirelark_proto::CompressionOptions;
use wirelark_proto::contract::Rate;

/// What a connection does when its outbox has no room for a message.
///
/// The outbox is bounded in bytes ([`Options::outbox_bytes`]). The bound is reached only after the kernel
/// has refused to take more, so these policies act on clients that read too slowly and on nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowClient {
    /// `send` fails with [`SendError::Full`](crate::SendError::Full) and the connection stays open. A
    /// fan-out never fails its publisher: there the member is closed with 1013 instead, and counted.
    #[default]
    Error,
    /// The connection is closed with 1013 and the send resolves.
    Close,
    /// `send` waits until there is room. A fan-out does not wait: there the member is closed with 1013.
    Wait,
    /// The new message is dropped and counted.
    DropNewest,
    /// The oldest queued messages are dropped and counted until the new one fits.
    DropOldest,
    /// While the client is behind, a message replaces the queued one of the same key; see
    /// [`Sender::send_keyed`](crate::Sender::send_keyed). Without an equal key it acts as [`Error`](Self::Error).
    Conflate,
}

impl SlowClient {
    /// The label used in metrics and in `/routes.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Close => "close",
            Self::Wait => "wait",
            Self::DropNewest => "drop_newest",
            Self::DropOldest => "drop_oldest",
            Self::Conflate => "conflate",
        }
    }
}

/// Which `Origin` headers may open a connection.
///
/// A request without an `Origin` header does not come from a browser page and is let through unless
/// [`Options::require_origin`] is set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Origins {
    /// The page must have been served by the host it connects to. Cross-site WebSocket hijacking needs a
    /// foreign page, so this is what a route gets when it says nothing.
    #[default]
    SameHost,
    Any,
    List(Box<[Box<str>]>),
}

/// The options of an app, a scope or a route; whatever is left out is inherited.
///
/// | option | default |
/// |---|---|
/// | [`message_bytes`](Self::message_bytes) | 64 KiB |
/// | [`outbox_bytes`](Self::outbox_bytes) | 1 MiB |
/// | [`slow_client`](Self::slow_client) | [`SlowClient::Error`] |
/// | [`heartbeat`](Self::heartbeat) | 25 s |
/// | [`pong_deadline`](Self::pong_deadline) | 10 s |
/// | [`idle`](Self::idle) | off |
/// | [`close_timeout`](Self::close_timeout) | 5 s |
/// | [`accept_timeout`](Self::accept_timeout) | 10 s |
/// | [`compression`](Self::compression) | off |
/// | [`origins`](Self::origins) | the host the page was served by |
/// | [`protocols`](Self::protocols) | none |
/// | [`upgrade_rate`](Self::upgrade_rate) | off |
/// | [`message_rate`](Self::message_rate) | off |
/// | [`connections_per_user`](Self::connections_per_user) | any number |
/// | [`connections_per_address`](Self::connections_per_address) | any number |
///
/// Impossible values (zero, `"*"` mixed with origins) are refused when the app is built, with the fix.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Options {
    message_bytes: Option<usize>,
    outbox_bytes: Option<usize>,
    slow_client: Option<SlowClient>,
    heartbeat: Setting<Duration>,
    pong_deadline: Option<Duration>,
    idle: Setting<Duration>,
    close_timeout: Option<Duration>,
    accept_timeout: Option<Duration>,
    compression: Setting<CompressionOptions>,
    origins: Option<Vec<String>>,
    require_origin: Option<bool>,
    protocols: Option<Vec<String>>,
    require_protocol: Option<bool>,
    upgrade_rate: Setting<Rate>,
    message_rate: Setting<Rate>,
    connections_per_user: Option<usize>,
    connections_per_address: Option<usize>,
    control_frames: Option<bool>,
}

impl Options {
    /// Options that inherit everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest message in either direction, in bytes of payload after reassembly and inflation.
    /// A larger one from the client closes the connection with 1009 as soon as its header is read; a
    /// larger one from a handler fails the send and closes with 1009. One that is sent to many, or pushed, is
    /// left out for the connections it is too large for, which stay open; see
    /// [`Delivered::too_large`](crate::Delivered::too_large).
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.message_bytes = Some(bytes);
        self
    }

    /// The most bytes (frames with their heads) that may wait for a slow client.
    pub fn outbox_bytes(mut self, bytes: usize) -> Self {
        self.outbox_bytes = Some(bytes);
        self
    }

    /// What happens when the outbox is full.
    pub fn slow_client(mut self, policy: SlowClient) -> Self {
        self.slow_client = Some(policy);
        self
    }

    /// How often a ping is sent.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = Setting::On(interval);
        self
    }

    /// Sends no pings: a peer that vanished without a word is then found only when a write fails.
    pub fn no_heartbeat(mut self) -> Self {
        self.heartbeat = Setting::Off;
        self
    }

    /// How long after a ping the peer may stay silent. Any byte from it counts as an answer; the deadline
    /// rests while the handler leaves messages unread, because the pong may sit behind them.
    pub fn pong_deadline(mut self, deadline: Duration) -> Self {
        self.pong_deadline = Some(deadline);
        self
    }

    /// Closes with 1001 a connection whose client has sent no message for this long. Pings and pongs do
    /// not count: they show that a machine is there, not that anybody uses it.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Setting::On(limit);
        self
    }

    /// No idle limit.
    pub fn no_idle(mut self) -> Self {
        self.idle = Setting::Off;
        self
    }

    /// How long the close handshake may take before the connection is dropped.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = Some(timeout);
        self
    }

    /// How long authentication, extractors and a handler that takes [`Upgrade`](crate::Upgrade) may need
    /// to answer the upgrade before the client gets 504.
    pub fn accept_timeout(mut self, timeout: Duration) -> Self {
        self.accept_timeout = Some(timeout);
        self
    }

    /// Agrees to permessage-deflate (RFC 7692) when the client offers it. What the server sends is always
    /// compressed without context takeover: a publish is then compressed once for all its receivers, and a
    /// connection at rest keeps no window.
    pub fn compression(mut self, mut options: CompressionOptions) -> Self {
        options.server_no_context_takeover = true;
        self.compression = Setting::On(options);
        self
    }

    /// Declines permessage-deflate.
    pub fn no_compression(mut self) -> Self {
        self.compression = Setting::Off;
        self
    }

    /// Exact `Origin` values that may connect, or `"*"` alone for all.
    pub fn origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Also refuses requests that carry no `Origin` header.
    pub fn require_origin(mut self, required: bool) -> Self {
        self.require_origin = Some(required);
        self
    }

    /// Subprotocols the route speaks. The first of the client's list that is here is chosen; a client that
    /// offers none of them is refused with 400, see [`require_protocol`](Self::require_protocol).
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = Some(protocols.into_iter().map(Into::into).collect());
        self
    }

    /// Whether a client must offer one of the [`protocols`](Self::protocols); `true` unless set.
    pub fn require_protocol(mut self, required: bool) -> Self {
        self.require_protocol = Some(required);
        self
    }

    /// How often a client address may connect to the route; more is answered 429. Of IPv6 the first 64 bits count as one
    /// address, here and below.
    pub fn upgrade_rate(mut self, rate: Rate) -> Self {
        self.upgrade_rate = Setting::On(rate);
        self
    }

    /// How often one connection may send a message. Pings, pongs and fragments are none.
    ///
    /// Beyond it a call of a contract is answered with the code `RATE_LIMITED` and when to try again, and its handler
    /// does not run. A raw socket has no answers: it is closed with 4429, whose reason says the same, once its handler
    /// has taken what came before. A contract's messages are counted when they are taken up, which a call that runs
    /// longer puts off; a raw socket's when they arrive.
    pub fn message_rate(mut self, rate: Rate) -> Self {
        self.message_rate = Setting::On(rate);
        self
    }

    /// Messages may come as fast as they can be read.
    pub fn no_message_rate(mut self) -> Self {
        self.message_rate = Setting::Off;
        self
    }

    /// How many connections of one user the route has at the same time; one more is answered 429. Who signs in later is
    /// counted from then on, and refused by [`SignInError::TooManyConnections`](crate::auth::SignInError), or closed with
    /// 4429 where it is the [first message](crate::auth::first_message) that signs in.
    pub fn connections_per_user(mut self, connections: usize) -> Self {
        self.connections_per_user = Some(connections);
        self
    }

    /// How many connections of one client address the route has at the same time; one more is answered 429.
    pub fn connections_per_address(mut self, connections: usize) -> Self {
        self.connections_per_address = Some(connections);
        self
    }

    /// Hands pings and pongs to the handler as well. Pings are answered either way.
    pub fn control_frames(mut self, deliver: bool) -> Self {
        self.control_frames = Some(deliver);
        self
    }

    /// These options with everything they leave out taken from `outer`.
    pub(crate) fn or(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            message_bytes: self.message_bytes.or(outer.message_bytes),
            outbox_bytes: self.outbox_bytes.or(outer.outbox_bytes),
            slow_client: self.slow_client.or(outer.slow_client),
            heartbeat: self.heartbeat.or(outer.heartbeat),
            pong_deadline: self.pong_deadline.or(outer.pong_deadline),
            idle: self.idle.or(outer.idle),
            close_timeout: self.close_timeout.or(outer.close_timeout),
            accept_timeout: self.accept_timeout.or(outer.accept_timeout),
            compression: self.compression.or(outer.compression),
            origins: self.origins.or(outer.origins),
            require_origin: self.require_origin.or(outer.require_origin),
            protocols: self.protocols.or(outer.protocols),
            require_protocol: self.require_protocol.or(outer.require_protocol),
            upgrade_rate: self.upgrade_rate.or(outer.upgrade_rate),
            message_rate: self.message_rate.or(outer.message_rate),
            connections_per_user: self.connections_per_user.or(outer.connections_per_user),
            connections_per_address: self.connections_per_address.or(outer.connections_per_address),
            control_frames: self.control_frames.or(outer.control_frames),
        }
    }

    /// Fills in the defaults and checks every value.
    pub(crate) fn resolve(self) -> Result<Limits, OptionError> {
        let limits = Limits {
            message_bytes: at_least_one("message_bytes", self.message_bytes.unwrap_or(64 * 1024))?,
            outbox_bytes: at_least_one("outbox_bytes", self.outbox_bytes.unwrap_or(1024 * 1024))?,
            slow_client: self.slow_client.unwrap_or_default(),
            heartbeat: self.heartbeat.or_default(Some(Duration::from_secs(25))),
            pong_deadline: some_time("pong_deadline", self.pong_deadline.unwrap_or(Duration::from_secs(10)))?,
            idle: self.idle.or_default(None),
            close_timeout: some_time("close_timeout", self.close_timeout.unwrap_or(Duration::from_secs(5)))?,
            accept_timeout: some_time(
                "accept_timeout",
                self.accept_timeout.unwrap_or(Duration::from_secs(10)),
            )?,
            compression: self.compression.or_default(None),
            origins: resolve_origins(self.origins)?,
            require_origin: self.require_origin.unwrap_or(false),
            protocols: resolve_protocols(self.protocols.unwrap_or_default())?,
            require_protocol: self.require_protocol.unwrap_or(true),
            upgrade_rate: resolve_rate("upgrade_rate", self.upgrade_rate)?,
            message_rate: resolve_rate("message_rate", self.message_rate)?,
            connections_per_user: some_connections("connections_per_user", self.connections_per_user)?,
            connections_per_address: some_connections(
                "connections_per_address",
                self.connections_per_address,
            )?,
            control_frames: self.control_frames.unwrap_or(false),
        };
        if limits.heartbeat == Some(Duration::ZERO) {
            return Err(OptionError::new("heartbeat", "is zero", "use `no_heartbeat()` to switch pings off"));
        }
        if let Some(Err(error)) = limits.compression.map(|options| options.check()) {
            return Err(OptionError::new(
                "compression",
                format!("cannot be: {error}"),
                "use `CompressionOptions::default()`",
            ));
        }
        if limits.idle == Some(Duration::ZERO) {
            return Err(OptionError::new("idle", "is zero", "use `no_idle()` to switch the limit off"));
        }
        Ok(limits)
    }
}

/// An option that can be left out, and can be switched off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Setting<T> {
    #[default]
    Inherited,
    Off,
    On(T),
}

impl<T> Setting<T> {
    pub(crate) fn or(self, outer: Self) -> Self {
        match self {
            Self::Inherited => outer,
            set => set,
        }
    }

    fn or_default(self, default: Option<T>) -> Option<T> {
        match self {
            Self::Inherited => default,
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

/// The resolved options of one route.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) message_bytes: usize,
    pub(crate) outbox_bytes: usize,
    pub(crate) slow_client: SlowClient,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) pong_deadline: Duration,
    pub(crate) idle: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) accept_timeout: Duration,
    pub(crate) compression: Option<CompressionOptions>,
    pub(crate) origins: Origins,
    pub(crate) require_origin: bool,
    pub(crate) protocols: Box<[Box<str>]>,
    pub(crate) require_protocol: bool,
    pub(crate) upgrade_rate: Option<Rate>,
    pub(crate) message_rate: Option<Rate>,
    pub(crate) connections_per_user: Option<NonZeroUsize>,
    pub(crate) connections_per_address: Option<NonZeroUsize>,
    pub(crate) control_frames: bool,
}

/// An option that cannot be; names the option, what is wrong and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    option: &'static str,
    problem: String,
    fix: &'static str,
}

impl OptionError {
    pub(crate) fn new(option: &'static str, problem: impl Into<String>, fix: &'static str) -> Self {
        Self { option, problem: problem.into(), fix }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}` {}: {}", self.option, self.problem, self.fix)
    }
}

impl std::error::Error for OptionError {}

fn at_least_one(option: &'static str, value: usize) -> Result<usize, OptionError> {
    match value {
        0 => Err(OptionError::new(option, "is zero", "give a number of bytes of at least 1")),
        value => Ok(value),
    }
}

pub(crate) fn some_time(option: &'static str, value: Duration) -> Result<Duration, OptionError> {
    match value {
        Duration::ZERO => Err(OptionError::new(option, "is zero", "give a duration longer than zero")),
        value => Ok(value),
    }
}

fn resolve_origins(origins: Option<Vec<String>>) -> Result<Origins, OptionError> {
    let Some(origins) = origins else { return Ok(Origins::SameHost) };
    match origins.as_slice() {
        [] => Err(OptionError::new(
            "origins",
            "is an empty list",
            "name at least one origin, use [\"*\"] for all, or leave the option out for the page's own host",
        )),
        [all] if all == "*" => Ok(Origins::Any),
        list if list.iter().any(|origin| origin == "*") => Err(OptionError::new(
            "origins",
            "mixes \"*\" with other origins",
            "use [\"*\"] alone, or list the origins without it",
        )),
        list => match list.iter().find(|origin| !looks_like_origin(origin)) {
            Some(origin) => Err(OptionError::new(
                "origins",
                format!("has the entry {origin:?}, which no browser sends"),
                "write scheme, host and port only, such as \"https://app.example.com\"",
            )),
            None => Ok(Origins::List(list.iter().map(|origin| origin.as_str().into()).collect())),
        },
    }
}

/// `scheme://host[:port]` without a path, or the opaque `null`; compared exactly, so a slash at the end
/// would never match.
fn looks_like_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return origin == "null" };
    !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', ' '])
}

fn resolve_protocols(protocols: Vec<String>) -> Result<Box<[Box<str>]>, OptionError> {
    let mut resolved: Vec<Box<str>> = Vec::with_capacity(protocols.len());
    for protocol in protocols {
        let token = !protocol.is_empty()
            && protocol
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte));
        if !token {
            return Err(OptionError::new(
                "protocols",
                format!("has the entry {protocol:?}, which is not a token"),
                "use letters, digits and !#$%&'*+-.^_`|~ only",
            ));
        }
        if !resolved.iter().any(|known| **known == *protocol) {
            resolved.push(protocol.into());
        }
    }
    Ok(resolved.into())
}

fn resolve_rate(option: &'static str, rate: Setting<Rate>) -> Result<Option<Rate>, OptionError> {
    let Some(rate) = rate.or_default(None) else { return Ok(None) };
    let fix = "give a rate such as `Rate::per_second(10).burst(30)`";
    rate.check().map_err(|error| OptionError::new(option, error.problem(), fix))?;
    Ok(Some(rate))
}

fn some_connections(
    option: &'static str,
    connections: Option<usize>,
) -> Result<Option<NonZeroUsize>, OptionError> {
    let Some(connections) = connections else { return Ok(None) };
    let zero =
        || OptionError::new(option, "is zero", "allow at least one connection, or leave the option out");
    NonZeroUsize::new(connections).ok_or_else(zero).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(options: Options, fragments: &[&str]) {
        let message = options.resolve().expect_err("the options are impossible").to_string();
        for fragment in fragments {
            assert!(message.contains(fragment), "{message:?} does not mention {fragment:?}");
        }
    }

    #[test]
    fn impossible_options_name_the_fix() {
        check_refused(Options::new().message_bytes(0), &["message_bytes", "at least 1"]);
        check_refused(Options::new().outbox_bytes(0), &["outbox_bytes"]);
        check_refused(Options::new().heartbeat(Duration::ZERO), &["heartbeat", "no_heartbeat()"]);
        check_refused(Options::new().idle(Duration::ZERO), &["idle", "no_idle()"]);
        check_refused(Options::new().pong_deadline(Duration::ZERO), &["pong_deadline"]);
        check_refused(Options::new().close_timeout(Duration::ZERO), &["close_timeout"]);
        check_refused(Options::new().accept_timeout(Duration::ZERO), &["accept_timeout"]);
        check_refused(Options::new().origins(Vec::<String>::new()), &["origins", "empty"]);
        check_refused(Options::new().origins(["*", "https://a.example"]), &["origins", "alone"]);
        check_refused(Options::new().origins(["https://a.example/"]), &["origins", "scheme, host and port"]);
        check_refused(Options::new().protocols(["two words"]), &["protocols", "token"]);
        check_refused(Options::new().upgrade_rate(Rate::per_second(0)), &["upgrade_rate", "at least 1"]);
        check_refused(
            Options::new().message_rate(Rate::per_second(5).burst(0)),
            &["message_rate", "per_second"],
        );
        check_refused(Options::new().connections_per_user(0), &["connections_per_user", "at least one"]);
        check_refused(Options::new().connections_per_address(0), &["connections_per_address"]);
    }

    #[test]
    fn what_is_left_out_is_inherited() {
        let outer = Options::new().message_bytes(10).outbox_bytes(20).idle(Duration::from_secs(3));
        let limits = Options::new().message_bytes(11).no_idle().or(&outer).resolve().expect("valid options");
        assert_eq!((limits.message_bytes, limits.outbox_bytes, limits.idle), (11, 20, None));
        assert_eq!(limits.heartbeat, Some(Duration::from_secs(25)));
    }

    #[test]
    fn protocols_are_deduplicated_in_order() {
        let limits = Options::new().protocols(["b", "a", "b"]).resolve().expect("valid options");
        assert_eq!(limits.protocols.iter().map(|p| &**p).collect::<Vec<_>>(), ["b", "a"]);
    }
}
