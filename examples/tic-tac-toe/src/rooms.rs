//! The rooms: who is in them, and the board between them.
//!
//! Everything here has a bound: rooms, and pages in a room. A room with nobody in it is kept until its place is
//! needed, so that two players whose network fails find their game again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wirelark::ConnectionId;
use wirelark::RoomName;

use crate::Page;
use crate::board::{Board, Cell, Mark};
use crate::contract::{Game, GameError, Name, People, Player};
use crate::player::Key;

const ROOMS_MAX: usize = 1000;
const PAGES_MAX: usize = 100;
/// How long a seat is kept for a player who is away; whoever asks for it after that gets it.
const SEAT_KEPT: Duration = Duration::from_secs(30);

/// All rooms. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rooms {
    by_name: Arc<Mutex<HashMap<RoomName, Arc<Room>>>>,
}

impl Rooms {
    /// The room of this name, which is new if there was none; `None` when there are people in all there may be.
    pub(crate) fn room(&self, name: &RoomName) -> Option<Arc<Room>> {
        let mut by_name = self.lock();
        if !by_name.contains_key(name) && by_name.len() >= ROOMS_MAX {
            // Nobody but the map holds a room that nobody is in.
            let idle = by_name.iter().find(|(_, room)| Arc::strong_count(room) == 1);
            let idle = idle.map(|(name, _)| name.clone())?;
            by_name.remove(&idle);
        }
        Some(Arc::clone(by_name.entry(name.clone()).or_default()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomName, Arc<Room>>> {
        // Nothing panics half-way through a change of the map.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().keys()).finish()
    }
}

/// A room. A page in it holds it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    // Held while a change is pushed: what pages are told comes in the order in which it happened. An async lock,
    // because pushing may wait.
    inside: tokio::sync::Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    board: Board,
    x: Option<Seat>,
    o: Option<Seat>,
    /// Whose page each connection is. A player has two for a moment, when a page is back before its old connection
    /// is known to be lost.
    pages: HashMap<ConnectionId, Key>,
}

#[derive(Debug)]
struct Seat {
    key: Key,
    name: Name,
    /// Since when the player has no page here.
    away: Option<Instant>,
}

impl Room {
    /// Lets a page in, and tells it how things are; false when there are too many.
    pub(crate) async fn enter(&self, page: &Page, key: Key) -> bool {
        let mut inside = self.inside.lock().await;
        if inside.pages.len() >= PAGES_MAX {
            return false;
        }
        if let Some(seat) = inside.seat_of(&key).and_then(|mark| inside.seat(mark).as_mut()) {
            seat.away = None;
        }
        inside.pages.insert(page.id(), key);
        // Through the hub, which waits for no page: everybody else is waiting for the lock.
        let board = Game::board_changed(inside.board.clone());
        page.hub().contract::<Game>().connection(page.id(), board).await;
        inside.tell_people(page).await;
        true
    }

    pub(crate) async fn leave(&self, page: &Page) {
        let mut inside = self.inside.lock().await;
        let Some(key) = inside.pages.remove(&page.id()) else { return };
        if !inside.pages.values().any(|other| *other == key)
            && let Some(seat) = inside.seat_of(&key).and_then(|mark| inside.seat(mark).as_mut())
        {
            seat.away = Some(Instant::now());
        }
        inside.tell_people(page).await;
    }

    pub(crate) async fn join(&self, page: &Page, name: Name) -> Result<Mark, GameError> {
        let mut inside = self.inside.lock().await;
        let key = inside.pages.get(&page.id()).cloned().ok_or(GameError::Watching)?;
        let mark = inside.seat_of(&key).or_else(|| inside.free_seat()).ok_or(GameError::Full)?;
        *inside.seat(mark) = Some(Seat { key, name, away: None });
        inside.tell_people(page).await;
        Ok(mark)
    }

    pub(crate) async fn place(&self, page: &Page, cell: Cell) -> Result<(), GameError> {
        let mut inside = self.inside.lock().await;
        let mark = inside.player(page)?;
        inside.board.place(mark, cell)?;
        inside.tell_board(page).await;
        Ok(())
    }

    pub(crate) async fn again(&self, page: &Page) -> Result<(), GameError> {
        let mut inside = self.inside.lock().await;
        inside.player(page)?;
        inside.board.again()?;
        inside.tell_board(page).await;
        Ok(())
    }
}

impl Inside {
    fn seat(&mut self, mark: Mark) -> &mut Option<Seat> {
        match mark {
            Mark::X => &mut self.x,
            Mark::O => &mut self.o,
        }
    }

    fn seat_of(&self, key: &Key) -> Option<Mark> {
        let sits = |seat: &Option<Seat>| seat.as_ref().is_some_and(|seat| seat.key == *key);
        if sits(&self.x) { Some(Mark::X) } else { sits(&self.o).then_some(Mark::O) }
    }

    /// An empty seat, or else one whose player has been away for too long.
    fn free_seat(&self) -> Option<Mark> {
        let seats = [(Mark::X, &self.x), (Mark::O, &self.o)];
        let left = |seat: &Seat| seat.away.is_some_and(|since| since.elapsed() >= SEAT_KEPT);
        let empty = seats.iter().find(|(_, seat)| seat.is_none());
        let free = empty.or_else(|| seats.iter().find(|(_, seat)| seat.as_ref().is_some_and(left)));
        free.map(|(mark, _)| *mark)
    }

    /// The mark of a page's player, if there is somebody to play with.
    fn player(&self, page: &Page) -> Result<Mark, GameError> {
        let key = self.pages.get(&page.id()).ok_or(GameError::Watching)?;
        let mark = self.seat_of(key).ok_or(GameError::Watching)?;
        if self.x.is_some() && self.o.is_some() { Ok(mark) } else { Err(GameError::Alone) }
    }

    async fn tell_board(&self, page: &Page) {
        page.room().push(Game::board_changed(self.board.clone())).await;
    }

    async fn tell_people(&self, page: &Page) {
        let player = |seat: &Option<Seat>| {
            seat.as_ref().map(|Seat { name, away, .. }| Player { name: name.clone(), here: away.is_none() })
        };
        let watching = self.pages.values().filter(|key| self.seat_of(key).is_none()).count();
        let people = People { x: player(&self.x), o: player(&self.o), watching };
        page.room().push(Game::people_changed(people)).await;
    }
}
