//! What is generated: the same from everywhere, and committed as it is now.
//!
//! The modules in the TypeScript client's tests are those of the conformance server and of a contract with types of every
//! shape; an example's page has that of its contract. `WRITE_GENERATED=1 cargo nextest run -p wirelark-cli` writes them anew.

#[path = "../../wirelark/tests/contract_types/contract.rs"]
mod contract;
#[path = "../../wirelark/tests/contract_types/shapes.rs"]
#[expect(dead_code, reason = "other programs have a use for it")]
mod shapes;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use wirelark::App;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A folder of a test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path that is text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wirelark(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wirelark")).args(arguments).output().expect("the command runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run that must not fail wrote to its standard output.
#[track_caller]
fn made(arguments: &[&str]) -> String {
    let output = wirelark(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn document(app: App) -> String {
    let built = app.build().expect("the app can be built");
    serde_json::to_string(&built.asyncapi()).expect("JSON")
}

/// The committed module is what the app's document gives now.
fn check_committed(app: App, path: &str) {
    let folder = Folder::new(&format!("committed-{}", path.replace('/', "-")));
    let from = folder.file("api.json");
    fs::write(&from, document(app)).expect("the document");
    let out = format!("{REPOSITORY}/{path}");
    if env::var_os("WRITE_GENERATED").is_some() {
        made(&["generate", "ts", "--from", &from, "--out", &out]);
    }
    let output = wirelark(&["generate", "ts", "--from", &from, "--out", &out, "--check"]);
    assert!(output.status.success(), "{}WRITE_GENERATED=1 writes it anew", said(&output));
}

#[test]
fn the_module_of_the_conformance_server_is_committed() {
    check_committed(conformance::app(), "packages/client/test/generated/conformance.ts");
}

#[test]
fn the_module_of_types_of_every_shape_is_committed() {
    check_committed(contract::app(), "packages/client/test/generated/shapes.ts");
}

#[test]
fn the_module_of_the_page_of_tic_tac_toe_is_committed() {
    check_committed(tic_tac_toe::app(), "examples/tic-tac-toe/page/src/game.ts");
}

#[test]
fn the_module_of_the_page_of_cursors_is_committed() {
    check_committed(cursors::app(), "examples/cursors/page/src/cursors.ts");
}

#[tokio::test]
async fn a_server_and_a_file_give_the_same() {
    let server = conformance::app().bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/asyncapi.json", server.local_addr());
    let serving = tokio::spawn(server.run());
    let from_server = |artefact: &'static str| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || made(&["generate", artefact, "--from", &url]))
    };
    let folder = Folder::new("same");
    let file = folder.file("api.json");
    fs::write(&file, document(conformance::app())).expect("the document");
    for artefact in ["ts", "asyncapi", "schema"] {
        let first = from_server(artefact).await.expect("a run");
        let second = from_server(artefact).await.expect("a run");
        assert!(first == second, "{artefact}: another from the same server");
        assert!(first == made(&["generate", artefact, "--from", &file]), "{artefact}: another from a file");
        assert!(first.len() > 1000, "{first}");
    }
    // What was generated is a document, too.
    let again = folder.file("again.json");
    made(&["generate", "asyncapi", "--from", &file, "--out", &again]);
    assert_eq!(fs::read_to_string(&again).ok(), Some(made(&["generate", "asyncapi", "--from", &again])));
    serving.abort();
}

#[tokio::test]
async fn what_is_no_document_is_an_error_that_says_so() {
    use wirelark::axum::http::StatusCode;
    use wirelark::axum::response::{Html, Redirect};
    use wirelark::axum::routing::get;

    let app = App::new()
        .route("/page", get(async || Html("<!doctype html><title>A page</title>")))
        .route("/moved", get(async || Redirect::to("https://example.com/")))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route("/large", get(async || "[".repeat(17 * 1024 * 1024)))
        .route("/other", get(async || r#"{"openapi": "3.1.0"}"#));
    let server = app.bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr();
    let serving = tokio::spawn(server.run());
    let check = |from: String, expected: &'static str| async move {
        let run = tokio::task::spawn_blocking(move || wirelark(&["generate", "ts", "--from", &from]));
        let output = run.await.expect("a run");
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
        assert!(output.stdout.is_empty());
    };
    check(format!("http://{address}/none"), "404 Not Found; serve the document with `App::asyncapi").await;
    check(format!("http://{address}/broken"), "500 Internal Server Error").await;
    check(format!("http://{address}/moved"), "sends us to https://example.com/").await;
    check(format!("http://{address}/page"), "is not JSON but begins with \"<!doctype html>").await;
    check(format!("http://{address}/large"), "has more than 16777216 bytes").await;
    check(format!("http://{address}/other"), "#/asyncapi: this is no AsyncAPI document").await;
    check("http://".into(), "is not an address of a document").await;
    check("ftp://localhost/".into(), "is not an address of a document").await;
    check("/none/such.json".into(), "/none/such.json: No such file").await;
    serving.abort();
    // Where somebody listened a moment ago, nobody does.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    check(format!("http://{gone}/"), "is the server running?").await;
}

#[test]
fn a_stale_file_is_noticed_and_left_alone() {
    let folder = Folder::new("stale");
    let (from, out) = (folder.file("api.json"), folder.file("api.ts"));
    fs::write(&from, document(conformance::app())).expect("the document");
    let check = ["generate", "ts", "--from", &from, "--out", &out, "--check"];
    assert!(said(&wirelark(&check)).contains("No such file"));
    made(&check[..6]);
    made(&check);
    let text = fs::read_to_string(&out).expect("a module");
    fs::write(&out, text + "\n").expect("a change");
    let output = wirelark(&check);
    assert!(!output.status.success() && said(&output).contains("run the same command without --check"));
    assert!(fs::read_to_string(&out).is_ok_and(|text| text.ends_with("\n\n")), "it was written");
}
