//! Users, reached on all their devices: who gets what, who is counted, and who is closed.

use std::time::Duration;

use wirelark::auth::User;
use wirelark::axum::Json;
use wirelark::axum::extract::{Path, Request};
use wirelark::axum::middleware::{Next, from_fn};
use wirelark::axum::response::Response;
use wirelark::axum::routing::post;
use wirelark::contract::{Problem, Session};
use wirelark::testing::{Client, Host};
use wirelark::{App, CloseCode, Delivered, Hub, RecipientsError, Socket, USERS_MAX, contract};

/// A message from a plain HTTP handler to a user.
async fn tell(Path(user): Path<String>, hub: Hub, text: String) -> Json<Delivered> {
    Json(hub.user(user).push(text).counted().await)
}

/// Sends what arrives to the other devices of the user, and `id` to this one.
async fn mirror(mut socket: Socket) -> wirelark::Result {
    socket.join("everybody")?;
    while let Some(message) = socket.recv().await {
        match message.as_bytes() {
            b"id" => socket.send(socket.id().to_string()).await?,
            b"sign in as bob" => {
                let bob = User::new("bob")?;
                let renewed = socket.sign_in(&bob) && socket.sign_in(&bob);
                socket.send(renewed.to_string()).await?;
            }
            _ => {
                let (user, id) = (socket.user(), socket.id());
                let current = user.as_ref().map(User::id);
                let devices = socket.hub().recipients(None::<&[&str]>, current, Some(id))?;
                devices.push(message).except(&socket).await;
            }
        }
    }
    Ok(())
}

#[contract]
trait Post {
    /// Sends `text` to the users it names, or to the caller's own devices; how many got it.
    async fn send(&self, text: String, to: Option<Vec<String>>) -> Result<usize, Problem>;
    #[push]
    fn arrived(text: String);
}

struct Office;

impl PostServer for Office {
    type Data = ();

    async fn send(
        &self,
        session: Session<Post, ()>,
        text: String,
        to: Option<Vec<String>>,
    ) -> Result<usize, Problem> {
        let recipients =
            session.recipients(to.as_deref()).map_err(|error| Problem::new(error.to_string()))?;
        Ok(recipients.push(Post::arrived(text)).except(&session).await.queued)
    }
}

/// Signs in whom the header names.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let name = request.headers().get("x-user").and_then(|name| name.to_str().ok());
    if let Some(user) = name.map(|name| User::new(name).expect("a name")) {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

fn app() -> App {
    App::new()
        .socket("/mirror", mirror)
        .contract("/post", Post::serve(Office))
        .route("/tell/{user}", post(tell))
        .layer(from_fn(sign_in))
}

/// Over TCP: with as many shards as there are workers.
async fn host() -> Host {
    Host::tcp(app()).await
}

async fn device(host: &Host, user: &str) -> Client {
    let mut device = host.at("/mirror").header("x-user", user).connect().await;
    // Answered by the handler, and so after it was registered.
    device.send_text("id").await;
    device.expect_text().await;
    device
}

async fn devices<const N: usize>(host: &Host, user: &str) -> [Client; N] {
    let mut devices = Vec::new();
    for _ in 0..N {
        devices.push(device(host, user).await);
    }
    devices.try_into().unwrap_or_else(|_| panic!("{N} devices"))
}

fn queued(queued: usize, offline: usize) -> Delivered {
    Delivered { queued, offline, ..Delivered::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_reaches_all_devices_of_each_user_once() {
    let host = host().await;
    let hub = host.hub();
    let mut ada = devices::<3>(&host, "ada").await;
    let [mut bob] = devices(&host, "bob").await;
    let two = hub.users(["ada", "bob", "ada", "eve", "ada"]).expect("few users");
    assert_eq!((two.devices(), two.is_online()), (4, true));
    assert_eq!(two.push("hello").counted().await, queued(4, 1), "eve is the one who is offline");
    for device in ada.iter_mut().chain([&mut bob]) {
        assert_eq!(device.expect_text().await, "hello");
    }
    let order = serde_json::json!({"order": 7});
    assert_eq!(hub.user("ada").push_json(&order).expect("JSON").counted().await, queued(3, 0));
    hub.user("bob").push("only bob").await;
    assert_eq!(bob.expect_text().await, "only bob");
    for device in &mut ada {
        assert_eq!(device.expect_json::<serde_json::Value>().await, order);
    }
    let nobody = hub.users::<&str>([]).expect("no users");
    assert_eq!((nobody.push("x").counted().await, nobody.is_online()), (queued(0, 0), false));
    assert_eq!(hub.user("eve").push("x").counted().await, queued(0, 1));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_reached_from_http_handlers_and_plain_tasks() {
    let host = host().await;
    let [mut ada] = devices(&host, "ada").await;
    let request = |user: &str| {
        let request = http::Request::post(format!("/tell/{user}"));
        request.body("from afar".into()).expect("a request")
    };
    let answer = host.request(request("ada")).await;
    assert_eq!((answer.status().as_u16(), ada.expect_text().await.as_str()), (200, "from afar"));
    let hub = host.hub().clone();
    let task = tokio::spawn(async move { hub.user("ada").push("from a task").counted().await });
    assert_eq!(task.await.expect("the task ends"), queued(1, 0));
    assert_eq!(ada.expect_text().await, "from a task");
    host.close().await;
}

#[tokio::test]
async fn more_than_a_hundred_users_are_refused_by_a_text_that_names_the_way() {
    let host = Host::new(app());
    let ids = |count: usize| (0..count).map(|number| format!("user {number}")).collect::<Vec<_>>();
    let twice = [ids(USERS_MAX), ids(USERS_MAX)].concat();
    assert_eq!(
        host.hub().users(&twice).expect("each of them twice").push("x").counted().await,
        queued(0, USERS_MAX)
    );
    let error = host.hub().users(ids(USERS_MAX + 1)).expect_err("one too many");
    assert_eq!(error, RecipientsError::TooMany);
    assert!(error.to_string().contains("users_bulk"), "{error}");
    let bulk = host.hub().users_bulk(ids(USERS_MAX + 1));
    assert_eq!(bulk.push("x").counted().await, queued(0, USERS_MAX + 1));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_meant_is_decided_in_one_order() {
    let host = host().await;
    let hub = host.hub();
    let [_ada] = devices(&host, "ada").await;
    let [mut bob] = devices(&host, "bob").await;
    bob.send_text("id").await;
    let id = bob.expect_text().await;
    let members = hub.room("everybody").expect("a name").members().await;
    let connection = members.into_iter().find(|member| member.to_string() == id).expect("a member");
    let check =
        async |named: Option<&[&str]>, current, connection, expected: Result<usize, RecipientsError>| {
            let found = hub.recipients(named, current, connection).map(|found| found.devices());
            assert_eq!(found, expected, "{named:?} {current:?} {connection:?}");
        };
    check(Some(&["ada", "bob"]), Some("bob"), Some(connection), Ok(2)).await;
    check(Some(&[]), Some("bob"), Some(connection), Ok(0)).await;
    check(None, Some("bob"), Some(connection), Ok(1)).await;
    check(None, Some("eve"), Some(connection), Ok(0)).await;
    check(None, None, Some(connection), Ok(1)).await;
    check(None, None, None, Err(RecipientsError::Nobody)).await;
    let many = ["x"; 101].iter().enumerate().map(|(at, it)| format!("{it}{at}")).collect::<Vec<_>>();
    let refused = hub.recipients(Some(&many), Some("bob"), None).map(drop);
    assert_eq!(refused, Err(RecipientsError::TooMany));
    let anonymous = hub.recipients(None::<&[&str]>, None, Some(connection)).expect("a connection");
    assert_eq!(anonymous.push("you").counted().await, queued(1, 0));
    assert_eq!(bob.expect_text().await, "you");
    assert_eq!(anonymous.close(CloseCode::new(4000), "bye").await, 1);
    assert_eq!(bob.expect_close(4000).await, "bye");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_a_user_closes_every_device_and_counts_them() {
    let host = host().await;
    let ada = devices::<3>(&host, "ada").await;
    let [mut bob] = devices(&host, "bob").await;
    let user = host.hub().user("ada");
    assert_eq!(user.close(CloseCode::new(4003), "out").await, 3);
    for mut device in ada {
        assert_eq!(device.expect_close(4003).await, "out");
    }
    assert_eq!(user.close(CloseCode::new(4003), "out").await, 0, "none is open any more");
    assert_eq!(host.hub().users_bulk(["ada", "eve"]).close(CloseCode::POLICY, "").await, 0);
    bob.send_text("id").await;
    bob.expect_text().await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_reaches_the_other_devices_of_its_user() {
    let host = host().await;
    let [mut first, mut second] = devices(&host, "ada").await;
    let [mut bob] = devices(&host, "bob").await;
    first.send_text("to my others").await;
    assert_eq!(second.expect_text().await, "to my others");
    for other in [&mut first, &mut bob] {
        other.send_text("id").await;
        assert_eq!(other.expect_text().await.len(), 16, "nothing came before its own answer");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_in_late_is_another_user_from_then_on() {
    let host = host().await;
    let hub = host.hub();
    let [mut device] = devices(&host, "ada").await;
    device.send_text("sign in as bob").await;
    assert_eq!(device.expect_text().await, "true");
    assert_eq!((hub.user("ada").devices(), hub.user("bob").devices()), (0, 1));
    device.close(1000, "").await;
    device.expect_close(1000).await;
    until(|| hub.user("bob").devices() == 0).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_reaches_its_devices_and_the_users_it_names() {
    let host = host().await;
    let connect = |user: &'static str| host.at("/post").header("x-user", user).contract::<Post>();
    let (ada, also_ada, bob) = (connect("ada").await, connect("ada").await, connect("bob").await);
    let [mut raw] = devices(&host, "ada").await;
    assert_eq!(ada.send("mine", None).await.expect("an answer"), 1);
    assert_eq!(also_ada.expect_arrived(|_| true).await, "mine");
    let both = Some(vec!["bob".to_owned(), "ada".to_owned(), "eve".to_owned()]);
    assert_eq!(ada.send("to both", both).await.expect("an answer"), 2);
    assert_eq!(also_ada.expect_arrived(|_| true).await, "to both");
    assert_eq!(bob.expect_arrived(|_| true).await, "to both");
    let anonymous = host.at("/post").contract::<Post>().await;
    assert_eq!(anonymous.send("only to me", None).await.expect("an answer"), 0);
    let pushes = host.hub().contract::<Post>();
    let delivered = pushes.users(["ada", "eve"]).expect("few").push(Post::arrived("x".into())).await;
    assert_eq!(delivered, queued(2, 1), "her raw device is no device of the contract");
    assert_eq!(pushes.users_bulk(["bob"]).push(Post::arrived("y".into())).await, queued(1, 0));
    assert_eq!(pushes.user("ada").on_all_routes().devices(), 3);
    raw.send_text("id").await;
    assert_eq!(raw.expect_text().await.len(), 16, "no push of the contract came before");
    host.close().await;
}

#[tokio::test]
async fn nine_thousand_users_with_two_devices_get_one_push() {
    const USERS: usize = 9_000;
    let host = Host::new(App::new().socket("/", async |socket: Socket| socket.keep_open()));
    let ids: Vec<_> = (0..USERS).map(|number| format!("user {number}")).collect();
    let mut devices = Vec::new();
    for id in ids.iter().chain(&ids) {
        let user = User::new(id.as_str()).expect("a name");
        devices.push(host.at("/").user(user).connect().await);
    }
    let everybody = host.hub().users_bulk(&ids);
    until(|| everybody.devices() == 2 * USERS).await;
    assert_eq!(everybody.push("news").counted().await, queued(2 * USERS, 0));
    for device in &mut devices {
        assert_eq!(device.expect_text().await, "news");
    }
    host.close().await;
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was waited for did not happen");
}
