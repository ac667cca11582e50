//! The table of cases. The load generator's own words describe each one; adding a case is adding a row here.

/// What is counted, and so which table a case's results fit in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Echo,
    /// A message to a handler that runs once for it, and its reply.
    Message(Content),
    /// A request and its typed reply.
    Call(Wire),
    FanOut,
    Handshake,
    Idle,
}

/// What is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Text,
    Json,
}

/// What calls are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Json,
    MsgPack,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    /// The generator's command line after the options of every case.
    pub(crate) load: &'static [&'static str],
}

impl Kind {
    /// What one of the counted things is called.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Echo | Self::Message(_) => "message",
            Self::Call(_) => "call",
            Self::FanOut => "delivery",
            Self::Handshake => "handshake",
            Self::Idle => "connection",
        }
    }

    /// More of them.
    pub(crate) fn units(self) -> &'static str {
        match self {
            Self::Echo | Self::Message(_) => "messages",
            Self::Call(_) => "calls",
            Self::FanOut => "deliveries",
            Self::Handshake => "handshakes",
            Self::Idle => "connections",
        }
    }
}

/// In the order of the tables.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "echo-64",
        title: "Echo, 64 B, 64 connections, 1 in flight",
        kind: Kind::Echo,
        load: &["echo", "--connections", "64", "--in-flight", "1", "--bytes", "64"],
    },
    Case {
        name: "echo-64-many",
        title: "Echo, 64 B, 1,000 connections, 1 in flight",
        kind: Kind::Echo,
        load: &["echo", "--connections", "1000", "--in-flight", "1", "--bytes", "64"],
    },
    Case {
        name: "echo-64-burst",
        title: "Echo, 64 B, 64 connections, 16 in flight",
        kind: Kind::Echo,
        load: &["echo", "--connections", "64", "--in-flight", "16", "--bytes", "64"],
    },
    Case {
        name: "echo-16k-ascii",
        title: "Echo, 16 KiB of ASCII text, 64 connections, 1 in flight",
        kind: Kind::Echo,
        load: &["echo", "--connections", "64", "--in-flight", "1", "--bytes", "16384", "--text", "ascii"],
    },
    Case {
        name: "echo-16k-non-ascii",
        title: "Echo, 16 KiB of non-ASCII text, 64 connections, 1 in flight",
        kind: Kind::Echo,
        load: &["echo", "--connections", "64", "--in-flight", "1", "--bytes", "16384", "--text", "non-ascii"],
    },
    Case {
        name: "message-text",
        title: "A handler for each message, 64 B of text, 64 connections, 1 in flight",
        kind: Kind::Message(Content::Text),
        load: &["echo", "--connections", "64", "--in-flight", "1", "--bytes", "64", "--text", "upper"],
    },
    Case {
        name: "message-text-burst",
        title: "A handler for each message, 64 B of text, 64 connections, 16 in flight",
        kind: Kind::Message(Content::Text),
        load: &["echo", "--connections", "64", "--in-flight", "16", "--bytes", "64", "--text", "upper"],
    },
    Case {
        name: "message-json-burst",
        title: "A handler for each message, a value in JSON with 64 B of text, 64 connections, 16 in flight",
        kind: Kind::Message(Content::Json),
        load: &["echo", "--connections", "64", "--in-flight", "16", "--bytes", "64"],
    },
    Case {
        name: "call-json",
        title: "Calls in JSON, 64 B of text, 64 connections, 1 in flight",
        kind: Kind::Call(Wire::Json),
        load: &["echo", "--connections", "64", "--in-flight", "1", "--bytes", "64"],
    },
    Case {
        name: "call-json-burst",
        title: "Calls in JSON, 64 B of text, 64 connections, 16 in flight",
        kind: Kind::Call(Wire::Json),
        load: &["echo", "--connections", "64", "--in-flight", "16", "--bytes", "64"],
    },
    Case {
        name: "call-msgpack",
        title: "Calls in MessagePack, 64 B of text, 64 connections, 1 in flight",
        kind: Kind::Call(Wire::MsgPack),
        load: &["echo", "--connections", "64", "--in-flight", "1", "--bytes", "64"],
    },
    Case {
        name: "call-msgpack-burst",
        title: "Calls in MessagePack, 64 B of text, 64 connections, 16 in flight",
        kind: Kind::Call(Wire::MsgPack),
        load: &["echo", "--connections", "64", "--in-flight", "16", "--bytes", "64"],
    },
    Case {
        name: "fan-out",
        title: "Fan-out, 128 B to 1,000 subscribers, 1 in flight",
        kind: Kind::FanOut,
        load: &["fan-out", "--subscribers", "1000", "--in-flight", "1", "--bytes", "128"],
    },
    Case {
        name: "fan-out-burst",
        title: "Fan-out, 128 B to 1,000 subscribers, 16 in flight",
        kind: Kind::FanOut,
        load: &["fan-out", "--subscribers", "1000", "--in-flight", "16", "--bytes", "128"],
    },
    Case {
        name: "handshake",
        title: "Handshake: connect, upgrade, close",
        kind: Kind::Handshake,
        load: &["handshake", "--at-once", "64"],
    },
    Case {
        name: "idle",
        title: "Idle connections",
        kind: Kind::Idle,
        load: &["idle", "--small-bytes", "64", "--large-bytes", "16384", "--rest", "2"],
    },
];
