//! Whether everything that one side may send fits what the other side takes.
//!
//! The sender's schema is read as what it writes: the fields it knows, and no others. The receiver's is read as serde
//! and generated clients read: unknown fields are ignored unless they are denied. What cannot be decided does not fit.
//!
//! A pair of places is taken to fit while it is being looked at, so that types which contain themselves come to an
//! end. Should it turn out not to fit, whatever was concluded meanwhile is forgotten.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::shape::{Definitions, Kind, Lists, Numbers, Objects, Others, Place, Shape};
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
    fit.walk(&sent, &taken, "");
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

/// What has to hold so that one shape fits another.
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
    shapes: [HashMap<Place<'a>, Rc<[Shape<'a>]>>; 2],

    // What is known of pairs.
    assumed: HashSet<Pair<'a>>,
    /// The same in the order they were assumed.
    trail: Vec<Pair<'a>>,
    refuted: HashSet<Pair<'a>>,

    // What is said of them.
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
            shapes: Default::default(),
            assumed: HashSet::new(),
            trail: Vec::new(),
            refuted: HashSet::new(),
            walked: HashSet::new(),
            found: Vec::new(),
        }
    }

    fn shapes(&mut self, (sent, taken): &Pair<'a>) -> (Rc<[Shape<'a>]>, Rc<[Shape<'a>]>) {
        let [of_sent, of_taken] = &mut self.shapes;
        let sent = of_sent.entry(sent.clone()).or_insert_with(|| self.sent.shapes(sent).into());
        let taken = of_taken.entry(taken.clone()).or_insert_with(|| self.taken.shapes(taken).into());
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
        let (sent, taken) = self.shapes(&pair);
        let fits = sent.iter().all(|sent| taken.iter().any(|taken| self.shape_fits(sent, taken)));
        if !fits {
            for concluded in self.trail.drain(before..) {
                self.assumed.remove(&concluded);
            }
            self.refuted.insert(pair);
        }
        fits
    }

    fn shape_fits(&mut self, sent: &Shape<'a>, taken: &Shape<'a>) -> bool {
        self.duties(sent, taken).iter().all(|duty| match duty {
            Duty::Inside(_, sent, taken) => self.fits(sent, taken),
            Duty::Never(_) => false,
            Duty::Mention(_) => true,
        })
    }

    /// Says what differs at a place and inside of it. Of a type that is met twice it is said once.
    fn walk(&mut self, sent: &Place<'a>, taken: &Place<'a>, path: &str) {
        let pair = (sent.clone(), taken.clone());
        if !self.walked.insert(pair.clone()) {
            return;
        }
        let (sent, taken) = self.shapes(&pair);
        let mut not_taken = Vec::new();
        for shape in sent.iter() {
            let path = format!("{path}{}", variant(self.sent, shape, &sent));
            if let Some(best) = self.best(shape, &taken) {
                self.walk_shape(shape, &taken[best], &path);
                continue;
            }
            let variants = are_variants(&sent) && are_variants(&taken);
            let mut alike = taken.iter().filter(|taken| self.is_alike(shape, taken, variants));
            match (alike.next(), alike.next()) {
                (Some(only), None) => self.walk_shape(shape, only, &path),
                _ => not_taken.push(shape.clone()),
            }
        }
        if !not_taken.is_empty() {
            let undecided =
                not_taken.iter().chain(taken.iter()).any(|shape| matches!(shape.kind, Kind::Unknown(_)));
            self.found.push(Difference {
                path: path.to_owned(),
                kind: if undecided { DifferenceKind::Undecided } else { DifferenceKind::NotTaken },
                sent: words::of_shapes(self.sent, &not_taken),
                taken: words::of_shapes(self.taken, &taken),
            });
        }
    }

    /// Of the shapes that take this one, that which makes most of it.
    fn best(&mut self, sent: &Shape<'a>, taken: &[Shape<'a>]) -> Option<usize> {
        let fitting: Vec<_> =
            (0..taken.len()).filter(|&index| self.shape_fits(sent, &taken[index])).collect();
        let mentions = |index: &usize| {
            let duties = self.duties(sent, &taken[*index]);
            duties.iter().filter(|duty| matches!(duty, Duty::Mention(_))).count()
        };
        fitting.into_iter().min_by_key(mentions)
    }

    fn walk_shape(&mut self, sent: &Shape<'a>, taken: &Shape<'a>, path: &str) {
        for duty in self.duties(sent, taken) {
            match duty {
                Duty::Inside(step, sent, taken) => self.walk(&sent, &taken, &format!("{path}{step}")),
                Duty::Never(difference) | Duty::Mention(difference) => {
                    let path = format!("{path}{}", difference.path);
                    self.found.push(Difference { path, ..difference });
                }
            }
        }
    }

    /// Whether the one is meant to be the other, so that it is worth saying where they differ. `variants` are told
    /// apart by their tags.
    fn is_alike(&self, sent: &Shape<'a>, taken: &Shape<'a>, variants: bool) -> bool {
        match (&sent.kind, &taken.kind) {
            (Kind::Number(_), Kind::Number(_))
            | (Kind::Text(_), Kind::Text(_))
            | (Kind::List(_), Kind::List(_)) => true,
            (Kind::Object(ours), Kind::Object(theirs)) => {
                self.same_tag(ours, theirs) || (!variants && !self.other_tag(ours, theirs))
            }
            _ => false,
        }
    }

    /// Whether both have the same constant in the same field, or both have one field only, the same.
    fn same_tag(&self, sent: &Objects<'a>, taken: &Objects<'a>) -> bool {
        let only =
            |objects: &Objects<'a>| match (&objects.others, objects.fields.len(), objects.required.first()) {
                (Others::Denied, 1, Some(name)) => Some(*name),
                _ => None,
            };
        if let Some(name) = only(sent) {
            return only(taken) == Some(name);
        }
        let mut tags = sent.fields.iter().filter_map(|(name, place)| {
            Some((literals(self.sent, place)?, literals(self.taken, taken.fields.get(name)?)?))
        });
        tags.any(|(ours, theirs)| ours.iter().any(|our| theirs.contains(our)))
    }

    /// Whether a field has one constant here and another one there.
    fn other_tag(&self, sent: &Objects<'a>, taken: &Objects<'a>) -> bool {
        let mut tags = sent.fields.iter().filter_map(|(name, place)| {
            Some((literals(self.sent, place)?, literals(self.taken, taken.fields.get(name)?)?))
        });
        tags.any(|(ours, theirs)| !ours.iter().any(|our| theirs.contains(our)))
    }

    fn duties(&self, sent: &Shape<'a>, taken: &Shape<'a>) -> Vec<Duty<'a>> {
        let mut duties = Vec::new();
        let whole = |kind| {
            Duty::Never(Difference {
                path: String::new(),
                kind,
                sent: words::of_shapes(self.sent, std::slice::from_ref(sent)),
                taken: words::of_shapes(self.taken, std::slice::from_ref(taken)),
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
            Self::Is(name) => format!("the key {name}"),
            Self::Of(pattern) => words::of_key_pattern(pattern),
            Self::Any => "any keys".to_owned(),
        }
    }
}

/// Whether there are several objects among the shapes of one place.
fn are_variants(shapes: &[Shape<'_>]) -> bool {
    shapes.iter().filter(|shape| matches!(shape.kind, Kind::Object(_))).count() > 1
}

fn is_digits(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The constants of a place that has no other values.
fn literals<'a>(definitions: Definitions<'a>, place: &Place<'a>) -> Option<Vec<&'a Value>> {
    let shapes = definitions.shapes(place).into_iter();
    let literals: Option<Vec<_>> = shapes
        .map(|shape| match shape.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        })
        .collect();
    literals.filter(|literals| !literals.is_empty())
}

/// How a path tells the variant it goes through, if there are several: by the field that tells them apart.
fn variant<'a>(definitions: Definitions<'a>, shape: &Shape<'a>, all: &[Shape<'a>]) -> String {
    let Kind::Object(object) = &shape.kind else { return String::new() };
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
