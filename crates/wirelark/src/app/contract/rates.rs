//! How often the calls of a contract may be made.
//!
//! Limits that count for each connection have their meters with the connection, made when the first limited call comes;
//! those of users and addresses are shared by all connections of the route.

use std::net::IpAddr;

use wirelark_proto::contract::{CallRate, Rate, RateBy, RateLimited};

use crate::app::auth::User;
use crate::rate::{Meter, Meters};

/// The limit of one call on one route.
pub(super) struct CallLimit {
    rate: Rate,
    shared: Option<(RateBy, Meters<Owner>)>,
}

/// Whose calls are counted together.
#[derive(PartialEq, Eq, Hash)]
enum Owner {
    User(Box<str>),
    Address(IpAddr),
}

impl CallLimit {
    pub(super) fn new(CallRate { rate, by }: CallRate) -> Self {
        Self { rate, shared: (by != RateBy::Connection).then(|| (by, Meters::new(rate))) }
    }

    /// Whether it matters from which address a connection comes.
    pub(super) fn asks_for_address(&self) -> bool {
        self.shared.is_some()
    }
}

/// What is measured of one connection; a pointer until there is something to measure.
#[derive(Default)]
pub(super) struct Measured(Option<Box<Kept>>);

#[derive(Default)]
struct Kept {
    address: Option<IpAddr>,
    messages: Option<Meter>,
    /// By the name of the call; no more than the contract has.
    calls: Vec<(&'static str, Meter)>,
}

impl Measured {
    /// A connection from this address, if a limit asks for it.
    pub(super) fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| Box::new(Kept { address: Some(address), ..Kept::default() })))
    }

    /// Counts a message, whatever it is.
    pub(super) fn check_message(&mut self, rate: Option<Rate>) -> Result<(), RateLimited> {
        let Some(rate) = rate else { return Ok(()) };
        self.0.get_or_insert_default().messages.get_or_insert_with(|| Meter::checked(rate)).check()
    }

    /// Counts a call of this name.
    pub(super) fn check_call(
        &mut self,
        call: &'static str,
        limit: &CallLimit,
        user: impl FnOnce() -> Option<User>,
    ) -> Result<(), RateLimited> {
        let kept = self.0.get_or_insert_default();
        if let Some((by, meters)) = &limit.shared {
            let user = user().filter(|_| *by == RateBy::User).map(|user| Owner::User(user.id().into()));
            // Who is nobody's user is counted by address, or else by connection, so that nobody escapes.
            if let Some(owner) = user.or_else(|| kept.address.map(Owner::Address)) {
                return meters.check(owner);
            }
        }
        let at = kept.calls.iter().position(|(name, _)| *name == call).unwrap_or_else(|| {
            kept.calls.push((call, Meter::checked(limit.rate)));
            kept.calls.len() - 1
        });
        kept.calls[at].1.check()
    }
}
