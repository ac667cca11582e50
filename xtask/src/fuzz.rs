//! A short fuzz of every target. What it finds in a minute would be found by anybody.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::prerequisites;
use crate::process::{self, cargo, program};
use crate::steps::Outcome;
use crate::workspace;

/// How many targets run at the same time; each keeps one core busy.
const AT_ONCE: usize = 2;

/// A decoder that can be made to take more memory than this has no limits.
const RSS_LIMIT: &str = "-rss_limit_mb=256";
/// Freed memory the sanitizer keeps would otherwise count as the decoder's.
const SMALL_QUARANTINE: &str = "quarantine_size_mb=16";

/// Builds every target and lets each run for some seconds. Fuzzing takes a nightly compiler.
pub(crate) fn run(seconds: u32) -> Result<Outcome> {
    if !process::succeeds(&mut cargo(["+nightly", "--version"])) {
        let reason = "fuzzing takes a nightly compiler: install one with `rustup toolchain install nightly`";
        return Ok(Outcome::NotRun(reason.to_owned()));
    }
    prerequisites::cargo_tool("cargo-fuzz")?;
    let targets = targets()?;
    for target in &targets {
        process::run(&mut fuzz(&["build", target]))?;
    }
    let mut failures = Vec::new();
    for some in targets.chunks(AT_ONCE) {
        failures.extend(run_together(some, seconds)?);
    }
    match failures.as_slice() {
        [] => Ok(Outcome::Passed),
        failed => bail!("{} found something: its input is under fuzz/artifacts", failed.join(", ")),
    }
}

/// Every file of the folder is a target. `cargo fuzz list` would also name the program that writes the seeds.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut targets = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "rs") {
            targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    match targets.as_slice() {
        [] => bail!("{} holds no target", folder.display()),
        _ => Ok(targets),
    }
}

/// Runs targets side by side, and returns the names of those that found something.
fn run_together(targets: &[String], seconds: u32) -> Result<Vec<String>> {
    let folder = workspace::target().join("fuzz-runs");
    let mut running = Vec::new();
    for target in targets {
        // A corpus of this run alone: what a minute finds is not worth keeping, and a run depends on no other.
        let corpus = folder.join(target);
        if corpus.exists() {
            fs::remove_dir_all(&corpus)?;
        }
        fs::create_dir_all(&corpus)?;
        let mut command = fuzz(&["run", target]);
        command.arg(&corpus);
        let seeds = format!("fuzz/seeds/{target}");
        if workspace::root().join(&seeds).is_dir() {
            command.arg(seeds);
        }
        command
            .args(["--", &format!("-max_total_time={seconds}"), RSS_LIMIT])
            .env("ASAN_OPTIONS", SMALL_QUARANTINE);
        println!("$ {}", process::spoken(&command));
        let log = folder.join(format!("{target}.log"));
        let file = fs::File::create(&log)?;
        command.stdout(Stdio::from(file.try_clone()?)).stderr(file);
        let child = command.spawn().with_context(|| format!("{target} cannot be started"))?;
        running.push((target, child, log, Instant::now()));
    }
    let mut failures = Vec::new();
    for (target, mut child, log, start) in running {
        let found = !child.wait()?.success();
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        // All of the end when it failed; else the one line that says how many inputs there were.
        let shown = if found { 60 } else { 1 };
        let last = lines.iter().skip(lines.len().saturating_sub(shown)).copied().collect::<Vec<_>>();
        println!("{target}, {:.0} s: {}", start.elapsed().as_secs_f64(), last.join("\n"));
        if found {
            failures.push(target.clone());
        }
    }
    Ok(failures)
}

fn fuzz(arguments: &[&str]) -> std::process::Command {
    program("cargo", ["+nightly", "fuzz"].iter().chain(arguments))
}
