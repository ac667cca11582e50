//! A byte stream in memory, for hosts that serve without a network.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Bytes either direction holds before its writer waits, as a kernel's socket buffers do.
const PIPE_BYTES: usize = 64 * 1024;

/// Two ends of a pipe. What is written to one is read from the other, in pieces whose sizes follow from
/// `seed`: a reader that relies on getting whole frames is found out.
pub(crate) fn pipe(seed: u64) -> (PipeEnd, PipeEnd) {
    let (left, right) = tokio::io::duplex(PIPE_BYTES);
    (PipeEnd::new(left, seed), PipeEnd::new(right, seed.rotate_left(32) | 1))
}

/// One end of a [`pipe`].
#[derive(Debug)]
pub(crate) struct PipeEnd {
    stream: DuplexStream,
    random: u64,
}

impl PipeEnd {
    fn new(stream: DuplexStream, seed: u64) -> Self {
        Self { stream, random: seed | 1 }
    }

    /// The size of the next piece: mostly large, now and then a few bytes.
    fn next_piece(&mut self) -> usize {
        // xorshift64: all that is asked of it is variety that repeats with the seed.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        match self.random % 4 {
            0 => 1 + (self.random >> 8) as usize % 16,
            _ => 1 + (self.random >> 8) as usize % PIPE_BYTES,
        }
    }
}

impl AsyncRead for PipeEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let piece = this.next_piece().min(buffer.remaining());
        let mut bytes = vec![0; piece];
        let mut limited = ReadBuf::new(&mut bytes);
        let polled = Pin::new(&mut this.stream).poll_read(cx, &mut limited);
        buffer.put_slice(limited.filled());
        polled
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let piece = this.next_piece().min(bytes.len());
        Pin::new(&mut this.stream).poll_write(cx, &bytes[..piece])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
