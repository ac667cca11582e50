//! All a contract can say.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wirelark::contract::{BigInt, Contract as _, Problem, Push, Session};
use wirelark::{App, contract};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Post {
    text: String,
}

/// Comments of the contract
/// in two lines.
#[contract(name = "Everything.v1", rename_all = "camelCase")]
pub trait Everything {
    /// Fails with an error of its own.
    async fn typed(&self, text: String) -> Result<Post, PostError>;
    /// Fails with anything.
    async fn untyped(&self) -> wirelark::Result<Post>;
    /// Never fails.
    async fn infallible(&self, first_number: u32, second_number: BigInt<u64>) -> Vec<Post>;
    async fn never_fails_in_words(&self) -> Result<u32, Infallible>;
    /// Answered without a body.
    #[rate(per_second = 5)]
    async fn ack(&self);
    async fn ack_or_problem(&self) -> Result<(), Problem>;
    async fn ack_or_anything(&self) -> wirelark::Result;
    #[send]
    #[rate(per_minute = 10, burst = 3, by = user)]
    async fn send(&self, text: String);
    #[send]
    async fn send_or_problem(&self) -> Result<(), Problem>;
    /// The argument is the body.
    async fn whole(
        &self,
        /// Comments are no attributes of a field.
        #[body]
        post: Post,
    ) -> Post;
    #[name = "other.name:with-marks_1"]
    #[rate(by = address, per_hour = 1_000)]
    async fn renamed(&self);
    async fn r#match(&self, r#type: String);
    async fn attributes(
        &self,
        /// Said about the field.
        #[serde(default)]
        #[schemars(range(max = 10))]
        limit: u32,
        #[serde(rename = "class")] kind: Option<String>,
    );

    #[push]
    fn reliable();
    #[push(reliable)]
    fn reliable_in_words(text: String);
    /// Only the latest.
    #[push(conflate = id)]
    fn conflated(id: u32, x: f32, y: f32);
    #[push(conflate(room, id))]
    fn conflated_by_two(room: String, id: u32, x: f32);
    #[push(drop_oldest)]
    fn droppable(#[body] posts: Vec<Post>);
    #[push(sample = 10)]
    fn sampled(level: f32);
    #[push(sample = 0.5)]
    #[name = "seldom"]
    fn sampled_seldom();
}

pub struct PostError;

impl From<PostError> for Problem {
    fn from(PostError: PostError) -> Self {
        Self::new("it cannot be posted")
    }
}

struct Server;

type Caller = Session<Everything, ()>;

impl EverythingServer for Server {
    type Data = ();

    async fn typed(&self, _: Caller, text: String) -> Result<Post, PostError> {
        if text.is_empty() { Err(PostError) } else { Ok(Post { text }) }
    }

    async fn untyped(&self, _: Caller) -> wirelark::Result<Post> {
        Ok(Post { text: std::fs::read_to_string("post")? })
    }

    async fn infallible(&self, _: Caller, first_number: u32, second_number: BigInt<u64>) -> Vec<Post> {
        vec![Post { text: format!("{first_number} {second_number}") }]
    }

    async fn never_fails_in_words(&self, _: Caller) -> Result<u32, Infallible> {
        Ok(1)
    }

    async fn ack(&self, _: Caller) {}

    async fn ack_or_problem(&self, _: Caller) -> Result<(), Problem> {
        Err(Problem::new("no"))
    }

    async fn ack_or_anything(&self, _: Caller) -> wirelark::Result {
        Err("no".into())
    }

    async fn send(&self, session: Caller, text: String) {
        session.push(Everything::reliable_in_words(text)).await;
    }

    async fn send_or_problem(&self, _: Caller) -> Result<(), Problem> {
        Ok(())
    }

    async fn whole(&self, _: Caller, post: Post) -> Post {
        post
    }

    async fn renamed(&self, _: Caller) {}

    async fn r#match(&self, _: Caller, r#type: String) {
        drop(r#type);
    }

    async fn attributes(&self, _: Caller, limit: u32, kind: Option<String>) {
        let _ = (limit, kind);
    }

    async fn attached(&self, session: Caller) -> wirelark::Result {
        session.room().push(Everything::reliable()).await;
        Ok(())
    }
}

fn main() {
    let pushes: [Push<Everything>; 7] = [
        Everything::reliable(),
        Everything::reliable_in_words("text".into()),
        Everything::conflated(1, 2.0, 3.0),
        Everything::conflated_by_two("room".into(), 1, 2.0),
        Everything::droppable(vec![]),
        Everything::sampled(0.5),
        Everything::sampled_seldom(),
    ];
    let description = Everything::describe();
    assert_eq!(description.name, "Everything.v1");
    assert_eq!(description.documentation, "Comments of the contract\nin two lines.");
    let calls: Vec<_> = description.calls.iter().map(|call| call.name).collect();
    assert_eq!(
        calls,
        [
            "typed",
            "untyped",
            "infallible",
            "neverFailsInWords",
            "ack",
            "ackOrProblem",
            "ackOrAnything",
            "send",
            "sendOrProblem",
            "whole",
            "other.name:with-marks_1",
            "match",
            "attributes",
        ]
    );
    let rates = ["ack", "send", "other.name:with-marks_1"].map(|name| {
        description.calls.iter().find(|call| call.name == name).and_then(|call| call.rate).expect("a rate")
    });
    assert_eq!(
        rates.map(|rate| rate.to_string()),
        [
            "5 a second for each connection",
            "10 a minute, 3 at once for each user",
            "1000 an hour for each address",
        ]
    );
    let declared: Vec<_> = description.pushes.iter().map(|push| push.name).collect();
    assert_eq!(pushes.map(|push| push.name()).as_slice(), declared);
    App::new().contract("/", Everything::serve(Server)).build().expect("it can be served");
}
