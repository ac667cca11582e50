//! What each end says about permessage-deflate in `Sec-WebSocket-Extensions` (RFC 7692 section 7.1).

use std::{borrow::Cow, fmt::Write as _};

use http::HeaderValue;

use super::Compression;
use crate::handshake::is_token_byte;

/// What this end wants from permessage-deflate; the handshake turns it into a [`Compression`].
///
/// The default asks for no context takeover in either direction and for the full window: nothing is kept
/// between messages, and one compressed message can be shared by all connections.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CompressionOptions {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The largest window of the server, as its base-two logarithm, 9 to 15.
    pub server_max_window_bits: u8,
    /// The largest window of the client, 9 to 15. A server can ask this only of clients that say they can
    /// limit it; the others use the full window.
    pub client_max_window_bits: u8,
    /// How hard this end compresses: 0 stores, 1 is fast, 9 is small.
    pub level: u8,
}

impl Default for CompressionOptions {
    fn default() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            // Messages are small and latency counts: higher levels cost several times as much for a few
            // percent.
            level: 1,
        }
    }
}

impl CompressionOptions {
    /// Checks the numbers, at start-up. Elsewhere numbers out of range are taken for the nearest one in
    /// range.
    pub fn check(&self) -> Result<(), InvalidCompressionOptions> {
        let windows = [self.server_max_window_bits, self.client_max_window_bits];
        if !windows.iter().all(|bits| WINDOW_BITS_OURS.contains(bits)) {
            return Err(InvalidCompressionOptions::WindowBits);
        }
        if self.level > 9 {
            return Err(InvalidCompressionOptions::Level);
        }
        Ok(())
    }

    /// The server's decision: accepts the first offer it can keep, and says so in the value of
    /// `Sec-WebSocket-Extensions` for the response. `None` leaves the connection uncompressed.
    ///
    /// An offer that wants a server window of 8 bits is declined: zlib makes no raw stream of that size, and
    /// one of 9 bits would refer further back than such a client can follow.
    pub fn negotiate(&self, offers: &[CompressionOffer]) -> Option<(Compression, HeaderValue)> {
        let wish = self.clamped();
        let offer = offers.iter().find(|offer| offer.server_max_window_bits != Some(8))?;
        let agreed = Compression {
            // What the client asks of the server binds it; what the server asks of itself and, in this one
            // case, of the client needs no offer (sections 7.1.1.1 and 7.1.1.2).
            server_no_context_takeover: wish.server_no_context_takeover || offer.server_no_context_takeover,
            client_no_context_takeover: wish.client_no_context_takeover || offer.client_no_context_takeover,
            server_max_window_bits: wish
                .server_max_window_bits
                .min(offer.server_max_window_bits.unwrap_or(15)),
            // Only a client that names this parameter can be held to it (section 7.1.2.2).
            client_max_window_bits: match offer.client_max_window_bits {
                Some(hint) => wish.client_max_window_bits.min(hint.unwrap_or(15)),
                None => 15,
            },
            level: wish.level,
        };
        let mut response = NAME.to_owned();
        if agreed.server_no_context_takeover {
            push(&mut response, SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if agreed.client_no_context_takeover {
            push(&mut response, CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if offer.server_max_window_bits.is_some() || agreed.server_max_window_bits < 15 {
            push(&mut response, SERVER_MAX_WINDOW_BITS, Some(agreed.server_max_window_bits));
        }
        if agreed.client_max_window_bits < 15 {
            push(&mut response, CLIENT_MAX_WINDOW_BITS, Some(agreed.client_max_window_bits));
        }
        Some((agreed, header_value(response)))
    }

    /// The client's offer, as the value of `Sec-WebSocket-Extensions` for the request.
    pub(crate) fn offer(&self) -> HeaderValue {
        let wish = self.clamped();
        let mut offer = NAME.to_owned();
        if wish.server_no_context_takeover {
            push(&mut offer, SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if wish.client_no_context_takeover {
            push(&mut offer, CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if wish.server_max_window_bits < 15 {
            push(&mut offer, SERVER_MAX_WINDOW_BITS, Some(wish.server_max_window_bits));
        }
        // Always named, so that the server may limit the window it must keep for us.
        push(&mut offer, CLIENT_MAX_WINDOW_BITS, Some(wish.client_max_window_bits).filter(|bits| *bits < 15));
        header_value(offer)
    }

    /// The client's reading of the response to its offer. `None` if the server agreed to something that was
    /// not offered, or that cannot be kept; the connection must then fail (section 7.1).
    pub(crate) fn agreed(&self, response: &Extension<'_>) -> Option<Compression> {
        let wish = self.clamped();
        let response = response.compression_offer()?;
        if wish.server_no_context_takeover && !response.server_no_context_takeover {
            return None;
        }
        let server_max_window_bits = match response.server_max_window_bits {
            Some(bits) if bits <= wish.server_max_window_bits => bits,
            None if wish.server_max_window_bits == 15 => 15,
            _ => return None,
        };
        let client_max_window_bits = match response.client_max_window_bits {
            // 8 bits are beyond zlib, as in `negotiate`.
            Some(Some(bits)) if WINDOW_BITS_OURS.contains(&bits) && bits <= wish.client_max_window_bits => {
                bits
            }
            None => wish.client_max_window_bits,
            _ => return None,
        };
        Some(Compression {
            server_no_context_takeover: response.server_no_context_takeover,
            client_no_context_takeover: wish.client_no_context_takeover
                || response.client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            level: wish.level,
        })
    }

    fn clamped(mut self) -> Self {
        for bits in [&mut self.server_max_window_bits, &mut self.client_max_window_bits] {
            *bits = (*bits).clamp(*WINDOW_BITS_OURS.start(), *WINDOW_BITS_OURS.end());
        }
        self.level = self.level.min(9);
        self
    }
}

/// What is wrong with [`CompressionOptions`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCompressionOptions {
    /// A window is out of range.
    #[error("compression window bits must be 9 to 15: 15 packs best, each bit less halves the memory")]
    WindowBits,
    /// The level is out of range.
    #[error("the compression level must be 0 to 9: 1 is fast, 9 is small")]
    Level,
}

/// One valid offer of permessage-deflate, with the parameters it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CompressionOffer {
    /// The server is asked to compress each message by itself.
    pub server_no_context_takeover: bool,
    /// The client says it will compress each message by itself.
    pub client_no_context_takeover: bool,
    /// The server is asked to use a window of at most this many bits, 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// The client can be asked to limit its window, and may say by itself to how many bits.
    pub client_max_window_bits: Option<Option<u8>>,
}

/// One element of `Sec-WebSocket-Extensions`: a name and its parameters.
pub(crate) struct Extension<'a> {
    pub(crate) name: &'a [u8],
    parameters: Vec<Parameter<'a>>,
}

struct Parameter<'a> {
    name: &'a [u8],
    value: Option<Cow<'a, [u8]>>,
}

impl Extension<'_> {
    /// The offer, or the response, this element makes of permessage-deflate.
    ///
    /// `None` for other extensions, and for one with an unknown parameter, one named twice or one with a bad
    /// value: a server declines such an offer (section 7.1), a client fails on such a response.
    pub(crate) fn compression_offer(&self) -> Option<CompressionOffer> {
        if self.name != NAME.as_bytes() {
            return None;
        }
        let mut offer = CompressionOffer::default();
        for Parameter { name, value } in &self.parameters {
            let value = value.as_deref();
            match std::str::from_utf8(name).ok()? {
                SERVER_NO_CONTEXT_TAKEOVER if value.is_none() && !offer.server_no_context_takeover => {
                    offer.server_no_context_takeover = true;
                }
                CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() && !offer.client_no_context_takeover => {
                    offer.client_no_context_takeover = true;
                }
                SERVER_MAX_WINDOW_BITS if offer.server_max_window_bits.is_none() => {
                    offer.server_max_window_bits = Some(window_bits(value?)?);
                }
                CLIENT_MAX_WINDOW_BITS if offer.client_max_window_bits.is_none() => {
                    offer.client_max_window_bits = Some(match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    });
                }
                _ => return None,
            }
        }
        Some(offer)
    }
}

/// 8 to 15, in decimal and without leading zeros (section 7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        b"8" => Some(8),
        b"9" => Some(9),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + (digit - b'0')),
        _ => None,
    }
}

/// Reads one line of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1); `None` if it does not follow the
/// grammar:
///
/// ```text
/// extension-list = extension *( "," extension )
/// extension      = token *( ";" token [ "=" ( token | quoted token ) ] )
/// ```
///
/// One pass, without going back, over a line that the HTTP server has bounded.
pub(crate) fn parse_extensions(line: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut line = Cursor { rest: line };
    let mut extensions = Vec::new();
    loop {
        // Empty elements are skipped, as in every list (RFC 9110 section 5.6.1.2).
        while line.eat(b',') {}
        if line.rest.is_empty() {
            break;
        }
        let name = line.token()?;
        let mut parameters = Vec::new();
        while line.eat(b';') {
            let name = line.token()?;
            let value = if line.eat(b'=') { Some(line.value()?) } else { None };
            parameters.push(Parameter { name, value });
        }
        extensions.push(Extension { name, parameters });
        if !line.rest.is_empty() && !line.eat(b',') {
            return None;
        }
    }
    // The grammar wants at least one.
    (!extensions.is_empty()).then_some(extensions)
}

/// What is left of a header line. White space is allowed between all elements and skipped before each.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let len = self.rest.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.skip_space();
        (!token.is_empty()).then_some(token)
    }

    /// A token, or a quoted string that is a token once its escapes are resolved.
    fn value(&mut self) -> Option<Cow<'a, [u8]>> {
        if !self.eat(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = Vec::new();
        loop {
            let [byte, rest @ ..] = self.rest else { return None };
            self.rest = rest;
            let byte = match byte {
                b'"' => break,
                b'\\' => {
                    let [escaped, rest @ ..] = self.rest else { return None };
                    self.rest = rest;
                    escaped
                }
                byte => byte,
            };
            if !is_token_byte(*byte) {
                return None;
            }
            value.push(*byte);
        }
        self.skip_space();
        (!value.is_empty()).then_some(Cow::Owned(value))
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

fn push(header: &mut String, name: &str, value: Option<u8>) {
    match value {
        Some(value) => write!(header, "; {name}={value}"),
        None => write!(header, "; {name}"),
    }
    .expect("a String takes any text");
}

fn header_value(header: String) -> HeaderValue {
    HeaderValue::try_from(header).expect("names and digits are visible ASCII")
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The windows for which streams can be made here.
const WINDOW_BITS_OURS: std::ops::RangeInclusive<u8> = 9..=15;
