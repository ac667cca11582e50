//! Heads of requests and responses. The first byte chooses the side and the set-up, the rest is the head.

#![no_main]

#[path = "../../crates/wirelark-proto/tests/support/mod.rs"]
mod support;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use support::Cuts;
use wirelark_proto::{
    CompressionOptions,
    handshake::{
        client::{BODY_BYTES_MAX, Handshake, HandshakeError, Request},
        server::{Offer, validate},
    },
};

fuzz_target!(|data: &[u8]| {
    let Some((first, head)) = data.split_first() else { return };
    let options = CompressionOptions {
        server_no_context_takeover: first & 2 != 0,
        client_no_context_takeover: first & 4 != 0,
        server_max_window_bits: if first & 8 == 0 { 15 } else { 10 },
        client_max_window_bits: if first & 16 == 0 { 15 } else { 11 },
        level: 1,
    };
    if first & 1 == 0 {
        request(head, options);
    } else {
        response(head, (first & 32 != 0).then_some(options), u64::from(*first));
    }
});

fn request(head: &[u8], options: CompressionOptions) {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut lines);
    if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
        return;
    }
    let Ok(method) = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()) else { return };
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut headers = HeaderMap::new();
    for line in parsed.headers.iter() {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(line.name.as_bytes()), HeaderValue::from_bytes(line.value))
        else {
            return;
        };
        headers.append(name, value);
    }
    match validate(&method, version, &headers) {
        Ok(offer) => accepted(&offer, options),
        Err(refusal) => {
            assert!(matches!(refusal.status().as_u16(), 400 | 405 | 426));
            assert!(!refusal.message().is_empty());
        }
    }
}

/// What is accepted can be answered, and the answer is one that a client takes.
fn accepted(offer: &Offer, options: CompressionOptions) {
    assert_eq!(offer.accept.len(), 28);
    let protocols: Vec<_> = offer.protocols().collect();
    let selected = offer.select_protocol(&protocols);
    assert_eq!(selected, protocols.first().copied());
    let agreed = offer.negotiate(&options);
    let extensions = agreed.as_ref().map(|(_, header)| header.clone());
    offer.response_headers(selected, extensions).expect("the protocol was offered");
    let Some((agreed, header)) = agreed else { return };
    assert!(
        (9..=15).contains(&agreed.server_max_window_bits)
            && (8..=15).contains(&agreed.client_max_window_bits)
    );
    assert!(agreed.server_no_context_takeover >= options.server_no_context_takeover);
    assert!(agreed.client_no_context_takeover >= options.client_no_context_takeover);
    // The answer follows the grammar and names each parameter once: as a request it would be one valid offer.
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("sec-websocket-extensions", header);
    assert_eq!(validate(&Method::GET, Version::HTTP_11, &headers).expect("valid").compression().len(), 1);
}

fn response(head: &[u8], compression: Option<CompressionOptions>, seed: u64) {
    let outcome = |cuts: Cuts| {
        let mut request = Request::new("example.com", "/", *b"the sample nonce");
        request.protocols = vec!["v2".to_owned(), "v1".to_owned()];
        request.compression = compression;
        let (mut handshake, _) = Handshake::start(request).expect("the request is valid");
        for piece in cuts.split(head) {
            match handshake.receive(piece) {
                Ok(None) => {}
                Ok(Some(connected)) => return Ok((connected.protocol, connected.compression)),
                // Without a length a body ends with the read, so only its status is comparable.
                Err(HandshakeError::Refused(refused)) => {
                    assert!(refused.body.len() <= BODY_BYTES_MAX);
                    return Err(format!("refused {}", refused.status));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(match handshake.handle_eof() {
            HandshakeError::Refused(refused) => format!("refused {}", refused.status),
            error => error.to_string(),
        })
    };
    let whole = outcome(Cuts::Whole);
    assert_eq!(outcome(Cuts::Every(1)), whole);
    assert_eq!(outcome(Cuts::Random(seed)), whole);
    if let Ok((protocol, agreed)) = whole {
        assert!(protocol.is_none_or(|protocol| protocol == "v1" || protocol == "v2"));
        assert!(agreed.is_none() || compression.is_some());
    }
}
