//! A room with a member that does not read: the same push to everyone, measured with and without it in turn. The
//! others must get everything in both.

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{Generator, Meter};
use crate::connection::Connection;
use crate::report::{Delivery, Rate, Stalled};

/// What `emit` pushes to everyone before it counts.
const PUSH: &[u8] = r#"{"socka":"serverEvent","v":1,"event":"itemsChanged","body":[{"id":"a","n":1},{"id":"b","n":2.5},{"id":"ünï","n":-3}]}"#.as_bytes();

/// Pushes that wait for the member that does not read: more than its socket takes, half of what its outbox holds.
const BACKLOG: u32 = 8_000;

/// Measures `rounds` times each. Every other round begins with the member that does not read.
pub fn run(generator: &mut Generator, members: usize, rounds: usize) -> Result<Stalled> {
    let mut room = Room { members: generator.open(members)?, latencies: Vec::new() };
    room.settle(generator)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for stalled in [round % 2 == 1, round % 2 == 0] {
            if stalled {
                let member = room.let_one_stall(generator)?;
                with.push(room.measure(generator)?);
                drop(member);
            } else {
                without.push(room.measure(generator)?);
            }
        }
    }
    Ok(Stalled { members, rounds, without: median(&without), with: median(&with) })
}

struct Room {
    members: Vec<Connection>,
    /// Of each delivery since a measurement began, in nanoseconds.
    latencies: Vec<u64>,
}

impl Room {
    /// A server may answer the upgrade a moment before the connection is in its room.
    fn settle(&mut self, generator: &mut Generator) -> Result<()> {
        std::thread::sleep(std::time::Duration::from_millis(500));
        self.publish(generator)
    }

    fn measure(&mut self, generator: &mut Generator) -> Result<(Rate, u64)> {
        let mut meter = Meter::start(generator.server, generator.window);
        self.latencies.clear();
        let mut count = 0;
        loop {
            self.publish(generator)?;
            count += self.members.len() as u64;
            if let Some(rate) = meter.tick(count)? {
                let p99 = self.latencies.len() * 99 / 100;
                let (_, p99, _) = self.latencies.select_nth_unstable(p99);
                return Ok((rate, *p99));
            }
        }
    }

    /// The first member has a push sent to everyone; done when all have it.
    fn publish(&mut self, generator: &mut Generator) -> Result<()> {
        emit(&mut self.members[0], 0, generator)?;
        self.everyone_gets_it(generator)
    }

    fn everyone_gets_it(&mut self, generator: &mut Generator) -> Result<()> {
        let published = Instant::now();
        let mut missing: Vec<bool> = vec![true; self.members.len()];
        let mut left = missing.len();
        while left > 0 {
            generator.listen(&mut self.members, |number, message| {
                if message != PUSH {
                    ensure!(message.starts_with(br#"{"socka":"serverResponse""#), "a push of another kind");
                    return Ok(());
                }
                ensure!(std::mem::take(&mut missing[number]), "member {number} got a push twice");
                self.latencies.push(published.elapsed().as_nanos() as u64);
                left -= 1;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// One more member comes, asks for more than its socket takes, and stops reading.
    fn let_one_stall(&mut self, generator: &mut Generator) -> Result<Connection> {
        let slot = self.members.len();
        let mut member = Connection::start(&generator.target, Ipv4Addr::LOCALHOST, slot, &generator.poller)?;
        while !member.is_open() {
            let Generator { poller, ready, scratch, .. } = generator;
            poller.wait(ready)?;
            if ready.iter().any(|ready| ready.slot == slot) {
                member.receive(scratch, poller, |_| bail!("a push came before anybody published"))?;
            }
        }
        member.stall(&generator.poller)?;
        emit(&mut member, BACKLOG, generator)?;
        self.everyone_gets_it(generator)?;
        Ok(member)
    }
}

fn emit(member: &mut Connection, ticks: u32, generator: &Generator) -> Result<()> {
    let request =
        format!(r#"{{"socka":"clientRequest","v":1,"id":"e","rpc":"emit","body":{{"ticks":{ticks}}}}}"#);
    member.queue_text(request.as_bytes());
    member.flush(&generator.poller)
}

fn median(measured: &[(Rate, u64)]) -> Delivery {
    let (mut cpu, mut p99): (Vec<f64>, Vec<f64>) =
        measured.iter().map(|(rate, p99)| (rate.cpu_micros(), *p99 as f64 / 1e6)).unzip();
    cpu.sort_by(f64::total_cmp);
    p99.sort_by(f64::total_cmp);
    Delivery { cpu_micros: cpu[cpu.len() / 2], p99_millis: p99[p99.len() / 2] }
}
