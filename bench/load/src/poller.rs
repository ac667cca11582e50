//! epoll, level-triggered, with the choice to spin.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// Tells which of many sockets have something to do.
pub struct Poller {
    epoll: OwnedFd,
    spin: bool,
    events: Vec<Event>,
    quiet_since: Instant,
}

/// What a socket is ready for.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// The number it was added with.
    pub slot: usize,
    /// There is something to read, possibly the end.
    pub readable: bool,
    /// There is room again.
    pub writable: bool,
}

impl Poller {
    /// With `spin` the thread never sleeps: it costs a core, and takes waking the generator out of the measurement.
    pub fn new(spin: bool) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, spin, events: Vec::with_capacity(EVENTS_MAX), quiet_since: Instant::now() })
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, socket: impl AsFd, slot: usize) -> Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(slot as u64), EventFlags::IN)?)
    }

    /// Watches it no longer.
    pub fn remove(&self, socket: impl AsFd) -> Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Starts or stops waiting for room in a socket.
    pub fn want_room(&self, socket: impl AsFd, slot: usize, want: bool) -> Result<()> {
        let flags = if want { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(slot as u64), flags)?)
    }

    /// Nothing is due for now: silence counts from here.
    pub fn allow_silence(&mut self) {
        self.quiet_since = Instant::now();
    }

    /// Fills `ready`, waiting at most 10 ms so that the caller can look at the clock. That nothing at all happens for
    /// [`SILENCE_MAX`] is an error: a reply was lost.
    pub fn wait(&mut self, ready: &mut Vec<Ready>) -> Result<()> {
        let pause = Timespec { tv_sec: 0, tv_nsec: if self.spin { 0 } else { 10_000_000 } };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&pause)) {
            Ok(0) if self.quiet_since.elapsed() > SILENCE_MAX => {
                bail!("the server fell silent: a reply is missing")
            }
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => self.quiet_since = Instant::now(),
            Err(error) => return Err(error.into()),
        }
        ready.clear();
        ready.extend(self.events.iter().map(|&Event { flags, data }| Ready {
            slot: data.u64() as usize,
            readable: flags != EventFlags::OUT,
            writable: flags.contains(EventFlags::OUT),
        }));
        Ok(())
    }
}

/// How long a server may say nothing while replies are due.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
const EVENTS_MAX: usize = 1024;
