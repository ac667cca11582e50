//! A chapter of the book is in its summary, and its Rust blocks are compiled.

use std::fs;

use anyhow::{Context as _, Result};

use super::Finding;
use crate::workspace;

const SUMMARY: &str = "docs/src/SUMMARY.md";
const SNIPPETS: &str = "docs/snippets/src/lib.rs";

pub(crate) fn check() -> Result<Vec<Finding>> {
    let read = |path: &str| {
        fs::read_to_string(workspace::root().join(path)).with_context(|| format!("{path} cannot be read"))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(workspace::root().join("docs/src"))? {
        files.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(".md")));
    }
    files.sort();
    Ok(check_book(&files, &read(SUMMARY)?, &read(SNIPPETS)?))
}

fn check_book(files: &[String], summary: &str, snippets: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| *file != "SUMMARY.md") {
        if !summary.contains(&format!("]({file})")) {
            let message = format!("docs/src/{file} is in no summary: name it here, or delete it");
            findings.push(Finding::error(SUMMARY, 1, message));
        }
        if !snippets.contains(&format!("src/{file}\")")) {
            let message = format!("the Rust blocks of docs/src/{file} are not compiled: include it here");
            findings.push(Finding::error(SNIPPETS, 1, message));
        }
    }
    for (above, line) in summary.lines().enumerate() {
        let chapter = line.split_once("](").and_then(|(_, rest)| rest.split_once(')'));
        if let Some((chapter, _)) = chapter
            && !files.iter().any(|file| file == chapter)
        {
            let message = format!("there is no docs/src/{chapter}: write it, or take the line out");
            findings.push(Finding::error(SUMMARY, above + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_messages(files: &[&str], summary: &str, snippets: &str, expected: &[&str]) {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        let findings = check_book(&files, summary, snippets);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.to_string().contains(expected), "{finding} does not say {expected:?}");
        }
    }

    #[test]
    fn chapters_are_listed_compiled_and_there() {
        let included = "#[doc = include_str!(\"../../src/a.md\")]";
        check_messages(&["SUMMARY.md", "a.md"], "- [A](a.md)", included, &[]);
        check_messages(&["SUMMARY.md", "a.md"], "", included, &["a.md is in no summary"]);
        check_messages(&["SUMMARY.md", "a.md"], "- [A](a.md)", "", &["a.md are not compiled"]);
        check_messages(
            &["SUMMARY.md"],
            "# S\n- [A](a.md)",
            included,
            &["SUMMARY.md:2: there is no docs/src/a.md"],
        );
    }
}
