//! `wirelark check`: reads two documents and says what changed between them.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use super::{Comparison, compare};
use crate::api::{Api, InvalidDocument};
use crate::source::{Source, SourceError};

/// Says what changed between two versions of an app's contracts, and whether it breaks old clients.
///
/// The exit status is 0 if every old client can go on, 1 if a change breaks some of them or cannot be shown not to,
/// and 2 if the two cannot be compared.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// The AsyncAPI document that clients out there were made from: an address such as
    /// http://127.0.0.1:3000/asyncapi.json, a file, or - for standard input.
    #[arg(value_name = "OLD")]
    pub old: Source,
    /// The document of the version that is to be served.
    #[arg(value_name = "NEW")]
    pub new: Source,
    /// What is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: CheckFormat,
}

/// How a comparison is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum CheckFormat {
    /// For people: each change, what it means, and its line in a changelog.
    #[default]
    Text,
    /// For programs: the same as one JSON object.
    Json,
    /// The lines of a changelog, and nothing else.
    Changelog,
}

/// Why two documents could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no document.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A document is none of Wirelark's.
    #[error("{from}: {error}")]
    Invalid {
        /// Where it was read from.
        from: Source,
        /// What is wrong.
        error: InvalidDocument,
    },
    /// Both documents at once.
    #[error("OLD and NEW cannot both come from standard input; write one of them to a file")]
    BothFromStdin,
    /// Standard output is closed.
    #[error("standard output: {0}")]
    Stdout(io::Error),
}

impl Check {
    /// Does what the command line says, and returns whether old clients can go on.
    pub async fn run(&self) -> Result<bool, CheckError> {
        if (&self.old, &self.new) == (&Source::Stdin, &Source::Stdin) {
            return Err(CheckError::BothFromStdin);
        }
        let comparison = compare(&read(&self.old).await?, &read(&self.new).await?);
        let text = self.format.of(&comparison);
        io::stdout().write_all(text.as_bytes()).map_err(CheckError::Stdout)?;
        Ok(comparison.compatible)
    }
}

impl CheckFormat {
    /// A comparison in this format.
    pub fn of(self, comparison: &Comparison) -> String {
        match self {
            Self::Text => format!("{comparison}\n"),
            Self::Json => format!("{:#}\n", serde_json::json!(comparison)),
            Self::Changelog => comparison.changelog().map(|line| format!("{line}\n")).collect(),
        }
    }
}

async fn read(from: &Source) -> Result<Api, CheckError> {
    let document = from.read().await?;
    Api::from_document(&document).map_err(|error| CheckError::Invalid { from: from.clone(), error })
}
