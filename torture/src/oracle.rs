//! What the server owes for a message, decided without a line of Wirelark's: by serde_json for JSON, by rmpv for
//! MessagePack, and by the rules of the wire as they are written here.
//!
//! The rules:
//!
//! * A text message that is not UTF-8 ends the connection with 1007.
//! * Text on a MessagePack connection is no frame. A binary message on a JSON connection is read as JSON.
//! * A request is one object, whose `socka` is `clientRequest` and whose `v` is the number 1, with text as `id` and
//!   `rpc` and an object as `body`. Of a key that comes twice the last one counts; other keys do not count. Everything
//!   else is no frame: nobody is told, and the server counts it.
//! * Each request is answered exactly once, by a result or by an error, whatever is in its body. Only `nudge`, which
//!   is a send, is answered only if it fails: if its body is not `{x: number}`, or if x is below zero.
//! * A call that does not exist is answered with `Unknown call: ` and its name.
//!
//! The assumptions: a body of JSON is what serde makes of it; a key in which half of a surrogate pair stands makes a
//! frame none; MessagePack's extension 0 is `undefined`, the same as an absent key.
//!
//! Some messages are not sent, because their answers could not be told in advance: calls that would work for longer
//! than this run wants to wait, which is what they are there for; MessagePack with a byte 0xc1 in it, which rmpv takes
//! for nil; and MessagePack that nests deeper than rmpv is allowed to recurse.

use std::collections::HashMap;

use rmpv::Value;
use serde::Deserialize;
use serde_json::value::RawValue;
use wirelark_proto::contract::Format;

/// What a server owes for one message.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Due {
    /// Exactly one reply.
    Reply {
        /// The id it must carry.
        id: String,
        /// The name in the error, if there is no such call.
        unknown: Option<String>,
        /// The call may take a moment, so that its reply may come behind those of later frames.
        waits: bool,
    },
    /// Nothing: a send that succeeds.
    Nothing,
    /// Nothing: it is no frame of a contract, and is counted as such.
    Malformed,
    /// The end of the connection, with this code.
    Close(u16),
    /// Nothing more: the client hangs up in the middle of a frame.
    HungUp,
}

/// The calls of `/rpc`.
const CALLS: [&str; 8] = ["echo", "add", "fail", "crash", "list", "slow", "emit", "nudge"];

/// The most milliseconds `slow` may be asked to wait, and the most pushes `emit` to send.
const WORK_MAX: f64 = 20.0;

/// What rmpv may recurse; the stack of the thread is made for it.
const DEPTH_MAX: usize = 8_000;

/// A request, as far as it matters.
struct Request {
    id: String,
    call: String,
    /// The number `nudge` would be called with, if the body has one.
    nudge: Option<f64>,
    /// How much `slow` or `emit` would have to do.
    work: f64,
}

/// What is owed for a message; none if it is one of those that are not sent.
pub(crate) fn judge(format: Format, is_text: bool, payload: &[u8]) -> Option<Due> {
    if is_text && str::from_utf8(payload).is_err() {
        return Some(Due::Close(1007));
    }
    let request = match (format, is_text) {
        (Format::Json, _) => in_json(payload),
        (Format::MsgPack, true) => None,
        (Format::MsgPack, false) => in_msgpack(payload).ok()?,
    };
    let Some(Request { id, call, nudge, work }) = request else { return Some(Due::Malformed) };
    let waits = matches!(&*call, "slow" | "emit");
    if waits && work > WORK_MAX {
        return None;
    }
    if call == "nudge" && nudge.is_some_and(|x| x >= 0.0 || x.is_nan()) {
        return Some(Due::Nothing);
    }
    let unknown = (!CALLS.contains(&&*call)).then_some(call);
    Some(Due::Reply { id, unknown, waits })
}

/// The keys of an object and their values as they stand there: what is not looked at may be as deep and as large as it
/// likes.
type Raw<'a> = HashMap<String, &'a RawValue>;

fn in_json(payload: &[u8]) -> Option<Request> {
    #[derive(Deserialize)]
    struct Nudge {
        x: f64,
    }

    let fields: Raw<'_> = serde_json::from_str(str::from_utf8(payload).ok()?).ok()?;
    let raw = |key: &str| fields.get(key).map(|value| value.get());
    let text = |key: &str| serde_json::from_str::<String>(raw(key)?).ok();
    let is_one = serde_json::from_str::<f64>(raw("v")?).is_ok_and(|v| v == 1.0);
    let body = raw("body").filter(|body| body.starts_with('{'))?;
    if !is_one || text("socka")? != "clientRequest" {
        return None;
    }
    let numbers: Raw<'_> = serde_json::from_str(body).unwrap_or_default();
    let numbers = ["ms", "ticks"].iter().filter_map(|key| numbers.get(*key)?.get().parse().ok());
    Some(Request {
        id: text("id")?,
        call: text("rpc")?,
        nudge: serde_json::from_str::<Nudge>(body).ok().map(|nudge| nudge.x),
        work: numbers.fold(0.0, f64::max),
    })
}

/// rmpv cannot tell what the bytes are.
struct Unclear;

fn in_msgpack(payload: &[u8]) -> Result<Option<Request>, Unclear> {
    if payload.contains(&0xc1) {
        return Err(Unclear);
    }
    let mut rest = payload;
    match rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX) {
        Ok(value) if rest.is_empty() => Ok(from_msgpack(&value)),
        Err(rmpv::decode::Error::DepthLimitExceeded) => Err(Unclear),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn from_msgpack(value: &Value) -> Option<Request> {
    let field = |key: &str| {
        let entries = value.as_map()?.iter().rev();
        entries.filter(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value).next()
    };
    let text = |key: &str| Some(field(key)?.as_str()?.to_owned());
    let body = field("body")?.as_map()?;
    if field("v")?.as_f64() != Some(1.0) || field("socka")?.as_str() != Some("clientRequest") {
        return None;
    }
    let is_work = |name: &Value| matches!(name.as_str(), Some("ms" | "ticks"));
    let numbers = body.iter().filter(|(name, _)| is_work(name)).filter_map(|(_, value)| value.as_f64());
    Some(Request {
        id: text("id")?,
        call: text("rpc")?,
        nudge: nudge_in(body),
        work: numbers.fold(0.0, f64::max),
    })
}

/// The `x` of a body: there once, and a number. Every key is text, or it is no body.
fn nudge_in(body: &[(Value, Value)]) -> Option<f64> {
    if !body.iter().all(|(key, _)| key.as_str().is_some()) {
        return None;
    }
    let undefined = Value::Ext(0, vec![0]);
    let mut found = body.iter().filter(|(key, value)| key.as_str() == Some("x") && *value != undefined);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.as_f64()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: &str) -> Due {
        Due::Reply { id: id.into(), unknown: None, waits: false }
    }

    fn unknown(id: &str, call: &str) -> Due {
        Due::Reply { id: id.into(), unknown: Some(call.into()), waits: false }
    }

    #[track_caller]
    fn check_json(text: &str, due: Due) {
        assert_eq!(judge(Format::Json, true, text.as_bytes()), Some(due.clone()), "{text}");
        assert_eq!(judge(Format::Json, false, text.as_bytes()), Some(due), "in a binary message: {text}");
        assert_eq!(judge(Format::MsgPack, true, text.as_bytes()), Some(Due::Malformed), "{text}");
    }

    #[test]
    fn requests_in_json_are_owed_a_reply() {
        check_json(r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"echo","body":{}}"#, reply("a"));
        check_json(
            r#" {"body":{"__proto__":[]},"v":10e-1,"rpc":"\u0061dd","id":"x","id":"","socka":"clientRequest"}"#,
            reply(""),
        );
        check_json(
            r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"toString","body":{}}"#,
            unknown("a", "toString"),
        );
        let nested = "[".repeat(9_999) + &"]".repeat(9_999);
        check_json(
            &format!(
                r#"{{"deep":{nested},"n":1e999,"socka":"clientRequest","v":1,"id":"a","rpc":"fail","body":{{}}}}"#
            ),
            reply("a"),
        );
    }

    #[test]
    fn everything_else_in_json_is_owed_nothing() {
        for text in [
            "",
            "null",
            r#"{"socka":"clientRequest","v":2,"id":"a","rpc":"echo","body":{}}"#,
            r#"{"socka":"clientRequest","v":"1","id":"a","rpc":"echo","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"id":1,"rpc":"echo","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"id":"a","id":null,"rpc":"echo","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"id":"\ud800","rpc":"echo","body":{}}"#,
            r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"echo","body":[]}"#,
            r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"echo"}"#,
            r#"{"socka":"clientRequest","v":1,"id":"a","rpc":"echo","body":{}}}"#,
            r#"{"socka":"serverResponse","v":1,"id":"a","rpc":"echo","body":{}}"#,
        ] {
            check_json(text, Due::Malformed);
        }
        assert_eq!(judge(Format::Json, true, b"{\xff}"), Some(Due::Close(1007)));
        assert_eq!(judge(Format::Json, false, b"{\xff}"), Some(Due::Malformed));
    }

    #[test]
    fn a_send_is_answered_when_it_fails() {
        let nudge = |body: &str| {
            let text = format!(r#"{{"socka":"clientRequest","v":1,"id":"a","rpc":"nudge","body":{body}}}"#);
            judge(Format::Json, true, text.as_bytes())
        };
        for body in [r#"{"x":0}"#, r#"{"x":-0.0}"#, r#"{"y":null,"x":1.5}"#] {
            assert_eq!(nudge(body), Some(Due::Nothing), "{body}");
        }
        for body in
            ["{}", r#"{"x":-1}"#, r#"{"x":"1"}"#, r#"{"x":null}"#, r#"{"x":1,"x":1}"#, r#"{"x":1e999}"#]
        {
            assert_eq!(nudge(body), Some(reply("a")), "{body}");
        }
    }

    #[test]
    fn calls_that_would_work_for_long_are_not_sent() {
        let call = |rpc: &str, body: &str| {
            let text = format!(r#"{{"socka":"clientRequest","v":1,"id":"a","rpc":"{rpc}","body":{body}}}"#);
            judge(Format::Json, true, text.as_bytes())
        };
        assert_eq!(call("slow", r#"{"ms":21,"tag":""}"#), None);
        assert_eq!(call("emit", r#"{"ticks":4294967295}"#), None);
        let waits = Due::Reply { id: "a".into(), unknown: None, waits: true };
        assert_eq!(call("slow", r#"{"ms":20}"#), Some(waits.clone()));
        assert_eq!(call("emit", "{}"), Some(waits));
    }

    #[track_caller]
    fn check_msgpack(rest: &[u8], due: Option<&Due>) {
        let head = b"\xa5socka\xadclientRequest\xa1v\x01\xa2id\xa1i\xa3rpc";
        let judged = judge(Format::MsgPack, false, &[b"\x85", &head[..], rest].concat());
        assert_eq!(judged.as_ref(), due, "{rest:02x?}");
    }

    #[test]
    fn messagepack_is_judged_the_same() {
        check_msgpack(b"\xa4echo\xa4body\x80", Some(&reply("i")));
        check_msgpack(b"\xa4echo\xa4body\x81\x01\x02", Some(&reply("i")));
        check_msgpack(b"\xa1?\xa4body\xde\x00\x00", Some(&unknown("i", "?")));
        check_msgpack(b"\xa5nudge\xa4body\x81\xa1x\x01", Some(&Due::Nothing));
        check_msgpack(b"\xa5nudge\xa4body\x82\xa1x\x01\xa1x\xd4\x00\x00", Some(&Due::Nothing));
        check_msgpack(b"\xa5nudge\xa4body\x82\xa1x\x01\xa1x\x01", Some(&reply("i")));
        check_msgpack(b"\xa5nudge\xa4body\x82\xa1x\x01\x02\x01", Some(&reply("i")));
        check_msgpack(b"\xa5nudge\xa4body\x81\xa1x\xff", Some(&reply("i")));
        check_msgpack(b"\xa4slow\xa4body\x81\xa2ms\x7f", None);
        check_msgpack(b"\xa4echo\xa4body\x81\xa1x\xc1", None);
        check_msgpack(b"\xa4echo\xa4body\x90", Some(&Due::Malformed));
        check_msgpack(b"\xa4echo\xa4body\x80\x00", Some(&Due::Malformed));
        check_msgpack(b"\xa4echo\xa4body\x81", Some(&Due::Malformed));
        check_msgpack(b"\xa4ech\xff\xa4body\x80", Some(&Due::Malformed));
        check_msgpack(b"\xdf\xff\xff\xff\xff", Some(&Due::Malformed));
    }
}
