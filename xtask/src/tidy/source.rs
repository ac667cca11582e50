//! A Rust file, taken apart as far as tidy needs: its comments, its tokens, and the paths it names.

use std::ops::Range;

/// A file's comments and code.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    /// Comments line by line.
    pub(crate) comments: Vec<(usize, String)>,
    /// Code without comments, attributes' text included, and without what strings say.
    tokens: Vec<Token>,
    /// Tokens that are compiled for tests only.
    tests: Vec<Range<usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word(String),
    /// `::`
    PathSeparator,
    /// Any other character that is no space.
    Other(char),
    /// A string, character or number; what it says is never code.
    Literal,
}

impl Token {
    fn is(&self, c: char) -> bool {
        self.kind == Kind::Other(c)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// A path as code names it, with what `use` takes from a group written out: `std::io::Read`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (tokens, comments) = scan(text);
        let tests = match is_test_file(path) {
            true => std::iter::once(0..tokens.len()).collect(),
            false => test_items(&tokens),
        };
        Self { path: path.to_owned(), comments, tokens, tests }
    }

    /// All tokens with their neighbours behind them, and whether they are part of a test.
    pub(crate) fn windows(&self) -> impl Iterator<Item = (&[Token], bool)> {
        (0..self.tokens.len())
            .map(|at| (&self.tokens[at..], self.tests.iter().any(|test| test.contains(&at))))
    }

    /// The paths code outside of tests names.
    pub(crate) fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if let Some(test) = self.tests.iter().find(|test| test.contains(&at)) {
                at = test.end;
                continue;
            }
            at = path_tree(&self.tokens, at, &[], &mut paths).max(at + 1);
        }
        paths
    }
}

/// Reads a path, or a tree of them, that begins at a token. Returns the token behind it.
fn path_tree(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    let mut segments = prefix.to_vec();
    let Some(first) = tokens.get(at) else { return at };
    let line = first.line;
    loop {
        match tokens.get(at).map(|token| &token.kind) {
            Some(Kind::Word(word)) => segments.push(word.clone()),
            // Only a group behind `::` belongs to a path.
            Some(Kind::Other('{')) if !segments.is_empty() => return group(tokens, at + 1, &segments, paths),
            _ => break,
        }
        at += 1;
        match tokens.get(at).map(|token| &token.kind) {
            Some(Kind::PathSeparator) => at += 1,
            _ => break,
        }
    }
    if segments.len() > 1 {
        paths.push(NamedPath { line, segments });
    }
    at
}

/// Reads the inside of `a::{b, c::d}`. Returns the token behind the closing brace.
fn group(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is('}') {
            return at + 1;
        }
        if token.is(',') {
            at += 1;
            continue;
        }
        at = path_tree(tokens, at, prefix, paths).max(at + 1);
        // `as name` renames and names nothing.
        if tokens.get(at).and_then(Token::word) == Some("as") {
            at += 2;
        }
    }
    at
}

/// Integration tests and benches are tests from the first line to the last.
fn is_test_file(path: &str) -> bool {
    path.split('/').any(|folder| matches!(folder, "tests" | "benches"))
}

/// Items behind `#[cfg(test)]`, with everything inside them.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let shown: Vec<&str> = tokens.iter().map(text).collect();
    let mut items = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if shown[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            let end = item_end(tokens, at + 7);
            items.push(at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    items
}

fn text(token: &Token) -> &str {
    match &token.kind {
        Kind::Word(word) => word,
        Kind::PathSeparator => "::",
        Kind::Other('#') => "#",
        Kind::Other('[') => "[",
        Kind::Other(']') => "]",
        Kind::Other('(') => "(",
        Kind::Other(')') => ")",
        Kind::Other(_) | Kind::Literal => "",
    }
}

/// The token behind an item: behind its last brace, or behind its semicolon.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.kind {
            Kind::Other('{') => depth += 1,
            Kind::Other('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            Kind::Other(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Splits a file into tokens and comments.
fn scan(text: &str) -> (Vec<Token>, Vec<(usize, String)>) {
    let mut scanner = Scanner { rest: text, line: 1, tokens: Vec::new(), comments: Vec::new() };
    while let Some(c) = scanner.rest.chars().next() {
        scanner.step(c);
    }
    (scanner.tokens, scanner.comments)
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<(usize, String)>,
}

impl<'a> Scanner<'a> {
    fn step(&mut self, c: char) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let (line, comment) = (self.line, self.take(end).to_owned());
            self.comments.push((line, comment));
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if let Some(end) = raw_string_end(self.rest) {
            self.push(end, Kind::Literal);
        } else if c == '"' || self.rest.starts_with("b\"") || self.rest.starts_with("c\"") {
            let open = self.rest.find('"').unwrap_or(0);
            let end = quoted_end(&self.rest[open..], '"');
            self.push(open + end, Kind::Literal);
        } else if c == '\'' {
            self.push(character_or_lifetime_end(self.rest), Kind::Literal);
        } else if c.is_ascii_digit() {
            let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            self.push(end, Kind::Literal);
        } else if c.is_alphabetic() || c == '_' {
            let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            let word = self.rest[..end].to_owned();
            self.push(end, Kind::Word(word));
        } else if self.rest.starts_with("::") {
            self.push(2, Kind::PathSeparator);
        } else if c.is_whitespace() {
            self.take(c.len_utf8());
        } else {
            self.push(c.len_utf8(), Kind::Other(c));
        }
    }

    fn push(&mut self, bytes: usize, kind: Kind) {
        self.tokens.push(Token { line: self.line, kind });
        self.take(bytes);
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        let mut end = 0;
        let bytes = self.rest.as_bytes();
        while end < bytes.len() {
            match &bytes[end..] {
                [b'/', b'*', ..] => (depth, end) = (depth + 1, end + 2),
                [b'*', b'/', ..] => (depth, end) = (depth - 1, end + 2),
                _ => end += 1,
            }
            if depth == 0 {
                break;
            }
        }
        let first = self.line;
        let comment = self.take(end);
        let lines = comment.lines().enumerate().map(|(below, text)| (first + below, text.to_owned()));
        self.comments.extend(lines);
    }
}

/// The end of `r"..."`, `r#"..."#`, `br"..."`, if one begins here.
fn raw_string_end(text: &str) -> Option<usize> {
    let inside = ["r", "br", "cr"].iter().find_map(|prefix| {
        let rest = text.strip_prefix(prefix)?;
        rest.trim_start_matches('#').starts_with('"').then_some(rest)
    })?;
    let hashes = inside.len() - inside.trim_start_matches('#').len();
    let close = format!("\"{}", "#".repeat(hashes));
    let open = text.len() - inside.len() + hashes + 1;
    Some(text[open..].find(&close).map_or(text.len(), |at| open + at + close.len()))
}

/// The end of a quoted text that begins with its quote.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` and `'\n'` are characters; `'a` in front of anything else is a lifetime.
fn character_or_lifetime_end(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => quoted_end(text, '\''),
        (Some(c), Some('\'')) => 1 + c.len_utf8() + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_paths(code: &str, expected: &[&str]) {
        let source = Source::new("crates/a/src/b.rs", code);
        let paths: Vec<_> = source.paths().iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(paths, expected, "{code}");
    }

    #[test]
    fn paths_are_written_out() {
        check_paths("use std::io;", &["std::io"]);
        check_paths(
            "use crate::{hub::Hub, net::{pipe, wire::ReadWire as W}};",
            &["crate::hub::Hub", "crate::net::pipe", "crate::net::wire::ReadWire"],
        );
        check_paths("use a::{self, b};", &["a::self", "a::b"]);
        check_paths(
            "fn f() { crate::hub::send(std::thread::current()); }",
            &["crate::hub::send", "std::thread::current"],
        );
        check_paths("struct A { b: c::D }", &["c::D"]);
    }

    #[test]
    fn what_is_no_code_names_nothing() {
        check_paths("// crate::a::b\n/* crate::a /* nested */ ::b */ /// [`crate::c`]", &[]);
        check_paths(r##"let a = "crate::a::b \" c::d"; let b = r#"e::f "quoted" g::h"#;"##, &[]);
        check_paths(
            "let a = '\"'; use b::c; let d = '\\''; use e::f; fn g<'a>(h: &'a i::J) {}",
            &["b::c", "e::f", "i::J"],
        );
    }

    #[test]
    fn tests_name_nothing_either() {
        check_paths("#[cfg(test)]\nmod tests { use a::b; fn c() { d::e(); } }\nuse f::g;", &["f::g"]);
        check_paths("#[cfg(test)]\nuse a::b;\nuse f::g;", &["f::g"]);
        assert_eq!(Source::new("crates/a/tests/b.rs", "use a::b;").paths(), []);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let source = Source::new("a.rs", "/* one\ntwo */\nlet a = \"x\ny\";\nuse b::c; // end");
        assert_eq!(source.paths()[0].line, 5);
        let comments: Vec<_> = source.comments.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(comments, [(1, "/* one"), (2, "two */"), (5, "// end")]);
    }
}
