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
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use wirelark::App;
use wirelark::client::{Client, HasClient};
use wirelark::contract::{Calls, Contract, Description, Format, serve};
use wirelark::testing::{HasTester, Host, Inbox};
use wirelark_cli::api::Api;
use wirelark_cli::check::{Comparison, compare};

/// One kind of change.
struct Case {
    name: String,
    breaks: bool,
    old: Version,
    new: Version,
    /// What a client of the old version does; returns what went wrong.
    r#use: Use,
}

/// A version of an app with one contract.
struct Version {
    description: &'static Description,
    paths: Vec<&'static str>,
    calls: Box<dyn Fn() -> Calls<Served, (), ()>>,
}

type Use = Box<dyn for<'a> Fn(&'a Client, &'a Host) -> LocalBoxFuture<'a, Vec<String>>>;

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
        self.paths.iter().fold(App::new(), |app, path| {
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
                (self.r#use)(&client, &host).await
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
        let verdicts = (!comparison.compatible, !with_new.is_empty());
        (verdicts != (self.breaks, self.breaks)).then(|| {
            format!("should break: {}; breaks: {with_new:#?}; check says:\n{comparison}", self.breaks)
        })
    }
}

/// Where the client connects.
const PATH: &str = "/case/1";

#[tokio::test(start_paused = true)]
async fn an_old_client_breaks_exactly_if_check_says_so() {
    let cases: Vec<_> = bodies::cases().into_iter().chain(structure::cases()).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(why) = case.judge().await {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    assert!(cases.len() >= 30);
}
