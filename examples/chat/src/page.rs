//! The page, compiled into the binary: the example is one file to copy and has nothing to build.

use wirelark::App;
use wirelark::axum::http::header;
use wirelark::axum::response::IntoResponse;
use wirelark::axum::routing::get;

use crate::rooms::Rooms;

/// Nothing from elsewhere, and no script in the markup: should a message ever be rendered as HTML by
/// mistake, it still cannot run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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

fn asset(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    // Not cached: after a restart the page must be the one this server speaks with.
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body)
}
