//! Good messages, and what is done to them before they are encoded: the keys and values are wrong, the encoding of them
//! is not.

use rmpv::Value;

use crate::random::Random;

/// A message as any client might send it: mostly a request, now and then what only a server sends.
pub(crate) fn good(random: &mut Random, number: u64) -> Value {
    let id = id(random, number);
    let text = |text: &str| Value::from(text);
    match random.below(12) {
        0..=1 => request(id, "echo", map(vec![("text", words(random))])),
        2 => {
            request(id, "add", map(vec![("a", Value::from(1.5)), ("b", Value::from(random.below(1 << 20)))]))
        }
        3 => request(id, "fail", map(vec![])),
        4 => request(id, "crash", map(vec![])),
        5 => request(id, "list", map(vec![])),
        6 => {
            let ms = Value::from(random.below(6));
            request(id, "slow", map(vec![("ms", ms), ("tag", words(random))]))
        }
        7 => request(id, "emit", map(vec![("ticks", Value::from(random.below(4)))])),
        8..=9 => {
            let x = *random.pick(&[0.0, 1.0, 2.5, -1.0, -0.5]);
            request(id, "nudge", map(vec![("x", Value::from(x))]))
        }
        10 => {
            let call =
                *random.pick(&["toString", "__proto__", "constructor", "then", "", "Echo", "echo\0", "ünï"]);
            request(id, call, map(vec![("text", words(random))]))
        }
        _ => map(match random.below(3) {
            0 => vec![
                ("socka", text("serverResponse")),
                ("v", Value::from(1)),
                ("id", id),
                ("rpc", text("echo")),
            ],
            1 => {
                vec![("socka", text("serverError")), ("v", Value::from(1)), ("id", id), ("error", text("no"))]
            }
            _ => vec![("socka", text("serverEvent")), ("v", Value::from(1)), ("event", text("tick"))],
        }),
    }
}

fn request(id: Value, call: &str, body: Value) -> Value {
    let head =
        [("socka", Value::from("clientRequest")), ("v", Value::from(1)), ("id", id), ("rpc", call.into())];
    map(head.into_iter().chain([("body", body)]).collect())
}

/// The frame's own number; sometimes one that other frames have too, or one that is odd.
fn id(random: &mut Random, number: u64) -> Value {
    Value::from(match random.below(16) {
        0 => format!("twice-{}", random.below(2)),
        1 => random.pick(&["", "__proto__", "toString", "0", "\u{0}", "\"\\", "ünï ✓ 🦀"]).to_string(),
        2 => "long ".repeat(random.below(400)),
        _ => format!("frame-{number}"),
    })
}

fn words(random: &mut Random) -> Value {
    let word =
        *random.pick(&["hi", "", "héllo ✓ 🦀", "\u{0}\u{1f}\u{7f}", "\u{2028}\u{feff}", "\"quoted\\\""]);
    let most = if random.chance(50) { 2_000 } else { 5 };
    Value::from(word.repeat(random.below(most)))
}

fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect())
}

/// Does one thing to the keys and values of a message.
pub(crate) fn distort(random: &mut Random, message: &mut Value) {
    let Some(entries) = some_map(random, message) else {
        *message = odd_value(random);
        return;
    };
    let at = random.below(entries.len());
    match random.below(8) {
        // Keys that are there twice, before and behind the good one.
        0 if !entries.is_empty() => {
            let (key, value) = (entries[at].0.clone(), odd_value(random));
            entries.insert(random.below(entries.len() + 1), (key, value));
        }
        1 if !entries.is_empty() => drop(entries.remove(at)),
        2 if !entries.is_empty() => entries[at].0 = odd_key(random),
        3 if !entries.is_empty() => entries.rotate_left(at),
        4 => entries.insert(at, (odd_key(random), odd_value(random))),
        _ if entries.is_empty() => entries.push((odd_key(random), odd_value(random))),
        _ => entries[at].1 = odd_value(random),
    }
}

/// The message's own keys, or those of its body.
fn some_map<'a>(random: &mut Random, message: &'a mut Value) -> Option<&'a mut Vec<(Value, Value)>> {
    let inside = !random.chance(3);
    let Value::Map(entries) = message else { return None };
    let body =
        entries.iter().position(|(key, value)| inside && key.as_str() == Some("body") && value.is_map());
    match body {
        Some(at) => match &mut entries[at].1 {
            Value::Map(body) => Some(body),
            _ => None,
        },
        None => Some(entries),
    }
}

fn odd_key(random: &mut Random) -> Value {
    const KEYS: [&str; 12] = [
        "__proto__",
        "constructor",
        "toString",
        "hasOwnProperty",
        "then",
        "",
        "socka",
        "id",
        "x",
        "text",
        "ID",
        "ke\u{0}y",
    ];
    match random.below(16) {
        0 => odd_value(random),
        1 => Value::from("k".repeat(random.below(3_000))),
        _ => Value::from(*random.pick(&KEYS)),
    }
}

fn odd_value(random: &mut Random) -> Value {
    match random.below(20) {
        0 => Value::Nil,
        1 => Value::from(random.chance(2)),
        2 => Value::from(u64::MAX),
        3 => Value::from(i64::MIN),
        4 => Value::from((1_u64 << 53) + 1),
        5 => Value::from(u32::MAX),
        6 => Value::from(random.below(3)),
        7 => Value::from(-1),
        8 => Value::from(*random.pick(&[f64::MAX, f64::MIN_POSITIVE, 1e21, 5e-324, -0.0, 1.0, 0.1])),
        9 => Value::from(*random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        10 => Value::from(f32::MAX),
        11 => Value::from(*random.pick(&["", "1", "clientRequest", "nudge", "emit", "null", "true"])),
        12 => words(random),
        13 => Value::Array(vec![Value::Nil; random.below(40)]),
        14 => map(vec![("__proto__", map(vec![("x", Value::from(1))])), ("x", Value::from(1))]),
        15 => map(vec![]),
        16 => Value::Binary(random.bytes(5)),
        // `undefined`, a timestamp, an extension nobody knows.
        17 => Value::Ext(*random.pick(&[0, -1, 7]), vec![0; *random.pick(&[1, 4, 5, 8])]),
        18 => Value::Ext(0, vec![0]),
        _ => nested(random),
    }
}

/// Arrays in arrays, or maps in maps: up to the limit of decoding, and now and then far beyond.
fn nested(random: &mut Random) -> Value {
    let depth = if random.chance(8) { 1_000 } else { 200 };
    let as_map = random.chance(2);
    (0..random.below(depth)).fold(Value::from(1), |inner, _| {
        if as_map { map(vec![("x", inner)]) } else { Value::Array(vec![inner]) }
    })
}
