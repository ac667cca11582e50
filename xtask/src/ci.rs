//! `cargo xtask ci`: the checks of style, quickest first, and then every test.

use anyhow::Result;

use crate::process::{self, cargo};
use crate::steps::{Outcome, Steps};
use crate::{prerequisites, test, tidy};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// The checks of style without the tests.
    #[arg(long)]
    no_test: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut steps = Steps::new(&args.only);
    steps.run("fmt", "the code is laid out by rustfmt", || {
        prerequisites::component("fmt", "rustfmt")?;
        passes(&["fmt", "--all", "--check"])
    });
    steps.run("tidy", "rules no other tool knows", || tidy::run().map(|()| Outcome::Passed));
    steps.run("clippy", "no warnings", || {
        prerequisites::component("clippy", "clippy")?;
        passes(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
    });
    steps.run("doc", "the documentation has no broken links", documentation);
    steps.run("deny", "licences, duplicates and sources of what we depend on", || {
        prerequisites::cargo_tool("cargo-deny")?;
        passes(&["deny", "--all-features", "check", "bans", "licenses", "sources"])
    });
    if !args.no_test {
        test::add_all_to(&mut steps);
    }
    steps.finish("cargo xtask ci")
}

fn documentation() -> Result<Outcome> {
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn passes(arguments: &[&str]) -> Result<Outcome> {
    process::run(&mut cargo(arguments))?;
    Ok(Outcome::Passed)
}
