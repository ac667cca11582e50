//! Damaged frames for the contract of a live conformance server. The `torture` package does it; here is what it needs.

use anyhow::Result;

use crate::conformance;
use crate::process::{self, cargo, program};
use crate::workspace::{Profile, built};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many frames.
    #[arg(long, default_value_t = 1_000_000)]
    frames: u64,
    /// What the frames are made from; one is made up and printed unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// The number of the first frame, to repeat a part of a run.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// The development build instead of the release build: slower, and its arithmetic is checked.
    #[arg(long)]
    dev: bool,
}

impl Args {
    /// A short run against the build that the tests have made. Its seed is fixed: the same code passes or fails, and
    /// new frames are for those who ask for them.
    pub(crate) fn of_the_dev_build() -> Self {
        Self { frames: 100_000, seed: Some(1), first: 0, dev: true }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let profile = if args.dev { Profile::Dev } else { Profile::Release };
    let server = conformance::build(profile)?;
    if profile == Profile::Release {
        process::run(&mut cargo(["build", "--release", "--package", "torture"]))?;
    }
    let mut torture = program(built(profile, "torture"), ["--server"]);
    torture.arg(server).args(["--frames", &args.frames.to_string(), "--first", &args.first.to_string()]);
    if let Some(seed) = args.seed {
        torture.args(["--seed", &seed.to_string()]);
    }
    process::run(&mut torture)
}
