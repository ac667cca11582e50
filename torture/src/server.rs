//! The conformance server as a process: what it says, what memory it takes, and what it counts.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// A server that nobody else uses. It ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    /// Everything it has complained about.
    complaints: Arc<Mutex<String>>,
}

impl Server {
    /// Starts it without its log: whatever it complains about then is a panic or worse.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "off").stdin(Stdio::null());
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let complaints = Arc::default();
        if let Some(errors) = process.stderr.take() {
            let complaints = Arc::clone(&complaints);
            // Ends with the process, whose end of the pipe it reads.
            thread::spawn(move || collect(errors, &complaints));
        }
        let output = process.stdout.take().context("the server's output was piped")?;
        let mut server = Self { process, address: String::new(), complaints };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ");
        server.address = address.with_context(|| format!("the server said {line:?}"))?.to_owned();
        Ok(server)
    }

    /// An error if it has ended, or complained.
    pub(crate) fn check_is_well(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the server has ended, {status}: {}", self.complaints());
        }
        let complaints = self.complaints();
        ensure!(complaints.is_empty(), "the server complained: {complaints}");
        Ok(())
    }

    /// What the server says about its own end or panic explains more than what a client saw of it.
    pub(crate) fn last_words_or(&mut self, seen: anyhow::Error) -> anyhow::Error {
        // They may still be on their way.
        thread::sleep(Duration::from_millis(200));
        match self.check_is_well() {
            Ok(()) => seen,
            Err(said) => seen.context(said),
        }
    }

    fn complaints(&self) -> String {
        self.complaints.lock().map_or_else(|poisoned| poisoned.into_inner().clone(), |text| text.clone())
    }

    /// Its resident memory, where the system has `/proc`.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// What one of its metrics says of `/rpc`.
    pub(crate) fn metric(&self, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let beginning = format!("{name}{{route=\"/rpc\"}} ");
        ensure!(page.starts_with("HTTP/1.1 200"), "the server does not show its metrics: {page}");
        // What was never counted is not shown.
        let value = page.lines().find_map(|line| line.strip_prefix(&beginning)).unwrap_or("0");
        value.trim().parse().with_context(|| format!("{value:?} is no count"))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.check_is_well()?;
        let asked = Command::new("kill").arg(self.process.id().to_string()).status()?;
        ensure!(asked.success(), "the server could not be asked to end");
        let status = self.wait(Duration::from_secs(20))?;
        ensure!(status.success(), "the server ended with {status}: {}", self.complaints());
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.process.try_wait()? {
                Some(status) => return Ok(status),
                None if start.elapsed() > limit => bail!("the server did not end within {limit:?}"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end and nothing to say.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn collect(errors: impl std::io::Read, complaints: &Mutex<String>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let Ok(mut text) = complaints.lock() else { return };
        text.push_str(&line);
        text.push('\n');
    }
}
