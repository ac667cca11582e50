//! One connection: bytes in and out, in the order of the protocol. It knows nothing of calls and pushes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::time::Instant;
use wirelark_proto::handshake::client::Connected;
use wirelark_proto::{
    CloseFrame, Config, Event, Frame, Head, Kind, Opcode, Protocol, ProtocolError, Role, mask,
};

use crate::connector::Stream;

/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// How much is gathered for one write.
const WRITE_BYTES: usize = 64 * 1024;

/// How long the server may take to answer a ping of ours, as long as it gives its clients.
const PONG_DEADLINE: Duration = Duration::from_secs(10);

/// A connection whose handshake is done.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    protocol: Protocol,
    read: Box<[u8]>,

    // What is on its way out.
    write: BytesMut,
    unflushed: bool,
    /// The newest ping that is not answered. The older ones need no answer (RFC 6455 section 5.5.3), so that a flood
    /// of pings queues one pong.
    ping: Option<Bytes>,

    last_heard: Instant,
    /// Whether a ping of ours was sent since then.
    pinged: bool,
}

/// What came of waiting for the stream.
pub(crate) enum Turn {
    /// So many bytes were read; none at the end of the stream.
    Read(usize),
    /// Everything was written.
    Written,
}

/// How a connection's input ended.
pub(crate) enum Over {
    /// With the server's close frame.
    Closed(Option<CloseFrame>),
    /// The server broke the protocol.
    Violated(ProtocolError),
}

impl Link {
    pub(crate) fn new(stream: Box<dyn Stream>, connected: &Connected, message_bytes_max: usize) -> Self {
        let compression = connected.compression;
        Self {
            stream,
            protocol: Protocol::new(Config { role: Role::Client, message_bytes_max, compression }),
            read: vec![0; READ_BYTES].into(),
            write: BytesMut::new(),
            unflushed: false,
            ping: None,
            last_heard: Instant::now(),
            pinged: false,
        }
    }

    /// Whether there is room for more in the next write.
    pub(crate) fn has_room(&self) -> bool {
        self.write.len() < WRITE_BYTES
    }

    /// Queues a message.
    pub(crate) fn queue(&mut self, kind: Kind, payload: &[u8], random: &mut StdRng) {
        let key = random.random();
        self.write.extend_from_slice(
            Head::new(Opcode::from(kind), true, false, payload.len(), Some(key)).as_slice(),
        );
        let start = self.write.len();
        self.write.extend_from_slice(payload);
        mask(&mut self.write[start..], key, 0);
    }

    /// Queues the answer to the newest ping.
    pub(crate) fn queue_pong(&mut self, random: &mut StdRng) {
        if let Some(ping) = self.ping.take() {
            self.queue(Kind::Pong, &ping, random);
        }
    }

    /// Queues a close frame, unless there was one before.
    pub(crate) fn queue_close(&mut self, frame: Option<CloseFrame>, random: &mut StdRng) {
        if let Some(Frame { head, payload }) = self.protocol.close_masked(frame, random.random()) {
            self.write.extend_from_slice(head.as_slice());
            self.write.extend_from_slice(&payload);
        }
    }

    /// Writes what is queued, and reads. Errors of writing count only when there is nothing left to read: the
    /// server's close frame may say why it hung up.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        let written = self.poll_write(cx);
        let mut buffer = ReadBuf::new(&mut self.read);
        match (Pin::new(&mut *self.stream).poll_read(cx, &mut buffer), written) {
            (Poll::Ready(Ok(())), _) => Poll::Ready(Ok(Turn::Read(buffer.filled().len()))),
            (Poll::Ready(Err(error)), _) | (Poll::Pending, Poll::Ready(Err(error))) => {
                Poll::Ready(Err(error))
            }
            (Poll::Pending, Poll::Ready(Ok(true))) => Poll::Ready(Ok(Turn::Written)),
            (Poll::Pending, Poll::Ready(Ok(false)) | Poll::Pending) => Poll::Pending,
        }
    }

    /// `true` if this has written the last of what was queued, `false` if nothing was.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while !self.write.is_empty() {
            let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, &self.write))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.write.advance(written);
            self.unflushed = true;
        }
        if !self.unflushed {
            return Poll::Ready(Ok(false));
        }
        ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(true))
    }

    /// Decodes what was read last.
    pub(crate) fn take_read(&mut self, len: usize, message: impl FnMut(Kind, &[u8])) -> Result<(), Over> {
        let mut read = std::mem::take(&mut self.read);
        let result = self.take_in(&mut read[..len], message);
        self.read = read;
        result
    }

    /// Decodes bytes of the stream, and hands on the messages in them.
    pub(crate) fn take_in(
        &mut self,
        mut input: &mut [u8],
        mut message: impl FnMut(Kind, &[u8]),
    ) -> Result<(), Over> {
        self.last_heard = Instant::now();
        self.pinged = false;
        loop {
            match self.protocol.poll_event(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Text(payload))) => message(Kind::Text, payload.as_slice()),
                Ok(Some(Event::Binary(payload))) => message(Kind::Binary, payload.as_slice()),
                Ok(Some(Event::Ping(payload))) => self.ping = Some(payload.into_bytes()),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(frame))) => return Err(Over::Closed(frame)),
                Err(error) => return Err(Over::Violated(error)),
            }
        }
    }

    /// When to look after the server again.
    pub(crate) fn next_beat(&self, heartbeat: Duration) -> Instant {
        self.last_heard + heartbeat + if self.pinged { PONG_DEADLINE } else { Duration::ZERO }
    }

    /// Asks a server that was silent for `heartbeat` whether it is there. `false` if it was asked before and has not
    /// answered in time.
    #[must_use]
    pub(crate) fn beat(&mut self, heartbeat: Duration, random: &mut StdRng) -> bool {
        if Instant::now() < self.next_beat(heartbeat) {
            return true;
        }
        if self.pinged {
            return false;
        }
        self.pinged = true;
        self.queue(Kind::Ping, &[], random);
        true
    }

    /// Writes what is queued, waits until the server has hung up, and hangs up too. What still arrives is thrown
    /// away; hanging up on it at once would reset the connection, and the reset can overtake the close frame.
    pub(crate) async fn finish(mut self) {
        while let Ok(Turn::Read(1..) | Turn::Written) = std::future::poll_fn(|cx| self.poll_turn(cx)).await {}
        let _ = self.stream.shutdown().await;
    }

    /// Says goodbye and waits for the server's.
    pub(crate) async fn close(mut self) {
        loop {
            match std::future::poll_fn(|cx| self.poll_turn(cx)).await {
                Ok(Turn::Read(len @ 1..)) => {
                    if self.take_read(len, |_, _| {}).is_err() {
                        return self.finish().await;
                    }
                }
                Ok(Turn::Written) => {}
                Ok(Turn::Read(0)) | Err(_) => return,
            }
        }
    }
}
