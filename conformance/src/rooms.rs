//! Rooms, and sending to them from HTTP handlers.

use wirelark::axum::Json;
use wirelark::axum::extract::Path;
use wirelark::axum::http::StatusCode;
use wirelark::axum::routing::post;
use wirelark::{App, Delivered, Hub, Refusal, Upgrade};

pub(crate) fn add_to(app: App) -> App {
    app.socket("/rooms/{room}", room)
        .route("/publish/{room}", post(publish))
        .route("/broadcast", post(broadcast))
}

/// Every message goes to every connection of the room, the sender included.
async fn room(Path(name): Path<String>, hub: Hub, upgrade: Upgrade) -> wirelark::Result {
    let room = hub.room(name).map_err(|error| Refusal::new((StatusCode::BAD_REQUEST, error.to_string())))?;
    let mut socket = upgrade.accept().await?;
    room.join(socket.id());
    while let Some(message) = socket.recv().await {
        room.publish(message).await;
    }
    Ok(())
}

#[derive(serde::Serialize)]
pub(crate) struct Answer {
    delivered: usize,
    offline: usize,
}

impl From<Delivered> for Answer {
    fn from(delivered: Delivered) -> Self {
        Self { delivered: delivered.queued, offline: delivered.offline }
    }
}

async fn publish(
    Path(name): Path<String>,
    hub: Hub,
    Json(body): Json<serde_json::Value>,
) -> Result<Json<Answer>, (StatusCode, String)> {
    let room = hub.room(name).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(room.publish(body.to_string()).counted().await.into()))
}

async fn broadcast(hub: Hub, Json(body): Json<serde_json::Value>) -> Json<Answer> {
    let body = body.to_string();
    let mut delivered = 0;
    for routes in ["/rooms/", "/messages"] {
        delivered += hub.broadcast_to(routes, &*body).counted().await.queued;
    }
    Json(Answer { delivered, offline: 0 })
}
