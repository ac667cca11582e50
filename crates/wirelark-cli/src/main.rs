//! `wirelark generate ts|asyncapi|schema`: what other languages need of an app's contracts; and `wirelark check`: what
//! changed in them.

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wirelark_cli::check::Check;
use wirelark_cli::generate::Generate;

/// Clients and documents from the contracts of a Wirelark app.
#[derive(Debug, Parser)]
#[command(name = "wirelark", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
    Generate(Generate),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check(check) => match check.run().await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => failed(&error, ExitCode::from(2)),
        },
        Command::Generate(generate) => match generate.run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, ExitCode::FAILURE),
        },
    }
}

fn failed(error: &dyn Error, code: ExitCode) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    code
}
