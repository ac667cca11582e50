//! What types and contracts are called in TypeScript: names of their own, the same each time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::{Api, SCHEMA_REF};

/// Names a generated module cannot give: words of the language, its types, and the module's own `s`.
const TAKEN: [&str; 67] = [
    "any",
    "arguments",
    "as",
    "async",
    "await",
    "bigint",
    "boolean",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "infer",
    "instanceof",
    "interface",
    "keyof",
    "let",
    "never",
    "new",
    "null",
    "number",
    "object",
    "package",
    "private",
    "protected",
    "public",
    "readonly",
    "return",
    "s",
    "satisfies",
    "static",
    "string",
    "super",
    "switch",
    "symbol",
    "this",
    "throw",
    "true",
    "try",
    "type",
    "typeof",
    "undefined",
    "unique",
    "unknown",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Titles that schemars makes of other types, and that are no names of types.
const MADE_UP: [&str; 5] = ["Array_", "Map_", "Nullable_", "Set_", "Tuple_"];

/// What the keys of bodies have and no name of a document can have.
const AS_A_BODY: &str = " as a body ";

/// Types of a document with the names they get, by the names they have there. A type that is only the body of
/// something has none there: it gets one that no type of a document can have.
pub(super) struct Types<'a> {
    pub(super) schemas: BTreeMap<String, &'a Value>,
    pub(super) names: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl<'a> Types<'a> {
    pub(super) fn of(api: &'a Api) -> Self {
        let schemas = api.schemas.iter().map(|(name, schema)| (name.clone(), schema)).collect();
        let mut types = Self { schemas, names: BTreeMap::new(), taken: TAKEN.map(str::to_owned).into() };
        for body in bodies(api).filter(|body| is_type(body.schema)) {
            if types.key_of(body.schema).is_none() {
                let name = format!("{}{AS_A_BODY}", title(body.schema));
                let mut keys = (1..).map(|number| format!("{name}{number}"));
                let key = keys.find(|key| !types.schemas.contains_key(key));
                types.schemas.insert(key.unwrap_or(name), body.schema);
            }
        }
        types.name(api);
        types
    }

    /// Types of the same name are told apart: what only a client sends is an input, the others are numbered.
    fn name(&mut self, api: &Api) {
        let sent_back = self.reachable(bodies(api).filter(|body| !body.is_input));
        let mut keys: Vec<&String> = self.schemas.keys().collect();
        keys.sort_by_key(|key| (key.len(), key.as_str()));
        let bases: BTreeMap<&String, String> = keys.iter().map(|key| (*key, self.base(key))).collect();
        let has_output: BTreeSet<&String> =
            keys.iter().filter(|key| sent_back.contains(**key)).map(|key| &bases[*key]).collect();
        let mut names = BTreeMap::new();
        for outputs_first in [true, false] {
            for key in keys.iter().filter(|key| sent_back.contains(**key) == outputs_first) {
                let base = &bases[*key];
                let suffix = if !outputs_first && has_output.contains(base) { "Input" } else { "" };
                let name = allocate(&mut self.taken, &format!("{}{suffix}", pascal(base)), "Type");
                names.insert((*key).clone(), name);
            }
        }
        self.names = names;
    }

    /// The name a type had in Rust. What a document numbers because two have the same ends with a digit.
    fn base(&self, key: &str) -> String {
        let mut base = key.split(AS_A_BODY).next().unwrap_or(key);
        loop {
            let shorter = base.trim_end_matches(|c: char| c.is_ascii_digit());
            let candidate = (1..=base.len() - shorter.len())
                .map(|digits| &base[..base.len() - digits])
                .find(|candidate| !candidate.is_empty() && self.schemas.contains_key(*candidate));
            match candidate {
                Some(candidate) => base = candidate,
                None => return base.to_owned(),
            }
        }
    }

    fn reachable<'b>(&'b self, bodies: impl Iterator<Item = Body<'b>>) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&'b Value> = Vec::new();
        for body in bodies {
            reached.extend(self.key_of(body.schema).map(str::to_owned));
            waiting.push(body.schema);
        }
        while let Some(schema) = waiting.pop() {
            each_ref(schema, &mut |name| {
                if reached.insert(name.to_owned())
                    && let Some(schema) = self.schemas.get(name)
                {
                    waiting.push(*schema);
                }
            });
        }
        reached
    }

    /// The key of a type that a body is.
    pub(super) fn key_of(&self, body: &Value) -> Option<&str> {
        if !may_be_named(body) {
            return None;
        }
        let is_called = |key: &str| key == title(body) || self.base(key) == title(body);
        let fits = |(key, schema): &(&String, &&Value)| same_type(schema, body) && is_called(key);
        self.schemas.iter().find(fits).map(|(key, _)| key.as_str())
    }

    /// A name for a constant of a contract.
    pub(super) fn constant(&mut self, contract: &str) -> String {
        allocate(&mut self.taken, &camel(contract), "Contract")
    }
}

struct Body<'a> {
    schema: &'a Value,
    is_input: bool,
}

fn bodies(api: &Api) -> impl Iterator<Item = Body<'_>> {
    api.contracts.iter().flat_map(|contract| {
        let inputs = contract.calls.iter().map(|call| Body { schema: &call.input, is_input: true });
        let outputs = contract.calls.iter().filter_map(|call| call.output.as_ref());
        let outputs = outputs.chain(contract.pushes.iter().map(|push| &push.body));
        inputs.chain(outputs.map(|schema| Body { schema, is_input: false }))
    })
}

fn title(schema: &Value) -> &str {
    schema.get("title").and_then(Value::as_str).unwrap_or_default()
}

fn may_be_named(schema: &Value) -> bool {
    !title(schema).is_empty() && !MADE_UP.iter().any(|made_up| title(schema).starts_with(made_up))
}

/// Whether a body is a type that deserves a name: a struct or an enum, and not a number of one.
fn is_type(schema: &Value) -> bool {
    let composed = ["properties", "oneOf", "anyOf", "allOf", "enum"];
    may_be_named(schema) && composed.iter().any(|keyword| schema.get(keyword).is_some())
}

/// A body says its title, and a type of a document does not.
fn same_type(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let untitled = |keyword: &&String| *keyword != "title";
            one.keys().filter(untitled).count() == other.keys().filter(untitled).count()
                && one
                    .iter()
                    .filter(|(keyword, _)| untitled(keyword))
                    .all(|(keyword, value)| other.get(keyword) == Some(value))
        }
        _ => one == other,
    }
}

fn each_ref(schema: &Value, of: &mut dyn FnMut(&str)) {
    match schema {
        Value::Object(keywords) => {
            if let Some(Value::String(reference)) = keywords.get("$ref") {
                reference.strip_prefix(SCHEMA_REF).into_iter().for_each(&mut *of);
            }
            keywords.values().for_each(|value| each_ref(value, of));
        }
        Value::Array(items) => items.iter().for_each(|item| each_ref(item, of)),
        _ => {}
    }
}

fn allocate(taken: &mut BTreeSet<String>, name: &str, kind: &str) -> String {
    let mut candidate = name.to_owned();
    if TAKEN.contains(&name) {
        candidate.push_str(kind);
    }
    let base = candidate.clone();
    for number in 2.. {
        if taken.insert(candidate.clone()) {
            break;
        }
        candidate = format!("{base}{number}");
    }
    candidate
}

/// The words of a name, each with a capital letter.
fn pascal(name: &str) -> String {
    let words =
        name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '$')).filter(|word| !word.is_empty());
    let joined: String = words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect();
    match joined.as_bytes().first() {
        None => "Type".to_owned(),
        Some(digit) if digit.is_ascii_digit() => format!("_{joined}"),
        Some(_) => joined,
    }
}

/// `RpcRoom` as `rpcRoom`, `HTTPApi` as `httpApi`.
fn camel(name: &str) -> String {
    let pascal = pascal(name);
    let capitals = pascal.bytes().take_while(u8::is_ascii_uppercase).count();
    let lower = match capitals {
        many @ 2.. if many < pascal.len() => many - 1,
        capitals => capitals,
    };
    pascal[..lower].to_ascii_lowercase() + &pascal[lower..]
}
