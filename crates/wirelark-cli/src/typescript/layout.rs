//! How code is broken into lines: as Biome does, so that whoever formats what was generated changes nothing.

/// Longest line, in characters.
const WIDTH: usize = 110;

/// A type or an expression, before it is known whether it fits in its line.
#[derive(Clone, Debug)]
pub(super) enum Code {
    Text(String),
    /// `{ key: value }`, of a type or of an object.
    Braces {
        members: Vec<Member>,
        separator: char,
        is_long: bool,
    },
    /// `name(a, b)`
    Call(String, Vec<Self>),
    /// `A | B`
    Union(Vec<(Vec<String>, Self)>),
    /// `A & B`
    Intersection(Vec<Self>),
    /// `A[]`
    ArrayOf(Box<Self>),
    /// `[A, B]`
    Tuple(Vec<Self>),
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The lines of the comment above it.
    pub(super) comment: Vec<String>,
    /// With a question mark, if it may be missing.
    pub(super) key: String,
    pub(super) value: Code,
}

impl Code {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn call(name: &str, arguments: Vec<Self>) -> Self {
        Self::Call(format!("s.{name}"), arguments)
    }

    /// Written so that it begins at a column and leaves room for what follows it; lines after the first are indented by
    /// so many levels.
    pub(super) fn write(&self, level: usize, column: usize, behind: usize) -> String {
        match self.flat() {
            Some(flat) if column + flat.chars().count() + behind <= WIDTH => flat,
            _ => self.broken(level, column),
        }
    }

    /// In one line, unless there are comments in it.
    fn flat(&self) -> Option<String> {
        let join = |codes: &[Self], by| {
            codes.iter().map(Self::flat_in_parentheses).collect::<Option<Vec<_>>>().map(|flat| flat.join(by))
        };
        let list = |codes: &[Self]| {
            codes.iter().map(Self::flat).collect::<Option<Vec<_>>>().map(|flat| flat.join(", "))
        };
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Braces { is_long: true, .. } => None,
            Self::Braces { members, separator, .. } => {
                let members = members.iter().map(|Member { comment, key, value }| {
                    comment.is_empty().then(|| value.flat()).flatten().map(|value| format!("{key}: {value}"))
                });
                let members = members.collect::<Option<Vec<_>>>()?.join(&format!("{separator} "));
                Some(if members.is_empty() { "{}".to_owned() } else { format!("{{ {members} }}") })
            }
            Self::Call(name, arguments) => Some(format!("{name}({})", list(arguments)?)),
            Self::Union(members) => {
                let members = members
                    .iter()
                    .map(|(comment, code)| comment.is_empty().then(|| code.flat_in_parentheses()).flatten());
                Some(members.collect::<Option<Vec<_>>>()?.join(" | "))
            }
            Self::Intersection(codes) => join(codes, " & "),
            Self::ArrayOf(item) => Some(format!("{}[]", item.flat_in_parentheses()?)),
            Self::Tuple(items) => Some(format!("[{}]", list(items)?)),
        }
    }

    /// As a part of another type.
    fn flat_in_parentheses(&self) -> Option<String> {
        let flat = self.flat()?;
        Some(if self.is_compound() { format!("({flat})") } else { flat })
    }

    fn is_compound(&self) -> bool {
        matches!(self, Self::Union(members) if members.len() > 1) || matches!(self, Self::Intersection(_))
    }

    fn broken(&self, level: usize, column: usize) -> String {
        let (inner, outer) = ("  ".repeat(level + 1), "  ".repeat(level));
        let lines = |codes: &[Self]| -> String {
            codes.iter().map(|code| format!("{inner}{},\n", code.write(level + 1, inner.len(), 1))).collect()
        };
        match self {
            Self::Text(text) => text.clone(),
            Self::Braces { members, separator, .. } => {
                let members: String = members
                    .iter()
                    .map(|Member { comment, key, value }| {
                        let comment: String = comment.iter().map(|line| format!("{inner}{line}\n")).collect();
                        let value = value.write_behind(level + 1, inner.len() + key.chars().count() + 1);
                        format!("{comment}{inner}{key}:{value}{separator}\n")
                    })
                    .collect();
                format!("{{\n{members}{outer}}}")
            }
            Self::Call(name, arguments) => match arguments.split_last() {
                Some((last @ Self::Braces { .. }, others))
                    if others.iter().all(|code| code.flat().is_some()) =>
                {
                    let others: String =
                        others.iter().filter_map(Self::flat).map(|other| format!("{other}, ")).collect();
                    format!("{name}({others}{})", last.broken(level, column))
                }
                _ => format!("{name}(\n{}{outer})", lines(arguments)),
            },
            Self::Union(members) if Self::is_object_or_null(members) => {
                let members = members.iter().map(|(_, code)| match code {
                    Self::Braces { .. } => code.broken(level, column),
                    other => other.flat().unwrap_or_default(),
                });
                members.collect::<Vec<_>>().join(" | ")
            }
            Self::Union(members) => {
                let members = members.iter().map(|(comment, code)| {
                    let comment: String = comment.iter().map(|line| format!("{outer}{line}\n")).collect();
                    let code = match code {
                        code if code.is_compound() => {
                            format!("({})", code.write(level + 1, outer.len() + 3, 1))
                        }
                        code => code.write(level + 1, outer.len() + 2, 0),
                    };
                    format!("{comment}{outer}| {code}")
                });
                members.collect::<Vec<_>>().join("\n")
            }
            Self::Intersection(codes) => {
                let codes = codes.iter().map(|code| match code {
                    code if code.is_compound() => format!("({})", code.write(level, column, 1)),
                    Self::Braces { .. } => code.broken(level, column),
                    code => code.write(level, column, 0),
                });
                codes.collect::<Vec<_>>().join(" & ")
            }
            Self::ArrayOf(item) if item.is_compound() => {
                format!("(\n{}\n{outer})[]", item.broken(level + 1, inner.len()))
            }
            Self::ArrayOf(item) => format!("{}[]", item.broken(level, column)),
            Self::Tuple(items) => format!("[\n{}{outer}]", lines(items)),
        }
    }

    /// Behind a colon or an equals sign, where a union that does not fit begins on a line of its own.
    pub(super) fn write_behind(&self, level: usize, column: usize) -> String {
        let written = self.write(level, column + 1, 1);
        match self {
            Self::Union(members) if written.contains('\n') && !Self::is_object_or_null(members) => {
                format!("\n{}", self.broken(level + 1, 0))
            }
            _ => format!(" {written}"),
        }
    }

    /// Which keeps the braces in its line.
    fn is_object_or_null(members: &[(Vec<String>, Self)]) -> bool {
        let null = |code: &Self| matches!(code, Self::Text(text) if text == "null");
        matches!(members, [(comment, Self::Braces { .. }), (_, other)] if comment.is_empty() && null(other))
    }
}

/// A comment as lines, which cannot end before its end.
pub(super) fn comment(text: &str, deprecated: bool) -> Vec<String> {
    let mut lines: Vec<String> =
        text.trim().lines().map(|line| line.trim_end().replace("*/", "*\\/")).collect();
    if deprecated {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push("@deprecated".to_owned());
    }
    match &mut lines[..] {
        [] => Vec::new(),
        [line] => vec![format!("/** {line} */")],
        lines => {
            let inner = lines.iter().map(|line| format!(" * {line}").trim_end().to_owned());
            ["/**".to_owned()].into_iter().chain(inner).chain([" */".to_owned()]).collect()
        }
    }
}

/// A string, in the quotes that need fewer escapes.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.matches('"').count() > text.matches('\'').count() { '\'' } else { '"' };
    let mut written = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            c if c == quote => written.extend(['\\', c]),
            // Nothing that ends a line, changes the direction of the text, or cannot be seen.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
            {
                written.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => written.push(c),
        }
    }
    written.push(quote);
    written
}

/// A key: bare where it can be.
pub(super) fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quoted(name) }
}

pub(super) fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}
