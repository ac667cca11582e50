//! How many connections a user, or an address, has at the same time.
//!
//! Counted from before the 101 until the connection has ended, under one lock for both: two upgrades never take the last
//! seat together, and one that is refused for its address has not taken its user's. Who signs in later takes a seat then.
//! What nobody sits on is not kept.

use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use parking_lot::Mutex;

use super::User;
use crate::limits::Limits;

/// Nobody knows when a connection will end; this is long enough for a page that was left to be noticed.
pub(crate) const SEAT_RETRY_SECONDS: u64 = 5;

/// The seats of a route.
#[derive(Debug)]
pub(crate) struct Seats {
    per_user: Option<NonZeroUsize>,
    per_address: Option<NonZeroUsize>,
    taken: Mutex<HashMap<Owner, usize>>,
}

/// Whose seats are counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Owner {
    User(Box<str>),
    Address(IpAddr),
}

/// The seat of one connection; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Seat(Box<Taken>);

/// In a box, because a connection keeps its seat as long as it lives.
#[derive(Debug)]
struct Taken {
    seats: Arc<Seats>,
    owners: [Option<Owner>; 2],
}

/// All seats are taken; the text says whose.
#[derive(Debug)]
pub(crate) struct Full(pub(crate) &'static str);

impl Seats {
    /// None where their number has no limit.
    pub(crate) fn of(limits: &Limits) -> Option<Arc<Self>> {
        let &Limits { connections_per_user: per_user, connections_per_address: per_address, .. } = limits;
        let is_limited = per_user.is_some() || per_address.is_some();
        is_limited.then(|| Arc::new(Self { per_user, per_address, taken: Mutex::default() }))
    }

    pub(crate) fn take(self: &Arc<Self>, user: Option<&User>, address: Option<IpAddr>) -> Result<Seat, Full> {
        let by_user = self.per_user.zip(user.map(|user| Owner::User(user.id().into())));
        let by_address = self.per_address.zip(address.map(Owner::Address));
        let mut taken = self.taken.lock();
        let is_full = |counted: &Option<(NonZeroUsize, Owner)>| {
            counted
                .as_ref()
                .is_some_and(|(most, owner)| taken.get(owner).is_some_and(|now| *now >= most.get()))
        };
        if is_full(&by_user) {
            return Err(Full("this user has as many connections as it may have"));
        }
        if is_full(&by_address) {
            return Err(Full("this address has as many connections as it may have"));
        }
        let owners = [by_user, by_address].map(|counted| counted.map(|(_, owner)| owner));
        for owner in owners.iter().flatten() {
            *taken.entry(owner.clone()).or_default() += 1;
        }
        Ok(Seat(Box::new(Taken { seats: Arc::clone(self), owners })))
    }
}

impl Seat {
    /// From now on the connection is one of `user`'s. What comes back is the seat of whoever's it was before, to be dropped
    /// once they have left it.
    pub(crate) fn pass_to(&mut self, user: &User) -> Result<Option<Self>, Full> {
        let Taken { seats, owners: [owner, _] } = &mut *self.0;
        let is_theirs = matches!(owner, Some(Owner::User(id)) if **id == *user.id());
        if seats.per_user.is_none() || is_theirs {
            return Ok(None);
        }
        let mut other = seats.take(Some(user), None)?;
        mem::swap(owner, &mut other.0.owners[0]);
        Ok(Some(other))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Taken { seats, owners } = &*self.0;
        let mut taken = seats.taken.lock();
        for owner in owners.iter().flatten() {
            let Some(now) = taken.get_mut(owner) else { continue };
            *now -= 1;
            if *now == 0 {
                taken.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;
    use crate::limits::Options;

    fn seats(per_user: usize, per_address: usize) -> Arc<Seats> {
        let options = Options::new().connections_per_user(per_user).connections_per_address(per_address);
        Seats::of(&options.resolve().expect("good options")).expect("limited")
    }

    #[test]
    fn a_seat_is_taken_for_both_or_for_none() {
        let seats = seats(2, 3);
        let ada = User::new("ada").expect("a good id");
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        let first = seats.take(Some(&ada), here).expect("a free seat");
        let _second = seats.take(Some(&ada), here).expect("a free seat");
        assert!(seats.take(Some(&ada), here).is_err_and(|full| full.0.contains("user")));
        let _visitor = seats.take(None, here).expect("the third of the address");
        assert!(seats.take(None, here).is_err_and(|full| full.0.contains("address")));
        let bob = User::new("bob").expect("a good id");
        assert!(seats.take(Some(&bob), here).is_err());
        assert!(!seats.taken.lock().contains_key(&Owner::User("bob".into())), "a refusal takes nothing");
        drop(first);
        assert!(seats.take(Some(&ada), here).is_ok());
    }

    /// Many threads come and go; each counts for itself how many have a seat, and nobody ever sees one too many.
    #[test]
    fn the_last_seat_is_taken_once() {
        const SEATS: usize = 3;
        let seats = seats(SEATS, 1000);
        let ada = User::new("ada").expect("a good id");
        let (sitting, most, refused) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Ok(seat) = seats.take(Some(&ada), None) else {
                            refused.fetch_add(1, SeqCst);
                            continue;
                        };
                        most.fetch_max(sitting.fetch_add(1, SeqCst) + 1, SeqCst);
                        thread::yield_now();
                        sitting.fetch_sub(1, SeqCst);
                        drop(seat);
                    }
                });
            }
        });
        assert!(most.load(SeqCst) <= SEATS, "{} sat on {SEATS} seats", most.load(SeqCst));
        assert!(refused.load(SeqCst) > 0, "there was no race to lose");
        assert!(seats.taken.lock().is_empty(), "who left is not kept");
    }
}
