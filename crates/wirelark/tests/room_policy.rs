//! Rooms that clients name: who may join them, and how the others are told.

use wirelark::auth::User;
use wirelark::axum::Json;
use wirelark::contract::{Problem, Session};
use wirelark::messages::{Connection, messages};
use wirelark::testing::Host;
use wirelark::{App, Message, OpenRooms, RoomName, RoomPass, Socket, Upgrade, contract, socket};

fn ada() -> User {
    User::new("ada").expect("a valid id")
}

/// Everybody's own room, and `lobby`.
fn own(user: Option<&User>, room: &RoomName) -> bool {
    let name = room.as_str().rsplit('/').next().unwrap_or_default();
    name == "lobby" || user.is_some_and(|user| user.id() == name)
}

async fn listen(pass: RoomPass, mut socket: Socket) -> wirelark::Result {
    let room = socket.join(pass)?;
    socket.send(room.name().as_str()).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_pass_is_taken_from_the_path_before_the_101() {
    let host = Host::new(
        App::new()
            .room_policy(own)
            .socket("/rooms/{room}", listen)
            .scope("/open", |scope| scope.room_policy(OpenRooms).socket("/{kind}/{room}", listen)),
    );
    let refused = host.at("/rooms/bob").user(ada()).expect_rejected(403).await;
    assert_eq!(refused.body, "this user may not join the room \"bob\"");
    host.at("/rooms/ada").expect_rejected(403).await;
    host.at(&format!("/rooms/{}", "x".repeat(257))).user(ada()).expect_rejected(400).await;
    assert_eq!((host.hub().room_count(), host.hub().connection_count()), (0, 0));
    for (path, user, name) in
        [("/rooms/ada", Some(ada()), "ada"), ("/rooms/l%6Fbby", None, "lobby"), ("/open/a/bob", None, "bob")]
    {
        let connecting = host.at(path);
        let connecting = match user {
            Some(user) => connecting.user(user),
            None => connecting,
        };
        let mut client = connecting.connect().await;
        assert_eq!(client.expect_text().await, name);
    }
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_route_without_a_policy_or_a_room_has_no_pass_to_give() {
    let app = App::new().socket("/no-policy/{room}", listen);
    let host = Host::new(app.socket("/no-room/{name}", socket(listen).room_policy(OpenRooms)));
    host.at("/no-policy/lobby").expect_rejected(500).await;
    host.at("/no-room/lobby").expect_rejected(500).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_handler_has_the_pass_of_its_path_and_asks_for_others() {
    async fn enter(pass: RoomPass, connection: Connection) -> wirelark::Result<String> {
        Ok(connection.join(pass)?.name().to_string())
    }
    async fn change(
        Json(wish): Json<String>,
        user: Option<User>,
        connection: Connection,
    ) -> Result<String, Problem> {
        let pass = RoomPass::ask(&own, user.as_ref(), wish).await?;
        let room = connection.join(pass).map_err(|error| Problem::new(error.to_string()))?;
        Ok(room.name().to_string())
    }
    let host = Host::new(
        App::new()
            .messages("/no-policy/{room}", messages(change).attached(enter))
            .messages("/no-room/{name}", messages(change).attached(enter).room_policy(own))
            .messages("/rooms/{room}", messages(change).attached(enter).room_policy(own))
            .scope("/open", |scope| {
                scope.room_policy(OpenRooms).messages("/{room}", messages(change).attached(enter))
            }),
    );
    host.at("/no-policy/lobby").expect_rejected(500).await;
    host.at("/no-room/lobby").expect_rejected(500).await;
    let refused = host.at("/rooms/bob").user(ada()).expect_rejected(403).await;
    assert_eq!(refused.body, "this user may not join the room \"bob\"");
    assert_eq!(host.hub().room_count(), 0);
    for (path, room) in [("/rooms/ada", "ada"), ("/open/bob", "bob")] {
        let mut client = host.at(path).user(ada()).connect().await;
        assert_eq!(client.expect_text().await, room);
        client.send_text("\"carol\"").await;
        let denied = r#"{"error":"this user may not join the room \"carol\"","code":"FORBIDDEN"}"#;
        assert_eq!(client.expect_text().await, denied);
        client.send_text("\"lobby\"").await;
        assert_eq!(client.expect_text().await, "lobby");
    }
    assert_eq!(host.hub().room("carol").expect("a name").count(), 0);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_denied_a_room_closes_with_the_reason() {
    async fn by_message(mut socket: Socket) -> wirelark::Result {
        while let Some(Message::Text(wish)) = socket.recv().await {
            let pass = RoomPass::ask(&own, socket.user().as_ref(), wish.as_str()).await?;
            socket.join(pass)?.publish("joined").await;
        }
        Ok(())
    }
    async fn before(upgrade: Upgrade) -> wirelark::Result {
        let pass = RoomPass::ask(&own, None, "ada").await?;
        upgrade.accept().await?.join(pass)?;
        Ok(())
    }
    let host = Host::new(App::new().socket("/", by_message).socket("/before", before));
    let mut client = host.at("/").connect().await;
    client.send_text("lobby").await;
    assert_eq!(client.expect_text().await, "joined");
    client.send_text("ada").await;
    assert_eq!(client.expect_close(4403).await, "this user may not join the room \"ada\"");
    let mut client = host.at("/").connect().await;
    client.send_text("").await;
    assert!(client.expect_close(4400).await.contains("1 to 256 characters"));
    host.at("/before").expect_rejected(403).await;
    host.close().await;
}

/// Rooms by path, and by call.
#[contract]
trait Talk {
    /// Joins one more room.
    async fn join(&self, room: String) -> wirelark::Result;
    /// The same, with an error of another type.
    async fn enter(&self, room: String) -> Result<(), Problem>;
}

struct Server;

impl TalkServer for Server {
    type Data = Option<User>;

    async fn join(&self, session: Session<Talk, Self::Data>, room: String) -> wirelark::Result {
        session.join(RoomPass::ask(&own, session.user().as_ref(), room).await?)?;
        Ok(())
    }

    async fn enter(&self, session: Session<Talk, Self::Data>, room: String) -> Result<(), Problem> {
        let pass = RoomPass::ask(&own, session.user().as_ref(), room).await?;
        session.join(pass).map_err(|error| Problem::new(error.to_string()))?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_contracts_path_is_a_room_that_its_client_names() {
    let host = Host::new(App::new().contract("/talk/{room}", Talk::serve(Server).room_policy(own)));
    host.at("/talk/bob").user(ada()).expect_rejected(403).await;
    host.at("/talk/bob").user(ada()).protocols(["wirelark.v1.json"]).connect().await.expect_close(4403).await;
    let talk = host.at("/talk/ada").user(ada()).contract::<Talk>().await;
    assert_eq!(host.hub().room_count(), 1);
    assert_eq!(talk.join("lobby").await, Ok(()));
    assert_eq!(host.hub().room_count(), 2);
    for denied in [talk.join("bob").await, talk.enter("bob").await] {
        use wirelark::testing::ExpectError as _;
        denied.expect_error("FORBIDDEN");
    }
    assert_eq!(host.hub().room_count(), 2);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_contracts_path_without_parameters_is_the_servers_choice() {
    let nobody = |_: Option<&User>, _: &RoomName| false;
    let host = Host::new(App::new().room_policy(nobody).contract("/talk", Talk::serve(Server)));
    assert_eq!(host.at("/talk").contract::<Talk>().await.join("lobby").await, Ok(()));
    host.close().await;
}

#[test]
fn a_contract_whose_clients_name_rooms_is_built_only_if_it_says_who_may() {
    let unsaid = App::new().scope("/a", |scope| scope.contract("/{room}", Talk::serve(Server)));
    let error = unsaid.build().expect_err("nothing says who may").to_string();
    assert!(error.contains("/a/{room}") && error.contains(".room_policy(OpenRooms)"), "{error}");
    let chosen = App::new().scope("/{tenant}", |scope| scope.contract("/talk", Talk::serve(Server)));
    assert!(chosen.build().is_err(), "a scope's parameter is a client's choice too");
    let said = App::new().scope("/a", |scope| {
        scope
            .room_policy(OpenRooms)
            .contract("/{room}", Talk::serve(Server))
            .contract("/", Talk::serve(Server))
    });
    assert!(said.build().is_ok());
}
