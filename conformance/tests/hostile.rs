//! Clients that mean harm, over TCP: the right status or close code, bounded memory, and the next honest
//! client is served.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wirelark::testing::Host;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";

async fn host() -> Host {
    Host::tcp(conformance::app()).await
}

fn address(host: &Host) -> SocketAddr {
    host.address().expect("the host listens on TCP")
}

/// Sends bytes and returns the status line's code; `None` when the server hangs up without one.
async fn status(address: SocketAddr, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    let _ = stream.write_all(request).await;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await {
            Ok(Ok(read)) if read > 0 => head.extend_from_slice(&buffer[..read]),
            Ok(_) => break,
            Err(_) => {
                panic!("no answer to {:?}", String::from_utf8_lossy(&request[..request.len().min(200)]))
            }
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
}

async fn upgraded(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is read");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a response"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn served(host: &Host) {
    let mut honest = host.at("/bounded").connect().await;
    honest.send_text("served?").await;
    assert_eq!(honest.expect_text().await, "served?");
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..=125 => frame.push(0x80 | length as u8),
        length @ ..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Resident memory of this process, which hosts the server.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok()).unwrap_or(0) * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_handshakes_get_their_status() {
    let host = host().await;
    let get = "GET /echo HTTP/1.1\r\nHost: localhost\r\n";
    let cases: Vec<(&str, String, u16)> = vec![
        ("a good one", format!("{get}{UPGRADE}{KEY}\r\n"), 101),
        (
            "tokens in lists, in any case",
            format!(
                "{get}Upgrade: foo, WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}\r\n"
            ),
            101,
        ),
        ("POST", format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n"), 405),
        ("HEAD", format!("HEAD /echo HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n"), 405),
        ("plain GET", format!("{get}\r\n"), 400),
        ("no Upgrade", format!("{get}Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}\r\n"), 400),
        ("no Connection", format!("{get}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{KEY}\r\n"), 400),
        ("no key", format!("{get}{UPGRADE}\r\n"), 400),
        ("two keys", format!("{get}{UPGRADE}{KEY}{KEY}\r\n"), 400),
        ("short key", format!("{get}{UPGRADE}Sec-WebSocket-Key: c2hvcnQ=\r\n\r\n"), 400),
        ("key not base64", format!("{get}{UPGRADE}Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n\r\n"), 400),
        (
            "version 12",
            format!(
                "{get}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n{KEY}\r\n"
            ),
            426,
        ),
        ("no version", format!("{get}Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n"), 400),
        ("HTTP/1.0", format!("GET /echo HTTP/1.0\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n"), 400),
        ("unknown path", format!("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n"), 404),
        ("not HTTP", "\u{16}\u{3}\u{1} hello\r\n\r\n".to_owned(), 400),
        ("a bare line feed in a header", format!("{get}X: a\nb\r\n{UPGRADE}{KEY}\r\n"), 400),
        ("a folded header", format!("{get}X: a\r\n b\r\n{UPGRADE}{KEY}\r\n"), 400),
        ("NUL in a header", format!("{get}X: a\0b\r\n{UPGRADE}{KEY}\r\n"), 400),
        ("space before the colon", format!("{get}X : a\r\n{UPGRADE}{KEY}\r\n"), 400),
        ("two lengths", format!("{get}Content-Length: 1\r\nContent-Length: 2\r\n{UPGRADE}{KEY}\r\n"), 400),
        ("an upgrade with a body", format!("{get}{UPGRADE}{KEY}Content-Length: 4\r\n\r\nbody"), 400),
        (
            "an upgrade with chunks",
            format!("{get}{UPGRADE}{KEY}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "length and chunks",
            format!("{get}{UPGRADE}{KEY}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("2,000 headers", format!("{get}{}{UPGRADE}{KEY}\r\n", "X: y\r\n".repeat(2_000)), 431),
        ("a header of 1 MiB", format!("{get}X: {}\r\n{UPGRADE}{KEY}\r\n", "y".repeat(1 << 20)), 431),
        (
            "a path of 1 MiB",
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n", "y".repeat(1 << 20)),
            431,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, request, expected) in cases {
        let got = status(address(&host), request.as_bytes()).await;
        if got != Some(expected) {
            wrong.push(format!("{name}: expected {expected}, got {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    served(&host).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_not_ascii_are_refused_without_a_panic() {
    let host = host().await;
    for (name, expected) in
        [("Sec-WebSocket-Protocol", 400), ("Origin", 403), ("Sec-WebSocket-Extensions", 101)]
    {
        let mut request =
            format!("GET /echo HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}{name}: ").into_bytes();
        request.extend_from_slice(b"\xFF\xFE\r\n\r\n");
        let got = status(address(&host), &request).await;
        assert!(got == Some(expected) || got == Some(400), "{name}: {got:?}");
    }
    let mut request =
        b"GET /secure HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xFF\r\nCookie: token=\xFE\r\n"
            .to_vec();
    request.extend_from_slice(format!("{UPGRADE}{KEY}\r\n").as_bytes());
    assert_eq!(status(address(&host), &request).await, Some(401));
    served(&host).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_silent_handshakes_are_cut_at_ten_seconds() {
    let host = host().await;
    let start = Instant::now();
    let silent = TcpStream::connect(address(&host)).await.expect("the server accepts");
    let mut slow = TcpStream::connect(address(&host)).await.expect("the server accepts");
    let dribble = async {
        for byte in "GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".bytes().chain(std::iter::repeat(b'x'))
        {
            if slow.write_all(&[byte]).await.is_err() {
                return start.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        unreachable!("the bytes never end")
    };
    let silence = async {
        let mut silent = silent;
        let mut buffer = [0; 256];
        while !matches!(silent.read(&mut buffer).await, Ok(0) | Err(_)) {}
        start.elapsed()
    };
    let (slow, silent) = tokio::join!(dribble, silence);
    for (name, elapsed) in [("slow", slow), ("silent", silent)] {
        assert!((9..13).contains(&elapsed.as_secs()), "{name}: cut after {elapsed:?}");
    }
    served(&host).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_bounded() {
    let host = host().await;
    served(&host).await;
    let before = resident_bytes();

    // 200,000 empty fragments, then 200,000 of one byte.
    for payload in [&b""[..], b"x"] {
        let mut stream = upgraded(address(&host), "/bounded").await;
        stream.write_all(&masked(0x01, b"")).await.expect("the server reads");
        let flood = masked(0x00, payload).repeat(1_000);
        for _ in 0..200 {
            stream.write_all(&flood).await.expect("the server reads");
        }
        stream.write_all(&masked(0x80, b"!")).await.expect("the server reads");
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.expect("the message comes back");
        assert_eq!(head[0], 0x81);
    }

    // 100,000 pings from a client that never reads.
    let mut stream = upgraded(address(&host), "/bounded").await;
    let pings = masked(0x89, &[7; 125]).repeat(1_000);
    for _ in 0..100 {
        stream.write_all(&pings).await.expect("pings are read however slow the answers");
    }
    served(&host).await;
    assert!(host.hub().backlog_bytes() < 256 * 1024, "{} bytes of pongs wait", host.hub().backlog_bytes());
    drop(stream);

    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "memory grew by {grown} bytes");
    served(&host).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_client_that_never_reads_costs_its_outbox_and_no_more() {
    let host = host().await;
    served(&host).await;
    let before = resident_bytes();
    let mut stream = upgraded(address(&host), "/bounded").await;
    let message = masked(0x82, &vec![1; 60_000]);
    let mut sent = 0;
    // 200 MiB of echoes, none of them read.
    while sent < 200 << 20 {
        match tokio::time::timeout(Duration::from_secs(3), stream.write_all(&message)).await {
            Ok(Ok(())) => sent += message.len(),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < (1 << 20) + 64 * 1024 + (2 << 20), "memory grew by {grown} bytes");
    let cut = [("route", "/bounded"), ("outcome", "close")];
    assert_eq!(host.counter("websocket.backpressure.total", &cut), 1);
    served(&host).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decompression_bomb_is_cut_at_the_limit() {
    use wirelark::{App, CompressionOptions, Options, Socket};
    async fn sink(mut socket: Socket) {
        while socket.recv().await.is_some() {}
    }
    let options = Options::new().message_bytes(1 << 20).compression(CompressionOptions::default());
    let host = Host::tcp(App::new().options(options).socket("/", sink)).await;
    let mut client = host
        .at("/")
        .compression(CompressionOptions::default())
        .timeout(Duration::from_secs(20))
        .connect()
        .await;
    let before = resident_bytes();
    // 64 MiB of zeros are some 64 KB on the wire.
    client.send_bytes(vec![0; 64 << 20]).await;
    client.expect_close(1009).await;
    let grown = resident_bytes().saturating_sub(before);
    // The client's own copy of the zeros is in this process too.
    assert!(grown < (64 << 20) + (8 << 20), "memory grew by {grown} bytes");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_thousand_half_handshakes_delay_nobody() {
    let host = host().await;
    let mut halves = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(address(&host)).await.expect("the server accepts");
        stream.write_all(b"GET /echo HTTP/1.1\r\nHost: loc").await.expect("the server reads");
        halves.push(stream);
    }
    let start = Instant::now();
    served(&host).await;
    assert!(start.elapsed() < Duration::from_secs(2), "an honest client waited {:?}", start.elapsed());
    host.close().await;
}
