//! The protocol crate receives bytes and returns events. Whatever touches a clock, a socket, a file, a thread or
//! chance is handed in by its caller.

use super::Finding;
use super::source::Source;

const SOURCE_FOLDER: &str = "crates/wirelark-proto/src/";

/// Where a path is needed although nothing is read or written: the traits serde_json is extended by name it.
const EXEMPT: [(&str, &[&str]); 1] = [("crates/wirelark-proto/src/contract/json.rs", &["std", "io"])];

/// The beginnings of paths the crate may not name, and what to do instead.
const WORLD: [(&[&str], &str); 10] = [
    (&["tokio"], "take bytes and return events; the main crate drives them"),
    (&["std", "io"], "take a slice of bytes"),
    (&["std", "net"], "take bytes; the main crate owns sockets"),
    (&["std", "fs"], "take bytes"),
    (&["std", "thread"], "let the caller decide where it runs"),
    (&["rand"], "take the random bytes as an argument"),
    (&["Instant", "now"], "take `now` as an argument"),
    (&["SystemTime", "now"], "take `now` as an argument"),
    (&["std", "time", "Instant", "now"], "take `now` as an argument"),
    (&["std", "time", "SystemTime", "now"], "take `now` as an argument"),
];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with(SOURCE_FOLDER) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for path in source.paths() {
        let names = |beginning: &[&str]| {
            path.segments.len() >= beginning.len() && path.segments.iter().zip(beginning).all(|(a, b)| a == b)
        };
        let is_exempt = |beginning: &[&str]| EXEMPT.contains(&(&source.path, beginning));
        let named = WORLD.iter().find(|(beginning, _)| names(beginning) && !is_exempt(beginning));
        if let Some((beginning, instead)) = named {
            let message = format!(
                "the protocol crate does no I/O and has no `{}`: {instead} instead",
                beginning.join("::")
            );
            findings.push(Finding::error(&source.path, path.line, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_lines(code: &str, expected: &[usize]) {
        let source = Source::new("crates/wirelark-proto/src/frame.rs", code);
        let lines: Vec<_> = check(&source).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{code}");
    }

    #[test]
    fn the_world_stays_outside() {
        check_lines("use std::{fmt,\n io::Read};\nuse tokio::time;", &[2, 3]);
        check_lines("fn f() { let now = Instant::now();\n std::time::SystemTime::now(); }", &[1, 2]);
        check_lines("use std::fmt;\nuse std::time::{Duration, Instant};\nfn f(now: Instant) {}", &[]);
    }

    #[test]
    fn other_crates_may() {
        assert_eq!(check(&Source::new("crates/wirelark/src/serve.rs", "use std::io::Read;")), []);
    }
}
