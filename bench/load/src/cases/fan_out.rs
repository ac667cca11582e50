//! Fan-out: connection 0 publishes a burst in one write, everybody receives all of it, the publisher included, and
//! then comes the next burst.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::{Generator, Meter};
use crate::connection::Connection;
use crate::message::{Stamp, Template};
use crate::report::Rate;

/// Counts deliveries: one publication to 1,000 subscribers is 1,000.
pub fn run(
    generator: &mut Generator,
    subscribers: usize,
    in_flight: u32,
    template: &Template,
) -> Result<Rate> {
    let mut audience =
        Audience { connections: generator.open(subscribers)?, published: 0, next: vec![0; subscribers] };
    audience.roll_call(generator, template)?;
    let mut meter = Meter::start(generator.server, generator.window);
    let mut count = 0;
    loop {
        audience.publish(in_flight, template, generator)?;
        let mut missing = subscribers as u64 * u64::from(in_flight);
        let mut result = None;
        while missing > 0 {
            let delivered = audience.receive(generator, template, |number, next| {
                ensure!(number == next, "message {number} came, {next} was due");
                Ok(())
            })?;
            missing -= delivered;
            count += delivered;
            if result.is_none() {
                result = meter.tick(count)?;
            }
        }
        if let Some(rate) = result {
            return Ok(rate);
        }
    }
}

struct Audience {
    connections: Vec<Connection>,
    published: u32,
    /// The next message due, per connection.
    next: Vec<u32>,
}

impl Audience {
    /// Publishes until a message has reached everybody. A server may answer the upgrade a moment before the
    /// connection is subscribed; from the first complete publication on, nothing may be missing.
    fn roll_call(&mut self, generator: &mut Generator, template: &Template) -> Result<()> {
        for _ in 0..ROLL_CALLS_MAX {
            self.publish(1, template, generator)?;
            let asked = Instant::now();
            while asked.elapsed() < ROLL_CALL_PATIENCE {
                self.receive(generator, template, |number, next| {
                    ensure!(number >= next, "message {number} came after {next} was due");
                    Ok(())
                })?;
                if self.next.iter().all(|next| *next == self.published) {
                    return Ok(());
                }
            }
        }
        let absent = self.next.iter().filter(|next| **next != self.published).count();
        bail!("{absent} of {} subscribers never received anything", self.connections.len())
    }

    fn publish(&mut self, count: u32, template: &Template, generator: &Generator) -> Result<()> {
        for _ in 0..count {
            self.connections[0].queue(template, Stamp { sender: 0, number: self.published });
            self.published += 1;
        }
        self.connections[0].flush(&generator.poller)
    }

    /// Waits once and takes what has come, each number after `check` has seen it with the one that was due.
    fn receive(
        &mut self,
        generator: &mut Generator,
        template: &Template,
        check: impl Fn(u32, u32) -> Result<()>,
    ) -> Result<u64> {
        let mut delivered = 0;
        generator.listen(&mut self.connections, |slot, reply| {
            let next = &mut self.next[slot];
            let Stamp { sender, number } = template.check(reply)?;
            ensure!(sender == 0, "a message came that nobody published");
            check(number, *next)?;
            *next = number + 1;
            delivered += 1;
            Ok(())
        })?;
        Ok(delivered)
    }
}

const ROLL_CALLS_MAX: usize = 50;
const ROLL_CALL_PATIENCE: Duration = Duration::from_millis(200);
