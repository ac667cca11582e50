//! Input that is checked beyond its shape: what is wrong reaches the caller, and not the handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wirelark::contract::{Session, Valid};
use wirelark::testing::{Client, Host};
use wirelark::{App, contract};

#[derive(Debug, Serialize, Deserialize, JsonSchema, garde::Validate)]
struct NewPost {
    #[garde(length(min = 1, max = 5))]
    title: String,
    #[garde(inner(length(max = 3)))]
    tags: Vec<String>,
}

#[contract(rename_all = "camelCase")]
trait Posts {
    async fn rate(
        &self,
        #[garde(length(min = 2))] title: String,
        #[garde(range(min = 1, max = 5))]
        #[serde(default)]
        stars: u8,
        comment: Option<String>,
    ) -> u8;
    async fn post(&self, #[body] input: Valid<NewPost>) -> Valid<NewPost>;
    #[send]
    async fn discard(&self, #[garde(range(max = 9))] id: u32);
}

struct Server(Arc<AtomicU32>);

impl PostsServer for Server {
    type Data = ();

    async fn rate(&self, _: Session<Posts, ()>, _: String, stars: u8, _: Option<String>) -> u8 {
        self.0.fetch_add(1, SeqCst);
        stars
    }

    async fn post(&self, _: Session<Posts, ()>, input: Valid<NewPost>) -> Valid<NewPost> {
        self.0.fetch_add(1, SeqCst);
        input
    }

    async fn discard(&self, _: Session<Posts, ()>, _: u32) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A client, and how many handlers have run.
async fn connected() -> (Host, Client, Arc<AtomicU32>) {
    let ran = Arc::new(AtomicU32::new(0));
    let host = Host::new(App::new().contract("/posts", Posts::serve(Server(Arc::clone(&ran)))));
    let client = host.at("/posts").connect().await;
    (host, client, ran)
}

fn request(call: &str, body: &str) -> String {
    format!(r#"{{"socka":"clientRequest","v":1,"id":"1","rpc":"{call}","body":{body}}}"#)
}

async fn check_refused(client: &mut Client, call: &str, body: &str, error: &str) {
    client.send_text(&request(call, body)).await;
    let expected = format!(r#"{{"socka":"serverError","v":1,"id":"1","error":"{error}","rpc":"{call}"}}"#);
    assert_eq!(client.expect_text().await, expected, "{body}");
}

async fn check_answered(client: &mut Client, call: &str, body: &str, answer: &str) {
    client.send_text(&request(call, body)).await;
    let expected = format!(r#"{{"socka":"serverResponse","v":1,"id":"1","rpc":"{call}","body":{answer}}}"#);
    assert_eq!(client.expect_text().await, expected, "{body}");
}

#[tokio::test(start_paused = true)]
async fn invalid_arguments_are_named_and_the_handler_does_not_run() {
    let (host, mut client, ran) = connected().await;
    let both = "stars: lower than 1; title: length is lower than 2";
    check_refused(&mut client, "rate", r#"{"title":"a"}"#, both).await;
    check_refused(&mut client, "rate", r#"{"title":"ab","stars":6}"#, "stars: greater than 5").await;
    check_refused(&mut client, "discard", r#"{"id":10}"#, "id: greater than 9").await;
    // The shape comes first.
    check_refused(&mut client, "rate", r#"{"stars":0}"#, "missing field `title`").await;
    assert_eq!(ran.load(SeqCst), 0);

    check_answered(&mut client, "rate", r#"{"title":"ab","stars":5}"#, "5").await;
    assert_eq!(ran.load(SeqCst), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn invalid_bodies_are_too() {
    let (host, mut client, ran) = connected().await;
    let all = "tags[1]: length is greater than 3; title: length is lower than 1";
    check_refused(&mut client, "post", r#"{"title":"","tags":["abc","abcd"]}"#, all).await;
    assert_eq!(ran.load(SeqCst), 0);

    let valid = r#"{"title":"hello","tags":[]}"#;
    check_answered(&mut client, "post", valid, valid).await;
    assert_eq!(ran.load(SeqCst), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn message_pack_is_validated_alike() {
    let (host, _, ran) = connected().await;
    let mut client = host.at("/posts").protocols(["wirelark.v1.msgpack"]).connect().await;
    // {"socka":"clientRequest","v":1,"id":"1","rpc":"discard","body":{"id":10}}
    let mut frame =
        b"\x85\xa5socka\xadclientRequest\xa1v\x01\xa2id\xa11\xa3rpc\xa7discard\xa4body\x81\xa2id".to_vec();
    frame.push(10);
    client.send_bytes(frame).await;
    let answer = client.expect_bytes().await;
    let error = b"id: greater than 9";
    assert!(answer.windows(error.len()).any(|window| window == error), "{answer:?}");
    assert_eq!(ran.load(SeqCst), 0);
    host.close().await;
}

#[test]
fn a_valid_value_has_the_schema_of_the_value() {
    assert_eq!(schemars::schema_for!(Valid<NewPost>), schemars::schema_for!(NewPost));
}
