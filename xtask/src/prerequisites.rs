//! Programs the tests need beside a Rust compiler. What is missing is installed where that is allowed; otherwise the
//! error is the one command to type.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, cargo, program};

/// A program, how to tell that it is here, and the Debian packages it comes in.
struct Tool {
    name: &'static str,
    here: fn() -> bool,
    packages: &'static [&'static str],
}

const TOOLS: [Tool; 5] = [
    Tool { name: "node 20 or newer", here: node, packages: &["nodejs"] },
    Tool { name: "npm", here: npm, packages: &["npm"] },
    Tool { name: "Python 3.9 or newer with venv", here: python, packages: &["python3", "python3-venv"] },
    Tool { name: "chromium", here: || chromium().is_some(), packages: &["chromium"] },
    Tool { name: "curl", here: || says(program("curl", ["--version"])), packages: &["curl"] },
];

/// Makes sure that everything is here.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.here)()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if !node() {
        newer_node()?;
    }
    for tool in &TOOLS {
        println!("{}: {}", tool.name, if (tool.here)() { "here" } else { "missing" });
    }
    if let Some(tool) = TOOLS.iter().find(|tool| !(tool.here)()) {
        bail!("{} is still missing after its installation", tool.name);
    }
    cargo_tool("cargo-nextest")
}

fn install(missing: &[&Tool]) -> Result<()> {
    let packages = missing.iter().flat_map(|tool| tool.packages).copied();
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    if !says(program("apt-get", ["--version"])) {
        let names: Vec<_> = missing.iter().map(|tool| tool.name).collect();
        bail!(
            "missing: {}; install them with this system's package manager and run this again",
            names.join(", ")
        );
    }
    if !is_root() {
        bail!("type this and run it again: sudo apt-get update && sudo apt-get {}", arguments.join(" "));
    }
    // Package lists of a fresh machine are empty or old.
    apt_get(&["update"])?;
    apt_get(&arguments)
}

/// Debian 12 has node 18. The registry's package of node puts a newer one in front of it.
fn newer_node() -> Result<()> {
    let install = ["install", "--global", "--no-audit", "--no-fund", "node@22"];
    if !is_root() {
        bail!("node is older than 20; type this and run it again: sudo npm {}", install.join(" "));
    }
    process::run(&mut program("npm", install))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    process::run(program("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Installs a subcommand of cargo if it is missing.
///
/// Without optimisation: these programs run for seconds and would otherwise be compiled for many minutes.
pub(crate) fn cargo_tool(name: &str) -> Result<()> {
    let subcommand = name.strip_prefix("cargo-").context("a subcommand of cargo begins with cargo-")?;
    if says(cargo([subcommand, "--version"])) {
        println!("{name}: here");
        return Ok(());
    }
    let mut install = cargo(["install", "--locked", "--debug", name]);
    // Its build is its own: our target folder may belong to another compiler or be removed.
    process::run(install.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false"))
        .with_context(|| format!("type this to install it by hand: cargo install --locked {name}"))
}

/// Adds a component of the Rust toolchain if it is missing.
pub(crate) fn component(subcommand: &str, component: &str) -> Result<()> {
    if says(cargo([subcommand, "--version"])) {
        return Ok(());
    }
    process::run(&mut program("rustup", ["component", "add", component]))
        .with_context(|| format!("cargo {subcommand} is missing: install your toolchain's {component}"))
}

/// The browser the tests drive: `CHROMIUM`, or where distributions put it.
pub(crate) fn chromium() -> Option<PathBuf> {
    let chosen = env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    chosen.into_iter().chain(usual.map(PathBuf::from)).find(|path| path.is_file())
}

fn node() -> bool {
    let version = process::read(&mut program("node", ["--version"])).unwrap_or_default();
    major(&version) >= 20
}

fn npm() -> bool {
    says(program("npm", ["--version"]))
}

fn python() -> bool {
    says(program("python3", ["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 9))"]))
}

fn says(mut command: Command) -> bool {
    process::succeeds(&mut command)
}

/// `v22.1.0` → 22
fn major(version: &str) -> u32 {
    let digits = version.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

fn is_root() -> bool {
    process::read(&mut program("id", ["-u"])).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!((major("v22.11.0\n"), major("18.2"), major("")), (22, 18, 0));
    }
}
