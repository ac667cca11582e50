//! A chat: one raw socket per page and room, typed JSON both ways, and the page itself from memory.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | the page; the room is the part of the URL behind the `#` |
//! | `GET /rooms` | the rooms there are, with how many people are in each |
//! | `WS /chat/{room}?name=NAME` | a `FromPage` per message in, a `ToPage` per message out |
//!
//! It is an example: nobody signs in, so a name is only what somebody calls themselves.

mod page;
mod protocol;
mod rooms;

use wirelark::axum::Json;
use wirelark::axum::extract::{Path, Query, State};
use wirelark::axum::routing::get;
use wirelark::{App, Close, CloseCode, Hub, JsonSocket, Options, Socket, socket};

use self::protocol::{FromPage, Invalid, Name, ToPage};
use self::rooms::{Rooms, Visit};

/// The largest message either way. What it has to hold is the welcome: fifty posts of up to 4 KB.
const MESSAGE_BYTES: usize = 256 * 1024;

/// The whole app.
pub fn app() -> App<Rooms> {
    let app = App::with_state(Rooms::default())
        .route("/rooms", get(async |State(rooms): State<Rooms>| Json(rooms.list())))
        .socket("/chat/{room}", socket(chat).options(Options::new().message_bytes(MESSAGE_BYTES)));
    page::add_to(app)
}

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    name: String,
}

/// One page in one room, from hello to goodbye.
async fn chat(
    Path(room): Path<String>,
    Query(asked): Query<Asked>,
    State(rooms): State<Rooms>,
    hub: Hub,
    socket: Socket,
) -> wirelark::Result {
    // Refused after the upgrade and not before it: a browser shows its page the reason of a close, and
    // nothing at all of an HTTP answer.
    let name = Name::try_from(&*asked.name).map_err(refuse)?;
    let visit = rooms.visit(&room, &hub)?;
    let mut socket = socket.json();
    let me = visit.enter(&socket, name).await?;
    let ended = converse(&mut socket, &visit, me).await;
    visit.leave(me).await;
    ended
}

async fn converse(socket: &mut JsonSocket<FromPage, ToPage>, visit: &Visit, me: u64) -> wirelark::Result {
    let problem = |key, why: Invalid| ToPage::Problem { key, text: why.to_string() };
    while let Some(received) = socket.try_recv().await {
        let received =
            received.map_err(|_| Close::new(CloseCode::INVALID_PAYLOAD, "not a message of this chat"))?;
        let answer = match received {
            FromPage::Say { key, text } => match visit.say(me, &key, &text).await {
                Ok(receipt) => receipt,
                Err(why) => Some(problem(Some(key), why)),
            },
            FromPage::Rename { name } => visit.rename(me, &name).await.err().map(|why| problem(None, why)),
            FromPage::Typing => {
                visit.typing(me, socket.socket().id()).await;
                None
            }
        };
        if let Some(answer) = answer {
            socket.send(&answer).await?;
        }
    }
    Ok(())
}

/// The page shows this reason to its reader and, by the code, asks for another room or another name.
fn refuse(invalid: Invalid) -> Close {
    let code = if matches!(invalid, Invalid::Room) { CloseCode::NOT_FOUND } else { CloseCode::BAD_REQUEST };
    Close::new(code, &invalid.to_string())
}
