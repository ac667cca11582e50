//! axum tuned by hand, as far as its public API goes: a 4 KiB read buffer instead of 128 KiB, replies fed into the
//! write buffer and flushed only when no further message is ready, for the echo, for calls and for the room alike.

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use bench_peers::{json_rpc, room, serve};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
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
    upgrade.read_buffer_size(READ_BUFFER_BYTES).on_upgrade(async |socket| drop(answer(socket, Ok).await))
}

async fn call(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async |socket| drop(answer(socket, |message| answer_to_call(&message)).await))
}

async fn fan(State(room): State<Sender<Message>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BUFFER_BYTES).on_upgrade(async |socket| drop(take_part(socket, room).await))
}

async fn answer(mut socket: WebSocket, reply_to: impl Fn(Message) -> Result<Message>) -> Result<()> {
    while let Some(message) = socket.next().await {
        feed(&mut socket, message?, &reply_to).await?;
        while let Some(Some(message)) = socket.next().now_or_never() {
            feed(&mut socket, message?, &reply_to).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

fn answer_to_call(message: &Message) -> Result<Message> {
    Ok(Message::text(json_rpc::answer(message.to_text()?)?))
}

async fn take_part(mut socket: WebSocket, room: Sender<Message>) -> Result<()> {
    let mut published = room.subscribe();
    loop {
        tokio::select! {
            received = socket.next() => match received.transpose()? {
                Some(message) if is_data(&message) => drop(room.send(message)),
                Some(_) => {}
                None => return Ok(()),
            },
            message = published.recv() => {
                socket.feed(message?).await?;
                while let Ok(message) = published.try_recv() {
                    socket.feed(message).await?;
                }
                socket.flush().await?;
            }
        }
    }
}

async fn feed(
    socket: &mut WebSocket,
    message: Message,
    reply_to: &impl Fn(Message) -> Result<Message>,
) -> Result<()> {
    if is_data(&message) {
        socket.feed(reply_to(message)?).await?;
    }
    Ok(())
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}

const READ_BUFFER_BYTES: usize = 4 * 1024;
