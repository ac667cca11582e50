//! DEFLATE streams: one message in, one message out, each within its bound.

use std::{cell::RefCell, mem};

use bytes::Bytes;
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::Compression;
use crate::{ProtocolError, Role};

/// One message on its way through an inflater.
pub(crate) struct Inflation {
    stream: Decompress,
    bytes_in: usize,
    /// A block marked as final has ended, and nothing has followed it yet.
    ended: bool,
}

impl Inflation {
    /// Starts a message: in the connection's context if there is one, else with a stream of the thread's
    /// pool.
    pub(crate) fn begin(compression: Compression, role: Role, contexts: Option<&mut Contexts>) -> Self {
        let sender = peer_of(role);
        let stream = if compression.keeps_context(sender) {
            contexts
                .and_then(|contexts| contexts.received.take())
                .unwrap_or_else(|| Decompress::new_with_window_bits(false, compression.window_bits(sender)))
        } else {
            Pools::take_inflater()
        };
        Self { stream, bytes_in: 0, ended: false }
    }

    /// Inflates a piece and hands what comes out to `judge`, in pieces too, as soon as it is known.
    ///
    /// Nothing is produced ahead: when `judge` refuses a piece, only that piece had been inflated.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        judge: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        self.bytes_in += piece.len();
        self.inflate(piece, judge)
    }

    /// Ends the message. Returns the stream if the connection must keep it.
    pub(crate) fn finish(
        mut self,
        compression: Compression,
        role: Role,
        mut judge: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<Option<Decompress>, ProtocolError> {
        let keeps_context = compression.keeps_context(peer_of(role));
        // An empty payload is not what section 7.2.3.6 asks of an empty message, but its meaning is plain. A
        // final block (section 7.2.3.4) ends the stream by itself: there is no flush to complete.
        if self.bytes_in > 0 && !self.ended {
            let mut extra = 0;
            self.inflate(&FLUSH_TAIL, |piece| {
                extra += piece.len();
                judge(piece)
            })?;
            // The tail is an empty block. If it yields bytes or an end, it completed something else: the
            // payload was cut short. Without context takeover a final empty block finds out for certain.
            if extra > 0 || self.ended {
                return Err(ProtocolError::Inflate);
            }
            if !keeps_context {
                self.inflate(&FINAL_EMPTY_BLOCK, |_| Err(ProtocolError::Inflate))?;
                if !self.ended {
                    return Err(ProtocolError::Inflate);
                }
            }
        }
        if keeps_context {
            if self.ended {
                self.stream.reset(false);
            }
            return Ok(Some(self.stream));
        }
        Pools::give_inflater(self.stream);
        Ok(None)
    }

    fn inflate(
        &mut self,
        mut piece: &[u8],
        mut judge: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        with_scratch(|scratch| {
            loop {
                if self.ended {
                    // A sender that flushes with a final block (section 7.2.3.4) goes on with a new stream.
                    if piece.is_empty() {
                        return Ok(());
                    }
                    self.stream.reset(false);
                    self.ended = false;
                }
                let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
                let status = self.stream.decompress(piece, scratch, FlushDecompress::Sync);
                let consumed = (self.stream.total_in() - total_in) as usize;
                let produced = (self.stream.total_out() - total_out) as usize;
                // Also on an error: what came out before it is judged first, so that the verdict on a message
                // does not depend on how it was cut.
                if produced > 0 {
                    judge(&scratch[..produced])?;
                }
                piece = &piece[consumed..];
                match status {
                    Ok(Status::StreamEnd) => self.ended = true,
                    // Room left in the scratch means that nothing more can come out of what went in.
                    Ok(_) if piece.is_empty() && produced < scratch.len() => return Ok(()),
                    Ok(_) if consumed > 0 || produced > 0 => {}
                    Ok(_) if piece.is_empty() => return Ok(()),
                    _ => return Err(ProtocolError::Inflate),
                }
            }
        })
    }

    pub(crate) fn bytes_in(&self) -> usize {
        self.bytes_in
    }

    /// About how much memory the stream takes while it is not in the pool.
    pub(crate) fn memory(&self) -> usize {
        INFLATER_BYTES
    }
}

/// The streams of a connection with context takeover, made when they are first needed.
#[derive(Default)]
pub(crate) struct Contexts {
    received: Option<Decompress>,
    sent: Option<Compress>,
}

impl Contexts {
    pub(crate) fn compress(&mut self, compression: Compression, role: Role, payload: &[u8]) -> Bytes {
        let stream =
            self.sent.get_or_insert_with(|| new_deflater(compression.level, compression.window_bits(role)));
        deflate(stream, payload)
    }

    pub(crate) fn forget_sent(&mut self) {
        if let Some(stream) = &mut self.sent {
            stream.reset();
        }
    }

    pub(crate) fn keep_received(&mut self, stream: Option<Decompress>) {
        self.received = stream;
    }
}

/// Compresses a payload with a stream of the pool.
pub(super) fn compress_alone(level: u8, window_bits: u8, payload: &[u8]) -> Bytes {
    let mut stream = Pools::take_deflater(level, window_bits);
    let compressed = deflate(&mut stream, payload);
    Pools::give_deflater(level, window_bits, stream);
    compressed
}

/// Compresses one message and leaves off the tail of its flush (section 7.2.1).
fn deflate(stream: &mut Compress, mut payload: &[u8]) -> Bytes {
    // A second flush without new input writes nothing at all, so the empty message is written by hand.
    if payload.is_empty() {
        return Bytes::from_static(&EMPTY_MESSAGE);
    }
    with_scratch(|scratch| {
        let mut compressed = Vec::new();
        loop {
            let (total_in, total_out) = (stream.total_in(), stream.total_out());
            // Memory is the only thing a compressor can lack; it has all of it since it was made.
            stream
                .compress(payload, scratch, FlushCompress::Sync)
                .expect("a raw deflate stream takes any input");
            let produced = (stream.total_out() - total_out) as usize;
            payload = &payload[(stream.total_in() - total_in) as usize..];
            compressed.extend_from_slice(&scratch[..produced]);
            // A full scratch may hide more output, even when all input is in.
            if produced < scratch.len() {
                break;
            }
        }
        debug_assert!(payload.is_empty() && compressed.ends_with(&FLUSH_TAIL));
        compressed.truncate(compressed.len() - FLUSH_TAIL.len());
        compressed.into()
    })
}

fn new_deflater(level: u8, window_bits: u8) -> Compress {
    let level = flate2::Compression::new(u32::from(level.min(9)));
    Compress::new_with_window_bits(level, false, window_bits)
}

/// Streams between two messages, ready for the next one on this thread.
#[derive(Default)]
struct Pools {
    inflaters: Vec<Decompress>,
    /// With their level and window bits, which cannot be changed.
    deflaters: Vec<(u8, u8, Compress)>,
}

thread_local! {
    static POOLS: RefCell<Pools> = RefCell::default();
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Pools {
    /// Any inflater of the pool fits any message: they all have the largest window.
    fn take_inflater() -> Decompress {
        POOLS
            .with_borrow_mut(|pools| pools.inflaters.pop())
            .unwrap_or_else(|| Decompress::new_with_window_bits(false, 15))
    }

    fn give_inflater(mut stream: Decompress) {
        POOLS.with_borrow_mut(|pools| {
            if pools.inflaters.len() < POOLED_MAX {
                stream.reset(false);
                pools.inflaters.push(stream);
            }
        });
    }

    fn take_deflater(level: u8, window_bits: u8) -> Compress {
        POOLS
            .with_borrow_mut(|pools| {
                let fits = |pooled: &(u8, u8, _)| (pooled.0, pooled.1) == (level, window_bits);
                let index = pools.deflaters.iter().position(fits)?;
                Some(pools.deflaters.swap_remove(index).2)
            })
            .unwrap_or_else(|| new_deflater(level, window_bits))
    }

    fn give_deflater(level: u8, window_bits: u8, mut stream: Compress) {
        POOLS.with_borrow_mut(|pools| {
            // The oldest makes room, so that a change of options does not leave a pool of streams nobody asks
            // for.
            if pools.deflaters.len() == POOLED_MAX {
                pools.deflaters.remove(0);
            }
            stream.reset();
            pools.deflaters.push((level, window_bits, stream));
        });
    }
}

/// Lends the thread's output buffer, which is cleared only once.
fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.resize(SCRATCH_BYTES, 0);
    let result = work(&mut scratch);
    SCRATCH.set(mem::take(&mut scratch));
    result
}

const fn peer_of(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

/// What every flush ends with and no message carries (section 7.2.1).
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// An empty message: the header of the block that [`FLUSH_TAIL`] completes (section 7.2.3.6).
const EMPTY_MESSAGE: [u8; 1] = [0x00];

/// An empty stored block, marked as final. A stream that is between two blocks ends with it.
const FINAL_EMPTY_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xff, 0xff];

/// How many streams of each kind a thread keeps. A thread works on one message at a time; more than one
/// inflater is out only while messages are unfinished.
const POOLED_MAX: usize = 4;

/// How much is inflated or deflated before it is looked at.
const SCRATCH_BYTES: usize = 16 * 1024;

/// A window of 32 KiB and the tables beside it.
const INFLATER_BYTES: usize = 48 * 1024;
