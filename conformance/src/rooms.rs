//! Rooms, and sending to them from HTTP handlers.

use wirelark::axum::Json;
use wirelark::axum::extract::Path;
use wirelark::axum::http::StatusCode;
use wirelark::axum::routing::post;
use wirelark::{App, Delivered, Hub, OpenRooms, RoomPass, Socket, socket};

pub(crate) fn add_to(app: App) -> App {
    app.socket("/rooms/{room}", socket(room).room_policy(OpenRooms))
        .route("/publish/{room}", post(publish))
        .route("/broadcast", post(broadcast))
}

/// Every message goes to every connection of the room, the sender included.
async fn room(pass: RoomPass, mut socket: Socket) -> wirelark::Result {
    let room = socket.join(pass)?;
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
