//! What a client is doing.

use std::time::Duration;

/// What a client is doing; see [`Client::on_status`](crate::Client::on_status).
///
/// ```text
///   Idle ──▶ Connecting ──▶ Open ──▶ Reconnecting ──▶ Open
///                 │           │        │  ▲   │
///                 │           │        └──┘   ▼
///                 └───────────┴───────────▶ Closed ──▶ Connecting
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Nothing yet: it connects with the first call or send, or when it is told to.
    Idle,
    /// The first attempt is under way.
    Connecting,
    /// Connected.
    Open,
    /// The connection ended, or an attempt failed. After `delay` comes another attempt, and the status stays this
    /// until it has succeeded or failed.
    Reconnecting {
        /// Which attempt in a row, from 1.
        attempt: u32,
        /// How long the client waits before it.
        delay: Duration,
    },
    /// It does nothing more until it is told to connect.
    Closed,
}
