//! Clients of a server in another process: one for each path on standard input. `crowd ADDRESS LAST`
//!
//! Prints `connected N` once all N have got their first message, and `received M` once M of them have got the text `LAST`
//! too. Whoever gets anything else ends the program with an error.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Upgrades that are under way at the same time; a server's accept queue is not without end.
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<()> {
    let [address, last] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().ok().context("crowd ADDRESS LAST")?;
    let paths = io::stdin().lines().collect::<io::Result<Vec<_>>>()?;
    let mut clients = Vec::with_capacity(paths.len());
    for paths in paths.chunks(AT_ONCE) {
        let mut connecting = JoinSet::new();
        for path in paths {
            connecting.spawn(Client::connect(address.clone(), path.clone()));
        }
        for client in connecting.join_all().await {
            let mut client = client?;
            client.text().await?;
            clients.push(client);
        }
    }
    say(&format!("connected {}", clients.len()))?;
    let mut received = 0;
    for client in &mut clients {
        let text = client.text().await?;
        ensure!(text == last, "a client got {text:?}");
        received += 1;
    }
    say(&format!("received {received}"))
}

/// At once, as whoever reads it waits for it.
fn say(line: &str) -> Result<()> {
    println!("{line}");
    Ok(io::stdout().flush()?)
}

struct Client {
    stream: TcpStream,
}

impl Client {
    async fn connect(address: String, path: String) -> Result<Self> {
        let mut stream = TcpStream::connect(&address).await.context("the server accepts no connection")?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.context("no answer to an upgrade")??);
        }
        ensure!(head.starts_with(b"HTTP/1.1 101 "), "refused: {}", String::from_utf8_lossy(&head));
        Ok(Self { stream })
    }

    /// The next text. Pings are passed over: nobody is here for so long that an answer would be missed.
    async fn text(&mut self) -> Result<String> {
        loop {
            let head = timeout(PATIENCE, self.stream.read_u16()).await.context("nothing came")??;
            let mut payload = vec![0; usize::from(head & 0x7f)];
            ensure!(payload.len() < 126, "a message is longer than it should be");
            self.stream.read_exact(&mut payload).await?;
            match head >> 8 {
                0x81 => return Ok(String::from_utf8(payload)?),
                0x89 => {}
                other => bail!("neither a text nor a ping: {other:#x}"),
            }
        }
    }
}
