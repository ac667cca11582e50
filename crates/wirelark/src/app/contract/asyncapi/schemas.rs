//! The types of all contracts in one place, where every message can refer to them.
//!
//! Each body's schema comes with the types it uses. Here those that are the same become one, and those that only
//! have the same name get different ones: the first keeps it, the next is called `Name2`.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use schemars::Schema;
use schemars::transform::{
    RemoveRefSiblings, ReplacePrefixItems, ReplaceUnevaluatedProperties, Transform, transform_subschemas,
};
use serde::Serialize;
use serde_json::Value;

use super::named::{Named, component_name};

/// Where a reference to a type of its own schema begins.
const LOCAL: &str = "#/$defs/";
/// Where a reference to a type of the document begins.
const SHARED: &str = "#/components/schemas/";

/// The types of a document.
#[derive(Clone, Debug, Default)]
pub(super) struct Schemas {
    meanings: Named<Meaning>,
    schemas: Named<Schema>,
}

/// What a type's name stands for: its schema, and those of all the types it refers to, by the names they have
/// there. Two types that are equal in this are the same.
#[derive(Clone, PartialEq, Debug)]
struct Meaning {
    schema: Schema,
    others: BTreeMap<String, Schema>,
}

impl Schemas {
    pub(super) fn is_empty(&self) -> bool {
        self.schemas.is_empty()
    }

    /// Takes the types a schema comes with, and returns the rest of it, which refers to them here.
    pub(super) fn take_in(&mut self, schema: &Schema) -> Schema {
        let Local { root, types } = Local::new(schema);
        let names: BTreeMap<&str, String> = types
            .iter()
            .map(|(name, ty)| {
                let reachable = ty.reachable(&types);
                let others = reachable.into_iter().filter(|other| other != name);
                let others = others.map(|other| (other.to_owned(), types[other].schema.clone())).collect();
                let meaning = Meaning { schema: ty.schema.clone(), others };
                (name.as_str(), self.meanings.put(name, meaning))
            })
            .collect();
        for (name, ty) in &types {
            // The same name for the same type: what is there already is equal to what is put.
            self.schemas.put(&names[name.as_str()], with_shared_refs(&ty.schema, &names));
        }
        with_shared_refs(&root, &names)
    }
}

impl Serialize for Schemas {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.schemas.serialize(serializer)
    }
}

/// A schema taken apart.
struct Local {
    root: Schema,
    types: BTreeMap<String, Type>,
}

/// One of the types a schema comes with.
struct Type {
    schema: Schema,
    /// The names it refers to.
    refs: BTreeSet<String>,
}

impl Local {
    fn new(schema: &Schema) -> Self {
        let mut root = schema.clone();
        // AsyncAPI's own schemas are those of draft 7.
        ReplaceUnevaluatedProperties::default().transform(&mut root);
        RemoveRefSiblings::default().transform(&mut root);
        ReplacePrefixItems::default().transform(&mut root);
        root.remove("$schema");
        let definitions = match root.remove("$defs") {
            Some(Value::Object(definitions)) => definitions,
            _ => serde_json::Map::new(),
        };
        let definitions = definitions.into_iter();
        let mut types: BTreeMap<String, Schema> =
            definitions.filter_map(|(name, schema)| Some((name, schema.try_into().ok()?))).collect();
        let mut refers_to_root = false;
        for_each_ref(&mut root, &mut |reference| refers_to_root |= reference == "#");
        for schema in types.values_mut() {
            for_each_ref(schema, &mut |reference| refers_to_root |= reference == "#");
        }
        if refers_to_root {
            root = Self::name_root(root, &mut types);
        }
        let types = types.into_iter().map(|(name, schema)| (name, Type::new(schema))).collect();
        Self { root, types }
    }

    /// Makes the root one of the types, so that what refers to it has something to refer to.
    fn name_root(mut root: Schema, types: &mut BTreeMap<String, Schema>) -> Schema {
        let title = root.remove("title");
        let mut name = component_name(title.as_ref().and_then(Value::as_str).unwrap_or("Body"));
        while types.contains_key(&name) {
            name.push('_');
        }
        let local = format!("{LOCAL}{name}");
        types.insert(name, root);
        for schema in types.values_mut() {
            for_each_ref(schema, &mut |reference| {
                if reference == "#" {
                    reference.clone_from(&local);
                }
            });
        }
        Schema::new_ref(local)
    }
}

impl Type {
    fn new(mut schema: Schema) -> Self {
        let mut refs = BTreeSet::new();
        for_each_ref(&mut schema, &mut |reference| refs.extend(local_name(reference).map(|(name, _)| name)));
        Self { schema, refs }
    }

    /// The names it refers to, and those these refer to, and so on.
    fn reachable<'t>(&'t self, types: &'t BTreeMap<String, Self>) -> BTreeSet<&'t str> {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&str> = self.refs.iter().map(String::as_str).collect();
        while let Some(name) = waiting.pop() {
            if let (Some(ty), true) = (types.get(name), reached.insert(name)) {
                waiting.extend(ty.refs.iter().map(String::as_str));
            }
        }
        reached
    }
}

fn with_shared_refs(schema: &Schema, names: &BTreeMap<&str, String>) -> Schema {
    let mut schema = schema.clone();
    for_each_ref(&mut schema, &mut |reference| {
        if let Some((name, rest)) = local_name(reference)
            && let Some(shared) = names.get(name.as_str())
        {
            *reference = format!("{SHARED}{shared}{rest}");
        }
    });
    schema
}

/// The type a reference is about, and where in it.
fn local_name(reference: &str) -> Option<(String, &str)> {
    let pointer = reference.strip_prefix(LOCAL)?;
    let (name, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
    let name = percent_decode_str(name).decode_utf8().ok()?;
    Some((name.replace("~1", "/").replace("~0", "~"), rest))
}

/// Calls `of` with every reference of a schema. Values that only look like one, in a `const` or a `default`, are
/// none.
fn for_each_ref(schema: &mut Schema, of: &mut dyn FnMut(&mut String)) {
    if let Some(Value::String(reference)) = schema.get_mut("$ref") {
        of(reference);
    }
    transform_subschemas(&mut |schema: &mut Schema| for_each_ref(schema, of), schema);
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Post {
        author: Author,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Author {
        name: String,
    }

    /// Types of the same names as those outside.
    mod other {
        use schemars::JsonSchema;

        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is of interest")]
        pub(super) struct Post {
            author: Author,
        }

        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is of interest")]
        pub(super) struct Author {
            id: u32,
        }
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Tree {
        children: Vec<Self>,
    }

    fn written(schemas: &Schemas) -> Value {
        serde_json::to_value(schemas).expect("JSON")
    }

    #[test]
    fn the_same_type_is_there_once() {
        let mut schemas = Schemas::default();
        let list = schemas.take_in(&schema_for!(Vec<Post>));
        assert_eq!(list.get("items"), Some(&json!({"$ref": "#/components/schemas/Post"})));
        assert!(list.get("$defs").is_none() && list.get("$schema").is_none());
        let optional = schemas.take_in(&schema_for!(Option<Post>));
        assert_eq!(
            optional.get("anyOf"),
            Some(&json!([{"$ref": "#/components/schemas/Post"}, {"type": "null"}]))
        );
        let written = written(&schemas);
        assert_eq!(written.as_object().map(serde_json::Map::len), Some(2), "{written}");
        assert_eq!(written["Post"]["properties"]["author"], json!({"$ref": "#/components/schemas/Author"}));
    }

    /// `Post` is written the same in both: what tells them apart is what they refer to.
    #[test]
    fn types_that_only_have_the_same_name_get_others() {
        let mut schemas = Schemas::default();
        schemas.take_in(&schema_for!(Vec<Post>));
        let other = schemas.take_in(&schema_for!(Vec<other::Post>));
        assert_eq!(other.get("items"), Some(&json!({"$ref": "#/components/schemas/Post2"})));
        let written = written(&schemas);
        assert_eq!(written["Post2"]["properties"]["author"], json!({"$ref": "#/components/schemas/Author2"}));
        assert!(written["Author"]["properties"].get("name").is_some(), "{written}");
        assert!(written["Author2"]["properties"].get("id").is_some(), "{written}");
        let again = schemas.take_in(&schema_for!(Vec<other::Post>));
        assert_eq!(other, again);
    }

    #[test]
    fn a_type_that_contains_itself_has_a_name() {
        let mut schemas = Schemas::default();
        let tree = schemas.take_in(&schema_for!(Tree));
        assert_eq!(tree.as_value(), &json!({"$ref": "#/components/schemas/Tree"}));
        let items = &written(&schemas)["Tree"]["properties"]["children"]["items"];
        assert_eq!(items, &json!({"$ref": "#/components/schemas/Tree"}));
    }

    #[test]
    fn what_only_looks_like_a_reference_stays() {
        let constant = json!({"const": {"$ref": "#/$defs/Post"}});
        let mut schemas = Schemas::default();
        let schema = Schema::try_from(constant.clone()).expect("a schema");
        assert_eq!(schemas.take_in(&schema).as_value(), &constant);
        let foreign = Schema::new_ref("https://example.com/schema".to_owned());
        assert_eq!(schemas.take_in(&foreign), foreign);
    }

    #[test]
    fn tuples_are_written_as_in_draft_7() {
        let pair = Schemas::default().take_in(&schema_for!((String, bool)));
        assert_eq!(pair.get("items"), Some(&json!([{"type": "string"}, {"type": "boolean"}])));
    }

    #[test]
    fn a_name_is_read_as_it_was_escaped() {
        assert_eq!(local_name("#/$defs/a~1b%20~0c"), Some(("a/b ~c".to_owned(), "")));
        assert_eq!(local_name("#/$defs/a/properties/b"), Some(("a".to_owned(), "/properties/b")));
        assert_eq!(local_name("#/components/schemas/a"), None);
    }
}
