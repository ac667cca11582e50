//! A client for tests, on the same sans-IO protocol as the server.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wirelark_proto::handshake::client::{Connected, Handshake, HandshakeError, Request};
use wirelark_proto::{
    CloseCode, CloseFrame, Compression, CompressionOptions, Config, Frame, Message, Protocol, Role, compress,
};

use super::Host;
use crate::app::auth::User;

/// How long an expectation waits, unless set. Virtual time under a paused clock.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Events that may wait for a test; beyond them the client stops reading.
const EVENTS_MAX: usize = 4096;

pub(super) trait ClientStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ClientStream for S {}

/// A client about to connect.
#[derive(Debug)]
#[must_use = "nothing happens until `connect` or `expect_rejected`"]
pub struct Connecting<'a> {
    pub(super) host: &'a Host,
    pub(super) path: String,
    pub(super) protocols: Vec<String>,
    pub(super) headers: HeaderMap,
    compression: Option<CompressionOptions>,
    pub(super) user: Option<User>,
    pub(super) timeout: Duration,
    answer_pings: bool,
}

/// An upgrade that was refused.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The response's status.
    pub status: StatusCode,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The beginning of the response's body.
    pub body: String,
}

impl<'a> Connecting<'a> {
    pub(super) fn new(host: &'a Host, path: &str) -> Self {
        Self {
            host,
            path: path.to_owned(),
            protocols: Vec::new(),
            headers: HeaderMap::new(),
            compression: None,
            user: None,
            timeout: TIMEOUT,
            answer_pings: true,
        }
    }

    /// Sends a header.
    ///
    /// # Panics
    /// If the name or the value cannot be a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header name");
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        self
    }

    /// Connects as a page of this origin.
    pub fn origin(self, origin: &str) -> Self {
        self.header("origin", origin)
    }

    /// Offers subprotocols.
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols.extend(protocols.into_iter().map(Into::into));
        self
    }

    /// Offers permessage-deflate.
    pub fn compression(mut self, options: CompressionOptions) -> Self {
        self.compression = Some(options);
        self
    }

    /// Sends a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends a bearer token with these claims, signed with the host's secret. Without an `exp` it expires
    /// in an hour.
    ///
    /// # Panics
    /// If the host was given no [`jwt_secret`](Host::jwt_secret).
    #[cfg(feature = "jwt")]
    pub fn jwt(self, mut claims: serde_json::Value) -> Self {
        let secret = self
            .host
            .jwt_secret
            .clone()
            .expect("give the host the secret first: `Host::new(app).jwt_secret(b\"..\")`");
        if claims.get("exp").is_none() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            claims["exp"] = (now.map_or(0, |now| now.as_secs()) + 3_600).into();
        }
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)
            .expect("claims can be signed");
        self.bearer(&token)
    }

    /// Sends a cookie.
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", &format!("{name}={value}"))
    }

    /// Connects as a user, as if middleware had authenticated it. Only in memory.
    pub fn user(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    /// How long this client's expectations wait; 5 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Leaves pings unanswered, as a peer that has vanished does.
    pub fn ignore_pings(mut self) -> Self {
        self.answer_pings = false;
        self
    }

    /// Connects.
    ///
    /// # Panics
    /// If the upgrade is refused.
    pub async fn connect(self) -> Client {
        let path = self.path.clone();
        match self.try_connect().await {
            Ok(client) => client,
            Err(rejected) => panic!("{path} was refused: {} {}", rejected.status, rejected.body),
        }
    }

    /// Connects, and is refused with `status`.
    ///
    /// # Panics
    /// If the upgrade is accepted, or refused with another status.
    pub async fn expect_rejected(self, status: u16) -> Rejected {
        let path = self.path.clone();
        match self.try_connect().await {
            Ok(_) => panic!("{path} was accepted, not refused with {status}"),
            Err(rejected) => {
                assert_eq!(rejected.status.as_u16(), status, "{path} was refused with {}", rejected.body);
                rejected
            }
        }
    }

    /// Connects, or says how it was refused.
    ///
    /// # Panics
    /// If the connection breaks before there is an answer.
    pub async fn try_connect(self) -> Result<Client, Rejected> {
        let mut key = [0; 16];
        key.copy_from_slice(uuid::Uuid::now_v7().as_bytes());
        let mut request = Request::new("wirelark.test", self.path.as_str(), key);
        if let Some(host) = self.headers.get(header::HOST) {
            request.host = host.to_str().expect("a host").to_owned();
        }
        request.protocols = self.protocols;
        request.headers = self.headers;
        request.headers.remove(header::HOST);
        request.compression = self.compression;
        let mut stream = self.host.open(self.user).await.expect("the host accepts connections");
        let (mut handshake, head) = Handshake::start(request).expect("a request that can be sent");
        stream.write_all(&head).await.expect("the host reads the request");
        let mut buffer = [0; 4096];
        loop {
            let outcome = match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => Err(handshake.handle_eof()),
                Ok(read) => handshake.receive(&buffer[..read]),
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(connected)) => {
                    return Ok(Client::new(stream, connected, self.timeout, self.answer_pings));
                }
                Err(HandshakeError::Refused(refused)) => {
                    let body = String::from_utf8_lossy(&refused.body).into_owned();
                    return Err(Rejected { status: refused.status, headers: refused.headers, body });
                }
                Err(error) => panic!("{} answered no handshake: {error}", self.path),
            }
        }
    }
}

/// What a client receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A message, or a ping or pong.
    Message(Message),
    /// A close frame.
    Close(Option<CloseFrame>),
    /// The stream ended; after a close frame that is how it should be.
    End,
}

/// A connected client.
///
/// A task of its own reads, answers pings and echoes the server's close. Every `expect_` method panics,
/// with what came instead, when the next event is another one or none comes in time. Pings and pongs are
/// only seen by those that expect them.
pub struct Client {
    protocol: String,
    compression: Option<Compression>,
    write: mpsc::Sender<Vec<u8>>,
    events: mpsc::Receiver<ClientEvent>,
    reading: watch::Sender<bool>,
    timeout: Duration,
    mask: u32,
    task: JoinHandle<()>,
}

impl Client {
    fn new(
        stream: Box<dyn ClientStream>,
        connected: Connected,
        timeout: Duration,
        answer_pings: bool,
    ) -> Self {
        let (read, write_half) = tokio::io::split(stream);
        let (write, writes) = mpsc::channel(64);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (reading, may_read) = watch::channel(true);
        let config =
            Config { role: Role::Client, message_bytes_max: usize::MAX, compression: connected.compression };
        let reader = Reader {
            stream: read,
            protocol: Protocol::new(config),
            events: sender,
            write: write.clone(),
            answer_pings,
            may_read,
        };
        let task = tokio::spawn(async move {
            let writer = tokio::spawn(write_all(write_half, writes));
            reader.run(connected.rest.to_vec()).await;
            writer.abort();
        });
        Self {
            protocol: connected.protocol.unwrap_or_default(),
            compression: connected.compression,
            write,
            events,
            reading,
            timeout,
            mask: 0x5EED_1234,
            task,
        }
    }

    /// The subprotocol the server chose, or `""`.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Whether permessage-deflate was agreed.
    pub fn is_compressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send(Message::from(text)).await;
    }

    /// Sends a value as JSON text.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub async fn send_json(&mut self, value: &impl Serialize) {
        self.send_text(&serde_json::to_string(value).expect("a value that is JSON")).await;
    }

    /// Sends a binary message.
    pub async fn send_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.send(Message::Binary(bytes.into())).await;
    }

    /// Sends a ping.
    pub async fn send_ping(&mut self, payload: impl Into<Bytes>) {
        self.send(Message::Ping(payload.into())).await;
    }

    /// Sends a pong nobody asked for.
    pub async fn send_pong(&mut self, payload: impl Into<Bytes>) {
        self.send(Message::Pong(payload.into())).await;
    }

    async fn send(&mut self, message: Message) {
        let mask = self.next_mask();
        let frame = match &self.compression {
            Some(agreed) if matches!(message, Message::Text(_) | Message::Binary(_)) => {
                Frame::compressed_masked(message.kind(), compress(message.as_bytes(), agreed), mask)
            }
            _ => Frame::masked(message, mask),
        };
        self.send_raw(frame.to_vec()).await;
    }

    /// Sends bytes as they are, frames or not. What cannot be sent because the server has gone is lost, as
    /// on any network.
    pub async fn send_raw(&mut self, bytes: impl Into<Vec<u8>>) {
        let _ = self.write.send(bytes.into()).await;
    }

    /// Stops reading, as a client does that has fallen behind.
    pub fn stop_reading(&self) {
        self.reading.send_replace(false);
    }

    /// Reads again.
    pub fn resume_reading(&self) {
        self.reading.send_replace(true);
    }

    /// Sends a close frame.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let mask = self.next_mask();
        let frame = CloseFrame::new(CloseCode::new(code), reason);
        self.send_raw(Frame::close(Some(frame), Some(mask)).to_vec()).await;
    }

    /// Cuts the connection without a word.
    pub fn drop_connection(self) {
        self.task.abort();
    }

    /// The next event that is no ping or pong.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn next(&mut self) -> ClientEvent {
        loop {
            match self.next_of_any_kind("an event").await {
                ClientEvent::Message(Message::Ping(_) | Message::Pong(_)) => {}
                event => return event,
            }
        }
    }

    /// The next `count` events that are no pings or pongs, all before one deadline.
    ///
    /// # Panics
    /// If fewer come in time.
    pub async fn next_n(&mut self, count: usize) -> Vec<ClientEvent> {
        let deadline = self.timeout;
        let collect = async {
            let mut events = Vec::with_capacity(count);
            while events.len() < count {
                events.push(self.next().await);
            }
            events
        };
        timeout(deadline, collect)
            .await
            .unwrap_or_else(|_| panic!("fewer than {count} events within {deadline:?}"))
    }

    /// A text message.
    ///
    /// # Panics
    /// If something else comes, or nothing in time.
    pub async fn expect_text(&mut self) -> String {
        match self.next().await {
            ClientEvent::Message(Message::Text(text)) => text.to_string(),
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// A text message that is JSON for a `T`.
    ///
    /// # Panics
    /// If something else comes, or nothing in time.
    pub async fn expect_json<T: DeserializeOwned>(&mut self) -> T {
        let text = self.expect_text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is not the JSON expected: {error}"))
    }

    /// A binary message.
    ///
    /// # Panics
    /// If something else comes, or nothing in time.
    pub async fn expect_bytes(&mut self) -> Bytes {
        match self.next().await {
            ClientEvent::Message(Message::Binary(bytes)) => bytes,
            other => panic!("expected a binary message, got {other:?}"),
        }
    }

    /// A ping. It has been answered already.
    ///
    /// # Panics
    /// If something else comes first, or nothing in time.
    pub async fn expect_ping(&mut self) -> Bytes {
        match self.next_of_any_kind("a ping").await {
            ClientEvent::Message(Message::Ping(payload)) => payload,
            other => panic!("expected a ping, got {other:?}"),
        }
    }

    /// A pong.
    ///
    /// # Panics
    /// If something else than a ping comes first, or nothing in time.
    pub async fn expect_pong(&mut self) -> Bytes {
        loop {
            match self.next_of_any_kind("a pong").await {
                ClientEvent::Message(Message::Pong(payload)) => return payload,
                ClientEvent::Message(Message::Ping(_)) => {}
                other => panic!("expected a pong, got {other:?}"),
            }
        }
    }

    /// A close with this code, and then the end of the stream. Messages before it are an error. Returns the
    /// reason. 1005 stands for a close frame without a code, 1006 for an end without a close frame.
    ///
    /// # Panics
    /// If something else comes, or nothing in time.
    pub async fn expect_close(&mut self, code: u16) -> String {
        let (got, reason) = match self.next().await {
            ClientEvent::Close(Some(frame)) => (u16::from(frame.code), frame.reason.to_string()),
            ClientEvent::Close(None) => (1005, String::new()),
            ClientEvent::End => (1006, String::new()),
            other => panic!("expected a close with {code}, got {other:?}"),
        };
        assert_eq!(got, code, "closed with {got} {reason:?}");
        if got != 1006 {
            match self.next().await {
                ClientEvent::End => {}
                other => panic!("expected the end of the stream after a close, got {other:?}"),
            }
        }
        reason
    }

    /// Nothing comes for this long, pings and pongs aside.
    ///
    /// # Panics
    /// If something does.
    pub async fn expect_nothing_for(&mut self, time: Duration) {
        let event = timeout(time, async {
            loop {
                match self.receive().await {
                    ClientEvent::Message(Message::Ping(_) | Message::Pong(_)) => {}
                    event => return event,
                }
            }
        });
        if let Ok(event) = event.await {
            panic!("expected nothing for {time:?}, got {event:?}");
        }
    }

    async fn next_of_any_kind(&mut self, expected: &str) -> ClientEvent {
        let deadline = self.timeout;
        match timeout(deadline, self.receive()).await {
            Ok(event) => event,
            Err(_) => panic!("expected {expected}, got nothing within {deadline:?}"),
        }
    }

    async fn receive(&mut self) -> ClientEvent {
        self.events.recv().await.unwrap_or(ClientEvent::End)
    }

    fn next_mask(&mut self) -> [u8; 4] {
        self.mask = self.mask.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.mask.to_be_bytes()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// The task of a client: reads, answers, hands on.
struct Reader {
    stream: ReadHalf<Box<dyn ClientStream>>,
    protocol: Protocol,
    events: mpsc::Sender<ClientEvent>,
    write: mpsc::Sender<Vec<u8>>,
    answer_pings: bool,
    may_read: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self, early: Vec<u8>) {
        let mut buffer = early;
        if self.take_in(&mut buffer).await.is_err() {
            return;
        }
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if self.may_read.wait_for(|may_read| *may_read).await.is_err() {
                return;
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    if self.take_in(&mut buffer[..read]).await.is_err() {
                        return;
                    }
                }
            }
        }
        let _ = self.events.send(ClientEvent::End).await;
    }

    /// Decodes and hands on. An error when nobody listens any more.
    async fn take_in(&mut self, bytes: &mut [u8]) -> Result<(), ()> {
        let mut input = bytes;
        loop {
            let event = match self.protocol.poll_event(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(()),
                Err(error) => panic!("the server broke the protocol: {error}"),
            };
            let event = match event.into_message() {
                Ok(message) => {
                    if let (Message::Ping(payload), true) = (&message, self.answer_pings) {
                        let pong = Frame::masked(Message::Pong(payload.clone()), [7, 7, 7, 7]);
                        let _ = self.write.send(pong.to_vec()).await;
                    }
                    ClientEvent::Message(message)
                }
                Err(close) => {
                    if let Some(echo) = self.protocol.close_masked(close.clone(), [7, 7, 7, 7]) {
                        let _ = self.write.send(echo.to_vec()).await;
                    }
                    ClientEvent::Close(close)
                }
            };
            self.events.send(event).await.map_err(drop)?;
        }
    }
}

async fn write_all(
    mut stream: WriteHalf<Box<dyn ClientStream>>,
    mut writes: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(bytes) = writes.recv().await {
        stream.write_all(&bytes).await?;
        stream.flush().await?;
    }
    Ok(())
}
