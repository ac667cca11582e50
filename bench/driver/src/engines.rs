//! The table of engines: ours, the floor, and the peers. Adding one is adding a row here.

use crate::cases::Kind;

/// A server to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    /// For the reader of the results.
    pub(crate) about: &'static str,
    pub(crate) program: Program,
    /// As the load generator names it.
    pub(crate) dialect: &'static str,
    routes: Routes,
    /// The kinds of case it takes part in.
    pub(crate) kinds: &'static [Kind],
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

/// What the generator asks for to get a case's behaviour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) path: &'static str,
    /// The route wants a token, and its first message is a greeting.
    pub(crate) secure: bool,
}

#[derive(Debug, Clone, Copy)]
struct Routes {
    echo: Route,
    fan_out: Route,
    idle: Route,
    handshake: Route,
}

impl Engine {
    pub(crate) fn route(&self, kind: Kind) -> Route {
        match kind {
            Kind::Echo => self.routes.echo,
            Kind::FanOut => self.routes.fan_out,
            Kind::Idle => self.routes.idle,
            Kind::Handshake => self.routes.handshake,
        }
    }
}

const fn open(path: &'static str) -> Route {
    Route { path, secure: false }
}

const fn secure(path: &'static str) -> Route {
    Route { path, secure: true }
}

// Ours does more than its peers in two cases: it is measured at rest as an authenticated connection, and a
// handshake passes a middleware, checks a token and says hello.
const OURS: Routes = Routes {
    echo: open("/echo"),
    fan_out: open("/rooms/bench"),
    idle: secure("/secure?room=bench"),
    handshake: secure("/secure"),
};

const PEER: Routes =
    Routes { echo: open("/echo"), fan_out: open("/fan"), idle: open("/echo"), handshake: open("/echo") };

// One address for everything: the event's name says what is to be done.
const SOCKET_IO_PATH: Route = open("/socket.io/?EIO=4&transport=websocket");
const SOCKET_IO: Routes =
    Routes { echo: SOCKET_IO_PATH, fan_out: SOCKET_IO_PATH, idle: SOCKET_IO_PATH, handshake: SOCKET_IO_PATH };

const ALL: &[Kind] = &[Kind::Echo, Kind::FanOut, Kind::Idle, Kind::Handshake];

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
        dialect: "floor",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "raw-tokio",
        about: "the same bytes through a tokio task per connection, no WebSocket",
        program: Program::Peer("raw_tokio"),
        dialect: "floor",
        routes: PEER,
        kinds: &[Kind::Echo, Kind::Idle, Kind::Handshake],
    },
    Engine {
        name: OURS_NAME,
        about: "the conformance server, one shard; idle and handshake on its authenticated route, idle in a room",
        program: Program::Ours { workers: 1 },
        dialect: "websocket",
        routes: OURS,
        kinds: ALL,
    },
    Engine {
        name: "wirelark-2-shards",
        about: "the members of the room live on two shards, still on one core",
        program: Program::Ours { workers: 2 },
        dialect: "websocket",
        routes: OURS,
        kinds: &[Kind::FanOut],
    },
    Engine {
        name: "axum",
        about: "as documented: default buffers, `send().await` per message",
        program: Program::Peer("axum"),
        dialect: "websocket",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "axum-tuned",
        about: "4 KiB read buffer, `feed`, and `flush` only when no message is ready",
        program: Program::Peer("axum_tuned"),
        dialect: "websocket",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "fastwebsockets",
        about: "as documented, on hyper",
        program: Program::Peer("fastwebsockets"),
        dialect: "websocket",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "tokio-websockets",
        about: "as documented",
        program: Program::Peer("tokio_websockets"),
        dialect: "websocket",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "socketioxide",
        about: "as documented, under axum; its messages carry Socket.IO's framing",
        program: Program::Peer("socketioxide"),
        dialect: "socketio",
        routes: SOCKET_IO,
        kinds: ALL,
    },
    Engine {
        name: "bun",
        about: "Bun's own server with its native publish",
        program: Program::Bun("bun.js"),
        dialect: "websocket",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "ws",
        about: "the `ws` package on node",
        program: Program::Node("ws.js"),
        dialect: "websocket",
        routes: PEER,
        kinds: ALL,
    },
    Engine {
        name: "socket.io",
        about: "Socket.IO on node, WebSocket transport only",
        program: Program::Node("socketio.js"),
        dialect: "socketio",
        routes: SOCKET_IO,
        kinds: ALL,
    },
];
