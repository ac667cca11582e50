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

/// What is wrong with a name, and what to write instead.
pub(crate) fn problem(name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if RESERVED.contains(&name) {
        return Some(format!(
            "`{name}` is a name every JavaScript object has already: rename the function, or write \
             `#[name = \"{name}Something\"]` above it"
        ));
    }
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    (!begins || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed)).then(|| {
        format!(
            "`{name}` cannot be a name on the wire: begin with a letter and go on with letters, digits and any \
             of `_ . : -`, at most {NAME_BYTES_MAX} bytes; `#[name = \"..\"]` gives another one"
        )
    })
}
