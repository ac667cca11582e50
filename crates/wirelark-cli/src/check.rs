//! What changed between two versions of an app's contracts, and whom it breaks.
//!
//! A change is judged by the direction in which values travel. What clients send, the new server has to take from old
//! clients, so that taking less breaks. What the server sends, old clients have to take from the new server, so that
//! sending more breaks. A change of which neither can be shown counts as breaking.
//!
//! The judgement is made of schemas, as a generated client's would be. Where serde takes more than a type's schema says,
//! such as a list for a struct, that is nothing to build upon.

mod bodies;
mod command;
mod contracts;
mod fit;
mod form;
mod path;
mod report;
mod words;

use serde::Serialize;

pub use self::command::{Check, CheckError, CheckFormat};

use crate::api::{Api, Contract};

/// What [`compare`] found.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Whether every old client can go on with the new server.
    pub compatible: bool,
    /// Those of either version, sorted by their old names.
    pub contracts: Vec<ContractComparison>,
}

/// What changed in one contract.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct ContractComparison {
    /// What the contract was called; if it is new, what it is called.
    pub name: String,
    /// The old version's hash, if there is an old version.
    pub old_hash: Option<String>,
    /// The new version's hash, if there is a new version.
    pub new_hash: Option<String>,
    /// In a fixed order: of the contract, then of calls and of pushes by name, then by place.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Whom it harms.
    pub effect: Effect,
    /// Where: a call or push, then into its value, such as `post.input.text`. Empty for the contract itself.
    pub place: String,
    /// What was there, in words.
    pub from: Option<String>,
    /// What is there, in words.
    pub to: Option<String>,
    /// What happened.
    pub what: String,
    /// What that means for old clients.
    pub why: String,
    /// The line of a changelog, as Markdown.
    pub changelog: String,
}

/// Whom a change harms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effect {
    /// Old clients: some of what they do fails.
    Breaking,
    /// Nobody.
    Compatible,
    /// Nobody: only what people read has changed.
    Documentation,
}

/// Compares two versions of an app. Contracts belong together by their names, or else by their paths.
pub fn compare(old: &Api, new: &Api) -> Comparison {
    let mut contracts = contracts::compare(old, new);
    contracts.sort_by(|a, b| a.name.cmp(&b.name));
    Comparison { compatible: contracts.iter().all(ContractComparison::is_compatible), contracts }
}

impl Comparison {
    /// The lines of a changelog, without changes of documentation.
    pub fn changelog(&self) -> impl Iterator<Item = &str> {
        let changes = self.contracts.iter().flat_map(|contract| &contract.changes);
        let changes = changes.filter(|change| change.effect != Effect::Documentation);
        changes.map(|change| &*change.changelog)
    }
}

impl ContractComparison {
    /// Whether clients of the old version can go on.
    pub fn is_compatible(&self) -> bool {
        self.changes.iter().all(|change| change.effect != Effect::Breaking)
    }

    /// The hash that the new version's server has to accept so that old clients, which are compatible, are let in.
    pub fn hash_to_accept(&self) -> Option<&str> {
        let old = self.old_hash.as_deref()?;
        (self.is_compatible() && self.new_hash.as_deref() != Some(old)).then_some(old)
    }
}

/// Changes of one contract, as they are found.
struct Changes<'c> {
    contract: &'c str,
    found: Vec<Change>,
}

/// What kind of line a change is in a changelog, unless it breaks.
#[derive(Clone, Copy)]
enum Line {
    Added,
    Changed,
}

impl<'c> Changes<'c> {
    fn of(contract: &'c Contract) -> Self {
        Self { contract: &contract.name, found: Vec::new() }
    }

    fn breaking(&mut self, place: &str, what: &str, why: &str) -> &mut Change {
        self.add(Effect::Breaking, Line::Changed, place, what, why)
    }

    fn compatible(&mut self, line: Line, place: &str, what: &str, why: &str) -> &mut Change {
        self.add(Effect::Compatible, line, place, what, why)
    }

    fn documentation(&mut self, place: &str, old: &str, new: &str) {
        if old != new {
            self.add(
                Effect::Documentation,
                Line::Changed,
                place,
                "its documentation changed",
                "nothing travels otherwise",
            );
        }
    }

    fn add(&mut self, effect: Effect, line: Line, place: &str, what: &str, why: &str) -> &mut Change {
        let word = match (effect, line) {
            (Effect::Breaking, _) => "breaking",
            (_, Line::Added) => "added",
            (_, Line::Changed) => "changed",
        };
        let place_in_line = if place.is_empty() { String::new() } else { format!(", `{place}`") };
        let contract = self.contract;
        let changelog = format!("- **{word}:** contract `{contract}`{place_in_line}: {what}; {why}.");
        let (place, what, why) = (place.to_owned(), what.to_owned(), why.to_owned());
        self.found.push(Change { effect, place, from: None, to: None, what, why, changelog });
        self.found.last_mut().expect("it was just pushed")
    }
}
