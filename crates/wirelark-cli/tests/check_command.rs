//! `wirelark check` as people run it: what it writes, and the status it ends with.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use wirelark::contract::Session;
use wirelark::{App, OpenRooms, contract};

/// The version that clients out there were made from.
mod old {
    use super::*;

    /// A chat.
    #[contract]
    pub(super) trait Chat {
        async fn post(&self, text: String, color: Option<Color>) -> Posted;
        async fn leave(&self);
        #[push]
        fn posted(#[body] posted: Posted);
    }

    #[derive(serde::Serialize, serde::Deserialize, wirelark::schemars::JsonSchema)]
    #[schemars(crate = "wirelark::schemars")]
    pub(super) enum Color {
        Red,
        Green,
    }

    #[derive(serde::Serialize, serde::Deserialize, wirelark::schemars::JsonSchema)]
    #[schemars(crate = "wirelark::schemars")]
    pub(super) struct Posted {
        id: u32,
        text: String,
    }

    pub(super) struct Server;

    impl ChatServer for Server {
        type Data = ();

        async fn post(&self, _: Session<Chat, ()>, text: String, _: Option<Color>) -> Posted {
            Posted { id: 1, text }
        }

        async fn leave(&self, _: Session<Chat, ()>) {}
    }
}

/// The next one.
mod new {
    use super::*;

    /// A chat for everybody.
    #[contract]
    pub(super) trait Chat {
        async fn post(&self, text: String, color: Option<Color>, reply_to: Option<u32>) -> Posted;
        #[push]
        fn posted(#[body] posted: Posted);
        #[push]
        fn gone(id: u32);
    }

    #[derive(serde::Serialize, serde::Deserialize, wirelark::schemars::JsonSchema)]
    #[schemars(crate = "wirelark::schemars")]
    pub(super) enum Color {
        Red,
    }

    #[derive(serde::Serialize, serde::Deserialize, wirelark::schemars::JsonSchema)]
    #[schemars(crate = "wirelark::schemars")]
    pub(super) struct Posted {
        id: u64,
        text: String,
        at: u64,
    }

    pub(super) struct Server;

    impl ChatServer for Server {
        type Data = ();

        async fn post(&self, _: Session<Chat, ()>, text: String, _: Option<Color>, _: Option<u32>) -> Posted {
            Posted { id: 1, text, at: 0 }
        }
    }
}

fn document(app: App) -> Value {
    serde_json::to_value(app.build().expect("an app").asyncapi()).expect("JSON")
}

fn old() -> Value {
    document(App::new().contract("/chat/{room}", old::Chat::serve(old::Server).room_policy(OpenRooms)))
}

fn new() -> Value {
    document(App::new().contract("/chat/{room}", new::Chat::serve(new::Server).room_policy(OpenRooms)))
}

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check_{test}"));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, content: &(impl ToString + ?Sized)) -> String {
        let path = self.0.join(name);
        fs::write(&path, content.to_string()).expect("a file");
        path.display().to_string()
    }
}

fn check(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wirelark"));
    command.arg("check").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command");
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("an end")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text")
}

#[test]
fn a_break_is_told_in_full() {
    let folder = Folder::new("text");
    let (old, new) = (folder.write("old.json", &old()), folder.write("new.json", &new()));
    let output = check(&[&old, &new], "");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let expected = include_str!("check_command/breaking.txt");
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(
        check(&[&old, "-"], &fs::read_to_string(&new).expect("a file")),
        output,
        "the same from anywhere"
    );

    let lines: Vec<_> = expected.lines().filter(|line| line.starts_with("- **")).collect();
    let output = check(&[&old, &new, "--format", "changelog"], "");
    assert_eq!((text(&output.stdout).lines().collect::<Vec<_>>(), output.status.code()), (lines, Some(1)));
}

#[test]
fn programs_read_the_same_as_json() {
    let folder = Folder::new("json");
    let (old, new) = (folder.write("old.json", &old()), folder.write("new.json", &new()));
    let output = check(&[&old, &new, "--format", "json"], "");
    assert_eq!(output.status.code(), Some(1));
    let written: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&written["compatible"], &written["contracts"][0]["name"]), (&json!(false), &json!("Chat")));
    let changes = written["contracts"][0]["changes"].as_array().expect("changes");
    let color = changes.iter().find(|change| change["place"] == "post.input.color").expect("the color");
    assert_eq!(
        color,
        &json!({
            "effect": "breaking",
            "place": "post.input.color",
            "from": "\"Green\"",
            "to": "\"Red\" or null",
            "what": "\"Green\" is not taken any more, only \"Red\" or null",
            "why": "old clients may send it, and are refused",
            "changelog": "- **breaking:** contract `Chat`, `post.input.color`: \"Green\" is not taken any more, only \
                          \"Red\" or null; old clients may send it, and are refused.",
        })
    );
}

#[test]
fn the_same_is_compatible_with_itself() {
    let folder = Folder::new("same");
    let file = folder.write("api.json", &old());
    let output = check(&[&file, &file], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("\n  no change\n"), "{}", text(&output.stdout));
    let output = check(&[&file, &file, "--format", "changelog"], "");
    assert_eq!((text(&output.stdout), output.status.code()), ("", Some(0)));
}

/// What is compatible says how to let old clients in; what is documentation only needs nothing.
#[test]
fn a_compatible_version_names_the_hash_to_accept() {
    let folder = Folder::new("compatible");
    let mut more = old();
    let posted = &mut more["operations"]["chat.room.posted"];
    assert_eq!(posted["title"], "posted");
    posted["description"] = json!("Somebody posted.");
    let (before, after) = (folder.write("old.json", &old()), folder.write("documented.json", &more));
    let output = check(&[&before, &after], "");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("documentation posted") && !said.contains("also_accepts"), "{said}");

    more["channels"]["chat.room"]["x-wirelark"]["hash"] = json!("0123456789abcdef");
    let after = folder.write("new.json", &more);
    let output = check(&[&before, &after], "");
    let said = text(&output.stdout);
    let accept = format!(".also_accepts([{}])", old()["channels"]["chat.room"]["x-wirelark"]["hash"]);
    assert!(output.status.code() == Some(0) && said.contains(&accept), "{said}");
}

#[test]
fn what_cannot_be_compared_is_said_and_ends_with_2() {
    let folder = Folder::new("wrong");
    let good = folder.write("good.json", &old());
    let mut damaged = old();
    damaged["channels"]["chat.room"]["x-wirelark"]["hash"] = json!("new");
    let foreign = json!({
        "asyncapi": "3.0.0",
        "info": {"title": "Other", "version": "1"},
        "channels": {"a": {"address": "/a"}},
        "operations": {},
    });
    let cases = [
        (folder.write("page.html", "<!doctype html>"), "is not JSON but begins with \"<!doctype html>\""),
        (folder.write("empty.json", ""), "is not JSON"),
        (folder.write("list.json", "[]"), "this must be an object"),
        (folder.write("openapi.json", &json!({"openapi": "3.1.0"})), "this is no AsyncAPI document"),
        (folder.write("foreign.json", &foreign), "there is no contract here"),
        (folder.write("damaged.json", &damaged), "the hash has sixteen hexadecimal digits"),
        (folder.0.join("missing.json").display().to_string(), "No such file"),
        (folder.0.display().to_string(), "directory"),
        ("ftp://example.com/api.json".to_owned(), "is not an address of a document"),
        // Port 0 is nobody's.
        ("http://127.0.0.1:0/asyncapi.json".to_owned(), "is the server running?"),
    ];
    for (wrong, problem) in &cases {
        for arguments in [[&**wrong, &*good], [&*good, &**wrong]] {
            let output = check(&arguments, "");
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains(problem) && said.contains("error: "), "{arguments:?}: {said}");
            assert_eq!(text(&output.stdout), "");
        }
    }
    for (arguments, problem) in [(&["-", "-"][..], "standard input"), (&[&*good], "<NEW>")] {
        let output = check(arguments, "");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(problem), "{arguments:?}: {said}");
    }
}
