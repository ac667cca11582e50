//! The page, compiled into the binary: the example is one file to copy and has nothing to build.

use demo::asset;
use wirelark::App;
use wirelark::axum::routing::get;

use crate::rooms::Rooms;

pub(crate) fn add_to(app: App<Rooms>) -> App<Rooms> {
    app.route("/", get(async || asset("text/html; charset=utf-8", include_str!("../page/index.html"))))
        .route(
            "/style.css",
            get(async || asset("text/css; charset=utf-8", include_str!("../page/style.css"))),
        )
        .route(
            "/chat.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../page/chat.js"))),
        )
}
