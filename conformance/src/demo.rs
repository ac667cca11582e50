//! A handler served where it stands in the source.

use wirelark::Socket;

/// Answers every text with `pong`.
#[wirelark::socket]
pub(crate) async fn ping(mut socket: Socket) -> wirelark::Result {
    while socket.recv().await.is_some() {
        socket.send("pong").await?;
    }
    Ok(())
}
