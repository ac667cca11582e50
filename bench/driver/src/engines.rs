//! The table of engines: ours, the floor, and the peers. Adding one is adding a row here.

use crate::cases::{Content, Kind, Wire};

/// A server to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// For the reader of the results.
    pub(crate) about: &'static str,
    pub(crate) program: Program,
    /// It takes part in the kinds of case it has a route for.
    routes: &'static [(Kind, Route)],
}

/// How a server is built and started.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// The conformance server of the main workspace, with this many shards.
    Ours { workers: u32 },
    /// A binary of `bench/peers`.
    Peer(&'static str),
    /// A script of `bench/peers-js`, run by node.
    Node(&'static str),
    /// The same, run by bun.
    Bun(&'static str),
}

/// What the generator asks for, and how it speaks, to get a case's behaviour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    /// As the load generator names it.
    pub(crate) dialect: &'static str,
    /// The route wants a token, and its first message is a greeting.
    pub(crate) secure: bool,
}

impl Engine {
    pub(crate) fn route(&self, kind: Kind) -> Option<Route> {
        let (_, route) = self.routes.iter().find(|(of, _)| *of == kind)?;
        Some(*route)
    }

    pub(crate) fn takes_part_in(&self, kind: Kind) -> bool {
        self.route(kind).is_some()
    }
}

const fn route(dialect: &'static str, path: &'static str) -> Route {
    Route { path, dialect, secure: false }
}

const fn secure(path: &'static str) -> Route {
    Route { path, dialect: "websocket", secure: true }
}

const TEXT: Kind = Kind::Message(Content::Text);
const JSON: Kind = Kind::Message(Content::Json);
const CALL_JSON: Kind = Kind::Call(Wire::Json);
const CALL_MSGPACK: Kind = Kind::Call(Wire::MsgPack);

// Ours does more than its peers in two cases: it is measured at rest as an authenticated connection, and a
// handshake passes a middleware, checks a token and says hello.
const OURS: &[(Kind, Route)] = &[
    (Kind::Echo, route("websocket", "/echo")),
    (TEXT, route("websocket", "/messages/text")),
    (JSON, route("json", "/messages")),
    (CALL_JSON, route("socka", "/rpc")),
    (CALL_MSGPACK, route("socka-msgpack", "/rpc?wire=msgpack")),
    (Kind::FanOut, route("websocket", "/rooms/bench")),
    (Kind::Idle, secure("/secure?room=bench")),
    (Kind::Handshake, secure("/secure")),
];

// A peer without a word for calls answers them in JSON-RPC.
const PEER: &[(Kind, Route)] = &[
    (Kind::Echo, route("websocket", "/echo")),
    (TEXT, route("websocket", "/echo")),
    (Kind::FanOut, route("websocket", "/fan")),
    (Kind::Idle, route("websocket", "/echo")),
    (Kind::Handshake, route("websocket", "/echo")),
];
const CALLED_PEER: &[(Kind, Route)] = &[
    (Kind::Echo, route("websocket", "/echo")),
    (TEXT, route("websocket", "/echo")),
    (CALL_JSON, route("jsonrpc", "/call")),
    (Kind::FanOut, route("websocket", "/fan")),
    (Kind::Idle, route("websocket", "/echo")),
    (Kind::Handshake, route("websocket", "/echo")),
];

// The floor returns a call's text: what kernel and network cost hardly depends on the envelope around it.
const FLOOR: &[(Kind, Route)] = &[
    (Kind::Echo, route("floor", "/echo")),
    (TEXT, route("floor", "/echo")),
    (CALL_JSON, route("floor", "/echo")),
    (CALL_MSGPACK, route("floor", "/echo")),
    (Kind::FanOut, route("floor", "/fan")),
    (Kind::Idle, route("floor", "/echo")),
    (Kind::Handshake, route("floor", "/echo")),
];

// One address for everything: the event's name says what is to be done.
const SOCKET_IO_PATH: &str = "/socket.io/?EIO=4&transport=websocket";
const SOCKET_IO: &[(Kind, Route)] = &[
    (Kind::Echo, route("socketio", SOCKET_IO_PATH)),
    (CALL_JSON, route("socketio-ack", SOCKET_IO_PATH)),
    (Kind::FanOut, route("socketio", SOCKET_IO_PATH)),
    (Kind::Idle, route("socketio", SOCKET_IO_PATH)),
    (Kind::Handshake, route("socketio", SOCKET_IO_PATH)),
];

/// The engine every other one is compared with.
pub(crate) const OURS_NAME: &str = "wirelark";
/// What the kernel costs in any case.
pub(crate) const FLOOR_NAME: &str = "raw-epoll";

/// In the order of the tables.
pub(crate) const ENGINES: &[Engine] = &[
    Engine {
        name: FLOOR_NAME,
        about: "the floor: the same bytes through a bare epoll loop, no WebSocket",
        program: Program::Peer("raw_epoll"),
        routes: FLOOR,
    },
    Engine {
        name: "raw-tokio",
        about: "the same bytes through a tokio task per connection, no WebSocket",
        program: Program::Peer("raw_tokio"),
        routes: &[
            (Kind::Echo, route("floor", "/echo")),
            (Kind::Idle, route("floor", "/echo")),
            (Kind::Handshake, route("floor", "/echo")),
        ],
    },
    Engine {
        name: OURS_NAME,
        about: "the conformance server, one shard; idle and handshake on its authenticated route, idle in a room",
        program: Program::Ours { workers: 1 },
        routes: OURS,
    },
    Engine {
        name: "wirelark-other-style",
        about: "the same server in its other style: a raw socket where handlers run for each message, and handlers for each message at rest",
        program: Program::Ours { workers: 1 },
        routes: &[
            (TEXT, route("websocket", "/echo")),
            (Kind::Idle, route("json", "/messages?user=ada&room=lobby")),
        ],
    },
    Engine {
        name: "wirelark-2-shards",
        about: "the members of the room live on two shards, still on one core",
        program: Program::Ours { workers: 2 },
        routes: &[(Kind::FanOut, route("websocket", "/rooms/bench"))],
    },
    Engine {
        name: "axum",
        about: "as documented: default buffers, `send().await` per message",
        program: Program::Peer("axum"),
        routes: CALLED_PEER,
    },
    Engine {
        name: "axum-tuned",
        about: "4 KiB read buffer, `feed`, and `flush` only when no message is ready",
        program: Program::Peer("axum_tuned"),
        routes: CALLED_PEER,
    },
    Engine {
        name: "fastwebsockets",
        about: "as documented, on hyper",
        program: Program::Peer("fastwebsockets"),
        routes: PEER,
    },
    Engine {
        name: "tokio-websockets",
        about: "as documented",
        program: Program::Peer("tokio_websockets"),
        routes: PEER,
    },
    Engine {
        name: "jsonrpsee",
        about: "JSON-RPC over WebSocket as documented",
        program: Program::Peer("jsonrpsee"),
        routes: &[(CALL_JSON, route("jsonrpc", "/call"))],
    },
    Engine {
        name: "socketioxide",
        about: "as documented, under axum; its messages carry Socket.IO's framing",
        program: Program::Peer("socketioxide"),
        routes: SOCKET_IO,
    },
    Engine {
        name: "bun",
        about: "Bun's own server with its native publish",
        program: Program::Bun("bun.js"),
        routes: CALLED_PEER,
    },
    Engine {
        name: "ws",
        about: "the `ws` package on node",
        program: Program::Node("ws.js"),
        routes: CALLED_PEER,
    },
    Engine {
        name: "socket.io",
        about: "Socket.IO on node, WebSocket transport only",
        program: Program::Node("socketio.js"),
        routes: SOCKET_IO,
    },
];
