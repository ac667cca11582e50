//! What page and server say to each other. The page's half is generated from it: see `page/src/game.ts`.

use serde::{Deserialize, Serialize};
use wirelark::contract;
use wirelark::contract::Problem;
use wirelark::schemars::{self, JsonSchema};

use crate::board::{Board, Cell, Mark};

/// A game of two, and whoever looks on. The room is in the path, and the player's key in the query.
///
/// On arrival, and so after each lost connection, a page is told board and people.
#[contract(rename_all = "camelCase")]
pub trait Game {
    /// Takes a seat, or gets the caller's own back, and says whose mark is on it.
    async fn join(&self, name: Name) -> Result<Mark, GameError>;
    /// Puts the caller's mark on a cell.
    async fn place(&self, cell: Cell) -> Result<(), GameError>;
    /// Another game, once this one is over. Who went second begins.
    async fn again(&self) -> Result<(), GameError>;

    /// The board as it is now.
    #[push]
    fn board_changed(#[body] board: Board);
    /// Who is here now.
    #[push]
    fn people_changed(#[body] people: People);
}

/// Who is in a room.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct People {
    /// Who plays X.
    pub x: Option<Player>,
    /// Who plays O.
    pub o: Option<Player>,
    /// How many pages look on.
    pub watching: usize,
}

/// Somebody with a seat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Player {
    /// What they want to be called.
    pub name: Name,
    /// Whether they are connected. Who is away for half a minute may lose the seat to somebody else.
    pub here: bool,
}

/// A name: one line with something to read in it, of at most 20 characters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(typed: String) -> Result<Self, Self::Error> {
        let name = typed.split_whitespace().collect::<Vec<_>>().join(" ");
        match name.chars().count() {
            21.. => Err("A name has at most 20 characters."),
            _ if !name.chars().any(char::is_alphanumeric) => Err("A name needs a letter or a digit."),
            _ if name.chars().any(char::is_control) => Err("A name has no control characters."),
            _ => Ok(Self(name)),
        }
    }
}

/// Why the game did not go on, for the reader of the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, Problem)]
#[non_exhaustive]
pub enum GameError {
    /// There are two seats.
    #[error("Both seats are taken: look on, or play in another room.")]
    Full,
    /// Only who has a seat plays.
    #[error("You are looking on: take a seat first.")]
    Watching,
    /// The other seat is empty.
    #[error("Wait for somebody to play with.")]
    Alone,
    /// The other one is to move.
    #[error("It is not your turn, but {turn}'s.")]
    NotYourTurn {
        /// Whose it is.
        #[problem(data)]
        turn: Mark,
    },
    /// There is a mark already.
    #[error("This cell is taken.")]
    Taken,
    /// Nobody is to move.
    #[error("This game is over.")]
    Over,
    /// Nobody starts anew while somebody is losing.
    #[error("This game is not over yet.")]
    NotOver,
}
