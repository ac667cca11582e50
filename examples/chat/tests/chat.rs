//! The chat over the real stack, in memory.

use std::time::Duration;

use serde_json::{Value, json};
use wirelark::testing::{Client, Host};

fn host() -> Host {
    Host::new(chat::app())
}

/// Joins, and returns the welcome with the client.
async fn join(host: &Host, room: &str, name: &str) -> (Client, Value) {
    let mut client = host.at(&format!("/chat/{room}?name={name}")).connect().await;
    let welcome: Value = client.expect_json().await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    (client, welcome)
}

async fn say(client: &mut Client, key: &str, text: &str) {
    client.send_json(&json!({"type": "say", "key": key, "text": text})).await;
}

async fn expect(client: &mut Client, kind: &str) -> Value {
    let message: Value = client.expect_json().await;
    assert_eq!(message["type"], kind, "{message}");
    message
}

fn names(welcome: &Value) -> Vec<&str> {
    let people = welcome["people"].as_array().expect("a list of people");
    people.iter().map(|person| person["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn two_people_meet_and_talk() {
    let host = host();
    let (mut ada, welcome) = join(&host, "lobby", "Ada").await;
    assert_eq!(names(&welcome), ["Ada"]);
    let (mut bob, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(names(&welcome), ["Ada", "Bob"]);
    assert_eq!(expect(&mut ada, "joined").await["person"]["name"], "Bob");

    bob.send_json(&json!({"type": "typing"})).await;
    assert_eq!(expect(&mut ada, "typing").await["id"], welcome["you"]);
    say(&mut bob, "k1", "  hi <b>Ada</b> ").await;
    for client in [&mut ada, &mut bob] {
        let said = expect(client, "said").await;
        assert_eq!((&said["post"]["text"], &said["post"]["key"]), (&json!("hi <b>Ada</b>"), &json!("k1")));
        assert_eq!(said["post"]["author"], json!({"id": welcome["you"], "name": "Bob"}));
    }
    host.close().await;
}

#[tokio::test]
async fn a_leave_is_announced_however_it_happens() {
    let host = host();
    let (mut ada, _) = join(&host, "lobby", "Ada").await;
    for politely in [true, false] {
        let (mut bob, welcome) = join(&host, "lobby", "Bob").await;
        expect(&mut ada, "joined").await;
        if politely {
            bob.close(1000, "").await;
            bob.expect_close(1000).await;
        } else {
            bob.drop_connection();
        }
        assert_eq!(expect(&mut ada, "left").await["id"], welcome["you"]);
    }
    let (_, welcome) = join(&host, "lobby", "Cy").await;
    assert_eq!(names(&welcome), ["Ada", "Cy"]);
    host.close().await;
}

#[tokio::test]
async fn a_room_remembers_fifty_posts() {
    let host = host();
    let (mut ada, _) = join(&host, "lobby", "Ada").await;
    for n in 0..53 {
        say(&mut ada, &format!("k{n}"), &format!("post {n}")).await;
        expect(&mut ada, "said").await;
    }
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    let history = welcome["history"].as_array().expect("a history");
    let texts: Vec<_> =
        history.iter().map(|post| post["text"].as_str().expect("a text").to_owned()).collect();
    assert_eq!(texts, (3..53).map(|n| format!("post {n}")).collect::<Vec<_>>());
    assert!(history.is_sorted_by_key(|post| post["id"].as_u64()), "ids do not rise: {history:?}");
    let (_, elsewhere) = join(&host, "garden", "Bob").await;
    assert_eq!(elsewhere["history"], json!([]));
    host.close().await;
}

#[tokio::test]
async fn the_longest_history_fits_a_message() {
    let host = host();
    let (mut ada, _) = join(&host, "lobby", "Ada").await;
    let longest = "🦉".repeat(1000);
    for n in 0..50 {
        say(&mut ada, &format!("k{n}"), &longest).await;
        expect(&mut ada, "said").await;
    }
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(welcome["history"][49]["text"], json!(longest));
    host.close().await;
}

#[tokio::test]
async fn a_post_sent_again_is_posted_once() {
    let host = host();
    let (mut ada, _) = join(&host, "lobby", "Ada").await;
    say(&mut ada, "same", "hello").await;
    let first = expect(&mut ada, "said").await;
    ada.drop_connection();
    let (mut ada, welcome) = join(&host, "lobby", "Ada").await;
    assert_eq!(welcome["history"], json!([first["post"]]));
    say(&mut ada, "same", "hello").await;
    assert_eq!(expect(&mut ada, "said").await, first);
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(welcome["history"], json!([first["post"]]));
    host.close().await;
}

#[tokio::test]
async fn a_room_survives_its_last_visitor() {
    let host = host();
    let (mut ada, _) = join(&host, "lobby", "Ada").await;
    say(&mut ada, "k", "see you").await;
    expect(&mut ada, "said").await;
    ada.close(1000, "").await;
    ada.expect_close(1000).await;
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(welcome["history"][0]["text"], "see you");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_are_bounded_and_the_oldest_idle_one_goes_first() {
    let host = host();
    let (mut here, _) = join(&host, "room-0", "Ada").await;
    say(&mut here, "k", "kept").await;
    expect(&mut here, "said").await;
    for n in 1..=100 {
        let (mut passing, _) = join(&host, &format!("room-{n}"), "Bob").await;
        say(&mut passing, "k", "passing").await;
        expect(&mut passing, "said").await;
        passing.close(1000, "").await;
        passing.expect_close(1000).await;
        host.advance(Duration::from_millis(1)).await;
    }
    assert_eq!(rooms(&host).await.len(), 100);
    // The 101st took the place of the first that was left; the one with somebody in it stayed.
    let (_, first) = join(&host, "room-0", "Cy").await;
    assert_eq!(first["history"][0]["text"], "kept");
    let (_, second) = join(&host, "room-1", "Cy").await;
    assert_eq!(second["history"], json!([]));
    host.close().await;
}

#[tokio::test]
async fn a_room_without_posts_is_forgotten() {
    let host = host();
    let (mut ada, _) = join(&host, "empty", "Ada").await;
    assert_eq!(rooms(&host).await, [json!({"name": "empty", "people": 1})]);
    ada.close(1000, "").await;
    ada.expect_close(1000).await;
    // The place is given back by the handler, which may end a moment after the client has seen the close.
    while !rooms(&host).await.is_empty() {
        tokio::task::yield_now().await;
    }
    host.close().await;
}

#[tokio::test]
async fn bad_names_and_rooms_are_refused_with_a_reason() {
    let host = host();
    let long_name = format!("lobby?name={}", "x".repeat(25));
    for (path, code, reason) in [
        ("lobby", 4400, "Please choose a name."),
        ("lobby?name=%20%20", 4400, "Please choose a name."),
        (long_name.as_str(), 4400, "A name has at most 24 characters."),
        ("lobby?name=a%00b", 4400, "A name needs a letter or a digit, and no control characters."),
        ("lobby?name=%E2%80%8B", 4400, "A name needs a letter or a digit, and no control characters."),
        ("lobby?name=abc%E2%80%AEcba", 4400, "A name needs a letter or a digit, and no control characters."),
        ("a%2Fb?name=Ada", 4404, "A room's name has 1 to 32 letters, digits, - and _."),
        ("two%20words?name=Ada", 4404, "A room's name has 1 to 32 letters, digits, - and _."),
    ] {
        let mut client = host.at(&format!("/chat/{path}")).connect().await;
        assert_eq!(client.expect_close(code).await, reason, "{path}");
    }
    assert!(rooms(&host).await.is_empty());
    host.close().await;
}

#[tokio::test]
async fn good_names_and_rooms_are_taken() {
    let host = host();
    for (path, name) in [("K%C3%A4se_2-b", "%20Ada%20%0A%20Lovelace%20"), ("lobby", "Zo%C3%AB+%F0%9F%A6%89")]
    {
        let (_, welcome) = join(&host, path, name).await;
        assert!(["Ada Lovelace", "Zoë 🦉"].contains(&names(&welcome)[0]), "{welcome}");
    }
    host.close().await;
}

#[tokio::test]
async fn bad_texts_are_answered_and_nobody_else_sees_them() {
    let host = host();
    let (mut ada, _) = join(&host, "lobby", "Ada").await;
    let (mut bob, _) = join(&host, "lobby", "Bob").await;
    expect(&mut ada, "joined").await;
    for (text, reason) in [
        (" \n ", "There is nothing to send."),
        ("a\u{7}", "A message cannot hold control characters."),
        (&*"x".repeat(1001), "A message has at most 1000 characters; this one has 1001."),
    ] {
        say(&mut ada, "k", text).await;
        let problem = expect(&mut ada, "problem").await;
        assert_eq!(problem, json!({"type": "problem", "key": "k", "text": reason}));
    }
    bob.expect_nothing_for(Duration::from_millis(50)).await;
    ada.send_text("not JSON").await;
    assert_eq!(ada.expect_close(1007).await, "not a message of this chat");
    host.close().await;
}

#[tokio::test]
async fn a_name_can_be_changed() {
    let host = host();
    let (mut ada, welcome) = join(&host, "lobby", "Ada").await;
    ada.send_json(&json!({"type": "rename", "name": " "})).await;
    assert_eq!(expect(&mut ada, "problem").await["text"], "Please choose a name.");
    ada.send_json(&json!({"type": "rename", "name": "Countess"})).await;
    assert_eq!(
        expect(&mut ada, "renamed").await["person"],
        json!({"id": welcome["you"], "name": "Countess"})
    );
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(names(&welcome), ["Countess", "Bob"]);
    host.close().await;
}

async fn rooms(host: &Host) -> Vec<Value> {
    let request = wirelark::axum::http::Request::get("/rooms").body(Default::default()).expect("a request");
    let body = host.request(request).await.into_body();
    let bytes = wirelark::axum::body::to_bytes(body, 64 * 1024).await.expect("a body");
    serde_json::from_slice(&bytes).expect("JSON")
}
