//! Every type as an old one and every type as its successor: whatever `check` calls compatible is so.
//!
//! Most are changes that nobody would make. No server is needed to see what becomes of a value: it is read as the other
//! type.

use serde_json::to_value;
use wirelark_cli::api::Api;
use wirelark_cli::check::compare;

use super::*;

/// A type, and values that reach into its corners.
struct Sampled {
    name: &'static str,
    /// What a client may send.
    inputs: Vec<Value>,
    /// What a server sends for them.
    outputs: Vec<Value>,
    reads: fn(&Value) -> bool,
    taken: Api,
    sent: Api,
}

fn sampled<T>(name: &'static str, inputs: Vec<Value>) -> Sampled
where
    T: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
{
    let read = |value: &Value| serde_json::from_value::<T>(value.clone());
    let outputs = inputs.iter().map(|value| match read(value) {
        Ok(read) => to_value(read).expect("JSON"),
        Err(error) => panic!("{value} is no {name}: {error}"),
    });
    Sampled {
        name,
        outputs: outputs.collect(),
        inputs,
        reads: |value| serde_json::from_value::<T>(value.clone()).is_ok(),
        taken: takes::<T>().api(),
        sent: gives::<T>(Vec::new()).api(),
    }
}

macro_rules! types {
    ($($ty:ty: $($value:tt)|*;)*) => {
        vec![$(sampled::<$ty>(stringify!($ty), vec![$(json!($value)),*])),*]
    };
}

fn types() -> Vec<Sampled> {
    types! {
        A: {"a": 0} | {"a": 255};
        B: {"b": 255};
        AB: {"a": 1, "b": 2};
        ABOption: {"a": 1} | {"a": 1, "b": null} | {"a": 1, "b": 255};
        ABLeftOut: {"a": 1} | {"a": 1, "b": null} | {"a": 1, "b": 255};
        ABDefault: {"a": 1} | {"a": 1, "b": 255};
        ADenies: {"a": 1};
        ABDenies: {"a": 1, "b": 2};
        AText: {"a": ""} | {"a": "1"};
        AMap: {"a": 1} | {"a": 1, "b": 2, "x": 3};
        AAnything: {"a": 1} | {"a": 1, "b": "x", "r": null};
        BFlat: {"a": 1, "b": 2};
        BNested: {"a": 1, "b": {"b": 2}};
        Radius: {"r": 1};
        Tree: {"n": 1, "children": []} | {"n": 1, "children": [{"n": 255, "children": []}]};
        BigTree: {"n": 1, "children": [{"n": 256, "children": []}]};
        Chain: {"n": 1} | {"n": 1, "next": {"n": 2, "next": null}};
        OpenTree: {"n": 1} | {"n": 1, "children": [{"n": 2}]};
        Two: "Red" | "Green";
        Three: "Red" | "Green" | "Blue";
        TwoRenamed: "Red" | "Verdant";
        TwoLowercase: "red" | "green";
        Shape: "Point" | {"Circle": {"r": 255}};
        BigShape: "Point" | {"Circle": {"r": 256}};
        MoreShape: "Point" | {"Circle": {"r": 1}} | {"Square": 1};
        FullerShape: "Point" | {"Circle": {"r": 1, "x": 1}};
        TupleShape: "Point" | {"Circle": 1};
        Tagged: {"kind": "Point"} | {"kind": "Circle", "r": 255};
        BigTagged: {"kind": "Point"} | {"kind": "Circle", "r": 256};
        MoreTagged: {"kind": "Point"} | {"kind": "Circle", "r": 1} | {"kind": "Square", "a": 1};
        NewtypeTagged: {"kind": "Point"} | {"kind": "Circle", "r": 255};
        OtherTag: {"type": "Point"} | {"type": "Circle", "r": 255};
        Adjacent: {"kind": "Point"} | {"kind": "Circle", "value": {"r": 255}};
        Loose: 255 | [] | [0, 255];
        LooserText: 1 | [1] | "1";
        LooseReordered: 1 | [1];
        AtMostFive: "" | "12345";
        AtMostNine: "" | "123456789";
        AtLeastTwo: "12" | "a text of some length";
        Percent: 0 | 100;
        PerMille: 0 | 1000;
        Meters: 0 | 255;
        u8: 0 | 255;
        NonZeroU8: 1 | 255;
        u32: 0 | 4_294_967_295_u32;
        i32: (i32::MIN) | (i32::MAX);
        u64: 0 | 9_007_199_254_740_991_u64;
        i64: (-9_007_199_254_740_991_i64) | 9_007_199_254_740_991_i64;
        f32: 0.5 | 1 | 3e38;
        f64: 0.5 | (-1) | 1e300;
        BigInt<u64>: "0" | "18446744073709551615";
        BigInt<i64>: "-9223372036854775808" | "9223372036854775807";
        BigInt<i128>: "-170141183460469231731687303715884105728";
        String: "" | "Red" | "Purple and some more text" | "7";
        char: "x" | "🦀";
        bool: true | false;
        (): null;
        Option<u8>: null | 255;
        Option<bool>: null | true;
        Option<A>: null | {"a": 1};
        Value: null | true | 1 | 0.5 | "x" | [null] | {"x": {}};
        Vec<u8>: [] | [0, 255, 1];
        Vec<u32>: [] | [256];
        Vec<Option<u8>>: [] | [null, 1];
        Vec<Value>: [] | [null, "x", {}];
        BTreeSet<u8>: [] | [1, 255];
        [u8; 2]: [1, 255];
        [u8; 3]: [1, 2, 255];
        (u8,): [1];
        (u8, u8): [1, 255];
        (u8, String): [1, "x"];
        (u8, u8, u8): [1, 2, 3];
        Map<String, u8>: {} | {"a": 1, "x": 255};
        Map<String, u32>: {} | {"a": 256};
        Map<String, Value>: {} | {"a": null, "kind": 7};
        Map<u8, u8>: {} | {"1": 255};
        Map<i64, u8>: {} | {"-1": 1};
        Map<Two, u8>: {} | {"Red": 1, "Green": 2};
        Map<Three, u8>: {} | {"Blue": 1};
    }
}

#[test]
fn what_check_calls_compatible_is_read() {
    let types = types();
    let mut wrong = Vec::new();
    let mut compatible = 0;
    for old in &types {
        for new in &types {
            if compare(&old.taken, &new.taken).compatible {
                compatible += 1;
                let refused = old.inputs.iter().filter(|value| !(new.reads)(value));
                wrong.extend(refused.map(|value| format!("{value} from {} to {}", old.name, new.name)));
            }
            if compare(&old.sent, &new.sent).compatible {
                compatible += 1;
                let unread = new.outputs.iter().filter(|value| !(old.reads)(value));
                wrong.extend(unread.map(|value| format!("{value} from {} for {}", new.name, old.name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Not because it calls nothing compatible: each type is so with itself, in both directions, and some with others.
    assert!(compatible > 4 * types.len(), "{compatible}");
}
