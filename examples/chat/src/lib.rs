//! A chat: a contract between page and server, and the page itself from memory.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | the page; the room is the part of the URL behind the `#` |
//! | `GET /rooms` | the rooms there are, with how many people are in each |
//! | `WS /chat/{room}?name=NAME` | the calls and pushes of [`Chat`] |
//!
//! It is an example: nobody signs in, so a name is only what somebody calls themselves.

mod contract;
mod page;
mod rooms;
mod words;

use std::sync::Arc;

use wirelark::axum::Json;
use wirelark::axum::extract::{FromRequestParts, Path, Query, State};
use wirelark::axum::http::request::Parts;
use wirelark::axum::response::{IntoResponse, Response};
use wirelark::axum::routing::get;
use wirelark::contract::{Problem, Session};
use wirelark::{App, OpenRooms, Options};

pub use self::contract::{Chat, ChatClient, ChatServer, ChatTester, Limits, Person, Post, Welcome};
pub use self::rooms::Rooms;
pub use self::words::{Invalid, Name, Text};

use self::rooms::{NoPlace, Visit};

/// A welcome carries the whole history: fifty posts of a thousand characters of four bytes each, and who wrote them.
const WELCOME_BYTES_MAX: usize = 256 * 1024;

/// The whole app.
pub fn app() -> App<Rooms> {
    let rooms = Rooms::default();
    let options = Options::new().message_bytes(WELCOME_BYTES_MAX);
    let app = App::with_state(rooms.clone())
        .route("/rooms", get(async |State(rooms): State<Rooms>| Json(rooms.list())))
        .contract("/chat/{room}", Chat::serve(rooms).room_policy(OpenRooms).options(options));
    page::add_to(app)
}

/// One page in one room: what it came with, and its place from hello to goodbye.
#[derive(Debug)]
pub struct Visitor {
    room: String,
    name: String,
    visit: Option<Arc<Visit>>,
}

#[derive(serde::Deserialize)]
struct Asked {
    #[serde(default)]
    name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(room) = Path::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let Query(Asked { name }) =
            Query::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self { room, name, visit: None })
    }
}

type Page = Session<Chat, Visitor>;

impl ChatServer for Rooms {
    type Data = Visitor;

    async fn attached(&self, page: Page) -> wirelark::Result {
        // Refused after the upgrade and not before it: a browser shows its page the reason of a close, and
        // nothing at all of an HTTP answer.
        if let Err(why) = self.welcome(&page).await {
            page.close(why.code(), &why.to_string());
        }
        Ok(())
    }

    async fn closed(&self, page: Page) -> wirelark::Result {
        if let Some(visit) = page.update(|visitor| visitor.visit.take()) {
            visit.leave(&page).await;
        }
        Ok(())
    }

    async fn say(&self, page: Page, key: String, text: String) -> Result<Post, Problem> {
        let text = Text::try_from(text)?;
        Ok(visit(&page)?.say(&page, key, text).await?)
    }

    async fn rename(&self, page: Page, name: String) -> Result<(), Problem> {
        let name = Name::try_from(name)?;
        visit(&page)?.rename(&page, name).await;
        Ok(())
    }

    async fn typing(&self, page: Page) -> Result<(), Problem> {
        visit(&page)?.typing(&page).await;
        Ok(())
    }
}

impl Rooms {
    async fn welcome(&self, page: &Page) -> Result<(), NoPlace> {
        let (room, name) = page.data(|visitor| (visitor.room.clone(), visitor.name.clone()));
        let name = Name::try_from(name)?;
        let visit = Arc::new(self.visit(&room)?);
        visit.enter(page, name).await?;
        page.update(|visitor| visitor.visit = Some(visit));
        Ok(())
    }
}

/// A page that was refused may have asked for something before it heard of that.
fn visit(page: &Page) -> Result<Arc<Visit>, Problem> {
    page.data(|visitor| visitor.visit.clone())
        .ok_or_else(|| Problem::new("You are not in this room.").code("AWAY"))
}
