//! Errors of an application that become problems by `#[derive(Problem)]`.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use wirelark::client::CallError;
use wirelark::contract::{Problem, Session};
use wirelark::hooks::{Hooks, ReportKind};
use wirelark::testing::Host;
use wirelark::{App, contract};

#[derive(Debug, thiserror::Error, Problem)]
enum PostError {
    #[error("say something")]
    Empty,
    #[error("{author}, at most {limit} characters and not {length}")]
    TooLong {
        author: &'static str,
        #[problem(data)]
        limit: usize,
        #[problem(data)]
        length: usize,
    },
    #[error("{0} is not a member")]
    #[problem(code = "FORBIDDEN")]
    Stranger(String),
    #[error("wait a while")]
    Slower(#[problem(data)] u32, &'static str),
}

#[derive(Debug, thiserror::Error, Problem)]
enum SaveError {
    #[error("there is nothing to save")]
    Nothing,
    #[error("the disk at /dev/secret failed")]
    #[problem(internal)]
    Disk(#[from] io::Error),
}

#[derive(Debug, Problem)]
#[problem(code = "CLOSED")]
struct Closed<T: Serialize + Send + Sync + 'static> {
    #[problem(data)]
    until: T,
}

impl<T: Serialize + Send + Sync + 'static> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("come back later")
    }
}

#[contract]
trait Board {
    async fn post(&self, text: String) -> Result<(), PostError>;
    async fn save(&self, what: String) -> Result<(), SaveError>;
    async fn enter(&self) -> Result<(), Closed<u64>>;
}

struct Server;

impl BoardServer for Server {
    type Data = ();

    async fn post(&self, _: Session<Board, ()>, text: String) -> Result<(), PostError> {
        Err(match text.len() {
            0 => PostError::Empty,
            1 => PostError::Stranger("ada".to_owned()),
            2 => PostError::Slower(7, "not for clients"),
            length => PostError::TooLong { author: "ada", limit: 2, length },
        })
    }

    async fn save(&self, _: Session<Board, ()>, what: String) -> Result<(), SaveError> {
        if what.is_empty() {
            return Err(SaveError::Nothing);
        }
        Err(io::Error::other("sector 7"))?
    }

    async fn enter(&self, _: Session<Board, ()>) -> Result<(), Closed<u64>> {
        Err(Closed { until: 1_800_000_000_000 })
    }
}

/// The text, code and data that came.
fn answer(error: Result<(), CallError>) -> (String, Option<String>, Option<Value>) {
    let Err(CallError::Refused(error)) = error else { panic!("{error:?}") };
    let data = error.data().map(|data| data.expect("JSON"));
    (error.message.to_string(), error.code.as_deref().map(str::to_owned), data)
}

#[tokio::test]
async fn a_variant_travels_as_its_text_code_and_marked_fields() {
    let host = Host::new(App::new().contract("/board", Board::serve(Server)));
    let ada = host.at("/board").contract::<Board>().await;
    let cases = [
        ("", "say something", "EMPTY", None),
        ("a", "ada is not a member", "FORBIDDEN", None),
        ("ab", "wait a while", "SLOWER", Some(json!(7))),
        ("abc", "ada, at most 2 characters and not 3", "TOO_LONG", Some(json!({"limit": 2, "length": 3}))),
    ];
    for (text, message, code, data) in cases {
        assert_eq!(answer(ada.post(text).await), (message.to_owned(), Some(code.to_owned()), data));
    }
    let closed = answer(ada.enter().await);
    let until = json!({"until": 1_800_000_000_000_u64});
    assert_eq!(closed, ("come back later".to_owned(), Some("CLOSED".to_owned()), Some(until)));
    host.close().await;
}

#[tokio::test]
async fn an_internal_variant_is_for_the_log() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let board = Board::serve(Server).hooks(Hooks::new().on_error(move |report| {
        sink.lock().push((report.kind, report.error.to_string(), report.reference.map(|id| id.to_string())));
    }));
    let host = Host::new(App::new().contract("/board", board));
    let ada = host.at("/board").contract::<Board>().await;
    let shown = answer(ada.save("").await);
    assert_eq!(shown, ("there is nothing to save".to_owned(), Some("NOTHING".to_owned()), None));
    let told = (ReportKind::Problem, "there is nothing to save".to_owned(), None);
    assert_eq!(std::mem::take(&mut *reports.lock()), [told]);
    let (message, code, data) = answer(ada.save("all").await);
    assert_eq!((&*message, code.as_deref()), ("internal error", Some("INTERNAL")));
    let (kind, error, reference) = reports.lock().pop().expect("a report");
    assert_eq!((kind, &*error), (ReportKind::Handler, "the disk at /dev/secret failed"));
    assert_eq!(data, Some(json!({ "reference": reference.expect("an id to ask about") })));
    host.close().await;
}

#[test]
fn errors_for_clients_are_problems_anywhere() {
    let problem = Problem::from(PostError::Empty);
    assert_eq!((problem.message(), problem.as_code()), ("say something", Some("EMPTY")));
}
