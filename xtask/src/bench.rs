//! The bench is a workspace of its own: its peers bring a hundred crates.

use std::ffi::OsString;

use anyhow::Result;

use crate::process::{self, cargo};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Passed to the bench driver; `--help` shows what it takes, `--list` what there is to measure.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs the bench driver, which builds the conformance server and the peers itself.
pub(crate) fn run(args: &Args) -> Result<()> {
    let driver =
        ["run", "--release", "--manifest-path", "bench/Cargo.toml", "--package", "bench-driver", "--"];
    process::run(cargo(driver).args(&args.arguments))
}
