//! axum as its documentation shows it: default buffers, one `send().await` per message, and for a room the
//! `broadcast` channel with one task in each direction that its chat example uses.

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use bench_peers::{json_rpc, room, serve};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::broadcast::Sender;

fn main() -> Result<()> {
    serve(async |listener| {
        let app = Router::new()
            .route("/echo", any(echo))
            .route("/call", any(call))
            .route("/fan", any(fan))
            .with_state(room());
        let listener =
            listener.tap_io(|stream| stream.set_nodelay(true).expect("a fresh TCP socket takes it"));
        Ok(axum::serve(listener, app).await?)
    })
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if is_data(&message) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn call(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            let Message::Text(text) = message else { continue };
            let Ok(answer) = json_rpc::answer(&text) else { return };
            if socket.send(Message::text(answer)).await.is_err() {
                return;
            }
        }
    })
}

async fn fan(State(room): State<Sender<Message>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| take_part(socket, room))
}

async fn take_part(socket: WebSocket, room: Sender<Message>) {
    let mut published = room.subscribe();
    let (mut outgoing, mut incoming) = socket.split();
    let mut send_task = tokio::spawn(async move {
        while let Ok(message) = published.recv().await {
            if outgoing.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut receive_task = tokio::spawn(async move {
        while let Some(Ok(message)) = incoming.next().await {
            if is_data(&message) {
                let _ = room.send(message);
            }
        }
    });
    tokio::select! {
        _ = &mut send_task => receive_task.abort(),
        _ = &mut receive_task => send_task.abort(),
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
