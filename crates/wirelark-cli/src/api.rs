//! What an app's AsyncAPI document says, as plain data.
//!
//! Only what Wirelark writes is read: channels and operations with an `x-wirelark`. Everything is sorted by name, so that
//! what is made of it does not depend on the order in which a server writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};
pub use wirelark_proto::contract::{CallKind, CallRate, ContractHash, Delivery};

/// The prefix of a reference to one of [`Api::schemas`].
pub const SCHEMA_REF: &str = "#/components/schemas/";

/// The contracts of an app, sorted by name, and the types they share.
#[derive(Clone, PartialEq, Debug)]
pub struct Api {
    /// What the app is called.
    pub title: String,
    /// Which version of it this is.
    pub version: String,
    /// Each has a name of its own.
    pub contracts: Vec<Contract>,
    /// The types that schemas refer to, as `{"$ref": "#/components/schemas/NAME"}`: JSON Schemas of draft 7, as
    /// AsyncAPI has them, checked to refer only to each other.
    pub schemas: BTreeMap<String, Value>,
}

/// One contract.
#[derive(Clone, PartialEq, Debug)]
pub struct Contract {
    /// What it is called.
    pub name: String,
    /// Which version it is.
    pub hash: ContractHash,
    /// Where it is served, sorted.
    pub paths: Vec<String>,
    /// Markdown.
    pub documentation: String,
    /// What clients may ask, sorted by name.
    pub calls: Vec<Call>,
    /// What the server may tell, sorted by name.
    pub pushes: Vec<Push>,
}

/// One call.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// Its name on the wire.
    pub name: String,
    /// What comes back.
    pub kind: CallKind,
    /// Markdown.
    pub documentation: String,
    /// The schema of what a client sends.
    pub input: Value,
    /// The schema of what comes back, for [`CallKind::Reply`] and nothing else.
    pub output: Option<Value>,
    /// Scopes that callers must have.
    pub scopes: BTreeSet<String>,
    /// Roles that callers must have.
    pub roles: BTreeSet<String>,
    /// How often it may be made, if that is limited.
    pub rate: Option<CallRate>,
}

/// One push.
#[derive(Clone, PartialEq, Debug)]
pub struct Push {
    /// Its name on the wire.
    pub name: String,
    /// Markdown.
    pub documentation: String,
    /// The schema of what it carries.
    pub body: Value,
    /// What happens to it while its receiver is behind.
    pub delivery: Delivery,
}

/// A document that is none of Wirelark's, or a damaged one: what is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct InvalidDocument {
    /// Where, as a JSON pointer in the form of a fragment: `#/channels/chat/title`.
    pub path: String,
    /// What to have there instead.
    pub problem: String,
}

impl InvalidDocument {
    pub(crate) fn new(path: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { path: path.to_string(), problem: problem.into() }
    }
}

impl Api {
    /// Reads a document.
    ///
    /// ```
    /// use serde_json::json;
    /// use wirelark_cli::api::Api;
    ///
    /// let error = Api::from_document(&json!({"openapi": "3.1.0"})).unwrap_err();
    /// assert!(error.to_string().starts_with("#/asyncapi: "), "{error}");
    /// ```
    pub fn from_document(document: &Value) -> Result<Self, InvalidDocument> {
        let root = &At::root(document);
        root.object()?;
        check_version(root)?;
        let info = root.get("info")?;
        let mut api = Self {
            title: info.get("title")?.text()?.to_owned(),
            version: info.get("version")?.text()?.to_owned(),
            contracts: Vec::new(),
            schemas: schemas(root)?,
        };
        let mut contracts = BTreeMap::<String, Contract>::new();
        for channel in root.get("channels")?.entries()? {
            if channel.find("x-wirelark").is_some() {
                let contract = contract(root, &channel, &api.schemas)?;
                let name = contract.name.clone();
                match contracts.get_mut(&name) {
                    None => drop(contracts.insert(name, contract)),
                    Some(there) => there.also_at(contract, &channel)?,
                }
            }
        }
        api.contracts = contracts.into_values().collect();
        if api.contracts.is_empty() {
            let problem =
                "there is no contract here: only channels with an `x-wirelark` are, as Wirelark writes them";
            return Err(InvalidDocument::new("#/channels", problem));
        }
        Ok(api)
    }

    /// The name and the schema that a schema refers to, if it is nothing but a reference.
    pub fn referred<'a>(&'a self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix(SCHEMA_REF)?;
        Some((name, self.schemas.get(name)?))
    }
}

impl Contract {
    /// A contract may have several routes.
    fn also_at(&mut self, other: Self, channel: &At<'_>) -> Result<(), InvalidDocument> {
        let Self { name, hash, paths, documentation, calls, pushes } = other;
        let there = (&self.hash, &self.calls, &self.pushes);
        if there != (&hash, &calls, &pushes) || self.documentation != documentation {
            let problem = format!("another contract is called {name} too; rename one of them");
            return Err(InvalidDocument::new(channel, problem));
        }
        self.paths.extend(paths);
        self.paths.sort();
        Ok(())
    }
}

fn check_version(root: &At<'_>) -> Result<(), InvalidDocument> {
    let version = root.find("asyncapi").and_then(|version| version.value.as_str());
    if version.is_some_and(|version| version.starts_with("3.")) {
        return Ok(());
    }
    let problem = match version {
        Some(version) => format!("AsyncAPI {version} is not read, 3.0 is"),
        None => {
            "this is no AsyncAPI document; the one of an app is what `App::asyncapi(path)` serves".to_owned()
        }
    };
    Err(InvalidDocument::new("#/asyncapi", problem))
}

fn schemas(root: &At<'_>) -> Result<BTreeMap<String, Value>, InvalidDocument> {
    let Some(schemas) = root.find("components").and_then(|components| components.find("schemas")) else {
        return Ok(BTreeMap::new());
    };
    let read: BTreeMap<String, Value> =
        schemas.object()?.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect();
    for schema in schemas.entries()? {
        check_refs(&schema, &read)?;
    }
    Ok(read)
}

#[derive(Deserialize)]
struct ChannelExtension {
    contract: String,
    hash: String,
}

#[derive(Deserialize)]
struct OperationExtension {
    #[serde(flatten)]
    kind: OperationKind,
    rate: Option<CallRate>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum OperationKind {
    Reply(Required),
    Ack(Required),
    Send(Required),
    Push { delivery: Delivery },
}

#[derive(Deserialize)]
struct Required {
    #[serde(default)]
    scopes: BTreeSet<String>,
    #[serde(default)]
    roles: BTreeSet<String>,
}

type Types = BTreeMap<String, Value>;

fn contract(root: &At<'_>, channel: &At<'_>, types: &Types) -> Result<Contract, InvalidDocument> {
    let extension = channel.get("x-wirelark")?;
    let ChannelExtension { contract, hash } = extension.deserialize()?;
    let hash = ContractHash::parse(&hash)
        .ok_or_else(|| InvalidDocument::new(&extension, "the hash has sixteen hexadecimal digits"))?;
    let mut calls = BTreeMap::new();
    let mut pushes = BTreeMap::new();
    for operation in root.get("operations")?.entries()? {
        let of = operation.get("channel")?.get("$ref")?;
        if of.text()? != channel.path || operation.find("x-wirelark").is_none() {
            continue;
        }
        let name = operation.get("title")?.text()?.to_owned();
        let documentation = operation.text_or_empty("description")?;
        let OperationExtension { kind, rate } = operation.get("x-wirelark")?.deserialize()?;
        let (kind, Required { scopes, roles }) = match kind {
            OperationKind::Reply(required) => (CallKind::Reply, required),
            OperationKind::Ack(required) => (CallKind::Ack, required),
            OperationKind::Send(required) => (CallKind::Send, required),
            OperationKind::Push { delivery } => {
                let body = body(root, &operation.get("messages")?, types)?;
                pushes.insert(name.clone(), Push { name, documentation, body, delivery });
                continue;
            }
        };
        let input = body(root, &operation.get("messages")?, types)?;
        let output = match kind {
            CallKind::Reply => Some(body(root, &operation.get("reply")?.get("messages")?, types)?),
            CallKind::Ack | CallKind::Send => None,
        };
        let call = Call { name: name.clone(), kind, documentation, input, output, scopes, roles, rate };
        calls.insert(name, call);
    }
    Ok(Contract {
        name: contract,
        hash,
        paths: vec![channel.get("address")?.text()?.to_owned()],
        documentation: channel.text_or_empty("description")?,
        calls: calls.into_values().collect(),
        pushes: pushes.into_values().collect(),
    })
}

/// The schema of the body in the first of these messages.
fn body(root: &At<'_>, messages: &At<'_>, types: &Types) -> Result<Value, InvalidDocument> {
    let message = messages.get("0")?.follow(root)?.follow(root)?;
    let body = message.get("payload")?.get("properties")?.get("body")?;
    check_refs(&body, types)?;
    Ok(body.value.clone())
}

/// Keywords whose values are schemas by names that are the user's.
const NAMED: [&str; 4] = ["properties", "patternProperties", "definitions", "$defs"];
/// Keywords whose values are data, which may look like anything.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// Every reference in a schema is to a type that is there.
fn check_refs(schema: &At<'_>, types: &Types) -> Result<(), InvalidDocument> {
    if let Some(reference) = schema.find("$ref") {
        let name = reference.text()?.strip_prefix(SCHEMA_REF);
        if !name.is_some_and(|name| types.contains_key(name)) {
            let problem = format!("{} is not in this document's components", reference.value);
            return Err(InvalidDocument::new(reference, problem));
        }
    }
    match schema.value {
        Value::Object(keywords) => {
            for keyword in keywords.keys().filter(|keyword| !DATA.contains(&keyword.as_str())) {
                let value = schema.get(keyword)?;
                if NAMED.contains(&keyword.as_str()) {
                    value.entries()?.iter().try_for_each(|named| check_refs(named, types))?;
                } else {
                    check_refs(&value, types)?;
                }
            }
            Ok(())
        }
        Value::Array(_) => schema.entries()?.iter().try_for_each(|item| check_refs(item, types)),
        _ => Ok(()),
    }
}

/// A value, and where it is in the document.
#[derive(Clone, Debug)]
struct At<'d> {
    path: String,
    value: &'d Value,
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl<'d> At<'d> {
    fn root(value: &'d Value) -> Self {
        Self { path: "#".to_owned(), value }
    }

    /// A member of an object, or an item of an array.
    fn find(&self, key: &str) -> Option<Self> {
        let value = match self.value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
            other => other.get(key)?,
        };
        Some(Self { path: format!("{}/{}", self.path, key.replace('~', "~0").replace('/', "~1")), value })
    }

    fn get(&self, key: &str) -> Result<Self, InvalidDocument> {
        self.find(key).ok_or_else(|| InvalidDocument::new(self, format!("there is no {key:?} here")))
    }

    fn entries(&self) -> Result<Vec<Self>, InvalidDocument> {
        let keys: Vec<String> = match self.value {
            Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
            _ => self.object()?.keys().cloned().collect(),
        };
        Ok(keys.iter().filter_map(|key| self.find(key)).collect())
    }

    fn object(&self) -> Result<&'d Map<String, Value>, InvalidDocument> {
        self.value.as_object().ok_or_else(|| InvalidDocument::new(self, "this must be an object"))
    }

    fn text(&self) -> Result<&'d str, InvalidDocument> {
        self.value.as_str().ok_or_else(|| InvalidDocument::new(self, "this must be text"))
    }

    fn text_or_empty(&self, key: &str) -> Result<String, InvalidDocument> {
        self.find(key).map_or(Ok(String::new()), |text| text.text().map(str::to_owned))
    }

    fn deserialize<T: Deserialize<'d>>(&self) -> Result<T, InvalidDocument> {
        T::deserialize(self.value).map_err(|error| InvalidDocument::new(self, error.to_string()))
    }

    /// What a reference stands for.
    fn follow(&self, root: &Self) -> Result<Self, InvalidDocument> {
        let reference = self.get("$ref")?;
        let pointer = reference.text()?.strip_prefix("#/");
        let found = pointer.and_then(|pointer| {
            let mut keys = pointer.split('/').map(|key| key.replace("~1", "/").replace("~0", "~"));
            keys.try_fold(root.clone(), |at, key| at.find(&key))
        });
        found.ok_or_else(|| {
            InvalidDocument::new(&reference, format!("{} is not in this document", reference.value))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A contract with a call of each kind and a push.
    fn document() -> Value {
        let reference = |to: &str| json!({"$ref": to});
        let operation = |title: &str, reply: bool, extension: Value| {
            let mut operation = json!({
                "action": "receive",
                "channel": reference("#/channels/chat.room"),
                "title": title,
                "messages": [reference(&format!("#/channels/chat.room/messages/{title}"))],
                "x-wirelark": extension,
            });
            if reply {
                operation["reply"] =
                    json!({"messages": [reference("#/channels/chat.room/messages/post.reply")]});
            }
            operation
        };
        let message = |body: Value| json!({"payload": {"properties": {"body": body}}});
        let names = ["post", "post.reply", "rename", "typing", "posted"];
        let messages: Map<String, Value> = names
            .iter()
            .map(|&name| (name.to_owned(), reference(&format!("#/components/messages/Chat.{name}"))))
            .collect();
        json!({
            "asyncapi": "3.0.0",
            "info": {"title": "Chats", "version": "1.2.3"},
            "channels": {
                "chat.room": {
                    "address": "/chat/{room}",
                    "description": "About *chatting*.",
                    "messages": messages,
                    "x-wirelark": {"contract": "Chat", "hash": "0123456789abcdef"},
                },
                "foreign": {"address": "/foreign", "messages": {}},
            },
            "operations": {
                "a": operation("typing", false, json!({"kind": "send"})),
                "b": operation("posted", false, json!({"kind": "push", "delivery": {"sample": {"per_second": 2.0}}})),
                "c": operation("rename", false, json!({"kind": "ack", "rate": {"count": 5, "per": "second", "burst": 5, "by": "user"}})),
                "d": operation("post", true, json!({"kind": "reply"})),
            },
            "components": {
                "schemas": {"Text": {"type": "string"}},
                "messages": {
                    "Chat.post": message(json!({"properties": {"text": reference("#/components/schemas/Text")}})),
                    "Chat.post.reply": message(reference("#/components/schemas/Text")),
                    "Chat.rename": message(json!({"const": reference("is data")})),
                    "Chat.typing": message(json!(true)),
                    "Chat.posted": message(json!({"type": "integer"})),
                },
            },
        })
    }

    #[test]
    fn a_document_is_read() {
        let api = Api::from_document(&document()).expect("a document");
        assert_eq!((&*api.title, &*api.version), ("Chats", "1.2.3"));
        let [chat] = &api.contracts[..] else { panic!("{api:?}") };
        assert_eq!((&*chat.name, &*chat.hash.to_string()), ("Chat", "0123456789abcdef"));
        assert_eq!(
            (&chat.paths[..], &*chat.documentation),
            (&["/chat/{room}".to_owned()][..], "About *chatting*.")
        );
        let calls: Vec<_> =
            chat.calls.iter().map(|call| (&*call.name, call.kind, call.output.is_some())).collect();
        let expected = [
            ("post", CallKind::Reply, true),
            ("rename", CallKind::Ack, false),
            ("typing", CallKind::Send, false),
        ];
        assert_eq!(calls, expected);
        let rates: Vec<_> = chat.calls.iter().map(|call| call.rate.map(|rate| rate.to_string())).collect();
        assert_eq!(rates, [None, Some("5 a second for each user".to_owned()), None]);
        assert_eq!(chat.pushes[0].delivery, Delivery::Sample { per_second: 2.0 });
        assert_eq!(chat.pushes[0].body, json!({"type": "integer"}));
        let output = chat.calls[0].output.as_ref().expect("an output");
        assert_eq!(api.referred(output), Some(("Text", &json!({"type": "string"}))));
    }

    #[test]
    fn a_contract_of_two_routes_is_one() {
        let mut two = document();
        two["channels"]["all"] = two["channels"]["chat.room"].clone();
        two["channels"]["all"]["address"] = json!("/all");
        for name in ["a", "b", "c", "d"] {
            let mut operation = two["operations"][name].clone();
            operation["channel"]["$ref"] = json!("#/channels/all");
            two["operations"][format!("all.{name}")] = operation;
        }
        let api = Api::from_document(&two).expect("a document");
        assert_eq!(api.contracts.len(), 1);
        assert_eq!(api.contracts[0].paths, ["/all", "/chat/{room}"]);

        two["channels"]["all"]["x-wirelark"]["hash"] = json!("0000000000000000");
        check(&two, "#/channels/chat.room", "another contract is called Chat");
    }

    #[track_caller]
    fn check(document: &Value, path: &str, problem: &str) {
        let error = Api::from_document(document).expect_err("an error");
        assert_eq!(error.path, path, "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        check(&json!([]), "#", "must be an object");
        check(&json!({"openapi": "3.1.0"}), "#/asyncapi", "no AsyncAPI document");
        check(&json!({"asyncapi": "2.6.0"}), "#/asyncapi", "AsyncAPI 2.6.0 is not read");
        let cases = [
            ("/info/title", json!(7), "#/info/title", "must be text"),
            ("/channels", json!({}), "#/channels", "no contract"),
            ("/channels/chat.room/x-wirelark/hash", json!("x"), "#/channels/chat.room/x-wirelark", "sixteen"),
            ("/operations/a/title", Value::Null, "#/operations/a/title", "must be text"),
            ("/operations/a/x-wirelark/kind", json!("ask"), "#/operations/a/x-wirelark", "ask"),
            ("/operations/a/messages", json!([]), "#/operations/a/messages", "no \"0\""),
            (
                "/operations/a/messages/0/$ref",
                json!("#/channels/none"),
                "#/operations/a/messages/0/$ref",
                "not in this document",
            ),
            ("/operations/d/reply", json!({}), "#/operations/d/reply", "no \"messages\""),
            (
                "/components/messages/Chat.posted/payload",
                json!({}),
                "#/components/messages/Chat.posted/payload",
                "no \"properties\"",
            ),
            (
                "/components/schemas/Text/$ref",
                json!("#/components/schemas/None"),
                "#/components/schemas/Text/$ref",
                "not in this document's components",
            ),
            (
                "/components/messages/Chat.posted/payload/properties/body/items",
                json!([{"$ref": "https://example.com/"}]),
                "#/components/messages/Chat.posted/payload/properties/body/items/0/$ref",
                "not in this document's components",
            ),
        ];
        for (place, value, path, problem) in cases {
            let mut damaged = document();
            let (parent, key) = place.rsplit_once('/').expect("a pointer");
            damaged.pointer_mut(parent).expect("a place")[key] = value;
            check(&damaged, path, problem);
        }
    }
}
