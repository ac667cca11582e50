//! `/first`: a token in the first message.

use std::time::Duration;

use serde_json::json;
use wirelark::auth::{User, first_message};
use wirelark::{App, Socket, socket};

use crate::secure;

pub(crate) fn add_to(app: App) -> App {
    let by_message = first_message(secure::jwt()).deadline(Duration::from_secs(2));
    app.socket("/first", socket(first).auth(by_message))
}

async fn first(mut socket: Socket) -> wirelark::Result {
    socket.send_json(&json!({"type": "hello", "sub": socket.user().as_ref().map(User::id)})).await?;
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}
