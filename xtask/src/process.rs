//! Running other programs: said aloud first, and an error when they fail.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// `cargo` with arguments, in the repository.
///
/// Always the `cargo` of the search path and never `$CARGO`: only rustup's own understands `+nightly`.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    program("cargo", arguments)
}

/// A program with arguments, in the repository and without standard input: nothing may ever wait for a person.
pub(crate) fn program<A: AsRef<OsStr>>(
    name: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// Runs a program that speaks for itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = spoken(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` cannot be started"))?;
    match status.success() {
        true => Ok(()),
        false => bail!("`{line}` failed: {status}"),
    }
}

/// Runs a program that may hang, and ends it with everything it started when its time is over.
///
/// By way of `timeout`, because only a whole process group ends cargo's own children, and std knows no groups.
pub(crate) fn run_within(limit: Duration, command: &Command) -> Result<()> {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=10", &limit.as_secs().to_string()]).arg(command.get_program());
    limited.args(command.get_args()).stdin(Stdio::null());
    limited.current_dir(command.get_current_dir().unwrap_or_else(|| workspace::root()));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let line = spoken(command);
    println!("$ {line}");
    let status = limited.status().context("`timeout` cannot be started: install coreutils")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(124 | 137) => {
            bail!("`{line}` was still running after {} s: something in it hangs", limit.as_secs())
        }
        _ => bail!("`{line}` failed: {status}"),
    }
}

/// Runs a program for what it prints; what it complains about is shown.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let line = spoken(command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("`{line}` cannot be started"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not text"))
}

/// Whether a program runs and succeeds; what it says is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The command as one would type it.
pub(crate) fn spoken(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(script: &str) -> String {
        let limit = Duration::from_secs(1);
        let mut shell = program("sh", ["-c", script]);
        run_within(limit, shell.env("GREETING", "hello"))
            .map_or_else(|error| error.to_string(), |()| "well".to_owned())
    }

    #[test]
    fn a_limit_ends_what_hangs_and_nothing_else() {
        assert_eq!(ended("test $GREETING = hello"), "well");
        assert!(ended("exit 3").contains("exit status: 3"));
        assert!(ended("sleep 30 & wait").contains("something in it hangs"));
    }
}
