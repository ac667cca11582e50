//! `check` says that a change breaks exactly if it does: for each kind of change a client made for the old version of a
//! contract talks to a server of the new one.
//!
//! The old client uses all of its version: it sends what that allows, hears what the new server may send, and reads it
//! as the old type. The same client with the old server must find nothing wrong, or the case itself is wrong.

#[path = "check_live/bodies.rs"]
mod bodies;
#[path = "check_live/structure.rs"]
mod structure;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wirelark::client::{Client, HasClient};
use wirelark::contract::{Calls, Contract, Description, Format, serve};
use wirelark::testing::{HasTester, Host, Inbox};
use wirelark::{App, OpenRooms};
use wirelark_cli::api::Api;
use wirelark_cli::check::{Comparison, compare};
use wirelark_cli::typescript;

/// One kind of change.
struct Case {
    name: String,
    /// What `check` should say: whether any old client breaks.
    breaks: bool,
    breaks_rust: bool,
    breaks_typescript: bool,
    old: Version,
    new: Version,
    /// What a client of the old version does; returns what went wrong.
    r#use: Use,
    /// The same, for clients in other languages.
    script: Script,
}

/// What a client does with a server.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Script {
    /// It sends these values.
    Send(Vec<Value>),
    /// It has every value sent to it, as an answer and as a push.
    Read,
    /// It makes every call and hears every push.
    All,
}

/// A version of an app with one contract.
struct Version {
    description: &'static Description,
    paths: Vec<&'static str>,
    calls: Box<dyn Fn() -> Calls<Served, (), ()>>,
}

type Use = Box<dyn for<'a> Fn(&'a Client) -> LocalBoxFuture<'a, Vec<String>>>;

/// The contract of the server of a case.
struct Served;

/// The contract that the client of a case was made for.
struct MadeFor;

thread_local! {
    /// What the two are at the moment. A case runs on one thread.
    static SERVED: Cell<Option<&'static Description>> = const { Cell::new(None) };
    static MADE_FOR: Cell<Option<&'static Description>> = const { Cell::new(None) };
}

impl Contract for Served {
    fn describe() -> &'static Description {
        SERVED.get().expect("a case that runs")
    }
}

impl Contract for MadeFor {
    fn describe() -> &'static Description {
        MADE_FOR.get().expect("a case that runs")
    }
}

impl HasClient for MadeFor {
    type Client = Client;
}

impl HasTester for MadeFor {
    type Tester = Client;

    fn tester(client: Client, _: Inbox) -> Client {
        client
    }
}

impl Version {
    /// At the path where the clients of all cases connect.
    fn new(description: Description, calls: impl Fn() -> Calls<Served, (), ()> + 'static) -> Self {
        let description = Box::leak(Box::new(description));
        Self { description, paths: vec!["/case/{id}"], calls: Box::new(calls) }
    }

    /// An app with this version, which lets clients of another one in.
    fn app(&self, accepts: &Self) -> App {
        SERVED.set(Some(self.description));
        self.paths.iter().fold(App::new().room_policy(OpenRooms), |app, path| {
            let accepted = accepts.description.hash().to_string();
            app.contract(path, serve((), (self.calls)()).also_accepts([accepted]))
        })
    }

    fn api(&self) -> Api {
        let built = self.app(self).build().expect("an app");
        let document = serde_json::to_value(built.asyncapi()).expect("JSON");
        Api::from_document(&document).expect("a document of Wirelark's")
    }
}

impl Case {
    /// Clients in Rust take more than their schema says.
    fn but_not_in_rust(mut self) -> Self {
        self.breaks_rust = false;
        self
    }

    /// Clients in TypeScript take more than their schema says.
    fn but_not_in_typescript(mut self) -> Self {
        self.breaks_typescript = false;
        self
    }

    fn check(&self) -> Comparison {
        compare(&self.old.api(), &self.new.api())
    }

    /// Lets clients of the old version, of either format, use a server, and returns what went wrong.
    async fn talk(&self, server: &Version) -> Vec<String> {
        let mut went_wrong = self.talk_in(Format::Json, server).await;
        went_wrong.extend(self.talk_in(Format::MsgPack, server).await);
        went_wrong
    }

    async fn talk_in(&self, format: Format, server: &Version) -> Vec<String> {
        let host = Host::new(server.app(&self.old));
        MADE_FOR.set(Some(self.old.description));
        let reports = Arc::new(Mutex::new(Vec::new()));
        let path = || host.at(PATH).protocols([format.subprotocol()]);
        let went_wrong = match path().try_connect().await {
            Err(rejected) => vec![format!("refused with {}", rejected.status)],
            Ok(_) => {
                let sink = Arc::clone(&reports);
                let client = path().contract_with::<MadeFor>(move |builder| {
                    builder.reports(move |report| {
                        sink.lock().push(format!("{:?} {:?}: {}", report.kind, report.name, report.error));
                    })
                });
                let client = client.await;
                (self.r#use)(&client).await
            }
        };
        host.close().await;
        let reports = std::mem::take(&mut *reports.lock());
        went_wrong.into_iter().chain(reports).collect()
    }

    /// What is wrong with the case, or with what `check` says of it.
    async fn judge(&self) -> Option<String> {
        let with_old = self.talk(&self.old).await;
        if !with_old.is_empty() {
            return Some(format!("the old client does not even get on with the old server: {with_old:?}"));
        }
        let comparison = self.check();
        let with_new = self.talk(&self.new).await;
        let expected = (self.breaks, self.breaks_rust);
        let verdicts = (!comparison.compatible, !with_new.is_empty());
        (verdicts != expected)
            .then(|| format!("expected {expected:?}; breaks: {with_new:#?}; check says:\n{comparison}"))
    }
}

/// Where the client connects.
const PATH: &str = "/case/1";

fn cases() -> Vec<Case> {
    bodies::cases().into_iter().chain(structure::cases()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_old_client_breaks_exactly_if_check_says_so() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(why) = case.judge().await {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// The same with clients in TypeScript, whose validators were generated from the old version's document.
#[tokio::test]
#[ignore = "needs `npm ci` in packages/client, which `cargo xtask test` does"]
async fn so_does_an_old_client_in_typescript() {
    let cases = cases();
    let mut clients = OldClients::start(&cases).await;
    let mut wrong = Vec::new();
    for (module, case) in cases.iter().enumerate() {
        let with_old = clients.talk(module, &case.script, &case.old, &case.old).await;
        let with_new = clients.talk(module, &case.script, &case.old, &case.new).await;
        if !with_old.is_empty() || with_new.is_empty() == case.breaks_typescript {
            let expected = case.breaks_typescript;
            wrong.push(format!(
                "{}: expected {expected}; breaks {with_new:#?}, and with the old server {with_old:?}",
                case.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

/// A process of Node's that runs old clients.
struct OldClients {
    _process: Child,
    tasks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl OldClients {
    /// Makes one program of a module for each case and of the client itself.
    async fn start(cases: &[Case]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check_live");
        fs::create_dir_all(&folder).expect("a folder");
        let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
        let mut imports = String::new();
        for (index, case) in cases.iter().enumerate() {
            let module =
                typescript::module(&case.old.api()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            write(&format!("m{index}.ts"), module);
            imports.push_str(&format!("import * as m{index} from \"./m{index}.js\";\n"));
        }
        let names: Vec<_> = (0..cases.len()).map(|index| format!("m{index}")).collect();
        write("modules.ts", format!("{imports}export const modules = [{}];\n", names.join(", ")));
        write("old_client.ts", include_str!("check_live/old_client.ts").to_owned());

        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packages/client");
        let program = folder.join("old_client.cjs");
        let bundled = Command::new(package.join("node_modules/.bin/esbuild"))
            .args(["--bundle", "--platform=node", "--format=cjs", "--log-level=warning"])
            .arg(format!("--alias:@wirelark/client={}", package.join("src/index.ts").display()))
            .arg(format!("--alias:@wirelark/client/schema={}", package.join("src/schema.ts").display()))
            .arg(format!("--outfile={}", program.display()))
            .arg(folder.join("old_client.ts"))
            .env("NODE_PATH", package.join("node_modules"))
            .status();
        assert!(bundled.await.expect("run `npm ci` in packages/client").success());
        let mut process = Command::new("node")
            .arg(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let tasks = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { _process: process, tasks, answers }
    }

    /// Lets the client of a module, made for the old version, use a server, and returns what went wrong.
    async fn talk(&mut self, module: usize, script: &Script, old: &Version, server: &Version) -> Vec<String> {
        let host = Host::tcp(server.app(old)).await;
        let address = host.address().expect("an address");
        let task = json!({"module": module, "url": format!("ws://{address}{PATH}"), "script": script});
        self.tasks.write_all(format!("{task}\n").as_bytes()).await.expect("it reads");
        let answer = self.answers.next_line().await.expect("text").expect("it has not ended");
        host.close().await;
        serde_json::from_str(&answer).expect("a list")
    }
}
