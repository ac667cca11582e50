//! The suites that see the servers from outside: a real browser, Node's own client, our own in TypeScript, Python's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::prerequisites;
use crate::process::{self, program};
use crate::workspace::{self, Profile, built};

/// A suite that waits for a server that will never answer is a failure.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Node's packages and tests.
pub(crate) fn node() -> Result<()> {
    scripts("e2e", &["test"])
}

/// The TypeScript client: its own checks, and its sessions with the real server.
pub(crate) fn client() -> Result<()> {
    scripts(
        "packages/client",
        &["lint", "typecheck", "typecheck:generated", "test", "build", "size", "package"],
    )
}

/// The pages of the examples: they fit the generated modules, and what is committed is what their sources give.
pub(crate) fn pages() -> Result<()> {
    ["examples", "examples/tic-tac-toe/page"]
        .iter()
        .try_for_each(|folder| scripts(folder, &["lint", "typecheck", "check"]))
}

/// Installs what a folder's lock file names, and runs its scripts.
fn scripts(folder: &str, names: &[&str]) -> Result<()> {
    let folder = workspace::root().join(folder);
    npm(&folder, &["ci", "--no-audit", "--no-fund"])?;
    names.iter().try_for_each(|name| npm(&folder, &["run", name]))
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = program("npm", arguments);
    for (name, value) in servers()? {
        command.env(name, value);
    }
    process::run_within(LIMIT, command.current_dir(folder))
}

/// Python's packages, in an environment of their own, and tests.
pub(crate) fn python() -> Result<()> {
    let folder = workspace::root().join("e2e/python");
    let environment = workspace::target().join("e2e-python");
    let python = environment.join("bin/python");
    if !process::succeeds(&mut program(&python, ["--version"])) {
        process::run(program("python3", ["-m", "venv", "--clear"]).arg(&environment))?;
    }
    let requirements = folder.join("requirements.txt");
    let mut pip = program(&python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    process::run(pip.arg(requirements))?;
    let mut tests = program(&python, ["-m", "unittest", "discover", "--verbose"]);
    for (name, value) in servers()? {
        tests.env(name, value);
    }
    // Reports what the tests found and not what the cache folder looks like.
    process::run_within(LIMIT, tests.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// The programs under test, and the browser, in the variables the suites read.
fn servers() -> Result<[(&'static str, PathBuf); 9]> {
    let server = |name: &str| {
        let path = built(Profile::Dev, name);
        let real = fs::canonicalize(&path);
        real.with_context(|| {
            format!("{} is not there: build it with `cargo xtask test --only build`", path.display())
        })
    };
    let chromium = prerequisites::chromium().context("chromium is missing: set CHROMIUM to its path")?;
    Ok([
        ("CHAT_BIN", server("chat")?),
        ("CONFORMANCE_BIN", server("conformance")?),
        ("CURSORS_BIN", server("cursors")?),
        ("GAME_BIN", server("tic-tac-toe")?),
        ("JUDGEMENTS_BIN", server("examples/judgements")?),
        ("NOTIFICATIONS_BIN", server("notifications")?),
        ("TERMINAL_BIN", server("terminal")?),
        ("WIRELARK_BIN", server("wirelark")?),
        ("CHROMIUM", chromium),
    ])
}
