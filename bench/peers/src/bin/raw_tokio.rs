//! The floor of a task per connection: the same bytes through tokio, without WebSocket. It echoes on every path; a raw
//! fan-out on tokio is whatever channel one picks, so there is no floor to show.

use anyhow::Result;
use bench_peers::{SWITCHING_PROTOCOLS, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn main() -> Result<()> {
    serve(async |listener| {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    // Room for the largest message of the bench with its head, so that it is not cut in two.
    let mut buffer = Vec::with_capacity(32 * 1024);
    while !buffer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(SWITCHING_PROTOCOLS).await?;
    loop {
        buffer.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        stream.write_all(&buffer).await?;
    }
}
