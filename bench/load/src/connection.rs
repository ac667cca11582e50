//! One socket of the generator, from the TCP connect to the last reply.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};
use http::header::{AUTHORIZATION, HeaderValue};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, bind, connect, recv, send, socket, sockopt,
};
use wirelark_proto::handshake::client::{Handshake, Request};
use wirelark_proto::{Config, Event, Head, Kind, Opcode, Protocol, Role, mask};

use crate::dialect::{Dialect, Incoming};
use crate::message::{Stamp, Template};
use crate::poller::Poller;

/// Where connections go and what is said on the way in.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// The request target, with its query if any.
    pub path: String,
    /// What is spoken after the upgrade.
    pub dialect: Dialect,
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// The server speaks first: its first message is a greeting, and only then is the connection open.
    pub greeting: bool,
}

/// A connection. It checks its upgrade, and keeps what is unfinished in either direction.
pub struct Connection {
    stream: TcpStream,
    slot: usize,
    dialect: Dialect,
    stage: Stage,
    protocol: Protocol,
    // Write side.
    unsent: Vec<u8>,
    wants_room: bool,
    mask_key: u32,
    pings: u32,
}

enum Stage {
    /// The request is on its way; after its answer comes another stage.
    Handshake { handshake: Box<Handshake>, then: Box<Self> },
    /// The next message is a greeting.
    Greeting,
    /// Housekeeping goes on until the dialect says `Connected`.
    Prologue,
    /// Messages can be sent.
    Open,
}

impl Connection {
    /// Connects from `source`, sends the upgrade request, and has `poller` report under `slot` from now on.
    pub fn start(target: &Target, source: Ipv4Addr, slot: usize, poller: &Poller) -> Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        if source != Ipv4Addr::LOCALHOST {
            bind(&socket, &SocketAddrV4::new(source, 0))?;
        }
        // On loopback this returns as soon as there is room in the server's backlog.
        connect(&socket, &target.address).context("the server takes no connection")?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        poller.add(&stream, slot)?;
        let then = match target.dialect {
            _ if target.greeting => Stage::Greeting,
            Dialect::SocketIo(_) => Stage::Prologue,
            Dialect::WebSocket | Dialect::Floor | Dialect::Socka(_) | Dialect::Json | Dialect::JsonRpc => {
                Stage::Open
            }
        };
        let (handshake, request) = Handshake::start(request(target)?)?;
        let protocol = Protocol::new(Config {
            role: Role::Client,
            message_bytes_max: MESSAGE_BYTES_MAX,
            compression: None,
        });
        let mut connection = Self {
            stream,
            slot,
            dialect: target.dialect,
            stage: Stage::Handshake { handshake: Box::new(handshake), then: Box::new(then) },
            protocol,
            unsent: request,
            wants_room: false,
            mask_key: 0x9E37_79B9 ^ slot as u32,
            pings: 0,
        };
        connection.flush(poller)?;
        Ok(connection)
    }

    /// Adds a message to what the next [`flush`](Self::flush) sends.
    pub fn queue(&mut self, template: &Template, stamp: Stamp) {
        let opcode = Opcode::from(self.dialect.kind());
        self.write_frame(opcode, template.request_bytes(), |to| template.write_request(stamp, to));
    }

    /// The same for a message that is no template's, as it is.
    pub fn queue_text(&mut self, message: &[u8]) {
        self.write_frame(Opcode::Text, message.len(), |to| to.extend_from_slice(message));
    }

    /// Sends what is queued, all of it in one call if the socket has room; if not, `poller` will say when there is.
    pub fn flush(&mut self, poller: &Poller) -> Result<()> {
        if !self.unsent.is_empty() {
            match send(&self.stream, &self.unsent, SendFlags::NOSIGNAL) {
                Ok(count) if count == self.unsent.len() => self.unsent.clear(),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error).context("the server broke the connection"),
            }
        }
        let wants_room = !self.unsent.is_empty();
        if wants_room != self.wants_room {
            self.wants_room = wants_room;
            poller.want_room(&self.stream, self.slot, wants_room)?;
        }
        Ok(())
    }

    /// Reads once, into `scratch`, and hands each reply to `on_reply`. Whatever else the server says is dealt
    /// with here; that it closes is an error, because no case waits for it.
    pub fn receive(
        &mut self,
        scratch: &mut [u8],
        poller: &Poller,
        mut on_reply: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let bytes = match recv(&self.stream, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => bail!("the server closed a connection"),
            Ok((count, _)) => &mut scratch[..count],
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(error).context("the server broke the connection"),
        };
        let mut rest;
        let mut frames = if let Stage::Handshake { handshake, then } = &mut self.stage {
            let Some(connected) = handshake.receive(bytes)? else { return Ok(()) };
            rest = connected.rest.to_vec();
            self.stage = std::mem::replace(then, Stage::Open);
            &mut rest[..]
        } else {
            bytes
        };
        while let Some(event) = self.protocol.poll_event(&mut frames)? {
            match event {
                Event::Text(message) => self.take_message(Kind::Text, message.as_slice(), &mut on_reply)?,
                Event::Binary(message) => {
                    self.take_message(Kind::Binary, message.as_slice(), &mut on_reply)?;
                }
                Event::Ping(payload) => {
                    self.pings += 1;
                    self.answer(Opcode::Pong, payload.as_slice());
                }
                Event::Pong(_) => {}
                Event::Close(_) => bail!("the server sent a close frame"),
            }
        }
        self.flush(poller)
    }

    fn take_message(
        &mut self,
        kind: Kind,
        message: &[u8],
        on_reply: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if matches!(self.stage, Stage::Greeting) {
            self.stage = Stage::Open;
            return Ok(());
        }
        let due = self.dialect.kind();
        ensure!(kind == due, "a message came as {kind:?} where {due:?} was due");
        match self.dialect.read(message)? {
            Incoming::Reply(reply) => on_reply(reply)?,
            Incoming::Connected => self.stage = Stage::Open,
            Incoming::Housekeeping(answer) => self.answer(Opcode::Text, answer.as_bytes()),
        }
        Ok(())
    }

    fn answer(&mut self, opcode: Opcode, payload: &[u8]) {
        self.write_frame(opcode, payload.len(), |to| to.extend_from_slice(payload));
    }

    /// Appends a frame whose payload `write` appends, without the allocation that a `Frame` of its own would cost
    /// every message.
    fn write_frame(&mut self, opcode: Opcode, payload_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let key = next_key(&mut self.mask_key, self.dialect);
        self.unsent.extend_from_slice(Head::new(opcode, true, false, payload_bytes, key).as_slice());
        let begin = self.unsent.len();
        write(&mut self.unsent);
        if let Some(key) = key {
            mask(&mut self.unsent[begin..], key, 0);
        }
    }

    /// Never reads again: what the server sends from now on stays with it.
    pub fn stall(&self, poller: &Poller) -> Result<()> {
        poller.remove(&self.stream)
    }

    /// Pings that came; each was answered.
    pub fn pings(&self) -> u32 {
        self.pings
    }

    /// Whether messages can be sent now.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }
}

/// The key is always the sample of RFC 6455, section 1.3, so that the floor can answer with a constant.
fn request(target: &Target) -> Result<Request> {
    let mut request = Request::new(target.address.to_string(), &target.path, *b"the sample nonce");
    if let Some(token) = &target.bearer {
        request.headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}"))?);
    }
    Ok(request)
}

/// Keys need not be secret here, only different: the server has to unmask.
fn next_key(state: &mut u32, dialect: Dialect) -> Option<[u8; 4]> {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    dialect.masks().then(|| state.to_ne_bytes())
}

/// Above every message of the bench.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
