//! Handshakes: connect, upgrade, close, and again. A connection counts when messages could be sent on it, so after a
//! greeting or a namespace where the server has one.

use std::net::Ipv4Addr;

use anyhow::{Result, bail};

use super::{Generator, Meter};
use crate::connection::Connection;
use crate::report::Rate;

/// Counts opened connections, `at_once` of them under way at any time.
pub fn run(generator: &mut Generator, at_once: usize) -> Result<Rate> {
    let Generator { target, server, window, poller, ready, scratch } = generator;
    let mut sources = sources();
    let mut connections = Vec::with_capacity(at_once);
    for slot in 0..at_once {
        connections.push(Connection::start(target, sources(), slot, poller)?);
    }
    let mut meter = Meter::start(*server, *window);
    let mut count = 0;
    loop {
        poller.wait(ready)?;
        for ready in &*ready {
            let connection = &mut connections[ready.slot];
            connection.receive(scratch, poller, |_| bail!("a message nobody asked for"))?;
            if connection.is_open() {
                count += 1;
                *connection = Connection::start(target, sources(), ready.slot, poller)?;
            }
        }
        if let Some(rate) = meter.tick(count)? {
            return Ok(rate);
        }
    }
}

/// Source addresses in turn. The side that closes first keeps its port for a minute, and one address has only 28,000.
fn sources() -> impl FnMut() -> Ipv4Addr {
    let mut turn = 0;
    move || {
        turn = turn % 250 + 1;
        Ipv4Addr::new(127, 0, 1, turn)
    }
}
