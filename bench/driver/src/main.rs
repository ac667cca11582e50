//! Measures Wirelark and its peers side by side.
//!
//! ```text
//! engines, cases   the two tables that say what there is
//! building         cargo and npm, and what is missing
//! running          one measurement: a server, the generator, a report
//! results, table   medians, and the page made of them        machine   what the page is headed with
//! ```

mod building;
mod cases;
mod engines;
mod machine;
mod results;
mod running;
mod table;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use bench_load::report::Report;
use building::Built;
use cases::{CASES, Case, Kind};
use clap::Parser;
use engines::{ENGINES, Engine, Program};
use indicatif::{ProgressBar, ProgressStyle};
use machine::Machine;
use results::{Outcome, Results, Sample};
use running::Runner;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

/// Measures Wirelark and its peers side by side, in interleaved rounds.
///
/// A run of everything writes RESULTS.md and results.jsonl beside the bench; a partial one only prints, unless told to.
#[derive(Debug, Parser)]
struct Args {
    /// Only these engines, by name.
    #[arg(long, value_delimiter = ',', value_name = "ENGINE")]
    only: Vec<String>,
    /// Only the cases whose names begin like this: `echo`, `call`, `fan-out`, `handshake`, `idle`, `call-json`, ...
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    cases: Vec<String>,
    /// How often everything is measured. Idle memory hardly varies and is slow to measure: once.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Counted seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Seconds before those, which are not counted.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// How often a measurement is repeated when other programs took more than a tenth of one of the two cores. The
    /// quietest counts.
    #[arg(long, default_value_t = 2)]
    repeats: u32,
    /// How many connections rest in the idle case.
    #[arg(long, default_value_t = 5000)]
    idle_connections: usize,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The generator's core.
    #[arg(long, default_value_t = 1)]
    client_cpu: usize,
    /// Write RESULTS.md and results.jsonl after a partial run, too.
    #[arg(long)]
    write: bool,
    /// Name the engines and cases, and measure nothing.
    #[arg(long)]
    list: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.list {
        list();
        return Ok(());
    }
    ensure!(args.rounds > 0, "there is at least one round");
    let bench =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the driver lives in the bench folder")?;
    let engines = chosen_engines(&args.only)?;
    let cases = chosen_cases(&args.cases)?;
    allow_many_sockets()?;

    let programs: Vec<Program> = engines.iter().map(|engine| engine.program).collect();
    let built = Built::build(bench, &programs)?;
    // The build's own load would otherwise stand in the header.
    let machine = Machine::describe(bench);
    let absent = engines
        .iter()
        .filter_map(|engine| Some((engine.name, built.command(engine.program).err()?)))
        .collect::<Vec<_>>();
    for (name, reason) in &absent {
        eprintln!("{name} is not run: {reason}");
    }
    let present: Vec<Engine> = engines
        .iter()
        .filter(|engine| absent.iter().all(|(name, _)| *name != engine.name))
        .copied()
        .collect();
    let runner = Runner {
        built,
        token: token()?,
        server_cpu: args.server_cpu,
        client_cpu: args.client_cpu,
        seconds: args.seconds,
        warm_up: args.warm_up,
        idle_connections: args.idle_connections,
    };
    let results = Results {
        command: command_line(),
        machine,
        rounds: args.rounds,
        seconds: args.seconds,
        repeats: args.repeats,
        absent,
        samples: measure(&runner, &present, &cases, args.rounds, args.repeats),
    };

    let page = table::markdown(&results, &engines, &cases);
    print!("{page}");
    if args.write || (args.only.is_empty() && args.cases.is_empty()) {
        fs::write(bench.join("RESULTS.md"), &page)?;
        fs::write(bench.join("results.jsonl"), results.json_lines()?)?;
    }
    let failed =
        results.samples.iter().filter(|sample| matches!(sample.outcome, Outcome::Failed { .. })).count();
    ensure!(failed == 0, "{failed} of {} measurements failed; the tables say which", results.samples.len());
    Ok(())
}

/// Round by round, case by case, the engines in turn. Each round begins with another engine, so that none is always the
/// one that follows the same neighbour.
fn measure(runner: &Runner, engines: &[Engine], cases: &[Case], rounds: u32, repeats: u32) -> Vec<Sample> {
    let mut plan = Vec::new();
    for round in 1..=rounds {
        for case in cases.iter().filter(|case| round == 1 || case.kind != Kind::Idle) {
            let mut turn: Vec<Engine> =
                engines.iter().filter(|engine| engine.takes_part_in(case.kind)).copied().collect();
            let shift = (round as usize - 1) % turn.len().max(1);
            turn.rotate_left(shift);
            plan.extend(turn.into_iter().map(|engine| (round, *case, engine)));
        }
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {eta} to go");
    let bar = ProgressBar::new(plan.len() as u64).with_style(style.expect("the template is valid"));
    let mut samples = Vec::new();
    for (round, case, engine) in plan {
        bar.set_message(format!("round {round}: {}, {}", case.name, engine.name));
        let outcome = match measure_in_quiet(runner, &engine, &case, repeats) {
            Ok(report) => Outcome::Report(report),
            Err(error) => {
                bar.suspend(|| eprintln!("{error:#}"));
                Outcome::Failed { failed: format!("{error:#}") }
            }
        };
        samples.push(Sample { engine: engine.name, case: case.name, round, outcome });
        bar.inc(1);
    }
    bar.finish_and_clear();
    samples
}

/// Repeats what was disturbed. A failure is none: it stands at once.
fn measure_in_quiet(runner: &Runner, engine: &Engine, case: &Case, repeats: u32) -> Result<Report> {
    let mut quietest = runner.measure(engine, case)?;
    for _ in 0..repeats {
        if quietest.quiet() >= QUIET {
            break;
        }
        let again = runner.measure(engine, case)?;
        if again.quiet() > quietest.quiet() {
            quietest = again;
        }
    }
    Ok(quietest)
}

fn chosen_engines(only: &[String]) -> Result<Vec<Engine>> {
    for name in only {
        if ENGINES.iter().all(|engine| engine.name != name) {
            bail!("no engine is called {name}; --list names them");
        }
    }
    let chosen = |engine: &&Engine| only.is_empty() || only.iter().any(|name| name == engine.name);
    Ok(ENGINES.iter().filter(chosen).copied().collect())
}

fn chosen_cases(beginnings: &[String]) -> Result<Vec<Case>> {
    for beginning in beginnings {
        if !CASES.iter().any(|case| case.name.starts_with(beginning)) {
            bail!("no case begins with {beginning}; --list names them");
        }
    }
    let chosen =
        |case: &&Case| beginnings.is_empty() || beginnings.iter().any(|it| case.name.starts_with(it));
    Ok(CASES.iter().filter(chosen).copied().collect())
}

fn list() {
    println!("engines");
    ENGINES.iter().for_each(|engine| println!("  {:<20}{}", engine.name, engine.about));
    println!("cases");
    CASES.iter().for_each(|case| println!("  {:<20}{}", case.name, case.title));
}

/// Servers and the generator inherit it: the soft limit of 1024 descriptors is too low, the hard one is what there is.
fn allow_many_sockets() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// What the conformance server's `/secure` asks for.
fn token() -> Result<String> {
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    let expires = tomorrow.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims = json!({ "sub": "bench", "scope": "realtime", "exp": expires });
    let key = jsonwebtoken::EncodingKey::from_secret(b"test-secret");
    Ok(jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?)
}

/// As it is typed in the repository's root.
fn command_line() -> String {
    let mut command = "cargo xtask bench".to_owned();
    for arg in std::env::args().skip(1) {
        command.push(' ');
        command.push_str(&if arg.contains(' ') { format!("'{arg}'") } else { arg });
    }
    command
}

/// What others must leave of either core.
const QUIET: f64 = 0.9;
