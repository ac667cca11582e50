//! Refusing clients that can only read close codes.
//!
//! A browser shows its page nothing of an HTTP refusal. A client of ours is therefore accepted and closed at once with
//! the code that means the same. It never becomes a connection: no handler, no session, no place in the hub, and no
//! counter but that of the refusal.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, header};
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;
use wirelark_proto::{CloseCode, CloseFrame, Frame};

use super::upgrade::{Runner, Taken, switching_protocols, take_stream};
use crate::hub::Hub;

/// Bytes of a client that are read and thrown away until it closes. What it had sent already must not turn its end
/// into a reset, which could overtake the close frame; one that goes on sending is cut.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;

/// What it takes to accept an upgrade only to close it.
#[derive(Debug)]
pub(crate) struct Farewell {
    pub(crate) hub: Hub,
    pub(crate) on_upgrade: OnUpgrade,
    pub(crate) accept: HeaderValue,
    pub(crate) protocol: Option<HeaderValue>,
    /// How long it may take.
    pub(crate) limit: Duration,
}

impl Farewell {
    /// Closes with the twin of an HTTP refusal.
    pub(crate) fn instead_of(self, refusal: Response) -> Response {
        let status = refusal.status();
        let reason = status.canonical_reason().unwrap_or("refused");
        let code = CloseCode::twin_of(status);
        let after = refusal.headers().get(header::RETRY_AFTER).and_then(|after| after.to_str().ok());
        let frame = match after {
            Some(seconds) => CloseFrame::new(code, format!("{reason}; retry after {seconds} s")),
            None => CloseFrame::new(code, reason),
        };
        self.say(frame, refusal)
    }

    /// Closes with `frame`, or answers with `otherwise` where that would be one farewell too many.
    ///
    /// A refusal is what a server has to give when it is short of everything, so this must not cost more than it can
    /// bear: there are [so many](Hub::allow_farewell) at a time, each is a task of a few hundred bytes and a socket,
    /// for no longer than a close handshake may take, and has no buffer to read into but one of its own. Whoever comes
    /// beyond that gets the HTTP refusal, which costs nothing once it is written.
    pub(crate) fn say(self, frame: CloseFrame, otherwise: Response) -> Response {
        let Some(allowed) = self.hub.allow_farewell() else { return otherwise };
        let Self { hub, on_upgrade, accept, protocol, limit } = self;
        let saying = async move {
            let _allowed = allowed;
            let said = timeout(limit, say(on_upgrade, frame)).await;
            if let Ok(Err(error)) = said {
                tracing::debug!(%error, "a client left before it was told why it is refused");
            }
        };
        hub.tasks().spawn(hub.stopped().clone().run_until_cancelled_owned(saying));
        switching_protocols(accept, protocol, None)
    }
}

async fn say(on_upgrade: OnUpgrade, frame: CloseFrame) -> io::Result<()> {
    let upgraded = on_upgrade.await.map_err(io::Error::other)?;
    let Taken { wires: (mut read, mut write), head, .. } = take_stream(upgraded, Runner::Task);
    let close = Frame::close(Some(frame), None);
    let bytes = [&head, close.head.as_slice(), &close.payload].concat();
    let mut unsent = &bytes[..];
    while !unsent.is_empty() {
        match poll_fn(|cx| write.poll_write(cx, &[IoSlice::new(unsent)])).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => unsent = &unsent[written..],
        }
    }
    poll_fn(|cx| write.poll_flush(cx)).await?;
    poll_fn(|cx| write.poll_shutdown(cx)).await?;
    let mut scratch = [0; 256];
    let mut discarded = 0;
    while discarded < DISCARDED_BYTES_MAX {
        match poll_fn(|cx| read.poll_read(cx, &mut scratch)).await? {
            0 => break,
            read => discarded += read,
        }
    }
    Ok(())
}
