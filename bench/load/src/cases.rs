//! The cases: what is sent when, and what is counted.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::connection::{Connection, Target};
use crate::poller::{Poller, Ready};
use crate::process::{Process, core_busy};
use crate::report::Rate;

pub mod echo;
pub mod fan_out;
pub mod handshake;
pub mod hold;
pub mod idle;
pub mod stalled;

/// What every case works with.
pub struct Generator {
    /// Where to connect.
    pub target: Target,
    /// Whose CPU and memory are read.
    pub server: Process,
    /// How long to count, and how long to run before.
    pub window: Window,
    pub(crate) poller: Poller,
    pub(crate) ready: Vec<Ready>,
    pub(crate) scratch: Vec<u8>,
}

/// The measured stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Runs first and is not counted: caches fill, compilers of other languages finish.
    pub warm_up: Duration,
    /// Is counted.
    pub length: Duration,
}

impl Generator {
    /// A generator that has opened nothing yet. See [`Poller::new`] for `spin`.
    pub fn new(target: Target, server: Process, window: Window, spin: bool) -> Result<Self> {
        let poller = Poller::new(spin)?;
        Ok(Self { target, server, window, poller, ready: Vec::new(), scratch: vec![0; SCRATCH_BYTES] })
    }

    /// Waits once, and hands on what has come with the number of its connection.
    pub(crate) fn listen(
        &mut self,
        connections: &mut [Connection],
        mut on_payload: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Self { poller, ready, scratch, .. } = self;
        poller.wait(ready)?;
        for ready in &*ready {
            let Some(connection) = connections.get_mut(ready.slot) else { continue };
            if ready.writable {
                connection.flush(poller)?;
            }
            if ready.readable {
                connection.receive(scratch, poller, |payload| on_payload(ready.slot, payload))?;
            }
        }
        Ok(())
    }
}

/// Cuts the window out of a running count.
#[derive(Debug)]
pub(crate) struct Meter {
    server: Process,
    window: Window,
    started: Instant,
    /// How everything stood at the window's beginning.
    mark: Option<Mark>,
}

#[derive(Debug)]
struct Mark {
    count: u64,
    server_cpu: Duration,
    generator_cpu: Duration,
    /// Of the server's core, if it has one of its own.
    core_busy: Option<Duration>,
    at: Instant,
}

impl Meter {
    pub(crate) fn start(server: Process, window: Window) -> Self {
        Self { server, window, started: Instant::now(), mark: None }
    }

    /// Takes the count of the moment; gives the result once the window is over.
    pub(crate) fn tick(&mut self, count: u64) -> Result<Option<Rate>> {
        let now = Instant::now();
        let Some(begin) = &self.mark else {
            if now - self.started >= self.window.warm_up {
                self.mark = Some(self.read(count)?);
            }
            return Ok(None);
        };
        if now - begin.at < self.window.length {
            return Ok(None);
        }
        let end = self.read(count)?;
        let server_cpu = end.server_cpu - begin.server_cpu;
        let core_busy = end.core_busy.zip(begin.core_busy).map(|(end, begin)| end - begin);
        Ok(Some(Rate {
            count: end.count - begin.count,
            seconds: (end.at - begin.at).as_secs_f64(),
            server_cpu_seconds: server_cpu.as_secs_f64(),
            others_cpu_seconds: core_busy.map(|busy| busy.saturating_sub(server_cpu).as_secs_f64()),
            generator_cpu_seconds: (end.generator_cpu - begin.generator_cpu).as_secs_f64(),
        }))
    }

    fn read(&self, count: u64) -> Result<Mark> {
        let core_busy = self.server.core().map(core_busy).transpose()?;
        let (server_cpu, generator_cpu) = (self.server.cpu()?, Process::own().cpu()?);
        Ok(Mark { count, server_cpu, generator_cpu, core_busy, at: Instant::now() })
    }
}

const SCRATCH_BYTES: usize = 256 * 1024;
