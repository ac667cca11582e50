//! Signing in by the first message: who is let in, who is not, and what nobody gets before it is decided.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use wirelark::auth::{self, FirstMessage, Jwt, Newcomer, User, Verdict};
use wirelark::contract::Session;
use wirelark::messages::{Connection, messages};
use wirelark::testing::{Client, ClientEvent, Host};
use wirelark::{App, Message, OpenRooms, RoomName, RoomPass, RoomPolicy, Socket, Upgrade, contract, socket};

const SECOND: Duration = Duration::from_secs(1);

fn user(name: &str) -> User {
    User::new(name).expect("a valid id")
}

/// `I am NAME` is a user, `let me in` nobody, `hold on` takes for ever, `boom` panics, anything else tells nothing.
async fn by_name(message: Message, newcomer: Newcomer) -> Verdict {
    let Message::Text(text) = message else { return Verdict::NotYet };
    match text.as_str() {
        "let me in" => Verdict::Anonymous,
        "hold on" => pending().await,
        "boom" => panic!("on purpose"),
        text => match text.strip_prefix("I am ") {
            Some(name) => Verdict::User(user(name).scopes(name.strip_prefix("dr. ").map(|_| "medicine"))),
            None => {
                newcomer.reply(format!("{}: who are you?", newcomer.route()));
                Verdict::NotYet
            }
        },
    }
}

fn first() -> FirstMessage {
    auth::first_message(by_name).deadline(2 * SECOND).attempts(3)
}

/// Greets, joins a room, and counts and repeats what it gets.
fn host(began: &Arc<AtomicUsize>) -> Host {
    let began = Arc::clone(began);
    let desk = move |mut socket: Socket| {
        let began = Arc::clone(&began);
        async move {
            began.fetch_add(1, SeqCst);
            socket.join("desk")?;
            socket.send(format!("hello, {}", socket.user().as_ref().map_or("nobody", User::id))).await?;
            while let Some(message) = socket.recv().await {
                socket.send(message).await?;
            }
            Ok::<_, wirelark::Error>(())
        }
    };
    Host::new(
        App::new()
            .auth(first())
            .socket("/desk", desk.clone())
            .scope("/clinic", |scope| scope.require_scope("medicine").socket("/", desk)),
    )
}

async fn send_all(client: &mut Client, texts: &[&str]) {
    for text in texts {
        client.send_text(text).await;
    }
}

async fn expect_all(client: &mut Client, texts: &[&str]) {
    for text in texts {
        assert_eq!(client.expect_text().await, *text);
    }
}

/// Panics when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn a_verifier_that_panics_as_it_is_dropped_ends_nobody_elses_connection() {
    async fn never(_: Message, _: Newcomer) -> Verdict {
        let _mine = Mine;
        pending().await
    }
    async fn same(text: String) -> String {
        text
    }
    // Both are polled by the one shard there is.
    let app = App::new()
        .messages("/gate", messages(same).auth(auth::first_message(never).deadline(2 * SECOND)))
        .messages("/other", same);
    let host = Host::new(app);
    let mut other = host.at("/other").connect().await;
    let mut waiting = host.at("/gate").connect().await;
    waiting.send_text("let me in").await;
    host.advance(SECOND).await;
    waiting.drop_connection();
    let mut late = host.at("/gate").connect().await;
    late.send_text("let me in").await;
    host.advance(3 * SECOND).await;
    other.send_text("still here").await;
    assert_eq!(other.expect_text().await, "still here");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_deciding_message_is_nobody_elses_and_what_follows_it_is_the_handlers() {
    let began = Arc::default();
    let host = host(&began);
    let mut client = host.at("/desk").connect().await;
    // All at once: what comes behind the deciding message has to wait for it.
    send_all(&mut client, &["hi", "hello?", "I am ada", "I am bob", "hold on", "3"]).await;
    let question = "/desk: who are you?";
    expect_all(&mut client, &[question, question, "hello, ada", "I am bob", "hold on", "3"]).await;
    assert_eq!(began.load(SeqCst), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_in_particular_is_remembered() {
    let host = host(&Arc::default());
    let mut client = host.at("/desk").connect().await;
    send_all(&mut client, &["let me in", "I am ada", "again"]).await;
    expect_all(&mut client, &["hello, nobody", "I am ada", "again"]).await;
    host.advance(10 * SECOND).await;
    client.send_text("still here").await;
    expect_all(&mut client, &["still here"]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_sign_in_is_closed_and_never_handled() {
    let began = Arc::default();
    let host = host(&began);
    let check = async |texts: &[&str], reason: &str, after: Duration| {
        let start = Instant::now();
        let mut client = host.at("/desk").connect().await;
        send_all(&mut client, texts).await;
        while client.expect_text_or_close(1008, reason).await {}
        let took = start.elapsed();
        assert!((after..after + SECOND / 2).contains(&took), "{texts:?}: closed after {took:?}");
    };
    check(&[], "nobody has signed in in time", 2 * SECOND).await;
    check(&["hi", "hi"], "nobody has signed in in time", 2 * SECOND).await;
    check(&["hold on", "I am ada"], "nobody has signed in in time", 2 * SECOND).await;
    check(&["hi", "hi", "hi", "I am ada"], "too many messages that sign nobody in", Duration::ZERO).await;
    assert_eq!(began.load(SeqCst), 0);
    host.close().await;
}

/// What a client is sent while it is not in yet.
trait TextOrClose {
    /// True for a text; false for the close that is expected.
    async fn expect_text_or_close(&mut self, code: u16, reason: &str) -> bool;
}

impl TextOrClose for Client {
    async fn expect_text_or_close(&mut self, code: u16, reason: &str) -> bool {
        match self.next().await {
            ClientEvent::Message(Message::Text(_)) => true,
            ClientEvent::Close(Some(frame)) => {
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, reason));
                false
            }
            other => panic!("{other:?} is neither a text nor a close"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_verifier_that_panics_closes_its_own_connection_only() {
    let began = Arc::default();
    let host = host(&began);
    let (mut one, mut other) = (host.at("/desk").connect().await, host.at("/desk").connect().await);
    one.send_text("boom").await;
    assert_eq!(one.expect_close(1011).await, "handler error");
    other.send_text("I am ada").await;
    expect_all(&mut other, &["hello, ada"]).await;
    assert_eq!(began.load(SeqCst), 1);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_user_found_must_have_what_the_route_requires() {
    let began = Arc::default();
    let host = host(&began);
    let check = async |text: &str, code: u16, reason: &str| {
        let mut client = host.at("/clinic").connect().await;
        client.send_text(text).await;
        assert_eq!(client.expect_close(code).await, reason);
    };
    check("I am ada", 4403, "the user lacks the scope \"medicine\"").await;
    check("let me in", 4401, "sign in first: the request carries no credentials").await;
    assert_eq!((began.load(SeqCst), host.hub().room_count()), (0, 0));
    let mut doctor = host.at("/clinic").connect().await;
    doctor.send_text("I am dr. bob").await;
    expect_all(&mut doctor, &["hello, dr. bob"]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_whom_nobody_knows() {
    let host = host(&Arc::default());
    let mut client = host.at("/desk").connect().await;
    client.send_text("hi").await;
    expect_all(&mut client, &["/desk: who are you?"]).await;
    let hub = host.hub();
    assert_eq!((hub.connection_count(), hub.room_count()), (1, 0), "it takes a place, and is in no room");
    assert_eq!(hub.broadcast("to everyone").counted().await.queued, 0);
    assert_eq!(hub.broadcast_to("/", "to all desks").counted().await.queued, 0);
    assert_eq!(hub.revoke("ada").await, 0);
    client.send_text("I am ada").await;
    expect_all(&mut client, &["hello, ada"]).await;
    assert_eq!(hub.broadcast("to everyone").counted().await.queued, 1);
    expect_all(&mut client, &["to everyone"]).await;
    assert_eq!(hub.revoke("ada").await, 1);
    client.expect_close(4401).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_it_is_decided_is_forgotten_at_once() {
    let began = Arc::default();
    let host = host(&began);
    let mut closing = host.at("/desk").connect().await;
    closing.send_text("hold on").await;
    closing.close(1000, "").await;
    let gone = host.at("/desk").connect().await;
    gone.drop_connection();
    // Far less than the deadline, more than the tenth of a second the shard takes for what it does in between.
    host.advance(SECOND / 5).await;
    assert_eq!(host.hub().connection_count(), 1, "only who may be answered before its close stays for that");
    host.advance(2 * SECOND).await;
    assert_eq!((host.hub().connection_count(), began.load(SeqCst)), (0, 0));
    // Nobody waits for a verifier when the server stops.
    let mut stalled = host.at("/desk").connect().await;
    stalled.send_text("hold on").await;
    host.advance(SECOND / 5).await;
    let start = Instant::now();
    host.close().await;
    assert!(start.elapsed() < SECOND, "the server waited {:?} for a verifier", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_token_is_a_first_message_and_ends_the_connection_it_began() {
    async fn desk(mut socket: Socket) -> wirelark::Result {
        socket.send(socket.user().expect("nobody else is let in").id()).await?;
        while socket.recv().await.is_some() {}
        Ok(())
    }
    let jwt = Jwt::hs256(b"secret");
    let host = Host::new(App::new().socket("/", socket(desk).auth(auth::first_message(jwt).attempts(2))));
    let token = |claims: serde_json::Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("claims can be signed")
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    let good = token(json!({"sub": "ada", "exp": now.as_secs() + 60}));
    let mut client = host.at("/").timeout(100 * SECOND).connect().await;
    client.send_json(&json!({"token": "none"})).await;
    client.send_json(&json!({"token": good, "and": "more"})).await;
    expect_all(&mut client, &["ada"]).await;
    let start = Instant::now();
    client.expect_close(4401).await;
    assert!((58 * SECOND..62 * SECOND).contains(&start.elapsed()), "after {:?}", start.elapsed());
    let mut other = host.at("/").connect().await;
    send_all(&mut other, &["no json", &good]).await;
    assert_eq!(other.expect_close(1008).await, "too many messages that sign nobody in");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_known_from_the_request_has_no_first_message_to_send() {
    let host = host(&Arc::default());
    let mut client = host.at("/desk").user(user("ada")).connect().await;
    expect_all(&mut client, &["hello, ada"]).await;
    client.send_text("I am bob").await;
    expect_all(&mut client, &["I am bob"]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_the_user_too_early_fails_and_lets_nobody_in() {
    async fn too_early(_: User, _: Socket) {}
    async fn maybe(who: Option<User>, socket: Socket) -> wirelark::Result {
        assert_eq!(who, None);
        socket.send("in").await?;
        Ok(())
    }
    let app = App::new().auth(first()).socket("/early", too_early).socket("/maybe", maybe);
    let host = Host::new(app);
    host.at("/early").expect_rejected(500).await;
    let mut client = host.at("/maybe").connect().await;
    client.send_text("I am ada").await;
    expect_all(&mut client, &["in"]).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_accepted_by_itself_goes_on_when_it_is_decided() {
    async fn desk(upgrade: Upgrade) -> wirelark::Result {
        let mut socket = upgrade.accept().await?;
        socket.send(socket.user().expect("nobody else is let in").id()).await?;
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok(())
    }
    let host = Host::new(App::new().auth(first()).socket("/", desk));
    let mut client = host.at("/").connect().await;
    send_all(&mut client, &["hi", "I am ada", "1", "2"]).await;
    expect_all(&mut client, &["/: who are you?", "ada", "1", "2"]).await;
    host.close().await;
}

/// People who meet by path.
#[contract]
trait Ward {
    /// Who is in the room.
    async fn who(&self) -> Vec<String>;
    /// Somebody came.
    #[push]
    fn came(name: String);
}

struct Wards;

impl WardServer for Wards {
    type Data = ();

    async fn attached(&self, session: Session<Ward, ()>) -> wirelark::Result {
        session.room().push(Ward::came(name(&session))).await;
        Ok(())
    }

    async fn who(&self, session: Session<Ward, ()>) -> Vec<String> {
        session.peers().map(name)
    }
}

fn name(session: &Session<Ward, ()>) -> String {
    session.user().map_or_else(|| "nobody".to_owned(), |user| user.id().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_contract_begins_when_its_user_is_known_and_may_be_in_its_room() {
    let own = |user: Option<&User>, room: &RoomName| {
        user.is_some_and(|user| room.as_str() == format!("/ward/{}", user.id()))
    };
    let ward = Ward::serve(Wards).auth(first()).room_policy(own);
    let host = Host::new(App::new().contract("/ward/{room}", ward));
    let mut ada = host.at("/ward/ada").connect().await;
    let mut other = host.at("/ward/ada").connect().await;
    assert_eq!(host.hub().room_count(), 0);
    ada.send_text("I am ada").await;
    ada.send_json(&json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": "who", "body": {}})).await;
    let came: serde_json::Value = ada.expect_json().await;
    assert_eq!(came["body"]["name"], "ada", "{came}");
    let answer: serde_json::Value = ada.expect_json().await;
    assert_eq!(answer["body"], json!(["ada"]), "who is not known yet is nobody's peer: {answer}");
    other.send_text("I am bob").await;
    assert_eq!(other.expect_close(4403).await, "this user may not join the room \"/ward/ada\"");
    ada.expect_nothing_for(SECOND).await;
    host.close().await;
}

/// Enters the room of the path, greets, and numbers and repeats what it gets.
fn reception(policy: impl RoomPolicy, handled: &Arc<AtomicUsize>) -> Host {
    let enter = async |pass: RoomPass, user: Option<User>, connection: Connection| {
        let room = connection.join(pass)?;
        Ok::<_, wirelark::Error>(format!("{}: {}", room.name(), user.as_ref().map_or("nobody", User::id)))
    };
    let handled = Arc::clone(handled);
    let repeat = move |text: String, user: Option<User>, pass: RoomPass| {
        let number = handled.fetch_add(1, SeqCst) + 1;
        async move { format!("{number}. {} in {}: {text}", user.as_ref().map_or("nobody", User::id), pass.name()) }
    };
    let route = messages(repeat).attached(enter).auth(first()).room_policy(policy);
    Host::new(App::new().messages("/rooms/{room}", route))
}

#[tokio::test(start_paused = true)]
async fn a_message_route_handles_in_order_what_comes_behind_the_deciding_message_and_nothing_else() {
    let handled = Arc::default();
    let host = reception(OpenRooms, &handled);
    let mut ada = host.at("/rooms/hall").connect().await;
    let question = "/rooms/{room}: who are you?";
    send_all(&mut ada, &["hi", "hello?"]).await;
    expect_all(&mut ada, &[question, question]).await;
    assert_eq!((handled.load(SeqCst), host.hub().room_count()), (0, 0));
    send_all(&mut ada, &["I am ada", "I am bob", "let me in", "hold on"]).await;
    expect_all(&mut ada, &["hall: ada", "1. ada in hall: I am bob", "2. ada in hall: let me in"]).await;
    expect_all(&mut ada, &["3. ada in hall: hold on"]).await;

    let mut nobody = host.at("/rooms/hall").connect().await;
    send_all(&mut nobody, &["let me in", "I am ada"]).await;
    expect_all(&mut nobody, &["hall: nobody", "4. nobody in hall: I am ada"]).await;
    host.advance(10 * SECOND).await;
    send_all(&mut nobody, &["still here"]).await;
    expect_all(&mut nobody, &["5. nobody in hall: still here"]).await;

    let mut refused = host.at("/rooms/hall").connect().await;
    send_all(&mut refused, &["hi", "hi", "hi", "I am ada", "6"]).await;
    while refused.expect_text_or_close(1008, "too many messages that sign nobody in").await {}
    assert_eq!((handled.load(SeqCst), host.hub().room("hall").expect("a name").count()), (5, 2));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_route_asks_for_the_room_of_its_path_when_it_is_known_who_is_there() {
    let handled = Arc::default();
    let own = |user: Option<&User>, room: &RoomName| user.is_some_and(|user| user.id() == room.as_str());
    let host = reception(own, &handled);
    let mut ada = host.at("/rooms/ada").connect().await;
    send_all(&mut ada, &["I am ada", "hi"]).await;
    expect_all(&mut ada, &["ada: ada", "1. ada in ada: hi"]).await;
    for stranger in ["I am bob", "let me in"] {
        let mut client = host.at("/rooms/ada").connect().await;
        send_all(&mut client, &[stranger, "hi"]).await;
        assert_eq!(client.expect_close(4403).await, "this user may not join the room \"ada\"");
    }
    // Who is known from the request is told before the 101, and so is whoever names no room.
    host.at("/rooms/ada").user(user("bob")).expect_rejected(403).await;
    host.at(&format!("/rooms/{}", "x".repeat(257))).expect_rejected(400).await;
    assert_eq!((handled.load(SeqCst), host.hub().room("ada").expect("a name").count()), (1, 1));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sign_in_at_once_over_tcp() {
    async fn echo(mut socket: Socket) -> wirelark::Result {
        socket.join("all")?;
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok(())
    }
    let host = Host::tcp(App::new().shards(2).socket("/", socket(echo).auth(first()))).await;
    let mut clients = Vec::new();
    for number in 0..200 {
        let mut client = host.at("/").connect().await;
        send_all(&mut client, &[&format!("I am {}", number % 50), "1", "2"]).await;
        clients.push(client);
    }
    for client in &mut clients {
        expect_all(client, &["1", "2"]).await;
    }
    assert_eq!(host.hub().room("all").expect("a name").count(), 200);
    assert_eq!(host.hub().revoke("7").await, 4);
    assert_eq!(host.hub().revoke_where(|user| user.id().len() == 1 && user.id() != "7").await, 36);
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 50 < 10 {
            client.expect_close(4401).await;
        }
    }
    host.close().await;
}

#[test]
fn what_nobody_could_pass_is_found_when_the_app_is_built() {
    async fn nothing(_: Socket) {}
    let check = |first: FirstMessage, expected: &str| {
        let error = App::new().socket("/", socket(nothing).auth(first)).build().expect_err("it cannot be");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(first().deadline(Duration::ZERO), "`deadline` is zero");
    check(first().attempts(0), "`attempts` is zero");
}
