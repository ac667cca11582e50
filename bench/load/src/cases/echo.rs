//! Echo: every connection keeps a number of messages in flight. The k replies that one read brings are answered with
//! one write of k messages, so that a server sees bursts where the number is above 1. A call is an echo in a dialect of
//! calls.

use anyhow::{Result, ensure};

use super::{Generator, Meter};
use crate::connection::Connection;
use crate::message::{Stamp, Template};
use crate::report::Rate;

/// Counts replies.
pub fn run(
    generator: &mut Generator,
    connections: usize,
    in_flight: u32,
    template: &Template,
) -> Result<Rate> {
    let mut echoes: Vec<_> = generator.open(connections)?.into_iter().zip(0..).map(Echo::new).collect();
    let Generator { server, window, poller, ready, scratch, .. } = generator;
    for echo in &mut echoes {
        echo.send(in_flight, template);
        echo.connection.flush(poller)?;
    }
    let mut meter = Meter::start(*server, *window);
    let mut count = 0;
    let mut outstanding = connections as u64 * u64::from(in_flight);
    let mut result = None;
    // Ends only after the last message has come back, although those no longer count: they are checked like any other.
    while outstanding > 0 {
        poller.wait(ready)?;
        for ready in &*ready {
            let echo = &mut echoes[ready.slot];
            if ready.writable {
                echo.connection.flush(poller)?;
            }
            if !ready.readable {
                continue;
            }
            let before = echo.expected;
            let Echo { connection, sender, expected, .. } = echo;
            connection.receive(scratch, poller, |reply| {
                let stamp = template.check(reply)?;
                ensure!(
                    stamp == Stamp { sender: *sender, number: *expected },
                    "{stamp:?} came, {expected} was due"
                );
                *expected = expected.wrapping_add(1);
                Ok(())
            })?;
            let replies = echo.expected.wrapping_sub(before);
            count += u64::from(replies);
            if result.is_none() {
                echo.send(replies, template);
                echo.connection.flush(poller)?;
            } else {
                outstanding -= u64::from(replies);
            }
        }
        if result.is_none() {
            result = meter.tick(count)?;
        }
    }
    Ok(result.expect("the loop goes on sending until there is a result"))
}

struct Echo {
    connection: Connection,
    sender: u32,
    /// The number of the next message to send, and of the next reply.
    next: u32,
    expected: u32,
}

impl Echo {
    fn new((connection, sender): (Connection, u32)) -> Self {
        Self { connection, sender, next: 0, expected: 0 }
    }

    fn send(&mut self, count: u32, template: &Template) {
        for _ in 0..count {
            self.connection.queue(template, Stamp { sender: self.sender, number: self.next });
            self.next = self.next.wrapping_add(1);
        }
    }
}
