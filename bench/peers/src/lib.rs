//! What every Rust peer shares: the command line, one thread, the line that says it is ready, and the rule of `/fan`.
//!
//! All peers answer the same paths. `/echo` returns each message to its sender. On `/fan` each message goes to every
//! connection of that path, the sender included. A call `echo` is answered with its argument, whose type is checked: on
//! `/call` in JSON-RPC where that is written by hand, and in the library's own way where it knows calls. A peer speaks
//! its library the way that library's documentation does; where a binary deviates from that (`axum-tuned`), its module
//! says so.

pub mod json_rpc;

use std::future::Future;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};

use clap::Parser;
use serde::{Deserialize, Serialize};
use tikv_jemallocator::Jemalloc;
use tokio::sync::broadcast;

/// The allocator of our conformance server, so that none is compared with another allocator's speed or packing.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The command line of every peer.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
}

/// The argument of a call, and its result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Echo {
    /// Comes back.
    pub text: String,
}

/// Runs a tokio server on the current thread alone, so that "the server on one core" holds by construction.
pub fn serve<F>(server: impl FnOnce(tokio::net::TcpListener) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let Args { listen } = Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        announce(listener.local_addr()?)?;
        server(listener).await
    })
}

/// Binds without a runtime, for the floor.
pub fn bind() -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(Args::parse().listen)?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// The room behind `/fan`. The bound is far above the 16 messages a publisher has in flight: nobody lags.
pub fn room<T: Clone>() -> broadcast::Sender<T> {
    broadcast::Sender::new(1024)
}

/// The floor's answer to an upgrade. It is constant because the load generator always sends the sample key of
/// RFC 6455, section 1.3: the floor does no hashing, and the generator need not know.
pub const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn announce(address: SocketAddr) -> anyhow::Result<()> {
    println!("listening on {address}");
    Ok(std::io::stdout().flush()?)
}
