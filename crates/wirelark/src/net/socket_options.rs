//! Options of a TCP socket, and all that is Linux-only about them.

use std::io;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// Unsent bytes the kernel may hold before it stops taking more.
///
/// Without it a peer that never reads absorbs about 4 MB before any outbox policy acts, and a client that
/// comes back is served tens of thousands of stale messages first. Measured with 16 KiB: 164 KB.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 16 * 1024;

/// Prepares an accepted socket: replies leave at once, and backlog stays where policies can act on it.
///
/// Without these options a connection is slower to answer and slower to notice a slow client, but works.
pub(crate) fn prepare(stream: &TcpStream) {
    log_refusal(set(&SockRef::from(stream)));
}

/// Prepares a listener whose sockets go through [`prepare_accepted`].
pub(crate) fn prepare_listener(listener: &TcpListener) {
    log_refusal(set(&SockRef::from(listener)));
}

/// Prepares a socket that a prepared listener has accepted. On Linux it has the listener's options already, which saves
/// each connection two system calls.
pub(crate) fn prepare_accepted(stream: &TcpStream) {
    if !cfg!(target_os = "linux") {
        prepare(stream);
    }
}

fn set(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    limit_unsent(socket)
}

fn log_refusal(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "socket options were refused");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Elsewhere the kernel's own send buffer is the bound; it is smaller than Linux's to begin with.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_send_buffer_size(128 * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_what_their_listener_has() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        prepare_listener(&listener);
        let address = listener.local_addr().expect("it is bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let ((accepted, _), _client) = (accepted.expect("a client comes"), client.expect("it listens"));
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("it is a TCP socket"));
        assert_eq!(accepted.tcp_notsent_lowat().expect("it is a TCP socket"), UNSENT_BYTES);
    }
}
