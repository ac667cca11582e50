//! Tic-tac-toe over the real stack, in memory.

use std::time::Duration;

use serde_json::{Value, json};
use tic_tac_toe::{Board, Cell, Game, GameTester, Mark, Name, People, Player, State};
use wirelark::client::CloseCode;
use wirelark::testing::{ExpectError as _, Host};

use Mark::{O, X};

fn host() -> Host {
    Host::new(tic_tac_toe::app())
}

/// A page of this player in the lobby.
async fn arrive(host: &Host, player: &str) -> GameTester {
    host.at(&format!("/game/lobby?player={player:-<16}")).contract::<Game>().await
}

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).expect("a name")
}

fn cell(number: u8) -> Cell {
    Cell::try_from(number).expect("a cell")
}

/// A page with a seat.
async fn sit(host: &Host, player: &str, mark: Mark) -> GameTester {
    let page = arrive(host, player).await;
    assert_eq!(page.join(name(player)).await, Ok(mark));
    page
}

/// Two players who know of each other.
async fn two_players(host: &Host) -> (GameTester, GameTester) {
    let (ada, bob) = (sit(host, "Ada", X).await, sit(host, "Bob", O).await);
    for page in [&ada, &bob] {
        expect_people(page, &people(Some(("Ada", true)), Some(("Bob", true)), 0)).await;
    }
    (ada, bob)
}

/// Places marks in turn, X first, and returns the board that both are told of.
async fn play(x: &GameTester, o: &GameTester, cells: &[u8]) -> Board {
    for (turn, number) in cells.iter().enumerate() {
        let page = if turn % 2 == 0 { x } else { o };
        assert_eq!(page.place(cell(*number)).await, Ok(()), "{number}");
    }
    let board = last_board(x, cells.len()).await;
    assert_eq!(last_board(o, cells.len()).await, board);
    board
}

/// Takes the boards a page was told of, up to the one with so many marks.
async fn last_board(page: &GameTester, marks: usize) -> Board {
    loop {
        let board = page.expect_board_changed(|_| true).await;
        if board.cells.iter().flatten().count() == marks {
            return board;
        }
    }
}

fn people(x: Option<(&str, bool)>, o: Option<(&str, bool)>, watching: usize) -> People {
    let player = |(text, here)| Player { name: name(text), here };
    People { x: x.map(player), o: o.map(player), watching }
}

/// Takes what a page was told of people, up to this.
async fn expect_people(page: &GameTester, expected: &People) {
    while page.expect_people_changed(|_| true).await != *expected {}
}

async fn leave(page: GameTester) {
    page.client().close(CloseCode::GOING_AWAY, "").await;
}

#[tokio::test]
async fn three_in_a_row_win() {
    for (cells, line) in [
        ([0, 3, 1, 4, 2], [0, 1, 2]),
        ([3, 0, 4, 1, 5], [3, 4, 5]),
        ([6, 0, 7, 1, 8], [6, 7, 8]),
        ([0, 1, 3, 4, 6], [0, 3, 6]),
        ([1, 0, 4, 3, 7], [1, 4, 7]),
        ([2, 0, 5, 3, 8], [2, 5, 8]),
        ([0, 1, 4, 2, 8], [0, 4, 8]),
        ([2, 1, 4, 0, 6], [2, 4, 6]),
    ] {
        let host = host();
        let (ada, bob) = two_players(&host).await;
        let board = play(&ada, &bob, &cells).await;
        assert_eq!(board.state, State::Won { mark: X, line: line.map(cell) });
        bob.place(cell(cells[4])).await.expect_error("OVER");
        host.close().await;
    }
}

#[tokio::test]
async fn a_full_board_is_a_draw_and_the_other_one_begins_again() {
    let host = host();
    let (ada, bob) = two_players(&host).await;
    let board = play(&ada, &bob, &[0, 1, 2, 4, 3, 5, 7, 6, 8]).await;
    assert_eq!(board.state, State::Draw);
    ada.place(cell(0)).await.expect_error("OVER");

    assert_eq!(bob.again().await, Ok(()));
    let board = ada.expect_board_changed(|board| board.state == State::Turn { mark: O }).await;
    assert_eq!(board.cells, [None; 9]);
    ada.again().await.expect_error("NOT_OVER");
    let board = play(&bob, &ada, &[0, 3, 1, 4, 2]).await;
    assert_eq!(board.state, State::Won { mark: O, line: [0, 1, 2].map(cell) });
    assert_eq!(ada.again().await, Ok(()));
    bob.expect_board_changed(|board| board.state == State::Turn { mark: X }).await;
    host.close().await;
}

#[tokio::test]
async fn what_is_against_the_rules_is_a_typed_error() {
    let host = host();
    let ada = sit(&host, "Ada", X).await;
    ada.place(cell(0)).await.expect_error("ALONE");
    let bob = sit(&host, "Bob", O).await;
    let early = bob.place(cell(0)).await.expect_error("NOT_YOUR_TURN");
    assert_eq!(&*early.message, "It is not your turn, but X's.");
    assert_eq!(early.data::<Value>().map(|data| data.expect("JSON")), Some(json!({"turn": "X"})));
    assert_eq!(ada.place(cell(4)).await, Ok(()));
    bob.place(cell(4)).await.expect_error("TAKEN");
    ada.place(cell(0)).await.expect_error("NOT_YOUR_TURN");
    assert_eq!(bob.place(cell(0)).await, Ok(()), "an error has cost a turn");

    let cy = arrive(&host, "Cy").await;
    cy.join(name("Cy")).await.expect_error("FULL");
    cy.place(cell(1)).await.expect_error("WATCHING");
    cy.again().await.expect_error("WATCHING");
    host.close().await;
}

#[tokio::test]
async fn inputs_are_checked_by_their_types() {
    let host = host();
    let mut page = host.at("/game/lobby?player=0123456789abcdef").connect().await;
    for _arrival in 0..2 {
        page.expect_text().await;
    }
    for (call, body, error) in [
        ("join", r#"{"name":"  "}"#, "A name needs a letter or a digit."),
        ("join", r#"{"name":"Ada\u0007"}"#, "A name has no control characters."),
        ("join", r#"{"name":"a name of 21 letters."}"#, "A name has at most 20 characters."),
        ("place", r#"{"cell":9}"#, "The cells are 0 to 8: there is no 9."),
    ] {
        page.send_text(&format!(
            r#"{{"socka":"clientRequest","v":1,"id":"1","rpc":"{call}","body":{body}}}"#
        ))
        .await;
        let expected =
            format!(r#"{{"socka":"serverError","v":1,"id":"1","error":"{error}","rpc":"{call}"}}"#);
        assert_eq!(page.expect_text().await, expected);
    }
    for query in ["", "?player=short"] {
        host.at(&format!("/game/lobby{query}")).expect_rejected(400).await;
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_again_has_the_same_seat_and_finds_the_same_board() {
    let host = host();
    let (ada, bob) = two_players(&host).await;
    let before = play(&ada, &bob, &[4]).await;
    leave(ada).await;
    expect_people(&bob, &people(Some(("Ada", false)), Some(("Bob", true)), 0)).await;
    assert_eq!(bob.place(cell(0)).await, Ok(()), "who is away does not hold up the game");

    let ada = arrive(&host, "Ada").await;
    expect_people(&bob, &people(Some(("Ada", true)), Some(("Bob", true)), 0)).await;
    let board = ada.expect_board_changed(|_| true).await;
    assert_eq!((board.cells[4], board.cells[0]), (before.cells[4], Some(O)));
    assert_eq!(ada.join(name("Ada L.")).await, Ok(X));
    expect_people(&bob, &people(Some(("Ada L.", true)), Some(("Bob", true)), 0)).await;
    assert_eq!(ada.place(cell(1)).await, Ok(()));

    // All are gone for a while: the game waits for them.
    leave(ada).await;
    leave(bob).await;
    host.advance(Duration::from_secs(3600)).await;
    let bob = sit(&host, "Bob", O).await;
    assert_eq!(bob.expect_board_changed(|_| true).await.cells[1], Some(X));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_seat_is_kept_for_half_a_minute() {
    let host = host();
    let (ada, bob) = two_players(&host).await;
    let cy = arrive(&host, "Cy").await;
    expect_people(&bob, &people(Some(("Ada", true)), Some(("Bob", true)), 1)).await;
    play(&ada, &bob, &[4]).await;
    leave(ada).await;
    expect_people(&cy, &people(Some(("Ada", false)), Some(("Bob", true)), 1)).await;
    host.advance(Duration::from_secs(29)).await;
    cy.join(name("Cy")).await.expect_error("FULL");
    host.advance(Duration::from_secs(1)).await;
    assert_eq!(cy.join(name("Cy")).await, Ok(X), "the seat was kept for longer");
    expect_people(&bob, &people(Some(("Cy", true)), Some(("Bob", true)), 0)).await;
    assert_eq!(bob.place(cell(0)).await, Ok(()), "the game has not gone on with another player");

    let ada = arrive(&host, "Ada").await;
    ada.join(name("Ada")).await.expect_error("FULL");
    host.close().await;
}

#[tokio::test]
async fn a_player_with_two_pages_is_here_until_both_are_gone() {
    let host = host();
    let (ada, bob) = two_players(&host).await;
    let second = sit(&host, "Ada", X).await;
    leave(ada).await;
    assert_eq!(second.place(cell(4)).await, Ok(()));
    leave(second).await;
    // Of the second page's arrival and seat, and of the end of the first and of the second.
    for here in [true, true, true, false] {
        let expected = people(Some(("Ada", here)), Some(("Bob", true)), 0);
        assert_eq!(bob.expect_people_changed(|_| true).await, expected);
    }
    host.close().await;
}

#[tokio::test]
async fn rooms_are_games_of_their_own() {
    let host = host();
    let (ada, bob) = two_players(&host).await;
    play(&ada, &bob, &[4]).await;
    let elsewhere = host.at("/game/garden?player=0123456789abcdef").contract::<Game>().await;
    assert_eq!(elsewhere.expect_board_changed(|_| true).await, Board::default());
    expect_people(&elsewhere, &people(None, None, 1)).await;
    assert_eq!(elsewhere.join(name("Ada")).await, Ok(X));
    host.close().await;
}
