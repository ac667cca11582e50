//! A server scripted by hand, and what a client reports.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wirelark_client::{Builder, Client, CloseCode, CloseFrame, ReportKind, Status};
use wirelark_proto::handshake::server;
use wirelark_proto::{Config, Event, Frame, Message, Protocol, Role};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where a client's streams arrive.
pub(crate) struct Fake {
    streams: mpsc::Receiver<DuplexStream>,
}

/// A client about to connect to a server that is told what to do. Its pipe holds `pipe_bytes`.
pub(crate) fn fake_with_pipe(pipe_bytes: usize) -> (Builder, Fake) {
    let (sender, streams) = mpsc::channel(1);
    let connector = move |_| {
        let sender = sender.clone();
        async move {
            let (ours, theirs) = duplex(pipe_bytes);
            sender.send(theirs).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(ours)
        }
    };
    (
        Client::builder("ws://fake.test/path?query").connector(connector).heartbeat(None).seed(1),
        Fake { streams },
    )
}

pub(crate) fn fake() -> (Builder, Fake) {
    fake_with_pipe(64 * 1024)
}

/// A client that is connected, and the other end.
pub(crate) async fn connected(configure: impl FnOnce(Builder) -> Builder) -> (Client, Peer, Fake) {
    let (builder, mut fake) = fake();
    let client = configure(builder).build().unwrap();
    let peer = fake.accept().await;
    client.connect().await.unwrap();
    (client, peer, fake)
}

impl Fake {
    /// The next stream.
    pub(crate) async fn stream(&mut self) -> DuplexStream {
        timeout(PATIENCE, self.streams.recv()).await.expect("a client connects").expect("there is a client")
    }

    /// No client comes for this long.
    pub(crate) async fn expect_nobody_for(&mut self, time: Duration) {
        let stream = timeout(time, self.streams.recv()).await;
        assert!(!matches!(stream, Ok(Some(_))), "a client connected");
    }

    /// The next stream, whose request is answered with these bytes.
    pub(crate) async fn answer(&mut self, response: &str) -> DuplexStream {
        let mut stream = self.stream().await;
        read_head(&mut stream).await;
        stream.write_all(response.as_bytes()).await.unwrap();
        stream
    }

    /// The next connection, with the subprotocol the client likes best.
    pub(crate) async fn accept(&mut self) -> Peer {
        self.accept_with(true).await
    }

    pub(crate) async fn accept_with(&mut self, agree: bool) -> Peer {
        Peer::shake_hands(self.stream().await, agree).await
    }
}

impl Peer {
    /// Accepts what arrives on a stream, with the subprotocol the client likes best or with none.
    pub(crate) async fn shake_hands(mut stream: DuplexStream, agree: bool) -> Self {
        let (line, headers) = read_head(&mut stream).await;
        let offer = server::validate(&Method::GET, Version::HTTP_11, &headers).expect("a valid request");
        let mut head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n",
            offer.accept.to_str().unwrap()
        );
        if let Some(protocol) = offer.protocols().next().filter(|_| agree) {
            head += &format!("Sec-WebSocket-Protocol: {protocol}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
        let protocol =
            Protocol::new(Config { role: Role::Server, message_bytes_max: 1 << 24, compression: None });
        let protocols = offer.protocols().map(str::to_owned).collect();
        Self { stream, protocol, arrived: VecDeque::new(), line, headers, protocols }
    }
}

async fn read_head(stream: &mut DuplexStream) -> (String, HeaderMap) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the head of a request"));
    }
    let head = String::from_utf8(head).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().expect("a request line").to_owned();
    let headers = lines.map(|line| line.split_once(": ").expect("a header")).map(|(name, value)| {
        (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"))
    });
    (line, headers.collect())
}

/// What a client sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Arrived {
    Message(Message),
    Close(Option<CloseFrame>),
    End,
}

/// The server's end of one connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    protocol: Protocol,
    arrived: VecDeque<Arrived>,
    /// The request line.
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    /// What the client offered.
    pub(crate) protocols: Vec<String>,
}

impl Peer {
    pub(crate) async fn next(&mut self) -> Arrived {
        let mut buffer = [0; 4096];
        loop {
            if let Some(arrived) = self.arrived.pop_front() {
                return arrived;
            }
            let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("something arrives");
            let read = read.unwrap_or_default();
            if read == 0 {
                return Arrived::End;
            }
            let mut input = &mut buffer[..read];
            while let Some(event) = self.protocol.poll_event(&mut input).expect("the client keeps the rules")
            {
                self.arrived.push_back(match Event::into_message(event) {
                    Ok(message) => Arrived::Message(message),
                    Err(close) => Arrived::Close(close),
                });
            }
        }
    }

    /// The next request: its id and its body.
    pub(crate) async fn request(&mut self, name: &str) -> (String, Value) {
        let Arrived::Message(Message::Text(text)) = self.next().await else {
            panic!("no request for {name}")
        };
        let frame: Value = serde_json::from_str(text.as_str()).expect("a request is JSON");
        assert_eq!((&frame["socka"], &frame["v"]), (&json!("clientRequest"), &json!(1)), "{frame}");
        assert_eq!(frame["rpc"], name);
        (frame["id"].as_str().expect("an id").to_owned(), frame["body"].clone())
    }

    /// The next request, answered with `body`.
    pub(crate) async fn answer(&mut self, name: &str, body: Value) {
        let (id, _) = self.request(name).await;
        self.respond(&id, name, body).await;
    }

    pub(crate) async fn respond(&mut self, id: &str, name: &str, body: Value) {
        self.json(json!({"socka": "serverResponse", "v": 1, "id": id, "rpc": name, "body": body})).await;
    }

    pub(crate) async fn push(&mut self, event: &str, body: Value) {
        self.json(json!({"socka": "serverEvent", "v": 1, "event": event, "body": body})).await;
    }

    pub(crate) async fn json(&mut self, frame: Value) {
        self.send(Message::from(frame.to_string())).await;
    }

    /// The same for a client that may have gone.
    pub(crate) async fn try_json(&mut self, frame: Value) {
        let frame = Frame::unmasked(Message::from(frame.to_string())).to_vec();
        let _ = self.stream.write_all(&frame).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.raw(&Frame::unmasked(message).to_vec()).await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the client reads");
    }

    /// Sends a close frame, gets it back, and hangs up.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame::new(CloseCode::new(code), reason);
        self.raw(&Frame::close(Some(frame.clone()), None).to_vec()).await;
        loop {
            match self.next().await {
                Arrived::Message(_) => {}
                arrived => return assert_eq!(arrived, Arrived::Close(Some(frame))),
            }
        }
    }

    /// Gets this close frame and sends it back.
    pub(crate) async fn expect_close(mut self, code: u16, reason: &str) {
        let frame = Some(CloseFrame::new(CloseCode::new(code), reason));
        assert_eq!(self.next().await, Arrived::Close(frame.clone()));
        self.raw(&Frame::close(frame, None).to_vec()).await;
        assert_eq!(self.next().await, Arrived::End);
    }
}

/// Things in the order in which they came.
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Log<T> {
    pub(crate) fn add(&self, thing: T) {
        self.0.lock().push(thing);
    }

    /// Everything since this was asked last.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A kind of report, what it is about, and its text.
pub(crate) type Reported = (ReportKind, Option<String>, String);

/// A builder whose reports are kept.
pub(crate) fn reporting(builder: Builder) -> (Builder, Log<Reported>) {
    let log = Log::default();
    let reports = log.clone();
    let builder = builder.reports(move |report| {
        reports.add((report.kind, report.name.map(str::to_owned), report.error.to_string()));
    });
    (builder, log)
}

/// The statuses of a client from now on, its listener detached.
pub(crate) fn statuses(client: &Client) -> Log<Status> {
    let log = Log::default();
    let statuses = log.clone();
    client.on_status(move |status| statuses.add(status)).detach();
    log
}
