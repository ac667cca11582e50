//! The generated documents: everything a contract has is in them, and everything they refer to is there.

use std::collections::BTreeSet;

use serde_json::Value;
use wirelark::axum::body::{Body, to_bytes};
use wirelark::axum::http::{Request, header};
use wirelark::testing::Host;

async fn json(host: &Host, path: &str) -> Value {
    let response = host.request(Request::get(path).body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("all of it");
    serde_json::from_slice(&body).expect("JSON")
}

/// Every `$ref` below `value`.
fn refs<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| refs(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| refs(value, found)),
        _ => {}
    }
}

/// What a reference, or a reference to a reference, stands for.
fn resolve<'v>(document: &'v Value, reference: &Value) -> &'v Value {
    let pointer =
        reference["$ref"].as_str().and_then(|pointer| pointer.strip_prefix('#')).expect("a reference");
    let found = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
    if found.get("$ref").is_some() { resolve(document, found) } else { found }
}

#[tokio::test]
async fn the_asyncapi_document_is_whole() {
    let host = Host::new(conformance::app());
    let document = json(&host, "/asyncapi.json").await;
    assert_eq!(document["asyncapi"], "3.0.0");

    let mut found = Vec::new();
    refs(&document, &mut found);
    for pointer in &found {
        let here = pointer.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        assert!(here.is_some(), "{pointer} is not there");
    }
    assert!(found.len() > 30, "{} references", found.len());

    let mut contracts = 0;
    for route in host.app().routes() {
        let Some(contract) = &route.contract else { continue };
        contracts += 1;
        let (id, channel) = document["channels"]
            .as_object()
            .and_then(|channels| channels.iter().find(|(_, channel)| channel["address"] == *route.path))
            .unwrap_or_else(|| panic!("{} has no channel", route.path));
        assert_eq!(channel["x-wirelark"]["contract"], contract.name);
        assert_eq!(channel["x-wirelark"]["hash"], *contract.hash);
        for call in &contract.calls {
            check_call(&document, &document["operations"][format!("{id}.{}", call.name)], call.name);
        }
        for push in &contract.pushes {
            check_push(&document, &document["operations"][format!("{id}.{}", push.name)], push.name);
        }
    }
    assert!(contracts > 0);
    host.close().await;
}

fn check_call(document: &Value, operation: &Value, name: &str) {
    assert_eq!(operation["action"], "receive", "{name}");
    let request = &resolve(document, &operation["messages"][0])["payload"];
    assert_eq!(request["properties"]["socka"]["const"], "clientRequest");
    assert_eq!(request["properties"]["rpc"]["const"], name);
    assert_eq!(request["required"], serde_json::json!(["socka", "v", "id", "rpc", "body"]));

    let replies = operation["reply"]["messages"].as_array().expect("a reply");
    let replies = replies.iter().map(|reply| &resolve(document, reply)["payload"]["properties"]);
    let kinds: Vec<_> =
        replies.clone().map(|reply| reply["socka"]["const"].as_str().expect("a kind")).collect();
    match operation["x-wirelark"]["kind"].as_str() {
        Some("send") => assert_eq!(kinds, ["serverError"], "{name}"),
        Some(kind @ ("reply" | "ack")) => {
            assert_eq!(kinds, ["serverResponse", "serverError"], "{name}");
            let response = replies.clone().next().expect("the first");
            assert_eq!(response["rpc"]["const"], name);
            assert_eq!(response.get("body").is_some(), kind == "reply", "{name}");
        }
        other => panic!("{name} is of kind {other:?}"),
    }
}

fn check_push(document: &Value, operation: &Value, name: &str) {
    assert_eq!(operation["action"], "send", "{name}");
    assert!(operation.get("reply").is_none(), "{name}");
    assert_eq!(operation["x-wirelark"]["kind"], "push");
    assert_eq!(operation["x-wirelark"]["delivery"], "reliable");
    let event = &resolve(document, &operation["messages"][0])["payload"];
    assert_eq!(event["properties"]["socka"]["const"], "serverEvent");
    assert_eq!(event["properties"]["event"]["const"], name);
    assert_eq!(event["required"], serde_json::json!(["socka", "v", "event", "body"]));
}

#[tokio::test]
async fn the_list_of_routes_names_calls_and_pushes() {
    let host = Host::new(conformance::app());
    let routes = json(&host, "/routes.json").await;
    let routes = routes.as_array().expect("a list");
    let rpc = routes.iter().find(|route| route["path"] == "/rpc").expect("the contract's route");
    let names = |of: &str| -> BTreeSet<String> {
        let listed = rpc["contract"][of].as_array().expect("a list");
        listed.iter().map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
    };
    let calls = ["add", "crash", "echo", "emit", "fail", "list", "nudge", "slow"];
    assert_eq!(names("calls"), calls.map(str::to_owned).into());
    assert_eq!(names("pushes"), ["itemsChanged", "tick"].map(str::to_owned).into());
    let kind_of = |name: &str| {
        let calls = rpc["contract"]["calls"].as_array().expect("a list");
        calls.iter().find(|call| call["name"] == name).expect("the call")["kind"].clone()
    };
    assert_eq!([kind_of("echo"), kind_of("emit"), kind_of("nudge")], ["reply", "ack", "send"]);
    host.close().await;
}
