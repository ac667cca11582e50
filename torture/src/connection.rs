//! A client of one connection, on the protocol crate in the client's role: it sends whatever it is told to, and reads as
//! strictly as any client.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wirelark_proto::contract::Format;
use wirelark_proto::handshake::client::{Handshake, Request};
use wirelark_proto::{CloseFrame, Config, Event, Frame, Message, Payload, Protocol, Role};

/// How long the server may be silent while it owes something: twice what it gives a call of its own. Whether a reply is
/// missing is not found out by waiting, see `run.rs`; this is for a server that has stopped.
const PATIENCE: Duration = Duration::from_secs(20);

/// Above every reply: an escaped text takes six times as many bytes as its characters.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// Keys protect proxies that are not there.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What the server sent.
pub(crate) enum Seen<'a> {
    Message {
        is_text: bool,
        payload: &'a [u8],
    },
    /// Its close frame. Nothing follows it.
    Closed(Option<CloseFrame>),
}

/// One connection to `/rpc`.
pub(crate) struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    format: Format,
    /// What was read and not looked at yet.
    read: Vec<u8>,
    /// What is to be written next.
    unsent: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str, format: Format) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("the server accepts no connection")?;
        stream.set_nodelay(true)?;
        let mut request = Request::new(address, "/rpc", *b"the sample nonce");
        request.protocols.push(format.subprotocol().to_owned());
        let (mut handshake, bytes) = Handshake::start(request)?;
        stream.write_all(&bytes).await?;
        let mut buffer = [0; 4096];
        let connected = loop {
            let count =
                timeout(PATIENCE, stream.read(&mut buffer)).await.context("no answer to an upgrade")??;
            if count == 0 {
                bail!("the server hung up in the middle of a handshake");
            }
            if let Some(connected) = handshake.receive(&buffer[..count])? {
                break connected;
            }
        };
        let config = Config { role: Role::Client, message_bytes_max: REPLY_BYTES_MAX, compression: None };
        let read = connected.rest.to_vec();
        Ok(Self { stream, protocol: Protocol::new(config), format, read, unsent: Vec::new() })
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Adds bytes to what is written by the next [`exchange`](Self::exchange).
    pub(crate) fn queue(&mut self, wire: &[u8]) {
        self.unsent.extend_from_slice(wire);
    }

    pub(crate) fn queue_message(&mut self, message: Message) {
        self.queue(&Frame::masked(message, KEY).to_vec());
    }

    pub(crate) fn queue_close(&mut self) {
        let close = CloseFrame::new(wirelark_proto::CloseCode::NORMAL, "");
        if let Some(frame) = self.protocol.close_masked(Some(close), KEY) {
            self.queue(&frame.to_vec());
        }
    }

    /// Writes what is queued, and reads until `seen` has seen enough. Both at the same time: a server whose answers
    /// nobody reads stops reading, too.
    pub(crate) async fn exchange(
        &mut self,
        mut seen: impl FnMut(Seen<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut written = 0;
        loop {
            if self.look(&mut seen)?.is_break() {
                self.unsent.drain(..written);
                return Ok(());
            }
            let (mut reader, mut writer) = self.stream.split();
            let is_unsent = written < self.unsent.len();
            tokio::select! {
                count = writer.write(&self.unsent[written..]), if is_unsent => {
                    // A server that has judged the connection reads no more; what it has to say may still come.
                    written = count.map_or(self.unsent.len(), |count| written + count);
                }
                count = timeout(PATIENCE, reader.read(&mut buffer)) => {
                    let count = count.context("the server has said nothing for 20 s, and owes something")??;
                    if count == 0 {
                        bail!("the server hung up without a close frame");
                    }
                    self.read.extend_from_slice(&buffer[..count]);
                }
            }
        }
    }

    /// Writes half a frame, and is gone.
    pub(crate) async fn hang_up(mut self, wire: &[u8]) -> Result<()> {
        self.stream.write_all(wire).await.context("the server hung up first")
    }

    /// Shows what was read.
    fn look(
        &mut self,
        seen: &mut impl FnMut(Seen<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let mut read = std::mem::take(&mut self.read);
        let mut input = read.as_mut_slice();
        let mut flow = ControlFlow::Continue(());
        while let Some(event) =
            self.protocol.poll_event(&mut input).context("the server broke the protocol")?
        {
            let is_text = matches!(event, Event::Text(_));
            let shown = match event {
                Event::Text(ref payload) | Event::Binary(ref payload) => {
                    seen(Seen::Message { is_text, payload: payload.as_slice() })?
                }
                Event::Close(frame) => seen(Seen::Closed(frame))?,
                Event::Ping(payload) => {
                    self.unsent.extend(pong(&payload));
                    ControlFlow::Continue(())
                }
                Event::Pong(_) => ControlFlow::Continue(()),
            };
            if shown.is_break() {
                flow = shown;
                break;
            }
        }
        self.read = input.to_vec();
        Ok(flow)
    }
}

fn pong(payload: &Payload<'_>) -> Vec<u8> {
    let message = Message::Pong(payload.as_slice().to_vec().into());
    Frame::masked(message, KEY).to_vec()
}
