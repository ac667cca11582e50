//! What a run has found, as the generator prints it and the driver reads it: one JSON object.

use serde::{Deserialize, Serialize};

/// The outcome of one case against one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Messages or handshakes over time: the echo, fan-out and handshake cases.
    Rate(Rate),
    /// Connections at rest.
    Idle(Idle),
    /// Sessions that were held for a while.
    Hold(Hold),
    /// A room with and without a member that does not read.
    Stalled(Stalled),
}

impl Report {
    /// See [`Rate::quiet`]. Resting connections are weighed, not timed, so nothing disturbs them.
    pub fn quiet(&self) -> f64 {
        match self {
            Self::Rate(rate) => rate.quiet(),
            Self::Idle(_) | Self::Hold(_) | Self::Stalled(_) => 1.0,
        }
    }
}

/// A counted window.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Rate {
    /// Replies, deliveries or handshakes inside the window, all of them checked.
    pub count: u64,
    /// The window's length.
    pub seconds: f64,
    /// On-CPU time of all threads of the server inside the window.
    pub server_cpu_seconds: f64,
    /// What other programs, or other machines on the same host, took of the server's core; `None` where it is not
    /// pinned to one.
    pub others_cpu_seconds: Option<f64>,
    /// The same as the server's, of the generator. Where it spins, what is missing to the window went to other programs.
    pub generator_cpu_seconds: f64,
}

impl Rate {
    /// Server CPU per message, in microseconds.
    pub fn cpu_micros(&self) -> f64 {
        self.server_cpu_seconds * 1e6 / self.count as f64
    }

    /// Messages per second.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// The share of the window the server spent on CPU: near 1 means that the server was the bottleneck.
    pub fn server_share(&self) -> f64 {
        self.server_cpu_seconds / self.seconds
    }

    /// How quiet the two cores were: 1 if nobody else took any of them. It is the lower of what others left of the
    /// server's core and what the generator, which never sleeps, had of its own.
    pub fn quiet(&self) -> f64 {
        let left = 1.0 - self.others_cpu_seconds.unwrap_or_default() / self.seconds;
        left.min(self.generator_cpu_seconds / self.seconds)
    }
}

/// What connections cost while nothing happens on them, in bytes per connection.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Idle {
    /// How many connections were open; every one of them had answered.
    pub connections: usize,
    /// After one small message each, and the rest.
    pub after_small: Footprint,
    /// After one large message each, and the rest.
    pub after_large: Footprint,
}

/// Bytes per connection.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Footprint {
    /// Growth of the server's resident memory (user space).
    pub user_bytes: f64,
    /// Half of what a *pair* of sockets took in the kernel, since both ends live on this machine. `None` where
    /// the kernel does not say.
    pub kernel_bytes: Option<f64>,
}

/// Sessions that were open for a while, each a user's and in a room; all of them answered before and after.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Hold {
    /// How many.
    pub connections: usize,
    /// How long they were at rest, in seconds.
    pub seconds: f64,
    /// The fewest heartbeats any of them answered meanwhile.
    pub pings: u32,
    /// What each cost at rest.
    pub footprint: Footprint,
}

/// Medians over the rounds, each of a stretch without and one with a member that does not read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stalled {
    /// Members that read; all of them got everything.
    pub members: usize,
    /// How often each was measured.
    pub rounds: usize,
    /// Without such a member.
    pub without: Delivery,
    /// With one.
    pub with: Delivery,
}

/// What it takes to reach one member.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Delivery {
    /// Server CPU per delivery, in microseconds.
    pub cpu_micros: f64,
    /// From the publication until 99 % of the members had it, in milliseconds.
    pub p99_millis: f64,
}
