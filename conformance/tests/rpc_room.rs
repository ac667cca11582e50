//! `/rpc/{room}`: who is there, who comes and goes, and what is said in which order.

mod ways;

use serde::{Deserialize, Serialize};
use serde_json::json;
use wirelark::auth::Jwt;
use wirelark::client::CloseCode;
use wirelark::contract;
use wirelark::schemars::{self, JsonSchema};
use wirelark::testing::Host;

use crate::ways::{each_way, token, token_signed};

each_way! {
    conformance::app();
    people_are_told_who_comes_and_goes,
    what_is_said_is_numbered_and_heard_in_that_order,
    rooms_are_apart,
    a_room_is_forgotten_with_its_last_visitor,
    a_name_is_needed,
    a_token_binds_its_user_and_none_is_needed,
    message_pack_is_spoken_too,
}

/// The contract of `/rpc/{room}`, as a client writes it down that shares no code with the server.
#[contract]
trait RpcRoom {
    async fn who(&self) -> Vec<Person>;
    async fn say(&self, text: String) -> Said;
    #[push]
    fn joined(id: String, name: String);
    #[push]
    fn left(id: String, name: String);
    #[push]
    fn said(from: String, text: String, seq: u64);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Person {
    id: String,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Said {
    seq: u64,
}

async fn enter(host: &Host, room: &str, name: &str) -> RpcRoomTester {
    let tester = host.at(&format!("/rpc/{room}?name={name}")).contract::<RpcRoom>().await;
    // Whoever is answered is in the room, and everybody else has been told.
    assert!(tester.who().await.unwrap().iter().any(|person| person.name == name));
    tester
}

async fn leave(tester: RpcRoomTester) {
    tester.client().close(CloseCode::NORMAL, "").await;
}

async fn people_are_told_who_comes_and_goes(host: Host) {
    let ada = enter(&host, "lobby", "ada").await;
    let bob = enter(&host, "lobby", "bob").await;
    let people = bob.who().await.unwrap();
    assert_eq!(people.iter().map(|person| &*person.name).collect::<Vec<_>>(), ["ada", "bob"]);
    let [of_ada, of_bob] = [people[0].id.clone(), people[1].id.clone()];
    assert_ne!(of_ada, of_bob);
    // The first that Ada hears of anybody: she was not told of herself.
    assert_eq!(ada.expect_joined(|_, _| true).await, (of_bob.clone(), "bob".to_owned()));

    leave(bob).await;
    assert_eq!(ada.expect_left(|_, _| true).await, (of_bob, "bob".to_owned()));
    let cy = enter(&host, "lobby", "cy").await;
    assert_eq!(cy.who().await.unwrap()[0], Person { id: of_ada, name: "ada".to_owned() });
    host.close().await;
}

async fn what_is_said_is_numbered_and_heard_in_that_order(host: Host) {
    const EACH: u64 = 100;
    let people = [
        enter(&host, "lobby", "ada").await,
        enter(&host, "lobby", "bob").await,
        enter(&host, "lobby", "cy").await,
    ];
    let talk = async |person: &RpcRoomTester| {
        let mut last = 0;
        for n in 0..EACH {
            let Said { seq } = person.say(n.to_string()).await.unwrap();
            assert!(seq > last, "{seq} after {last}");
            last = seq;
        }
    };
    tokio::join!(talk(&people[0]), talk(&people[1]), talk(&people[2]));
    for person in &people {
        for expected in 1..=3 * EACH {
            assert_eq!(person.expect_said(|_, _, _| true).await.2, expected);
        }
    }
    host.close().await;
}

async fn rooms_are_apart(host: Host) {
    let ada = enter(&host, "north", "ada").await;
    let bob = enter(&host, "south", "bob").await;
    assert_eq!(ada.say("for the north").await, Ok(Said { seq: 1 }));
    assert_eq!(bob.say("for the south").await, Ok(Said { seq: 1 }));
    let heard = bob.expect_said(|_, _, _| true).await;
    assert_eq!(heard, ("bob".to_owned(), "for the south".to_owned(), 1));
    assert_eq!(bob.who().await.unwrap().len(), 1);
    host.close().await;
}

async fn a_room_is_forgotten_with_its_last_visitor(host: Host) {
    let ada = enter(&host, "lobby", "ada").await;
    let bob = enter(&host, "lobby", "bob").await;
    assert_eq!(ada.say("one").await, Ok(Said { seq: 1 }));
    leave(ada).await;
    bob.expect_left(|_, _| true).await;
    assert_eq!(bob.say("two").await, Ok(Said { seq: 2 }), "it lasts while anybody is in it");
    leave(bob).await;
    // A room's connections are gone after its sessions have said goodbye.
    let room = host.hub().room("/rpc/lobby").expect("a good name");
    while room.count() > 0 {
        tokio::task::yield_now().await;
    }
    let cy = enter(&host, "lobby", "cy").await;
    assert_eq!(cy.say("one again").await, Ok(Said { seq: 1 }));
    host.close().await;
}

async fn a_name_is_needed(host: Host) {
    for path in ["/rpc/lobby", "/rpc/lobby?name=", "/rpc/lobby?other=ada"] {
        host.at(path).expect_rejected(400).await;
    }
    assert_eq!(enter(&host, "lobby", "ada").await.who().await.unwrap().len(), 1);
    host.close().await;
}

async fn a_token_binds_its_user_and_none_is_needed(host: Host) {
    let user = |name| RpcRoom::said("the server".to_owned(), format!("to {name}"), 0);
    let claims = json!({"sub": "ada", "scope": "realtime"});
    let ada = host.at("/rpc/lobby?name=one").jwt(claims.clone()).contract::<RpcRoom>().await;
    let nobody = enter(&host, "lobby", "ada").await;
    ada.who().await.unwrap();
    let pushes = host.hub().contract::<RpcRoom>();
    assert_eq!(
        pushes.user("ada").push(user("ada")).await.queued,
        1,
        "her own connection, not that of her name"
    );
    assert_eq!(ada.expect_said(|_, _, _| true).await.1, "to ada");
    nobody.say("nothing was before this").await.unwrap();
    assert_eq!(nobody.expect_said(|_, _, _| true).await.1, "nothing was before this");

    let expired = json!({"sub": "ada", "exp": 1_000_000_000});
    for token in [token_signed(&claims, b"guessed"), token(&expired), "no.token.atall".to_owned()] {
        host.at("/rpc/lobby?name=ada").bearer(&token).expect_rejected(401).await;
    }
    assert!(
        Jwt::hs256(b"test-secret").verify(&token(&claims)).is_ok(),
        "the others are refused for what they are"
    );
    host.close().await;
}

async fn message_pack_is_spoken_too(host: Host) {
    let ada = enter(&host, "lobby", "ada").await;
    let bob = host.at("/rpc/lobby?name=bob").protocols(["wirelark.v1.msgpack"]).contract::<RpcRoom>().await;
    assert_eq!(bob.say("hi").await, Ok(Said { seq: 1 }));
    let heard = ("bob".to_owned(), "hi".to_owned(), 1);
    assert_eq!(ada.expect_said(|_, _, _| true).await, heard);
    assert_eq!(bob.expect_said(|_, _, _| true).await, heard);
    host.close().await;
}
