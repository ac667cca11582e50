//! Values that may no longer fit: changed as bugs and foreign clients change them.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

/// Borders of types, and their neighbours.
const NUMBERS: [i64; 18] = [
    -9_007_199_254_740_991,
    -2_147_483_649,
    -2_147_483_648,
    -32_769,
    -129,
    -128,
    -1,
    0,
    1,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2_147_483_648,
    4_294_967_296,
    9_007_199_254_740_991,
];
/// Tags and keys that mean something somewhere, and such that mean something to JavaScript. All of ASCII: serde_json
/// 1.0.154 panics if the key of a map of `bool`s begins with any other character.
const WORDS: [&str; 23] = [
    "",
    "Unit",
    "Newtype",
    "Nothing",
    "Optional",
    "Tuple",
    "Empty",
    "Struct",
    "Nested",
    "justUnit",
    "newtype",
    "struct",
    "kind",
    "value",
    "red",
    "blue",
    "at",
    "1",
    "-1",
    "__proto__",
    "toString",
    "300",
    "007",
];

pub(crate) struct Damage<'r> {
    random: &'r mut StdRng,
}

impl<'r> Damage<'r> {
    pub(crate) fn new(random: &'r mut StdRng) -> Self {
        Self { random }
    }

    /// None for one value in ten, up to three changes for the others.
    pub(crate) fn done_to(&mut self, mut value: Value) -> Value {
        let changes = *[0, 1, 1, 1, 1, 1, 1, 2, 2, 3].choose(self.random).expect("there are ten");
        for _ in 0..changes {
            let chosen = self.random.random_range(0..count(&value));
            let mut left = chosen;
            self.change_nth(&mut value, &mut left);
        }
        value
    }

    /// Changes the value so many places further on.
    fn change_nth(&mut self, value: &mut Value, left: &mut usize) -> bool {
        if *left == 0 {
            self.change(value);
            return true;
        }
        *left -= 1;
        match value {
            Value::Array(items) => items.iter_mut().any(|item| self.change_nth(item, left)),
            Value::Object(members) => members.values_mut().any(|member| self.change_nth(member, left)),
            _ => false,
        }
    }

    fn change(&mut self, value: &mut Value) {
        let as_it_is = self.random.random_bool(0.7);
        match value {
            Value::Object(members) if as_it_is => self.change_members(members),
            Value::Array(items) if as_it_is => self.change_items(items),
            // A variant without content, as one with.
            Value::String(text) if self.random.random_bool(0.2) => *value = json!({ text.clone(): null }),
            other => *other = self.another(other),
        }
    }

    fn change_members(&mut self, members: &mut Map<String, Value>) {
        let keys: Vec<String> = members.keys().cloned().collect();
        let key = keys.choose(self.random).cloned();
        match (self.random.random_range(0..4), key) {
            (0, Some(key)) => drop(members.remove(&key)),
            (1, Some(key)) => {
                let value = members.remove(&key).unwrap_or_default();
                members.insert(self.word(), value);
            }
            (2, Some(key)) => drop(members.insert(key, Value::Null)),
            _ => {
                let value = self.another(&Value::Null);
                members.insert(self.word(), value);
            }
        }
    }

    fn change_items(&mut self, items: &mut Vec<Value>) {
        match self.random.random_range(0..3) {
            0 => drop(items.pop()),
            1 => items.push(items.last().cloned().unwrap_or_default()),
            _ => {
                let value = self.another(&Value::Null);
                items.push(value);
            }
        }
    }

    /// Another value, more or less like this one.
    fn another(&mut self, value: &Value) -> Value {
        match self.random.random_range(0..12) {
            0 => Value::Null,
            1 => json!(self.random.random_bool(0.5)),
            2..=4 => json!(NUMBERS.choose(self.random)),
            5 => json!(f64::from(self.random.random_range(-300..300)) + 0.5),
            6..=7 => json!(self.word()),
            8 => json!([]),
            9 => json!({}),
            10 => json!([value]),
            _ => json!({ self.word(): value }),
        }
    }

    fn word(&mut self) -> String {
        (*WORDS.choose(self.random).expect("there are some")).to_owned()
    }
}

/// Values in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}
