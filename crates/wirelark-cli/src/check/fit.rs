//! Whether everything that one side may send fits what the other side takes.
//!
//! The sender's schema is read as what it writes: the fields it knows, and no others. The receiver's is read as serde
//! and generated clients read: unknown fields are ignored unless they are denied. What cannot be decided does not fit.
//!
//! A pair of places is taken to fit while it is being looked at, so that types which contain themselves come to an
//! end. Should it turn out not to fit, whatever was concluded meanwhile is forgotten.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use super::form::{Definitions, Form, Kind, Lists, Numbers, Objects, Others, Place};
use super::words;

/// Pairs of places that are looked at before we give up on a schema that somebody has made for the purpose.
const PAIRS_MAX: usize = 100_000;

/// Something the receiver does not take, or takes and makes nothing of.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Difference {
    /// Where in the value, such as `.shape.radius`.
    pub(super) path: String,
    pub(super) kind: DifferenceKind,
    /// What is sent there, in words.
    pub(super) sent: String,
    /// What is taken there, in words.
    pub(super) taken: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum DifferenceKind {
    /// A field that is not sent and must be there.
    Missing,
    /// A field that may be left out and must be there.
    MaybeMissing,
    /// A field that is sent, and the receiver refuses fields it does not know.
    Denied,
    /// The receiver takes other values.
    NotTaken,
    /// Nothing is known to be wrong, and nothing shows that it is right.
    Undecided,
    /// A field that the receiver does not know, and ignores.
    Ignored,
}

impl DifferenceKind {
    /// Whether the receiver minds.
    pub(super) fn breaks(self) -> bool {
        self != Self::Ignored
    }
}

/// Everything that differs between what is sent and what is taken. It fits if nothing in it breaks.
pub(super) fn differences(
    sent: (&Value, Definitions<'_>),
    taken: (&Value, Definitions<'_>),
    sender: Sender,
) -> Vec<Difference> {
    let mut fit = Fit::new(sent.1, taken.1, sender);
    let (sent, taken) = (Place::new(sent.0), Place::new(taken.0));
    fit.waiting.push_back((String::new(), (sent.clone(), taken.clone())));
    while let Some((path, pair)) = fit.waiting.pop_front() {
        fit.walk(&pair, &path);
    }
    if !fit.fits(&sent, &taken) && !fit.found.iter().any(|found| found.kind.breaks()) {
        let (sent, taken) = (words::of_place(fit.sent, &sent), words::of_place(fit.taken, &taken));
        fit.found.push(Difference { path: String::new(), kind: DifferenceKind::Undecided, sent, taken });
    }
    fit.found
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sender {
    /// It writes no integer that a JavaScript number could not hold.
    Server,
    /// It may be a script that writes whatever digits it likes.
    Client,
}

/// What has to hold so that one form fits another.
enum Duty<'a> {
    /// What is sent at a place inside fits what is taken there.
    Inside(String, Place<'a>, Place<'a>),
    /// Nothing will make it hold.
    Never(Difference),
    /// It holds, and deserves to be mentioned.
    Mention(Difference),
}

struct Fit<'a> {
    sent: Definitions<'a>,
    taken: Definitions<'a>,
    sender: Sender,
    forms: [HashMap<Place<'a>, Rc<[Form<'a>]>>; 2],

    // What is known of pairs.
    assumed: HashSet<Pair<'a>>,
    /// The same in the order they were assumed.
    trail: Vec<Pair<'a>>,
    refuted: HashSet<Pair<'a>>,

    // What is said of them. The nearest ones come first, so that paths are short.
    waiting: VecDeque<(String, Pair<'a>)>,
    walked: HashSet<Pair<'a>>,
    found: Vec<Difference>,
}

type Pair<'a> = (Place<'a>, Place<'a>);

impl<'a> Fit<'a> {
    fn new(sent: Definitions<'a>, taken: Definitions<'a>, sender: Sender) -> Self {
        Self {
            sent,
            taken,
            sender,
            forms: Default::default(),
            assumed: HashSet::new(),
            trail: Vec::new(),
            refuted: HashSet::new(),
            waiting: VecDeque::new(),
            walked: HashSet::new(),
            found: Vec::new(),
        }
    }

    fn forms(&mut self, (sent, taken): &Pair<'a>) -> (Rc<[Form<'a>]>, Rc<[Form<'a>]>) {
        let [of_sent, of_taken] = &mut self.forms;
        let sent = of_sent.entry(sent.clone()).or_insert_with(|| self.sent.forms(sent).into());
        let taken = of_taken.entry(taken.clone()).or_insert_with(|| self.taken.forms(taken).into());
        (Rc::clone(sent), Rc::clone(taken))
    }

    fn fits(&mut self, sent: &Place<'a>, taken: &Place<'a>) -> bool {
        let pair = (sent.clone(), taken.clone());
        if self.assumed.contains(&pair) {
            return true;
        }
        if self.refuted.contains(&pair) || self.trail.len() + self.refuted.len() > PAIRS_MAX {
            return false;
        }
        let before = self.trail.len();
        self.trail.push(pair.clone());
        self.assumed.insert(pair.clone());
        let (sent, taken) = self.forms(&pair);
        let fits = sent.iter().all(|sent| taken.iter().any(|taken| self.form_fits(sent, taken)));
        if !fits {
            for concluded in self.trail.drain(before..) {
                self.assumed.remove(&concluded);
            }
            self.refuted.insert(pair);
        }
        fits
    }

    fn form_fits(&mut self, sent: &Form<'a>, taken: &Form<'a>) -> bool {
        self.duties(sent, taken).iter().all(|duty| match duty {
            Duty::Inside(_, sent, taken) => self.fits(sent, taken),
            Duty::Never(_) => false,
            Duty::Mention(_) => true,
        })
    }

    /// Says what differs at a place, and has what is inside of it wait. Of a type that is met twice it is said once.
    fn walk(&mut self, pair: &Pair<'a>, path: &str) {
        if !self.walked.insert(pair.clone()) {
            return;
        }
        let (sent, taken) = self.forms(pair);
        let mut not_taken = Vec::new();
        for form in sent.iter() {
            let path = format!("{path}{}", variant(self.sent, form, &sent));
            if let Some(best) = self.best(form, &taken) {
                self.walk_form(form, &taken[best], &path);
                continue;
            }
            let mut alike = taken.iter().filter(|candidate| self.is_alike(form, candidate, [&sent, &taken]));
            match (alike.next(), alike.next()) {
                (Some(only), None) => self.walk_form(form, only, &path),
                _ => not_taken.push(form.clone()),
            }
        }
        if !not_taken.is_empty() {
            let undecided =
                not_taken.iter().chain(taken.iter()).any(|form| matches!(form.kind, Kind::Unknown(_)));
            self.found.push(Difference {
                path: path.to_owned(),
                kind: if undecided { DifferenceKind::Undecided } else { DifferenceKind::NotTaken },
                sent: words::of_forms(self.sent, &not_taken),
                taken: words::of_forms(self.taken, &taken),
            });
        }
    }

    /// Of the forms that take this one, that which makes most of it.
    fn best(&mut self, sent: &Form<'a>, taken: &[Form<'a>]) -> Option<usize> {
        let fitting: Vec<_> = (0..taken.len()).filter(|&index| self.form_fits(sent, &taken[index])).collect();
        let mentions = |index: &usize| {
            let duties = self.duties(sent, &taken[*index]);
            duties.iter().filter(|duty| matches!(duty, Duty::Mention(_))).count()
        };
        fitting.into_iter().min_by_key(mentions)
    }

    fn walk_form(&mut self, sent: &Form<'a>, taken: &Form<'a>, path: &str) {
        for duty in self.duties(sent, taken) {
            match duty {
                Duty::Inside(step, sent, taken) => {
                    self.waiting.push_back((format!("{path}{step}"), (sent, taken)));
                }
                Duty::Never(difference) | Duty::Mention(difference) => {
                    let path = format!("{path}{}", difference.path);
                    self.found.push(Difference { path, ..difference });
                }
            }
        }
    }

    /// Whether one form is meant to be the other, so that it is worth saying where they differ; `all` are those of both
    /// places.
    fn is_alike(&self, sent: &Form<'a>, taken: &Form<'a>, all: [&[Form<'a>]; 2]) -> bool {
        match (&sent.kind, &taken.kind) {
            (Kind::Number(_), Kind::Number(_))
            | (Kind::Text(_), Kind::Text(_))
            | (Kind::List(_), Kind::List(_)) => true,
            (Kind::Object(ours), Kind::Object(theirs)) => {
                if all.iter().all(|forms| forms.len() == 1) {
                    return true;
                }
                match (only_key(ours), only_key(theirs)) {
                    (None, None) if all.into_iter().all(are_variants) => self.has_same_tag(ours, theirs),
                    (None, None) => !self.has_other_tag(ours, theirs),
                    (ours, theirs) => ours == theirs,
                }
            }
            _ => false,
        }
    }

    /// Whether a field has the same constant in both.
    fn has_same_tag(&self, sent: &Objects<'a>, taken: &Objects<'a>) -> bool {
        self.tags(sent, taken).any(|(ours, theirs)| ours.iter().any(|our| theirs.contains(our)))
    }

    /// Whether a field has one constant here and another one there.
    fn has_other_tag(&self, sent: &Objects<'a>, taken: &Objects<'a>) -> bool {
        self.tags(sent, taken).any(|(ours, theirs)| !ours.iter().any(|our| theirs.contains(our)))
    }

    /// The constants of fields that have nothing else in both.
    fn tags(
        &self,
        sent: &Objects<'a>,
        taken: &Objects<'a>,
    ) -> impl Iterator<Item = (Vec<&'a Value>, Vec<&'a Value>)> {
        sent.fields.iter().filter_map(|(name, place)| {
            Some((literals(self.sent, place)?, literals(self.taken, taken.fields.get(name)?)?))
        })
    }

    fn duties(&self, sent: &Form<'a>, taken: &Form<'a>) -> Vec<Duty<'a>> {
        let mut duties = Vec::new();
        let whole = |kind| {
            Duty::Never(Difference {
                path: String::new(),
                kind,
                sent: words::of_forms(self.sent, std::slice::from_ref(sent)),
                taken: words::of_forms(self.taken, std::slice::from_ref(taken)),
            })
        };
        match (&sent.kind, &taken.kind) {
            (_, Kind::Anything) => {}
            (Kind::List(ours), Kind::List(theirs)) => self.list_duties(ours, theirs, &mut duties),
            (Kind::Object(ours), Kind::Object(theirs)) => self.object_duties(ours, theirs, &mut duties),
            (ours, theirs) => match self.takes_all(ours, theirs) {
                Some(true) => {}
                Some(false) => return vec![whole(DifferenceKind::NotTaken)],
                None => return vec![whole(DifferenceKind::Undecided)],
            },
        }
        for (&keyword, &rule) in &taken.rules {
            match sent.rules.get(keyword) {
                // What refers to a type may mean another type on the other side.
                Some(ours) if *ours == rule && !rule.to_string().contains("\"$ref\"") => {}
                None if keyword == "format" => duties.push(whole(DifferenceKind::NotTaken)),
                _ => duties.push(whole(DifferenceKind::Undecided)),
            }
        }
        duties
    }

    /// Of kinds that have nothing inside.
    fn takes_all(&self, sent: &Kind<'a>, taken: &Kind<'a>) -> Option<bool> {
        match (sent, taken) {
            (Kind::Unknown(_), _) | (_, Kind::Unknown(_)) => None,
            (Kind::Literal(value), _) => taken.takes(value),
            (Kind::Number(ours), Kind::Number(theirs)) => {
                let written = match self.sender {
                    // None of them can be written: then nothing is sent that could do harm.
                    Sender::Server if ours.whole => match ours.meet(Numbers::EXACT) {
                        None => return Some(true),
                        Some(written) => written,
                    },
                    Sender::Server | Sender::Client => *ours,
                };
                Some(theirs.take_all(written))
            }
            (Kind::Text(ours), Kind::Text(theirs)) => Some(theirs.take_all(*ours)),
            _ => Some(false),
        }
    }

    fn list_duties(&self, sent: &Lists<'a>, taken: &Lists<'a>, duties: &mut Vec<Duty<'a>>) {
        if sent.len_min < taken.len_min || sent.len_max > taken.len_max {
            duties.push(Duty::Never(Difference {
                path: String::new(),
                kind: DifferenceKind::NotTaken,
                sent: words::of_list(self.sent, sent),
                taken: words::of_list(self.taken, taken),
            }));
        }
        let own = sent.first_len().max(taken.first_len());
        let len_max = usize::try_from(sent.len_max.min(taken.len_max)).unwrap_or(usize::MAX);
        for index in 0..own.min(len_max) {
            let step = format!("[{index}]");
            duties.push(Duty::Inside(step, sent.at(index).clone(), taken.at(index).clone()));
        }
        if len_max > own {
            duties.push(Duty::Inside("[]".to_owned(), sent.at(own).clone(), taken.at(own).clone()));
        }
    }

    fn object_duties(&self, sent: &Objects<'a>, taken: &Objects<'a>, duties: &mut Vec<Duty<'a>>) {
        let is_map = !matches!(sent.others, Others::Ignored | Others::Denied) || !sent.patterns.is_empty();
        for (&name, place) in &sent.fields {
            let step = words::of_field(name);
            if taken.required.contains(name) && !sent.required.contains(name) {
                let kind = DifferenceKind::MaybeMissing;
                duties.push(Duty::Never(self.field(kind, &step, Some(place), taken.fields.get(name))));
            }
            match taken.fields.get(name) {
                Some(known) => duties.push(Duty::Inside(step, place.clone(), known.clone())),
                None => self.unknown_field(&step, &Name::Is(name), place, taken, duties),
            }
        }
        for &name in taken.required.iter().filter(|name| !sent.fields.contains_key(*name)) {
            let kind = if is_map { DifferenceKind::MaybeMissing } else { DifferenceKind::Missing };
            duties.push(Duty::Never(self.field(kind, &words::of_field(name), None, taken.fields.get(name))));
        }
        let others = match &sent.others {
            Others::Taken(others) => Some((Name::Any, others)),
            Others::Ignored | Others::Denied => None,
        };
        let patterns = sent.patterns.iter().map(|(pattern, place)| (Name::Of(pattern), place));
        for (name, place) in patterns.chain(others) {
            for (&known, theirs) in &taken.fields {
                // A map's key may be the name of a field that the receiver knows.
                if !sent.fields.contains_key(known) && name.may_be(known) {
                    duties.push(Duty::Inside(words::of_field(known), place.clone(), theirs.clone()));
                }
            }
            self.unknown_field(".*", &name, place, taken, duties);
        }
    }

    /// What becomes of a field that the receiver does not know by name.
    fn unknown_field(
        &self,
        step: &str,
        name: &Name<'_>,
        place: &Place<'a>,
        taken: &Objects<'a>,
        duties: &mut Vec<Duty<'a>>,
    ) {
        let mut always = false;
        for (pattern, theirs) in &taken.patterns {
            match name.has(pattern) {
                Some(false) => {}
                has => {
                    duties.push(Duty::Inside(step.to_owned(), place.clone(), theirs.clone()));
                    always |= has == Some(true);
                }
            }
        }
        if always {
            return;
        }
        match &taken.others {
            Others::Taken(others) => {
                duties.push(Duty::Inside(step.to_owned(), place.clone(), others.clone()));
            }
            Others::Ignored => {
                duties.push(Duty::Mention(self.field(DifferenceKind::Ignored, step, Some(place), None)));
            }
            Others::Denied => {
                let mut denied = self.field(DifferenceKind::Denied, step, Some(place), None);
                if matches!(name, Name::Any | Name::Of(_)) {
                    denied.kind = DifferenceKind::NotTaken;
                    denied.sent = name.in_words();
                    denied.taken = words::of_keys(taken);
                }
                duties.push(Duty::Never(denied));
            }
        }
    }

    fn field(
        &self,
        kind: DifferenceKind,
        step: &str,
        sent: Option<&Place<'a>>,
        taken: Option<&Place<'a>>,
    ) -> Difference {
        Difference {
            path: step.to_owned(),
            kind,
            sent: sent.map_or_else(|| "nothing".to_owned(), |place| words::of_place(self.sent, place)),
            taken: taken.map_or_else(|| "nothing".to_owned(), |place| words::of_place(self.taken, place)),
        }
    }
}

/// What is known of a field's name.
enum Name<'n> {
    Is(&'n str),
    /// It has this pattern.
    Of(&'n str),
    Any,
}

/// What schemars writes for keys that are integers.
const UNSIGNED: &str = r"^\d+$";
const SIGNED: &str = r"^-?\d+$";

impl Name<'_> {
    /// Whether it has a pattern; none if that depends, or if nobody knows.
    fn has(&self, pattern: &str) -> Option<bool> {
        match (self, pattern) {
            (Self::Of(ours), theirs) if *ours == theirs => Some(true),
            (Self::Of(UNSIGNED), SIGNED) => Some(true),
            (Self::Is(name), UNSIGNED) => Some(is_digits(name)),
            (Self::Is(name), SIGNED) => Some(is_digits(name.strip_prefix('-').unwrap_or(name))),
            _ => None,
        }
    }

    fn may_be(&self, name: &str) -> bool {
        match self {
            Self::Is(ours) => *ours == name,
            Self::Of(pattern) => Name::Is(name).has(pattern).unwrap_or(true),
            Self::Any => true,
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Is(name) => format!("the key {name:?}"),
            Self::Of(pattern) => words::of_key_pattern(pattern),
            Self::Any => "any text as key".to_owned(),
        }
    }
}

/// The key of a variant that is an object with it alone, as serde writes them unless it is told otherwise.
fn only_key<'a>(object: &Objects<'a>) -> Option<&'a str> {
    let alone = matches!(object.others, Others::Denied) && object.fields.len() == 1;
    object.required.first().copied().filter(|_| alone)
}

/// Whether there are several objects among the forms of one place.
fn are_variants(forms: &[Form<'_>]) -> bool {
    forms.iter().filter(|form| matches!(form.kind, Kind::Object(_))).count() > 1
}

fn is_digits(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The constants of a place that has no other values.
fn literals<'a>(definitions: Definitions<'a>, place: &Place<'a>) -> Option<Vec<&'a Value>> {
    let forms = definitions.forms(place).into_iter();
    let literals: Option<Vec<_>> = forms
        .map(|form| match form.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        })
        .collect();
    literals.filter(|literals| !literals.is_empty())
}

/// How a path tells the variant it goes through, if there are several: by the field that tells them apart.
fn variant<'a>(definitions: Definitions<'a>, form: &Form<'a>, all: &[Form<'a>]) -> String {
    let Kind::Object(object) = &form.kind else { return String::new() };
    if !are_variants(all) {
        return String::new();
    }
    let mut tags = object.fields.iter().filter(|(name, _)| object.required.contains(*name));
    let tag = tags.find_map(|(name, place)| match literals(definitions, place)?[..] {
        [only] => Some(format!("({name}: {only})")),
        _ => None,
    });
    tag.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    /// Types by name, as a document has them.
    fn types(types: &Value) -> BTreeMap<String, Value> {
        let types = types.as_object().expect("types by name");
        types.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect()
    }

    /// What breaks, as `path kind`.
    fn breaks(sent: &Value, taken: &Value, of_types: [&Value; 2]) -> Vec<String> {
        let [sent_types, taken_types] = of_types.map(types);
        let (sent, taken) = ((sent, Definitions::new(&sent_types)), (taken, Definitions::new(&taken_types)));
        let found = differences(sent, taken, Sender::Client);
        let breaking = found.iter().filter(|difference| difference.kind.breaks());
        breaking.map(|Difference { path, kind, .. }| format!("{path} {kind:?}")).collect()
    }

    #[track_caller]
    fn check(sent: &Value, taken: &Value, expected: &[&str]) {
        let none = json!({});
        assert_eq!(breaks(sent, taken, [&none, &none]), expected, "{sent} to {taken}");
    }

    #[test]
    fn what_is_not_understood_fits_only_itself() {
        let text = json!({"type": "string"});
        let word = json!({"type": "string", "pattern": "^[a-z]+$"});
        check(&word, &word, &[]);
        check(&word, &text, &[]);
        check(&text, &word, &[" Undecided"]);
        check(&word, &json!({"type": "string", "pattern": "^[a-z]*$"}), &[" Undecided"]);
        let even = json!({"type": "integer", "multipleOf": 2});
        check(&json!({"type": "integer", "multipleOf": 4}), &even, &[" Undecided"]);
        let later = json!({"type": "object", "comesLater": true});
        check(&json!({"type": "object"}), &later, &[" Undecided"]);
        check(&later, &json!({"type": "object"}), &[]);
        let not_zero = json!({"type": "integer", "not": {"const": 0}});
        check(&json!({"type": "integer"}), &not_zero, &[" Undecided"]);
        let below = json!({"type": "number", "exclusiveMaximum": 1});
        check(&json!({"type": "number", "maximum": 1}), &below, &[" Undecided"]);
        check(&below, &below, &[]);
    }

    #[test]
    fn a_format_is_a_smaller_set_of_texts() {
        let uuid = json!({"type": "string", "format": "uuid"});
        check(&uuid, &json!({"type": "string"}), &[]);
        check(&json!({"type": "string"}), &uuid, &[" NotTaken"]);
        check(&json!({"type": "string", "format": "date-time"}), &uuid, &[" Undecided"]);
    }

    #[test]
    fn limits_of_integers_come_from_their_formats_too() {
        let of = |format: &str| json!({"type": "integer", "format": format});
        check(&of("int32"), &of("int64"), &[]);
        check(&of("int64"), &of("int32"), &[" NotTaken"]);
        check(&of("uint8"), &json!({"type": "integer", "minimum": 0, "maximum": 255}), &[]);
        check(&of("uint8"), &json!({"type": "integer", "exclusiveMinimum": 0}), &[" NotTaken"]);
        let to_ten = |ty: &str| json!({"type": ty, "minimum": 0, "maximum": 10});
        check(&to_ten("integer"), &to_ten("number"), &[]);
        check(&to_ten("number"), &to_ten("integer"), &[" NotTaken"]);
        // A script may write more digits than a JavaScript number has.
        check(&of("uint64"), &of("int64"), &[" NotTaken"]);
    }

    /// Types that contain themselves, in other ways of writing them.
    #[test]
    fn types_within_themselves_come_to_an_end() {
        let tree = |n: &str| {
            json!({"Tree": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "format": n},
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                },
                "required": ["n", "children"],
            }})
        };
        let root = json!({"$ref": "#/components/schemas/Tree"});
        assert_eq!(breaks(&root, &root, [&tree("uint8"), &tree("uint8")]), [""; 0]);
        assert_eq!(breaks(&root, &root, [&tree("uint8"), &tree("uint32")]), [""; 0]);
        // Said once, and not for each level.
        assert_eq!(breaks(&root, &root, [&tree("uint32"), &tree("uint8")]), [".n NotTaken"]);

        // The same list, once as a type and once as two that take turns.
        let link = |to: &str| {
            let next = json!({"anyOf": [{"$ref": format!("#/components/schemas/{to}")}, {"type": "null"}]});
            json!({"type": "object", "properties": {"next": next}, "required": ["next"]})
        };
        let (one, turns) = (json!({"A": link("A")}), json!({"A": link("B"), "B": link("A")}));
        let a = json!({"$ref": "#/components/schemas/A"});
        assert_eq!(breaks(&a, &a, [&one, &turns]), [""; 0]);
        assert_eq!(breaks(&a, &a, [&turns, &one]), [""; 0]);
        let ends = json!({"A": link("B"), "B": {"type": "object", "properties": {"next": {"type": "null"}}}});
        assert_eq!(breaks(&a, &a, [&one, &ends]), [".next.next NotTaken"]);
        assert_eq!(breaks(&a, &a, [&ends, &one]), [".next.next MaybeMissing"]);
    }

    /// `B` fits as long as `A` is taken to fit, which it turns out not to.
    #[test]
    fn what_follows_from_a_wrong_assumption_is_forgotten() {
        let to = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let types = |n: &str| {
            let a =
                json!({"type": "object", "properties": {"b": to("B"), "n": {"type": n}}, "required": ["n"]});
            json!({"A": a, "B": {"type": "object", "properties": {"a": to("A")}}})
        };
        let of = |name: &str| json!({"type": "object", "properties": {"x": to(name)}});
        let root =
            |first: &Value, second: &Value| json!({"type": "array", "items": [first, second], "maxItems": 2});
        let or_anything = |schema: &Value| json!({"anyOf": [schema, {"type": "object"}]});
        let sent = root(&of("A"), &of("B"));
        let taken = root(&or_anything(&of("A")), &or_anything(&of("B")));
        assert_eq!(breaks(&sent, &taken, [&types("string"), &types("integer")]), [""; 0]);
        let found = breaks(&sent, &sent, [&types("string"), &types("integer")]);
        assert_eq!(found, ["[0].x.n NotTaken"]);
    }

    #[test]
    fn a_type_that_is_nothing_but_itself_fits_nothing() {
        let odd = json!({"A": {"$ref": "#/components/schemas/A"}});
        let a = json!({"$ref": "#/components/schemas/A"});
        assert_eq!(breaks(&a, &a, [&odd, &odd]), [" Undecided"]);
        assert_eq!(breaks(&a, &json!(true), [&odd, &odd]), [""; 0]);
        let missing = json!({"$ref": "#/components/schemas/Gone"});
        assert_eq!(breaks(&json!({"type": "null"}), &missing, [&odd, &odd]), [" Undecided"]);
    }

    #[test]
    fn parts_of_an_object_are_one() {
        let parts = json!({
            "type": "object",
            "properties": {"kind": {"const": "a"}},
            "required": ["kind"],
            "allOf": [{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}],
        });
        let whole = json!({
            "type": "object",
            "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}},
            "required": ["kind", "n"],
            "additionalProperties": false,
        });
        check(&parts, &whole, &[]);
        check(&whole, &parts, &[]);
        let beside = json!({
            "type": "object",
            "properties": {"id": {"type": "string"}},
            "required": ["id"],
            "oneOf": [
                {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "null"}}, "required": ["b"]},
            ],
        });
        check(&beside, &beside, &[]);
        check(&beside, &json!({"type": "object", "required": ["id"]}), &[]);
        check(
            &json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}),
            &beside,
            &[" NotTaken"],
        );
    }

    #[test]
    fn a_key_of_a_map_may_be_a_known_field() {
        let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let known = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        check(&map, &known, &[".name NotTaken"]);
        let numbered = json!({
            "type": "object",
            "patternProperties": {r"^\d+$": {"type": "integer"}},
            "additionalProperties": false,
        });
        check(&numbered, &known, &[]);
        check(&known, &numbered, &[".name Denied"]);
        check(&json!({"type": "object", "properties": {"7": {"type": "integer"}}}), &numbered, &[]);
    }

    #[test]
    fn nothing_at_all_may_be_sent_to_anybody() {
        let never = json!({"not": {}});
        check(&never, &json!({"type": "string"}), &[]);
        check(&json!(false), &never, &[]);
        check(&json!({"type": "string"}), &never, &[" NotTaken"]);
    }

    #[test]
    fn what_is_said_about_objects_holds_for_objects_only() {
        let if_object = json!({"required": ["a"]});
        check(&json!({"type": "string"}), &if_object, &[]);
        check(&json!({"type": "object"}), &if_object, &[".a Missing"]);
        check(&if_object, &json!({"type": "object"}), &[" NotTaken"]);
    }

    /// It ends, and it does not claim what it has not seen.
    #[test]
    fn too_many_variants_are_undecided() {
        let pair =
            |n: usize| json!({"oneOf": [{"required": [format!("a{n}")]}, {"required": [format!("b{n}")]}]});
        let all: Vec<_> = (0..12).map(pair).collect();
        let many = json!({"type": "object", "allOf": all});
        check(&many, &many, &[" Undecided"]);
    }
}
