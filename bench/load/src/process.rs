//! The server under test as the kernel sees it. All of it is read from `/proc`; the server takes no part.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A running process: the server, or the generator itself.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its number.
    pub pid: u32,
}

impl Process {
    /// The one this runs in.
    pub fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// On-CPU time of all its threads so far.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid)).context("the process is gone")? {
            // A thread that ends between the two reads takes its time along; server threads live as long as the run.
            let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let on_cpu = line.split_whitespace().next().context("schedstat is empty")?;
            nanos += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The core it is pinned to, if to a single one.
    pub fn core(&self) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().parse().ok()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let rollup =
            fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).context("the process is gone")?;
        let line =
            rollup.lines().find_map(|line| line.strip_prefix("Rss:")).context("smaps_rollup has no Rss")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }
}

/// How long a core has not been idle since the machine started, as far as this machine can tell: time that a
/// hypervisor gave to somebody else counts as well.
pub fn core_busy(core: usize) -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let columns =
        stat.lines().find_map(|line| line.strip_prefix(&name)).context("the core is not in /proc/stat")?;
    // user nice system idle iowait irq softirq steal; what follows is contained in user and nice.
    let ticks: u64 = columns
        .split_whitespace()
        .take(8)
        .enumerate()
        .filter(|(column, _)| !matches!(column, 3 | 4))
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// What the kernel holds for the TCP sockets of this machine, apart from queued data: a connection at rest has none.
#[derive(Debug, Clone, Copy)]
pub struct KernelMemory {
    /// The caches that only sockets fill.
    sockets: u64,
    /// The file, the directory entry and the epoll item that every socket has one of. They are counted by their size:
    /// the kernel keeps other things in those caches as well, and a compiler at work would drown the sockets.
    per_socket: u64,
}

impl KernelMemory {
    /// `None` where `/proc/slabinfo` may not be read, which takes root.
    pub fn read() -> Option<Self> {
        let slabs = fs::read_to_string("/proc/slabinfo").ok()?;
        let caches = slabs.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next()?;
            let objects: u64 = columns.next()?.parse().ok()?;
            let size: u64 = columns.nth(1)?.parse().ok()?;
            Some((name, objects, size))
        });
        let mut memory = Self { sockets: 0, per_socket: 0 };
        for (name, objects, size) in caches {
            match name {
                "TCP" | "sock_inode_cache" => memory.sockets += objects * size,
                "filp" | "dentry" | "eventpoll_epi" => memory.per_socket += size,
                _ => {}
            }
        }
        Some(memory)
    }

    /// Bytes per socket, if `sockets` were opened since `before`.
    pub fn per_socket_since(&self, before: &Self, sockets: usize) -> f64 {
        (self.sockets as f64 - before.sockets as f64) / sockets as f64 + self.per_socket as f64
    }
}
