//! socketioxide under axum, as its documentation shows it: `echo` goes back to its sender, `fan` to everybody.

use anyhow::Result;
use axum::Router;
use axum::serve::ListenerExt as _;
use bench_peers::serve;
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};

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
        });
        let listener =
            listener.tap_io(|stream| stream.set_nodelay(true).expect("a fresh TCP socket takes it"));
        Ok(axum::serve(listener, Router::new().layer(layer)).await?)
    })
}
