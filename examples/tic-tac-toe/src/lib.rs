//! Tic-tac-toe in rooms: a contract, and a React page whose types are generated from it.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | the page; the room is the part of the URL behind the `#` |
//! | `WS /game/{room}?player=KEY` | the calls and pushes of [`Game`] |
//! | `GET /asyncapi.json` | the contract as a document, of which `page/src/game.ts` is made |

mod board;
mod contract;
mod player;
mod rooms;

use std::sync::Arc;

use demo::asset;
use wirelark::axum::routing::get;
use wirelark::contract::Session;
use wirelark::{App, CloseCode, OpenRooms};

pub use self::board::{Board, Cell, Mark, State};
pub use self::contract::{Game, GameClient, GameError, GameServer, GameTester, Name, People, Player};
pub use self::player::Visitor;
pub use self::rooms::Rooms;

use self::rooms::Room;

/// The whole app. The page is built already: see `page/README.md`.
pub fn app() -> App {
    App::new()
        .about("Tic-tac-toe", env!("CARGO_PKG_VERSION"))
        .asyncapi("/asyncapi.json")
        .contract("/game/{room}", Game::serve(Rooms::default()).room_policy(OpenRooms))
        .route("/", get(async || asset("text/html; charset=utf-8", include_str!("../page/dist/index.html"))))
        .route(
            "/page.css",
            get(async || asset("text/css; charset=utf-8", include_str!("../page/dist/page.css"))),
        )
        .route(
            "/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../page/dist/page.js"))),
        )
}

type Page = Session<Game, Visitor>;

impl GameServer for Rooms {
    type Data = Visitor;

    async fn attached(&self, page: Page) -> wirelark::Result {
        let player = page.data(|visitor| visitor.player.clone());
        match self.room(page.room().name()) {
            Some(room) if room.enter(&page, player).await => page.update(|visitor| visitor.room = Some(room)),
            _ => page.close(CloseCode::TRY_AGAIN, "There are too many people here. Try again later."),
        }
        Ok(())
    }

    async fn closed(&self, page: Page) -> wirelark::Result {
        if let Some(room) = page.update(|visitor| visitor.room.take()) {
            room.leave(&page).await;
        }
        Ok(())
    }

    async fn join(&self, page: Page, name: Name) -> Result<Mark, GameError> {
        room(&page)?.join(&page, name).await
    }

    async fn place(&self, page: Page, cell: Cell) -> Result<(), GameError> {
        room(&page)?.place(&page, cell).await
    }

    async fn again(&self, page: Page) -> Result<(), GameError> {
        room(&page)?.again(&page).await
    }
}

/// A page that was turned away may have asked for something before it heard of that.
fn room(page: &Page) -> Result<Arc<Room>, GameError> {
    page.data(|visitor| visitor.room.clone()).ok_or(GameError::Watching)
}
