//! What a contract is, as data: from this the documents, the checks and other languages' clients are made.

use std::fmt::{self, Write as _};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::rate::{CallRate, InvalidRate};

/// Calls and pushes that a server and its clients share.
///
/// The attribute `#[contract]` implements it for the type it makes of a trait; by hand it is
///
/// ```
/// use std::sync::OnceLock;
/// use schemars::JsonSchema;
/// use wirelark_proto::contract::{Contract, Delivery, Description};
///
/// #[derive(JsonSchema)]
/// struct Post { text: String }
/// #[derive(JsonSchema)]
/// struct Posted { text: String }
///
/// struct Chat;
///
/// impl Contract for Chat {
///     fn describe() -> &'static Description {
///         static CHAT: OnceLock<Description> = OnceLock::new();
///         CHAT.get_or_init(|| {
///             Description::new("Chat")
///                 .ack::<Post>("post", "Post a message to the room.")
///                 .push::<Posted>("posted", "Somebody posted.", Delivery::Reliable)
///         })
///     }
/// }
/// assert_eq!(Chat::describe().check(), Ok(()));
/// ```
pub trait Contract: Send + Sync + 'static {
    /// The same description at each call.
    fn describe() -> &'static Description;
}

/// A contract's name, documentation, calls and pushes, in the order they were declared.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// What the contract is called.
    pub name: &'static str,
    /// What its author says about it; Markdown.
    pub documentation: &'static str,
    /// What clients may ask of the server.
    pub calls: Vec<CallDescription>,
    /// What the server may tell clients.
    pub pushes: Vec<PushDescription>,
    /// The first thing that was given a rate and is no call.
    #[serde(skip)]
    rated_no_call: Option<&'static str>,
}

/// One call.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CallDescription {
    /// Its name on the wire.
    pub name: &'static str,
    /// What comes back.
    pub kind: CallKind,
    /// Markdown.
    pub documentation: &'static str,
    /// JSON Schema of the body a client sends.
    pub input: Schema,
    /// JSON Schema of the body that comes back, for [`CallKind::Reply`].
    pub output: Option<Schema>,
    /// Scopes that callers must have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<&'static str>,
    /// Roles that callers must have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<&'static str>,
    /// How often it may be made; as often as one likes if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<CallRate>,
}

/// What comes back when a call succeeds. When it fails, an error comes back in any case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallKind {
    /// A typed answer.
    Reply,
    /// An answer without a body.
    Ack,
    /// Nothing.
    Send,
}

/// One push.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PushDescription {
    /// Its name on the wire.
    pub name: &'static str,
    /// Markdown.
    pub documentation: &'static str,
    /// JSON Schema of its body.
    pub body: Schema,
    /// What happens to it while its receiver is behind.
    pub delivery: Delivery,
}

/// What happens to a push whose receiver reads too slowly. A receiver that keeps up gets everything.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It waits in the outbox. A receiver for whom there is no room left is disconnected with 1013, so that
    /// it knows that it has to catch up.
    #[default]
    Reliable,
    /// It takes the place of the waiting push of the same name and key.
    Conflate,
    /// When there is no room, the oldest waiting pushes that may be dropped make room for it.
    DropOldest,
    /// At most so many per second are queued while the receiver is behind.
    Sample {
        /// More than 0.
        per_second: f32,
    },
}

/// Names that mean something to JavaScript objects, or to promises. A generated client could not have them.
pub const RESERVED_NAMES: [&str; 17] = [
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

/// Longest name of a call or a push, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A contract that cannot be served; the text says what to write instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidContract {
    /// A contract whose name cannot stand in a subprotocol.
    #[error(
        "{contract:?} is not a name for a contract; begin with a letter and go on with letters, digits and any of \
         _ . - (at most {NAME_BYTES_MAX} bytes)"
    )]
    ContractName {
        /// The contract.
        contract: &'static str,
    },
    /// A name with other characters than a generated client can have, or too long.
    #[error(
        "contract {contract}: {name:?} is not a name; begin with a letter and go on with letters, digits and \
         any of _ . : - (at most {NAME_BYTES_MAX} bytes)"
    )]
    Name {
        /// The contract.
        contract: &'static str,
        /// The name.
        name: &'static str,
    },
    /// A name that JavaScript gives to every object.
    #[error(
        "contract {contract}: {name:?} is reserved, because JavaScript objects have it already; rename it"
    )]
    Reserved {
        /// The contract.
        contract: &'static str,
        /// The name.
        name: &'static str,
    },
    /// Two calls, two pushes, or a call and a push of one name.
    #[error(
        "contract {contract}: {name:?} is there twice; calls and pushes share their names, so rename one"
    )]
    Duplicate {
        /// The contract.
        contract: &'static str,
        /// The name.
        name: &'static str,
    },
    /// A sampling rate that lets nothing through, or is no number.
    #[error("contract {contract}: push {name:?} is sampled {per_second} times per second; write more than 0")]
    SampleRate {
        /// The contract.
        contract: &'static str,
        /// The push.
        name: &'static str,
        /// The rate, as text.
        per_second: String,
    },
    /// A rate of a call that cannot be.
    #[error("contract {contract}: the rate of {call:?} {}", .error.problem())]
    Rate {
        /// The contract.
        contract: &'static str,
        /// The call.
        call: &'static str,
        /// What is wrong with it.
        error: InvalidRate,
    },
    /// A rate of something that is no call.
    #[error(
        "contract {contract}: {name:?} has a rate and is no call; add the call before its rate, or remove the rate"
    )]
    RatedNoCall {
        /// The contract.
        contract: &'static str,
        /// The name that stands there.
        name: &'static str,
    },
}

impl Description {
    /// A contract without calls and pushes.
    pub const fn new(name: &'static str) -> Self {
        Self { name, documentation: "", calls: Vec::new(), pushes: Vec::new(), rated_no_call: None }
    }

    /// What its author says about it.
    #[must_use]
    pub fn documentation(mut self, documentation: &'static str) -> Self {
        self.documentation = documentation;
        self
    }

    /// Adds a call that is answered with an `Output`.
    #[must_use]
    pub fn call<Input, Output>(self, name: &'static str, documentation: &'static str) -> Self
    where
        Input: JsonSchema,
        Output: JsonSchema,
    {
        let output = schema_of::<Output>(SchemaSettings::for_serialize);
        self.add_call::<Input>(name, CallKind::Reply, documentation, Some(output))
    }

    /// Adds a call that is answered without a body.
    #[must_use]
    pub fn ack<Input: JsonSchema>(self, name: &'static str, documentation: &'static str) -> Self {
        self.add_call::<Input>(name, CallKind::Ack, documentation, None)
    }

    /// Adds a call that is not answered, unless it fails.
    #[must_use]
    pub fn send<Input: JsonSchema>(self, name: &'static str, documentation: &'static str) -> Self {
        self.add_call::<Input>(name, CallKind::Send, documentation, None)
    }

    fn add_call<Input: JsonSchema>(
        mut self,
        name: &'static str,
        kind: CallKind,
        documentation: &'static str,
        output: Option<Schema>,
    ) -> Self {
        let input = schema_of::<Input>(SchemaSettings::for_deserialize);
        let (scopes, roles) = (Vec::new(), Vec::new());
        let rate = None;
        self.calls.push(CallDescription { name, kind, documentation, input, output, scopes, roles, rate });
        self
    }

    /// Limits how often a call that was added before may be made: `.rate("post", Rate::per_second(5))`. Beyond it the
    /// call is answered with a [`RateLimited`](super::RateLimited), and its handler does not run.
    #[must_use]
    pub fn rate(mut self, call: &'static str, rate: impl Into<CallRate>) -> Self {
        match self.calls.iter_mut().find(|added| added.name == call) {
            Some(call) => call.rate = Some(rate.into()),
            None => self.rated_no_call = self.rated_no_call.or(Some(call)),
        }
        self
    }

    /// Whoever makes the call that was added last must have this scope.
    ///
    /// # Panics
    /// If there is no call yet.
    #[must_use]
    pub fn require_scope(mut self, scope: &'static str) -> Self {
        self.last_call().scopes.push(scope);
        self
    }

    /// Whoever makes the call that was added last must have this role.
    ///
    /// # Panics
    /// If there is no call yet.
    #[must_use]
    pub fn require_role(mut self, role: &'static str) -> Self {
        self.last_call().roles.push(role);
        self
    }

    fn last_call(&mut self) -> &mut CallDescription {
        self.calls.last_mut().expect("what a call requires is said behind the call")
    }

    /// Adds a push.
    #[must_use]
    pub fn push<Body: JsonSchema>(
        mut self,
        name: &'static str,
        documentation: &'static str,
        delivery: Delivery,
    ) -> Self {
        let body = schema_of::<Body>(SchemaSettings::for_serialize);
        self.pushes.push(PushDescription { name, documentation, body, delivery });
        self
    }

    /// Whether clients in any language can be made of it. `#[contract]` has checked as much at compile time.
    pub fn check(&self) -> Result<(), InvalidContract> {
        let contract = self.name;
        if !is_name(contract) || contract.contains(':') {
            return Err(InvalidContract::ContractName { contract });
        }
        let calls = self.calls.iter().map(|call| call.name);
        let names: Vec<&'static str> = calls.chain(self.pushes.iter().map(|push| push.name)).collect();
        for (index, &name) in names.iter().enumerate() {
            if !is_name(name) {
                return Err(InvalidContract::Name { contract, name });
            }
            if RESERVED_NAMES.contains(&name) {
                return Err(InvalidContract::Reserved { contract, name });
            }
            if names[..index].contains(&name) {
                return Err(InvalidContract::Duplicate { contract, name });
            }
        }
        if let Some(name) = self.rated_no_call {
            return Err(InvalidContract::RatedNoCall { contract, name });
        }
        for CallDescription { name: call, rate, .. } in &self.calls {
            if let Some(Err(error)) = rate.map(|rate| rate.rate.check()) {
                return Err(InvalidContract::Rate { contract, call, error });
            }
        }
        for PushDescription { name, delivery, .. } in &self.pushes {
            if let Delivery::Sample { per_second } = delivery
                && !(per_second.is_finite() && *per_second > 0.0)
            {
                return Err(InvalidContract::SampleRate {
                    contract,
                    name,
                    per_second: per_second.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Sixteen hexadecimal digits that change when what travels changes: a name, a kind, a type, a delivery.
    /// Documentation, who may make a call and how often, and the order of declaration make no difference: a client need
    /// not be made anew because a server has become stricter.
    pub fn hash(&self) -> ContractHash {
        let mut calls: Vec<Value> = self
            .calls
            .iter()
            .map(|CallDescription { name, kind, input, output, .. }| {
                serde_json::json!([name, kind, shape(input), output.as_ref().map(shape)])
            })
            .collect();
        calls.sort_by(|a, b| a[0].as_str().cmp(&b[0].as_str()));
        let mut pushes: Vec<Value> = self
            .pushes
            .iter()
            .map(|PushDescription { name, body, delivery, .. }| {
                serde_json::json!([name, shape(body), delivery])
            })
            .collect();
        pushes.sort_by(|a, b| a[0].as_str().cmp(&b[0].as_str()));
        let text = serde_json::json!([self.name, calls, pushes]).to_string();
        let digest = Sha1::digest(text);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        ContractHash(u64::from_be_bytes(first))
    }
}

/// Identifies what travels under a contract; see [`Description::hash`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContractHash(u64);

impl ContractHash {
    /// Reads sixteen hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl ContractHash {
    /// What a client of this version of the contract `name` offers beside a format, so that a server of another
    /// version can tell it so.
    pub fn subprotocol(self, name: &str) -> String {
        format!("{SUBPROTOCOL_PREFIX}{name}.{self}")
    }

    /// The name and version in a subprotocol that [`subprotocol`](Self::subprotocol) made.
    pub fn from_subprotocol(subprotocol: &str) -> Option<(&str, Self)> {
        let (name, hash) = subprotocol.strip_prefix(SUBPROTOCOL_PREFIX)?.rsplit_once('.')?;
        Some((name, Self::parse(hash)?))
    }
}

const SUBPROTOCOL_PREFIX: &str = "wirelark.contract.";

impl fmt::Display for ContractHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ContractHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    name.len() <= NAME_BYTES_MAX
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(rest)
}

fn schema_of<T: JsonSchema>(contract: fn(SchemaSettings) -> SchemaSettings) -> Schema {
    contract(SchemaSettings::draft2020_12()).into_generator().into_root_schema_for::<T>()
}

/// The schema without what people read, its keys sorted.
fn shape(schema: &Schema) -> Value {
    strip(schema.as_value())
}

/// Where the keys of an object are names of the user's and not keywords of JSON Schema.
const NAMED: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose values are data.
const DATA: [&str; 3] = ["const", "enum", "default"];
/// What people read.
const READ: [&str; 8] =
    ["$schema", "title", "description", "examples", "$comment", "deprecated", "readOnly", "writeOnly"];

fn strip(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => Value::Array(items.iter().map(strip).collect()),
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| !READ.contains(&key.as_str()));
            sorted(kept.map(|(key, value)| {
                let value = match value {
                    Value::Object(named) if NAMED.contains(&key.as_str()) => {
                        sorted(named.iter().map(|(name, schema)| (name.clone(), strip(schema))))
                    }
                    data if DATA.contains(&key.as_str()) => data.clone(),
                    schema => strip(schema),
                };
                (key.clone(), value)
            }))
        }
        scalar => scalar.clone(),
    }
}

/// Whether serde_json keeps the order of insertion is up to whoever else is in the build.
fn sorted(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}

impl fmt::Display for Description {
    /// One line for each call and push.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("contract {} {}", self.name, self.hash());
        for call in &self.calls {
            let _ = write!(text, "\n  {:?} {}", call.kind, call.name);
        }
        for push in &self.pushes {
            let _ = write!(text, "\n  Push {}", push.name);
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Rate;

    /// Somebody.
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "Person")]
    struct Person {
        /// Not a keyword here.
        description: String,
        age: u8,
    }

    /// Another comment.
    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "Person")]
    struct Recommented {
        /// Said otherwise.
        description: String,
        age: u8,
    }

    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "Person")]
    struct Retyped {
        description: String,
        age: u16,
    }

    #[derive(JsonSchema, Serialize, Deserialize)]
    #[schemars(rename = "Person")]
    struct Renamed {
        title: String,
        age: u8,
    }

    fn hash<T: JsonSchema>() -> ContractHash {
        Description::new("C").call::<T, T>("call", "").hash()
    }

    #[test]
    fn the_hash_follows_what_travels() {
        assert_eq!(hash::<Person>(), hash::<Recommented>(), "a comment");
        assert_ne!(hash::<Person>(), hash::<Retyped>(), "a field's type");
        assert_ne!(hash::<Person>(), hash::<Renamed>(), "a field called like a keyword");
        let call = Description::new("C").ack::<Person>("call", "").hash();
        assert_ne!(call, Description::new("C").send::<Person>("call", "").hash(), "a kind");
        assert_eq!(call, Description::new("C").ack::<Person>("call", "documented").hash());
        assert_eq!(call, Description::new("C").ack::<Person>("call", "").require_scope("write").hash());
        let two = |a, b| Description::new("C").ack::<Person>(a, "").ack::<Person>(b, "").hash();
        assert_eq!(two("a", "b"), two("b", "a"), "the order");
        let rated = Description::new("C").ack::<Person>("call", "").rate("call", Rate::per_second(1));
        assert_eq!(call, rated.hash(), "a rate");
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = hash::<Person>();
        assert_eq!(ContractHash::parse(&hash.to_string()), Some(hash));
        for not in ["", "123", "+123456789abcdef0", "123456789abcdeg0", "123456789abcdef01"] {
            assert_eq!(ContractHash::parse(not), None, "{not:?}");
        }
    }

    fn check(name: &'static str) -> Result<(), InvalidContract> {
        Description::new("C").ack::<()>(name, "").check()
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "post", "itemsChanged", "a.b:c-d_e9"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long: &'static str = "x".repeat(129).leak();
        for bad in ["", "9a", "_a", "a b", "ä", "a/b", long] {
            assert!(matches!(check(bad), Err(InvalidContract::Name { .. })), "{bad}");
        }
        for bad in ["", "a:b", "Ä"] {
            assert_eq!(Description::new(bad).check(), Err(InvalidContract::ContractName { contract: bad }));
        }
        assert!(matches!(check("toString"), Err(InvalidContract::Reserved { .. })));
        let twice = Description::new("C").ack::<()>("a", "").push::<()>("a", "", Delivery::Reliable);
        assert!(matches!(twice.check(), Err(InvalidContract::Duplicate { name: "a", .. })));
        let never = Delivery::Sample { per_second: 0.0 };
        let sampled = Description::new("C").push::<()>("a", "", never);
        assert!(matches!(sampled.check(), Err(InvalidContract::SampleRate { .. })));
    }

    #[test]
    fn rates_are_checked() {
        let rated = |call, rate| Description::new("C").ack::<()>("a", "").rate(call, rate);
        assert_eq!(rated("a", Rate::per_second(1)).check(), Ok(()));
        let none = rated("b", Rate::per_second(1)).check();
        assert_eq!(none, Err(InvalidContract::RatedNoCall { contract: "C", name: "b" }));
        let never =
            rated("a", Rate::per_second(0)).check().expect_err("nothing would get through").to_string();
        assert!(never.starts_with("contract C: the rate of \"a\" has a zero"), "{never}");
    }
}
