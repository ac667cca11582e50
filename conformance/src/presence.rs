//! `/presence/{room}?user=U&meta=JSON`: who is in a room, for clients that are there and for whoever asks.
//! `/lobby/{room}`: the same of the same rooms, for clients of a contract.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wirelark::auth::User;
use wirelark::axum::Json;
use wirelark::axum::extract::{Path, Query, Request};
use wirelark::axum::http::{StatusCode, header};
use wirelark::axum::middleware::{Next, from_fn};
use wirelark::axum::response::{IntoResponse, Response};
use wirelark::contract::{Problem, Session};
use wirelark::presence::{Listed, Metadata, News, Presence};
use wirelark::{App, Hub, Message, OpenRooms, Refusal, RoomDenied, RoomPass, Upgrade, contract, socket};

pub(crate) fn add_to(app: App) -> App {
    // A path has one route, and this one's requests mostly are upgrades.
    app.scope("/presence", |scope| {
        scope.socket("/{room}", socket(present).room_policy(OpenRooms)).layer(from_fn(answer_plain_requests))
    })
    .contract("/lobby/{room}", Lobby::serve(Server).room_policy(OpenRooms))
}

#[derive(Deserialize)]
struct Asked {
    user: Option<String>,
    #[serde(default = "no_metadata")]
    meta: String,
}

fn no_metadata() -> String {
    "null".to_owned()
}

/// Tracks whoever connects, who also watches. A text changes the metadata.
async fn present(pass: RoomPass, Query(asked): Query<Asked>, hub: Hub, upgrade: Upgrade) -> wirelark::Result {
    let presence = hub.presence(pass)?;
    let meta: Value = serde_json::from_str(&asked.meta).map_err(|error| bad_request(&error))?;
    let meta = Metadata::new(meta).map_err(|error| bad_request(&error))?;
    let user = asked.user.map(User::new).transpose().map_err(|error| bad_request(&error))?;
    let mut socket = upgrade.accept().await?;
    if let Some(user) = user {
        socket.sign_in(&user)?;
    }
    presence.track(&socket, meta)?;
    presence.watch(&socket)?;
    while let Some(message) = socket.recv().await {
        let updated =
            update(&message).and_then(|meta| presence.update(&socket, meta).map_err(|it| it.to_string()));
        if let Err(error) = updated {
            socket.send_json(&json!({ "error": error })).await?;
        }
    }
    Ok(())
}

fn bad_request(error: &dyn Display) -> Refusal {
    Refusal::new((StatusCode::BAD_REQUEST, error.to_string()))
}

fn update(message: &Message) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Update {
        meta: Value,
    }
    let update: Update = serde_json::from_slice(message.as_bytes()).map_err(|error| error.to_string())?;
    Ok(update.meta)
}

#[derive(Serialize)]
struct Present {
    members: Vec<Listed>,
    occupancy: usize,
}

async fn answer_plain_requests(Path(name): Path<String>, hub: Hub, request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::UPGRADE) {
        return next.run(request).await;
    }
    match presence_of(&hub, None, name).await {
        Ok(presence) => {
            Json(Present { members: presence.list(), occupancy: presence.occupancy() }).into_response()
        }
        Err(denied) => denied.into_response(),
    }
}

/// The presence of a room that a client named.
async fn presence_of(hub: &Hub, user: Option<&User>, name: String) -> Result<Presence, RoomDenied> {
    Ok(hub.presence(RoomPass::ask(&OpenRooms, user, name).await?)?)
}

/// Who is in a room.
#[contract]
pub(crate) trait Lobby {
    /// Has the caller hear of who is there: everybody at first, and then what changes.
    async fn watch(&self) -> Result<(), Problem>;
    /// Has the caller be there, with this metadata.
    async fn enter(&self, meta: Value) -> Result<(), Problem>;
    /// Who is there.
    #[push]
    fn presence(#[body] news: News);
}

struct Server;

type Visitor = Session<Lobby, Path<String>>;

impl Server {
    async fn presence(session: &Visitor) -> Result<Presence, RoomDenied> {
        let name = session.data(|Path(name)| name.clone());
        presence_of(session.hub(), session.user().as_ref(), name).await
    }
}

fn problem(error: &dyn Display) -> Problem {
    Problem::new(error.to_string())
}

impl LobbyServer for Server {
    type Data = Path<String>;

    async fn watch(&self, session: Visitor) -> Result<(), Problem> {
        Self::presence(&session)
            .await?
            .watch_as(&session, Lobby::presence)
            .map(drop)
            .map_err(|error| problem(&error))
    }

    async fn enter(&self, session: Visitor, meta: Value) -> Result<(), Problem> {
        Self::presence(&session).await?.track(&session, meta).map(drop).map_err(|error| problem(&error))
    }
}
