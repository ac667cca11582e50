//! A stream that keeps the answer to an upgrade back until there is more to write.
//!
//! A server that greets its clients would write twice where one write does: hyper the 101, and the connection its first
//! frames. So hyper is given this stream, which takes the head of a 101 and hands it on with itself; the connection
//! writes it in front of whatever its first turn queues. Nobody has to know of it: whoever goes on with the stream
//! where hyper left it, instead of taking it apart, sends the head by reading, writing or shutting down.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the heads begin that are kept back. Hyper writes a head in one piece, and no other response begins so.
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

#[derive(Debug)]
pub(crate) struct Withheld<S> {
    stream: S,
    /// The head that is kept back; empty before and after.
    head: Vec<u8>,
}

impl<S> Withheld<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, head: Vec::new() }
    }

    /// The stream itself, and what has to be written to it before anything else.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.head)
    }

    fn keep(&mut self, slices: &[IoSlice<'_>]) -> Option<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty())?;
        if !self.head.is_empty() || !first.starts_with(SWITCHING) {
            return None;
        }
        self.head = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        Some(self.head.len())
    }
}

impl<S: AsyncWrite + Unpin> Withheld<S> {
    /// Ready when nothing is kept back any more.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.head.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.head))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.head.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Withheld<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Who waits for an answer to a head that was not sent would wait for ever.
        ready!(self.poll_head(cx))?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Withheld<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(kept) = self.keep(slices) {
            return Poll::Ready(Ok(kept));
        }
        ready!(self.poll_head(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// What is kept back is not flushed: hyper flushes every head, and then lets go of the stream.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_head(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

    async fn upgraded() -> (Withheld<DuplexStream>, DuplexStream) {
        let (ours, mut theirs) = duplex(1024);
        let mut stream = Withheld::new(ours);
        stream.write_all(HEAD).await.expect("it is kept");
        stream.flush().await.expect("nothing is to be flushed");
        let mut buffer = [0; 1];
        assert!(
            Pin::new(&mut theirs)
                .poll_read(&mut Context::from_waker(std::task::Waker::noop()), &mut ReadBuf::new(&mut buffer))
                .is_pending(),
            "the head is kept back"
        );
        (stream, theirs)
    }

    async fn arrived(mut theirs: DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).await.expect("the other end is dropped");
        bytes
    }

    #[tokio::test]
    async fn the_head_of_an_upgrade_is_handed_on() {
        let (stream, theirs) = upgraded().await;
        let (stream, head) = stream.into_parts();
        assert_eq!(head, HEAD);
        drop(stream);
        assert_eq!(arrived(theirs).await, b"");
    }

    #[tokio::test]
    async fn whoever_goes_on_sends_it_first() {
        let (mut stream, theirs) = upgraded().await;
        stream.write_all(b"more").await.expect("there is room");
        drop(stream);
        assert_eq!(arrived(theirs).await, [HEAD, b"more"].concat());

        let (mut stream, theirs) = upgraded().await;
        let mut buffer = [0; 1];
        let read = Pin::new(&mut stream)
            .poll_read(&mut Context::from_waker(std::task::Waker::noop()), &mut ReadBuf::new(&mut buffer));
        assert!(read.is_pending());
        drop(stream);
        assert_eq!(arrived(theirs).await, HEAD, "by reading");

        let (mut stream, theirs) = upgraded().await;
        stream.shutdown().await.expect("the stream is open");
        assert_eq!(arrived(theirs).await, HEAD, "by shutting down");
    }

    #[tokio::test]
    async fn other_responses_pass() {
        let (ours, theirs) = duplex(1024);
        let mut stream = Withheld::new(ours);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("there is room");
        drop(stream);
        assert_eq!(arrived(theirs).await, b"HTTP/1.1 200 OK\r\n\r\n");
    }
}
