//! The client's side of the handshake: the request to the byte, and the response in pieces.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use wirelark_proto::{
    Compression, CompressionOptions,
    handshake::{
        client::{
            BODY_BYTES_MAX, Connected, HEAD_BYTES_MAX, Handshake, HandshakeError, InvalidRequest, Request,
        },
        server,
    },
};

fn request() -> Request {
    Request::new("server.example.com:81", "/chat?room=1", *b"the sample nonce")
}

fn with_protocols(protocols: &[&str]) -> Request {
    Request { protocols: protocols.iter().map(ToString::to_string).collect(), ..request() }
}

fn with_compression(compression: CompressionOptions) -> Request {
    Request { compression: Some(compression), ..request() }
}

/// The head of a good response, with these lines added.
fn good(lines: &[&str]) -> String {
    let mut head = String::from(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    );
    for line in lines {
        head += &format!("{line}\r\n");
    }
    head + "\r\n"
}

/// Feeds a response whole, in two pieces at every cut, and byte by byte: all must agree.
fn receive(request: &Request, response: &[u8]) -> Result<Option<Connected>, HandshakeError> {
    let feed = |pieces: &[&[u8]]| {
        let (mut handshake, _) = Handshake::start(request.clone()).unwrap();
        for (index, piece) in pieces.iter().enumerate() {
            match handshake.receive(piece)? {
                None => {}
                Some(mut connected) => {
                    connected.rest = [&connected.rest[..], &pieces[index + 1..].concat()].concat().into();
                    return Ok(Some(connected));
                }
            }
        }
        Ok(None)
    };
    let show = |outcome: &Result<Option<Connected>, HandshakeError>| match outcome {
        // Without a length, a body ends where the read did.
        Err(HandshakeError::Refused(refused)) => format!("refused {}", refused.status),
        outcome => format!("{outcome:?}"),
    };
    let whole = feed(&[response]);
    let bytes: Vec<&[u8]> = response.chunks(1).collect();
    assert_eq!(show(&feed(&bytes)), show(&whole), "byte by byte");
    for at in 0..response.len().min(600) {
        let (first, second) = response.split_at(at);
        assert_eq!(show(&feed(&[first, second])), show(&whole), "cut at {at}");
    }
    whole
}

fn connects(request: &Request, response: &str) -> Connected {
    receive(request, response.as_bytes()).unwrap().expect("the response is complete")
}

fn fails(request: &Request, response: &str, why: &str) {
    let error = receive(request, response.as_bytes()).expect_err(response);
    assert!(error.to_string().contains(why), "{error} for {response}");
}

#[test]
fn the_request_is_written_to_the_byte() {
    let (_, bytes) = Handshake::start(request()).unwrap();
    let expected = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com:81\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);

    let mut full = with_protocols(&["v2", "v1"]);
    full.headers.insert("authorization", HeaderValue::from_static("Bearer x"));
    full.headers.append("cookie", HeaderValue::from_static("a=b"));
    full.compression = Some(CompressionOptions::default());
    let (_, bytes) = Handshake::start(full).unwrap();
    let lines = "Sec-WebSocket-Protocol: v2, v1\r\nSec-WebSocket-Extensions: permessage-deflate; \
                 server_no_context_takeover; client_no_context_takeover; client_max_window_bits\r\n\
                 authorization: Bearer x\r\ncookie: a=b\r\n\r\n";
    assert!(String::from_utf8(bytes).unwrap().ends_with(lines));
}

#[test]
fn nothing_can_smuggle_a_header_into_the_request() {
    let refused = |request: Request, error| {
        assert_eq!(Handshake::start(request.clone()).map(|_| ()), Err(error), "{request:?}");
    };
    for host in ["", "a b", "a\r\nX: y", "a\n", "é"] {
        refused(Request { host: host.to_owned(), ..request() }, InvalidRequest::Host);
    }
    for path in ["", "chat", "/a b", "/a HTTP/1.1\r\nX: y", "/a\n", "/é", "/a#b", "*"] {
        refused(Request { path: path.to_owned(), ..request() }, InvalidRequest::Path);
    }
    for protocols in [&["a b"][..], &[""], &["a\r\nX: y"], &["a,b"], &["a", "a"]] {
        refused(with_protocols(protocols), InvalidRequest::Protocol);
    }
    for name in ["host", "connection", "sec-websocket-key", "sec-websocket-extensions", "upgrade"] {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static("x"))]);
        refused(Request { headers, ..request() }, InvalidRequest::ReservedHeader);
    }
}

#[test]
fn a_good_response_connects_and_hands_over_what_follows() {
    let connected = connects(&request(), &good(&["X-Node: 7"]));
    assert_eq!((connected.protocol, connected.compression), (None, None));
    assert_eq!(connected.headers["x-node"], "7");
    assert_eq!(connected.rest, "");
    let connected = connects(&request(), &(good(&[]) + "\u{1}\r\n\r\nframes"));
    assert_eq!(connected.rest, "\u{1}\r\n\r\nframes");
    // Bare line feeds end lines too.
    connects(&request(), &good(&[]).replace("\r\n", "\n"));
    connects(&request(), &good(&[]).replace("Upgrade: websocket", "upgrade: WebSocket"));
}

#[test]
fn incomplete_responses_ask_for_more() {
    let response = good(&[]);
    for len in 0..response.len() {
        let (mut handshake, _) = Handshake::start(request()).unwrap();
        assert!(matches!(handshake.receive(&response.as_bytes()[..len]), Ok(None)), "{len}");
        assert_eq!(handshake.handle_eof(), HandshakeError::Eof);
        assert!(matches!(handshake.receive(response.as_bytes()), Ok(None)), "the outcome is final");
    }
}

#[test]
fn a_101_must_prove_that_the_key_was_read() {
    let without = |line: &str| good(&[]).replace(line, "");
    fails(&request(), &without("Upgrade: websocket\r\n"), "upgrade");
    fails(&request(), &good(&[]).replace("websocket", "h2c"), "upgrade");
    fails(&request(), &without("Connection: Upgrade\r\n"), "Connection");
    fails(&request(), &without("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "Accept");
    fails(&request(), &good(&[]).replace("s3pP", "S3pP"), "Accept");
    fails(&request(), &good(&["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]), "Accept");
}

#[test]
fn the_selected_subprotocol_was_offered() {
    let offered = with_protocols(&["v2", "v1"]);
    assert_eq!(connects(&offered, &good(&["Sec-WebSocket-Protocol: v1"])).protocol.as_deref(), Some("v1"));
    assert_eq!(connects(&offered, &good(&[])).protocol, None);
    for lines in [
        &["Sec-WebSocket-Protocol: v3"][..],
        &["Sec-WebSocket-Protocol: V1"],
        &["Sec-WebSocket-Protocol: v1, v2"],
        &["Sec-WebSocket-Protocol:"],
        &["Sec-WebSocket-Protocol: v1", "Sec-WebSocket-Protocol: v1"],
    ] {
        fails(&offered, &good(lines), "subprotocol");
    }
    fails(&request(), &good(&["Sec-WebSocket-Protocol: v1"]), "subprotocol");
}

#[test]
fn the_agreed_compression_was_offered() {
    let free = CompressionOptions {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..CompressionOptions::default()
    };
    let small = CompressionOptions { server_max_window_bits: 10, client_max_window_bits: 11, ..free };
    let agrees = |options, answer: &str, expected: Option<(bool, bool, u8, u8)>| {
        let response = good(&[&format!("Sec-WebSocket-Extensions: {answer}")]);
        match (receive(&with_compression(options), response.as_bytes()), expected) {
            (Ok(Some(connected)), Some((server, client, server_bits, client_bits))) => {
                let expected = Compression {
                    server_no_context_takeover: server,
                    client_no_context_takeover: client,
                    server_max_window_bits: server_bits,
                    client_max_window_bits: client_bits,
                    level: options.level,
                };
                assert_eq!(connected.compression, Some(expected), "{answer}");
            }
            (Err(HandshakeError::BadResponse(_)), None) => {}
            (outcome, expected) => panic!("{answer}: {outcome:?}, not {expected:?}"),
        }
    };
    agrees(free, "permessage-deflate", Some((false, false, 15, 15)));
    agrees(free, "permessage-deflate; server_no_context_takeover", Some((true, false, 15, 15)));
    agrees(free, "permessage-deflate; client_no_context_takeover", Some((false, true, 15, 15)));
    agrees(free, "permessage-deflate; server_max_window_bits=8", Some((false, false, 8, 15)));
    agrees(free, "permessage-deflate; client_max_window_bits=9", Some((false, false, 15, 9)));
    agrees(small, "permessage-deflate; server_max_window_bits=9", Some((false, false, 9, 11)));
    agrees(
        small,
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=\"10\"",
        Some((false, false, 10, 10)),
    );
    // Our own promise not to keep a context needs no echo.
    let keeps_none = CompressionOptions { client_no_context_takeover: true, ..free };
    agrees(keeps_none, "permessage-deflate", Some((false, true, 15, 15)));

    // What was asked of the server must be granted, what was not offered must not be taken.
    agrees(CompressionOptions::default(), "permessage-deflate", None);
    agrees(small, "permessage-deflate", None);
    agrees(small, "permessage-deflate; server_max_window_bits=11", None);
    agrees(small, "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12", None);
    agrees(free, "permessage-deflate; client_max_window_bits", None);
    agrees(free, "permessage-deflate; client_max_window_bits=8", None);
    agrees(free, "permessage-deflate; unknown", None);
    agrees(free, "permessage-deflate, permessage-deflate", None);
    agrees(free, "x-other", None);
    agrees(free, "", None);
    let response = good(&["Sec-WebSocket-Extensions: permessage-deflate"]);
    fails(&request(), &response, "extensions");
    let twice = good(&["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: foo"]);
    fails(&with_compression(free), &twice, "extensions");
    assert_eq!(connects(&with_compression(free), &good(&[])).compression, None);
}

#[test]
fn a_refusal_has_its_status_headers_and_body() {
    let refused = |response: &str| {
        let (mut handshake, _) = Handshake::start(request()).unwrap();
        match handshake.receive(response.as_bytes()) {
            Err(HandshakeError::Refused(refused)) => *refused,
            other => panic!("{other:?}"),
        }
    };
    let refusal =
        refused("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 7\r\n\r\nsign in");
    assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refusal.headers["www-authenticate"], "Bearer");
    assert_eq!(refusal.body, b"sign in");
    assert_eq!(
        refused("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n").headers["location"],
        "/b"
    );
    assert_eq!(refused("HTTP/1.1 200 OK\r\n\r\n<html>").body, b"<html>");
    assert_eq!(refused("HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nabcdef").body, b"abc");
    let long = "x".repeat(10_000);
    let refusal = refused(&format!("HTTP/1.1 500 Oops\r\nContent-Length: 10000\r\n\r\n{long}"));
    assert_eq!(refusal.body.len(), BODY_BYTES_MAX);
    assert_eq!(refused("HTTP/1.1 500 Oops\r\nContent-Length: 99999999999999999999\r\n\r\nab").body, b"ab");
}

#[test]
fn a_refusals_body_may_arrive_late_or_never() {
    let head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\n";
    let (mut handshake, _) = Handshake::start(request()).unwrap();
    assert!(matches!(handshake.receive(head), Ok(None)));
    assert!(matches!(handshake.receive(b"no"), Ok(None)));
    let Err(HandshakeError::Refused(refused)) = handshake.receive(b"pe, never") else {
        panic!("not refused")
    };
    assert_eq!(refused.body, b"nope,");

    let (mut handshake, _) = Handshake::start(request()).unwrap();
    assert!(matches!(handshake.receive(head), Ok(None)));
    assert!(matches!(handshake.receive(b"no"), Ok(None)));
    let HandshakeError::Refused(refused) = handshake.handle_eof() else { panic!("not refused") };
    assert_eq!((refused.status, &refused.body[..]), (StatusCode::FORBIDDEN, &b"no"[..]));
}

#[test]
fn what_is_not_http_1_1_is_refused() {
    for response in [
        "HTTP/1.0 101 Switching Protocols\r\n\r\n",
        "HTTP/2 101\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "\u{0}\u{1}\r\n\r\n",
        "HTTP/1.1 1x1 No\r\n\r\n",
        "HTTP/1.1 101 ok\r\nbad header\r\n\r\n",
        "HTTP/1.1 101 ok\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 099 low\r\n\r\n",
    ] {
        fails(&request(), response, "HTTP/1.1");
    }
}

#[test]
fn the_responses_head_is_bounded() {
    let (mut handshake, _) = Handshake::start(request()).unwrap();
    assert!(matches!(handshake.receive(&vec![b'a'; HEAD_BYTES_MAX]), Ok(None)));
    assert!(matches!(handshake.receive(b"a"), Err(HandshakeError::HeadTooLarge)));

    let padded = |len: usize| good(&[&format!("X: {}", "y".repeat(len))]);
    let exact = HEAD_BYTES_MAX - padded(0).len();
    let receive = |response: String| {
        let (mut handshake, _) = Handshake::start(request()).unwrap();
        handshake.receive(response.as_bytes())
    };
    assert!(matches!(receive(padded(exact)), Ok(Some(_))));
    assert!(matches!(receive(padded(exact + 1)), Err(HandshakeError::HeadTooLarge)));
    // Frames behind the head do not count.
    assert_eq!(receive(padded(exact) + &"f".repeat(50_000)).unwrap().unwrap().rest.len(), 50_000);
    assert!(matches!(receive(good(&["X: y"; 97])), Ok(Some(_))));
    assert!(matches!(receive(good(&["X: y"; 98])), Err(HandshakeError::HeadTooLarge)));
}

#[test]
fn client_and_server_agree() {
    for options in [
        CompressionOptions::default(),
        CompressionOptions {
            server_no_context_takeover: false,
            client_max_window_bits: 9,
            ..Default::default()
        },
        CompressionOptions {
            client_no_context_takeover: false,
            server_max_window_bits: 12,
            ..Default::default()
        },
    ] {
        let asked = Request { protocols: vec!["v1".to_owned()], ..with_compression(options) };
        let (mut handshake, bytes) = Handshake::start(asked).unwrap();

        let mut lines = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut lines);
        assert!(parsed.parse(&bytes).unwrap().is_complete());
        let headers = parsed
            .headers
            .iter()
            .map(|line| (line.name.parse().unwrap(), HeaderValue::from_bytes(line.value).unwrap()));
        let offer = server::validate(&Method::GET, Version::HTTP_11, &headers.collect()).unwrap();
        let (server_side, extensions) = offer.negotiate(&CompressionOptions::default()).unwrap();
        let answer = offer.response_headers(offer.select_protocol(&["v1"]), Some(extensions)).unwrap();

        let mut response = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        for (name, value) in &answer {
            response.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        response.extend(b"\r\n");
        let connected = handshake.receive(&response).unwrap().unwrap();
        assert_eq!(connected.compression, Some(server_side), "{options:?}");
        assert_eq!(connected.protocol.as_deref(), Some("v1"));
    }
}
