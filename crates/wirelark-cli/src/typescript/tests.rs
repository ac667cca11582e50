//! What a contract of somebody else may hold, and what must become of it.

use serde_json::{Value, json};

use super::module;
use crate::api::{Api, InvalidDocument};

/// A document with one contract, whose only push has this body, and these types.
fn document(body: &Value, schemas: &Value) -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {"title": "Chats\n*/ alert(1)", "version": "1.0.0"},
        "channels": {"chat": {
            "address": "/chat",
            "description": "Ends */ here",
            "messages": {"delete": {"$ref": "#/components/messages/delete"}},
            "x-wirelark": {"contract": "Delete", "hash": "0123456789abcdef"},
        }},
        "operations": {"chat.delete": {
            "channel": {"$ref": "#/channels/chat"},
            "title": "delete",
            "description": "*/ alert(1)",
            "messages": [{"$ref": "#/channels/chat/messages/delete"}],
            "x-wirelark": {"kind": "push", "delivery": "reliable"},
        }},
        "components": {
            "messages": {"delete": {"payload": {"properties": {"body": body}}}},
            "schemas": schemas,
        },
    })
}

fn generated(body: &Value, schemas: &Value) -> Result<String, InvalidDocument> {
    module(&Api::from_document(&document(body, schemas))?)
}

#[track_caller]
fn check(body: &Value, expected: &[&str]) {
    let module = generated(body, &json!({})).expect("a module");
    for line in expected {
        assert!(module.contains(line), "no {line} in\n{module}");
    }
}

#[test]
fn names_of_the_language_are_no_names_of_constants() {
    let module = generated(&json!({"type": "null"}), &json!({})).expect("a module");
    assert!(module.contains("export const deleteContract = {\n"), "{module}");
    assert!(module.contains("    delete: { body: s.nil },\n"), "{module}");
}

#[test]
fn a_comment_ends_where_it_should() {
    let module = generated(&json!({"type": "null"}), &json!({})).expect("a module");
    assert!(module.contains(r"/** *\/ alert(1) */"), "{module}");
    assert!(module.contains(r" * Ends *\/ here"), "{module}");
    assert!(module.starts_with("// Chats */ alert(1), 1.0.0: its contracts.\n"), "{module}");
}

#[test]
fn keys_may_be_anything() {
    let body = json!({"type": "object", "required": ["a b"], "properties": {
        "__proto__": {"type": "string"}, "a b": {"type": "string"}, "class": {"type": "string"},
        "quote\"": {"type": "string"}, "\u{2028}": {"type": "string"},
    }});
    let expected = [
        r#"["__proto__"]: s.optional(s.string),"#,
        r#""a b": s.string,"#,
        "class: s.optional(s.string),",
        r#"'quote"': s.optional(s.string),"#,
        r#""\u2028": s.optional(s.string),"#,
    ];
    check(&body, &expected);
}

#[test]
fn types_of_one_name_get_others() {
    let shape = |ty: &str| json!({"type": "object", "properties": {"a": {"type": ty}}});
    let schemas = json!({"Post": shape("string"), "Post2": shape("number"), "type": shape("null")});
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let body = json!({"type": "array", "items": [of("Post2"), of("Post"), of("type")], "minItems": 3, "maxItems": 3});
    let module = generated(&body, &schemas).expect("a module");
    assert!(module.contains("export interface Post {\n  a?: string;\n}"), "{module}");
    assert!(module.contains("export interface Post2 {\n  a?: number;\n}"), "{module}");
    assert!(module.contains("export interface Type {\n  a?: null;\n}"), "{module}");
    assert!(module.contains("delete: { body: s.tuple(Post2, Post, Type) }"), "{module}");
}

#[test]
fn bounds_are_checked_and_marks_are_kept() {
    let body = json!({"type": "object", "properties": {
        "n": {"type": "integer", "format": "uint8", "minimum": 1, "maximum": 255, "deprecated": true},
        "x": {"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.5},
        "text": {"type": "string", "maxLength": 3, "pattern": "^a"},
        "any": true, "none": false, "maps": {"type": "object", "additionalProperties": {"const": "x"}},
    }});
    let expected = [
        "n: s.optional(s.bounded(s.uint8, { min: 1 })),",
        "x: s.optional(s.bounded(s.number, { max: 1.5, above: 0 })),",
        r#"text: s.optional(s.matching(s.sized(s.string, { max: 3 }), "^a")),"#,
        "any: s.optional(s.unknown),",
        "none: s.optional(s.never),",
        r#"maps: s.optional(s.record(s.literal("x"))),"#,
    ];
    check(&body, &expected);
    let titled = json!({"title": "Old", "deprecated": true, "description": "Was.", "properties": {}});
    check(&titled, &["/**\n * Was.\n *\n * @deprecated\n */\nexport type Old = object;\n"]);
}

#[test]
fn what_is_not_understood_is_an_error_with_its_place() {
    let cases = [
        (json!({"not": {}}), "/not"),
        (
            json!({"type": "object", "properties": {"a": {"type": "number", "multipleOf": 2}}}),
            "/properties/a/multipleOf",
        ),
        (json!({"type": "object", "propertyNames": {"pattern": "a"}}), "/propertyNames"),
        (json!({"const": {"a": 1}}), "/const"),
        (json!({"type": "text"}), "/type"),
        (json!({"type": "array", "items": [true]}), "/items"),
        (json!({"type": "array", "contains": true}), "/contains"),
        (json!({"type": "string", "pattern": "(?i)a"}), "/pattern"),
        (json!({"anyOf": [{"type": "string"}, {"if": true}]}), "/anyOf/1/if"),
        (
            json!({"type": "object", "properties": {"a": true}, "patternProperties": {"b": true}}),
            "/patternProperties",
        ),
        (json!(7), ""),
    ];
    for (body, place) in cases {
        let error = generated(&body, &json!({})).expect_err("an error");
        assert_eq!(error.path, format!("Delete.delete.body{place}"), "{error}");
    }
    let error = generated(&json!(true), &json!({"Bad": {"not": {}}})).expect_err("an error");
    assert_eq!(error.path, "#/components/schemas/Bad/not");
}
