//! What a JSON Schema allows, as far as schemars writes them and serde knows it.
//!
//! A keyword that is not understood is an error that names its place: a validator must not quietly allow more, or less,
//! than the server does. `format`s of text are not checked, because serde's own reading of them is not known here.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::api::{InvalidDocument, SCHEMA_REF};

/// What a value may be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Shape {
    Unknown,
    Never,
    Null,
    Boolean,
    /// Any number, or an integer of a kind.
    Number(Option<Integer>),
    Text,
    Literals(Vec<Value>),
    Array(Box<Self>),
    Tuple(Vec<Self>),
    Object {
        fields: BTreeMap<String, Field>,
        rest: Rest,
    },
    /// An object whose keys match a regular expression.
    Keyed(String, Box<Self>),
    Union(Vec<Variant>),
    Intersection(Vec<Self>),
    /// One of the types of the document.
    Ref(String),
    /// A number within bounds, by their names.
    Bounded(Box<Self>, Vec<(&'static str, Number)>),
    /// Text, an array or an object of a length within bounds.
    Sized(Box<Self>, Vec<(&'static str, Number)>),
    Matching(Box<Self>, String),
}

/// An integer by its number of bits. What is wider than 32 is as wide as JavaScript has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Integer {
    Signed(Option<u8>),
    Unsigned(Option<u8>),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    pub(crate) notes: Notes,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Variant {
    pub(crate) shape: Shape,
    pub(crate) notes: Notes,
}

/// What becomes of fields that have no name in a schema.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Rest {
    Ignored,
    Refused,
    Of(Box<Shape>),
}

/// What is said of a type, a field or a variant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Notes {
    /// Markdown.
    pub(crate) text: String,
    pub(crate) deprecated: bool,
}

impl Notes {
    pub(crate) fn of(schema: &Value) -> Self {
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        Self { text: text.to_owned(), deprecated: schema.get("deprecated") == Some(&Value::Bool(true)) }
    }
}

/// Keywords that say nothing of what a value may be.
const NOTES: [&str; 12] = [
    "$comment",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
];

impl Shape {
    /// What the schema at `path` allows.
    pub(crate) fn parse(schema: &Value, path: &str) -> Result<Self, InvalidDocument> {
        match schema {
            Value::Bool(true) => Ok(Self::Unknown),
            Value::Bool(false) => Ok(Self::Never),
            Value::Object(keywords) => Keywords::new(keywords, path).parse(),
            _ => Err(InvalidDocument::new(path, "a schema is an object, true or false")),
        }
    }

    /// Calls `of` with the name of each type this refers to.
    pub(crate) fn each_ref<'s>(&'s self, of: &mut dyn FnMut(&'s str)) {
        match self {
            Self::Ref(name) => of(name),
            Self::Array(shape)
            | Self::Keyed(_, shape)
            | Self::Bounded(shape, _)
            | Self::Sized(shape, _)
            | Self::Matching(shape, _) => shape.each_ref(of),
            Self::Tuple(shapes) | Self::Intersection(shapes) => {
                shapes.iter().for_each(|shape| shape.each_ref(of));
            }
            Self::Union(variants) => variants.iter().for_each(|variant| variant.shape.each_ref(of)),
            Self::Object { fields, rest } => {
                fields.values().for_each(|field| field.shape.each_ref(of));
                if let Rest::Of(shape) = rest {
                    shape.each_ref(of);
                }
            }
            Self::Unknown | Self::Never | Self::Null | Self::Boolean | Self::Number(_) | Self::Text => {}
            Self::Literals(_) => {}
        }
    }
}

/// The keywords of one schema: each is taken out as it is understood.
struct Keywords<'s> {
    all: &'s Map<String, Value>,
    left: Vec<&'s str>,
    path: &'s str,
}

impl<'s> Keywords<'s> {
    fn new(all: &'s Map<String, Value>, path: &'s str) -> Self {
        let says = |keyword: &&str| !NOTES.contains(keyword) && !keyword.starts_with("x-");
        Self { all, left: all.keys().map(String::as_str).filter(says).collect(), path }
    }

    fn take(&mut self, keyword: &str) -> Option<&'s Value> {
        self.left.retain(|left| *left != keyword);
        self.all.get(keyword)
    }

    fn has(&self, keyword: &str) -> bool {
        self.all.contains_key(keyword)
    }

    fn below(&self, keyword: &str) -> String {
        format!("{}/{keyword}", self.path)
    }

    fn wrong(&self, keyword: &str, problem: &str) -> InvalidDocument {
        InvalidDocument::new(self.below(keyword), problem)
    }

    /// Everything it says holds at once.
    fn parse(mut self) -> Result<Shape, InvalidDocument> {
        let mut shapes = Vec::new();
        if let Some(reference) = self.take("$ref") {
            let name = reference.as_str().and_then(|reference| reference.strip_prefix(SCHEMA_REF));
            shapes.push(Shape::Ref(
                name.ok_or_else(|| self.wrong("$ref", "this refers to no type"))?.to_owned(),
            ));
        }
        let literals = self.literals()?;
        let is_literal = literals.is_some();
        shapes.extend(literals);
        let types = self.types()?;
        if !is_literal && let Some(types) = types {
            let mut variants = Vec::new();
            for ty in types {
                variants.push(Variant { shape: self.typed(ty)?, notes: Notes::default() });
            }
            shapes.push(match variants.len() {
                1 => variants.remove(0).shape,
                _ => Shape::Union(variants),
            });
        }
        for keyword in ["anyOf", "oneOf"] {
            // serde takes the first that fits, and does not look at the others.
            if let Some(schemas) = self.take(keyword) {
                let variant = |schema: &Value, path: &str| {
                    Ok(Variant { shape: Shape::parse(schema, path)?, notes: Notes::of(schema) })
                };
                shapes.push(Shape::Union(self.list(keyword, schemas, variant)?));
            }
        }
        if let Some(schemas) = self.take("allOf") {
            shapes.extend(self.list("allOf", schemas, Shape::parse)?);
        }
        if let Some(keyword) = self.left.first() {
            return Err(self.wrong(keyword, "this keyword is not understood here"));
        }
        Ok(match shapes.len() {
            0 => Shape::Unknown,
            1 => shapes.remove(0),
            _ => Shape::Intersection(shapes),
        })
    }

    fn literals(&mut self) -> Result<Option<Shape>, InvalidDocument> {
        let (keyword, values) = match (self.take("const"), self.take("enum")) {
            (Some(value), _) => ("const", vec![value.clone()]),
            (None, Some(Value::Array(values))) => ("enum", values.clone()),
            (None, Some(_)) => return Err(self.wrong("enum", "this must be an array")),
            (None, None) => return Ok(None),
        };
        if values.iter().any(|value| value.is_array() || value.is_object()) {
            return Err(self.wrong(keyword, "only text, numbers, true, false and null are understood here"));
        }
        Ok(Some(Shape::Literals(values)))
    }

    /// The types it names, or those of which keywords speak.
    fn types(&mut self) -> Result<Option<Vec<&'s str>>, InvalidDocument> {
        let texts = |values: &'s [Value]| values.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
        match self.take("type") {
            Some(Value::String(ty)) => Ok(Some(vec![ty])),
            Some(Value::Array(types)) => match texts(types) {
                Some(types) => Ok(Some(types)),
                None => Err(self.wrong("type", "this must be the names of types")),
            },
            Some(_) => Err(self.wrong("type", "this must be the name of a type, or several")),
            None if OBJECTS.iter().any(|keyword| self.has(keyword)) => Ok(Some(vec!["object"])),
            None => Ok(None),
        }
    }

    fn typed(&mut self, ty: &str) -> Result<Shape, InvalidDocument> {
        match ty {
            "null" => Ok(Shape::Null),
            "boolean" => Ok(Shape::Boolean),
            "integer" | "number" => self.number(ty == "integer"),
            "string" => {
                let shape = self.sized(Shape::Text, "minLength", "maxLength")?;
                match self.take("pattern") {
                    None => Ok(shape),
                    Some(pattern) => {
                        Ok(Shape::Matching(Box::new(shape), self.expression("pattern", pattern)?))
                    }
                }
            }
            "array" => self.array(),
            "object" => self.object(),
            _ => Err(self.wrong("type", "there is no such type")),
        }
    }

    fn number(&mut self, integer: bool) -> Result<Shape, InvalidDocument> {
        let kind = match self.all.get("format").and_then(Value::as_str) {
            _ if !integer => None,
            Some("int8") => Some(Integer::Signed(Some(8))),
            Some("int16") => Some(Integer::Signed(Some(16))),
            Some("int32") => Some(Integer::Signed(Some(32))),
            Some("uint8") => Some(Integer::Unsigned(Some(8))),
            Some("uint16") => Some(Integer::Unsigned(Some(16))),
            Some("uint32") => Some(Integer::Unsigned(Some(32))),
            Some("uint64" | "uint128" | "uint") => Some(Integer::Unsigned(None)),
            _ => Some(Integer::Signed(None)),
        };
        let mut bounds = Vec::new();
        let names = [
            ("minimum", "min"),
            ("maximum", "max"),
            ("exclusiveMinimum", "above"),
            ("exclusiveMaximum", "below"),
        ];
        for (keyword, name) in names {
            match self.take(keyword) {
                Some(Value::Number(bound)) if kind.is_some_and(|kind| kind.implies(keyword, bound)) => {}
                Some(Value::Number(bound)) => bounds.push((name, bound.clone())),
                Some(_) => return Err(self.wrong(keyword, "this must be a number")),
                None => {}
            }
        }
        let shape = Shape::Number(kind);
        Ok(if bounds.is_empty() { shape } else { Shape::Bounded(Box::new(shape), bounds) })
    }

    fn array(&mut self) -> Result<Shape, InvalidDocument> {
        if let Some(Value::Array(items)) = self.all.get("items") {
            self.take("items");
            let items = self.list("items", &Value::Array(items.clone()), Shape::parse)?;
            let exactly = Some(&Value::from(items.len()));
            // A tuple of serde's has neither more nor fewer.
            if self.take("minItems") == exactly && self.take("maxItems") == exactly {
                return Ok(Shape::Tuple(items));
            }
            return Err(self.wrong("items", "an array that begins like this must also end there"));
        }
        if self.all.get("maxItems") == Some(&Value::from(0)) {
            for keyword in ["items", "minItems", "maxItems"] {
                self.take(keyword);
            }
            return Ok(Shape::Tuple(Vec::new()));
        }
        let items = match self.take("items") {
            Some(items) => Shape::parse(items, &self.below("items"))?,
            None => Shape::Unknown,
        };
        // serde takes what is there twice once.
        self.take("uniqueItems");
        self.sized(Shape::Array(Box::new(items)), "minItems", "maxItems")
    }

    fn object(&mut self) -> Result<Shape, InvalidDocument> {
        let required = match self.take("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(_) => return Err(self.wrong("required", "this must be an array")),
            None => Vec::new(),
        };
        let mut fields = BTreeMap::new();
        for (name, schema) in self.members("properties")? {
            let shape = Shape::parse(schema, &format!("{}/{name}", self.below("properties")))?;
            let field =
                Field { shape, required: required.contains(&name.as_str()), notes: Notes::of(schema) };
            fields.insert(name.clone(), field);
        }
        for name in required {
            let any = || Field { shape: Shape::Unknown, required: true, notes: Notes::default() };
            fields.entry(name.to_owned()).or_insert_with(any);
        }
        let rest = match self.take("additionalProperties") {
            None | Some(Value::Bool(true)) => Rest::Ignored,
            Some(Value::Bool(false)) => Rest::Refused,
            Some(schema) => Rest::Of(Box::new(Shape::parse(schema, &self.below("additionalProperties"))?)),
        };
        let patterns = self.members("patternProperties")?;
        let shape = match (&patterns[..], &rest) {
            ([], _) => Shape::Object { fields, rest },
            ([(pattern, schema)], Rest::Refused) if fields.is_empty() => {
                let path = format!("{}/{pattern}", self.below("patternProperties"));
                let pattern = self.expression("patternProperties", &Value::String((*pattern).clone()))?;
                Shape::Keyed(pattern, Box::new(Shape::parse(schema, &path)?))
            }
            _ => {
                let problem = "only one pattern, without properties and with `additionalProperties: false`, is understood";
                return Err(self.wrong("patternProperties", problem));
            }
        };
        self.sized(shape, "minProperties", "maxProperties")
    }

    fn members(&mut self, keyword: &str) -> Result<Vec<(&'s String, &'s Value)>, InvalidDocument> {
        match self.take(keyword) {
            Some(Value::Object(members)) => Ok(members.iter().collect()),
            Some(_) => Err(self.wrong(keyword, "this must be an object")),
            None => Ok(Vec::new()),
        }
    }

    fn list<T>(
        &self,
        keyword: &str,
        schemas: &Value,
        parse: impl Fn(&Value, &str) -> Result<T, InvalidDocument>,
    ) -> Result<Vec<T>, InvalidDocument> {
        let Value::Array(schemas) = schemas else { return Err(self.wrong(keyword, "this must be an array")) };
        let path = self.below(keyword);
        schemas.iter().enumerate().map(|(index, schema)| parse(schema, &format!("{path}/{index}"))).collect()
    }

    fn sized(&mut self, shape: Shape, min: &str, max: &str) -> Result<Shape, InvalidDocument> {
        let mut bounds = Vec::new();
        for (keyword, name) in [(min, "min"), (max, "max")] {
            match self.take(keyword) {
                Some(Value::Number(bound)) => bounds.push((name, bound.clone())),
                Some(_) => return Err(self.wrong(keyword, "this must be a number")),
                None => {}
            }
        }
        Ok(if bounds.is_empty() { shape } else { Shape::Sized(Box::new(shape), bounds) })
    }

    /// A regular expression that means the same to JavaScript.
    fn expression(&self, keyword: &str, expression: &Value) -> Result<String, InvalidDocument> {
        let Some(text) = expression.as_str() else { return Err(self.wrong(keyword, "this must be text")) };
        let groups = text
            .match_indices("(?")
            .all(|(at, _)| ["(?:", "(?=", "(?!"].iter().any(|known| text[at..].starts_with(known)));
        let only_rust = ["\\A", "\\z", "\\a", "[[:", "&&", "~~", "\\<", "\\>", "\\x{", "\\u{", "\\pL"];
        if !groups || only_rust.iter().any(|only| text.contains(only)) {
            return Err(
                self.wrong(keyword, "this regular expression means something else to JavaScript, or nothing")
            );
        }
        Ok(text.to_owned())
    }
}

/// Keywords that speak of objects.
const OBJECTS: [&str; 4] = ["properties", "required", "additionalProperties", "patternProperties"];

impl Integer {
    /// Whether a bound says nothing that the type does not.
    fn implies(self, keyword: &str, bound: &Number) -> bool {
        let (least, most) = match self {
            Self::Signed(None) => (i64::MIN, i64::MAX),
            Self::Unsigned(None) => (0, i64::MAX),
            Self::Signed(Some(bits)) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Self::Unsigned(Some(bits)) => (0, (1 << bits) - 1),
        };
        match keyword {
            "minimum" => bound.as_i64() == Some(least),
            "maximum" => bound.as_i64() == Some(most),
            _ => false,
        }
    }
}
