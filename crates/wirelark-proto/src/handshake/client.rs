//! The client's side of the handshake: the request to write, and the response as it arrives.
//!
//! ```
//! use wirelark_proto::handshake::client::{Handshake, Request};
//!
//! // The key is 16 random bytes of the caller's; these are the ones of the specification's example.
//! let request = Request::new("server.example.com", "/chat", *b"the sample nonce");
//! let (mut handshake, bytes) = Handshake::start(request)?;
//! // Write `bytes`, then hand over what is read until something comes out.
//! assert!(bytes.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
//! let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
//! let connected = handshake.receive(response.as_bytes())?.expect("the response is complete");
//! assert_eq!(connected.protocol, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::str;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{accept_value, lists_token, token};
use crate::{Compression, CompressionOptions, deflate::parse_extensions};

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The `Host` header: a name, and a port unless it is the scheme's own.
    pub host: String,
    /// The path, and the query if there is one.
    pub path: String,
    /// Sixteen random bytes, fresh for each request (RFC 6455 section 4.1). They protect caches, not secrets.
    pub key: [u8; 16],
    /// The subprotocols, the one liked best first. The server selects one of them or none.
    pub protocols: Vec<String>,
    /// More headers, such as `Authorization`, `Cookie` or `Origin`. Those of the handshake itself are
    /// refused.
    pub headers: HeaderMap,
    /// Offers permessage-deflate.
    pub compression: Option<CompressionOptions>,
}

impl Request {
    /// A request with nothing but an address and a key.
    pub fn new(host: impl Into<String>, path: impl Into<String>, key: [u8; 16]) -> Self {
        let (host, path) = (host.into(), path.into());
        Self { host, path, key, protocols: Vec::new(), headers: HeaderMap::new(), compression: None }
    }

    /// The bytes to write. Nothing a caller puts into a field can begin a header of its own.
    fn encode(&self, key: &str) -> Result<Vec<u8>, InvalidRequest> {
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible(&self.host) {
            return Err(InvalidRequest::Host);
        }
        if !visible(&self.path) || !self.path.starts_with('/') || self.path.contains('#') {
            return Err(InvalidRequest::Path);
        }
        if self.headers.keys().any(|name| RESERVED.contains(name)) {
            return Err(InvalidRequest::ReservedHeader);
        }
        for (index, protocol) in self.protocols.iter().enumerate() {
            if token(protocol.as_bytes()).is_none() || self.protocols[..index].contains(protocol) {
                return Err(InvalidRequest::Protocol);
            }
        }

        let mut bytes = Vec::with_capacity(256);
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes.extend_from_slice(b"\r\n");
        };
        line(&[b"GET ", self.path.as_bytes(), b" HTTP/1.1"]);
        line(&[b"Host: ", self.host.as_bytes()]);
        line(&[b"Upgrade: websocket"]);
        line(&[b"Connection: Upgrade"]);
        line(&[b"Sec-WebSocket-Version: 13"]);
        line(&[b"Sec-WebSocket-Key: ", key.as_bytes()]);
        if !self.protocols.is_empty() {
            line(&[b"Sec-WebSocket-Protocol: ", self.protocols.join(", ").as_bytes()]);
        }
        if let Some(options) = self.compression {
            line(&[b"Sec-WebSocket-Extensions: ", options.offer().as_bytes()]);
        }
        for (name, value) in &self.headers {
            line(&[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        line(&[]);
        Ok(bytes)
    }
}

/// A request that cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The host.
    #[error("the host must be visible ASCII, such as `example.com:8080`")]
    Host,
    /// The path.
    #[error("the path must begin with `/` and be percent-encoded, without a fragment")]
    Path,
    /// A subprotocol.
    #[error("subprotocols must be tokens, each listed once")]
    Protocol,
    /// A header.
    #[error("the handshake writes this header itself: use the field of the request instead")]
    ReservedHeader,
}

/// A handshake whose request is on its way.
///
/// Feed it every byte that is read with [`receive`](Self::receive), until it returns something other than
/// `Ok(None)`.
#[derive(Debug)]
pub struct Handshake {
    accept: HeaderValue,
    protocols: Vec<String>,
    compression: Option<CompressionOptions>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The response's head, as far as it arrived.
    Head(Vec<u8>),
    /// A response that refuses, whose body is still arriving, up to so many bytes.
    Refusal(Refused, usize),
    /// An outcome was returned.
    Done,
}

impl Handshake {
    /// Begins a handshake. Returns it with the bytes to write.
    pub fn start(request: Request) -> Result<(Self, Vec<u8>), InvalidRequest> {
        let key = STANDARD.encode(request.key);
        let bytes = request.encode(&key)?;
        let Request { protocols, compression, .. } = request;
        let state = State::Head(Vec::new());
        Ok((Self { accept: accept_value(key.as_bytes()), protocols, compression, state }, bytes))
    }

    /// Takes what was read. `Ok(None)` asks for more; at most [`HEAD_BYTES_MAX`] and [`BODY_BYTES_MAX`] are
    /// held.
    ///
    /// After an outcome was returned, further calls return `Ok(None)` and ignore their input.
    pub fn receive(&mut self, input: &[u8]) -> Result<Option<Connected>, HandshakeError> {
        let outcome = match std::mem::replace(&mut self.state, State::Done) {
            State::Head(head) => self.receive_head(head, input),
            State::Refusal(refused, body_len) => self.receive_body(refused, body_len, input),
            State::Done => Ok(None),
        };
        if outcome.is_err() {
            self.state = State::Done;
        }
        outcome
    }

    /// The stream ended before the handshake did.
    pub fn handle_eof(&mut self) -> HandshakeError {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refusal(refused, _) => HandshakeError::Refused(Box::new(refused)),
            State::Head(_) | State::Done => HandshakeError::Eof,
        }
    }

    fn receive_head(&mut self, mut head: Vec<u8>, input: &[u8]) -> Result<Option<Connected>, HandshakeError> {
        // Where the empty line can begin at the earliest: the head was searched before.
        let searched = head.len().saturating_sub(3);
        // One read may bring frames after the head; they do not count against the head's bound.
        head.extend_from_slice(input);
        let Some(end) = end_of_head(&head, searched) else {
            if head.len() > HEAD_BYTES_MAX {
                return Err(HandshakeError::HeadTooLarge);
            }
            self.state = State::Head(head);
            return Ok(None);
        };
        if end > HEAD_BYTES_MAX {
            return Err(HandshakeError::HeadTooLarge);
        }
        let (status, headers) = parse_head(&head[..end])?;
        let rest = Bytes::from(head).slice(end..);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body_len = content_length(&headers).unwrap_or(rest.len()).min(BODY_BYTES_MAX);
            return self.receive_body(Refused { status, headers, body: Vec::new() }, body_len, &rest);
        }
        self.connected(headers, rest).map(Some)
    }

    fn receive_body(
        &mut self,
        mut refused: Refused,
        body_len: usize,
        input: &[u8],
    ) -> Result<Option<Connected>, HandshakeError> {
        let missing = body_len - refused.body.len();
        refused.body.extend_from_slice(&input[..input.len().min(missing)]);
        if refused.body.len() < body_len {
            self.state = State::Refusal(refused, body_len);
            return Ok(None);
        }
        Err(HandshakeError::Refused(Box::new(refused)))
    }

    /// Checks a 101 (RFC 6455 section 4.1, the numbered list at its end).
    fn connected(&self, headers: HeaderMap, rest: Bytes) -> Result<Connected, HandshakeError> {
        if !lists_token(&headers, &header::UPGRADE, "websocket") {
            return Err(HandshakeError::BadResponse("it does not upgrade to `websocket`"));
        }
        if !lists_token(&headers, &header::CONNECTION, "upgrade") {
            return Err(HandshakeError::BadResponse("its `Connection` header does not say `Upgrade`"));
        }
        match single(&headers, &header::SEC_WEBSOCKET_ACCEPT) {
            Some(accept) if accept.as_bytes().trim_ascii() == self.accept.as_bytes() => {}
            _ => {
                return Err(HandshakeError::BadResponse(
                    "its `Sec-WebSocket-Accept` does not answer the key",
                ));
            }
        }
        Ok(Connected {
            protocol: self.selected(&headers)?,
            compression: self.agreed(&headers)?,
            headers,
            rest,
        })
    }

    fn selected(&self, headers: &HeaderMap) -> Result<Option<String>, HandshakeError> {
        if !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
            return Ok(None);
        }
        single(headers, &header::SEC_WEBSOCKET_PROTOCOL)
            .and_then(|selected| {
                self.protocols.iter().find(|offered| selected.as_bytes() == offered.as_bytes())
            })
            .map(|selected| Some(selected.clone()))
            .ok_or(HandshakeError::BadResponse("it selects a subprotocol that was not offered"))
    }

    fn agreed(&self, headers: &HeaderMap) -> Result<Option<Compression>, HandshakeError> {
        let mut lines = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let extensions = parse_extensions(line.as_bytes()).unwrap_or_default();
        // Only one extension was offered, so the response names it once and nothing else.
        let ([extension], None, Some(options)) = (extensions.as_slice(), lines.next(), self.compression)
        else {
            return Err(HandshakeError::BadResponse("it agrees to extensions that were not offered"));
        };
        let agreed = options.agreed(extension);
        agreed.map(Some).ok_or(HandshakeError::BadResponse("it agrees to compression that was not offered"))
    }
}

/// A handshake that succeeded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connected {
    /// The subprotocol the server selected.
    pub protocol: Option<String>,
    /// What was agreed for permessage-deflate: goes into [`Config`](crate::Config).
    pub compression: Option<Compression>,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// What was read after the response: the first bytes for the [`Protocol`](crate::Protocol).
    pub rest: Bytes,
}

/// How a handshake failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server answered with another status than 101.
    #[error("the server refused the upgrade with {}", .0.status)]
    Refused(Box<Refused>),
    /// The server answered with a 101 that breaks a rule.
    #[error("the server's response cannot be accepted: {0}")]
    BadResponse(&'static str),
    /// The response is not HTTP/1.1.
    #[error("the server did not answer with HTTP/1.1")]
    NotHttp,
    /// The response's head is longer than [`HEAD_BYTES_MAX`] or has more than 100 headers.
    #[error("the response's headers are too large")]
    HeadTooLarge,
    /// The stream ended before the response did.
    #[error("the connection ended before the response did")]
    Eof,
}

/// A response other than 101.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    /// The headers, such as `Location` or `Retry-After`.
    pub headers: HeaderMap,
    /// The beginning of the body, at most [`BODY_BYTES_MAX`] bytes: for error messages.
    pub body: Vec<u8>,
}

/// Where the body begins: after the first empty line. Bare line feeds count, as they do for the parser.
fn end_of_head(head: &[u8], searched: usize) -> Option<usize> {
    let lines = head[searched..].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    lines.map(|(index, _)| searched + index + 1).find_map(|next| match head[next..] {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

fn parse_head(head: &[u8]) -> Result<(StatusCode, HeaderMap), HandshakeError> {
    let mut parsed = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut parsed);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HandshakeError::NotHttp),
        Err(httparse::Error::TooManyHeaders) => return Err(HandshakeError::HeadTooLarge),
        Err(_) => return Err(HandshakeError::NotHttp),
    }
    let (Some(1), Some(code)) = (response.version, response.code) else {
        return Err(HandshakeError::NotHttp);
    };
    let status = StatusCode::from_u16(code).map_err(|_| HandshakeError::NotHttp)?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for line in response.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| HandshakeError::NotHttp)?;
        let value = HeaderValue::from_bytes(line.value).map_err(|_| HandshakeError::NotHttp)?;
        headers.append(name, value);
    }
    Ok((status, headers))
}

/// The header's value, if it is there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    str::from_utf8(single(headers, &header::CONTENT_LENGTH)?.as_bytes()).ok()?.parse().ok()
}

/// The longest response head that is read.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How much is kept of the body of a refusal.
pub const BODY_BYTES_MAX: usize = 4 * 1024;

/// As many as common servers send at most.
const HEADERS_MAX: usize = 100;

/// What [`Request::encode`] writes from its own fields.
const RESERVED: [HeaderName; 7] = [
    header::HOST,
    header::UPGRADE,
    header::CONNECTION,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
];
