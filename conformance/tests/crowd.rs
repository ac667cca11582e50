//! Many sessions at rest, each of a user and in a room: heartbeats reach them all, none is lost, and each answers afterwards.
//!
//! `CROWD=100000 cargo nextest run --release -p conformance --test crowd` makes a larger crowd than the suite has time for.
//! Over TCP `bench-load hold` does the same from a process of its own.

mod ways;

use std::time::Duration;

use serde_json::{Value, json};
use wirelark::metric_names::{ACTIVE, CONNECTIONS};
use wirelark::testing::{Client, Host};

/// What the suite has time for.
const CROWD: usize = 10_000;
/// Who comes is announced to the room, so that rooms are small.
const ROOM: usize = 5;

fn crowd() -> usize {
    std::env::var("CROWD").map_or(CROWD, |crowd| crowd.parse().expect("CROWD is a number"))
}

#[tokio::test(start_paused = true)]
async fn a_crowd_at_rest_is_kept_and_answers() {
    let host = Host::new(conformance::app());
    let token = ways::token(&json!({"sub": "ada"}));
    let mut sessions = Vec::new();
    for number in 0..crowd() {
        let path = format!("/rpc/r{}?name=n{number}", number / ROOM);
        sessions.push(host.at(&path).bearer(&token).connect().await);
    }
    // Two heartbeats of 25 s: the first was answered, or its connection would be gone.
    for _ in 0..6 {
        host.advance(Duration::from_secs(10)).await;
    }
    for (number, session) in sessions.iter_mut().enumerate() {
        let room = room(number, crowd());
        for came_later in &room[number % ROOM + 1..] {
            assert_eq!(session.expect_json::<Value>().await["body"]["name"], **came_later);
        }
        for _ in 0..2 {
            session.expect_ping().await;
        }
        assert_eq!(names(session).await, room, "session {number}");
    }
    let count = |metric| host.counter(metric, &[("route", "/rpc/{room}")]);
    assert_eq!([count(CONNECTIONS), count(ACTIVE)], [crowd() as u64; 2]);
    host.close().await;
}

/// The names of everybody in a session's room, as the server tells them.
async fn names(session: &mut Client) -> Vec<String> {
    let request = json!({"socka": "clientRequest", "v": 1, "id": "who", "rpc": "who", "body": {}});
    session.send_json(&request).await;
    let answer: Value = session.expect_json().await;
    let people = answer["body"].as_array().unwrap_or_else(|| panic!("{answer}"));
    people.iter().filter_map(|person| Some(person["name"].as_str()?.to_owned())).collect()
}

/// Who came to the room of a session, in that order.
fn room(number: usize, crowd: usize) -> Vec<String> {
    let first = number - number % ROOM;
    (first..(first + ROOM).min(crowd)).map(|number| format!("n{number}")).collect()
}
