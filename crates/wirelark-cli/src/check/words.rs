//! Schemas in words, for people who know their types better than JSON Schema.

use super::form::{Definitions, Form, Kind, Lists, Numbers, Objects, Others, Place, Texts};

/// How far we look into a value before a type is a word.
const DEPTH_MAX: usize = 2;
/// Fields, variants and elements that are shown before the rest is counted.
const SHOWN_MAX: usize = 8;

/// What may stand at a place.
pub(super) fn of_place<'a>(definitions: Definitions<'a>, place: &Place<'a>) -> String {
    Words { definitions, depth: 0 }.inside(place)
}

/// What has one of these forms.
pub(super) fn of_forms<'a>(definitions: Definitions<'a>, forms: &[Form<'a>]) -> String {
    Words { definitions, depth: 0 }.forms(forms)
}

/// A list with its length.
pub(super) fn of_list<'a>(definitions: Definitions<'a>, list: &Lists<'a>) -> String {
    Words { definitions, depth: 0 }.list(list)
}

/// A field, as part of a path.
pub(super) fn of_field(name: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_$-".contains(character);
    if !name.is_empty() && name.chars().all(plain) { format!(".{name}") } else { format!("[{name:?}]") }
}

/// What keys a map takes.
pub(super) fn of_keys(objects: &Objects<'_>) -> String {
    let fields = objects.fields.keys().map(|name| format!("{name:?} as key"));
    let patterns = objects.patterns.keys().map(|pattern| of_key_pattern(pattern));
    let keys: Vec<_> = fields.chain(patterns).collect();
    if keys.is_empty() { "no key".to_owned() } else { either(&keys) }
}

/// What keys have this pattern.
pub(super) fn of_key_pattern(pattern: &str) -> String {
    match pattern {
        r"^\d+$" => "integer from 0 as key".to_owned(),
        r"^-?\d+$" => "integer as key".to_owned(),
        other => format!("text as key (pattern: {other})"),
    }
}

struct Words<'a> {
    definitions: Definitions<'a>,
    depth: usize,
}

impl<'a> Words<'a> {
    /// A place inside of what is being told: types that have a name are not told again.
    fn inside(&self, place: &Place<'a>) -> String {
        let inside = Self { definitions: self.definitions, depth: self.depth + 1 };
        match (place.type_name(), place.alternatives()) {
            (Some(name), _) => name.to_owned(),
            (None, _) if inside.depth > DEPTH_MAX => "..".to_owned(),
            (None, Some(alternatives)) => {
                either(&alternatives.iter().map(|place| self.inside(place)).collect::<Vec<_>>())
            }
            (None, None) => inside.forms(&self.definitions.forms(place)),
        }
    }

    fn forms(&self, forms: &[Form<'a>]) -> String {
        let mut words: Vec<String> = Vec::new();
        for form in forms {
            let word = self.form(form);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let booleans = ["true", "false"].map(String::from);
        if booleans.iter().all(|boolean| words.contains(boolean)) {
            words.retain(|word| word != "false");
            words.iter_mut().filter(|word| *word == "true").for_each(|word| *word = "boolean".to_owned());
        }
        if words.is_empty() { "nothing at all".to_owned() } else { either(&words) }
    }

    fn form(&self, form: &Form<'a>) -> String {
        let kind = match &form.kind {
            Kind::Anything => "anything".to_owned(),
            Kind::Literal(value) => value.to_string(),
            Kind::Number(numbers) => of_numbers(*numbers),
            Kind::Text(texts) => of_texts(*texts),
            Kind::List(list) => self.list(list),
            Kind::Object(objects) => self.object(objects),
            Kind::Unknown(why) => format!("something unknown, because {why}"),
        };
        let rules = form.rules.iter().map(|(keyword, rule)| match rule.as_str() {
            Some(text) => format!(" ({keyword}: {text})"),
            None => format!(" ({keyword}: {rule})"),
        });
        rules.fold(kind, |words, rule| words + &rule)
    }

    fn list(&self, list: &Lists<'a>) -> String {
        if list.first_len() > 0 && list.is_tuple() {
            let elements: Vec<_> = (0..list.first_len()).map(|index| self.inside(list.at(index))).collect();
            return format!("tuple [{}]", some(&elements));
        }
        let of = self.inside(list.at(list.first_len()));
        match (list.len_min, list.len_max) {
            (0, u64::MAX) => format!("list of {of}"),
            (min, u64::MAX) => format!("list of at least {min} {of}"),
            (min, max) if min == max => format!("list of exactly {max} {of}"),
            (min, max) => format!("list of {min} to {max} {of}"),
        }
    }

    fn object(&self, objects: &Objects<'a>) -> String {
        if let (true, Some(of)) = (objects.fields.is_empty(), of_map(objects)) {
            return format!("map of {}", self.inside(of));
        }
        let mut fields: Vec<_> = objects
            .fields
            .iter()
            .map(|(name, place)| {
                let optional = if objects.required.contains(name) { "" } else { "?" };
                format!("{name}{optional}: {}", self.inside(place))
            })
            .collect();
        if let Some(of) = of_map(objects) {
            fields.push(format!("*: {}", self.inside(of)));
        }
        if fields.is_empty() { "object {}".to_owned() } else { format!("object {{ {} }}", some(&fields)) }
    }
}

/// What a map's values are, if it is one.
fn of_map<'o, 'a>(objects: &'o Objects<'a>) -> Option<&'o Place<'a>> {
    match &objects.others {
        Others::Taken(of) => Some(of),
        Others::Ignored | Others::Denied => objects.patterns.values().next(),
    }
}

fn of_numbers(numbers: Numbers) -> String {
    const NAMED: [(&str, bool, i32); 10] = [
        ("u8", false, 8),
        ("u16", false, 16),
        ("u32", false, 32),
        ("u64", false, 64),
        ("u128", false, 128),
        ("i8", true, 8),
        ("i16", true, 16),
        ("i32", true, 32),
        ("i64", true, 64),
        ("i128", true, 128),
    ];
    let of = if numbers.whole { "integer" } else { "number" };
    for (name, signed, bits) in NAMED.into_iter().filter(|_| numbers.whole) {
        let (min, max) = if signed {
            (-2_f64.powi(bits - 1), 2_f64.powi(bits - 1) - 1.0)
        } else {
            (0.0, 2_f64.powi(bits) - 1.0)
        };
        if (numbers.min, numbers.max) == (min, max) {
            return format!("integer ({name})");
        }
    }
    if !numbers.whole && (numbers.min, numbers.max) == (f32::MIN.into(), f32::MAX.into()) {
        return "number (f32)".to_owned();
    }
    match (numbers.min == f64::NEG_INFINITY, numbers.max == f64::INFINITY) {
        (true, true) => of.to_owned(),
        (true, false) => format!("{of} up to {}", numbers.max),
        (false, true) => format!("{of} from {}", numbers.min),
        (false, false) => format!("{of} from {} to {}", numbers.min, numbers.max),
    }
}

fn of_texts(texts: Texts) -> String {
    if let Some(digits) = texts.digits {
        return format!("text with an {}", of_numbers(digits));
    }
    match (texts.len_min, texts.len_max) {
        (0, u64::MAX) => "text".to_owned(),
        (1, 1) => "one character".to_owned(),
        (min, u64::MAX) => format!("text of at least {min} characters"),
        (0, max) => format!("text of at most {max} characters"),
        (min, max) => format!("text of {min} to {max} characters"),
    }
}

/// `a, b or c`.
fn either(words: &[String]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() && words.len() <= SHOWN_MAX => {
            format!("{} or {last}", all.join(", "))
        }
        _ => some(words),
    }
}

/// `a, b, c and 4 more`.
fn some(words: &[String]) -> String {
    let (shown, rest) = words.split_at(words.len().min(SHOWN_MAX));
    let shown = shown.join(", ");
    if rest.is_empty() { shown } else { format!("{shown} and {} more", rest.len()) }
}
