//! The conformance server: built, started on a free port, and ended again.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, cargo, program};
use crate::workspace::{Profile, built};

/// Builds the server and says where it is.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    // The features of the tests, so that a development build is the one they have made already.
    let mut arguments = vec!["build", "--workspace", "--all-features", "--bins"];
    if profile == Profile::Release {
        arguments = vec!["build", "--release", "--package", "conformance"];
    }
    process::run(&mut cargo(arguments))?;
    Ok(built(profile, "conformance"))
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    server: Child,
    /// `ADDR:PORT`
    pub(crate) address: String,
}

/// Starts the server and waits until it listens.
pub(crate) fn start(server: PathBuf) -> Result<Running> {
    let mut command = program(server, ["--listen", "127.0.0.1:0"]);
    let line = process::spoken(&command);
    let server = command.stdout(Stdio::piped()).spawn();
    let mut running = Running {
        server: server.with_context(|| format!("`{line}` cannot be started"))?,
        address: String::new(),
    };
    let output = running.server.stdout.take().context("the server's output was piped")?;
    let mut first = String::new();
    BufReader::new(output).read_line(&mut first)?;
    match first.trim().strip_prefix("listening on ") {
        Some(address) => running.address = address.to_owned(),
        None => bail!("`{line}` said {first:?} where it should say \"listening on ADDR:PORT\""),
    }
    Ok(running)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end and nothing to say.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
