//! `wirelark generate`: reads a document, makes something of it, and writes that, or compares it with what is there.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::api::{Api, InvalidDocument};
use crate::source::{Source, SourceError};
use crate::{json_schema, typescript};

/// Writes what other languages need of an app's contracts.
///
/// The same document gives the same bytes, wherever it was read from.
#[derive(Clone, Debug, Args)]
pub struct Generate {
    /// What is made.
    #[command(subcommand)]
    pub artefact: Artefact,
}

/// What can be made of a document.
#[derive(Clone, Debug, Subcommand)]
pub enum Artefact {
    /// A TypeScript module: types, validators, and what `connect` of @wirelark/client takes.
    Ts(Ends),
    /// The document itself, indented and sorted.
    Asyncapi(Ends),
    /// A JSON Schema 2020-12 with the types and bodies of all contracts.
    Schema(Ends),
}

/// Where it comes from and where it goes.
#[derive(Clone, Debug, Args)]
pub struct Ends {
    /// The AsyncAPI document: an address such as http://127.0.0.1:3000/asyncapi.json, a file, or - for standard input.
    #[arg(long, value_name = "URL|FILE|-")]
    pub from: Source,
    /// The file to write; standard output unless given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write nothing: fail if the file is not what would be written.
    #[arg(long, requires = "out")]
    pub check: bool,
}

/// Why nothing was made, or why it is not what is there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// There is no document.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The document is none of Wirelark's.
    #[error("{from}: {error}")]
    Invalid {
        /// Where it was read from.
        from: Source,
        /// What is wrong.
        error: InvalidDocument,
    },
    /// The file cannot be written, or read.
    #[error("{}: {error}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Standard output is closed.
    #[error("standard output: {0}")]
    Stdout(io::Error),
    /// With `--check`: the file is another.
    #[error("{} is not what {from} gives now: run the same command without --check", path.display())]
    Stale {
        /// Its path.
        path: PathBuf,
        /// Where the document was read from.
        from: Source,
    },
}

impl Generate {
    /// Does what the command line says.
    pub async fn run(&self) -> Result<(), GenerateError> {
        let (Artefact::Ts(ends) | Artefact::Asyncapi(ends) | Artefact::Schema(ends)) = &self.artefact;
        let document = ends.from.read().await?;
        let text = self.artefact.of(&document).map_err(|error| {
            let from = ends.from.clone();
            GenerateError::Invalid { from, error }
        })?;
        match &ends.out {
            None => io::stdout().write_all(text.as_bytes()).map_err(GenerateError::Stdout),
            Some(path) if ends.check => ends.compare(path, &text),
            Some(path) => {
                fs::write(path, text).map_err(|error| GenerateError::File { path: path.clone(), error })
            }
        }
    }
}

impl Artefact {
    /// What is made of a document, as text.
    pub fn of(&self, document: &Value) -> Result<String, InvalidDocument> {
        let api = Api::from_document(document)?;
        match self {
            Self::Ts(_) => typescript::module(&api),
            Self::Asyncapi(_) => Ok(asyncapi(document)),
            Self::Schema(_) => Ok(json_schema::schema(&api)),
        }
    }
}

impl Ends {
    fn compare(&self, path: &Path, text: &str) -> Result<(), GenerateError> {
        match fs::read(path) {
            Ok(there) if there == text.as_bytes() => Ok(()),
            Ok(_) => Err(GenerateError::Stale { path: path.to_owned(), from: self.from.clone() }),
            Err(error) => Err(GenerateError::File { path: path.to_owned(), error }),
        }
    }
}

/// A document as it is written everywhere: indented, its keys sorted.
pub fn asyncapi(document: &Value) -> String {
    let mut sorted = document.clone();
    // Whether objects keep the order in which they were read is up to whoever else is in the build.
    sorted.sort_all_objects();
    format!("{sorted:#}\n")
}
