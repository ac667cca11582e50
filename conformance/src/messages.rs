//! `/messages`, `/messages/text`, `/messages/binary` and `/silent`: handlers that run once for each message.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wirelark::auth::{self, AuthError, User};
use wirelark::axum::Json;
use wirelark::axum::extract::{FromRequestParts, Query};
use wirelark::axum::http::header;
use wirelark::axum::http::request::Parts;
use wirelark::contract::Problem;
use wirelark::messages::{Connection, messages, on_field, push_only};
use wirelark::{App, Hub, InvalidRoom, RecipientsError, Text};

use crate::rooms::Answer;

pub(crate) fn add_to(app: App) -> App {
    let by_name = || auth::optional(auth::from_fn(|parts| Box::pin(named(parts))));
    let operations = on_field("op")
        .on("reply", reply)
        .on("me", to_me)
        .on("to", to_users)
        .on("fail", fail)
        .on("crash", crash)
        .on("sleep", sleep)
        .on("online", online);
    let operations = messages(operations).timeout(Duration::from_secs(1)).attached(join);
    app.messages("/messages", operations.auth(by_name()))
        .messages("/messages/text", messages(upper_case).attached(join).auth(by_name()))
        .messages("/messages/binary", reversed)
        .messages("/silent", messages(push_only()).auth(by_name()))
}

#[derive(Deserialize)]
struct Name {
    user: Option<String>,
}

/// Whoever the cookie `user` or the query says it is.
async fn named(parts: &mut Parts) -> Result<User, AuthError> {
    let cookies = parts.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(|value| value.split(';'));
    let cookie = cookies.filter_map(|pair| pair.trim().strip_prefix("user=")).map(str::to_owned).next();
    let asked = Query::<Name>::from_request_parts(parts, &()).await.ok();
    let name = cookie.or_else(|| asked.and_then(|Query(name)| name.user)).ok_or(AuthError::Missing)?;
    User::new(name).map_err(|_| AuthError::Invalid("the name is no user id"))
}

#[derive(Clone, Deserialize)]
struct Asked {
    /// A room to join, for whoever measures what a member costs.
    room: Option<Room>,
}

/// One of the rooms that anybody may be in.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Room {
    Lobby,
}

async fn join(Query(asked): Query<Asked>, connection: Connection) -> Result<(), Problem> {
    match asked.room {
        Some(Room::Lobby) => match connection.join("lobby") {
            Ok(_) => Ok(()),
            Err(error) => Err(invalid(&error)),
        },
        None => Ok(()),
    }
}

fn invalid(error: &InvalidRoom) -> Problem {
    Problem::new(error.to_string())
}

#[derive(Deserialize, Serialize)]
struct Carried {
    value: Value,
}

async fn reply(carried: Json<Carried>) -> Json<Carried> {
    carried
}

#[derive(Deserialize)]
struct ToMe {
    message: Value,
}

async fn to_me(connection: Connection, Json(to_me): Json<ToMe>) {
    connection.devices().push(to_me.message.to_string()).await;
}

#[derive(Deserialize)]
struct ToUsers {
    users: Vec<String>,
    message: Value,
}

async fn to_users(connection: Connection, Json(to): Json<ToUsers>) -> Result<Json<Answer>, Problem> {
    let recipients = connection.recipients(Some(&to.users)).map_err(|error| too_many(&error))?;
    Ok(Json(recipients.push(to.message.to_string()).counted().await.into()))
}

fn too_many(error: &RecipientsError) -> Problem {
    Problem::new(error.to_string()).code("TOO_MANY_USERS")
}

async fn fail() -> wirelark::Result {
    Err("this handler always fails".into())
}

async fn crash() {
    panic!("this handler always panics");
}

#[derive(Deserialize)]
struct Sleep {
    ms: u64,
}

#[derive(Serialize)]
struct Slept {
    slept: u64,
}

async fn sleep(Json(Sleep { ms }): Json<Sleep>) -> Json<Slept> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Json(Slept { slept: ms })
}

#[derive(Deserialize)]
struct WhoIs {
    user: String,
}

#[derive(Serialize)]
struct Online {
    online: bool,
}

async fn online(Json(WhoIs { user }): Json<WhoIs>, hub: Hub) -> Json<Online> {
    Json(Online { online: hub.user(user).is_online() })
}

async fn upper_case(text: Text) -> String {
    text.as_str().to_uppercase()
}

async fn reversed(bytes: wirelark::axum::body::Bytes) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}
