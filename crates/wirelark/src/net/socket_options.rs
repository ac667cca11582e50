//! Options of a TCP socket, and all that is Linux-only about them.

use std::io;

use socket2::SockRef;
use tokio::net::TcpStream;

/// Unsent bytes the kernel may hold before it stops taking more.
///
/// Without it a peer that never reads absorbs about 4 MB before any outbox policy acts, and a client that
/// comes back is served tens of thousands of stale messages first. Measured with 16 KiB: 164 KB.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 16 * 1024;

/// Prepares an accepted socket: replies leave at once, and backlog stays where policies can act on it.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    limit_unsent(stream)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Elsewhere the kernel's own send buffer is the bound; it is smaller than Linux's to begin with.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_send_buffer_size(128 * 1024)
}
