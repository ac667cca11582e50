//! A Python 2.7, and the suite inside a virtual environment of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::{self, program};

/// What to do without one. Distributions no longer have it, so it cannot be installed for you.
pub(crate) const MISSING: &str = "the Autobahn test suite needs CPython 2.7, which is not here: \
                                  install it with `pyenv install 2.7.18`";

/// The last versions that run on 2.7. The suite pins what it needs itself.
const VIRTUALENV: &str = "virtualenv==20.15.1";
const SUITE: &str = "autobahntestsuite==25.10.1";

/// The interpreter: from the search path, or one of pyenv's.
pub(crate) fn find() -> Option<PathBuf> {
    candidates().into_iter().find(|python| {
        // pyenv's shims exist for versions that are not switched on, and then fail.
        let version = ["-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"];
        process::succeeds(&mut program(python, version))
    })
}

fn candidates() -> Vec<PathBuf> {
    let mut candidates = vec![PathBuf::from("python2.7")];
    let home = env::var_os("HOME").map(PathBuf::from);
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(home?.join(".pyenv")));
    let versions = pyenv.and_then(|pyenv| fs::read_dir(pyenv.join("versions")).ok());
    for version in versions.into_iter().flatten().flatten() {
        if version.file_name().to_string_lossy().starts_with("2.7") {
            candidates.push(version.path().join("bin/python"));
        }
    }
    candidates
}

/// Makes sure that the suite is installed in a folder, and returns its program.
pub(crate) fn install(python: &Path, folder: &Path) -> Result<PathBuf> {
    let environment = folder.join("python");
    let wstest = environment.join("bin/wstest");
    // Written last, so that an installation that was interrupted is begun again.
    let complete = environment.join("installed");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == SUITE) {
        return Ok(wstest);
    }
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    // virtualenv itself goes into a folder of ours, and not into the interpreter's own packages.
    let tools = folder.join("tools");
    let mut pip =
        program(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    process::run(without_warnings(pip.arg(&tools).args(["--upgrade", VIRTUALENV])))?;
    let mut virtualenv = program(python, ["-m", "virtualenv", "--quiet"]);
    process::run(virtualenv.arg(&environment).env("PYTHONPATH", &tools))?;
    let mut pip =
        program(environment.join("bin/pip"), ["install", "--quiet", "--disable-pip-version-check", SUITE]);
    process::run(without_warnings(&mut pip))?;
    fs::write(&complete, SUITE).context("the environment cannot be marked as complete")?;
    Ok(wstest)
}

/// Every run would say that Python 2.7 is old. That is known.
fn without_warnings(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env("PYTHONWARNINGS", "ignore").env("PIP_NO_PYTHON_VERSION_WARNING", "1")
}
