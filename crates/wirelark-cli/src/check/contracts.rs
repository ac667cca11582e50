//! Contracts, their calls and their pushes, old and new.

use std::collections::BTreeSet;

use crate::api::{Api, Call, CallKind, CallRate, Contract, Delivery, Push};

use super::bodies::{self, Direction};
use super::path::leads_to;
use super::{Changes, ContractComparison, Effect, Line};

pub(super) fn compare(old: &Api, new: &Api) -> Vec<ContractComparison> {
    let mut compared = Vec::new();
    let mut matched = BTreeSet::new();
    for contract in &old.contracts {
        let Some(successor) = successor(contract, old, new) else {
            compared.push(removed(contract));
            continue;
        };
        matched.insert(&successor.name);
        let mut changes = Changes::of(contract);
        of_contract((contract, old), (successor, new), &mut changes);
        compared.push(ContractComparison {
            name: contract.name.clone(),
            old_hash: Some(contract.hash.to_string()),
            new_hash: Some(successor.hash.to_string()),
            changes: changes.found,
        });
    }
    compared.extend(new.contracts.iter().filter(|contract| !matched.contains(&contract.name)).map(added));
    compared
}

/// The contract of the same name, or a new one at the same path: that is another name for it.
fn successor<'a>(contract: &Contract, old: &Api, new: &'a Api) -> Option<&'a Contract> {
    let same = new.contracts.iter().find(|candidate| candidate.name == contract.name);
    same.or_else(|| {
        new.contracts.iter().find(|candidate| {
            let is_new = old.contracts.iter().all(|old| old.name != candidate.name);
            is_new && contract.paths.iter().any(|path| is_served(path, candidate))
        })
    })
}

fn is_served(path: &str, contract: &Contract) -> bool {
    contract.paths.iter().any(|pattern| leads_to(path, pattern))
}

fn removed(contract: &Contract) -> ContractComparison {
    let mut changes = Changes::of(contract);
    changes.breaking("", "the contract was removed", "old clients cannot connect");
    ContractComparison {
        name: contract.name.clone(),
        old_hash: Some(contract.hash.to_string()),
        new_hash: None,
        changes: changes.found,
    }
}

fn added(contract: &Contract) -> ContractComparison {
    let mut changes = Changes::of(contract);
    changes.compatible(Line::Added, "", "the contract was added", "old clients know nothing of it");
    ContractComparison {
        name: contract.name.clone(),
        old_hash: None,
        new_hash: Some(contract.hash.to_string()),
        changes: changes.found,
    }
}

/// Something, and the app whose types it refers to.
type In<'a, T> = (&'a T, &'a Api);

fn of_contract(
    (old, old_api): In<'_, Contract>,
    (new, new_api): In<'_, Contract>,
    changes: &mut Changes<'_>,
) {
    if old.name != new.name {
        let what = format!("the contract is called {} now", new.name);
        let why = "clients made for the old name say so, and are refused";
        changes.breaking("", &what, why).between(&old.name, &new.name);
    }
    for path in old.paths.iter().filter(|path| !is_served(path, new)) {
        let what = format!("it is not served at {path} any more");
        changes.breaking("", &what, "old clients cannot connect there");
    }
    for path in new.paths.iter().filter(|path| !is_served(path, old)) {
        let what = format!("it is served at {path}");
        changes.compatible(Line::Added, "", &what, "old clients connect where they did before");
    }
    changes.documentation("", &old.documentation, &new.documentation);

    for call in &old.calls {
        match new.calls.iter().find(|candidate| candidate.name == call.name) {
            Some(successor) => {
                of_call((call, old_api), (successor, new_api), changes);
            }
            None => {
                let why = "the server answers that it does not know it";
                changes.breaking(&call.name, "the call was removed", why);
            }
        }
    }
    for call in new.calls.iter().filter(|call| old.calls.iter().all(|old| old.name != call.name)) {
        changes.compatible(Line::Added, &call.name, "a call was added", "old clients do not call it");
    }
    for push in &old.pushes {
        match new.pushes.iter().find(|candidate| candidate.name == push.name) {
            Some(successor) => {
                of_push((push, old_api), (successor, new_api), changes);
            }
            None => {
                let why = "old clients that wait for it wait in vain";
                changes.breaking(&push.name, "the push was removed", why);
            }
        }
    }
    for push in new.pushes.iter().filter(|push| old.pushes.iter().all(|old| old.name != push.name)) {
        let why = "old clients drop pushes they do not know";
        changes.compatible(Line::Added, &push.name, "a push was added", why);
    }

    let travels_otherwise = changes.found.iter().any(|change| change.effect != Effect::Documentation);
    if old.hash != new.hash && !travels_otherwise {
        let why = "what travels is the same";
        changes.compatible(Line::Changed, "", "types are named or written in another way", why);
    }
}

fn of_call((old, old_api): In<'_, Call>, (new, new_api): In<'_, Call>, changes: &mut Changes<'_>) {
    if let Some((what, why)) = change_of_kind(old.kind, new.kind) {
        changes.breaking(&old.name, what, why).between(kind(old.kind), kind(new.kind));
    }
    of_requirements(&old.name, "scope", (&old.scopes, &new.scopes), changes);
    of_requirements(&old.name, "role", (&old.roles, &new.roles), changes);
    if old.rate != new.rate {
        let why = "old clients are told when to try again, as they were before they came too often";
        let change = changes.compatible(Line::Changed, &old.name, "its rate changed", why);
        change.between(&rate(old.rate), &rate(new.rate));
    }
    changes.documentation(&old.name, &old.documentation, &new.documentation);
    let (old_input, new_input) = ((&old.input, old_api), (&new.input, new_api));
    bodies::compare(&format!("{}.input", old.name), Direction::Input, old_input, new_input, changes);
    if let (Some(old_output), Some(new_output)) = (&old.output, &new.output) {
        let place = format!("{}.output", old.name);
        bodies::compare(&place, Direction::Answer, (old_output, old_api), (new_output, new_api), changes);
    }
}

/// What callers must have.
fn of_requirements(
    call: &str,
    kind: &str,
    (old, new): (&BTreeSet<String>, &BTreeSet<String>),
    changes: &mut Changes<'_>,
) {
    for added in new.difference(old) {
        let what = format!("callers must have the {kind} {added:?}");
        changes.breaking(call, &what, "old clients whose users lack it are refused");
    }
    for removed in old.difference(new) {
        let what = format!("callers need not have the {kind} {removed:?} any more");
        changes.compatible(Line::Changed, call, &what, "whoever could call it still can");
    }
}

/// Every change of what comes back breaks. Our clients settle a call by its answer, and know how it looks.
fn change_of_kind(old: CallKind, new: CallKind) -> Option<(&'static str, &'static str)> {
    Some(match (old, new) {
        (CallKind::Reply, CallKind::Reply)
        | (CallKind::Ack, CallKind::Ack)
        | (CallKind::Send, CallKind::Send) => return None,
        (CallKind::Reply, CallKind::Ack) => {
            ("the answer has no body any more", "old clients expect one, and their calls fail")
        }
        (CallKind::Ack, CallKind::Reply) => {
            ("the answer has a body now", "old clients expect none, and their calls fail")
        }
        (CallKind::Reply | CallKind::Ack, CallKind::Send) => {
            ("it is not answered any more", "calls of old clients wait until their time is up")
        }
        (CallKind::Send, CallKind::Reply | CallKind::Ack) => {
            ("it is answered now", "old clients report every answer, because they expect none")
        }
    })
}

fn rate(rate: Option<CallRate>) -> String {
    rate.map_or_else(|| "no limit".to_owned(), |rate| rate.to_string())
}

fn kind(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Reply => "answered with a body",
        CallKind::Ack => "answered without a body",
        CallKind::Send => "not answered",
    }
}

fn of_push((old, old_api): In<'_, Push>, (new, new_api): In<'_, Push>, changes: &mut Changes<'_>) {
    if old.delivery != new.delivery {
        let what = "its delivery changed";
        let why = "old clients get it in the same form, if not as often";
        let change = changes.compatible(Line::Changed, &old.name, what, why);
        change.between(&delivery(old.delivery), &delivery(new.delivery));
    }
    changes.documentation(&old.name, &old.documentation, &new.documentation);
    let (old_body, new_body) = ((&old.body, old_api), (&new.body, new_api));
    bodies::compare(&format!("{}.body", old.name), Direction::Push, old_body, new_body, changes);
}

fn delivery(delivery: Delivery) -> String {
    match delivery {
        Delivery::Reliable => "reliable".to_owned(),
        Delivery::Conflate => "conflated".to_owned(),
        Delivery::DropOldest => "the oldest dropped".to_owned(),
        Delivery::Sample { per_second } => format!("sampled {per_second} times per second"),
    }
}

#[cfg(test)]
mod tests {
    use wirelark_proto::contract::Rate;

    use super::*;

    /// A call that changes nothing but its rate.
    fn change(old: Option<CallRate>, new: Option<CallRate>) -> Vec<(Effect, Option<String>, Option<String>)> {
        let api = |rate| {
            let call = Call {
                name: "post".into(),
                kind: CallKind::Ack,
                documentation: String::new(),
                input: serde_json::json!({}),
                output: None,
                scopes: BTreeSet::new(),
                roles: BTreeSet::new(),
                rate,
            };
            let contract = Contract {
                name: "Chat".into(),
                hash: crate::api::ContractHash::parse("0123456789abcdef").expect("a hash"),
                paths: vec!["/chat".into()],
                documentation: String::new(),
                calls: vec![call],
                pushes: Vec::new(),
            };
            let (title, version) = (String::new(), String::new());
            Api { title, version, contracts: vec![contract], schemas: Default::default() }
        };
        let compared = compare(&api(old), &api(new));
        compared[0].changes.iter().map(|it| (it.effect, it.from.clone(), it.to.clone())).collect()
    }

    #[test]
    fn a_rate_is_noted_and_breaks_nothing() {
        let five = Some(Rate::per_second(5).into());
        assert_eq!(change(five, five), []);
        let limited =
            (Effect::Compatible, Some("no limit".into()), Some("5 a second for each connection".into()));
        assert_eq!(change(None, five), [limited]);
    }
}
