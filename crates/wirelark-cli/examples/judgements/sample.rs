//! Values that fit a schema.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};
use wirelark_cli::api::Api;

/// Where what contains itself comes to an end.
const DEPTH_MAX: usize = 6;

pub(crate) struct Samples<'a> {
    api: &'a Api,
    random: &'a mut StdRng,
    depth: usize,
}

impl<'a> Samples<'a> {
    pub(crate) fn new(api: &'a Api, random: &'a mut StdRng) -> Self {
        Self { api, random, depth: 0 }
    }

    pub(crate) fn of(&mut self, schema: &Value) -> Value {
        self.depth += 1;
        let value = self.of_next(schema);
        self.depth -= 1;
        value
    }

    fn of_next(&mut self, schema: &Value) -> Value {
        if let Some((_, schema)) = self.api.referred(schema) {
            return self.of(schema);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(Value::Array(values)) = schema.get("enum") {
            return self.one_of(values).clone();
        }
        let mut value = match schema.get("type") {
            Some(Value::Array(types)) => {
                let ty = self.one_of(types).clone();
                self.of_type(ty.as_str().unwrap_or_default(), schema)
            }
            Some(ty) => self.of_type(ty.as_str().unwrap_or_default(), schema),
            None => json!("anything"),
        };
        for keyword in ["anyOf", "oneOf", "allOf"] {
            let Some(Value::Array(schemas)) = schema.get(keyword) else { continue };
            let chosen = match (keyword, self.depth > DEPTH_MAX) {
                ("allOf", _) => schemas.clone(),
                // The first of an enum contains nothing, and the last of an option is null.
                ("oneOf", true) => vec![schemas[0].clone()],
                ("anyOf", true) => schemas.last().cloned().into_iter().collect(),
                _ => vec![self.one_of(schemas).clone()],
            };
            for schema in &chosen {
                value = both(value, self.of(schema));
            }
        }
        value
    }

    fn of_type(&mut self, ty: &str, schema: &Value) -> Value {
        match ty {
            "null" => Value::Null,
            "boolean" => json!(self.random.random_bool(0.5)),
            "integer" => json!(self.integer(schema)),
            "number" => json!(f64::from(self.random.random_range(-1000..1000)) + 0.25),
            "string" => json!(self.text(schema)),
            "array" => self.array(schema),
            _ => self.object(schema),
        }
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let safe = (1 << 53) - 1;
        let (least, most) = match schema.get("format").and_then(Value::as_str) {
            Some("int8") => (-128, 127),
            Some("int16") => (-32_768, 32_767),
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Some("uint8") => (0, 255),
            Some("uint16") => (0, 65_535),
            Some("uint32") => (0, i64::from(u32::MAX)),
            Some(format) if format.starts_with('u') => (0, safe),
            _ => (-safe, safe),
        };
        match self.random.random_range(0..4) {
            0 => least,
            1 => most,
            _ => self.random.random_range(least..=most),
        }
    }

    fn text(&mut self, schema: &Value) -> String {
        if schema.get("pattern").is_some() {
            return self.random.random_range(0..1_000_000).to_string();
        }
        let one = schema.get("maxLength").and_then(Value::as_u64) == Some(1);
        let texts: &[&str] =
            if one { &["a", "🦀", "é", "\""] } else { &["", "text", "🦀🦀", "\u{2028}\\"] };
        self.one_of(texts).to_string()
    }

    fn array(&mut self, schema: &Value) -> Value {
        if let Some(Value::Array(items)) = schema.get("items") {
            return items.iter().map(|item| self.of(item)).collect();
        }
        let most = if self.depth > DEPTH_MAX { 0 } else { 3 };
        let len = match schema.get("maxItems").and_then(Value::as_u64) {
            Some(len) => len,
            None => self.random.random_range(0..=most),
        };
        let items = schema.get("items").cloned().unwrap_or_default();
        (0..len).map(|_| self.of(&items)).collect()
    }

    fn object(&mut self, schema: &Value) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> = match schema.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if required.contains(&name.as_str()) || self.random.random_bool(0.5) {
                object.insert(name.clone(), self.of(schema));
            }
        }
        for schema in
            schema.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::values)
        {
            for _ in 0..self.random.random_range(0..3) {
                object.insert(self.random.random_range(0..100).to_string(), self.of(schema));
            }
        }
        if let Some(schema @ Value::Object(_)) = schema.get("additionalProperties") {
            // A schema does not say which keys a map of characters or of `bool`s has.
            for _ in 0..self.random.random_range(0..2) {
                let key = self.one_of(&["", "__proto__", "a", "true"]).to_string();
                object.entry(key).or_insert(self.of(schema));
            }
        }
        Value::Object(object)
    }

    fn one_of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        all.choose(self.random).expect("a schema offers at least one of them")
    }
}

/// What fits one schema, with what fits another.
fn both(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (key, value) in other {
                one.entry(key).or_insert(value);
            }
            Value::Object(one)
        }
        (_, other) => other,
    }
}
