//! A generator that believes a server measures nothing. Each of these servers does one thing wrong.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bench_load::cases::{Generator, Window, echo, fan_out, handshake};
use bench_load::connection::Target;
use bench_load::dialect::Dialect;
use bench_load::message::{Template, Text};
use bench_load::process::Process;

/// What a server does with a burst of two whole frames before it sends the bytes back.
type Treatment = fn(&mut Vec<u8>);

#[test]
fn an_honest_echo_is_counted() {
    let rate = echo_against(|_| {}, ACCEPT).unwrap();
    assert!(rate.count > 0 && rate.seconds >= 0.05);
}

#[test]
fn a_wrong_echo_is_an_error() {
    let check = |treatment: Treatment, complaint: &str| {
        let error = format!("{:#}", echo_against(treatment, ACCEPT).unwrap_err());
        assert!(error.contains(complaint), "{error}");
    };
    check(|burst| burst[FRAME_BYTES - 1] ^= 1, "differs from what was due");
    check(|burst| burst[2] = b'z', "stamp is damaged");
    check(|burst| burst.rotate_left(FRAME_BYTES), "was due");
    check(|burst| burst.extend_from_within(..FRAME_BYTES), "was due");
    check(|burst| drop(burst.drain(..FRAME_BYTES)), "was due");
    check(|burst| burst[0] = 0x82, "came as Binary");
    check(|burst| burst[0] = 0xC1, "reserved");
    check(|burst| burst.splice(.., [0x88, 0]).for_each(drop), "close frame");
    check(Vec::clear, "closed a connection");
}

#[test]
fn a_wrong_upgrade_is_an_error() {
    let head = ACCEPT.replace("K+xOo=", "K+xOO=");
    assert!(echo_against(|_| {}, &head).is_err());
    assert!(echo_against(|_| {}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err());
}

#[test]
fn a_delivery_that_nobody_published_is_an_error() {
    // Alone in the room, the publisher is its only subscriber: an echo is an honest fan-out.
    let template = Template::new(Dialect::Floor, 64, Text::Ascii).unwrap();
    fan_out::run(&mut generator(serve(|_| {}, ACCEPT)), 1, 2, &template).unwrap();
    let twice = serve(|burst| burst.extend_from_within(..), ACCEPT);
    assert!(fan_out::run(&mut generator(twice), 1, 2, &template).is_err());
}

#[test]
fn handshakes_are_counted() {
    assert!(handshake::run(&mut generator(serve(|_| {}, ACCEPT)), 4).unwrap().count > 0);
}

fn echo_against(treatment: Treatment, head: &str) -> anyhow::Result<bench_load::report::Rate> {
    let template = Template::new(Dialect::Floor, FRAME_BYTES - 2, Text::Ascii)?;
    echo::run(&mut generator(serve(treatment, head)), 1, 2, &template)
}

fn generator(address: SocketAddr) -> Generator {
    let target =
        Target { address, path: "/echo".to_owned(), dialect: Dialect::Floor, bearer: None, greeting: false };
    let window = Window { warm_up: Duration::ZERO, length: Duration::from_millis(50) };
    Generator::new(target, Process::own(), window, false).unwrap()
}

fn serve(treatment: Treatment, head: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let head = head.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let head = head.clone();
            thread::spawn(move || answer(stream.unwrap(), &head, treatment));
        }
    });
    address
}

/// Treats every two frames; a read that brings half of them waits for the rest. Ends after an empty answer.
fn answer(mut stream: TcpStream, head: &str, treatment: Treatment) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        request.extend(byte);
    }
    stream.write_all(head.as_bytes()).ok()?;
    loop {
        let mut burst = vec![0; 2 * FRAME_BYTES];
        stream.read_exact(&mut burst).ok()?;
        treatment(&mut burst);
        if burst.is_empty() {
            return None;
        }
        stream.write_all(&burst).ok()?;
    }
}

/// A head of two bytes and a payload of 64.
const FRAME_BYTES: usize = 66;
const ACCEPT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
