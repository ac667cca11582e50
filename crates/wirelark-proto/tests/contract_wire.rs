//! Contract frames against those of the original, and both formats against each other.

#[path = "contract_wire/fixture.rs"]
mod fixture;
#[path = "contract_wire/value.rs"]
mod value;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
};

use fixture::{Adjacent, Color, External, Fixture, Internal, Untagged, fixture};
use proptest::{collection::vec, prelude::*};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, IgnoredAny},
};
use value::{Value, value};
use wirelark_proto::{
    Kind,
    contract::{
        BigInt, Body, DEPTH_MAX, DecodeError, EncodeError, Envelope, EnvelopeError, ErrorResponse, Event,
        Format, Gap, Request, Response,
    },
};

const FORMATS: [Format; 2] = [Format::Json, Format::MsgPack];

fn encode<T: Serialize + ?Sized>(format: Format, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    format.encode(value, &mut out).unwrap();
    out
}

fn decode<T: DeserializeOwned>(format: Format, bytes: &[u8]) -> T {
    format.decode(bytes).unwrap()
}

fn json(text: &str) -> Result<Envelope<'_>, EnvelopeError> {
    Envelope::decode(Format::Json, text.as_bytes())
}

// The frames of the original.

struct Captured {
    format: Format,
    from_client: bool,
    bytes: Vec<u8>,
}

fn captured() -> Vec<Captured> {
    #[derive(Deserialize)]
    struct Line {
        wire: String,
        dir: String,
        text: Option<String>,
        hex: Option<String>,
    }

    let lines = include_str!("vectors/socka-v1.jsonl").lines();
    let frames = lines.map(|line| {
        let line: Line = serde_json::from_str(line).unwrap();
        let bytes = match (line.text, line.hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => unhex(&hex),
            _ => panic!("a line has either text or hex"),
        };
        Captured { format: line.wire.parse().unwrap(), from_client: line.dir == "client_to_server", bytes }
    });
    frames.collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Decodes everything in a frame, and writes it again in either format.
fn rewrite(envelope: &Envelope<'_>, to: Format) -> Vec<u8> {
    let value = |body: Body<'_>| body.decode::<Value>().unwrap();
    let mut out = Vec::new();
    match envelope.clone() {
        Envelope::Request(Request { id, call, body }) => {
            Request { id, call, body: &value(body) }.encode(to, &mut out)
        }
        Envelope::Response(Response { id, call, body }) => {
            Response { id, call, body: body.map(value).as_ref() }.encode(to, &mut out)
        }
        Envelope::Error(ErrorResponse { id, error, call, code, data }) => {
            ErrorResponse { id, error, call, code, data: data.map(value).as_ref() }.encode(to, &mut out)
        }
        Envelope::Event(Event { event, body }) => {
            Event { event, body: body.map(value).as_ref() }.encode(to, &mut out)
        }
    }
    .unwrap();
    out
}

#[test]
fn contract_frames_of_the_original_come_out_as_they_went_in() {
    let mut refused = Vec::new();
    for Captured { format, from_client, bytes } in captured() {
        let envelope = match Envelope::decode(format, &bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                refused.push(error.to_string());
                continue;
            }
        };
        assert_eq!(from_client, matches!(envelope, Envelope::Request(_)));
        assert_eq!(rewrite(&envelope, format), bytes, "{envelope:?}");

        let mut as_it_is = Vec::new();
        envelope.encode(format, &mut as_it_is).unwrap();
        assert_eq!(as_it_is, bytes);

        let scanned = Request::scan(format, &bytes).map(Envelope::Request);
        assert_eq!(scanned, from_client.then_some(envelope));
    }
    let texts = ["socka: invalid JSON", "socka: unsupported wire version", "socka: invalid MessagePack"];
    assert_eq!(refused, [texts[0], texts[1], texts[2], texts[1]]);
}

/// The same session was captured in both formats.
#[test]
fn contract_frames_of_the_original_become_those_of_the_other_format() {
    let mut captured_as = [Vec::new(), Vec::new()];
    let mut rewritten_to = [Vec::new(), Vec::new()];
    for Captured { format, bytes, .. } in captured() {
        if let Ok(envelope) = Envelope::decode(format, &bytes) {
            rewritten_to[1 - format as usize].push(rewrite(&envelope, FORMATS[1 - format as usize]));
            captured_as[format as usize].push(bytes);
        }
    }
    for frames in captured_as.iter_mut().chain(&mut rewritten_to) {
        assert_eq!(frames.len(), 194);
        frames.sort_unstable();
    }
    assert!(captured_as == rewritten_to);
}

// Frames nobody captured.

/// A frame in both formats, or one that is refused. The tests of the TypeScript client read the same file.
#[derive(Deserialize)]
struct Vector {
    name: String,
    from: Option<String>,
    text: Option<String>,
    hex: Option<String>,
    refused: Option<String>,
}

#[test]
fn contract_frames_of_ours_say_the_same_in_both_formats() {
    let (mut read, mut refused) = (0, 0);
    for line in include_str!("vectors/wirelark-v1.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let name = vector.name;
        let frames = [vector.text.map(String::into_bytes), vector.hex.as_deref().map(unhex)];
        if let Some(why) = vector.refused {
            for (format, bytes) in FORMATS.into_iter().zip(frames) {
                let Some(bytes) = bytes else { continue };
                let error = Envelope::decode(format, &bytes).expect_err(&name);
                assert_eq!(error.to_string(), why, "{name}");
                refused += 1;
            }
            continue;
        }
        let frames = frames.map(|frame| frame.unwrap_or_default());
        for format in FORMATS {
            let envelope = Envelope::decode(format, &frames[format as usize]).expect(&name);
            let from = if matches!(envelope, Envelope::Request(_)) { "client" } else { "server" };
            assert_eq!(vector.from.as_deref(), Some(from), "{name}");
            for other in FORMATS {
                assert_eq!(rewrite(&envelope, other), frames[other as usize], "{name}");
            }
            if let Envelope::Event(Event { event, body: Some(body) }) = envelope
                && event == Gap::EVENT
            {
                assert_eq!(body.decode::<Gap>().expect(&name).push, "push");
            }
            read += 1;
        }
    }
    assert!(read > 50 && refused > 20, "{read} were read and {refused} refused");
}

#[test]
fn contract_checks_come_in_the_order_of_the_original_and_in_its_words() {
    let missing = r#"socka: missing "socka" discriminator"#;
    let version = "socka: unsupported wire version";
    for (frame, text) in [
        (r#"{"socka":"#, "socka: invalid JSON"),
        ("", "socka: invalid JSON"),
        (r#"{"v":1}}"#, "socka: invalid JSON"),
        (r"[1] x", "socka: invalid JSON"),
        ("null", "socka: expected a JSON object"),
        (" [{}] ", "socka: expected a JSON object"),
        ("1e999", "socka: expected a JSON object"),
        (r#""\ud800""#, "socka: expected a JSON object"),
        (r#"{"v":2}"#, missing),
        (r#"{"socka":null}"#, version),
        (r#"{"socka":"clientRequest","v":"1"}"#, version),
        (r#"{"socka":"clientRequest","v":1e999}"#, version),
        (r#"{"socka":"clientRequest","v":1,"v":2,"id":"","rpc":"","body":{}}"#, version),
        (r#"{"socka":"x","v":1}"#, "socka: unknown or invalid frame kind x"),
        (r#"{"socka":null,"v":1}"#, "socka: unknown or invalid frame kind null"),
        (r#"{"socka":1e21,"v":1}"#, "socka: unknown or invalid frame kind 1e+21"),
        (r#"{"socka":[1,[null,"a"],{}],"v":1}"#, "socka: unknown or invalid frame kind 1,,a,[object Object]"),
        (r#"{"socka":"clientRequest","v":1}"#, "socka: unknown or invalid frame kind clientRequest"),
        (
            r#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body":[]}"#,
            "socka: unknown or invalid frame kind clientRequest",
        ),
        (
            r#"{"socka":"clientRequest","v":1,"id":"a","id":1,"rpc":"","body":{}}"#,
            "socka: unknown or invalid frame kind clientRequest",
        ),
        (
            r#"{"socka":"serverResponse","v":1,"id":""}"#,
            "socka: unknown or invalid frame kind serverResponse",
        ),
        (
            r#"{"socka":"serverError","v":1,"id":"","error":{}}"#,
            "socka: unknown or invalid frame kind serverError",
        ),
        (r#"{"socka":"serverEvent","v":1,"event":null}"#, "socka: unknown or invalid frame kind serverEvent"),
        // A string of the envelope itself that is not Unicode.
        (r#"{"socka":"serverEvent","v":1,"event":"\udead"}"#, "socka: invalid JSON"),
    ] {
        assert_eq!(json(frame).map_err(|error| error.to_string()), Err(text.to_owned()), "{frame}");
    }
    for (frame, text) in [
        ("", "socka: invalid MessagePack"),
        ("8000", "socka: invalid MessagePack"),
        ("90", "socka: expected a JSON object"),
        ("d40000", "socka: expected a JSON object"),
        ("80", missing),
        ("81a5736f636b61d40000", missing),
        ("81a5736f636b61c0", version),
        ("82a5736f636b61c0a176cb3ff0000000000000", "socka: unknown or invalid frame kind null"),
        ("82a5736f636b61a2c328a17601", "socka: invalid MessagePack"),
    ] {
        let bytes = unhex(frame);
        let verdict = Envelope::decode(Format::MsgPack, &bytes);
        assert_eq!(verdict.map_err(|error| error.to_string()), Err(text.to_owned()), "{frame}");
    }
}

#[test]
fn contract_decoding_forgives_what_the_original_forgives() {
    let Ok(Envelope::Request(request)) = json(
        r#" {"body" : {"a": 1} ,"rpc":"c\u0061ll","x":[{}],"id":"","v":10e-1,"so\u0063ka":"clientRequest"} "#,
    ) else {
        panic!("it is a request")
    };
    assert_eq!(
        (&*request.id, &*request.call, request.body.as_bytes()),
        ("", "call", br#"{"a": 1}"#.as_slice())
    );
    assert!(matches!(request.id, Cow::Borrowed(_)) && matches!(request.call, Cow::Owned(_)));

    let error =
        json(r#"{"socka":"serverError","v":1.0,"id":"i","error":"e","rpc":1,"code":null,"data":null}"#);
    assert_eq!(
        error,
        Ok(Envelope::Error(ErrorResponse {
            id: "i".into(),
            error: "e".into(),
            call: None,
            code: None,
            data: Some(Body::from_encoded(Format::Json, b"null")),
        }))
    );

    let response = json(r#"{"socka":"serverResponse","v":1,"id":"i","rpc":"c","body":null}"#);
    let body = Some(Body::from_encoded(Format::Json, b"null"));
    assert_eq!(response, Ok(Envelope::Response(Response { id: "i".into(), call: "c".into(), body })));

    // @msgpack/msgpack writes short maps, and a key need not be a string to be ignored.
    let event = unhex("8491a001a5736f636b61ab7365727665724576656e74a17601a56576656e74a165");
    assert_eq!(
        Envelope::decode(Format::MsgPack, &event),
        Ok(Envelope::Event(Event { event: "e".into(), body: None }))
    );
}

#[test]
fn contract_frames_are_written_in_one_order_without_what_is_absent() {
    fn check<B: wirelark_proto::contract::EncodeBody>(error: &ErrorResponse<'_, B>, text: &str) {
        let mut out = Vec::new();
        error.encode(Format::Json, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);

        out = Vec::new();
        error.encode(Format::MsgPack, &mut out).unwrap();
        let envelope = Envelope::decode(Format::MsgPack, &out).unwrap();
        assert_eq!(rewrite(&envelope, Format::Json), text.as_bytes());
    }

    let error =
        ErrorResponse { id: "i".into(), error: "e".into(), call: None, code: None, data: None::<&()> };
    check(&error, r#"{"socka":"serverError","v":1,"id":"i","error":"e"}"#);
    let error = ErrorResponse { code: Some("c".into()), ..error };
    check(&error, r#"{"socka":"serverError","v":1,"id":"i","error":"e","code":"c"}"#);
    let error = ErrorResponse { call: Some("r".into()), data: Some(&()), ..error };
    check(&error, r#"{"socka":"serverError","v":1,"id":"i","error":"e","rpc":"r","code":"c","data":null}"#);

    let mut out = Vec::new();
    Response::void("i", "c").encode(Format::Json, &mut out).unwrap();
    assert_eq!(out, br#"{"socka":"serverResponse","v":1,"id":"i","rpc":"c"}"#);
    out.clear();
    Event { event: "e".into(), body: None::<&()> }.encode(Format::MsgPack, &mut out).unwrap();
    assert_eq!(
        out,
        unhex("de0004a5736f636b61ab7365727665724576656e74a17601a56576656e74a165a4626f6479d40000")
    );
}

#[test]
fn contract_bodies_are_encoded_once_and_shared() {
    for format in FORMATS {
        let encoded = encode(format, &[1, 2, 3]);
        let (mut shared, mut direct) = (Vec::new(), Vec::new());
        let body = Body::from_encoded(format, &encoded);
        Event { event: "e".into(), body: Some(body) }.encode(format, &mut shared).unwrap();
        Event { event: "e".into(), body: Some(&[1, 2, 3]) }.encode(format, &mut direct).unwrap();
        assert_eq!(shared, direct);

        let other = FORMATS[1 - format as usize];
        let before = direct.clone();
        let wrong = Response { id: "".into(), call: "".into(), body: Some(body) }.encode(other, &mut direct);
        assert_eq!(wrong, Err(EncodeError::BodyFormat { body: format, frame: other }));
        assert_eq!(direct, before, "a frame is written whole or not at all");
    }
}

#[test]
fn contract_request_bodies_are_objects() {
    for format in FORMATS {
        let mut out = Vec::new();
        Request { id: "1".into(), call: "c".into(), body: &() }.encode(format, &mut out).unwrap();
        let request = Request::scan(format, &out).unwrap();
        assert_eq!(request.body.decode::<BTreeMap<String, u8>>(), Ok(BTreeMap::new()));

        let before = out.clone();
        let wrong = Request { id: "1".into(), call: "c".into(), body: &"text" }.encode(format, &mut out);
        assert_eq!(wrong, Err(EncodeError::RequestBodyNotObject));
        assert_eq!(out, before);
    }
}

#[test]
fn contract_formats_have_names() {
    for (format, name, subprotocol, kind) in [
        (Format::Json, "json", "wirelark.v1.json", Kind::Text),
        (Format::MsgPack, "msgpack", "wirelark.v1.msgpack", Kind::Binary),
    ] {
        assert_eq!((format.to_string().as_str(), name.parse()), (name, Ok(format)));
        assert_eq!(format.subprotocol(), subprotocol);
        assert_eq!(Format::from_subprotocol(subprotocol), Some(format));
        assert_eq!(format.kind(), kind);
    }
    assert_eq!(Format::from_subprotocol("json"), None);
    let error = "JSON".parse::<Format>().unwrap_err();
    assert_eq!(error.to_string(), r#""JSON" is not a wire format; write "json" or "msgpack""#);
}

// Where JavaScript and Rust disagree about values.

#[test]
fn contract_integers_beyond_javascript_are_refused_when_they_are_written() {
    let text = "the integer 9007199254740992 is beyond ±9007199254740991, where JavaScript numbers lose digits; \
                make it a BigInt, which travels as a string";
    for format in FORMATS {
        let mut out = b"before".to_vec();
        let error = format.encode(&[1, 1_u64 << 53], &mut out).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(out, b"before");
        for bad in [i128::from(u64::MAX), i128::from(i64::MIN), -(1 << 53)] {
            assert_eq!(format.encode(&bad, &mut out), Err(EncodeError::InexactInteger(bad.to_string())));
        }
        assert!(format.encode(&u128::MAX, &mut out).is_err());
        assert!(format.encode(&serde_json::json!({ "n": u64::MAX }), &mut out).is_err());

        for good in [-(1_i64 << 53) + 1, (1 << 53) - 1] {
            assert_eq!(decode::<i64>(format, &encode(format, &good)), good);
            assert_eq!(decode::<f64>(format, &encode(format, &good)), good as f64);
        }
        let keys = HashMap::from([(u64::MAX, i64::MIN.to_string()), (0, String::new())]);
        assert_eq!(decode::<HashMap<u64, String>>(format, &encode(format, &keys)), keys);
        let keys = HashMap::from([(i128::MIN, 1), (i128::MAX, 2)]);
        assert_eq!(decode::<HashMap<i128, u8>>(format, &encode(format, &keys)), keys);
    }
}

#[test]
fn contract_big_integers_travel_as_strings() {
    for format in FORMATS {
        assert_eq!(
            encode(format, &BigInt(u128::MAX)),
            encode(format, "340282366920938463463374607431768211455")
        );
        assert_eq!(decode::<BigInt<i64>>(format, &encode(format, "-9223372036854775808")), BigInt(i64::MIN));
        assert_eq!(decode::<BigInt<i128>>(format, &encode(format, &BigInt(i128::MIN))), BigInt(i128::MIN));
        let keys = BTreeMap::from([(BigInt(u64::MAX), 1)]);
        assert_eq!(decode::<BTreeMap<BigInt<u64>, u8>>(format, &encode(format, &keys)), keys);

        let error = format.decode::<BigInt<u64>>(&encode(format, "-1")).unwrap_err();
        let text = r#"invalid value: string "-1", expected a string with a decimal integer in range"#;
        assert_eq!(error.to_string(), text);
        assert!(format.decode::<BigInt<u64>>(&encode(format, &1)).is_err(), "a number may have been rounded");
    }
    assert_eq!(u64::from(BigInt(1_u64)) + *BigInt::from(2_u64), 3);
}

#[test]
fn contract_integers_beyond_javascript_are_taken_where_they_are_spelled_out() {
    for (bytes, format) in
        [(b"18446744073709551615".to_vec(), Format::Json), (unhex("cfffffffffffffffff"), Format::MsgPack)]
    {
        assert_eq!(format.decode(&bytes), Ok(u64::MAX));
        assert_eq!(format.decode(&bytes), Ok(u128::from(u64::MAX)));
        assert!(format.decode::<i64>(&bytes).is_err());
    }
    assert_eq!(Format::Json.decode(b"-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(Format::MsgPack.decode(&unhex("d38000000000000000")), Ok(i64::MIN));
    // 2^53 as a float may have been 2^53 + 1 before.
    assert!(Format::MsgPack.decode::<u64>(&unhex("cb4340000000000000")).is_err());
}

#[test]
fn contract_numbers_are_written_as_javascript_prints_them() {
    for (number, text) in [
        (42.0, "42"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (1e21, "1e+21"),
        (123_456_789_012_345_680_000.0, "123456789012345680000"),
        (1e-7, "1e-7"),
        (0.000_001, "0.000001"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (f64::NAN, "null"),
        (f64::NEG_INFINITY, "null"),
        (f64::from(0.1_f32), "0.10000000149011612"),
    ] {
        assert_eq!(String::from_utf8(encode(Format::Json, &number)).unwrap(), text);
    }
    assert_eq!(encode(Format::Json, &0.1_f32), b"0.10000000149011612", "both formats send the same number");
    assert_eq!(decode::<f32>(Format::Json, b"0.10000000149011612"), 0.1);
    let keys = BTreeMap::from([("a", 1.0), ("b", 2.5)]);
    assert_eq!(encode(Format::Json, &keys), br#"{"a":1,"b":2.5}"#);
}

#[test]
fn contract_bodies_nest_to_the_same_depth_in_both_formats() {
    fn nested(format: Format, levels: usize) -> Vec<u8> {
        match format {
            Format::Json => ["[".repeat(levels), "]".repeat(levels)].concat().into_bytes(),
            Format::MsgPack => [vec![0x91; levels - 1], vec![0x90]].concat(),
        }
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Skips {
        wanted: u8,
    }

    #[derive(Deserialize, Debug)]
    #[serde(untagged)]
    enum Nest {
        #[expect(dead_code, reason = "only decoding it matters")]
        Deeper(Vec<Self>),
    }

    for format in FORMATS {
        format.decode::<Value>(&nested(format, DEPTH_MAX)).unwrap();
        format.decode::<serde_json::Value>(&nested(format, DEPTH_MAX)).unwrap();
        for levels in [DEPTH_MAX + 1, 200, 200_000] {
            let error = format.decode::<Value>(&nested(format, levels)).unwrap_err();
            assert_eq!(error, DecodeError::TooDeep, "{levels}");
            assert_eq!(format.decode::<Nest>(&nested(format, levels)).unwrap_err(), DecodeError::TooDeep);

            // What is skipped takes no stack, and has no limit.
            format.decode::<IgnoredAny>(&nested(format, levels)).unwrap();
            let deep = match format {
                Format::Json => [br#"{"deep":"#, &*nested(format, levels), br#","wanted":1}"#].concat(),
                Format::MsgPack => [b"\x82\xa4deep", &*nested(format, levels), b"\xa6wanted\x01"].concat(),
            };
            assert_eq!(format.decode(&deep), Ok(Skips { wanted: 1 }));

            let frame = match format {
                Format::Json => {
                    [br#"{"socka":"clientRequest","v":1,"id":"","rpc":"","body":"#, &*deep, b"}"].concat()
                }
                Format::MsgPack => {
                    [b"\x85\xa5socka\xadclientRequest\xa1v\x01\xa2id\xa0\xa3rpc\xa0\xa4body", &*deep].concat()
                }
            };
            let Ok(Envelope::Request(request)) = Envelope::decode(format, &frame) else {
                panic!("a request")
            };
            assert_eq!(request.body.decode::<Value>(), Err(DecodeError::TooDeep));
            assert_eq!(request.body.decode(), Ok(Skips { wanted: 1 }));
        }
    }
    // Side by side is not deep.
    for format in FORMATS {
        let wide = vec![(vec![0; 1], External::Newtype(1), Internal::Unit); 2 * DEPTH_MAX];
        assert_eq!(decode::<Vec<(Vec<u8>, External, Internal)>>(format, &encode(format, &wide)), wide);
    }
    let text = "the value is nested deeper than 127 levels; send a flatter one";
    assert_eq!(DecodeError::TooDeep.to_string(), text);
}

#[test]
fn contract_text_is_unicode() {
    let lone = "a string has half of a surrogate pair, which is not text; send whole characters";
    for text in [r#""\ud800""#, r#""\ud800x""#, r#""\ud800\n""#, r#""\ud800\u0041""#, r#""\udc00""#] {
        let error = Format::Json.decode::<String>(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), lone, "{text}");
        Format::Json.decode::<IgnoredAny>(text.as_bytes()).expect("skipped strings are not judged");
    }
    assert_eq!(Format::Json.decode(br#""\ud83e\udd80""#), Ok("🦀".to_owned()));
    assert_eq!(
        Format::Json.decode::<String>(b"\"\xff\"").unwrap_err().to_string(),
        "the JSON is not valid UTF-8"
    );

    // This is how msgpackr writes a lone surrogate.
    let error = Format::MsgPack.decode::<String>(&unhex("a3eda080")).unwrap_err();
    assert_eq!(error.to_string(), "a string is not valid UTF-8; send it as binary, or send whole characters");
    Format::MsgPack.decode::<IgnoredAny>(&unhex("a3eda080")).expect("skipped strings are not judged");
}

#[test]
fn contract_values_take_the_whole_message() {
    for (format, bad) in [
        (Format::Json, "1 2"),
        (Format::Json, ""),
        (Format::Json, "[1"),
        (Format::Json, "[1,2,3]"),
        (Format::MsgPack, "920102c0"),
        (Format::MsgPack, ""),
        (Format::MsgPack, "9201"),
        (Format::MsgPack, "93010203"),
        (Format::MsgPack, "ddffffffff0102"),
        (Format::MsgPack, "c1"),
    ] {
        let bytes = if format == Format::Json { bad.into() } else { unhex(bad) };
        assert!(format.decode::<(u8, u8)>(&bytes).is_err(), "{bad}");
    }
}

#[test]
fn contract_mismatches_read_the_same_in_both_formats() {
    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "it is never decoded")]
    struct Point {
        x: u32,
    }

    for value in [serde_json::json!({}), serde_json::json!({ "x": "1" }), serde_json::json!({ "x": -1 })] {
        let texts =
            FORMATS.map(|format| format.decode::<Point>(&encode(format, &value)).unwrap_err().to_string());
        assert_eq!(texts[0], texts[1]);
        assert!(!texts[0].contains("line"), "{}", texts[0]);
    }
}

#[test]
fn contract_strings_are_borrowed() {
    for format in FORMATS {
        let bytes = encode(format, &BTreeMap::from([("key", "text")]));
        assert_eq!(format.decode(&bytes), Ok(BTreeMap::from([("key", "text")])));
    }
}

// Every shape serde knows.

#[test]
fn contract_types_of_every_shape_come_back() {
    let fixture = fixture();
    let mut seen = Vec::new();
    for format in FORMATS {
        let bytes = encode(format, &fixture);
        assert!(decode::<Fixture<Fixture<Vec<Color>>>>(format, &bytes) == fixture, "{format}");
        let value: serde_json::Value = decode(format, &bytes);
        assert!(value.get("skipped").is_none());
        seen.push((value, decode::<Value>(format, &bytes)));
    }
    assert_eq!(seen[0], seen[1], "a generic value looks the same in both formats");

    let value = &mut seen[0].0;
    value.as_object_mut().unwrap().remove("defaulted");
    for format in FORMATS {
        let back: Fixture<Fixture<Vec<Color>>> = decode(format, &encode(format, &value));
        assert_eq!(back.defaulted, 0);
    }
}

#[test]
fn contract_bytes_are_binary_in_messagepack_and_numbers_in_json() {
    #[derive(PartialEq, Debug)]
    struct Blob(Vec<u8>);

    impl Serialize for Blob {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Blob {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;

            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Blob;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("bytes")
                }

                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                    Ok(Blob(bytes.to_vec()))
                }

                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                    let mut bytes = Vec::new();
                    while let Some(byte) = seq.next_element()? {
                        bytes.push(byte);
                    }
                    Ok(Blob(bytes))
                }
            }

            deserializer.deserialize_byte_buf(Visitor)
        }
    }

    for len in [0, 1, 255, 256, 65_535, 65_536] {
        let blob = Blob((0..len).map(|n| n as u8).collect());
        for format in FORMATS {
            assert_eq!(decode::<Blob>(format, &encode(format, &blob)), blob);
        }
    }
    assert_eq!(encode(Format::MsgPack, &Blob(vec![1, 2, 3])), unhex("c403010203"));
    assert_eq!(encode(Format::Json, &Blob(vec![1, 2, 3])), b"[1,2,3]");
    let error = Format::MsgPack.decode::<String>(&unhex("c40161")).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: byte array, expected a string");
}

// Random values and random damage.

/// A frame a client sent, with some bytes replaced, removed or put in: often whole pieces of frames.
fn damaged() -> impl Strategy<Value = (Format, Vec<u8>)> {
    const PIECES: &[&[u8]] = &[
        b"",
        b"}",
        b"{",
        b"]",
        b"\"",
        b"\\",
        b"\\ud800",
        b",",
        b" ",
        b"\n",
        b"\x00",
        b"\xff",
        b"[]",
        b"{}",
        b",\"id\":\"z\"",
        b"\"a\":[1,{}],",
        b"\xc0",
        b"\xc1",
        b"\x80",
        b"\x90",
        b"\xa2id\xa1z",
        b"\xd4\x00\x00",
        b"\xde\x00\x01",
        b"\xa1\xff",
    ];
    let frames: Vec<_> = captured().into_iter().filter(|frame| frame.from_client).collect();
    let place = (0..4, any::<prop::sample::Index>());
    let damage = (place, prop::sample::select(PIECES), 0..4_usize);
    (0..frames.len(), vec(damage, 0..4)).prop_map(move |(index, damages)| {
        let Captured { format, bytes, .. } = &frames[index];
        let mut bytes = bytes.clone();
        for ((place, index), piece, removed) in damages {
            // The seams around the body are where mistakes would be.
            let body = bytes.windows(4).rposition(|window| window == b"body").unwrap_or(0);
            let body = body + if *format == Format::Json { 6 } else { 4 };
            let at = match place {
                0 => body.min(bytes.len()),
                1 => bytes.len().saturating_sub(index.index(3)),
                _ => index.index(bytes.len() + 1),
            };
            let end = bytes.len().min(at + removed);
            bytes.splice(at..end, piece.iter().copied());
        }
        (*format, bytes)
    })
}

/// What scanning promises, for one type a body may have.
fn check_scan<'a, T: Deserialize<'a>>(format: Format, frame: &'a [u8]) {
    let Some(request) = Request::scan(format, frame) else { return };
    if request.body.decode::<T>().is_ok() {
        assert_eq!(Envelope::decode(format, frame), Ok(Envelope::Request(request)));
    }
}

fn check_never_panics(format: Format, bytes: &[u8]) {
    let _ = format.decode::<Value>(bytes);
    let _ = format.decode::<serde_json::Value>(bytes);
    let _ = format.decode::<IgnoredAny>(bytes);
    let _ = format.decode::<Fixture<Vec<Internal>>>(bytes);
    let _ = format.decode::<(External, Adjacent, HashMap<u64, Untagged>)>(bytes);
    let _ = format.decode::<Vec<Vec<u64>>>(bytes);
    if let Ok(envelope) = Envelope::decode(format, bytes) {
        let mut again = Vec::new();
        envelope.encode(format, &mut again).unwrap();
        assert_eq!(Envelope::decode(format, &again), Ok(envelope));
    }
}

proptest! {
    #[test]
    fn contract_values_come_back(value in value()) {
        for format in FORMATS {
            let bytes = encode(format, &value);
            prop_assert_eq!(&decode::<Value>(format, &bytes), &value);

            // Through the other format, and here again, the bytes are the same.
            let other = FORMATS[1 - format as usize];
            let there: Value = decode(other, &encode(other, &decode::<Value>(format, &bytes)));
            prop_assert_eq!(encode(format, &there), bytes);
        }
    }

    #[test]
    fn contract_frames_come_back(id in ".*", call in ".*", body in value()) {
        let (id, call) = (Cow::from(id), Cow::from(call));
        let object = Value::Object(vec![("value".into(), body)]);
        for format in FORMATS {
            let encoded = encode(format, &object);
            let body = Body::from_encoded(format, &encoded);

            let mut frame = Vec::new();
            Request { id: id.clone(), call: call.clone(), body: &object }.encode(format, &mut frame).unwrap();
            let request = Request { id: id.clone(), call: call.clone(), body };
            if let Some(scanned) = Request::scan(format, &frame) {
                prop_assert_eq!(&scanned, &request);
            }
            prop_assert_eq!(Envelope::decode(format, &frame), Ok(Envelope::Request(request)));

            frame.clear();
            Event { event: id.clone(), body: Some(&object) }.encode(format, &mut frame).unwrap();
            let event = Event { event: id.clone(), body: Some(body) };
            prop_assert_eq!(Envelope::decode(format, &frame), Ok(Envelope::Event(event)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn contract_scanning_never_contradicts_decoding((format, frame) in damaged()) {
        #[derive(Deserialize)]
        struct Ignores {}

        check_scan::<Value>(format, &frame);
        check_scan::<IgnoredAny>(format, &frame);
        check_scan::<Ignores>(format, &frame);
        check_scan::<Option<HashMap<&str, IgnoredAny>>>(format, &frame);
    }

    #[test]
    fn contract_damaged_frames_never_panic((format, frame) in damaged()) {
        check_never_panics(format, &frame);
    }

    #[test]
    fn contract_arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..64)) {
        for format in FORMATS {
            check_never_panics(format, &bytes);
        }
    }
}
