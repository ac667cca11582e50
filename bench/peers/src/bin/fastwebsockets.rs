//! fastwebsockets on hyper, as its examples show it. A room needs the split halves, because reading is not
//! cancel-safe there and cannot stand in a `select!`.

use std::convert::Infallible;

use anyhow::Result;
use bench_peers::{room, serve};
use bytes::Bytes;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError, WebSocketWrite,
};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;
use tokio::sync::broadcast::{Receiver, Sender};

type Published = (OpCode, Bytes);

fn main() -> Result<()> {
    serve(async |listener| {
        let room = room();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let room = room.clone();
            let service = service_fn(move |request| {
                let room = room.clone();
                async move { Ok::<_, Infallible>(route(request, room)) }
            });
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades(),
            );
        }
    })
}

fn route(mut request: Request<Incoming>, room: Sender<Published>) -> Response<Empty<Bytes>> {
    let Ok((response, upgraded)) = upgrade(&mut request) else {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return refusal;
    };
    if request.uri().path() == "/fan" {
        tokio::spawn(tokio::task::unconstrained(fan(upgraded, room)));
    } else {
        tokio::spawn(tokio::task::unconstrained(echo(upgraded)));
    }
    response
}

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn fan(upgraded: UpgradeFut, room: Sender<Published>) -> Result<(), WebSocketError> {
    let (reader, writer) = upgraded.await?.split(tokio::io::split);
    let forward = tokio::spawn(forward(writer, room.subscribe()));
    let mut reader = FragmentCollectorRead::new(reader);
    // The load generator sends nothing that has to be answered: no pings.
    let mut answer = async |_| Ok::<_, WebSocketError>(());
    loop {
        match reader.read_frame(&mut answer).await {
            Ok(frame) if matches!(frame.opcode, OpCode::Text | OpCode::Binary) => {
                let _ = room.send((frame.opcode, Bytes::copy_from_slice(&frame.payload)));
            }
            Ok(frame) if frame.opcode != OpCode::Close => {}
            _ => {
                forward.abort();
                return Ok(());
            }
        }
    }
}

async fn forward<S: AsyncWrite + Unpin>(mut writer: WebSocketWrite<S>, mut published: Receiver<Published>) {
    while let Ok((opcode, payload)) = published.recv().await {
        let frame = Frame::new(true, opcode, None, Payload::Borrowed(&payload));
        if writer.write_frame(frame).await.is_err() {
            return;
        }
    }
}
