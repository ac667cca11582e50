//! What figures depend on besides the engines: the machine, its load, and everybody's version.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// Heads the results.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) hardware: String,
    /// Of the minute before the run. Near 0 on a machine that does nothing else.
    pub(crate) load_average: String,
    pub(crate) versions: Vec<String>,
}

impl Machine {
    pub(crate) fn describe(bench: &Path) -> Self {
        let load_average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: says(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])),
            hardware: hardware(),
            load_average: load_average.split(' ').next().unwrap_or("unknown").to_owned(),
            versions: versions(bench),
        }
    }
}

fn hardware() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models = processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = models.next().map_or("unknown CPU", |(_, model)| model);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: f64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default();
    let kernel = says(Command::new("uname").args(["-sr"]));
    format!("{} × {model}, {:.0} GiB, {kernel}", models.count() + 1, kilobytes / 1024.0 / 1024.0)
}

fn versions(bench: &Path) -> Vec<String> {
    let commit = says(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(bench));
    let mut versions =
        vec![format!("Wirelark at commit {commit}"), says(Command::new("rustc").arg("--version"))];
    let lock = fs::read_to_string(bench.join("Cargo.lock")).unwrap_or_default();
    for package in [
        "tokio",
        "hyper",
        "axum",
        "tungstenite",
        "fastwebsockets",
        "tokio-websockets",
        "jsonrpsee",
        "socketioxide",
    ] {
        versions.extend(locked(&lock, package));
    }
    versions.push(format!("node {}", says(Command::new("node").arg("--version"))));
    let lock = fs::read_to_string(bench.join("peers-js/package-lock.json")).unwrap_or_default();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap_or_default();
    for package in ["bun", "ws", "socket.io"] {
        if let Some(version) = lock["packages"][format!("node_modules/{package}")]["version"].as_str() {
            versions.push(format!("{package} {version}"));
        }
    }
    versions
}

/// Every locked version of a crate: there can be two.
fn locked(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let lines = lock.lines().zip(lock.lines().skip(1));
    let found: Vec<&str> = lines
        .filter(|(line, _)| *line == name)
        .filter_map(|(_, next)| next.strip_prefix("version = \"")?.strip_suffix('"'))
        .collect();
    (!found.is_empty()).then(|| format!("{package} {}", found.join(" and ")))
}

fn says(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or_else(
        || "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
