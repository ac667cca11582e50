//! The project's own commands, run as `cargo xtask <command>`.
//!
//! ```text
//! test      everything that proves the code works          ci        the checks of style, and then all of test
//! tidy      rules of ours no other tool knows              docs      writes the generated pages
//! autobahn  the outside referee of the protocol            bench     us and our peers, side by side
//! torture   a million damaged frames for a live server
//! ```
//!
//! A command is a list of steps. A step that fails does not keep the others from running: one run tells all
//! that is wrong.

mod autobahn;
mod bench;
mod ci;
mod conformance;
mod docs;
mod e2e;
mod fuzz;
mod prerequisites;
mod process;
mod steps;
mod test;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// Wirelark's own commands.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Command {
    /// Run every test there is, and install what that takes.
    Test(test::Args),
    /// Check formatting, lints, documentation, licences and our own rules; then run every test.
    Ci(ci::Args),
    /// Check the rules of ours that no other tool knows.
    Tidy,
    /// Write the pages of the documentation that are generated.
    Docs,
    /// Let the Autobahn test suite judge the conformance server.
    Autobahn(autobahn::Args),
    /// Send damaged frames to the conformance server's contract, and see that it owes nothing for any of them.
    Torture(torture::Args),
    /// Measure Wirelark beside its peers; arguments go to the bench driver.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Test(args) => test::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Tidy => tidy::run(),
        Command::Docs => docs::write(),
        Command::Autobahn(args) => autobahn::run(&args),
        Command::Torture(args) => torture::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
