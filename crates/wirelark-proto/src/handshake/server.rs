//! The server's side of the handshake: an upgrade request is accepted into an [`Offer`] or refused with a
//! reason.
//!
//! The checks read headers and nothing else: where a request comes from, who sent it and whether they may is
//! for the framework above.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::general_purpose::{GeneralPurpose, PAD},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use super::{accept_value, elements, lists_token, token};
use crate::{
    Compression, CompressionOffer, CompressionOptions,
    deflate::{Extension, parse_extensions},
};

/// Checks an upgrade request (RFC 6455 section 4.2.1).
///
/// Headers are untrusted: whatever they hold, the answer is an offer or a refusal, in linear time.
pub fn validate(method: &Method, version: Version, headers: &HeaderMap) -> Result<Offer, Refusal> {
    if method != Method::GET {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket is opened with GET",
            &[(header::ALLOW, HeaderValue::from_static("GET"))],
        ));
    }
    if version != Version::HTTP_11 {
        return Err(bad_request("a WebSocket upgrade needs HTTP/1.1"));
    }
    if !lists_token(headers, &header::UPGRADE, "websocket") {
        return Err(bad_request("this address speaks WebSocket: send the header `Upgrade: websocket`"));
    }
    if !lists_token(headers, &header::CONNECTION, "upgrade") {
        return Err(bad_request(
            "send the header `Connection: Upgrade`; a proxy on the way may have removed it",
        ));
    }
    check_version(headers)?;
    let key = key(headers)?;
    Ok(Offer {
        accept: accept_value(key),
        protocols: protocols(headers)?,
        compression: compression(headers)?,
    })
}

/// What a valid upgrade request asks for.
///
/// It owns copies of what it needs, so that the request can be dropped.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The value of `Sec-WebSocket-Accept` that accepts the request.
    pub accept: HeaderValue,
    protocols: Vec<Box<str>>,
    compression: Vec<CompressionOffer>,
}

impl Offer {
    /// The subprotocols the client speaks, the one it likes best first, each once.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.protocols.iter().map(AsRef::as_ref)
    }

    /// The valid offers of permessage-deflate, the one the client likes best first.
    pub fn compression(&self) -> &[CompressionOffer] {
        &self.compression
    }

    /// Picks the subprotocol, see [`select_protocol`].
    pub fn select_protocol(&self, allowed: &[impl AsRef<str>]) -> Option<&str> {
        select_protocol(self.protocols(), allowed)
    }

    /// Agrees on compression, see [`CompressionOptions::negotiate`].
    pub fn negotiate(&self, options: &CompressionOptions) -> Option<(Compression, HeaderValue)> {
        options.negotiate(&self.compression)
    }

    /// The headers of the 101 response, with what was selected and agreed.
    ///
    /// # Errors
    ///
    /// Fails if `protocol` is not one the client offered: it would end the connection (RFC 6455 section 4.1).
    pub fn response_headers(
        &self,
        protocol: Option<&str>,
        extensions: Option<HeaderValue>,
    ) -> Result<HeaderMap, ProtocolNotOffered> {
        let mut headers = HeaderMap::with_capacity(5);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(protocol) = protocol {
            let offered = self.protocols().any(|offered| offered == protocol);
            let value = HeaderValue::from_str(protocol).ok().filter(|_| offered).ok_or(ProtocolNotOffered)?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        if let Some(extensions) = extensions {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
        }
        Ok(headers)
    }
}

/// A response must not name a subprotocol that the request did not offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the client did not offer this subprotocol: select one with `Offer::select_protocol`")]
pub struct ProtocolNotOffered;

/// The first of the `offered` subprotocols that is `allowed`: the client's order decides. Names are compared
/// exactly.
pub fn select_protocol<'a>(
    offered: impl IntoIterator<Item = &'a str>,
    allowed: &[impl AsRef<str>],
) -> Option<&'a str> {
    offered.into_iter().find(|offered| allowed.iter().any(|allowed| allowed.as_ref() == *offered))
}

/// Why a request was not upgraded, as the HTTP response to send.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    status: StatusCode,
    message: &'static str,
    headers: HeaderMap,
}

impl Refusal {
    fn new(status: StatusCode, message: &'static str, headers: &[(header::HeaderName, HeaderValue)]) -> Self {
        Self { status, message, headers: headers.iter().cloned().collect() }
    }

    /// The status: 400, 405 or 426.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// A sentence for the developer of the client, which says what to change.
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// The headers the status asks for: `Allow` with 405, `Sec-WebSocket-Version` and `Upgrade` with 426.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn bad_request(message: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message, &[])
}

/// One version header that says 13. Another version is answered with the one we speak (RFC 6455 section 4.4).
fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lines = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
    let (Some(version), None) = (lines.next(), lines.next()) else {
        return Err(bad_request("send the header `Sec-WebSocket-Version: 13`, once"));
    };
    if version.as_bytes().trim_ascii() == b"13" {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UPGRADE_REQUIRED,
        "only version 13 of the WebSocket protocol is spoken here: send `Sec-WebSocket-Version: 13`",
        &[
            (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            // A 426 names the protocol to upgrade to (RFC 9110 section 15.5.22).
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        ],
    ))
}

/// The key, as it was sent: the accept value is computed over its text.
fn key(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut lines = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (lines.next(), lines.next()) else {
        return Err(bad_request("send the header `Sec-WebSocket-Key`, once"));
    };
    let key = key.as_bytes().trim_ascii();
    let mut nonce = [0; 18];
    match KEY_BASE64.decode_slice(key, &mut nonce) {
        Ok(16) => Ok(key),
        _ => Err(bad_request("`Sec-WebSocket-Key` must be 16 bytes in base64")),
    }
}

fn protocols(headers: &HeaderMap) -> Result<Vec<Box<str>>, Refusal> {
    let mut protocols = Vec::<Box<str>>::new();
    for element in elements(headers, &header::SEC_WEBSOCKET_PROTOCOL) {
        let Some(protocol) = token(element) else {
            return Err(bad_request(
                "`Sec-WebSocket-Protocol` must list tokens, without spaces or quotes inside them",
            ));
        };
        if protocols.iter().any(|known| **known == *protocol) {
            return Err(bad_request("`Sec-WebSocket-Protocol` must not list a protocol twice"));
        }
        if protocols.len() == PROTOCOLS_MAX {
            return Err(bad_request("`Sec-WebSocket-Protocol` lists too many protocols"));
        }
        protocols.push(protocol.into());
    }
    if protocols.is_empty() && headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(bad_request("`Sec-WebSocket-Protocol` must not be empty: leave it out"));
    }
    Ok(protocols)
}

fn compression(headers: &HeaderMap) -> Result<Vec<CompressionOffer>, Refusal> {
    let mut offers = Vec::new();
    for line in headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS) {
        // Malformed syntax is not skipped like an unknown extension: RFC 6455 section 9.1 wants the
        // connection failed.
        let extensions = parse_extensions(line.as_bytes())
            .ok_or_else(|| bad_request("`Sec-WebSocket-Extensions` does not follow its grammar"))?;
        offers.extend(extensions.iter().filter_map(Extension::compression_offer));
    }
    offers.truncate(COMPRESSION_OFFERS_MAX);
    Ok(offers)
}

/// The specification's own example of a key has bits in its last character that belong to no byte (RFC 6455
/// section 4.1), so they are allowed here.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// More than any client offers; keeps the search for duplicates short.
const PROTOCOLS_MAX: usize = 64;

/// Browsers send one offer, careful clients two or three; what follows the eighth is ignored.
const COMPRESSION_OFFERS_MAX: usize = 8;
