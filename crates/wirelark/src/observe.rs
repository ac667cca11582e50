//! What is counted, under which names.
//!
//! Connections add to plain atomics, a batch at a time. [`Observer::flush`] copies the totals into the
//! `metrics` facade (and into the app's own recorder, if it serves one), so that a hot path never looks up
//! a label set. Labels hold the route's *pattern*, kinds, outcomes and codes; never a user, a room, a path
//! or a body.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{Key, Label, Level, Metadata, Recorder};
use parking_lot::{Mutex, RwLock};
use wirelark_proto::contract::{Description, PushDescription};
use wirelark_proto::{CloseCode, Kind};

/// Names of the counters. The labels of each stand behind it.
pub mod names {
    /// Upgrades answered 101: `route`, `outcome` = accepted.
    pub const UPGRADES: &str = "websocket.upgrades.total";
    /// Upgrades refused: `outcome` = not-found, method, handshake, origin, protocol, unauthorized,
    /// forbidden, rate, connections, handler, timeout, overload. Without the route, which a scanner could multiply.
    pub const REJECTED: &str = "websocket.upgrades.rejected.total";
    /// Connections opened: `route`.
    pub const CONNECTIONS: &str = "websocket.connections.total";
    /// Connections open now (gauge): `route`.
    pub const ACTIVE: &str = "websocket.connections.active";
    /// Messages received: `route`, `kind` = text, binary, ping, pong.
    pub const MESSAGES_IN: &str = "websocket.messages.in.total";
    /// Messages queued for sending: `route`, `kind`.
    pub const MESSAGES_OUT: &str = "websocket.messages.out.total";
    /// Payload bytes received: `route`, `kind`.
    pub const BYTES_IN: &str = "websocket.bytes.in.total";
    /// Payload bytes queued for sending: `route`, `kind`.
    pub const BYTES_OUT: &str = "websocket.bytes.out.total";
    /// Connections closed: `route`, `code`.
    pub const CLOSE: &str = "websocket.close.total";
    /// Messages that found the outbox full: `route`, `outcome` = error, close, wait, drop_newest,
    /// drop_oldest, conflate, sample. The last three count each message dropped.
    pub const BACKPRESSURE: &str = "websocket.backpressure.total";
    /// Messages left out because they are larger than the route's `message_bytes`, once for each receiver: `route`.
    pub const TOO_LARGE: &str = "websocket.messages.too_large.total";
    /// Messages that came too often, by a call's own rate or the connection's: `route`.
    pub const RATE_LIMITED: &str = "websocket.messages.rate_limited.total";
    /// Handlers that panicked: `route`.
    pub const PANICS: &str = "websocket.handler.panics.total";
    /// Pushes by receiver: `route`, `push`, `outcome` = queued, drop_oldest, conflate, sample, too_large. The names of pushes
    /// are those of the contract, which no client can make up.
    pub const PUSHES: &str = "websocket.contract.pushes.total";
    /// Messages on a contract's route that are no frames of a contract: `route`.
    pub const MALFORMED: &str = "websocket.contract.malformed.total";
}

const KINDS: [(Kind, &str); 4] =
    [(Kind::Text, "text"), (Kind::Binary, "binary"), (Kind::Ping, "ping"), (Kind::Pong, "pong")];

/// Why an upgrade was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejection {
    NotFound,
    Method,
    Handshake,
    Origin,
    Protocol,
    Unauthorized,
    Forbidden,
    Rate,
    Connections,
    Handler,
    Timeout,
    Overload,
}

impl Rejection {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Method => "method",
            Self::Handshake => "handshake",
            Self::Origin => "origin",
            Self::Protocol => "protocol",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Rate => "rate",
            Self::Connections => "connections",
            Self::Handler => "handler",
            Self::Timeout => "timeout",
            Self::Overload => "overload",
        }
    }
}

/// The outcome of a message that found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    Error,
    Close,
    Wait,
    DropNewest,
    DropOldest,
    Conflate,
    Sample,
}

const PRESSURES: [(Pressure, &str); 7] = [
    (Pressure::Error, "error"),
    (Pressure::Close, "close"),
    (Pressure::Wait, "wait"),
    (Pressure::DropNewest, "drop_newest"),
    (Pressure::DropOldest, "drop_oldest"),
    (Pressure::Conflate, "conflate"),
    (Pressure::Sample, "sample"),
];

/// What became of a push at one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Queued,
    /// Dropped, or replaced by a newer one.
    Dropped(Pressure),
    /// Left out.
    TooLarge,
}

/// The counters of one push: queued, dropped by pressure, and left out for its size.
#[derive(Debug)]
struct PushCounters {
    name: &'static str,
    queued: AtomicU64,
    dropped: [AtomicU64; PRESSURES.len()],
    too_large: AtomicU64,
}

/// The counters of one route.
#[derive(Debug)]
pub(crate) struct RouteCounters {
    route: Arc<str>,
    upgrades: AtomicU64,
    connections: AtomicU64,
    closed: AtomicU64,
    messages_in: [AtomicU64; 4],
    bytes_in: [AtomicU64; 4],
    messages_out: [AtomicU64; 4],
    bytes_out: [AtomicU64; 4],
    pressure: [AtomicU64; PRESSURES.len()],
    too_large: AtomicU64,
    rate_limited: AtomicU64,
    panics: AtomicU64,
    malformed: AtomicU64,
    pushes: Box<[PushCounters]>,
    closes: Mutex<BTreeMap<u16, u64>>,
}

impl RouteCounters {
    fn new(route: &str, contract: Option<&Description>) -> Self {
        let pushes = contract.map_or(&[][..], |contract| &contract.pushes);
        let counters = |push: &PushDescription| PushCounters {
            name: push.name,
            queued: AtomicU64::new(0),
            dropped: Default::default(),
            too_large: AtomicU64::new(0),
        };
        Self {
            pushes: pushes.iter().map(counters).collect(),
            route: route.into(),
            upgrades: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            messages_in: Default::default(),
            bytes_in: Default::default(),
            messages_out: Default::default(),
            bytes_out: Default::default(),
            pressure: Default::default(),
            too_large: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            closes: Mutex::new(BTreeMap::new()),
        }
    }

    pub(crate) fn upgraded(&self) {
        self.upgrades.fetch_add(1, Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn closed(&self, code: CloseCode) {
        self.closed.fetch_add(1, Relaxed);
        *self.closes.lock().entry(code.into()).or_default() += 1;
    }

    pub(crate) fn too_large(&self) {
        self.too_large.fetch_add(1, Relaxed);
    }

    pub(crate) fn rate_limited(&self, messages: u32) {
        self.rate_limited.fetch_add(messages.into(), Relaxed);
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn malformed(&self) {
        self.malformed.fetch_add(1, Relaxed);
    }

    pub(crate) fn received(&self, traffic: &Traffic) {
        traffic.add_to(&self.messages_in, &self.bytes_in);
    }

    pub(crate) fn sent(&self, traffic: &Traffic) {
        traffic.add_to(&self.messages_out, &self.bytes_out);
    }

    pub(crate) fn pressed(&self, outcome: Pressure, messages: u64) {
        self.pressure[outcome as usize].fetch_add(messages, Relaxed);
    }

    /// Each receiver of a push counts.
    pub(crate) fn pushed(&self, push: u16, outcome: PushOutcome) {
        let Some(counters) = self.pushes.get(usize::from(push)) else { return };
        let counter = match outcome {
            PushOutcome::Queued => &counters.queued,
            PushOutcome::Dropped(pressure) => &counters.dropped[pressure as usize],
            PushOutcome::TooLarge => &counters.too_large,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn each(&self, visit: &mut Visit<'_>) {
        let route = ("route", &*self.route);
        visit(names::UPGRADES, &[route, ("outcome", "accepted")], Value::counter(&self.upgrades));
        let opened = self.connections.load(Relaxed);
        visit(names::CONNECTIONS, &[route], Value::Counter(opened));
        visit(names::ACTIVE, &[route], Value::Gauge(opened.saturating_sub(self.closed.load(Relaxed))));
        for (kind, label) in KINDS {
            let labels = &[route, ("kind", label)];
            let kind = kind as usize;
            visit(names::MESSAGES_IN, labels, Value::counter(&self.messages_in[kind]));
            visit(names::BYTES_IN, labels, Value::counter(&self.bytes_in[kind]));
            visit(names::MESSAGES_OUT, labels, Value::counter(&self.messages_out[kind]));
            visit(names::BYTES_OUT, labels, Value::counter(&self.bytes_out[kind]));
        }
        for (pressure, label) in PRESSURES {
            let value = Value::counter(&self.pressure[pressure as usize]);
            visit(names::BACKPRESSURE, &[route, ("outcome", label)], value);
        }
        visit(names::TOO_LARGE, &[route], Value::counter(&self.too_large));
        visit(names::RATE_LIMITED, &[route], Value::counter(&self.rate_limited));
        visit(names::PANICS, &[route], Value::counter(&self.panics));
        visit(names::MALFORMED, &[route], Value::counter(&self.malformed));
        for push in &self.pushes {
            let name = ("push", push.name);
            visit(names::PUSHES, &[route, name, ("outcome", "queued")], Value::counter(&push.queued));
            visit(names::PUSHES, &[route, name, ("outcome", "too_large")], Value::counter(&push.too_large));
            for (pressure, label) in PRESSURES {
                let value = Value::counter(&push.dropped[pressure as usize]);
                visit(names::PUSHES, &[route, name, ("outcome", label)], value);
            }
        }
        for (code, count) in &*self.closes.lock() {
            visit(names::CLOSE, &[route, ("code", &code.to_string())], Value::Counter(*count));
        }
    }
}

/// Messages and payload bytes by kind, gathered without atomics and added at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    messages: [u32; 4],
    bytes: [u64; 4],
}

impl Traffic {
    pub(crate) fn one(kind: Kind, bytes: usize) -> Self {
        let mut traffic = Self::default();
        traffic.add(kind, bytes);
        traffic
    }

    pub(crate) fn add(&mut self, kind: Kind, bytes: usize) {
        self.messages[kind as usize] += 1;
        self.bytes[kind as usize] += bytes as u64;
    }

    pub(crate) fn add_many(&mut self, kind: Kind, messages: u32, bytes: u64) {
        self.messages[kind as usize] += messages;
        self.bytes[kind as usize] += bytes;
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        for kind in 0..4 {
            self.messages[kind] += other.messages[kind];
            self.bytes[kind] += other.bytes[kind];
        }
    }

    fn add_to(&self, messages: &[AtomicU64; 4], bytes: &[AtomicU64; 4]) {
        for kind in 0..4 {
            if self.messages[kind] > 0 {
                messages[kind].fetch_add(u64::from(self.messages[kind]), Relaxed);
                bytes[kind].fetch_add(self.bytes[kind], Relaxed);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Counter(u64),
    Gauge(u64),
}

impl Value {
    fn counter(counter: &AtomicU64) -> Self {
        Self::Counter(counter.load(Relaxed))
    }

    #[cfg(feature = "testing")]
    fn get(self) -> u64 {
        match self {
            Self::Counter(value) | Self::Gauge(value) => value,
        }
    }
}

/// Is told a name, its labels and their value.
type Visit<'a> = dyn FnMut(&'static str, &[(&'static str, &str)], Value) + 'a;

/// All counters of one app.
#[derive(Default)]
pub(crate) struct Observer {
    routes: RwLock<Vec<Arc<RouteCounters>>>,
    rejected: Mutex<BTreeMap<Rejection, u64>>,
    recorder: Option<Box<dyn Recorder + Send + Sync>>,
}

impl Observer {
    /// Also flushes into `recorder`, whatever the process-wide one is.
    pub(crate) fn with_recorder(recorder: Option<Box<dyn Recorder + Send + Sync>>) -> Self {
        Self { recorder, ..Self::default() }
    }

    pub(crate) fn route(&self, pattern: &str, contract: Option<&Description>) -> Arc<RouteCounters> {
        let counters = Arc::new(RouteCounters::new(pattern, contract));
        self.routes.write().push(Arc::clone(&counters));
        counters
    }

    pub(crate) fn rejected(&self, why: Rejection) {
        *self.rejected.lock().entry(why).or_default() += 1;
    }

    /// The value of one counter or gauge; 0 when nothing was counted under these labels.
    #[cfg(feature = "testing")]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let mut found = 0;
        self.each(&mut |each_name, each_labels, value| {
            let same = each_labels.len() == labels.len()
                && labels.iter().all(|wanted| each_labels.iter().any(|label| label == wanted));
            if each_name == name && same {
                found += value.get();
            }
        });
        found
    }

    /// Copies every total into the recorders. Called by a shard's tick and before a scrape.
    pub(crate) fn flush(&self) {
        const METADATA: Metadata<'static> = Metadata::new("wirelark", Level::INFO, Some("wirelark"));
        self.each(&mut |name, labels, value| {
            // A series that never counted stays out of the recorders: a route has thirty of them.
            if matches!(value, Value::Counter(0)) {
                return;
            }
            let labels: Vec<Label> =
                labels.iter().map(|&(label, value)| Label::new(label, value.to_owned())).collect();
            let key = Key::from_parts(name, labels);
            let record = |recorder: &dyn Recorder| match value {
                Value::Counter(total) => recorder.register_counter(&key, &METADATA).absolute(total),
                Value::Gauge(now) => recorder.register_gauge(&key, &METADATA).set(now as f64),
            };
            metrics::with_recorder(|global| record(global));
            if let Some(own) = &self.recorder {
                record(&**own);
            }
        });
    }

    fn each(&self, visit: &mut Visit<'_>) {
        for route in &*self.routes.read() {
            route.each(visit);
        }
        for (why, count) in &*self.rejected.lock() {
            visit(names::REJECTED, &[("outcome", why.as_str())], Value::Counter(*count));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("routes", &self.routes).finish_non_exhaustive()
    }
}
