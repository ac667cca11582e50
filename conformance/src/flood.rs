//! `/flood?policy=P`: a handler that sends as fast as it can, to a client that may not read.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use wirelark::axum::extract::Query;
use wirelark::{App, Close, CloseCode, Message, SendError, SlowClient, Socket, Upgrade};

pub(crate) fn add_to(app: App) -> App {
    app.socket("/flood", flood)
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Policy {
    #[default]
    Error,
    Close,
    DropNewest,
    DropOldest,
    Conflate,
    Wait,
}

impl From<Policy> for SlowClient {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Error => Self::Error,
            Policy::Close => Self::Close,
            Policy::DropNewest => Self::DropNewest,
            Policy::DropOldest => Self::DropOldest,
            Policy::Conflate => Self::Conflate,
            Policy::Wait => Self::Wait,
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    policy: Policy,
}

/// What became of the messages of one request.
#[derive(Serialize)]
struct Counts {
    sent: u64,
    refused: u64,
    dropped: u64,
}

async fn flood(Query(Asked { policy }): Query<Asked>, upgrade: Upgrade) -> wirelark::Result {
    let mut socket = upgrade.slow_client(policy.into()).accept().await?;
    while let Some(message) = socket.recv().await {
        let Some((count, size)) = parse(&message) else {
            return Err(Close::new(CloseCode::INVALID_PAYLOAD, "send: COUNT SIZE").into());
        };
        let counts = send_all(&socket, count, size).await?;
        let counts = serde_json::to_string(&counts)?;
        // The report has to arrive whatever the policy does to the flood before it.
        while let Err(SendError::Full) = socket.send(counts.as_str()).await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

async fn send_all(socket: &Socket, count: u64, size: usize) -> wirelark::Result<Counts> {
    let sender = socket.sender();
    let payload = Message::from(vec![b'x'; size]);
    let before = sender.dropped_messages();
    let mut refused = 0;
    for index in 0..count {
        let key = NonZeroU64::MIN.saturating_add(index % 10);
        match sender.send_keyed(key, payload.clone()).await {
            Ok(()) => {}
            Err(SendError::Full) => refused += 1,
            Err(error) => return Err(error.into()),
        }
        // A handler that never waits would keep its worker to itself.
        if index % 64 == 63 {
            tokio::task::yield_now().await;
        }
    }
    let dropped = sender.dropped_messages() - before;
    Ok(Counts { sent: count - refused - dropped, refused, dropped })
}

fn parse(message: &Message) -> Option<(u64, usize)> {
    let text = std::str::from_utf8(message.as_bytes()).ok()?;
    let (count, size) = text.split_once(' ')?;
    Some((count.parse().ok()?, size.parse().ok().filter(|size| *size <= 64 * 1024)?))
}
