//! Which names calls and pushes may have, and how they are written on the wire.

use syn::LitStr;

/// Names that JavaScript gives to every object or promise; the same list as `wirelark::contract::RESERVED_NAMES`,
/// which a test keeps equal.
pub(crate) const RESERVED: [&str; 17] = [
    "then",
    "catch",
    "finally",
    "constructor",
    "prototype",
    "__proto__",
    "toString",
    "valueOf",
    "toLocaleString",
    "toJSON",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
];

const NAME_BYTES_MAX: usize = 128;

/// How the names of Rust are written on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Case {
    /// As they are.
    #[default]
    Verbatim,
    Camel,
}

impl Case {
    pub(crate) fn parse(literal: &LitStr) -> syn::Result<Self> {
        match literal.value().as_str() {
            "snake_case" => Ok(Self::Verbatim),
            "camelCase" => Ok(Self::Camel),
            _ => Err(syn::Error::new_spanned(literal, "write `\"camelCase\"` or `\"snake_case\"`")),
        }
    }

    pub(crate) fn apply(self, name: &str) -> String {
        match self {
            Self::Verbatim => name.to_owned(),
            Self::Camel => {
                let mut words = name.split('_').filter(|word| !word.is_empty());
                let mut camel = words.next().unwrap_or_default().to_owned();
                for word in words {
                    let mut letters = word.chars();
                    camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
                    camel.push_str(letters.as_str());
                }
                camel
            }
        }
    }
}

/// What is wrong with the name of a call or a push, and what to write instead.
pub(crate) fn problem(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!(
            "`{name}` is a name JavaScript's objects or promises have already: rename the function, or write \
             `#[name = \"{name}_\"]` above it"
        ));
    }
    (!is_name(name, b"_.:-")).then(|| {
        format!(
            "`{name}` cannot be a name on the wire: begin with a letter and go on with letters, digits and any \
             of `_ . : -`, at most {NAME_BYTES_MAX} bytes; `#[name = \"..\"]` gives another one"
        )
    })
}

/// What is wrong with the name of a contract. Clients offer it in a subprotocol, where a colon is not allowed.
pub(crate) fn contract_problem(name: &str) -> Option<String> {
    (!is_name(name, b"_.-")).then(|| {
        format!(
            "`{name}` cannot be the name of a contract: begin with a letter and go on with letters, digits and \
             any of `_ . -`, at most {NAME_BYTES_MAX} bytes; `#[contract(name = \"..\")]` gives another one"
        )
    })
}

fn is_name(name: &str, marks: &[u8]) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

#[cfg(test)]
mod tests {
    use wirelark_proto::contract::{Description, RESERVED_NAMES};

    use super::*;

    #[test]
    fn the_reserved_names_are_those_of_the_protocol() {
        assert_eq!(RESERVED, RESERVED_NAMES);
    }

    /// What compiles can be served, and what can be served by hand compiles.
    #[test]
    fn names_are_judged_as_at_start_up() {
        let longest = "x".repeat(NAME_BYTES_MAX);
        let longer = "x".repeat(NAME_BYTES_MAX + 1);
        let names = ["post", "a.b:c-d_e9", "then", "", "9a", "_a", "a b", "\u{e4}", "a/b", &longest, &longer];
        for name in names {
            let description = Description::new("C").ack::<()>(name.to_owned().leak(), "");
            assert_eq!(problem(name).is_none(), description.check().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn names_become_camel_case() {
        for (rust, camel) in [
            ("post", "post"),
            ("items_changed", "itemsChanged"),
            ("a_b_1c", "aB1c"),
            ("_lead__trail_", "leadTrail"),
        ] {
            assert_eq!(Case::Camel.apply(rust), camel);
            assert_eq!(Case::Verbatim.apply(rust), rust);
        }
    }
}
