//! The server's side of the handshake, as tables: a good request, and what happens when one thing about it
//! changes.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use wirelark_proto::{
    CompressionOffer, CompressionOptions,
    handshake::server::{Offer, ProtocolNotOffered, Refusal, select_protocol, validate},
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The request of RFC 6455 section 1.3, without its subprotocols.
fn good() -> HeaderMap {
    headers(&[
        ("host", "server.example.com"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", KEY),
        ("origin", "http://example.com"),
        ("sec-websocket-version", "13"),
    ])
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), bytes(value.as_bytes()))).collect()
}

fn bytes(value: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(value).unwrap()
}

/// The good request with the lines of one header replaced.
fn with(name: &str, lines: &[&[u8]]) -> HeaderMap {
    let mut headers = good();
    let name: HeaderName = name.parse().unwrap();
    headers.remove(&name);
    for line in lines {
        headers.append(&name, bytes(line));
    }
    headers
}

fn get(headers: &HeaderMap) -> Result<Offer, Refusal> {
    validate(&Method::GET, Version::HTTP_11, headers)
}

fn accepts(name: &str, lines: &[&[u8]]) -> Offer {
    get(&with(name, lines)).unwrap_or_else(|refusal| panic!("{name} {lines:?}: {refusal}"))
}

fn refuses(name: &str, lines: &[&[u8]]) -> Refusal {
    let refusal = get(&with(name, lines)).expect_err(name);
    assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{name} {lines:?}");
    assert!(refusal.headers().is_empty());
    assert_eq!(refusal.to_string(), refusal.message());
    refusal
}

#[test]
fn the_specifications_request_is_accepted() {
    let offer = get(&good()).unwrap();
    assert_eq!(offer.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(offer.protocols().count(), 0);
    assert!(offer.compression().is_empty());
}

#[test]
fn other_methods_are_refused_with_405() {
    for method in
        [Method::POST, Method::HEAD, Method::OPTIONS, Method::CONNECT, Method::from_bytes(b"get").unwrap()]
    {
        let refusal = validate(&method, Version::HTTP_11, &good()).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(refusal.headers()[header::ALLOW], "GET");
    }
}

#[test]
fn other_versions_of_http_are_refused() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        let refusal = validate(&Method::GET, version, &good()).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{version:?}");
        assert!(refusal.message().contains("HTTP/1.1"));
    }
}

#[test]
fn upgrade_and_connection_are_lists_in_any_case() {
    for lines in [
        &[&b"websocket"[..]][..],
        &[b"WebSocket"],
        &[b" websocket\t"],
        &[b"h2c, WEBSOCKET"],
        &[b"h2c", b"websocket"],
        &[b",, websocket ,"],
    ] {
        accepts("upgrade", lines);
    }
    for lines in
        [&[][..], &[&b""[..]], &[b"websockets"], &[b"web socket"], &[b"h2c"], &[b"\"websocket\""], &[b"\xff"]]
    {
        assert!(refuses("upgrade", lines).message().contains("Upgrade: websocket"));
    }
    for lines in [&[&b"upgrade"[..]][..], &[b"keep-alive, Upgrade"], &[b"keep-alive", b"UPGRADE"]] {
        accepts("connection", lines);
    }
    for lines in [&[][..], &[&b"keep-alive"[..]], &[b"upgraded"], &[b"close\xe9upgrade"]] {
        assert!(refuses("connection", lines).message().contains("Connection: Upgrade"));
    }
}

#[test]
fn another_version_is_answered_with_ours() {
    for version in ["12", "8", "14", "013", "13.0", "", "thirteen", "13, 8", "-13"] {
        let refusal = get(&with("sec-websocket-version", &[version.as_bytes()])).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::UPGRADE_REQUIRED, "{version}");
        assert_eq!(refusal.headers()[header::SEC_WEBSOCKET_VERSION], "13");
        assert_eq!(refusal.headers()[header::UPGRADE], "websocket");
    }
    refuses("sec-websocket-version", &[]);
    refuses("sec-websocket-version", &[b"13", b"13"]);
    accepts("sec-websocket-version", &[b" 13 "]);
}

#[test]
fn the_key_is_sixteen_bytes_of_base64() {
    // The specification's own example has bits in its last character that belong to no byte.
    accepts("sec-websocket-key", &[b"AQIDBAUGBwgJCgsMDQ4PEC=="]);
    assert_eq!(
        accepts("sec-websocket-key", &[b"x3JJHMbDL1EzLkh9GBhXDw=="]).accept,
        "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    );
    for key in [
        &b""[..],
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"dGhlIHNhbXBsZSBub25jZQ=",
        b"dGhlIHNhbXBsZSBub25jZQ===",
        b"dGhlIHNhbXBsZSBub25jZTE=",
        b"dGhlIHNhbXBsZSBub25j",
        b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        b"dGhlIHNhbXBsZS-ub25jZQ==",
        b"dGhlIHNh XBsZSBub25jZQ==",
        b"\xe9GhlIHNhbXBsZSBub25jZQ==",
        &[b'A'; 8000],
    ] {
        assert!(refuses("sec-websocket-key", &[key]).message().contains("16 bytes"));
    }
    refuses("sec-websocket-key", &[]);
    refuses("sec-websocket-key", &[KEY.as_bytes(), KEY.as_bytes()]);
}

#[test]
fn subprotocols_are_listed_once_each_in_the_clients_order() {
    let check = |lines: &[&[u8]], expected: &[&str]| {
        let offer = accepts("sec-websocket-protocol", lines);
        assert_eq!(offer.protocols().collect::<Vec<_>>(), expected, "{lines:?}");
    };
    check(&[b"chat"], &["chat"]);
    check(&[b"chat, superchat"], &["chat", "superchat"]);
    check(&[b"b,a", b"c"], &["b", "a", "c"]);
    check(&[b" ,chat,, "], &["chat"]);
    check(&[b"Chat, chat"], &["Chat", "chat"]);
    check(&[b"bearer.eyJhbGciOiJIUzI1NiJ9.e30.x_Y-z"], &["bearer.eyJhbGciOiJIUzI1NiJ9.e30.x_Y-z"]);
    check(&[b"!#$%&'*+-.^_`|~09azAZ"], &["!#$%&'*+-.^_`|~09azAZ"]);
    let most = (0..64).map(|n| format!("p{n}")).collect::<Vec<_>>();
    assert_eq!(accepts("sec-websocket-protocol", &[most.join(",").as_bytes()]).protocols().count(), 64);

    let refused = |lines: &[&[u8]], why: &str| {
        let refusal = refuses("sec-websocket-protocol", lines);
        assert!(refusal.message().contains(why), "{lines:?}: {refusal}");
    };
    refused(&[b"chat", b"chat"], "twice");
    refused(&[b"chat, superchat, chat"], "twice");
    refused(&[b""], "empty");
    refused(&[b" , "], "empty");
    for bad in
        [&b"two words"[..], b"caf\xc3\xa9", b"\xff\xfe", b"a/b", b"\"chat\"", b"a;b", b"a=b", b"ok, (no)"]
    {
        refused(&[bad], "tokens");
    }
    refused(&[format!("{},p64", most.join(",")).as_bytes()], "too many");
}

#[test]
fn the_clients_order_decides_which_subprotocol_is_selected() {
    let check = |offered: &[&str], allowed: &[&str], expected: Option<&str>| {
        assert_eq!(select_protocol(offered.iter().copied(), allowed), expected, "{offered:?} of {allowed:?}");
    };
    check(&["a", "b"], &["b", "a"], Some("a"));
    check(&["x", "b"], &["a", "b"], Some("b"));
    check(&["A"], &["a"], None);
    check(&["a"], &[], None);
    check(&[], &["a"], None);
    let offer = accepts("sec-websocket-protocol", &[b"v2, v1"]);
    assert_eq!(offer.select_protocol(&["v1".to_owned(), "v2".to_owned()]), Some("v2"));
}

#[test]
fn offers_of_compression_are_read() {
    let none = CompressionOffer::default();
    let check = |lines: &[&[u8]], expected: &[CompressionOffer]| {
        assert_eq!(accepts("sec-websocket-extensions", lines).compression(), expected, "{lines:?}");
    };
    check(&[b"permessage-deflate"], &[none]);
    check(
        &[b"permessage-deflate; client_max_window_bits"],
        &[CompressionOffer { client_max_window_bits: Some(None), ..none }],
    );
    check(
        &[b"permessage-deflate;server_no_context_takeover;client_no_context_takeover;server_max_window_bits=10;client_max_window_bits=\"12\""],
        &[CompressionOffer {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: Some(Some(12)),
        }],
    );
    check(
        &[b" permessage-deflate ; server_max_window_bits = \"1\\0\" "],
        &[CompressionOffer { server_max_window_bits: Some(10), ..none }],
    );
    // Several offers, on one line or more; unknown extensions are skipped.
    check(
        &[
            b"x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, foo; bar=\"baz\"; qux",
            b"permessage-deflate",
        ],
        &[CompressionOffer { server_max_window_bits: Some(8), ..none }, none],
    );
    check(&[b"permessage-bzip2; client_max_window_bits=99", b"Permessage-Deflate"], &[]);
    // A bad offer is skipped, the one behind it counts.
    for bad in [
        "server_no_context_takeover=true",
        "client_no_context_takeover=1",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=\"015\"",
        "client_max_window_bits=0",
        "client_max_window_bits=1000000000000000000000",
        "client_max_window_bits=x",
        "client_max_window_bits; client_max_window_bits",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "unknown",
        "Server_No_Context_Takeover",
    ] {
        check(&[format!("permessage-deflate; {bad}").as_bytes()], &[]);
        check(&[format!("permessage-deflate; {bad}, permessage-deflate").as_bytes()], &[none]);
    }
    // More offers than anybody makes are not collected.
    check(&[["permessage-deflate"; 500].join(",").as_bytes()], &[none; 8]);
}

#[test]
fn extensions_that_break_the_grammar_are_refused() {
    for bad in [
        &b""[..],
        b" , ",
        b";",
        b"permessage-deflate;",
        b"permessage-deflate; =10",
        b"permessage-deflate; server_max_window_bits=",
        b"permessage-deflate; server_max_window_bits=\"10",
        b"permessage-deflate; server_max_window_bits=\"\"",
        b"permessage-deflate; server_max_window_bits=\"1 0\"",
        b"permessage-deflate; server_max_window_bits=\"10\\",
        b"permessage-deflate; server_max_window_bits=\"10\"x",
        b"permessage deflate",
        b"permessage-deflate=1",
        b"a, b; c d",
        b"caf\xc3\xa9",
        b"\xff",
    ] {
        assert!(refuses("sec-websocket-extensions", &[bad]).message().contains("grammar"));
    }
}

#[test]
fn hostile_headers_are_judged_in_linear_time() {
    let long = 1 << 20;
    let started = std::time::Instant::now();
    let _ = accepts("sec-websocket-extensions", &[&[b"a".repeat(long / 2), b" ".repeat(long / 2)].concat()]);
    for unit in [&b" "[..], b"\"", b";", b",", b"a;", b"a;b=\"", b"\\\"", b"a=", b"\t,"] {
        let line = unit.repeat(long / unit.len());
        for prefix in [&b""[..], b"a;b=\"", b"permessage-deflate; "] {
            let _ = get(&with("sec-websocket-extensions", &[&[prefix, &line].concat()]));
            let _ = get(&with("sec-websocket-protocol", &[&[prefix, &line].concat()]));
            let _ = get(&with("upgrade", &[&[prefix, &line].concat()]));
        }
    }
    // Quadratic time would be minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn the_response_names_what_was_agreed() {
    let mut request = good();
    request.insert("sec-websocket-protocol", HeaderValue::from_static("v1, v2"));
    request.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
    let offer = get(&request).unwrap();
    let plain = offer.response_headers(None, None).unwrap();
    assert_eq!(
        plain,
        headers(&[
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ])
    );
    let (agreed, extensions) = offer.negotiate(&CompressionOptions::default()).unwrap();
    assert!(agreed.server_no_context_takeover);
    let full = offer.response_headers(Some("v2"), Some(extensions.clone())).unwrap();
    assert_eq!(full[header::SEC_WEBSOCKET_PROTOCOL], "v2");
    assert_eq!(full[header::SEC_WEBSOCKET_EXTENSIONS], extensions);
    assert_eq!(offer.response_headers(Some("v3"), None), Err(ProtocolNotOffered));
}
