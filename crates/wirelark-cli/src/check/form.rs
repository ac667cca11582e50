//! What a schema allows, in a form in which two schemas can be compared.
//!
//! A schema becomes a list of forms: a value fits the schema if it fits one of them. References are followed, `allOf`
//! and keywords beside a `oneOf` are worked into each form, and what stands inside a list or an object stays a
//! [`Place`], to be looked at when it is its turn. That way a type may contain itself. (Its shape as it was written,
//! which a generated module needs, is something else: [`crate::shape`].)
//!
//! Nothing is guessed: a keyword that is not understood is kept as it is, and whoever compares has to find the same
//! one on the other side.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use serde_json::{Map, Value};

/// Forms of one place beyond which nobody could read what we would say about it.
const FORMS_MAX: usize = 512;

/// The types that the schemas of one document refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definitions<'a>(&'a BTreeMap<String, Value>);

/// The schemas that a value at one place must fit, all of them.
///
/// Two places are equal if they have the same schemas of the same document: not alike, but the very same.
#[derive(Clone, Debug)]
pub(super) struct Place<'a>(Vec<&'a Value>);

/// One of the forms a value may have.
#[derive(Clone, Debug)]
pub(super) struct Form<'a> {
    pub(super) kind: Kind<'a>,
    /// Keywords whose meaning we do not know, or do not compare but for equality, such as `pattern`.
    pub(super) rules: BTreeMap<&'a str, &'a Value>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind<'a> {
    Anything,
    /// Exactly this: null, a boolean, or one value of an enum.
    Literal(&'a Value),
    Number(Numbers),
    Text(Texts),
    List(Lists<'a>),
    Object(Objects<'a>),
    /// Cannot be told, for this reason. It is neither taken by anything that is not anything, nor takes something.
    Unknown(&'static str),
}

/// Numbers from one to another, both included.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Numbers {
    pub(super) whole: bool,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// Texts of so many characters.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Texts {
    pub(super) len_min: u64,
    pub(super) len_max: u64,
    /// A `BigInt`: the digits of one of these.
    pub(super) digits: Option<Numbers>,
}

/// Lists of so many values: the first ones of their own schemas, all others of one.
#[derive(Clone, Debug)]
pub(super) struct Lists<'a> {
    first: Vec<Place<'a>>,
    others: Place<'a>,
    pub(super) len_min: u64,
    pub(super) len_max: u64,
}

/// Values by name.
#[derive(Clone, Debug)]
pub(super) struct Objects<'a> {
    pub(super) fields: BTreeMap<&'a str, Place<'a>>,
    pub(super) required: BTreeSet<&'a str>,
    /// Values whose names have a pattern.
    pub(super) patterns: BTreeMap<&'a str, Place<'a>>,
    pub(super) others: Others<'a>,
}

/// What becomes of fields with other names.
#[derive(Clone, Debug)]
pub(super) enum Others<'a> {
    /// Nobody sends them, and who receives one ignores it: a struct.
    Ignored,
    /// They are an error: a struct that denies unknown fields.
    Denied,
    /// They are what it is about: a map.
    Taken(Place<'a>),
}

impl<'a> Definitions<'a> {
    pub(super) fn new(definitions: &'a BTreeMap<String, Value>) -> Self {
        Self(definitions)
    }

    /// The type that a reference is about, and its name.
    pub(super) fn resolve(self, reference: &'a str) -> Option<&'a Value> {
        self.0.get(definition_name(reference)?)
    }

    /// The forms of what fits all schemas of a place. None of them: nothing fits.
    pub(super) fn forms(self, place: &Place<'a>) -> Vec<Form<'a>> {
        let mut refs = Vec::new();
        let each = place.0.iter().map(|schema| self.forms_of(schema, &mut refs));
        limited(each.fold(vec![Form::ANYTHING], |forms, also| meet_each(&forms, &also)))
    }

    /// `refs` are the references that were followed to come here, without entering a list or an object.
    fn forms_of(self, schema: &'a Value, refs: &mut Vec<&'a str>) -> Vec<Form<'a>> {
        let keywords = match schema {
            Value::Bool(true) => return vec![Form::ANYTHING],
            Value::Bool(false) => return Vec::new(),
            Value::Object(keywords) => keywords,
            _ => return vec![Form::unknown("it is no JSON Schema")],
        };
        let mut forms = plain_forms(keywords);
        if let Some(reference) = keywords.get("$ref") {
            forms = meet_each(&forms, &self.forms_of_ref(reference, refs));
        }
        for one_of in ["oneOf", "anyOf"].into_iter().filter_map(|keyword| keywords.get(keyword)) {
            // Of a `oneOf`, too, serde takes the first that fits.
            let union: Vec<_> = list(one_of).iter().flat_map(|schema| self.forms_of(schema, refs)).collect();
            forms = limited(meet_each(&forms, &union));
        }
        for schema in keywords.get("allOf").map(list).unwrap_or_default() {
            forms = limited(meet_each(&forms, &self.forms_of(schema, refs)));
        }
        forms
    }

    fn forms_of_ref(self, reference: &'a Value, refs: &mut Vec<&'a str>) -> Vec<Form<'a>> {
        let Some(reference) = reference.as_str() else {
            return vec![Form::unknown("its reference is no text")];
        };
        let Some(schema) = self.resolve(reference) else {
            return vec![Form::unknown("it refers to a type that is not in the document")];
        };
        if refs.contains(&reference) {
            return vec![Form::unknown("its type is nothing but itself")];
        }
        refs.push(reference);
        let forms = self.forms_of(schema, refs);
        refs.pop();
        forms
    }
}

/// The name of the type that a reference is about.
pub(super) fn definition_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/components/schemas/")
}

impl<'a> Place<'a> {
    pub(super) fn new(schema: &'a Value) -> Self {
        Self(vec![schema])
    }

    const fn of_anything() -> Self {
        Self(Vec::new())
    }

    /// The name of its type, if that is all there is to say.
    pub(super) fn type_name(&self) -> Option<&'a str> {
        let [Value::Object(keywords)] = self.0[..] else { return None };
        let reference = match (keywords.get("$ref"), keywords.get("allOf").map(list)) {
            (Some(reference), None) => reference,
            (None, Some([Value::Object(only)])) if is_annotated(keywords) => only.get("$ref")?,
            _ => return None,
        };
        definition_name(reference.as_str()?)
    }

    /// The places of which it is one, if that is all there is to say.
    pub(super) fn alternatives(&self) -> Option<Vec<Self>> {
        let [Value::Object(keywords)] = self.0[..] else { return None };
        let all = keywords.get("anyOf").map(list)?;
        let alone = keywords.keys().all(|keyword| keyword == "anyOf" || READ.contains(&&**keyword));
        alone.then(|| all.iter().map(Place::new).collect())
    }

    /// What has to fit both.
    fn and(&self, other: &Self) -> Self {
        let mut schemas = self.0.clone();
        schemas
            .extend(other.0.iter().filter(|schema| !self.0.iter().any(|ours| std::ptr::eq(*ours, **schema))));
        Self(schemas)
    }

    fn addresses(&self) -> impl Iterator<Item = *const Value> {
        self.0.iter().map(|schema| std::ptr::from_ref(*schema))
    }
}

/// Whether there is nothing but one `allOf` and what people read: a reference with a description.
fn is_annotated(keywords: &Map<String, Value>) -> bool {
    keywords.keys().all(|keyword| keyword == "allOf" || READ.contains(&&**keyword))
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.addresses().eq(other.addresses())
    }
}

impl Eq for Place<'_> {}

impl Hash for Place<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.addresses().for_each(|address| address.hash(state));
    }
}

/// Keywords that say nothing about which values fit. A list without doubles is one for JSON Schema, but serde makes a
/// set of any.
const READ: [&str; 13] = [
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "uniqueItems",
    "writeOnly",
];

/// Keywords of which each schema's forms are made, beside those for a type.
const STRUCTURE: [&str; 7] = ["$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type"];

const FOR_NUMBERS: [&str; 4] = ["exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"];
const FOR_TEXTS: [&str; 2] = ["maxLength", "minLength"];
const FOR_LISTS: [&str; 5] = ["additionalItems", "items", "maxItems", "minItems", "prefixItems"];
const FOR_OBJECTS: [&str; 4] = ["additionalProperties", "patternProperties", "properties", "required"];
const TYPES: [&str; 6] = ["array", "boolean", "null", "number", "object", "string"];

static NULL: Value = Value::Null;
static TRUE: Value = Value::Bool(true);
static FALSE: Value = Value::Bool(false);

/// The forms of a schema's own keywords, before those that combine schemas.
fn plain_forms<'a>(keywords: &'a Map<String, Value>) -> Vec<Form<'a>> {
    if keywords.get("not").is_some_and(is_anything) {
        return Vec::new();
    }
    let mut forms = match keywords.get("type") {
        Some(Value::String(name)) => of_type(name, keywords),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).flat_map(|name| of_type(name, keywords)).collect()
        }
        // What is said about objects holds if the value is one.
        _ if about_a_type(keywords) => TYPES.into_iter().flat_map(|name| of_type(name, keywords)).collect(),
        _ => vec![Form::ANYTHING],
    };
    let literals = match (keywords.get("const"), keywords.get("enum")) {
        (Some(value), _) => Some(std::slice::from_ref(value)),
        (None, values) => values.map(list),
    };
    if let Some(literals) = literals {
        let literals: Vec<_> = literals.iter().map(Form::literal).collect();
        forms = meet_each(&forms, &literals);
    }
    let understood = [&FOR_TEXTS[..], &FOR_LISTS, &FOR_OBJECTS, &STRUCTURE, &READ].concat();
    for (keyword, value) in keywords {
        if !understood.contains(&&**keyword) && !keyword.starts_with("x-") {
            for form in forms.iter_mut().filter(|form| !form.has_made_use_of(keyword)) {
                form.rules.insert(keyword, value);
            }
        }
    }
    forms
}

fn about_a_type(keywords: &Map<String, Value>) -> bool {
    let about = [&FOR_NUMBERS[..], &FOR_TEXTS, &FOR_LISTS, &FOR_OBJECTS].concat();
    keywords.keys().any(|keyword| about.contains(&&**keyword))
}

fn is_anything(schema: &Value) -> bool {
    matches!(schema, Value::Bool(true)) || schema.as_object().is_some_and(Map::is_empty)
}

fn of_type<'a>(name: &str, keywords: &'a Map<String, Value>) -> Vec<Form<'a>> {
    let kind = match name {
        "null" => Kind::Literal(&NULL),
        "boolean" => return vec![Form::literal(&TRUE), Form::literal(&FALSE)],
        "integer" | "number" => Kind::Number(Numbers::new(name == "integer", keywords)),
        "string" => Kind::Text(Texts::new(keywords)),
        "array" => Kind::List(Lists::new(keywords)),
        "object" => Kind::Object(Objects::new(keywords)),
        _ => Kind::Unknown("its type is none of JSON's"),
    };
    vec![kind.into()]
}

impl<'a> Form<'a> {
    const ANYTHING: Self = Self { kind: Kind::Anything, rules: BTreeMap::new() };

    fn literal(value: &'a Value) -> Self {
        Kind::Literal(value).into()
    }

    fn unknown(why: &'static str) -> Self {
        Kind::Unknown(why).into()
    }

    /// Whether a keyword says nothing about this kind of value, or is part of the kind already.
    fn has_made_use_of(&self, keyword: &str) -> bool {
        let is_number = matches!(self.kind, Kind::Number(_));
        let is_text = matches!(self.kind, Kind::Text(_));
        match keyword {
            "maximum" | "minimum" => true,
            "exclusiveMaximum" | "exclusiveMinimum" => {
                !matches!(self.kind, Kind::Number(Numbers { whole: false, .. }))
            }
            "multipleOf" => !is_number,
            "format" | "pattern" => {
                !is_text || matches!(self.kind, Kind::Text(Texts { digits: Some(_), .. }))
            }
            _ => false,
        }
    }

    /// What fits both; none if nothing does.
    fn meet(&self, other: &Self) -> Option<Self> {
        let kind = self.kind.meet(&other.kind)?;
        let mut rules = self.rules.clone();
        for (keyword, value) in &other.rules {
            if rules.insert(keyword, value).is_some_and(|ours| ours != *value) {
                return Some(Self::unknown("it has the same keyword twice"));
            }
        }
        Some(Self { kind, rules })
    }
}

impl<'a> From<Kind<'a>> for Form<'a> {
    fn from(kind: Kind<'a>) -> Self {
        Self { kind, rules: BTreeMap::new() }
    }
}

impl<'a> Kind<'a> {
    fn meet(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Unknown(why), _) | (_, Self::Unknown(why)) => Self::Unknown(why),
            (Self::Anything, kind) | (kind, Self::Anything) => kind.clone(),
            (Self::Literal(ours), Self::Literal(theirs)) => {
                return same_value(ours, theirs).then(|| self.clone());
            }
            (Self::Literal(value), kind) | (kind, Self::Literal(value)) => match kind.takes(value) {
                Some(takes) => return takes.then_some(Self::Literal(value)),
                None => Self::Unknown("it is one value of a list or an object"),
            },
            (Self::Number(ours), Self::Number(theirs)) => Self::Number(ours.meet(*theirs)?),
            (Self::Text(ours), Self::Text(theirs)) => Self::Text(ours.meet(*theirs)?),
            (Self::List(ours), Self::List(theirs)) => Self::List(ours.meet(theirs)?),
            (Self::Object(ours), Self::Object(theirs)) => Self::Object(ours.meet(theirs)),
            _ => return None,
        })
    }

    /// Whether a value fits; none if that cannot be told from here.
    pub(super) fn takes(&self, value: &Value) -> Option<bool> {
        Some(match (self, value) {
            (Self::Anything, _) => true,
            (Self::Literal(literal), value) => same_value(literal, value),
            (Self::Number(numbers), Value::Number(number)) => numbers.takes(number.as_f64()?),
            (Self::Text(texts), Value::String(text)) => texts.takes(text),
            (Self::List(_), Value::Array(_))
            | (Self::Object(_), Value::Object(_))
            | (Self::Unknown(_), _) => {
                return None;
            }
            _ => false,
        })
    }
}

/// One number may be written in several ways.
pub(super) fn same_value(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        _ => ours == theirs,
    }
}

impl Numbers {
    /// What a JavaScript number holds exactly; our servers and Rust clients write no other integers.
    pub(super) const EXACT: Self =
        Self { whole: true, min: -9_007_199_254_740_991.0, max: 9_007_199_254_740_991.0 };

    fn new(whole: bool, keywords: &Map<String, Value>) -> Self {
        let mut numbers = Self { whole, min: f64::NEG_INFINITY, max: f64::INFINITY };
        let limit = |keyword| keywords.get(keyword).and_then(Value::as_f64);
        match keywords.get("format").and_then(Value::as_str) {
            // Larger ones are not read as infinite but refused.
            Some("float") => (numbers.min, numbers.max) = (f32::MIN.into(), f32::MAX.into()),
            Some(format) if whole => numbers = Self::of_format(format).unwrap_or(numbers),
            _ => {}
        }
        // Of fractions an excluded limit stays a rule.
        let beyond = |keyword, step| limit(keyword).filter(|_| whole).map(|limit| limit + step);
        for min in [limit("minimum"), beyond("exclusiveMinimum", 1.0)].into_iter().flatten() {
            numbers.min = numbers.min.max(min);
        }
        for max in [limit("maximum"), beyond("exclusiveMaximum", -1.0)].into_iter().flatten() {
            numbers.max = numbers.max.min(max);
        }
        numbers
    }

    /// The integers that schemars gives this format.
    fn of_format(format: &str) -> Option<Self> {
        let (signed, bits) = match format.strip_prefix('u') {
            Some(rest) => (false, rest.strip_prefix("int")?),
            None => (true, format.strip_prefix("int")?),
        };
        let bits: i32 = match bits {
            "" => 64,
            "8" | "16" | "32" | "64" | "128" => bits.parse().ok()?,
            _ => return None,
        };
        Some(if signed {
            let half = 2_f64.powi(bits - 1);
            Self { whole: true, min: -half, max: half - 1.0 }
        } else {
            Self { whole: true, min: 0.0, max: 2_f64.powi(bits) - 1.0 }
        })
    }

    pub(super) fn meet(self, other: Self) -> Option<Self> {
        let whole = self.whole || other.whole;
        let numbers = Self { whole, min: self.min.max(other.min), max: self.max.min(other.max) };
        (numbers.min <= numbers.max).then_some(numbers)
    }

    fn takes(self, number: f64) -> bool {
        (!self.whole || number.fract() == 0.0) && (self.min..=self.max).contains(&number)
    }

    /// Whether each of the others is one of these.
    pub(super) fn take_all(self, others: Self) -> bool {
        (others.whole || !self.whole) && self.min <= others.min && others.max <= self.max
    }
}

impl Texts {
    fn new(keywords: &Map<String, Value>) -> Self {
        let limit = |keyword| keywords.get(keyword).and_then(Value::as_u64);
        let text = |keyword| keywords.get(keyword).and_then(Value::as_str);
        let digits = match (text("format"), text("pattern")) {
            (Some(format), Some("^[0-9]+$" | "^-?[0-9]+$")) => Numbers::of_format(format),
            _ => None,
        };
        Self {
            len_min: limit("minLength").unwrap_or(0),
            len_max: limit("maxLength").unwrap_or(u64::MAX),
            digits,
        }
    }

    fn meet(self, other: Self) -> Option<Self> {
        let digits = match (self.digits, other.digits) {
            (Some(ours), Some(theirs)) => Some(ours.meet(theirs)?),
            (ours, theirs) => ours.or(theirs),
        };
        let texts = Self {
            len_min: self.len_min.max(other.len_min),
            len_max: self.len_max.min(other.len_max),
            digits,
        };
        (texts.len_min <= texts.len_max).then_some(texts)
    }

    fn takes(self, text: &str) -> bool {
        let len = text.chars().count() as u64;
        let digits = self.digits.is_none_or(|digits| text.parse().is_ok_and(|number| digits.takes(number)));
        digits && (self.len_min..=self.len_max).contains(&len)
    }

    /// Whether each of the others is one of these.
    pub(super) fn take_all(self, others: Self) -> bool {
        let digits = match (self.digits, others.digits) {
            (None, _) => true,
            (Some(ours), Some(theirs)) => ours.take_all(theirs),
            (Some(_), None) => false,
        };
        digits && self.len_min <= others.len_min && others.len_max <= self.len_max
    }
}

impl<'a> Lists<'a> {
    fn new(keywords: &'a Map<String, Value>) -> Self {
        let limit = |keyword| keywords.get(keyword).and_then(Value::as_u64);
        // Tuples are written in two ways: with `prefixItems`, or with several `items` as in draft 7.
        let (first, others) = match (keywords.get("prefixItems"), keywords.get("items")) {
            (Some(first), others) => (list(first), others),
            (None, Some(Value::Array(first))) => (&first[..], keywords.get("additionalItems")),
            (None, others) => (&[][..], others),
        };
        let mut len_max = limit("maxItems").unwrap_or(u64::MAX);
        if matches!(others, Some(Value::Bool(false))) {
            len_max = len_max.min(first.len() as u64);
        }
        Self {
            first: first.iter().map(Place::new).collect(),
            others: others.map_or_else(Place::of_anything, Place::new),
            len_min: limit("minItems").unwrap_or(0),
            len_max,
        }
    }

    fn meet(&self, other: &Self) -> Option<Self> {
        let first = self.first.len().max(other.first.len());
        let lists = Self {
            first: (0..first).map(|index| self.at(index).and(other.at(index))).collect(),
            others: self.others.and(&other.others),
            len_min: self.len_min.max(other.len_min),
            len_max: self.len_max.min(other.len_max),
        };
        (lists.len_min <= lists.len_max).then_some(lists)
    }

    /// What stands at this index, if the list is so long.
    pub(super) fn at(&self, index: usize) -> &Place<'a> {
        self.first.get(index).unwrap_or(&self.others)
    }

    /// How many values have a schema of their own.
    pub(super) fn first_len(&self) -> usize {
        self.first.len()
    }

    /// Whether it is always of one length.
    pub(super) fn is_tuple(&self) -> bool {
        self.len_min == self.len_max
    }
}

impl<'a> Objects<'a> {
    fn new(keywords: &'a Map<String, Value>) -> Self {
        let named = |keyword| {
            let schemas = keywords.get(keyword).and_then(Value::as_object).into_iter().flatten();
            schemas.map(|(name, schema): (&'a String, &'a Value)| (&**name, Place::new(schema))).collect()
        };
        let required = keywords.get("required").map(list).unwrap_or_default();
        Self {
            fields: named("properties"),
            required: required.iter().filter_map(Value::as_str).collect(),
            patterns: named("patternProperties"),
            others: match keywords.get("additionalProperties") {
                None => Others::Ignored,
                Some(Value::Bool(false)) => Others::Denied,
                Some(schema) => Others::Taken(Place::new(schema)),
            },
        }
    }

    /// Two parts of one object: what a field means in both it must be, and its fields are those of both. That holds
    /// for a part that denies unknown fields, too: serde gives each part its own fields only.
    fn meet(&self, other: &Self) -> Self {
        Self {
            fields: both(&self.fields, &other.fields),
            required: &self.required | &other.required,
            patterns: both(&self.patterns, &other.patterns),
            others: match (&self.others, &other.others) {
                (Others::Taken(ours), Others::Taken(theirs)) => Others::Taken(ours.and(theirs)),
                (Others::Ignored, others) | (others, Others::Ignored) => others.clone(),
                (Others::Denied, _) | (_, Others::Denied) => Others::Denied,
            },
        }
    }
}

fn both<'a>(
    ours: &BTreeMap<&'a str, Place<'a>>,
    theirs: &BTreeMap<&'a str, Place<'a>>,
) -> BTreeMap<&'a str, Place<'a>> {
    let mut both = ours.clone();
    for (name, place) in theirs {
        both.entry(name).and_modify(|ours| *ours = ours.and(place)).or_insert_with(|| place.clone());
    }
    both
}

fn meet_each<'a>(ours: &[Form<'a>], theirs: &[Form<'a>]) -> Vec<Form<'a>> {
    ours.iter().flat_map(|our| theirs.iter().filter_map(|their| our.meet(their))).collect()
}

fn limited(forms: Vec<Form<'_>>) -> Vec<Form<'_>> {
    if forms.len() > FORMS_MAX { vec![Form::unknown("it has too many variants")] } else { forms }
}

/// A keyword's value as a list; what is none has nothing in it.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
