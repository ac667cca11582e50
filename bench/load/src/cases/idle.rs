//! Idle: connections that have each exchanged a message and then rest. Measured after a small message, and again after
//! a large one, since many servers keep the buffer it needed.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Generator;
use crate::connection::Connection;
use crate::message::{Stamp, Template};
use crate::opening::AT_ONCE;
use crate::process::KernelMemory;
use crate::report::{Footprint, Idle};

/// Weighs `count` connections that rest for `rest` each time.
pub fn run(
    generator: &mut Generator,
    count: usize,
    small: &Template,
    large: &Template,
    rest: Duration,
) -> Result<Idle> {
    // What the first connections make a server load and allocate once is not theirs.
    let mut first = generator.open(AT_ONCE)?;
    exchange(generator, &mut first, small, 0)?;
    exchange(generator, &mut first, large, 1)?;
    drop(first);
    sleep(rest);

    let before = Weight::take(generator)?;
    let mut connections = generator.open(count)?;
    exchange(generator, &mut connections, small, 0)?;
    sleep(rest);
    let after_small = Weight::take(generator)?.per_connection(&before, count);
    exchange(generator, &mut connections, large, 1)?;
    sleep(rest);
    let after_large = Weight::take(generator)?.per_connection(&before, count);
    // A last small message on each proves that they are all still there.
    exchange(generator, &mut connections, small, 2)?;
    Ok(Idle { connections: count, after_small, after_large })
}

/// One message on each connection, few at the same time, as on a server that has many connections and little to do.
fn exchange(
    generator: &mut Generator,
    connections: &mut [Connection],
    template: &Template,
    number: u32,
) -> Result<()> {
    let mut sent = 0;
    let mut answered = 0;
    while answered < connections.len() {
        while sent < connections.len() && sent - answered < AT_ONCE {
            connections[sent].queue(template, Stamp { sender: sent as u32, number });
            connections[sent].flush(&generator.poller)?;
            sent += 1;
        }
        generator.listen(connections, |slot, reply| {
            let stamp = template.check(reply)?;
            let due = Stamp { sender: slot as u32, number };
            ensure!(stamp == due, "{stamp:?} came, {due:?} was due");
            answered += 1;
            Ok(())
        })?;
    }
    Ok(())
}

/// What the server and the kernel hold.
pub(super) struct Weight {
    resident_bytes: u64,
    kernel: Option<KernelMemory>,
}

impl Weight {
    pub(super) fn take(generator: &Generator) -> Result<Self> {
        Ok(Self { resident_bytes: generator.server.resident_bytes()?, kernel: KernelMemory::read() })
    }

    pub(super) fn per_connection(&self, before: &Self, connections: usize) -> Footprint {
        Footprint {
            user_bytes: (self.resident_bytes as f64 - before.resident_bytes as f64) / connections as f64,
            // Both ends of every connection live on this machine.
            kernel_bytes: self
                .kernel
                .zip(before.kernel)
                .map(|(after, before)| after.per_socket_since(&before, 2 * connections)),
        }
    }
}
