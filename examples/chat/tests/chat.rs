//! The chat over the real stack, in memory.

use std::time::Duration;

use chat::{Chat, ChatTester, Post, Welcome};
use serde_json::{Value, json};
use wirelark::client::CloseCode;
use wirelark::testing::{ExpectError as _, Host};

fn host() -> Host {
    Host::new(chat::app())
}

/// Joins, and returns the welcome with the client.
async fn join(host: &Host, room: &str, name: &str) -> (ChatTester, Welcome) {
    let client = host.at(&format!("/chat/{room}?name={name}")).contract::<Chat>().await;
    let welcome = client.expect_welcome(|_| true).await;
    (client, welcome)
}

async fn say(client: &ChatTester, key: &str, text: &str) -> Post {
    let post = client.say(key, text).await.unwrap();
    assert_eq!(client.expect_said(|_| true).await, post, "the author is told as everybody is");
    post
}

async fn leave(client: ChatTester) {
    client.client().close(CloseCode::NORMAL, "").await;
}

fn names(welcome: &Welcome) -> Vec<String> {
    welcome.people.iter().map(|person| person.name.to_string()).collect()
}

fn texts(welcome: &Welcome) -> Vec<String> {
    welcome.history.iter().map(|post| post.text.to_string()).collect()
}

#[tokio::test]
async fn two_people_meet_and_talk() {
    let host = host();
    let (ada, welcome) = join(&host, "lobby", "Ada").await;
    assert_eq!(names(&welcome), ["Ada"]);
    let (bob, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(names(&welcome), ["Ada", "Bob"]);
    let me = welcome.people[1].clone();
    assert_eq!(me.id, welcome.you);
    assert_eq!(ada.expect_joined(|_| true).await, me);

    bob.typing().await.unwrap();
    assert_eq!(ada.expect_is_typing(|_| true).await, me.id);
    let post = say(&bob, "k1", "  hi <b>Ada</b> ").await;
    assert_eq!((post.text.to_string().as_str(), &*post.key), ("hi <b>Ada</b>", "k1"));
    assert_eq!(post.author, me);
    assert_eq!(ada.expect_said(|_| true).await, post);
    host.close().await;
}

#[tokio::test]
async fn a_leave_is_announced_however_it_happens() {
    let host = host();
    let (ada, _) = join(&host, "lobby", "Ada").await;
    for politely in [true, false] {
        let mut bob = host.at("/chat/lobby?name=Bob").connect().await;
        let welcome: Value = bob.expect_json().await;
        ada.expect_joined(|_| true).await;
        if politely {
            bob.close(1000, "").await;
            bob.expect_close(1000).await;
        } else {
            bob.drop_connection();
        }
        assert_eq!(ada.expect_left(|_| true).await, welcome["body"]["you"]);
    }
    let (_, welcome) = join(&host, "lobby", "Cy").await;
    assert_eq!(names(&welcome), ["Ada", "Cy"]);
    host.close().await;
}

#[tokio::test]
async fn a_room_remembers_fifty_posts() {
    let host = host();
    let (ada, _) = join(&host, "lobby", "Ada").await;
    for n in 0..53 {
        say(&ada, &format!("k{n}"), &format!("post {n}")).await;
    }
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(texts(&welcome), (3..53).map(|n| format!("post {n}")).collect::<Vec<_>>());
    assert!(welcome.history.is_sorted_by(|one, next| one.id < next.id), "ids do not rise: {welcome:?}");
    let (_, elsewhere) = join(&host, "garden", "Bob").await;
    assert_eq!(elsewhere.history, []);
    host.close().await;
}

#[tokio::test]
async fn the_longest_history_arrives_whole() {
    let host = host();
    let (ada, _) = join(&host, "lobby", "Ada").await;
    let longest = "🦉".repeat(1000);
    for n in 0..50 {
        say(&ada, &format!("k{n}"), &longest).await;
    }
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(welcome.history[49].text.to_string(), longest);
    host.close().await;
}

#[tokio::test]
async fn a_post_sent_again_is_posted_once() {
    let host = host();
    let (ada, _) = join(&host, "lobby", "Ada").await;
    let first = say(&ada, "same", "hello").await;
    leave(ada).await;
    let (ada, welcome) = join(&host, "lobby", "Ada").await;
    assert_eq!(welcome.history.as_slice(), std::slice::from_ref(&first));
    assert_eq!(ada.say("same", "hello").await, Ok(first.clone()));
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(welcome.history, [first]);
    host.close().await;
}

#[tokio::test]
async fn a_room_survives_its_last_visitor() {
    let host = host();
    let (ada, _) = join(&host, "lobby", "Ada").await;
    say(&ada, "k", "see you").await;
    leave(ada).await;
    let (_, welcome) = join(&host, "lobby", "Bob").await;
    assert_eq!(texts(&welcome), ["see you"]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_are_bounded_and_the_oldest_idle_one_goes_first() {
    let host = host();
    let (here, _) = join(&host, "room-0", "Ada").await;
    say(&here, "k", "kept").await;
    for n in 1..=100 {
        let (passing, _) = join(&host, &format!("room-{n}"), "Bob").await;
        say(&passing, "k", "passing").await;
        leave(passing).await;
        host.advance(Duration::from_millis(1)).await;
    }
    assert_eq!(rooms(&host).await.len(), 100);
    // The 101st took the place of the first that was left; the one with somebody in it stayed.
    let (_, first) = join(&host, "room-0", "Cy").await;
    assert_eq!(texts(&first), ["kept"]);
    let (_, second) = join(&host, "room-1", "Cy").await;
    assert_eq!(second.history, []);
    host.close().await;
}

#[tokio::test]
async fn a_room_without_posts_is_forgotten() {
    let host = host();
    let (ada, _) = join(&host, "empty", "Ada").await;
    assert_eq!(rooms(&host).await, [json!({"name": "empty", "people": 1})]);
    leave(ada).await;
    // The place is given back a moment after the client has seen the close.
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
        assert!(["Ada Lovelace", "Zoë 🦉"].contains(&&*names(&welcome)[0]), "{welcome:?}");
    }
    host.close().await;
}

#[tokio::test]
async fn bad_texts_are_answered_and_nobody_else_sees_them() {
    let host = host();
    let (ada, _) = join(&host, "lobby", "Ada").await;
    let (bob, _) = join(&host, "lobby", "Bob").await;
    for (key, text, reason) in [
        ("k", " \n ", "There is nothing to send."),
        ("k", "a\u{7}", "A message cannot hold control characters."),
        ("k", &*"x".repeat(1001), "A message has at most 1000 characters; this one has 1001."),
        ("", "hello", "A message needs a key of 1 to 64 bytes."),
    ] {
        assert_eq!(&*ada.say(key, text).await.expect_error("INVALID").message, reason);
    }
    let post = say(&ada, "k", "hello").await;
    assert_eq!(bob.expect_said(|_| true).await, post, "the first that others hear");
    host.close().await;
}

#[tokio::test]
async fn a_page_without_a_place_can_do_nothing() {
    let host = host();
    let mut nobody = host.at("/chat/lobby?name=").connect().await;
    // Sent before it has heard that it is refused, as a page might.
    nobody
        .send_json(&json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": "say", "body": {"key": "k", "text": "hi"}}))
        .await;
    nobody.expect_close(4400).await;
    let (_, welcome) = join(&host, "lobby", "Ada").await;
    assert_eq!((names(&welcome), welcome.history), (vec!["Ada".to_owned()], vec![]));
    host.close().await;
}

#[tokio::test]
async fn a_name_can_be_changed() {
    let host = host();
    let (ada, welcome) = join(&host, "lobby", "Ada").await;
    let error = ada.rename(" ").await.expect_error("INVALID");
    assert_eq!(&*error.message, "Please choose a name.");
    ada.rename("Countess").await.unwrap();
    let renamed = ada.expect_renamed(|_| true).await;
    assert_eq!((renamed.id, &*renamed.name.to_string()), (welcome.you, "Countess"));
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
