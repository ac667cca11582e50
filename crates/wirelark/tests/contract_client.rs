//! The typed client of a contract, and its tester, against the server of the same contract.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wirelark::auth::{Jwt, User};
use wirelark::client::{CallError, CloseCode, Reconnect, Status, WaitError};
use wirelark::contract::{Problem, Session};
use wirelark::schemars::{self, JsonSchema};
use wirelark::testing::{ExpectError as _, Host};
use wirelark::{App, OpenRooms, contract};

/// A chat.
#[contract(rename_all = "camelCase")]
pub trait Chat {
    /// Post a message to the room.
    async fn post(&self, text: String, reply_to: Option<u32>) -> Result<Posted, Problem>;
    /// Nothing comes back but that it is done.
    async fn mark_read(&self, up_to: u32) -> Result<(), Problem>;
    /// The caller is typing; nothing comes back.
    #[send]
    async fn typing(&self, name: String);
    /// An argument that is the body.
    async fn draw(&self, #[body] shape: Shape) -> u32;
    /// The server restarts, as far as this client can tell.
    #[send]
    async fn restart(&self);
    /// Takes too long.
    async fn sleep(&self);
    /// Somebody posted.
    #[push]
    fn posted(message: Posted);
    /// Somebody types.
    #[push]
    fn somebody_types(name: String, times: u32);
    /// Nothing but its name.
    #[push]
    fn cleared();
    /// A push that is its argument.
    #[push]
    fn scores(#[body] scores: BTreeMap<String, u32>);
}

/// A message that was posted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Posted {
    id: u32,
    by: String,
    text: String,
}

/// Something to draw.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shape {
    corners: u32,
}

#[derive(Default)]
struct Room {
    posted: Mutex<Vec<Posted>>,
}

impl ChatServer for Room {
    type Data = User;

    async fn post(
        &self,
        session: Session<Chat, User>,
        text: String,
        reply_to: Option<u32>,
    ) -> Result<Posted, Problem> {
        if text.is_empty() {
            return Err(Problem::new("there is nothing to say").code("EMPTY").data(json!({"max": 100})));
        }
        let message = {
            let mut posted = self.posted.lock();
            let id = posted.len() as u32 + reply_to.unwrap_or_default();
            posted.push(Posted { id, by: session.data(|user| user.id().to_owned()), text });
            posted.last().cloned().expect("it was just posted")
        };
        session.room().push(Chat::posted(message.clone())).await;
        Ok(message)
    }

    async fn mark_read(&self, session: Session<Chat, User>, up_to: u32) -> Result<(), Problem> {
        session.push(Chat::cleared()).await;
        session.push(Chat::scores(BTreeMap::from([("read".to_owned(), up_to)]))).await;
        Ok(())
    }

    async fn typing(&self, session: Session<Chat, User>, name: String) {
        session.room().push(Chat::somebody_types(name, 3)).await;
    }

    async fn draw(&self, _: Session<Chat, User>, shape: Shape) -> u32 {
        shape.corners
    }

    async fn restart(&self, session: Session<Chat, User>) {
        session.close(CloseCode::RESTART, "retry after 2 s");
    }

    async fn sleep(&self, _: Session<Chat, User>) {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
}

fn app() -> App {
    let chat = Chat::serve(Room::default()).auth(Jwt::hs256(b"test-secret"));
    App::new().contract("/chat/{room}", chat.room_policy(OpenRooms))
}

fn host() -> Host {
    Host::new(app()).jwt_secret(b"test-secret")
}

#[tokio::test(start_paused = true)]
async fn two_people_chat() {
    let host = host();
    let ada = host.at("/chat/lobby").jwt(json!({"sub": "ada"})).contract::<Chat>().await;
    let bob = host.at("/chat/lobby").jwt(json!({"sub": "bob"})).contract::<Chat>().await;
    let posted = ada.post("hi", None).await.unwrap();
    assert_eq!((posted.id, &*posted.by, &*posted.text), (0, "ada", "hi"));
    assert_eq!(bob.expect_posted(|message| message.text == "hi").await, posted);
    host.advance(Duration::from_secs(120)).await;
    assert_eq!(bob.post("still there", Some(7)).await.unwrap().id, 8);
    ada.expect_posted(|message| message.by == "bob").await;
    host.close().await;
}

async fn ada(host: &Host) -> ChatTester {
    host.at("/chat/lobby").jwt(json!({"sub": "ada"})).contract::<Chat>().await
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_call_and_push() {
    let host = host();
    let ada = ada(&host).await;
    assert_eq!(ada.draw(Shape { corners: 3 }).await, Ok(3));
    assert_eq!(ada.mark_read(7).await, Ok(()));
    ada.expect_cleared(|| true).await;
    assert_eq!(ada.expect_scores(|scores| scores.len() == 1).await["read"], 7);
    ada.typing("ada").await.unwrap();
    let (name, times) = ada.expect_somebody_types(|name, times| name == "ada" && *times == 3).await;
    assert_eq!((&*name, times), ("ada", 3));
    let error = ada.post("", None).await.expect_error("EMPTY");
    assert_eq!((&*error.message, error.data()), ("there is nothing to say", Some(Ok(json!({"max": 100})))));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn pushes_reach_listeners_and_those_who_wait() {
    let host = host();
    let ada = ada(&host).await;
    let (sender, mut typing) = tokio::sync::mpsc::channel(8);
    let listening = ada.on_somebody_types(move |name, times| {
        let _ = sender.try_send((name, times));
    });
    let waiting = ada.wait_for_somebody_types(Duration::from_secs(5), |name, _| name == "bob");
    ada.typing("ada").await.unwrap();
    ada.typing("bob").await.unwrap();
    assert_eq!(waiting.await, Ok(("bob".to_owned(), 3)));
    assert_eq!(typing.recv().await, Some(("ada".to_owned(), 3)));
    drop(listening);
    let never = ada.wait_for_cleared(Duration::from_secs(5), || true);
    assert_eq!(never.await, Err(WaitError::Timeout));
    let never = ada.wait_for_scores(Duration::from_secs(5), |_| true);
    ada.client().close(CloseCode::NORMAL, "").await;
    assert_eq!(never.await, Err(WaitError::Closed));
    assert!(matches!(ada.draw(Shape { corners: 3 }).await, Err(CallError::Closed(_))));
    host.close().await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "expected posted, within 5s there were: \n  cleared {}\n  scores {\"read\":1}")]
async fn what_came_instead_is_told() {
    let host = host();
    let ada = ada(&host).await;
    ada.mark_read(1).await.unwrap();
    ada.expect_posted(|_| true).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "expected the error \"EMPTY\", and the call succeeded")]
async fn an_error_that_was_expected_and_did_not_come_is_told() {
    let host = host();
    let ada = ada(&host).await;
    ada.post("hi", None).await.expect_error("EMPTY");
}

#[tokio::test(start_paused = true)]
async fn those_who_may_not_come_in_are_told_so() {
    let host = host();
    host.at("/chat/lobby").expect_rejected(401).await;
    let nobody = host.at("/chat/lobby").contract::<Chat>().await;
    let error = nobody.draw(Shape { corners: 3 }).await.unwrap_err();
    assert_eq!(error.closed().map(|closed| closed.code), Some(CloseCode::SIGN_IN));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_timeout_is_seen() {
    let host = host();
    ada(&host).await.sleep().await.expect_error("TIMEOUT");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reconnects_comes_back_to_the_host() {
    let host = host();
    let ada = host
        .at("/chat/lobby")
        .jwt(json!({"sub": "ada"}))
        .contract_with::<Chat>(|builder| builder.reconnect(Reconnect::default()))
        .await;
    let (seen, mut statuses) = tokio::sync::mpsc::channel(8);
    let _listening = ada.client().on_status(move |status| seen.try_send(status).expect("there is room"));
    ada.restart().await.unwrap();
    while !matches!(statuses.recv().await, Some(Status::Reconnecting { attempt: 1, delay }) if delay.as_secs() == 2)
    {
    }
    assert_eq!(ada.draw(Shape { corners: 4 }).await, Ok(4));
    assert_eq!(ada.client().status(), Status::Open);
    drop(ada);
    host.close().await;
}

#[tokio::test]
async fn the_typed_client_over_tcp_in_message_pack() {
    let host = Host::tcp(app()).await.jwt_secret(b"test-secret");
    let ada = host
        .at("/chat/lobby")
        .protocols(["wirelark.v1.msgpack"])
        .jwt(json!({"sub": "ada"}))
        .contract::<Chat>()
        .await;
    let posted = ada.post("hi", None).await.unwrap();
    assert_eq!(ada.expect_posted(|_| true).await, posted);
    let error = ada.post("", None).await.expect_error("EMPTY");
    assert_eq!(error.data(), Some(Ok(json!({"max": 100}))));
    let url = format!("ws://{}/chat/lobby", host.address().expect("it listens"));
    let stranger = ChatClient::connect(&url).await.unwrap();
    assert!(stranger.draw(Shape { corners: 1 }).await.is_err());
    host.close().await;
}

/// What only a server can read or write makes no client, and harms nobody.
mod served_only {
    use super::{Deserialize, JsonSchema, Serialize, contract, schemars};

    /// Cannot be written by a client.
    #[derive(Debug, Deserialize, JsonSchema)]
    pub(super) struct Read {}

    /// Cannot be read by a client.
    #[derive(Debug, Serialize, JsonSchema)]
    pub(super) struct Written {}

    /// Both.
    #[contract]
    pub(super) trait ServedOnly {
        async fn both(&self, #[body] read: Read) -> Written;
        async fn fine(&self, n: u32) -> u32;
    }

    #[tokio::test]
    async fn the_rest_of_it_can_be_called() {
        let client = ServedOnlyClient::builder("ws://a.example").auto_connect(false).build().unwrap();
        drop(client.fine(1));
    }
}
