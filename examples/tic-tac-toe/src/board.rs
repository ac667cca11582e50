//! The rules: nine cells, two marks, three in a row.

use std::fmt;

use serde::{Deserialize, Serialize};
use wirelark::schemars::{self, JsonSchema};

use crate::contract::GameError;

/// What a player puts on the board.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum Mark {
    /// Begins the first game.
    X,
    /// The other one.
    O,
}

impl Mark {
    fn other(self) -> Self {
        match self {
            Self::X => Self::O,
            Self::O => Self::X,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One of the nine cells, row by row from the top left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8")]
#[schemars(extend("maximum" = 8))]
pub struct Cell(u8);

impl TryFrom<u8> for Cell {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        if number < 9 {
            Ok(Self(number))
        } else {
            Err(format!("The cells are 0 to 8: there is no {number}."))
        }
    }
}

/// How far a game is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "camelCase")]
pub enum State {
    /// Somebody is to move.
    Turn {
        /// Who.
        mark: Mark,
    },
    /// Somebody has three in a row.
    Won {
        /// Who.
        mark: Mark,
        /// Where.
        line: [Cell; 3],
    },
    /// The board is full.
    Draw,
}

/// A board, and how far its game is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Board {
    /// What is on the nine cells, row by row.
    pub cells: [Option<Mark>; 9],
    /// Whose turn it is, or how the game ended.
    pub state: State,
    #[serde(skip, default = "first")]
    began: Mark,
}

const LINES: [[u8; 3]; 8] =
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];

fn first() -> Mark {
    Mark::X
}

impl Default for Board {
    fn default() -> Self {
        Self::of_game_begun_by(first())
    }
}

impl Board {
    fn of_game_begun_by(mark: Mark) -> Self {
        Self { cells: [None; 9], state: State::Turn { mark }, began: mark }
    }

    /// Puts a mark on a cell.
    pub(crate) fn place(&mut self, mark: Mark, Cell(cell): Cell) -> Result<(), GameError> {
        match self.state {
            State::Turn { mark: turn } if turn != mark => return Err(GameError::NotYourTurn { turn }),
            State::Turn { .. } => {}
            State::Won { .. } | State::Draw => return Err(GameError::Over),
        }
        let place = &mut self.cells[usize::from(cell)];
        if place.is_some() {
            return Err(GameError::Taken);
        }
        *place = Some(mark);
        self.state = self.state_after(mark);
        Ok(())
    }

    /// A new game, begun by who went second.
    pub(crate) fn again(&mut self) -> Result<(), GameError> {
        if let State::Turn { .. } = self.state {
            return Err(GameError::NotOver);
        }
        *self = Self::of_game_begun_by(self.began.other());
        Ok(())
    }

    fn state_after(&self, mark: Mark) -> State {
        let has = |cell: &u8| self.cells[usize::from(*cell)] == Some(mark);
        match LINES.into_iter().find(|line| line.iter().all(has)) {
            Some(line) => State::Won { mark, line: line.map(Cell) },
            None if self.cells.iter().all(Option::is_some) => State::Draw,
            None => State::Turn { mark: mark.other() },
        }
    }
}
