//! A page and its shell. Bytes of the terminal travel as binary messages, everything else as JSON text.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use wirelark::{Close, CloseCode, Message, Receiver, SendError, Sender, Socket};

use crate::door::Door;
use crate::shell::{Controls, SHELLS_MAX, Shell, Shells, Size};

/// How many bytes may be on their way to the reader's eyes. The outbox alone would not bound what a page has received and
/// not drawn yet, which nobody but the page knows; and with little on the way, Ctrl-C is seen to work at once.
const WINDOW: u64 = 256 * 1024;

/// How long a page may take to say who it is.
const ENTER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a page says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Said {
    /// First of all.
    Enter(Enter),
    /// The terminal has another size now.
    Resize(Size),
    /// So many bytes of the output have been drawn, since the beginning.
    Shown(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enter {
    /// What was printed, if the page has just been opened with it.
    token: Option<String>,
    /// What was given for a token, if this browser has it.
    key: Option<String>,
    size: Size,
}

/// What a page is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Told<'a> {
    /// What is good from now on, instead of the token.
    Key(&'a str),
    /// The shell has ended.
    Exit { code: u32, signal: Option<&'a str> },
}

/// Lets a page in, and gives it a shell until one of both ends.
pub(crate) async fn serve(mut socket: Socket, door: &Door, shells: &Shells) -> wirelark::Result {
    let size = enter(&mut socket, door).await?;
    let Some(place) = shells.place() else {
        let full = format!("There are {SHELLS_MAX} shells already: end one of them.");
        return Err(Close::new(CloseCode::TRY_AGAIN, &full).into());
    };
    let Shell { mut output, controls, mut process } = Shell::start(size, place)?;

    let (page, receiver) = socket.split();
    let (shown, seen) = watch::channel(0);
    let run = async {
        show(&mut output, &page, seen).await?;
        let status = process.ended().await?;
        page.send_json(&Told::Exit { code: status.exit_code(), signal: status.signal() }).await?;
        Ok(())
    };
    tokio::select! {
        ended = run => ended,
        left = listen(receiver, controls, shown) => left,
    }
}

/// Waits for the page to say who it is, and how large its terminal.
async fn enter(socket: &mut Socket, door: &Door) -> wirelark::Result<Size> {
    let first = timeout(ENTER_TIMEOUT, socket.recv()).await;
    let first = first.map_err(|_| Close::new(CloseCode::TIMEOUT, "The page has not said who it is."))?;
    let Said::Enter(Enter { token, key, size }) = said(&first.ok_or(SendError::Closed)?)? else {
        return Err(Close::new(CloseCode::POLICY, "Enter first.").into());
    };
    if key.is_some_and(|key| door.opens_to(&key)) {
        return Ok(size);
    }
    let token = token.ok_or_else(|| Close::new(CloseCode::SIGN_IN, "This address lacks its token."))?;
    let key = door.redeem(&token).ok_or_else(|| {
        Close::new(CloseCode::SIGN_IN, "This address has been used, or is of a server that has ended.")
    })?;
    socket.send_json(&Told::Key(key)).await?;
    Ok(size)
}

/// Shows what the shell writes, no faster than the page draws it.
async fn show(
    output: &mut mpsc::Receiver<Bytes>,
    page: &Sender,
    mut shown: watch::Receiver<u64>,
) -> Result<(), SendError> {
    let mut sent: u64 = 0;
    while let Some(bytes) = output.recv().await {
        sent += bytes.len() as u64;
        page.send(bytes).await?;
        // A page that claims to have shown more than there was only harms itself: behind the window is the outbox. The
        // error is that nobody listens any more, and then this ends, too.
        let _ = shown.wait_for(|shown| sent.saturating_sub(*shown) < WINDOW).await;
    }
    Ok(())
}

/// Does what the page says, until it is gone.
async fn listen(
    mut receiver: Receiver,
    mut controls: Controls,
    shown: watch::Sender<u64>,
) -> wirelark::Result {
    while let Some(message) = receiver.recv().await {
        if let Message::Binary(bytes) = message {
            controls.write(bytes).await;
            continue;
        }
        match said(&message)? {
            Said::Resize(size) => controls.resize(size)?,
            Said::Shown(total) => drop(shown.send_replace(total)),
            Said::Enter(_) => return Err(Close::new(CloseCode::POLICY, "You are in already.").into()),
        }
    }
    Ok(())
}

fn said(message: &Message) -> Result<Said, Close> {
    serde_json::from_slice(message.as_bytes())
        .map_err(|error| Close::new(CloseCode::INVALID_PAYLOAD, &format!("Not understood: {error}.")))
}
