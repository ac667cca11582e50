//! The Autobahn test suite as a referee: it plays a client that does everything a client can do, right and wrong, and
//! judges every answer of the conformance server's `/echo`.
//!
//! The suite is a Python 2.7 program from PyPI. Everything it needs and writes is kept under `target/autobahn`.

mod python;
mod report;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use self::report::Report;
use crate::conformance;
use crate::process::{self, program};
use crate::workspace::{self, Profile};

/// Groups that take seconds, with the number of their cases. 12 and 13 are about compression and take minutes.
const SHORT: (&[&str], usize) = (&["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"], 301);
const FULL: (&[&str], usize) = (&["*"], 517);

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// All 517 cases, compression too: many minutes instead of twenty seconds.
    #[arg(long)]
    full: bool,
    /// Only these cases, such as `--case '6.4.*'`.
    #[arg(long, value_name = "PATTERN", conflicts_with = "full")]
    case: Vec<String>,
    /// Judge the development build instead of the release build: slower, and its arithmetic is checked.
    #[arg(long)]
    dev: bool,
}

impl Args {
    /// The quick groups against the build that the tests have made.
    pub(crate) fn of_the_dev_build() -> Self {
        Self { dev: true, ..Self::default() }
    }
}

/// Runs the suite. An error unless every case is OK or informational: answers that are merely tolerated count as wrong.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(python) = python::find() else { bail!("{}", python::MISSING) };
    let folder = workspace::target().join("autobahn");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let wstest = python::install(&python, &folder)?;
    let profile = if args.dev { Profile::Dev } else { Profile::Release };
    let server = conformance::start(conformance::build(profile)?)?;
    let reports = judge(&wstest, &folder, &server.address, args)?;
    let report = Report::read(&reports)?;
    drop(server);

    print!("{report}");
    println!("the whole report: {}", reports.join("index.html").display());
    if args.case.is_empty() {
        let (_, expected) = if args.full { FULL } else { SHORT };
        report.check_count(expected)?;
    }
    report.check_strictly()
}

/// Whether this machine has what the suite needs.
pub(crate) fn missing() -> Option<&'static str> {
    python::find().is_none().then_some(python::MISSING)
}

/// Lets the suite play, and returns the folder of its reports.
fn judge(wstest: &Path, folder: &Path, address: &str, args: &Args) -> Result<PathBuf> {
    let reports = folder.join("reports");
    // The suite ends with success whatever happened: what is left of another run must not be taken for its verdict.
    if reports.exists() {
        fs::remove_dir_all(&reports).with_context(|| format!("{} cannot be emptied", reports.display()))?;
    }
    let cases = match (args.case.is_empty(), args.full) {
        (false, _) => args.case.clone(),
        (true, full) => {
            let (cases, _) = if full { FULL } else { SHORT };
            cases.iter().map(|&case| case.to_owned()).collect()
        }
    };
    let specification = json!({
        "outdir": &reports,
        "servers": [{ "agent": "wirelark", "url": format!("ws://{address}/echo"), "options": { "version": 18 } }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let path = folder.join("fuzzingclient.json");
    fs::write(&path, specification.to_string())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let log = fs::File::create(folder.join("wstest.log"))?;
    let mut command = program(wstest, ["--mode", "fuzzingclient", "--webport", "0", "--spec"]);
    // It says a line for each case, which is of interest to nobody.
    command.arg(&path).stdout(log.try_clone()?).stderr(log);
    process::run(&mut command)?;
    Ok(reports)
}
