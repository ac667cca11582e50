//! Who is in one room: no clock, no lock, nobody to tell.
//!
//! Beside the members it keeps, for each that has changed since the watchers were last told, what they believe. What they
//! have to be told is the difference, so that somebody who came and went meanwhile is not even mentioned.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::news::{Changes, Left, Member, Metadata, Who};
use crate::connection::ConnectionId;

#[derive(Default)]
pub(super) struct Roster {
    members: BTreeMap<Who, Entry>,
    by_connection: HashMap<ConnectionId, Who>,
    /// What watchers believe of those who have changed: their metadata, or that they are not there.
    believed: BTreeMap<Who, Option<Metadata>>,
}

struct Entry {
    meta: Metadata,
    devices: SmallVec<[ConnectionId; 1]>,
}

impl Roster {
    /// A connection is there as `who`, and as nobody else. The metadata is the member's on all devices.
    pub(super) fn track(&mut self, connection: ConnectionId, who: Who, meta: Metadata) {
        if self.by_connection.get(&connection).is_some_and(|before| *before != who) {
            self.untrack(connection);
        }
        match self.members.get_mut(&who) {
            Some(entry) => {
                if !entry.devices.contains(&connection) {
                    entry.devices.push(connection);
                }
                let before = std::mem::replace(&mut entry.meta, meta);
                self.believed.entry(who.clone()).or_insert(Some(before));
            }
            None => {
                self.believed.entry(who.clone()).or_insert(None);
                self.members.insert(who.clone(), Entry { meta, devices: [connection].into_iter().collect() });
            }
        }
        self.by_connection.insert(connection, who);
    }

    /// Gives the member of a connection other metadata; false if it has none.
    pub(super) fn update(&mut self, connection: ConnectionId, meta: Metadata) -> bool {
        let Some(who) = self.by_connection.get(&connection) else { return false };
        let Some(entry) = self.members.get_mut(who) else { return false };
        let before = std::mem::replace(&mut entry.meta, meta);
        self.believed.entry(who.clone()).or_insert(Some(before));
        true
    }

    /// A connection is not there any more; false if it was not before. The member is, as long as there are others.
    pub(super) fn untrack(&mut self, connection: ConnectionId) -> bool {
        let Some(who) = self.by_connection.remove(&connection) else { return false };
        let Some(entry) = self.members.get_mut(&who) else { return false };
        entry.devices.retain(|device| *device != connection);
        if entry.devices.is_empty()
            && let Some(Entry { meta, .. }) = self.members.remove(&who)
        {
            self.believed.entry(who).or_insert(Some(meta));
        }
        true
    }

    /// What has changed since the last time. The watchers know from here on.
    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for (who, believed) in std::mem::take(&mut self.believed) {
            match (believed, self.members.get(&who)) {
                (None, None) => {}
                (None, Some(now)) => changes.joined.push(Member::new(&who, now.meta.clone())),
                (Some(before), Some(now)) if before == now.meta => {}
                (Some(_), Some(now)) => changes.updated.push(Member::new(&who, now.meta.clone())),
                (Some(_), None) => changes.left.push(Left::new(&who)),
            }
        }
        changes
    }

    /// Nobody watches: nothing has to be remembered for anybody.
    pub(super) fn forget_changes(&mut self) {
        self.believed = BTreeMap::new();
    }

    pub(super) fn has(&self, connection: ConnectionId) -> bool {
        self.by_connection.contains_key(&connection)
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.believed.is_empty()
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.members.iter().map(|(who, entry)| Member::new(who, entry.meta.clone())).collect()
    }

    /// With how many devices each is there on.
    pub(super) fn members_with_devices(&self) -> Vec<(Member, usize)> {
        let listed =
            |(who, entry): (&Who, &Entry)| (Member::new(who, entry.meta.clone()), entry.devices.len());
        self.members.iter().map(listed).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn id(slot: u32) -> ConnectionId {
        ConnectionId::new(0, 1, slot)
    }

    fn user(name: &str) -> Who {
        Who::User(name.into())
    }

    fn meta(value: u32) -> Metadata {
        Metadata::new(value).expect("metadata")
    }

    /// How many joined, were updated and left.
    fn counts(roster: &mut Roster) -> [usize; 3] {
        let Changes { joined, updated, left } = roster.take_changes();
        [joined.len(), updated.len(), left.len()]
    }

    #[test]
    fn what_was_undone_meanwhile_is_not_mentioned() {
        let mut roster = Roster::default();
        roster.track(id(1), user("ada"), meta(1));
        assert!(roster.untrack(id(1)) && roster.has_changes());
        assert_eq!(counts(&mut roster), [0, 0, 0]);
        roster.track(id(1), user("ada"), meta(1));
        assert_eq!(counts(&mut roster), [1, 0, 0]);
        roster.untrack(id(1));
        roster.track(id(2), user("ada"), meta(1));
        assert_eq!(counts(&mut roster), [0, 0, 0], "back as before");
        roster.untrack(id(2));
        roster.track(id(3), user("ada"), meta(2));
        assert_eq!(counts(&mut roster), [0, 1, 0], "back with other metadata");
        assert!(roster.update(id(3), meta(3)) && roster.update(id(3), meta(2)));
        assert_eq!(counts(&mut roster), [0, 0, 0]);
        assert!(!roster.update(id(9), meta(1)) && !roster.untrack(id(9)));
    }

    #[test]
    fn a_user_is_there_once_until_the_last_device_is_not() {
        let mut roster = Roster::default();
        roster.track(id(1), user("ada"), meta(1));
        roster.track(id(2), user("ada"), meta(1));
        roster.track(id(2), user("ada"), meta(1));
        roster.track(id(3), Who::Visitor(id(3)), meta(1));
        let devices: Vec<_> = roster.members_with_devices().into_iter().map(|(_, devices)| devices).collect();
        assert_eq!((devices, counts(&mut roster)), (vec![2, 1], [2, 0, 0]));
        roster.untrack(id(1));
        assert_eq!((roster.len(), counts(&mut roster)), (2, [0, 0, 0]));
        // Whoever is tracked again as somebody else is not both.
        roster.track(id(2), user("bob"), meta(1));
        assert_eq!((roster.len(), counts(&mut roster)), (2, [1, 0, 1]));
    }

    /// A watcher who hears of changes now and then, and a list that is kept in the plainest way, agree.
    #[test]
    fn whoever_follows_the_changes_knows_the_members() {
        for seed in 0..50 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut roster = Roster::default();
            let mut connections: BTreeMap<u32, Who> = BTreeMap::new();
            let mut metadata: BTreeMap<Who, Metadata> = BTreeMap::new();
            let mut watcher: BTreeMap<String, Metadata> = BTreeMap::new();
            for step in 0..2_000 {
                let connection = random.random_range(0..8);
                let who = match random.random_range(0..4) {
                    0 => Who::Visitor(id(connection)),
                    number => user(&number.to_string()),
                };
                match random.random_range(0..4) {
                    0 | 1 => {
                        let meta = meta(random.random_range(0..3));
                        roster.track(id(connection), who.clone(), meta.clone());
                        connections.insert(connection, who.clone());
                        metadata.insert(who, meta);
                    }
                    2 => {
                        let was_there = connections.remove(&connection).is_some();
                        assert_eq!(roster.untrack(id(connection)), was_there, "seed {seed}, step {step}");
                    }
                    _ => {
                        let meta = meta(random.random_range(0..3));
                        let updated = roster.update(id(connection), meta.clone());
                        let who = connections.get(&connection);
                        assert_eq!(updated, who.is_some(), "seed {seed}, step {step}");
                        metadata.extend(who.map(|who| (who.clone(), meta)));
                    }
                }
                metadata.retain(|who, _| connections.values().any(|there| there == who));
                let expected: Vec<_> =
                    metadata.iter().map(|(who, meta)| Member::new(who, meta.clone())).collect();
                assert_eq!(roster.members(), expected, "seed {seed}, step {step}");
                if random.random_bool(0.2) {
                    follow(&mut watcher, roster.take_changes(), &format!("seed {seed}, step {step}"));
                    let expected =
                        expected.iter().map(|member| (name(member.user(), member.visitor()), member.meta()));
                    let known = watcher.iter().map(|(name, meta)| (name.clone(), meta.value()));
                    assert!(known.eq(expected.collect::<BTreeMap<_, _>>()), "seed {seed}, step {step}");
                }
            }
        }
    }

    fn name(user: Option<&str>, visitor: Option<&str>) -> String {
        format!("{user:?} {visitor:?}")
    }

    /// As strictly as a client could be: nobody joins who is there, is updated or leaves who is not.
    fn follow(watcher: &mut BTreeMap<String, Metadata>, changes: Changes, when: &str) {
        let meta = |member: &Member| Metadata::new(member.meta()).expect("metadata");
        for member in changes.joined {
            let before = watcher.insert(name(member.user(), member.visitor()), meta(&member));
            assert_eq!(before, None, "{when}: joined twice");
        }
        for member in changes.updated {
            let before = watcher.insert(name(member.user(), member.visitor()), meta(&member));
            assert!(before.is_some_and(|before| before != meta(&member)), "{when}: no update");
        }
        for left in changes.left {
            assert!(watcher.remove(&name(left.user(), left.visitor())).is_some(), "{when}: left twice");
        }
    }
}
