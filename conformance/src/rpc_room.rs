//! `/rpc/{room}?name=N`: a contract whose clients meet by path, and number what they say.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wirelark::auth;
use wirelark::axum::extract::Query;
use wirelark::contract::Session;
use wirelark::schemars::{self, JsonSchema};
use wirelark::{App, OpenRooms, RoomName, contract};

use crate::rpc::asked_format;
use crate::secure;

pub(crate) fn add_to(app: App) -> App {
    let room = RpcRoom::serve(Server::default()).format_of(asked_format);
    app.contract("/rpc/{room}", room.auth(auth::optional(secure::jwt())).room_policy(OpenRooms))
}

/// People who meet by path.
#[contract]
pub(crate) trait RpcRoom {
    /// Who is in the room, in the order they came.
    async fn who(&self) -> Vec<Person>;
    /// Says something to everyone in the room, the caller included.
    async fn say(&self, text: String) -> Said;
    /// Does nothing.
    #[rate(per_second = 5)]
    async fn limited(&self);
    /// Somebody else came.
    #[push]
    fn joined(id: String, name: String);
    /// Somebody else went.
    #[push]
    fn left(id: String, name: String);
    /// Somebody said something; `from` is a name.
    #[push]
    fn said(from: String, text: String, seq: u64);
}

/// Somebody in a room.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Person {
    /// Of the connection.
    id: String,
    name: String,
}

/// What `say` answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Said {
    /// Counts what is said in a room, from 1.
    seq: u64,
}

/// What the upgrade request says of its sender.
#[derive(Debug, Deserialize)]
struct Visitor {
    name: Name,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.is_empty() { Err("a name has at least one character") } else { Ok(Self(name)) }
    }
}

type Data = Query<Visitor>;
type Caller = Session<RpcRoom, Data>;

#[derive(Default)]
struct Server {
    /// Those with somebody in them.
    rooms: Mutex<HashMap<RoomName, Room>>,
}

#[derive(Default)]
struct Room {
    people: usize,
    // Held while something is said, so that everyone hears it in the order of its numbers.
    last: Arc<tokio::sync::Mutex<u64>>,
}

impl Server {
    fn last_of(&self, room: &RoomName) -> Arc<tokio::sync::Mutex<u64>> {
        self.rooms.lock().get(room).map(|room| Arc::clone(&room.last)).unwrap_or_default()
    }

    fn enter(&self, room: &RoomName) {
        self.rooms.lock().entry(room.clone()).or_default().people += 1;
    }

    /// Forgets a room that nobody is in any more.
    fn leave(&self, name: &RoomName) {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(name) else { return };
        room.people -= 1;
        if room.people == 0 {
            rooms.remove(name);
        }
    }
}

impl RpcRoomServer for Server {
    type Data = Data;

    async fn attached(&self, session: Caller) -> wirelark::Result {
        self.enter(session.room().name());
        let Person { id, name } = person(&session);
        session.room().push(RpcRoom::joined(id, name)).except(session.id()).await;
        Ok(())
    }

    async fn closed(&self, session: Caller) -> wirelark::Result {
        self.leave(session.room().name());
        let Person { id, name } = person(&session);
        session.room().push(RpcRoom::left(id, name)).except(session.id()).await;
        Ok(())
    }

    async fn who(&self, session: Caller) -> Vec<Person> {
        session.peers().map(person)
    }

    async fn limited(&self, _: Caller) {}

    async fn say(&self, session: Caller, text: String) -> Said {
        let room = session.room();
        let last = self.last_of(room.name());
        let mut seq = last.lock().await;
        *seq += 1;
        room.push(RpcRoom::said(name(&session), text, *seq)).await;
        Said { seq: *seq }
    }
}

fn name(session: &Caller) -> String {
    session.data(|Query(visitor)| visitor.name.0.clone())
}

fn person(session: &Caller) -> Person {
    Person { id: session.id().to_string(), name: name(session) }
}
