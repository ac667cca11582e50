//! Rules of ours no other tool knows. Each finding says where, what, and what to write instead.
//!
//! The checks read source as text and tokens, not as a syntax tree: that is fast, needs no compiler, and is exact
//! enough for code that rustfmt has laid out.

mod banned;
mod book;
mod floors;
mod generated;
mod leftovers;
mod length;
mod sans_io;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::source::Source;
use crate::workspace;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    /// What is wrong, and after a colon what to do instead.
    message: String,
    /// A warning is shown and fails nothing.
    warning: bool,
}

impl Finding {
    fn error(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), warning: false }
    }

    fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::error(path, line, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning: " } else { "" };
        write!(f, "{}:{}: {kind}{}", self.path, self.line, self.message)
    }
}

/// Checks everything and prints what it finds.
pub(crate) fn run() -> Result<()> {
    let mut findings = Vec::new();
    let root_module = fs::read_to_string(workspace::root().join("crates/wirelark/src/lib.rs"))
        .context("the main crate's lib.rs cannot be read")?;
    let floors = floors::Floors::read(&root_module);
    let files = text_files(workspace::root())?;
    for path in &files {
        let text = fs::read_to_string(workspace::root().join(path));
        let text = text.with_context(|| format!("{path} cannot be read"))?;
        findings.extend(check_file(path, &text, &floors));
    }
    findings.extend(generated::check()?);
    findings.extend(book::check()?);

    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings.iter().for_each(|finding| println!("{finding}"));
    let errors = findings.iter().filter(|finding| !finding.warning).count();
    println!("tidy: {} files, {errors} to put right, {} warnings", files.len(), findings.len() - errors);
    if errors > 0 {
        bail!("{errors} findings of tidy");
    }
    Ok(())
}

fn check_file(path: &str, text: &str, floors: &floors::Floors) -> Vec<Finding> {
    let mut findings = length::check(path, text);
    if !path.ends_with(".rs") {
        findings.extend(leftovers::check_text(path, text));
        return findings;
    }
    let source = Source::new(path, text);
    findings.extend(leftovers::check_rust(&source));
    findings.extend(banned::check(&source));
    findings.extend(floors.check(&source));
    findings.extend(sans_io::check(&source));
    findings
}

/// Files people write, by path from the repository's root. Folders of tools and of other people's code are left out.
fn text_files(root: &Path) -> Result<Vec<String>> {
    const FOREIGN: [&str; 6] = ["target", "node_modules", "dist", "corpus", "artifacts", "book"];
    const EXTENSIONS: [&str; 9] = ["rs", "toml", "py", "js", "mjs", "ts", "tsx", "sh", "html"];
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder))
            .with_context(|| format!("the folder {} cannot be read", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let path = folder.join(name);
            if entry.file_type()?.is_dir() {
                if !name.starts_with('.') && !FOREIGN.contains(&name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known)) {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_can_be_followed() {
        let error = Finding::error("crates/a/src/b.rs", 7, "`x()` blocks: use `y()` instead");
        assert_eq!(error.to_string(), "crates/a/src/b.rs:7: `x()` blocks: use `y()` instead");
        let warning = Finding::warning("a.rs", 1, "long");
        assert_eq!(warning.to_string(), "a.rs:1: warning: long");
    }

    #[test]
    fn files_of_the_project_are_found_and_no_others() {
        let files = text_files(workspace::root()).expect("the repository can be read");
        assert!(files.iter().any(|path| path == "xtask/src/tidy/mod.rs"));
        assert!(files.iter().any(|path| path == "Cargo.toml"));
        assert!(!files.iter().any(|path| path.contains("target/") || path.contains("node_modules/")));
    }
}
