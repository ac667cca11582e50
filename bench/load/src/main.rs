//! The command line of the load generator. It prints one JSON object, a [`Report`].

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench_load::cases::{Generator, Window, echo, fan_out, handshake, hold, idle, stalled};
use bench_load::connection::Target;
use bench_load::dialect::Dialect;
use bench_load::message::{Template, Text};
use bench_load::process::Process;
use bench_load::report::Report;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Puts load on a WebSocket server of this machine and reads what that costs it.
#[derive(Debug, Parser)]
struct Args {
    /// The server's address.
    #[arg(long)]
    server: SocketAddr,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// The request target.
    #[arg(long, default_value = "/echo")]
    path: String,
    /// What is spoken: websocket, floor (not masked), socketio; and calls in socka, socka-msgpack, jsonrpc or
    /// socketio-ack.
    #[arg(long, default_value = "websocket")]
    dialect: Dialect,
    /// A token for the Authorization header.
    #[arg(long)]
    bearer: Option<String>,
    /// The server sends a first message of its own on every connection.
    #[arg(long)]
    greeting: bool,
    /// Seconds that run before the counted ones.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// Seconds that are counted.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Run on this CPU only.
    #[arg(long)]
    cpu: Option<usize>,
    /// Never sleep: without it, waking the generator is part of what the server pays for.
    #[arg(long)]
    spin: bool,
    #[command(subcommand)]
    case: Case,
}

#[derive(Debug, Subcommand)]
enum Case {
    /// Every connection sends and gets its messages back, or calls and gets its answers.
    Echo {
        #[arg(long, default_value_t = 64)]
        connections: usize,
        #[arg(long, default_value_t = 1)]
        in_flight: u32,
        #[arg(long, default_value_t = 64)]
        bytes: usize,
        /// ascii, upper or non-ascii.
        #[arg(long, default_value = "ascii")]
        text: Text,
    },
    /// One connection sends, all of them receive.
    FanOut {
        #[arg(long, default_value_t = 1000)]
        subscribers: usize,
        #[arg(long, default_value_t = 1)]
        in_flight: u32,
        #[arg(long, default_value_t = 128)]
        bytes: usize,
    },
    /// Connections that rest.
    Idle {
        #[arg(long, default_value_t = 5000)]
        connections: usize,
        #[arg(long, default_value_t = 64)]
        small_bytes: usize,
        #[arg(long, default_value_t = 16 * 1024)]
        large_bytes: usize,
        /// Seconds between the last message and the weighing.
        #[arg(long, default_value_t = 2.0)]
        rest: f64,
    },
    /// Connections that are opened and closed again.
    Handshake {
        #[arg(long, default_value_t = 64)]
        at_once: usize,
    },
    /// Sessions of `/rpc/{room}` at rest, fifty in each room, through heartbeats; each answers before and after.
    Hold {
        #[arg(long, default_value_t = 15_000)]
        connections: usize,
        /// How long they rest.
        #[arg(long, default_value_t = 60.0)]
        rest: f64,
    },
    /// A push to everyone on `/rpc`, with and without one among them who never reads.
    Stalled {
        #[arg(long, default_value_t = 10_000)]
        members: usize,
        #[arg(long, default_value_t = 10)]
        rounds: usize,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(cpu) = args.cpu {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).with_context(|| format!("CPU {cpu} is not to be had"))?;
    }
    allow_many_sockets()?;
    let dialect = match args.case {
        Case::FanOut { .. } => args.dialect.fanning_out(),
        Case::Echo { .. } | Case::Idle { .. } | Case::Handshake { .. } => args.dialect,
        // They say whole messages themselves.
        Case::Hold { .. } | Case::Stalled { .. } => Dialect::WebSocket,
    };
    let target = Target {
        address: args.server,
        path: args.path,
        dialect,
        bearer: args.bearer,
        greeting: args.greeting,
    };
    let window = Window {
        warm_up: Duration::from_secs_f64(args.warm_up),
        length: Duration::from_secs_f64(args.seconds),
    };
    let mut generator = Generator::new(target, Process { pid: args.pid }, window, args.spin)?;
    let report = match args.case {
        Case::Echo { connections, in_flight, bytes, text } => {
            let template = Template::new(dialect, bytes, text)?;
            Report::Rate(echo::run(&mut generator, connections, in_flight, &template)?)
        }
        Case::FanOut { subscribers, in_flight, bytes } => {
            let template = Template::new(dialect, bytes, Text::Ascii)?;
            Report::Rate(fan_out::run(&mut generator, subscribers, in_flight, &template)?)
        }
        Case::Idle { connections, small_bytes, large_bytes, rest } => {
            let small = Template::new(dialect, small_bytes, Text::Ascii)?;
            let large = Template::new(dialect, large_bytes, Text::Ascii)?;
            let rest = Duration::from_secs_f64(rest);
            Report::Idle(idle::run(&mut generator, connections, &small, &large, rest)?)
        }
        Case::Handshake { at_once } => Report::Rate(handshake::run(&mut generator, at_once)?),
        Case::Hold { connections, rest } => {
            Report::Hold(hold::run(&mut generator, connections, Duration::from_secs_f64(rest))?)
        }
        Case::Stalled { members, rounds } => Report::Stalled(stalled::run(&mut generator, members, rounds)?),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// One descriptor a connection: the soft limit of 1024 is too low, the hard one is what there is.
fn allow_many_sockets() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
