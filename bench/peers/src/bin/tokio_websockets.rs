//! tokio-websockets, as its examples show it. It has no routing: the path comes from the request it hands back.

use anyhow::Result;
use bench_peers::{room, serve};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Sender;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

fn main() -> Result<()> {
    serve(async |listener| {
        let room = room();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(tokio::task::unconstrained(connection(stream, room.clone())));
        }
    })
}

async fn connection(stream: TcpStream, room: Sender<Message>) -> Result<()> {
    let (request, socket) = ServerBuilder::new().accept(stream).await?;
    if request.uri().path() == "/fan" { fan(socket, room).await } else { echo(socket).await }
}

async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<()> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn fan(mut socket: WebSocketStream<TcpStream>, room: Sender<Message>) -> Result<()> {
    let mut published = room.subscribe();
    loop {
        tokio::select! {
            received = socket.next() => match received.transpose()? {
                Some(message) if is_data(&message) => drop(room.send(message)),
                Some(_) => {}
                None => return Ok(()),
            },
            message = published.recv() => socket.send(message?).await?,
        }
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
