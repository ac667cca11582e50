//! One measurement: a fresh server on its core, the generator on another, the generator's report.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bench_load::report::Report;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::building::Built;
use crate::cases::{Case, Kind};
use crate::engines::Engine;

/// What all measurements of a run have in common.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) built: Built,
    pub(crate) token: String,
    pub(crate) server_cpu: usize,
    pub(crate) client_cpu: usize,
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
    pub(crate) idle_connections: usize,
}

impl Runner {
    /// Measures one case on one engine. A server that gives a wrong reply, goes silent or dies is an error.
    pub(crate) fn measure(&self, engine: &Engine, case: &Case) -> Result<Report> {
        let command = self.built.command(engine.program).map_err(anyhow::Error::msg)?;
        let server = Server::start(command, engine.name, self.server_cpu)?;
        let report = self.put_load_on(&server, engine, case);
        report
            .with_context(|| server.last_words())
            .with_context(|| format!("{} in {}", engine.name, case.name))
    }

    fn put_load_on(&self, server: &Server, engine: &Engine, case: &Case) -> Result<Report> {
        let route = engine.route(case.kind).context("it takes no part in this case")?;
        let mut load = Command::new(&self.built.load);
        load.args(["--server", &server.address, "--pid", &server.process.id().to_string()])
            .args(["--cpu", &self.client_cpu.to_string(), "--spin"])
            .args(["--dialect", route.dialect, "--path", route.path])
            .args(["--seconds", &self.seconds.to_string(), "--warm-up", &self.warm_up.to_string()]);
        if route.secure {
            load.args(["--bearer", &self.token, "--greeting"]);
        }
        load.args(case.load);
        if case.kind == Kind::Idle {
            load.args(["--connections", &self.idle_connections.to_string()]);
        }
        // Its complaint goes into a table: one sentence, whatever the caller's environment says.
        load.env("RUST_BACKTRACE", "0").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut load = load.spawn()?;
        let deadline = Instant::now() + Duration::from_secs_f64(self.seconds + self.warm_up) + PATIENCE;
        let status = loop {
            if let Some(status) = load.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                load.kill()?;
                load.wait()?;
                bail!("the generator does not come to an end");
            }
            thread::sleep(Duration::from_millis(20));
        };
        let (mut report, mut complaint) = (String::new(), String::new());
        load.stdout.take().context("the generator's output is piped")?.read_to_string(&mut report)?;
        load.stderr.take().context("the generator's errors are piped")?.read_to_string(&mut complaint)?;
        ensure!(status.success(), "{}", complaint.lines().collect::<Vec<_>>().join(" "));
        Ok(serde_json::from_str(&report)?)
    }
}

/// A server process, ended when dropped.
struct Server {
    process: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    fn start(mut command: Command, name: &str, cpu: usize) -> Result<Self> {
        let log = std::env::temp_dir().join(format!("wirelark-bench-{}.txt", name));
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let process = on_cpu(cpu, || command.spawn())?.with_context(|| format!("{name} does not start"))?;
        let mut server = Self { process, address: String::new(), log };
        let stdout = server.process.stdout.take().context("the server's output is piped")?;
        let (sender, address) = mpsc::sync_channel(1);
        // The reader stays until the server ends, so that whatever else it prints finds room.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("listening on ") {
                    let _ = sender.try_send(address.to_owned());
                }
            }
        });
        server.address = address
            .recv_timeout(Duration::from_secs(10))
            .with_context(|| format!("{name} is not listening. {}", server.last_words()))?;
        Ok(server)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines()
            .last()
            .map_or_else(|| "the server said nothing".to_owned(), |line| format!("the server said: {line}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs `spawn` while this thread is pinned: a child inherits that, with all its threads.
fn on_cpu<T>(cpu: usize, spawn: impl FnOnce() -> T) -> Result<T> {
    let anywhere = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).with_context(|| format!("CPU {cpu} is not to be had"))?;
    let spawned = spawn();
    sched_setaffinity(None, &anywhere)?;
    Ok(spawned)
}

/// For opening connections, resting, and a last reply.
const PATIENCE: Duration = Duration::from_secs(60);
