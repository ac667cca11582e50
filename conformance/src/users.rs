//! Users, reached from HTTP handlers on all their devices, and who of them is online.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wirelark::axum::Json;
use wirelark::axum::extract::{Path, Query};
use wirelark::axum::http::StatusCode;
use wirelark::axum::routing::{get, post};
use wirelark::{App, CloseCode, Hub};

use crate::rooms::Answer;

/// Users are online for as long after their last connection.
const OFFLINE_GRACE: Duration = Duration::from_secs(1);

#[derive(Clone, Serialize)]
struct Event {
    event: &'static str,
    user: String,
}

/// Which users came online and went offline, since the server started.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// A hook that keeps what it hears. It does so when it is called, and so before `/online` answers differently.
    fn keep(&self, event: &'static str) -> impl Fn(String, Hub) -> Ready<()> + Send + Sync + 'static {
        let events = self.clone();
        move |user, _| {
            events.0.lock().push(Event { event, user });
            ready(())
        }
    }
}

pub(crate) fn add_to(app: App) -> App {
    let events = Events::default();
    app.offline_grace(OFFLINE_GRACE)
        .on_online(events.keep("online"))
        .on_offline(events.keep("offline"))
        .route("/send/{user}", post(send))
        .route("/close/{user}", post(close))
        .route("/online/{user}", get(online))
        .route("/events", get(async move || Json(events.0.lock().clone())))
}

async fn send(Path(user): Path<String>, hub: Hub, Json(body): Json<serde_json::Value>) -> Json<Answer> {
    Json(hub.user(user).push(body.to_string()).counted().await.into())
}

#[derive(Deserialize)]
struct Closing {
    code: Option<u16>,
}

#[derive(Serialize)]
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

#[derive(Serialize)]
struct Online {
    online: bool,
    devices: usize,
}

async fn online(Path(user): Path<String>, hub: Hub) -> Json<Online> {
    let user = hub.user(user);
    Json(Online { online: user.is_online(), devices: user.devices() })
}
