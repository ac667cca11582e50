//! `cargo xtask test`: everything that proves the code works, in one command.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::{self, cargo};
use crate::steps::{Outcome, Steps};
use crate::{autobahn, e2e, fuzz, prerequisites, torture};

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Run only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// How long each fuzz target runs.
    #[arg(long, value_name = "SECONDS", default_value_t = FUZZ_SECONDS)]
    fuzz_seconds: u32,
}

const FUZZ_SECONDS: u32 = 60;

/// With compiling; nothing in them should take longer than seconds.
const DOCTESTS_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Features of the main crate; each must compile without the others.
const FEATURES: [&str; 4] = ["jwt", "prometheus", "testing", "tls"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut steps = Steps::new(&args.only);
    add_to(&mut steps, args.fuzz_seconds);
    steps.finish("cargo xtask test")
}

/// Everything, with the usual length of fuzzing.
pub(crate) fn add_all_to(steps: &mut Steps) {
    add_to(steps, FUZZ_SECONDS);
}

/// All builds but those of `features` have the same features, so that nothing is compiled twice.
fn add_to(steps: &mut Steps, fuzz_seconds: u32) {
    steps.run("prerequisites", "what the tests need is here", || done(prerequisites::ensure()));
    steps.run("nextest", "unit and integration tests", || {
        cargo_passes(&["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"])
    });
    steps.run("doctests", "examples in the documentation and the book", || {
        // The only tests without a time limit of their own: an example that serves without `no_run` would serve on.
        let doctests = cargo(["test", "--doc", "--workspace", "--all-features", "--no-fail-fast"]);
        done(process::run_within(DOCTESTS_LIMIT, &doctests))
    });
    steps.run("build", "servers, tools and examples", || {
        cargo_passes(&["build", "--workspace", "--all-features", "--bins", "--examples"])
    });
    steps.run("features", "each feature alone compiles without a warning", || done(each_feature_alone()));
    // It builds the client, which the pages are made of, and which those of the step after that load.
    steps.run("client", "the TypeScript client, by itself and against the servers", || done(e2e::client()));
    steps.run("pages", "the built pages of the examples", || done(e2e::pages()));
    steps.run("e2e-node", "a browser and Node's clients against the servers", || done(e2e::node()));
    steps.run("old-clients", "what `wirelark check` says of generated clients", || {
        // They need the TypeScript client's packages, which the step before has installed.
        let only = ["--run-ignored", "only", "-E", "binary(check_live)"];
        cargo_passes(&[&["nextest", "run", "--workspace", "--all-features"][..], &only].concat())
    });
    steps.run("e2e-python", "Python's clients against the servers", || done(e2e::python()));
    steps.run("fuzz", "a short fuzz of each target", || fuzz::run(fuzz_seconds));
    steps.run("torture", "a hundred thousand damaged frames for the conformance server", || {
        done(torture::run(&torture::Args::of_the_dev_build()))
    });
    steps.run("autobahn", "the outside referee of the protocol, its quick groups", || {
        match autobahn::missing() {
            Some(reason) => Ok(Outcome::NotRun(reason.to_owned())),
            // The build of the tests: its arithmetic is checked, and it is there already.
            None => done(autobahn::run(&autobahn::Args::of_the_dev_build())),
        }
    });
}

/// A feature that quietly leans on another one breaks users who do not have both.
fn each_feature_alone() -> Result<()> {
    let check = ["check", "--package", "wirelark", "--no-default-features"];
    let mut results = vec![without_warnings(&check)];
    for feature in FEATURES {
        results.push(without_warnings(&[check.as_slice(), &["--features", feature]].concat()));
    }
    let failures: Vec<_> =
        results.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    match failures.as_slice() {
        [] => Ok(()),
        failures => bail!("{}", failures.join("; ")),
    }
}

/// `-D warnings` would be another set of flags, and with it everything would be compiled again.
fn without_warnings(arguments: &[&str]) -> Result<()> {
    let mut command = cargo(arguments);
    println!("$ {}", process::spoken(&command));
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let warned = said.lines().any(|line| line.starts_with("warning"));
    if warned || !output.status.success() {
        print!("{said}");
        bail!("`{}` does not compile cleanly", process::spoken(&command));
    }
    Ok(())
}

fn cargo_passes(arguments: &[&str]) -> Result<Outcome> {
    done(process::run(&mut cargo(arguments)))
}

fn done(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}
