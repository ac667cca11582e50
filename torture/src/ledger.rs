//! Which replies are owed on a connection. Every reply is struck off here, so that none comes twice, for nobody or not
//! at all.

use std::collections::HashMap;

use crate::oracle::Due;
use crate::reply::Reply;

/// The replies that have not come yet, by id. Ids may come twice: then so many replies are owed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    owed: HashMap<String, Vec<Owed>>,
}

#[derive(Debug)]
struct Owed {
    frame: u64,
    unknown: Option<String>,
    waits: bool,
}

impl Ledger {
    /// Notes what is owed for a frame.
    pub(crate) fn note(&mut self, frame: u64, due: &Due) {
        if let Due::Reply { id, unknown, waits } = due {
            let owed = Owed { frame, unknown: unknown.clone(), waits: *waits };
            self.owed.entry(id.clone()).or_default().push(owed);
        }
    }

    /// Strikes a reply off. An error says why none like it is owed.
    pub(crate) fn settle(&mut self, reply: &Reply) -> Result<(), String> {
        let Some(owed) = self.owed.get_mut(&reply.id) else {
            return Err(format!("a reply that nobody waits for, or the second one: {reply:?}"));
        };
        // Of two calls with one id, the one that waits for nothing is answered first.
        let fitting = owed.iter().enumerate().filter(|(_, owed)| owed.fits(reply));
        let Some((at, _)) = fitting.min_by_key(|(_, owed)| owed.waits) else {
            return Err(format!("another reply is owed than {reply:?}: {owed:?}"));
        };
        owed.remove(at);
        if owed.is_empty() {
            self.owed.remove(&reply.id);
        }
        Ok(())
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.owed.is_empty()
    }

    /// The first frame whose reply should have come before that of every later frame.
    pub(crate) fn first_overdue(&self) -> Option<u64> {
        self.owed.values().flatten().filter(|owed| !owed.waits).map(|owed| owed.frame).min()
    }

    /// The first frame that has no reply yet.
    pub(crate) fn first_owed(&self) -> Option<u64> {
        self.owed.values().flatten().map(|owed| owed.frame).min()
    }
}

impl Owed {
    fn fits(&self, reply: &Reply) -> bool {
        match &self.unknown {
            Some(call) => {
                reply.error.as_deref().is_some_and(|error| error == format!("Unknown call: {call}"))
            }
            None => reply.error.as_deref().is_none_or(|error| !error.starts_with("Unknown call: ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(id: &str, unknown: Option<&str>, waits: bool) -> Due {
        Due::Reply { id: id.into(), unknown: unknown.map(str::to_owned), waits }
    }

    fn reply(id: &str, error: Option<&str>) -> Reply {
        Reply { id: id.into(), error: error.map(str::to_owned) }
    }

    #[test]
    fn a_reply_that_is_missing_is_named() {
        let mut ledger = Ledger::default();
        ledger.note(7, &due("a", None, true));
        ledger.note(8, &due("b", None, false));
        ledger.note(9, &due("c", None, false));
        ledger.settle(&reply("c", None)).unwrap();
        assert_eq!((ledger.first_owed(), ledger.first_overdue()), (Some(7), Some(8)));
        ledger.settle(&reply("b", Some("any error is a reply"))).unwrap();
        assert_eq!((ledger.first_owed(), ledger.first_overdue()), (Some(7), None));
        ledger.settle(&reply("a", None)).unwrap();
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_reply_that_comes_twice_or_for_nobody_is_refused() {
        let mut ledger = Ledger::default();
        ledger.note(1, &due("a", None, false));
        ledger.note(2, &Due::Malformed);
        ledger.note(3, &Due::Nothing);
        ledger.settle(&reply("b", None)).unwrap_err();
        ledger.settle(&reply("a", None)).unwrap();
        ledger.settle(&reply("a", None)).unwrap_err();
        assert!(ledger.is_settled());
    }

    #[test]
    fn two_calls_with_one_id_are_owed_two_replies() {
        let mut ledger = Ledger::default();
        ledger.note(1, &due("a", None, false));
        ledger.note(2, &due("a", Some("x"), false));
        ledger.settle(&reply("a", Some("Unknown call: y"))).unwrap_err();
        ledger.settle(&reply("a", Some("Unknown call: x"))).unwrap();
        ledger.settle(&reply("a", Some("Unknown call: x"))).unwrap_err();
        assert!(!ledger.is_settled());
        ledger.settle(&reply("a", None)).unwrap();
        assert!(ledger.is_settled());
    }

    #[test]
    fn of_two_calls_with_one_id_the_one_that_waits_is_answered_last() {
        let mut ledger = Ledger::default();
        ledger.note(1, &due("a", None, true));
        ledger.note(2, &due("a", None, false));
        ledger.settle(&reply("a", None)).unwrap();
        assert_eq!((ledger.first_owed(), ledger.first_overdue()), (Some(1), None));
    }
}
