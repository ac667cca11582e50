//! Changes of what travels: in an input, where an old client sends, and in an answer and a push, where it reads.

#[path = "pairs.rs"]
mod pairs;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use wirelark::client::Client;
use wirelark::contract::{BigInt, Calls, Delivery, Description, Problem, Push};
use wirelark::schemars::{self, JsonSchema};

use super::{Case, Script, Served, Version};

/// Types with everything that a value that travels needs.
macro_rules! data {
    ($($item:item)*) => {
        $(
            #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
            #[allow(dead_code, reason = "of most of them only one side is of interest")]
            $item
        )*
    };
}

data! {
    struct A { a: u8 }
    struct Renamed { a: u8 }
    struct B { b: u8 }
    struct AB { a: u8, b: u8 }
    struct ABOption { a: u8, b: Option<u8> }
    struct ABLeftOut { a: u8, #[serde(default, skip_serializing_if = "Option::is_none")] b: Option<u8> }
    struct ABDefault { a: u8, #[serde(default)] b: u8 }
    #[serde(deny_unknown_fields)]
    struct ADenies { a: u8 }
    #[serde(deny_unknown_fields)]
    struct ABDenies { a: u8, b: u8 }
    struct Meters(u8);
    struct AText { a: String }
    struct AMap { a: u8, #[serde(flatten)] rest: BTreeMap<String, u8> }
    struct AAnything { a: u8, #[serde(flatten)] rest: BTreeMap<String, Value> }
    struct BFlat { a: u8, #[serde(flatten)] b: B }
    struct BNested { a: u8, b: B }
    struct Tree { n: u8, children: Vec<Self> }
    struct BigTree { n: u32, children: Vec<Self> }
    struct Chain { n: u8, next: Option<Box<Self>> }
    struct OpenTree { n: u8, #[serde(default)] children: Vec<Self> }

    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Two { Red, Green }
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Three { Red, Green, Blue }
    enum TwoRenamed { Red, Verdant }
    #[serde(rename_all = "lowercase")]
    enum TwoLowercase { Red, Green }

    enum Shape { Circle { r: u8 }, Point }
    enum BigShape { Circle { r: u32 }, Point }
    enum MoreShape { Circle { r: u8 }, Point, Square(u8) }
    enum FullerShape { Circle { r: u8, x: u8 }, Point }
    enum TupleShape { Circle(u8), Point }
    #[serde(tag = "kind")]
    enum Tagged { Circle { r: u8 }, Point }
    #[serde(tag = "kind")]
    enum BigTagged { Circle { r: u32 }, Point }
    #[serde(tag = "kind")]
    enum MoreTagged { Circle { r: u8 }, Point, Square { a: u8 } }
    #[serde(tag = "kind")]
    enum NewtypeTagged { Circle(Radius), Point }
    #[serde(tag = "type")]
    enum OtherTag { Circle { r: u8 }, Point }
    #[serde(tag = "kind", content = "value")]
    enum Adjacent { Circle { r: u8 }, Point }
    struct Radius { r: u8 }
    #[serde(untagged)]
    enum Loose { Number(u8), List(Vec<u8>) }
    #[serde(untagged)]
    enum LooserText { Number(u8), List(Vec<u8>), Text(String) }
    #[serde(untagged)]
    enum LooseReordered { List(Vec<u8>), Number(u8) }

    struct AtMostFive(#[serde(deserialize_with = "text::<0, 5, _>")] #[schemars(length(max = 5))] String);
    struct AtMostNine(#[serde(deserialize_with = "text::<0, 9, _>")] #[schemars(length(max = 9))] String);
    struct AtLeastTwo(#[serde(deserialize_with = "text::<2, 99, _>")] #[schemars(length(min = 2))] String);
    struct Percent(#[serde(deserialize_with = "up_to::<100, _>")] #[schemars(range(min = 0, max = 100))] i32);
    struct PerMille(#[serde(deserialize_with = "up_to::<1000, _>")] #[schemars(range(min = 0, max = 1000))] i32);
}

/// Reads text of so many characters.
fn text<'de, const MIN: usize, const MAX: usize, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let fits = (MIN..=MAX).contains(&text.chars().count());
    if fits { Ok(text) } else { Err(D::Error::custom("too short or too long")) }
}

/// Reads a number that is neither negative nor larger.
fn up_to<'de, const MAX: i32, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    let number = i32::deserialize(from)?;
    if (0..=MAX).contains(&number) { Ok(number) } else { Err(D::Error::custom("too small or too large")) }
}

type Map<K, V> = BTreeMap<K, V>;

pub(super) fn cases() -> Vec<Case> {
    inputs().into_iter().chain(outputs()).collect()
}

fn inputs() -> Vec<Case> {
    let ok = false;
    let breaks = true;
    let a = || vec![json!({"a": 1})];
    let ab = || vec![json!({"a": 1, "b": 2})];
    let colors = || vec![json!("Red"), json!("Green")];
    let shapes = || vec![json!({"Circle": {"r": 255}}), json!("Point")];
    let tagged = || vec![json!({"kind": "Circle", "r": 255}), json!({"kind": "Point"})];
    let three = || vec![json!("Red"), json!("Green"), json!("Blue")];
    let bytes = || vec![json!(0), json!(255)];
    let words = || vec![json!(3_000_000_000_u32), json!(0), json!(256)];
    let texts = || vec![json!(""), json!("123456789")];
    vec![
        input::<A, AB>("a required field is added", breaks, a()),
        input::<A, ABOption>("an optional field is added", ok, a()),
        input::<A, ABDefault>("a field with a default is added", ok, a()),
        input::<AB, A>("a field is removed", ok, ab()),
        input::<ABDenies, ADenies>("a field is removed where unknown ones are denied", breaks, ab()),
        input::<AB, ADenies>("a field is removed and unknown ones are denied", breaks, ab()),
        input::<A, ADenies>("unknown fields are denied", ok, a()),
        input::<ADenies, A>("unknown fields are not denied any more", ok, a()),
        input::<A, B>("a field is renamed", breaks, a()),
        input::<A, Renamed>("a type is renamed", ok, a()),
        input::<A, AText>("a field's type is another one", breaks, a()),
        input::<ABOption, AB>(
            "an optional field is required",
            breaks,
            vec![json!({"a": 1}), json!({"a": 1, "b": null})],
        ),
        input::<AB, ABOption>("a required field is optional", ok, ab()),
        input::<ABDefault, AB>("a field loses its default", breaks, vec![json!({"a": 1})]),
        input::<AB, ABDefault>("a field gets a default", ok, ab()),
        input::<u8, Option<u8>>("null is allowed", ok, bytes()),
        input::<Option<u8>, u8>("null is not allowed any more", breaks, vec![json!(1), json!(null)]),
        input::<NonZeroU8, u8>("a number may be zero", ok, vec![json!(1)]),
        input::<u8, NonZeroU8>("a number may not be zero any more", breaks, vec![json!(0)]),
        input::<bool, String>("a boolean becomes text", breaks, vec![json!(true)]),
        input::<bool, Option<bool>>("a boolean may be null", ok, vec![json!(true), json!(false)]),
        input::<u8, u32>("an integer is widened", ok, bytes()),
        input::<u32, u8>("an integer is narrowed", breaks, words()),
        input::<u32, i32>("an integer loses its upper half", breaks, words()),
        input::<u32, i64>("an integer may be negative", ok, words()),
        input::<i64, u64>("an integer may not be negative any more", breaks, vec![json!(-1), json!(1)]),
        input::<u32, f64>("an integer becomes a float", ok, words()),
        input::<f64, i64>("a float becomes an integer", breaks, vec![json!(1), json!(0.5)]),
        input::<f32, f64>("a float gets more digits", ok, vec![json!(0.1), json!(3e38)]),
        input::<f64, f32>("a float loses range", breaks, vec![json!(0.1), json!(1e300)]),
        input::<u8, String>("a number becomes text", breaks, bytes()),
        input::<u64, BigInt<u64>>("an integer becomes a big one", breaks, bytes()),
        input::<BigInt<u64>, String>("a big integer becomes text", ok, vec![json!("18446744073709551615")]),
        input::<String, BigInt<u64>>("text becomes a big integer", breaks, texts()),
        input::<BigInt<i64>, BigInt<i128>>(
            "a big integer is widened",
            ok,
            vec![json!("-9223372036854775808")],
        ),
        input::<BigInt<u64>, BigInt<i64>>(
            "a big integer is narrowed",
            breaks,
            vec![json!("18446744073709551615")],
        ),
        input::<char, String>("a character becomes text", ok, vec![json!("é"), json!("🦀")]),
        input::<String, char>("text becomes a character", breaks, texts()),
        input::<String, AtMostFive>("text gets a limit", breaks, texts()),
        input::<AtMostFive, String>("text loses its limit", ok, vec![json!("12345")]),
        input::<AtMostFive, AtMostNine>("text gets a higher limit", ok, vec![json!("12345")]),
        input::<AtMostNine, AtMostFive>("text gets a lower limit", breaks, texts()),
        input::<String, AtLeastTwo>("text must have something in it", breaks, texts()),
        input::<Percent, PerMille>("a range is widened", ok, vec![json!(0), json!(100)]),
        input::<PerMille, Percent>("a range is narrowed", breaks, vec![json!(1), json!(1000)]),
        input::<i32, Percent>("a number gets a range", breaks, vec![json!(-1)]),
        input::<Two, Three>("a variant is added", ok, colors()),
        input::<Three, Two>("a variant is removed", breaks, three()),
        input::<Two, TwoRenamed>("a variant is renamed", breaks, colors()),
        input::<Two, TwoLowercase>("all variants are renamed", breaks, colors()),
        input::<Two, String>("an enum becomes text", ok, colors()),
        input::<String, Two>("text becomes an enum", breaks, texts()),
        input::<Shape, MoreShape>("a variant with content is added", ok, shapes()),
        input::<MoreShape, Shape>(
            "a variant with content is removed",
            breaks,
            vec![json!({"Square": 1}), json!("Point")],
        ),
        input::<Shape, BigShape>("a variant's field is widened", ok, shapes()),
        input::<BigShape, Shape>(
            "a variant's field is narrowed",
            breaks,
            vec![json!({"Circle": {"r": 256}})],
        ),
        input::<Shape, FullerShape>("a variant gets a required field", breaks, shapes()),
        input::<Shape, TupleShape>("a variant's struct becomes a value", breaks, shapes()),
        input::<Shape, Tagged>("external tags become internal", breaks, shapes()),
        input::<Tagged, Shape>("internal tags become external", breaks, tagged()),
        input::<Tagged, Adjacent>("internal tags become adjacent", breaks, tagged()),
        input::<Tagged, OtherTag>("a tag is renamed", breaks, tagged()),
        input::<Tagged, MoreTagged>("a tagged variant is added", ok, tagged()),
        input::<MoreTagged, Tagged>(
            "a tagged variant is removed",
            breaks,
            vec![json!({"kind": "Square", "a": 1})],
        ),
        input::<BigTagged, Tagged>(
            "a tagged variant's field is narrowed",
            breaks,
            vec![json!({"kind": "Circle", "r": 256})],
        ),
        input::<Tagged, NewtypeTagged>("a tagged variant's fields get a type", ok, tagged()),
        input::<Loose, LooserText>("an untagged variant is added", ok, vec![json!(1), json!([1])]),
        input::<LooserText, Loose>(
            "an untagged variant is removed",
            breaks,
            vec![json!(1), json!([1]), json!("1")],
        ),
        input::<Loose, LooseReordered>("untagged variants are reordered", ok, vec![json!(1), json!([1])]),
        input::<u8, Loose>("a value becomes one of several", ok, bytes()),
        input::<Vec<u8>, [u8; 2]>("a list becomes an array", breaks, vec![json!([1, 2]), json!([])]),
        input::<[u8; 2], Vec<u8>>("an array becomes a list", ok, vec![json!([1, 2])]),
        input::<[u8; 2], [u8; 3]>("an array is longer", breaks, vec![json!([1, 2])]),
        input::<[u8; 2], (u8, u8)>("an array becomes a tuple", ok, vec![json!([1, 2])]),
        input::<(u8, u8), (u8, String)>("a tuple's element is another one", breaks, vec![json!([1, 2])]),
        input::<(u8, u8), (u8, u8, u8)>("a tuple is longer", breaks, vec![json!([1, 2])]),
        input::<Vec<u8>, Vec<u32>>("elements are widened", ok, vec![json!([]), json!([255])]),
        input::<Vec<u32>, Vec<u8>>("elements are narrowed", breaks, vec![json!([1, 256])]),
        input::<Vec<u8>, BTreeSet<u8>>("a list becomes a set", ok, vec![json!([1, 1])]),
        input::<Map<String, u8>, Map<String, u32>>("a map's values are widened", ok, vec![json!({"x": 255})]),
        input::<Map<String, u32>, Map<String, u8>>(
            "a map's values are narrowed",
            breaks,
            vec![json!({"x": 256})],
        ),
        input::<Map<Two, u8>, Map<Three, u8>>("a map may have another key", ok, vec![json!({"Red": 1})]),
        input::<Map<Three, u8>, Map<Two, u8>>(
            "a map may not have a key any more",
            breaks,
            vec![json!({"Blue": 1})],
        ),
        input::<Map<Two, u8>, Map<String, u8>>("a map's enum becomes text", ok, vec![json!({"Red": 1})]),
        input::<Map<u8, u8>, Map<String, u8>>("a map's integers become text", ok, vec![json!({"1": 1})]),
        input::<Map<String, u8>, Map<u8, u8>>("a map's keys become integers", breaks, vec![json!({"x": 1})]),
        input::<Map<u32, u8>, Map<i64, u8>>("a map's keys may be negative", ok, vec![json!({"1": 1})]),
        input::<Map<i64, u8>, Map<u64, u8>>(
            "a map's keys may not be negative",
            breaks,
            vec![json!({"-1": 1})],
        ),
        input::<A, Map<String, u8>>("a struct becomes a map", ok, a()),
        input::<Map<String, u8>, A>("a map becomes a struct", breaks, vec![json!({})]),
        input::<u8, Meters>("a value becomes a newtype", ok, bytes()),
        input::<Meters, A>("a newtype becomes a struct", breaks, bytes()),
        input::<AB, BFlat>("a field is moved into a flattened struct", ok, ab()),
        input::<BFlat, BNested>("a flattened struct is nested", breaks, ab()),
        input::<A, AAnything>("other fields are collected", ok, a()),
        input::<AMap, A>("other fields are not collected any more", ok, ab()),
        input::<AAnything, AMap>("other fields must be numbers", breaks, vec![json!({"a": 1, "b": "text"})]),
        input::<u8, Value>("anything is allowed", ok, bytes()),
        input::<Value, u8>("not anything is allowed any more", breaks, vec![json!("text")]),
        input::<Tree, BigTree>(
            "a type within itself is widened",
            ok,
            vec![json!({"n": 1, "children": [{"n": 2, "children": []}]})],
        ),
        input::<BigTree, Tree>(
            "a type within itself is narrowed",
            breaks,
            vec![json!({"n": 1, "children": [{"n": 256, "children": []}]})],
        ),
        input::<Tree, Chain>("a tree becomes a chain", ok, vec![json!({"n": 1, "children": []})]),
        input::<OpenTree, Tree>("a tree's children are required", breaks, vec![json!({"n": 1})]),
    ]
}

fn outputs() -> Vec<Case> {
    let ok = false;
    let breaks = true;
    let tree = || BigTree { n: 1, children: vec![BigTree { n: 256, children: vec![] }] };
    let small_tree = || Tree { n: 1, children: vec![Tree { n: 2, children: vec![] }] };
    let map = || Map::from([("x".to_owned(), 1_u8)]);
    vec![
        output::<A, AB>("a field is added", ok, &[AB { a: 1, b: 2 }]),
        output::<ADenies, AB>("a field is added that old clients deny", breaks, &[AB { a: 1, b: 2 }]),
        output::<ADenies, A>("unknown fields are not denied any more", ok, &[A { a: 1 }]),
        output::<AB, A>("a field is removed", breaks, &[A { a: 1 }]),
        output::<ABOption, A>("a field that may be null is removed", breaks, &[A { a: 1 }]).but_not_in_rust(),
        output::<ABDefault, A>("a field with a default is removed", breaks, &[A { a: 1 }]).but_not_in_rust(),
        output::<ABLeftOut, A>("an optional field is removed", ok, &[A { a: 1 }]),
        output::<A, B>("a field is renamed", breaks, &[B { b: 1 }]),
        output::<A, Renamed>("a type is renamed", ok, &[Renamed { a: 1 }]),
        output::<A, AText>("a field's type is another one", breaks, &[AText { a: "1".into() }]),
        output::<AB, ABLeftOut>("a field may be left out", breaks, &[ABLeftOut { a: 1, b: None }]),
        output::<AB, ABOption>("a field may be null", breaks, &[ABOption { a: 1, b: None }]),
        output::<ABOption, AB>("a field is not null any more", ok, &[AB { a: 1, b: 1 }]),
        output::<ABLeftOut, AB>("a field is always there", ok, &[AB { a: 1, b: 1 }]),
        output::<Option<u8>, u8>("there is always something", ok, &[1]),
        output::<u8, Option<u8>>("there may be nothing", breaks, &[Some(1), None]),
        output::<u8, u32>("an integer is widened", breaks, &[1, 256]),
        output::<u32, u8>("an integer is narrowed", ok, &[0, 255]),
        output::<i64, u64>("an integer is not negative any more", ok, &[0, 9_007_199_254_740_991]),
        output::<u64, i64>("an integer may be negative", breaks, &[-1]),
        output::<i64, f64>("an integer becomes a float", breaks, &[1.0, 0.5]),
        output::<f64, i64>("a float becomes an integer", ok, &[i64::MIN / 4096, 1]),
        output::<f32, f64>("a float gets more range", breaks, &[0.1, 1e300]).but_not_in_typescript(),
        output::<f64, f32>("a float loses digits", ok, &[0.1, f32::MAX]),
        output::<String, char>("text becomes a character", ok, &['é']),
        output::<char, String>("a character becomes text", breaks, &[String::new(), "ab".into()]),
        output::<AtMostFive, String>("text loses its limit", breaks, &["123456".into()]),
        output::<AtMostNine, AtMostFive>("text gets a lower limit", ok, &[AtMostFive("12345".into())]),
        output::<PerMille, Percent>("a range is narrowed", ok, &[Percent(0), Percent(100)]),
        output::<Percent, PerMille>("a range is widened", breaks, &[PerMille(1000)]),
        output::<Two, Three>("a variant is added", breaks, &[Three::Red, Three::Blue]),
        output::<Three, Two>("a variant is removed", ok, &[Two::Red, Two::Green]),
        output::<String, Two>("text becomes an enum", ok, &[Two::Red]),
        output::<Two, String>("an enum becomes text", breaks, &["Blue".into()]),
        output::<Shape, MoreShape>("a variant with content is added", breaks, &[MoreShape::Square(1)]),
        output::<MoreShape, Shape>(
            "a variant with content is removed",
            ok,
            &[Shape::Circle { r: 1 }, Shape::Point],
        ),
        output::<Shape, FullerShape>("a variant gets a field", ok, &[FullerShape::Circle { r: 1, x: 2 }]),
        output::<Shape, BigShape>("a variant's field is widened", breaks, &[BigShape::Circle { r: 256 }]),
        output::<Shape, Tagged>("external tags become internal", breaks, &[Tagged::Point]),
        output::<Tagged, OtherTag>("a tag is renamed", breaks, &[OtherTag::Point]),
        output::<Tagged, MoreTagged>("a tagged variant is added", breaks, &[MoreTagged::Square { a: 1 }]),
        output::<MoreTagged, Tagged>(
            "a tagged variant is removed",
            ok,
            &[Tagged::Point, Tagged::Circle { r: 1 }],
        ),
        output::<Tagged, Adjacent>("internal tags become adjacent", breaks, &[Adjacent::Circle { r: 1 }]),
        output::<Loose, LooserText>("an untagged variant is added", breaks, &[LooserText::Text("1".into())]),
        output::<LooserText, Loose>(
            "an untagged variant is removed",
            ok,
            &[Loose::Number(1), Loose::List(vec![])],
        ),
        output::<Vec<u8>, [u8; 2]>("a list becomes an array", ok, &[[1, 2]]),
        output::<[u8; 2], Vec<u8>>("an array becomes a list", breaks, &[vec![]]),
        output::<(u8, u8), (u8,)>("a tuple is shorter", breaks, &[(1,)]),
        output::<Vec<u8>, Vec<u32>>("elements are widened", breaks, &[vec![256]]),
        output::<Vec<u32>, Vec<u8>>("elements are narrowed", ok, &[vec![255]]),
        output::<Map<Two, u8>, Map<Three, u8>>(
            "a map may have another key",
            breaks,
            &[Map::from([(Three::Blue, 1)])],
        ),
        output::<Map<Three, u8>, Map<Two, u8>>("a map has a key less", ok, &[Map::from([(Two::Red, 1)])]),
        output::<u8, NonZeroU8>("a number is not zero any more", ok, &[NonZeroU8::MAX]),
        output::<NonZeroU8, u8>("a number may be zero", breaks, &[0]),
        output::<Map<String, u8>, Map<u8, u8>>("a map's keys become integers", ok, &[Map::from([(1, 1)])]),
        output::<Map<u8, u8>, Map<String, u8>>("a map's integers become text", breaks, &[map()]),
        output::<Map<String, u8>, Map<String, u32>>(
            "a map's values are widened",
            breaks,
            &[Map::from([("x".to_owned(), 256)])],
        ),
        output::<Map<String, u8>, AB>("a map becomes a struct", ok, &[AB { a: 1, b: 2 }]),
        output::<A, Map<String, u8>>("a struct becomes a map", breaks, &[map()]),
        output::<Meters, u8>("a newtype becomes a value", ok, &[7]),
        output::<Meters, A>("a newtype becomes a struct", breaks, &[A { a: 1 }]),
        output::<BFlat, AB>("a flattened struct's field is moved out", ok, &[AB { a: 1, b: 2 }]),
        output::<BFlat, BNested>("a flattened struct is nested", breaks, &[BNested { a: 1, b: B { b: 1 } }]),
        output::<A, AMap>("other fields are added", ok, &[AMap { a: 1, rest: map() }]),
        output::<Value, u8>("anything becomes a number", ok, &[7]),
        output::<u8, Value>("a number becomes anything", breaks, &[json!("text")]),
        output::<BigTree, Tree>("a type within itself is narrowed", ok, &[small_tree()]),
        output::<Tree, BigTree>("a type within itself is widened", breaks, &[tree()]),
    ]
}

/// What a call takes, and a push carries: bodies of requests are objects.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Body<T> {
    value: T,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nth {
    n: usize,
}

/// A call takes a `New` where it took an `Old`. An old client sends these values, which are all `Old`.
fn input<Old, New>(name: &str, breaks: bool, sent: Vec<Value>) -> Case
where
    Old: DeserializeOwned + JsonSchema + Send + 'static,
    New: DeserializeOwned + JsonSchema + Send + 'static,
{
    Case {
        name: format!("input: {name}"),
        breaks,
        old: takes::<Old>(),
        new: takes::<New>(),
        breaks_rust: breaks,
        breaks_typescript: breaks,
        script: Script::Send(sent.clone()),
        r#use: Box::new(move |client| Box::pin(send_all(client, sent.clone()))),
    }
}

fn takes<T: DeserializeOwned + JsonSchema + Send + 'static>() -> Version {
    let description = Description::new("Changing").ack::<Body<T>>("put", "");
    Version::new(description, || Calls::new().ack("put", |_, _, _: Body<T>| async { Ok::<_, Problem>(()) }))
}

async fn send_all(client: &Client, values: Vec<Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    for value in values {
        if let Err(error) = client.call::<_, ()>("put", &json!({ "value": value })).await {
            wrong.push(format!("{value}: {error}"));
        }
    }
    wrong
}

/// A call answers with a `New`, and a push carries one, where it was an `Old`. The new server sends these values; what
/// the old one sends is of no interest, as long as an old client can read it.
fn output<Old, New>(name: &str, breaks: bool, sent: &[New]) -> Case
where
    Old: DeserializeOwned + JsonSchema + Send + 'static,
    New: Serialize + JsonSchema,
{
    let sent: Vec<_> = sent.iter().map(|value| serde_json::to_value(value).expect("JSON")).collect();
    Case {
        name: format!("output: {name}"),
        breaks,
        old: gives::<Old>(Vec::new()),
        new: gives::<New>(sent),
        breaks_rust: breaks,
        breaks_typescript: breaks,
        script: Script::Read,
        r#use: Box::new(|client| Box::pin(read_all::<Old>(client))),
    }
}

fn gives<T: JsonSchema>(values: Vec<Value>) -> Version {
    let description = Description::new("Changing")
        .call::<Body<()>, usize>("count", "")
        .call::<Nth, T>("get", "")
        .ack::<Nth>("tell", "")
        .push::<Body<T>>("told", "", Delivery::Reliable);
    Version::new(description, move || {
        let (count, get, tell) = (values.len(), values.clone(), values.clone());
        Calls::<Served, (), ()>::new()
            .call("count", move |_, _, _: Value| async move { Ok::<_, Problem>(count) })
            .call("get", move |_, _, Nth { n }| {
                let value = get[n].clone();
                async move { Ok::<_, Problem>(value) }
            })
            .ack("tell", move |_, session, Nth { n }| {
                let value = tell[n].clone();
                async move {
                    session.push(Push::new("told", Body { value })).await;
                    Ok::<_, Problem>(())
                }
            })
    })
}

async fn read_all<Old: DeserializeOwned + Send + 'static>(client: &Client) -> Vec<String> {
    let mut wrong = Vec::new();
    let count: usize = client.call("count", &json!({})).await.expect("a count");
    for n in 0..count {
        if let Err(error) = client.call::<_, Old>("get", &Nth { n }).await {
            wrong.push(format!("value {n}: {error}"));
        }
        let told = client.wait_for("told", Duration::from_secs(5), |_: &Body<Old>| true);
        client.call::<_, ()>("tell", &Nth { n }).await.expect("it was told");
        if let Err(error) = told.await {
            wrong.push(format!("push {n}: {error}"));
        }
    }
    wrong
}
