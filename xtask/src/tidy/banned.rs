//! Calls we do not make, each with what to write instead. Tests may make them.

use super::Finding;
use super::source::{Kind, Source, Token};

/// Where a rule holds.
#[derive(Clone, Copy)]
enum Scope {
    /// All Rust code, tests too.
    Everything,
    /// All Rust code outside of tests.
    Code,
    /// Code that runs on the runtime: the crates, the conformance server, examples.
    Runtime,
    /// The published crates.
    Crates,
}

impl Scope {
    fn holds(self, path: &str, in_test: bool) -> bool {
        let within = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
        match self {
            Self::Everything => true,
            Self::Code => !in_test,
            Self::Runtime => !in_test && within(&["crates/", "conformance/", "examples/"]),
            Self::Crates => !in_test && within(&["crates/"]),
        }
    }
}

/// How a call looks in tokens.
enum Shape {
    /// A name, wherever it stands.
    Word(&'static str),
    /// `name!`
    Macro(&'static str),
    /// `.name()`
    EmptyCall(&'static str),
    /// `a::b`, wherever the path begins.
    Path(&'static str, &'static str),
}

struct Rule {
    shape: Shape,
    scope: Scope,
    message: &'static str,
}

const RULES: [Rule; 10] = [
    Rule {
        shape: Shape::Word("unsafe"),
        scope: Scope::Everything,
        message: "`unsafe` is forbidden in every crate: find the safe function, or a crate others have audited",
    },
    Rule {
        shape: Shape::Macro("dbg"),
        scope: Scope::Code,
        message: "`dbg!` was left over: use `tracing::debug!` instead, or nothing",
    },
    Rule {
        shape: Shape::Macro("todo"),
        scope: Scope::Code,
        message: "`todo!` panics in somebody's server: use an error instead, or finish it",
    },
    Rule {
        shape: Shape::Macro("unimplemented"),
        scope: Scope::Code,
        message: "`unimplemented!` panics in somebody's server: use an error instead, or finish it",
    },
    Rule {
        shape: Shape::Word("unbounded_channel"),
        scope: Scope::Runtime,
        message: "a channel without a bound grows until the process dies: use `tokio::sync::mpsc::channel(bound)` instead",
    },
    Rule {
        shape: Shape::Path("thread", "sleep"),
        scope: Scope::Runtime,
        message: "`thread::sleep` stops every connection of its worker: use `tokio::time::sleep` instead",
    },
    Rule {
        shape: Shape::EmptyCall("unwrap"),
        scope: Scope::Crates,
        message: "`.unwrap()` says nothing when it fails: use `.expect(\"why it cannot fail\")` where that is proven, else \
                  an error instead",
    },
    Rule {
        shape: Shape::Macro("println"),
        scope: Scope::Crates,
        message: "a library does not print: use `tracing::info!` instead",
    },
    Rule {
        shape: Shape::Macro("print"),
        scope: Scope::Crates,
        message: "a library does not print: use `tracing::info!` instead",
    },
    Rule {
        shape: Shape::Macro("eprintln"),
        scope: Scope::Crates,
        message: "a library does not print: use `tracing::warn!` instead",
    },
];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (tokens, in_test) in source.windows() {
        for rule in &RULES {
            if rule.scope.holds(&source.path, in_test)
                && let Some(line) = rule.shape.found(tokens)
            {
                findings.push(Finding::error(&source.path, line, rule.message));
            }
        }
    }
    findings
}

impl Shape {
    /// The line, if the tokens begin so.
    fn found(&self, tokens: &[Token]) -> Option<usize> {
        let word = |at: usize| tokens.get(at).and_then(Token::word);
        let other = |at: usize, c: char| tokens.get(at).is_some_and(|token| token.kind == Kind::Other(c));
        let found = match *self {
            Self::Word(name) => word(0) == Some(name),
            Self::Macro(name) => word(0) == Some(name) && other(1, '!') && !other(2, '='),
            Self::EmptyCall(name) => other(0, '.') && word(1) == Some(name) && other(2, '(') && other(3, ')'),
            Self::Path(first, second) => {
                let joined = tokens.get(1).is_some_and(|token| token.kind == Kind::PathSeparator);
                word(0) == Some(first) && joined && word(2) == Some(second)
            }
        };
        found.then(|| tokens[0].line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_code(path: &str, code: &str, expected: &[(usize, &str)]) {
        let findings = check(&Source::new(path, code));
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, (line, instead)) in findings.iter().zip(expected) {
            assert_eq!(finding.line, *line, "{finding}");
            assert!(finding.message.contains(instead), "{finding} does not say {instead:?}");
        }
    }

    #[test]
    fn banned_calls_are_found_with_their_replacement() {
        let path = "crates/wirelark/src/a.rs";
        check_code(path, "let (a, b) =\n mpsc::unbounded_channel();", &[(2, "mpsc::channel(bound)")]);
        check_code(path, "a.unwrap();\nb\n    .unwrap();", &[(1, "expect"), (3, "expect")]);
        check_code(path, "std::thread::sleep(x);", &[(1, "tokio::time::sleep")]);
        check_code(path, "println!(); print!(); eprintln!();", &[(1, "info!"), (1, "info!"), (1, "warn!")]);
        check_code(path, "dbg!(a); todo!(); unimplemented!();", &[(1, "debug!"), (1, "error"), (1, "error")]);
        check_code(path, "unsafe { a() }", &[(1, "safe function")]);
    }

    #[test]
    fn what_only_looks_like_them_is_left_alone() {
        let path = "crates/wirelark/src/a.rs";
        check_code(path, "a.unwrap_or(b); unwrap(); a.unwrap(b); \"x.unwrap()\"; // c.unwrap()", &[]);
        check_code(path, "#![forbid(unsafe_code)] if todo != a { } tokio::time::sleep(b);", &[]);
    }

    #[test]
    fn rules_hold_where_they_make_sense() {
        let test = "#[cfg(test)]\nmod tests { fn a() { b.unwrap(); println!(); std::thread::sleep(c); } }";
        check_code("crates/wirelark/src/a.rs", test, &[]);
        check_code("crates/wirelark/tests/a.rs", "a.unwrap(); unsafe {}", &[(1, "safe function")]);
        check_code("xtask/src/a.rs", "println!(); std::thread::sleep(a);", &[]);
        check_code("examples/chat/src/main.rs", "println!(); std::thread::sleep(a);", &[(1, "tokio")]);
    }
}
