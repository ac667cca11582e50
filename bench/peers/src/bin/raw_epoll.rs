//! The floor: the same bytes through a bare epoll loop, without tokio and without WebSocket.
//!
//! After a constant answer to the upgrade it forwards what it reads: back to the sender on `/echo`, to everybody on
//! `/fan`. One `recv` per readiness, one `send` per receiver; nobody who uses sockets this way can do with less.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};

use anyhow::Result;
use bench_peers::{SWITCHING_PROTOCOLS, bind};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

fn main() -> Result<()> {
    Server::new(bind()?)?.run()
}

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    /// By slot; a slot is the connection's number in epoll.
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    fan: BTreeSet<usize>,
}

struct Connection {
    stream: TcpStream,
    phase: Phase,
    /// What the socket would not take. Not empty means that epoll also waits for room.
    unsent: Vec<u8>,
}

enum Phase {
    Head(Vec<u8>),
    Echo,
    Fan,
}

impl Server {
    fn new(listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self { listener, epoll, connections: Vec::new(), vacant: Vec::new(), fan: BTreeSet::new() })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut scratch = vec![0; SCRATCH_BYTES];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for &epoll::Event { data, flags } in &events {
                if data.u64() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let slot = data.u64() as usize;
                let alive = (!flags.contains(EventFlags::OUT) || self.write(slot, &[]))
                    && (flags == EventFlags::OUT || self.read(slot, &mut scratch));
                if !alive {
                    self.drop_connection(slot);
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.vacant.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(&self.epoll, &stream, EventData::new_u64(slot as u64), EventFlags::IN)?;
            self.connections[slot] =
                Some(Connection { stream, phase: Phase::Head(Vec::new()), unsent: Vec::new() });
        }
    }

    /// Reads once and forwards it; false ends the connection.
    fn read(&mut self, slot: usize, scratch: &mut [u8]) -> bool {
        // An earlier event of the same turn may have ended it.
        let Some(connection) = &mut self.connections[slot] else { return true };
        let bytes = match recv(&connection.stream, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((count, _)) => &scratch[..count],
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        };
        match &mut connection.phase {
            Phase::Echo => self.write(slot, bytes),
            Phase::Fan => {
                let members: Vec<usize> = self.fan.iter().copied().collect();
                for member in members {
                    if !self.write(member, bytes) {
                        self.drop_connection(member);
                    }
                }
                true
            }
            Phase::Head(head) => {
                head.extend_from_slice(bytes);
                if !head.ends_with(b"\r\n\r\n") {
                    return true;
                }
                if head.starts_with(b"GET /fan") {
                    connection.phase = Phase::Fan;
                    self.fan.insert(slot);
                } else {
                    connection.phase = Phase::Echo;
                }
                self.write(slot, SWITCHING_PROTOCOLS)
            }
        }
    }

    /// Sends what waited and then `bytes`, keeping what the socket does not take; false ends the connection.
    fn write(&mut self, slot: usize, bytes: &[u8]) -> bool {
        let Some(connection) = &mut self.connections[slot] else { return true };
        let waited = !connection.unsent.is_empty();
        if waited {
            connection.unsent.extend_from_slice(bytes);
        }
        let pending = if waited { &connection.unsent[..] } else { bytes };
        let sent = match send(&connection.stream, pending, SendFlags::NOSIGNAL) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return false,
        };
        if waited {
            connection.unsent.drain(..sent);
        } else if sent < bytes.len() {
            connection.unsent.extend_from_slice(&bytes[sent..]);
        }
        let waits = !connection.unsent.is_empty();
        if waits != waited {
            let interest = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            return epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(slot as u64), interest)
                .is_ok();
        }
        true
    }

    fn drop_connection(&mut self, slot: usize) {
        self.fan.remove(&slot);
        // Closing the descriptor also takes it out of epoll.
        if self.connections[slot].take().is_some() {
            self.vacant.push(slot);
        }
    }
}

const LISTENER: u64 = u64::MAX;
const EVENTS_MAX: usize = 1024;
const SCRATCH_BYTES: usize = 256 * 1024;
