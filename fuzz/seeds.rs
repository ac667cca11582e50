//! Writes `seeds/`: a few dozen small inputs per target that reach every branch the tests know of.

#[path = "../crates/wirelark-proto/tests/support/mod.rs"]
mod support;

use std::{fs, io, path::Path};

use serde_json::{Value, json};
use support::{ALONE, bare, frame};
use wirelark_proto::{compress, contract::Format};

fn main() -> io::Result<()> {
    write("frames", &frames())?;
    write("handshake", &handshake())?;
    write("deflate", &deflate())?;
    write("contract", &contract())?;
    write("utf8", &utf8())
}

fn write(target: &str, inputs: &[Vec<u8>]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    for (index, input) in inputs.iter().enumerate() {
        fs::write(folder.join(format!("{index:02}")), input)?;
    }
    println!("{target}: {} seeds", inputs.len());
    Ok(())
}

/// A set-up byte in front of an input.
fn with(setup: u8, input: impl AsRef<[u8]>) -> Vec<u8> {
    [&[setup], input.as_ref()].concat()
}

fn frames() -> Vec<Vec<u8>> {
    let hello = compress(b"Hello", &ALONE);
    vec![
        with(0x00, frame(0x81, b"Hello")),
        with(0x10, frame(0x82, b"\x00\xff\x80")),
        with(0x20, frame(0x89, b"ping")),
        with(0x80, frame(0x8a, b"")),
        with(0x01, bare(0x81, b"Hello")),
        with(0x11, [bare(0x01, b"Hel"), bare(0x89, b"?"), bare(0x80, b"lo")].concat()),
        with(
            0x90,
            [frame(0x01, "gr\u{fc}".as_bytes()), frame(0x00, b"\xc3"), frame(0x80, b"\x9fe")].concat(),
        ),
        with(0xa0, [frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")].concat()),
        with(
            0x00,
            [frame(0x81, b"a"), frame(0x81, b"b"), frame(0x88, b"\x03\xe8bye"), frame(0x81, b"c")].concat(),
        ),
        with(0x00, frame(0x88, b"")),
        with(0x00, frame(0x88, b"\x03")),
        with(0x00, frame(0x88, b"\x03\xed")),
        with(0x00, frame(0x88, b"\x0f\xa0\xff")),
        with(0x00, frame(0x82, &[7; 126])),
        with(0x30, frame(0x82, &[7; 300])),
        with(0x08, frame(0x82, &[7; 64])),
        with(0x08, frame(0x82, &[7; 65])),
        with(0x08, [frame(0x02, &[7; 40]), frame(0x80, &[7; 30])].concat()),
        with(0x00, b"\x82\xfe\x00\x05"),
        with(0x00, b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x7e"),
        with(0x00, b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"),
        with(0x00, b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00"),
        with(0x00, bare(0x81, b"unmasked")),
        with(0x01, frame(0x81, b"masked")),
        with(0x00, frame(0x09, b"")),
        with(0x00, frame(0x89, &[0; 126])),
        with(0x00, frame(0xc1, b"rsv")),
        with(0x00, frame(0x83, b"")),
        with(0x00, frame(0x80, b"")),
        with(0x00, [frame(0x01, b"a"), frame(0x81, b"b")].concat()),
        with(0x00, frame(0x81, b"bad \xed\xa0\x80")),
        with(0x00, frame(0x81, b"cut \xe2\x82")),
        with(0x04, frame(0xc1, &hello)),
        with(0x44, [frame(0x41, &hello[..3]), frame(0x8a, b""), frame(0x80, &hello[3..])].concat()),
        with(0x06, [frame(0xc1, &hello), frame(0xc1, b"\xf2\x00\x11\x00\x00")].concat()),
        with(0x07, [bare(0xc1, &hello), bare(0x81, b"plain")].concat()),
        with(0x04, frame(0xc2, b"\x00")),
        with(0x04, frame(0xc2, b"")),
        with(0x0c, frame(0xc2, &compress(&[0; 2000], &ALONE))),
        with(0x04, frame(0xc1, &compress(b"\xff", &ALONE))),
        with(0x04, frame(0xc1, b"\x06\x07")),
        // Bad text before the byte that is too much; a code that was registered late.
        with(0x04, frame(0xc1, &compress(&[&[b'a'; 99][..], b"\xff", &[b'a'; 5000]].concat(), &ALONE))),
        with(0x00, frame(0x88, b"\x03\xf6")),
    ]
}

fn handshake() -> Vec<Vec<u8>> {
    let request = |lines: &[&str]| {
        let mut head = String::from(
            "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        lines.iter().for_each(|line| head += &format!("{line}\r\n"));
        head + "\r\n"
    };
    let response = |lines: &[&str]| {
        let mut head = String::from(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        );
        lines.iter().for_each(|line| head += &format!("{line}\r\n"));
        head + "\r\n"
    };
    let extensions = |value: &str| request(&[&format!("Sec-WebSocket-Extensions: {value}")]);
    let agreed = |value: &str| response(&[&format!("Sec-WebSocket-Extensions: {value}")]);
    vec![
        with(0x00, request(&[])),
        with(0x00, request(&[]).replace("GET", "POST")),
        with(0x00, request(&[]).replace("HTTP/1.1", "HTTP/1.0")),
        with(0x00, request(&[]).replace("Upgrade: websocket", "Upgrade: h2c, WebSocket")),
        with(0x00, request(&[]).replace("Connection: Upgrade", "Connection: keep-alive")),
        with(0x00, request(&[]).replace("Version: 13", "Version: 8")),
        with(0x00, request(&[]).replace("ZQ==", "ZQ=")),
        with(0x00, request(&["Sec-WebSocket-Key: x"])),
        with(0x00, request(&["Sec-WebSocket-Protocol: v2, v1", "Sec-WebSocket-Protocol: v3"])),
        with(0x00, request(&["Sec-WebSocket-Protocol: v1,,v1"])),
        with(0x00, request(&["Sec-WebSocket-Protocol: caf\u{e9}"])),
        with(0x06, extensions("permessage-deflate; client_max_window_bits")),
        with(0x1e, extensions("permessage-deflate; client_max_window_bits=9; server_max_window_bits=\"8\"")),
        with(0x18, extensions("permessage-deflate; server_max_window_bits=8, permessage-deflate")),
        with(0x00, extensions("permessage-deflate; server_no_context_takeover; client_no_context_takeover")),
        with(0x00, extensions("permessage-deflate; server_no_context_takeover; server_no_context_takeover")),
        with(0x00, extensions("foo; a=\"b\\c\"; d, bar")),
        with(0x00, extensions("a; b=\"")),
        with(0x00, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        with(0x01, response(&[])),
        with(0x01, response(&[]) + "\u{1}frames"),
        with(0x01, response(&[]).replace("\r\n", "\n")),
        with(0x01, response(&[]).replace("s3pP", "xxxx")),
        with(0x01, response(&[]).replace("Upgrade: websocket\r\n", "")),
        with(0x01, response(&["Sec-WebSocket-Protocol: v1"])),
        with(0x01, response(&["Sec-WebSocket-Protocol: v3"])),
        with(0x21, agreed("permessage-deflate")),
        with(0x27, agreed("permessage-deflate; server_no_context_takeover; client_no_context_takeover")),
        with(0x39, agreed("permessage-deflate; server_max_window_bits=10; client_max_window_bits=11")),
        with(0x39, agreed("permessage-deflate; server_max_window_bits=11")),
        with(0x21, agreed("permessage-deflate, other")),
        with(0x01, agreed("permessage-deflate")),
        with(0x01, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nsign in"),
        with(0x01, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\nbody"),
        with(0x01, "HTTP/1.0 101 No\r\n\r\n"),
        with(0x01, "SSH-2.0-x\r\n\r\n"),
    ]
}

fn deflate() -> Vec<Vec<u8>> {
    let text = "the same again and again and again, ".repeat(9);
    vec![
        with(0x00, compress(b"Hello", &ALONE)),
        with(0x02, compress(b"Hello", &ALONE)),
        with(0x11, compress(b"Hello", &ALONE)),
        with(0x32, compress(text.as_bytes(), &ALONE)),
        with(0x23, compress("gr\u{fc}\u{df}e \u{1f99c}".as_bytes(), &ALONE)),
        with(0x02, compress(b"abc\xff", &ALONE)),
        with(0x00, compress(&[0; 8192], &ALONE)),
        with(0x00, compress(&[0; 8193], &ALONE)),
        with(0x01, compress(&[0; 100_000], &ALONE)),
        with(0x00, ""),
        with(0x00, "\0"),
        with(0x00, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        with(0x00, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        with(0x01, b"\xf3\x48\xcd\xc9\xc9\x07\x00"),
        with(0x00, b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"),
        with(0x00, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        with(0x00, b"\xf2\x00\x11\x00\x00"),
        with(0x00, b"\x06"),
        with(0x10, b"\x00\x05\x00\x00\x00Hello\x00"),
        with(0x00, &compress(text.as_bytes(), &ALONE)[..20]),
        with(0x00, b"\x03\x00".repeat(20)),
        with(0x00, b"\x00\x00\x00\xff\xff".repeat(9)),
        with(0xf8, text.as_bytes()),
        with(0x29, [0x55; 200]),
    ]
}

fn contract() -> Vec<Vec<u8>> {
    // Frames in the order clients write them in, in both formats; then values for types of every shape.
    let frames = [
        r#"{"socka":"clientRequest","v":1,"id":"add-1","rpc":"add","body":{"a":-1.5,"b":40}}"#,
        r#"{"socka":"clientRequest","v":1,"id":"","rpc":"toString","body":{}}"#,
        r#"{"socka":"clientRequest","v":1,"id":"\u00e9\n","rpc":"echo","body":{"text":"\ud83e\udd9c","__proto__":[]}}"#,
        r#"{"socka":"serverResponse","v":1,"id":"list-2","rpc":"list","body":[{"id":"a","n":2.5},null,true]}"#,
        r#"{"socka":"serverResponse","v":1,"id":"emit-3","rpc":"emit"}"#,
        r#"{"socka":"serverError","v":1,"id":"x","error":"no","rpc":"fail","code":"FORBIDDEN","data":{"n":7}}"#,
        r#"{"socka":"serverEvent","v":1,"event":"moved","body":[1700000000123,-5000000000,1e300,0.1]}"#,
        r#"{"socka":"serverEvent","v":1,"event":"edges","body":[-32,-33,-128,-129,-32768,-32769,-2147483649,127,128]}"#,
        r#"{"socka":"serverEvent","v":1,"event":"edges","body":[255,256,65535,65536,4294967295,9007199254740991]}"#,
        r#"{"v":1.0,"body":{"socka":null},"socka":"clientRequest","id":"a","id":"b","rpc":"r"}"#,
    ];
    // Almost in the form that scanning takes.
    let almost = [
        r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"b","body":{} }"#,
        r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"b","body": {"c":1}}"#,
        r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"b","body":{},"id":"c"}"#,
        r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"b","body":{"c":1},"d":{}}"#,
    ];
    let values = [
        json!({"Newtype": 9_007_199_254_740_991_u64}),
        json!(["Unit", {"Tuple": [-128, 1.5]}, {"Struct": {"a": "\u{2028}", "b": null}}, {"Nested": "Unit"}]),
        json!({"kind": "Newtype", "flat_time": 1, "flat_float": 3.5, "rest": 0.5}),
        json!({"-1": {"kind": "Tuple", "value": [0, 255]}, "2": {"kind": "Unit"}}),
        json!({"a": -0.25, "b": "text", "c": [1, 2], "d": {"at": 3}, "e": null, "f": 5e9}),
    ];
    let in_json = frames.iter().chain(&almost).map(|&frame| with(0, frame));
    let values = values.iter().chain(&[Value::Null]);
    let packed = frames.iter().map(|frame| serde_json::from_str::<Value>(frame).expect("written above"));
    let packed: Vec<_> = packed.map(|frame| packed_in_order(&frame)).collect();
    in_json
        .chain(values.clone().map(|value| with(0, value.to_string())))
        .chain(packed.iter().map(|frame| with(1, frame)))
        .chain(values.map(|value| with(1, encoded(value))))
        .chain([
            with(1, b"\xde\x00\x05\xa5socka\xadclientRequest\xa1v\x01\xa2id\xd9\x01a\xa3rpc\xa1b\xa4body\x80"),
            with(1, b"\x86\xa5socka\xadclientRequest\xa1v\x01\xa2id\xa1a\xa3rpc\xa1b\xa4body\x80\xa1c\xd4\x00\x00"),
            with(1, b"\x85\xa5socka\xadclientRequest\xa1v\x01\xa2id\xa1a\xa3rpc\xa1b\xa4body\x80\x80"),
            // `undefined`, a length that lies, an extension, keys that are no text, a value too deep.
            with(1, b"\x82\xa1a\xd4\x00\x00\x01\xc4\x01\x07"),
            with(1, b"\xdd\xff\xff\xff\xff\x01"),
            with(1, b"\x91\xd6\xff\x00\x00\x00\x01"),
            with(1, [vec![0x91; 127], vec![0x90]].concat()),
            with(0, ["[".repeat(128), "]".repeat(128)].concat()),
        ])
        .collect()
}

/// A frame whose keys stand as clients write them, which is not the order of a `Value`.
fn packed_in_order(frame: &Value) -> Vec<u8> {
    let keys = ["socka", "v", "id", "rpc", "event", "error", "code", "data", "body"];
    let present: Vec<_> = keys.iter().filter_map(|key| Some((key, frame.get(key)?))).collect();
    let entries = present.iter().map(|(key, value)| [encoded(key), encoded(value)].concat());
    [vec![0x80 | present.len() as u8], entries.collect::<Vec<_>>().concat()].concat()
}

fn encoded<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    Format::MsgPack.encode(value, &mut out).expect("an ordinary value");
    out
}

fn utf8() -> Vec<Vec<u8>> {
    let long = "x".repeat(63);
    let cases: [&[u8]; 24] = [
        b"",
        b"plain",
        "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes(),
        "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
        b"\x80",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xff",
        b"\xf0\x9f\xa6",
        b"\xe2\x82",
        b"\xc3",
        b"ok \xe2\x82\xac\xe2\x82x",
        b"\xf0\x9f\xa6\x9c\xf0\x9f\xa6\x9c\x80",
        b"\xe2\xf0\x9f\xa6\x9c",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    ];
    let mut seeds: Vec<_> = (0..).zip(cases).map(|(setup, case)| with(setup, case)).collect();
    seeds.push(with(3, [long.as_bytes(), b"\xe2\x82\xac"].concat()));
    seeds.push(with(4, [long.as_bytes(), b"\xe2\x82\xacy\xff"].concat()));
    seeds
}
