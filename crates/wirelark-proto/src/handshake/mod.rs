//! The opening handshake (RFC 6455 section 4): an HTTP/1.1 GET that becomes a WebSocket.
//!
//! [`server`] judges the request that some HTTP server has parsed, [`client`] writes a request and reads the
//! response. Neither opens a connection.

pub mod client;
pub mod server;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha1::{Digest as _, Sha1};

/// The proof that the other end read the key: base64 of a hash (RFC 6455 section 4.2.2, step 5.4).
fn accept_value(key: &[u8]) -> HeaderValue {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(hash)).expect("base64 is visible ASCII")
}

/// Whether a comma-separated header lists `token`, in any case and on any of its lines.
fn lists_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of a comma-separated header, over all of its lines. Empty elements are skipped (RFC 9110
/// section 5.6.1.2).
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// A token (RFC 9110 section 5.6.2): the only text that names protocols and extensions, and always ASCII.
fn token(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))).then_some(text)
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Makes an accept value belong to WebSocket and to nothing else (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
