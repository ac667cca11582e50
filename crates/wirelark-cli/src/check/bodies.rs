//! What travels, old and new: what a difference between two schemas means for those who have the old one.

use serde_json::Value;

use crate::api::Api;

use super::fit::{self, Difference, DifferenceKind, Sender};
use super::form::Definitions;
use super::{Change, Changes, Effect, Line};

/// Which way a value travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From clients to the server.
    Input,
    /// From the server, to whoever called.
    Answer,
    /// From the server, by itself.
    Push,
}

/// Adds what changed at `place`, which is that of the value.
///
/// Old and new meet in one direction only: old clients send to the new server, or hear it. What differs there breaks
/// or is ignored. The other way round it is what the new version has, or has no more, without harm.
pub(super) fn compare(
    place: &str,
    direction: Direction,
    old: (&Value, &Api),
    new: (&Value, &Api),
    changes: &mut Changes<'_>,
) {
    let [old, new] = [old, new].map(|(schema, api)| (schema, Definitions::new(&api.schemas)));
    let (meeting, otherwise) = match direction {
        Direction::Input => {
            (fit::differences(old, new, Sender::Client), fit::differences(new, old, Sender::Client))
        }
        Direction::Answer | Direction::Push => {
            (fit::differences(new, old, Sender::Server), fit::differences(old, new, Sender::Server))
        }
    };
    let (meeting, otherwise) = (without_null_twice(meeting), without_null_twice(otherwise));
    let harmless = otherwise
        .iter()
        .filter(|difference| !meeting.iter().any(|told| is_about_the_same(&told.path, &difference.path)));
    let told = meeting.iter().map(|difference| (difference, told(difference, direction), true));
    let harmless = harmless.map(|difference| (difference, told_otherwise(difference, direction), false));
    let mut all: Vec<_> = told.chain(harmless).collect();
    all.sort_by(|(a, ..), (b, ..)| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
    for (Difference { path, sent, taken, .. }, Told { effect, line, what, why }, meets) in all {
        let old_is_sent = (direction == Direction::Input) == meets;
        let (from, to) = if old_is_sent { (sent, taken) } else { (taken, sent) };
        changes.add(effect, line, &format!("{place}{path}"), &what, why).between(from, to);
    }
}

/// Whether one of the places is the other, or inside of it.
fn is_about_the_same(told: &str, other: &str) -> bool {
    told == other
        || other
            .strip_prefix(told)
            .is_some_and(|inside| told.is_empty() || inside.starts_with(['.', '[', '(']))
}

/// Whether it is about fields that are not known by name.
fn is_others(difference: &Difference) -> bool {
    difference.path.ends_with(".*")
}

/// A field that may be left out may be null as well: of such a field that is told once.
fn without_null_twice(mut differences: Vec<Difference>) -> Vec<Difference> {
    let optional: Vec<_> = differences
        .iter()
        .filter(|difference| difference.kind == DifferenceKind::MaybeMissing)
        .map(|difference| difference.path.clone())
        .collect();
    differences.retain(|difference| {
        let null = difference.kind == DifferenceKind::NotTaken && difference.sent == "null";
        !(null && optional.contains(&difference.path))
    });
    differences
}

/// What there is to say of a difference.
struct Told {
    effect: Effect,
    line: Line,
    what: String,
    why: &'static str,
}

impl Change {
    pub(super) fn between(&mut self, old: &str, new: &str) {
        self.from = Some(old.to_owned());
        self.to = Some(new.to_owned());
    }
}

/// Of what old clients send and the new server takes, or the other way round.
fn told(difference: &Difference, direction: Direction) -> Told {
    let Difference { kind, sent, taken, .. } = difference;
    let others = is_others(difference);
    let effect = if kind.breaks() { Effect::Breaking } else { Effect::Compatible };
    let mut line = Line::Changed;
    let refused = match direction {
        Direction::Input => "",
        Direction::Answer => "old clients cannot read the answer",
        Direction::Push => "old clients cannot read the push",
    };
    let (what, why) = match (direction, kind) {
        (Direction::Input, DifferenceKind::Missing) => {
            (format!("a required field was added ({taken})"), "old clients do not send it, and are refused")
        }
        (Direction::Input, DifferenceKind::MaybeMissing) => {
            ("the field is required now".to_owned(), "old clients may leave it out, and are refused")
        }
        (Direction::Input, DifferenceKind::Denied) => (
            "the field was removed, and unknown fields are denied".to_owned(),
            "old clients may send it, and are refused",
        ),
        (Direction::Input, DifferenceKind::NotTaken) => (
            format!("{sent} is not taken any more, only {taken}"),
            "old clients may send it, and are refused",
        ),
        (Direction::Input, DifferenceKind::Undecided) => {
            let what = format!("it was {sent} and is {taken}");
            (what, "it cannot be shown that everything old clients may send is taken")
        }
        (Direction::Input, DifferenceKind::Ignored) => {
            let what = if others { "other fields are not taken any more" } else { "the field was removed" };
            (what.to_owned(), "what old clients send there is ignored")
        }
        (_, DifferenceKind::Missing) => ("the field was removed".to_owned(), refused),
        (_, DifferenceKind::MaybeMissing) => ("the field may be left out now".to_owned(), refused),
        (_, DifferenceKind::Denied) => {
            (format!("a field was added ({sent}), and old clients deny unknown fields"), refused)
        }
        (_, DifferenceKind::NotTaken) => (format!("it may be {sent} now; it was {taken}"), refused),
        (_, DifferenceKind::Undecided) => {
            let what = format!("it was {taken} and is {sent}");
            (what, "it cannot be shown that old clients take everything the server may send")
        }
        (_, DifferenceKind::Ignored) => {
            line = Line::Added;
            let what = if others { "other fields were added" } else { "a field was added" };
            (format!("{what} ({sent})"), "old clients ignore it")
        }
    };
    Told { effect, line, what, why }
}

/// Of what new clients send and the old server took, or the other way round.
fn told_otherwise(difference: &Difference, direction: Direction) -> Told {
    let Difference { kind, sent, taken, .. } = difference;
    let others = is_others(difference);
    let mut line = Line::Changed;
    let (what, why) = match (direction, kind) {
        (Direction::Input, DifferenceKind::Missing | DifferenceKind::MaybeMissing) => {
            ("the field may be left out now".to_owned(), "old clients send it as before")
        }
        (Direction::Input, DifferenceKind::Denied | DifferenceKind::Ignored) => {
            line = Line::Added;
            let what = if others { "other fields are taken" } else { "an optional field was added" };
            (format!("{what} ({sent})"), "old clients leave it out")
        }
        (Direction::Input, DifferenceKind::NotTaken | DifferenceKind::Undecided) => {
            (format!("{sent} is taken now, not only {taken}"), "what old clients send is taken as before")
        }
        (_, DifferenceKind::Missing | DifferenceKind::MaybeMissing) => {
            ("the field is always there now".to_owned(), "old clients take it as before")
        }
        (_, DifferenceKind::Denied | DifferenceKind::Ignored) => {
            let what =
                if others { "other fields are not sent any more" } else { "an optional field was removed" };
            (what.to_owned(), "old clients do without it")
        }
        (_, DifferenceKind::NotTaken | DifferenceKind::Undecided) => {
            (format!("it is not {sent} any more, only {taken}"), "old clients know what is left")
        }
    };
    Told { effect: Effect::Compatible, line, what, why }
}
