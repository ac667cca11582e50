//! Gets every engine ready to start. What cannot be built or is not installed is reported with its reason: the tables
//! say so instead of leaving a row out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::engines::Program;

/// What there is to run.
#[derive(Debug)]
pub(crate) struct Built {
    /// The load generator.
    pub(crate) load: PathBuf,
    peers: HashMap<String, PathBuf>,
    ours: Result<PathBuf, String>,
    scripts: PathBuf,
    node: Result<(), String>,
    bun: Result<PathBuf, String>,
}

impl Built {
    /// Builds what `programs` need. Only what nothing can do without is an error: the generator and the Rust peers.
    pub(crate) fn build(bench: &Path, programs: &[Program]) -> Result<Self> {
        let peers = cargo_build(bench, &["--package", "bench-load", "--package", "bench-peers"])?;
        let load = peers.get("bench-load").context("cargo built no bench-load")?.clone();
        let wants = |wanted: fn(&Program) -> bool| programs.iter().any(wanted);
        let ours = if wants(|program| matches!(program, Program::Ours { .. })) {
            conformance(bench).map_err(|error| format!("{error:#}"))
        } else {
            Err(UNASKED.to_owned())
        };
        let scripts = bench.join("peers-js");
        let node = if wants(|program| matches!(program, Program::Node(_) | Program::Bun(_))) {
            install(&scripts).map_err(|error| format!("{error:#}"))
        } else {
            Err(UNASKED.to_owned())
        };
        let bun = node.clone().and_then(|()| find_bun(&scripts).map_err(|error| format!("{error:#}")));
        Ok(Self { load, peers, ours, scripts, node, bun })
    }

    /// The command that starts a program, or why there is none.
    pub(crate) fn command(&self, program: Program) -> Result<Command, String> {
        match program {
            Program::Ours { workers } => {
                let mut command = Command::new(self.ours.as_ref()?);
                command.args(["--workers", &workers.to_string()]);
                Ok(command)
            }
            Program::Peer(name) => {
                Ok(Command::new(self.peers.get(name).ok_or_else(|| format!("cargo built no {name}"))?))
            }
            Program::Node(script) => {
                self.node.clone()?;
                let mut command = Command::new("node");
                command.arg(self.scripts.join(script));
                Ok(command)
            }
            Program::Bun(script) => {
                let mut command = Command::new(self.bun.as_ref()?);
                command.arg(self.scripts.join(script));
                Ok(command)
            }
        }
    }
}

fn conformance(bench: &Path) -> Result<PathBuf> {
    let root = bench.parent().context("the bench has no parent folder")?;
    ensure!(root.join("conformance/Cargo.toml").exists(), "the workspace has no member `conformance`");
    let built =
        cargo_build(root, &["--package", "conformance"]).context("the conformance server does not build")?;
    Ok(built.get("conformance").context("cargo built no `conformance`")?.clone())
}

/// Builds in release mode; gives the binaries by name, wherever the target directory is.
fn cargo_build(workspace: &Path, packages: &[&str]) -> Result<HashMap<String, PathBuf>> {
    let output = Command::new("cargo")
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(packages)
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(output.status.success(), "cargo build fails");
    let artifacts = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let mut binaries = HashMap::new();
    for artifact in artifacts {
        let artifact = artifact?;
        if let (Some(name), Some(path)) =
            (artifact["target"]["name"].as_str(), artifact["executable"].as_str())
        {
            binaries.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(binaries)
}

/// Installs the locked packages unless that has been done. Their install scripts are not needed and not run.
fn install(scripts: &Path) -> Result<()> {
    let node = Command::new("node").arg("--version").output();
    ensure!(node.is_ok_and(|output| output.status.success()), "node is not installed");
    let changed = |path: &str| scripts.join(path).metadata().and_then(|data| data.modified()).ok();
    if changed("node_modules/.package-lock.json") >= changed("package-lock.json") {
        return Ok(());
    }
    let status = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(scripts)
        .stdout(Stdio::null())
        .status()
        .context("npm is not installed")?;
    ensure!(status.success(), "npm ci fails");
    Ok(())
}

/// The binary inside the one platform package that npm has picked for this machine.
fn find_bun(scripts: &Path) -> Result<PathBuf> {
    let platforms = scripts.join("node_modules/@oven");
    for platform in platforms.read_dir().context("npm has installed no bun for this platform")? {
        let binary = platform?.path().join("bin/bun");
        if binary.exists() {
            return Ok(binary);
        }
    }
    anyhow::bail!("npm has installed no bun for this platform")
}

const UNASKED: &str = "not asked for";
