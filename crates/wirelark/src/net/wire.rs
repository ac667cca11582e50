//! The two directions of a connection's byte stream.
//!
//! Plain TCP is the fast path: its halves are independent and need no lock of their own. A socket that somebody
//! else watches for readiness ([`polled`]) holds nothing but its descriptor. Everything else (TLS, the in-memory
//! pipes of tests, a host's own stream) is one object behind a lock.

use std::fmt;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Any stream a connection can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

type SharedStream = Arc<Mutex<Box<dyn Stream>>>;

/// Splits a TCP stream into its directions.
pub(crate) fn tcp(stream: TcpStream) -> (ReadWire, WriteWire) {
    let (read, write) = stream.into_split();
    (ReadWire::Tcp(read), WriteWire::Tcp(write))
}

/// Splits a TCP stream that somebody else watches, and who says so by [`ReadWire::readable`].
pub(crate) fn polled(stream: TcpStream) -> io::Result<(ReadWire, WriteWire)> {
    let socket = Arc::new(stream.into_std()?);
    let read = PolledRead { socket: Arc::clone(&socket), ready: false, hung_up: false };
    Ok((ReadWire::Polled(read), WriteWire::Polled(socket)))
}

/// Splits any other stream into its directions.
pub(crate) fn stream(stream: impl Stream) -> (ReadWire, WriteWire) {
    let shared: SharedStream = Arc::new(Mutex::new(Box::new(stream)));
    (ReadWire::Stream(Arc::clone(&shared)), WriteWire::Stream(shared))
}

/// Where bytes come from.
pub(crate) enum ReadWire {
    Tcp(OwnedReadHalf),
    Polled(PolledRead),
    Stream(SharedStream),
    Closed,
}

/// The reading direction of a socket that somebody else watches.
pub(crate) struct PolledRead {
    socket: Arc<std::net::TcpStream>,
    /// There may be something to read.
    ready: bool,
    /// The end will be there to read, and nobody will say so again.
    hung_up: bool,
}

impl PolledRead {
    fn poll_read(&mut self, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.ready {
            return Poll::Pending;
        }
        match (&*self.socket).read(scratch) {
            Ok(read) => {
                // A short read has emptied the socket: what comes later is told anew.
                self.ready = read == scratch.len() || self.hung_up;
                Poll::Ready(Ok(read))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready = false;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl ReadWire {
    /// The socket, if somebody is to watch it.
    pub(crate) fn polled_socket(&self) -> Option<Arc<std::net::TcpStream>> {
        match self {
            Self::Polled(half) => Some(Arc::clone(&half.socket)),
            Self::Tcp(_) | Self::Stream(_) | Self::Closed => None,
        }
    }

    /// There is something to read, or the end.
    pub(crate) fn readable(&mut self, hung_up: bool) {
        if let Self::Polled(half) = self {
            half.ready = true;
            half.hung_up |= hung_up;
        }
    }

    /// Reads once into `scratch`; 0 is the end of the stream.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Self::Polled(half) = self {
            return half.poll_read(scratch);
        }
        let mut buffer = ReadBuf::new(scratch);
        match self {
            // `poll_read` and not `try_read`: on a short read tokio clears the readiness at once, which
            // saves the read that would only return EAGAIN.
            Self::Tcp(half) => ready!(Pin::new(half).poll_read(cx, &mut buffer))?,
            Self::Stream(stream) => ready!(Pin::new(&mut **stream.lock()).poll_read(cx, &mut buffer))?,
            Self::Polled(_) | Self::Closed => {}
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

/// Where bytes go.
pub(crate) enum WriteWire {
    Tcp(OwnedWriteHalf),
    Polled(Arc<std::net::TcpStream>),
    Stream(SharedStream),
    Closed,
}

impl WriteWire {
    /// Writes what the stream takes now, without waiting and without asking to be woken: after `WouldBlock`
    /// somebody must call [`poll_write`](Self::poll_write).
    pub(crate) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => match slices {
                [one] => half.try_write(one),
                many => half.try_write_vectored(many),
            },
            Self::Polled(socket) => match slices {
                [one] => (&**socket).write(one),
                many => (&**socket).write_vectored(many),
            },
            Self::Stream(_) => match self.poll_write(&mut Context::from_waker(Waker::noop()), slices) {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            },
            Self::Closed => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Writes, or arranges for the task of `cx` to be woken when writing can go on.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half) => match slices {
                [one] => Pin::new(half).poll_write(cx, one),
                many => Pin::new(half).poll_write_vectored(cx, many),
            },
            // Whoever watches the socket wakes its connection when there is room again.
            Self::Polled(_) => match self.try_write(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                outcome => Poll::Ready(outcome),
            },
            Self::Stream(stream) => Pin::new(&mut **stream.lock()).poll_write_vectored(cx, slices),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Pushes what the stream itself holds back (TLS records) towards the peer.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Polled(_) | Self::Closed => Poll::Ready(Ok(())),
            Self::Stream(stream) => Pin::new(&mut **stream.lock()).poll_flush(cx),
        }
    }

    /// Whether the stream has a goodbye of its own to say before it is closed. TLS has; plain TCP says it by
    /// being closed.
    pub(crate) fn says_goodbye(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Gives the stream up.
    pub(crate) fn close(&mut self) {
        if let Self::Tcp(half) = std::mem::replace(self, Self::Closed) {
            // Dropped like this it does not shut the direction first: closing the socket does.
            half.forget();
        }
    }

    /// Ends the writing direction; the peer reads the end of the stream after what was written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Polled(socket) => Poll::Ready(socket.shutdown(Shutdown::Write)),
            Self::Stream(stream) => Pin::new(&mut **stream.lock()).poll_shutdown(cx),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for ReadWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Polled(_) => "Polled",
            Self::Stream(_) => "Stream",
            Self::Closed => "Closed",
        })
    }
}

impl fmt::Debug for WriteWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Polled(_) => "Polled",
            Self::Stream(_) => "Stream",
            Self::Closed => "Closed",
        })
    }
}
