//! Users, reached from HTTP handlers on all their devices.

use wirelark::axum::Json;
use wirelark::axum::extract::{Path, Query};
use wirelark::axum::http::StatusCode;
use wirelark::axum::routing::post;
use wirelark::{App, CloseCode, Hub};

use crate::rooms::Answer;

pub(crate) fn add_to(app: App) -> App {
    app.route("/send/{user}", post(send)).route("/close/{user}", post(close))
}

async fn send(Path(user): Path<String>, hub: Hub, Json(body): Json<serde_json::Value>) -> Json<Answer> {
    Json(hub.user(user).push(body.to_string()).counted().await.into())
}

#[derive(serde::Deserialize)]
struct Closing {
    code: Option<u16>,
}

#[derive(serde::Serialize)]
struct Closed {
    closed: usize,
}

async fn close(
    Path(user): Path<String>,
    Query(asked): Query<Closing>,
    hub: Hub,
) -> Result<Json<Closed>, (StatusCode, &'static str)> {
    let code = asked.code.map_or(CloseCode::NORMAL, CloseCode::new);
    if !code.is_allowed_on_wire() {
        return Err((StatusCode::BAD_REQUEST, "no close frame may carry this code"));
    }
    Ok(Json(Closed { closed: hub.user(user).close(code, "").await }))
}
