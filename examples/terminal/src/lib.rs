//! A terminal in the browser: a shell on a pty, bytes both ways over a raw socket, and xterm.js to show them.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | the page; the part of the URL behind the `#` is the token that is good for one browser |
//! | `WS /terminal` | a shell, for as long as the connection lives |
//!
//! Whoever reaches it types into a shell of the user who started it. So it listens on 127.0.0.1 and nowhere else, a page
//! of another origin is refused as on every route, and whoever else is on this machine lacks the [`Door`]'s token.
//!
//! A shell is bound to its connection: the page that comes back after a lost connection gets another one, and says so.

mod door;
mod session;
mod shell;

use demo::asset;
use wirelark::axum::extract::State;
use wirelark::axum::http::header;
use wirelark::axum::response::IntoResponse;
use wirelark::axum::routing::get;
use wirelark::{App, Options, SlowClient, Socket, socket};

pub use self::door::Door;
pub use self::shell::Shells;

/// Xterm.js writes its theme and its sizes into style elements. Scripts are still files of ours only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The whole app. The page is built already: see `examples/build.js`.
pub fn app(door: &Door, shells: &Shells) -> App<(Door, Shells)> {
    // A client that does not read what it asked for makes `send` wait, and then nobody reads the pty either.
    let options = Options::new().slow_client(SlowClient::Wait);
    App::with_state((door.clone(), shells.clone()))
        .socket("/terminal", socket(terminal).options(options))
        .route("/", get(page))
        .route(
            "/page.css",
            get(async || asset("text/css; charset=utf-8", include_str!("../page/dist/page.css"))),
        )
        .route(
            "/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../page/dist/page.js"))),
        )
}

async fn page() -> impl IntoResponse {
    let html = asset("text/html; charset=utf-8", include_str!("../page/dist/index.html"));
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], html)
}

async fn terminal(State((door, shells)): State<(Door, Shells)>, socket: Socket) -> wirelark::Result {
    session::serve(socket, &door, &shells).await
}
