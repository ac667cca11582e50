//! Live cursors: everybody on a page sees where the others point, and who they are.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | the page |
//! | `WS /cursors` | the calls and pushes of [`Cursors`] |
//! | `GET /asyncapi.json` | the contract as a document, of which `page/src/cursors.ts` is made |
//!
//! Nothing is kept here: who is there is the room's presence, and where somebody points is told and forgotten.

use demo::asset;
use wirelark::axum::routing::get;
use wirelark::contract::{Problem, Session};
use wirelark::presence::News;
use wirelark::{App, contract};

/// Bounds what everybody else has to show.
const NAME_CHARACTERS_MAX: usize = 24;

/// The pointers on one page.
///
/// Places are in 65535ths of the page's width and height: no client can name one that is not on it.
#[contract]
pub trait Cursors {
    /// Has the caller be there under this name, and tells them who else is, from the beginning. The answer is the
    /// caller's id. Whoever calls it again has another name.
    async fn enter(&self, name: String) -> Result<String, Problem>;
    /// The caller points somewhere else.
    #[send]
    async fn point(&self, x: u16, y: u16);

    /// Who is there. What is known of each is the name.
    #[push]
    fn presence(#[body] news: News);
    /// Somebody else points somewhere else. Whoever reads slowly is told the newest place of each only.
    #[push(conflate = id)]
    fn moved(id: String, x: u16, y: u16);
}

/// The whole app. The page is built already, by `npm run build` in `examples`.
pub fn app() -> App {
    App::new()
        .about("Cursors", env!("CARGO_PKG_VERSION"))
        .asyncapi("/asyncapi.json")
        .contract("/cursors", Cursors::serve(Page))
        .route("/", get(async || asset("text/html; charset=utf-8", include_str!("../page/dist/index.html"))))
        .route(
            "/page.css",
            get(async || asset("text/css; charset=utf-8", include_str!("../page/dist/page.css"))),
        )
        .route(
            "/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../page/dist/page.js"))),
        )
}

struct Page;

type Visitor = Session<Cursors, ()>;

impl CursorsServer for Page {
    type Data = ();

    async fn enter(&self, visitor: Visitor, name: String) -> Result<String, Problem> {
        let name = name.trim();
        if !(1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) {
            return Err(Problem::new(format!("A name has 1 to {NAME_CHARACTERS_MAX} characters.")));
        }
        let presence = visitor.presence();
        // Who is gone needs no farewell: presence ends with the connection.
        let tracked = presence.track(&visitor, name);
        let watched = tracked.and_then(|_| presence.watch_as(&visitor, Cursors::presence));
        watched.map_err(|error| Problem::new(error.to_string()))?;
        Ok(visitor.id().to_string())
    }

    async fn point(&self, visitor: Visitor, x: u16, y: u16) {
        visitor.room().push(Cursors::moved(visitor.id().to_string(), x, y)).except(&visitor).await;
    }
}
