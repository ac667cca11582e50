//! What a contract's peer sends in one message. The first byte chooses the format, the rest is the message.

#![no_main]

// Its types; what fills them is for the tests.
#[allow(dead_code)]
#[path = "../../crates/wirelark-proto/tests/contract_wire/fixture.rs"]
mod fixture;

use std::collections::BTreeMap;

use fixture::{Adjacent, External, Fixture, Internal, Untagged};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned, de::IgnoredAny};
use serde_json::Value;
use wirelark_proto::contract::{
    Body, DecodeError, EncodeBody, EncodeError, Envelope, ErrorResponse, Event, Format, Request, Response,
};

fuzz_target!(|data: &[u8]| {
    let Some((first, message)) = data.split_first() else { return };
    let format = if first & 1 == 0 { Format::Json } else { Format::MsgPack };

    values_can_be_written_again(format, message);
    match Envelope::decode(format, message) {
        Ok(envelope) => {
            frame_can_be_written_again(format, &envelope);
            frame_survives_the_other_format(format, &envelope);
            if let Some(body) = body(&envelope) {
                values_can_be_written_again(format, body.as_bytes());
            }
        }
        Err(error) => drop(error.to_string()),
    }
    scanning_agrees_with_decoding(format, message);
});

/// What a server relies on: a scanned request whose body it could decode is the request that decoding finds.
fn scanning_agrees_with_decoding(format: Format, message: &[u8]) {
    let Some(request) = Request::scan(format, message) else { return };
    if request.body.decode::<IgnoredAny>().is_ok() {
        assert_eq!(Envelope::decode(format, message), Ok(Envelope::Request(request)));
    }
}

fn frame_can_be_written_again(format: Format, envelope: &Envelope<'_>) {
    let mut written = Vec::new();
    envelope.encode(format, &mut written).expect("what was read can be written");
    assert_eq!(Envelope::decode(format, &written).as_ref(), Ok(envelope));
    // Ours are in the form that scanning knows, unless a text has escapes in JSON.
    if let (Envelope::Request(request), Format::MsgPack) = (envelope, format) {
        assert_eq!(Request::scan(format, &written).as_ref(), Some(request));
    }
}

/// Into the other format and back is the same as written here at once.
fn frame_survives_the_other_format(format: Format, envelope: &Envelope<'_>) {
    let other = if format == Format::Json { Format::MsgPack } else { Format::Json };
    let (Some(here), Some(there)) = (rewritten(envelope, format), rewritten(envelope, other)) else { return };
    let envelope = Envelope::decode(other, &there).expect("what was written can be read");
    let Some(back) = rewritten(&envelope, format) else { return };
    assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(&here));
}

/// The frame with its body decoded and encoded; none if the body is no value, or one that cannot be written.
fn rewritten(envelope: &Envelope<'_>, to: Format) -> Option<Vec<u8>> {
    let value = body(envelope).map(Body::decode::<Value>).transpose().ok()?;
    let mut frame = Vec::new();
    let result = match envelope.clone() {
        Envelope::Request(Request { id, call, .. }) => {
            Request { id, call, body: value.as_ref().expect("a request has a body") }.encode(to, &mut frame)
        }
        Envelope::Response(Response { id, call, .. }) => {
            Response { id, call, body: value.as_ref() }.encode(to, &mut frame)
        }
        Envelope::Error(ErrorResponse { id, error, call, code, .. }) => {
            ErrorResponse { id, error, call, code, data: value.as_ref() }.encode(to, &mut frame)
        }
        Envelope::Event(Event { event, .. }) => Event { event, body: value.as_ref() }.encode(to, &mut frame),
    };
    is_written(result).then_some(frame)
}

fn body<'a>(envelope: &Envelope<'a>) -> Option<Body<'a>> {
    match envelope {
        Envelope::Request(request) => Some(request.body),
        Envelope::Response(response) => response.body,
        Envelope::Error(error) => error.data,
        Envelope::Event(event) => event.body,
    }
}

fn values_can_be_written_again(format: Format, bytes: &[u8]) {
    value_can_be_written_again::<Value>(format, bytes);
    value_can_be_written_again::<Fixture<Vec<Internal>>>(format, bytes);
    value_can_be_written_again::<Vec<External>>(format, bytes);
    value_can_be_written_again::<BTreeMap<i64, Adjacent>>(format, bytes);
    value_can_be_written_again::<BTreeMap<String, Untagged>>(format, bytes);
    value_can_be_written_again::<Internal>(format, bytes);
    let _ = format.decode::<IgnoredAny>(bytes);
}

/// What a type makes of the bytes is written, read and written once more, with the same result.
///
/// Written and not read is compared: `5e9` is a float to an untagged enum, and `5000000000`, which is written for
/// it, an integer.
fn value_can_be_written_again<T: Serialize + DeserializeOwned>(format: Format, bytes: &[u8]) {
    let Ok(value) = format.decode::<T>(bytes) else { return };
    let Some(once) = written(format, &value) else { return };
    let again = match format.decode::<T>(&once) {
        Ok(again) => again,
        Err(error) => return only_json_has_no_infinity(format, &once, &error),
    };
    let Some(twice) = written(format, &again) else { return };
    assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
}

/// A number that is too large for an `f32` became an infinity, which is null in JSON and no number.
fn only_json_has_no_infinity(format: Format, written: &[u8], error: &DecodeError) {
    let has_null = written.windows(4).any(|part| part == b"null");
    assert!(format == Format::Json && has_null, "{error}: {}", String::from_utf8_lossy(written));
}

fn written<T: Serialize>(format: Format, value: &T) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    is_written((&value).encode_body(format, &mut out)).then_some(out)
}

/// An integer that JavaScript cannot hold is refused; nothing else that was read is.
fn is_written(result: Result<(), EncodeError>) -> bool {
    match result {
        Ok(()) => true,
        Err(EncodeError::InexactInteger(_)) => false,
        Err(error) => panic!("what was read cannot be written: {error}"),
    }
}
