//! Which of many sockets are ready, without a task or an allocation for each: Linux only. Elsewhere, and for
//! streams that are more than a socket, every connection is woken by its own stream.

use std::cell::RefCell;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, Waker};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets looked at in one go.
const BATCH: usize = 256;

thread_local! {
    /// What a set has to tell, for a moment.
    static EVENTS: RefCell<Vec<Event>> = RefCell::new(Vec::with_capacity(BATCH));
}

/// A set of sockets, inside the runtime's own set.
pub(crate) struct Readiness {
    epoll: AsyncFd<OwnedFd>,
}

/// One socket of the set that something has happened to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    /// The peer sends no more: the end is read after what it sent before.
    pub(crate) hung_up: bool,
}

impl Readiness {
    /// An empty set. Fails outside of a runtime that does I/O.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        #[allow(
            deprecated,
            reason = "sound for an OwnedFd, which nobody else can close; what replaces it is unsafe"
        )]
        let epoll = AsyncFd::with_interest(epoll, Interest::READABLE)?;
        Ok(Self { epoll })
    }

    /// Adds a socket for as long as it is open. It is named by `token` each time it turns readable or writable,
    /// and once right away.
    pub(crate) fn add(&self, socket: &TcpStream, token: u64) -> io::Result<()> {
        let edges = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(self.epoll.get_ref(), socket, EventData::new_u64(token), edges)?)
    }

    /// Waits until a socket is ready.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn changed(&self) {
        // An error is that of the runtime going away; whoever waits goes with it.
        let _ = self.epoll.readable().await.map(|mut guard| guard.retain_ready());
    }

    /// Names sockets that are ready, at most a batch of them; true if more may be.
    pub(crate) fn take(&self, mut ready: impl FnMut(Ready)) -> bool {
        // Asks only what is known already: a set nothing has happened to costs no system call.
        let Poll::Ready(Ok(mut guard)) = self.epoll.poll_read_ready(&mut Context::from_waker(Waker::noop()))
        else {
            return false;
        };
        let more = EVENTS.with_borrow_mut(|events| {
            events.clear();
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let found = epoll::wait(self.epoll.get_ref(), spare_capacity(events), Some(&now));
            for Event { flags, data } in events.iter().copied() {
                let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                ready(Ready { token: data.u64(), hung_up: flags.intersects(ended) });
            }
            found.is_ok_and(|found| found == BATCH)
        });
        // Only a set that was emptied may be waited for again: cleared after a part, the rest would never be told.
        if more {
            guard.retain_ready();
        } else {
            guard.clear_ready();
        }
        more
    }
}
