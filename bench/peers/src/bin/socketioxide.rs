//! socketioxide under axum, as its documentation shows it: `echo` goes back to its sender, `fan` to everybody, and
//! `call` is answered with an acknowledgement. An argument of another type never reaches its handler.

use anyhow::Result;
use axum::Router;
use axum::serve::ListenerExt as _;
use bench_peers::{Echo, serve};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};

fn main() -> Result<()> {
    serve(async |listener| {
        let (layer, io) = SocketIo::new_layer();
        io.ns("/", async |socket: SocketRef| {
            socket.on("echo", async |socket: SocketRef, Data::<String>(text)| {
                let _ = socket.emit("echo", &text);
            });
            socket.on("fan", async |io: SocketIo, Data::<String>(text)| {
                let _ = io.emit("fan", &text).await;
            });
            socket.on("call", async |Data::<Echo>(echo), acknowledge: AckSender| {
                let _ = acknowledge.send(&echo);
            });
        });
        let listener =
            listener.tap_io(|stream| stream.set_nodelay(true).expect("a fresh TCP socket takes it"));
        Ok(axum::serve(listener, Router::new().layer(layer)).await?)
    })
}
