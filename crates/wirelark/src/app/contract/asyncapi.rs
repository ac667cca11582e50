//! The AsyncAPI document of an app: what its contracts are, for other people's tools.
//!
//! Each contract's route is a channel. What clients may ask the server receives, with a reply; what it pushes it
//! sends. Every message is shown in its envelope, so that a client can be written from the document alone. Socket
//! routes are not in it: nothing is known of what they say.

mod named;
mod schemas;
mod security;

use schemars::{Schema, json_schema};
use serde::Serialize;
use serde_json::{Value, json};
use wirelark_proto::contract::{CallDescription, CallKind, CallRate, Delivery, Format, PushDescription};

use self::named::Named;
use self::schemas::Schemas;
use self::security::{SecurityScheme, credentials};
use crate::app::route::{ContractInfo, RouteInfo};

/// The [AsyncAPI](https://www.asyncapi.com) 3.0 document of an app, to be serialised; see
/// [`Built::asyncapi`](crate::Built::asyncapi).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AsyncApi {
    asyncapi: &'static str,
    info: About,
    default_content_type: &'static str,
    channels: Named<Channel>,
    operations: Named<Operation>,
    components: Components,
}

/// What an app is called, and which version of it this is.
#[derive(Clone, Debug, Serialize)]
pub(in crate::app) struct About {
    pub(in crate::app) title: Box<str>,
    pub(in crate::app) version: Box<str>,
}

impl Default for About {
    fn default() -> Self {
        Self { title: "Realtime API".into(), version: "0.0.0".into() }
    }
}

impl AsyncApi {
    pub(in crate::app) fn new(about: &About, routes: &[RouteInfo]) -> Self {
        let mut document = Self {
            asyncapi: "3.0.0",
            info: about.clone(),
            default_content_type: content_type(Format::Json),
            channels: Named::default(),
            operations: Named::default(),
            components: Components::default(),
        };
        for route in routes {
            if let Some(contract) = &route.contract {
                document.add(route, contract);
            }
        }
        document
    }

    fn add(&mut self, route: &RouteInfo, contract: &ContractInfo) {
        let ContractInfo { name, hash, description, .. } = contract;
        let mut messages = Messages { contract: name, channel: Named::default(), all: &mut self.components };
        let calls = description.calls.iter().map(|call| messages.of_call(call)).collect::<Vec<_>>();
        let pushes = description.pushes.iter().map(|push| messages.of_push(push)).collect::<Vec<_>>();
        let messages = messages.channel;
        let (address, parameters) = address(&route.path);
        let channel = Channel {
            address,
            title: name,
            description: description.documentation,
            messages,
            parameters,
            bindings: Bindings { ws: WebSocketBinding::new(route) },
            extension: ChannelExtension {
                contract: name,
                hash: hash.clone(),
                formats: formats(route).map(FormatExtension::from).collect(),
                scopes: route.scopes.clone(),
                roles: route.roles.clone(),
            },
        };
        let channel = self.channels.put(&channel_name(&route.path), channel);
        let security: Vec<Ref> = credentials(route)
            .iter()
            .map(|source| {
                let (name, scheme) = SecurityScheme::of(source);
                let scheme = self.components.security_schemes.put(&name, scheme);
                Ref::new(format!("#/components/securitySchemes/{scheme}"))
            })
            .collect();
        for Exchange { action, title, description, message, replies, extension } in
            calls.into_iter().chain(pushes)
        {
            let here = Ref::new(format!("#/channels/{channel}"));
            let message_here =
                |message: &String| Ref::new(format!("#/channels/{channel}/messages/{message}"));
            let reply = (!replies.is_empty()).then(|| Reply {
                channel: here.clone(),
                messages: replies.iter().map(message_here).collect(),
            });
            let operation = Operation {
                action,
                channel: here,
                title,
                description,
                messages: [message_here(&message)],
                reply,
                security: security.clone(),
                extension,
            };
            self.operations.put(&format!("{channel}.{title}"), operation);
        }
    }
}

/// What travels for a call or a push: messages by the names they have in their channel.
struct Exchange {
    action: Action,
    title: &'static str,
    description: &'static str,
    message: String,
    replies: Vec<String>,
    extension: OperationExtension,
}

/// The messages of one channel, on their way into the document.
struct Messages<'d> {
    contract: &'static str,
    channel: Named<Ref>,
    all: &'d mut Components,
}

impl Messages<'_> {
    fn of_call(&mut self, call: &CallDescription) -> Exchange {
        let &CallDescription { name, kind, documentation, rate, .. } = call;
        let request = Envelope::new("clientRequest")
            .with("id", json_schema!({ "type": "string" }))
            .with("rpc", constant(name))
            .with("body", self.body(&call.input));
        let message = self.add(name, documentation, Some(BY_ID), request);
        let response = Envelope::new("serverResponse")
            .with("id", json_schema!({ "type": "string" }))
            .with("rpc", constant(name));
        let response = match (kind, &call.output) {
            (CallKind::Send, _) => None,
            (CallKind::Reply, Some(output)) => Some(response.with("body", self.body(output))),
            (CallKind::Reply | CallKind::Ack, _) => Some(response),
        };
        let reply = response.map(|response| self.add(&format!("{name}.reply"), "", Some(BY_ID), response));
        let replies = reply.into_iter().chain([self.error()]).collect();
        Exchange {
            action: Action::Receive,
            title: name,
            description: documentation,
            message,
            replies,
            extension: OperationExtension { kind: call.into(), rate },
        }
    }

    fn of_push(&mut self, push: &PushDescription) -> Exchange {
        let &PushDescription { name, documentation, delivery, .. } = push;
        let event =
            Envelope::new("serverEvent").with("event", constant(name)).with("body", self.body(&push.body));
        Exchange {
            action: Action::Send,
            title: name,
            description: documentation,
            message: self.add(name, documentation, None, event),
            replies: Vec::new(),
            extension: OperationExtension { kind: OperationKind::Push { delivery }, rate: None },
        }
    }

    /// What a failing call is answered with; one for all of them.
    fn error(&mut self) -> String {
        let text = || json_schema!({ "type": "string" });
        let payload = Envelope::new("serverError")
            .with("id", text())
            .with("error", text())
            .with_optional("rpc", text())
            .with_optional("code", text())
            .with_optional("data", json_schema!({}));
        let message = Message {
            name: "ServerError".into(),
            description: "The call has failed: `error` is for people, `code` and `data` are for programs.",
            correlation_id: Some(BY_ID),
            payload,
        };
        let shared = self.all.messages.put("ServerError", message);
        self.channel.put("ServerError", Ref::to_message(&shared))
    }

    fn add(
        &mut self,
        name: &str,
        description: &'static str,
        correlation_id: Option<CorrelationId>,
        payload: Envelope,
    ) -> String {
        let message = Message { name: name.to_owned(), description, correlation_id, payload };
        let shared = self.all.messages.put(&format!("{}.{name}", self.contract), message);
        self.channel.put(name, Ref::to_message(&shared))
    }

    fn body(&mut self, schema: &Schema) -> Schema {
        let mut schema = self.all.schemas.take_in(schema);
        // What `#[contract]` makes of arguments is a type without a name for people.
        if schema.get("title").and_then(Value::as_str).is_some_and(|title| title.starts_with("__")) {
            schema.remove("title");
        }
        schema
    }
}

/// A path as AsyncAPI writes it, and its parameters.
fn address(pattern: &str) -> (String, Named<Parameter>) {
    let mut parameters = Named::default();
    let segments = pattern.split('/').map(|segment| {
        let parameter = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(parameter) = parameter else { return segment.to_owned() };
        let (name, description) = match parameter.strip_prefix('*') {
            Some(rest) => (rest, Some("The rest of the path, with its slashes.")),
            None => (parameter, None),
        };
        format!("{{{}}}", parameters.put(name, Parameter { description }))
    });
    (segments.collect::<Vec<_>>().join("/"), parameters)
}

/// `/chat/{room}` as a name: `chat.room`.
fn channel_name(pattern: &str) -> String {
    let segments = pattern.split('/').map(|segment| segment.trim_matches(['{', '}', '*']));
    let segments: Vec<_> = segments.filter(|segment| !segment.is_empty()).collect();
    if segments.is_empty() { "root".to_owned() } else { segments.join(".") }
}

/// The formats a client can ask for by subprotocol.
fn formats(route: &RouteInfo) -> impl Iterator<Item = Format> {
    route.protocols.iter().filter_map(|protocol| Format::from_subprotocol(protocol))
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::MsgPack => "application/vnd.msgpack",
    }
}

fn constant(value: impl Into<Value>) -> Schema {
    json_schema!({ "const": value.into() })
}

/// Answers carry the id of their request.
const BY_ID: CorrelationId = CorrelationId { location: "$message.payload#/id" };

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Ref {
    #[serde(rename = "$ref")]
    pointer: String,
}

impl Ref {
    fn new(pointer: String) -> Self {
        Self { pointer }
    }

    fn to_message(name: &str) -> Self {
        Self::new(format!("#/components/messages/{name}"))
    }
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Channel {
    address: String,
    title: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    messages: Named<Ref>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    parameters: Named<Parameter>,
    bindings: Bindings,
    #[serde(rename = "x-wirelark")]
    extension: ChannelExtension,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Parameter {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Bindings {
    ws: WebSocketBinding,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WebSocketBinding {
    method: &'static str,
    headers: Value,
    binding_version: &'static str,
}

impl WebSocketBinding {
    fn new(route: &RouteInfo) -> Self {
        let offers: Vec<_> = formats(route).map(Format::subprotocol).collect();
        let headers = json!({
            "type": "object",
            "properties": {
                "Sec-WebSocket-Protocol": {
                    "type": "string",
                    "description": "How frames are to be written; without it, as the route has it.",
                    "examples": offers,
                },
            },
        });
        Self { method: "GET", headers, binding_version: "0.1.0" }
    }
}

/// What AsyncAPI has no words for, of a channel.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct ChannelExtension {
    contract: &'static str,
    hash: Box<str>,
    formats: Vec<FormatExtension>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Box<str>>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FormatExtension {
    subprotocol: &'static str,
    content_type: &'static str,
}

impl From<Format> for FormatExtension {
    fn from(format: Format) -> Self {
        Self { subprotocol: format.subprotocol(), content_type: content_type(format) }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Operation {
    action: Action,
    channel: Ref,
    title: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    messages: [Ref; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Reply>,
    /// Any one of them will do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security: Vec<Ref>,
    #[serde(rename = "x-wirelark")]
    extension: OperationExtension,
}

/// What the server does with the message.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Send,
    Receive,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Reply {
    channel: Ref,
    messages: Vec<Ref>,
}

/// What AsyncAPI has no words for, of an operation.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct OperationExtension {
    #[serde(flatten)]
    kind: OperationKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<CallRate>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum OperationKind {
    Reply(Required),
    Ack(Required),
    Send(Required),
    Push { delivery: Delivery },
}

/// What callers must have, beside what the channel requires.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Required {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'static str>,
}

impl From<&CallDescription> for OperationKind {
    fn from(call: &CallDescription) -> Self {
        let required = Required { scopes: call.scopes.clone(), roles: call.roles.clone() };
        match call.kind {
            CallKind::Reply => Self::Reply(required),
            CallKind::Ack => Self::Ack(required),
            CallKind::Send => Self::Send(required),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Components {
    #[serde(skip_serializing_if = "Schemas::is_empty")]
    schemas: Schemas,
    messages: Named<Message>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    security_schemes: Named<SecurityScheme>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<CorrelationId>,
    payload: Envelope,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
struct CorrelationId {
    location: &'static str,
}

/// The schema of a frame.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Envelope {
    r#type: &'static str,
    properties: Named<Schema>,
    required: Vec<&'static str>,
}

impl Envelope {
    /// A frame of one kind of the wire's first version.
    fn new(kind: &'static str) -> Self {
        let empty = Self { r#type: "object", properties: Named::default(), required: Vec::new() };
        empty.with("socka", constant(kind)).with("v", constant(1))
    }

    fn with(mut self, key: &'static str, schema: Schema) -> Self {
        self.required.push(key);
        self.with_optional(key, schema)
    }

    fn with_optional(mut self, key: &'static str, schema: Schema) -> Self {
        self.properties.put(key, schema);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use crate::app::App;
    use crate::app::contract::{Calls, Contract, ContractBuilder, Description, Problem, serve};
    use crate::hub::OpenRooms;

    use super::*;

    struct Chat;

    impl Contract for Chat {
        fn describe() -> &'static Description {
            static CHAT: OnceLock<Description> = OnceLock::new();
            CHAT.get_or_init(|| {
                let sampled = Delivery::Sample { per_second: 2.0 };
                let chat = Description::new("Chat").documentation("About *chatting*.");
                chat.send::<()>("typing:now", "").push::<String>("level", "How loud.", sampled)
            })
        }
    }

    fn chat() -> ContractBuilder<Chat, (), ()> {
        let calls = Calls::new().send("typing:now", |_, _, ()| async { Ok::<_, Problem>(()) });
        serve((), calls)
    }

    fn written(app: App) -> Value {
        let built = app.build().expect("the app can be built");
        serde_json::to_value(built.asyncapi()).expect("JSON")
    }

    #[test]
    fn a_channel_says_where_it_is_and_who_may_use_it() {
        let app = App::new()
            .about("Chats", "1.2.3")
            .room_policy(OpenRooms)
            .contract("/chat/{room}/{*rest}", chat().require_scope("talk"));
        let document = written(app);
        assert_eq!(document["info"], json!({"title": "Chats", "version": "1.2.3"}));
        let channel = &document["channels"]["chat.room.rest"];
        assert_eq!(channel["address"], "/chat/{room}/{rest}");
        assert_eq!(channel["description"], "About *chatting*.");
        assert_eq!(channel["parameters"]["room"], json!({}));
        let subprotocols = &channel["bindings"]["ws"]["headers"]["properties"]["Sec-WebSocket-Protocol"];
        assert_eq!(subprotocols["examples"], json!(["wirelark.v1.json", "wirelark.v1.msgpack"]));
        assert_eq!(channel["x-wirelark"]["formats"][1]["contentType"], "application/vnd.msgpack");
        assert_eq!(channel["x-wirelark"]["scopes"], json!(["talk"]));

        // What a name may be in a contract, and not here.
        let typing = &document["operations"]["chat.room.rest.typing_now"];
        assert_eq!(
            (&typing["title"], &typing["x-wirelark"]),
            (&json!("typing:now"), &json!({"kind": "send"}))
        );
        assert_eq!(typing["security"], json!([{"$ref": "#/components/securitySchemes/bearer"}]));
        let level = &document["operations"]["chat.room.rest.level"]["x-wirelark"];
        assert_eq!(level, &json!({"kind": "push", "delivery": {"sample": {"per_second": 2.0}}}));
    }

    /// Any of the places will do, and routes share what they have in common.
    #[cfg(feature = "jwt")]
    #[test]
    fn credentials_are_where_the_authenticator_looks() {
        use crate::app::auth::{Jwt, TokenSource};

        let places = [TokenSource::Cookie("token".into()), TokenSource::Subprotocol("bearer.".into())];
        let jwt = Jwt::hs256(b"secret").sources(places);
        let document =
            written(App::new().contract("/a", chat().auth(jwt.clone())).contract("/b", chat().auth(jwt)));
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes.as_object().map(serde_json::Map::len), Some(2));
        let cookie = &schemes["cookie.token"];
        assert_eq!([&cookie["type"], &cookie["in"], &cookie["name"]], ["httpApiKey", "cookie", "token"]);
        assert_eq!(schemes["subprotocol"]["name"], "Sec-WebSocket-Protocol");
        let of = |name: &str| json!({"$ref": format!("#/components/securitySchemes/{name}")});
        assert_eq!(
            document["operations"]["b.level"]["security"],
            json!([of("cookie.token"), of("subprotocol")])
        );
    }

    #[cfg(feature = "jwt")]
    #[test]
    fn a_credential_that_is_not_needed_is_not_asked_for() {
        use crate::app::auth::{Jwt, optional};

        let optional = || chat().auth(optional(Jwt::hs256(b"secret")));
        let app = App::new().contract("/a", optional()).contract("/b", optional().require_scope("edit"));
        let document = written(app);
        assert!(document["operations"]["a.level"].get("security").is_none());
        assert_eq!(
            document["operations"]["b.level"]["security"],
            json!([{"$ref": "#/components/securitySchemes/bearer"}])
        );
    }

    #[test]
    fn a_contract_of_two_routes_has_its_messages_once() {
        let document = written(App::new().contract("/", chat()).contract("/chat", chat()));
        let sorted = |value: &Value| -> Vec<String> {
            let mut names: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(sorted(&document["channels"]), ["chat", "root"]);
        assert_eq!(
            sorted(&document["operations"]),
            ["chat.level", "chat.typing_now", "root.level", "root.typing_now"]
        );
        assert_eq!(
            sorted(&document["components"]["messages"]),
            ["Chat.level", "Chat.typing_now", "ServerError"]
        );
        assert!(document["operations"]["root.level"].get("security").is_none());
    }

    #[test]
    fn an_app_without_contracts_has_a_document_too() {
        let document = written(App::new());
        assert_eq!((&document["asyncapi"], &document["channels"]), (&json!("3.0.0"), &json!({})));
    }
}
