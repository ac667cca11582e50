//! Presence of rooms: what watchers are told is what is true, and no more often than it must be.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};
use wirelark::auth::User;
use wirelark::axum::extract::Query;
use wirelark::contract::Session;
use wirelark::presence::{Member, News, Presence, PresenceError};
use wirelark::testing::{Client, ClientEvent, Host};
use wirelark::{App, Close, CloseCode, Hub, OpenRooms, Options, SlowClient, Socket, contract, socket};

/// The shortest time between two messages to a watcher.
const WINDOW: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    watch: bool,
    #[serde(default)]
    track: bool,
}

/// Tracks and watches as it is asked to, and then does what it is told.
async fn lobby(Query(asked): Query<Asked>, mut socket: Socket) -> wirelark::Result {
    let presence = socket.hub().presence("lobby")?;
    if asked.track {
        presence.track(&socket, json!({"n": 0}))?;
    }
    if asked.watch {
        presence.watch(&socket)?;
    }
    while let Some(message) = socket.recv().await {
        match message.as_bytes() {
            b"untrack" => assert!(presence.untrack(&socket)),
            b"unwatch" => presence.unwatch(&socket),
            b"watch" => assert!(presence.watch(&socket)?),
            b"panic" => panic!("this handler always panics"),
            b"flood" => {
                for _ in 0..200 {
                    let _ = socket.send(vec![0; 1024]).await;
                }
            }
            b"sign in" => {
                socket.switch_user(&user("late"))?;
                presence.track(&socket, json!({"n": 0}))?;
            }
            update => {
                let meta: Value = serde_json::from_slice(update)?;
                if let Err(error) = presence.update(&socket, meta) {
                    return Err(Close::new(CloseCode::POLICY, &error.to_string()).into());
                }
            }
        }
    }
    Ok(())
}

fn user(name: &str) -> User {
    User::new(name).expect("a name")
}

fn app() -> App {
    App::new().socket("/", lobby)
}

fn presence(hub: &Hub) -> Presence {
    hub.presence("lobby").expect("a name")
}

/// A watcher that believes what it is told, as strictly as one can: numbers follow each other, nobody joins twice, and
/// nobody leaves or changes who is not there.
struct Watcher {
    client: Client,
    members: Option<BTreeMap<String, Value>>,
    seq: u64,
    parts_left: u32,
    messages: usize,
    snapshots: usize,
}

fn name(user: Option<&str>, visitor: Option<&str>) -> String {
    user.or(visitor).expect("a member has an id").to_owned()
}

impl Watcher {
    fn new(client: Client) -> Self {
        Self { client, members: None, seq: 0, parts_left: 0, messages: 0, snapshots: 0 }
    }

    /// Everything that comes within a while in which nothing else does.
    async fn listen(&mut self) {
        while let Ok(event) = tokio::time::timeout(40 * WINDOW, self.client.next()).await {
            match event {
                ClientEvent::Message(message) if message.as_bytes().first() == Some(&b'{') => {
                    self.hear(serde_json::from_slice(message.as_bytes()).expect("news"));
                }
                ClientEvent::Message(_) => {}
                other => panic!("expected news, got {other:?}"),
            }
        }
    }

    fn hear(&mut self, news: News) {
        self.messages += 1;
        match news {
            News::Snapshot { seq, snapshot, parts } => {
                (self.seq, self.parts_left) = (seq, parts.map_or(0, |parts| parts - 1));
                self.members = Some(BTreeMap::new());
                self.snapshots += 1;
                self.join(snapshot);
            }
            News::Diff { seq, part, joined, updated, left } => {
                match part {
                    Some(_) => {
                        assert_eq!(seq, self.seq, "a part is of the snapshot");
                        self.parts_left -= 1;
                    }
                    None => {
                        assert_eq!(
                            (seq, self.parts_left),
                            (self.seq + 1, 0),
                            "the next diff, after all parts"
                        );
                        self.seq = seq;
                    }
                }
                self.join(joined);
                let members = self.members.as_mut().expect("a snapshot comes first");
                for member in updated {
                    let name = name(member.user(), member.visitor());
                    let before = members.insert(name, member.meta().clone());
                    assert!(before.is_some_and(|before| before != *member.meta()));
                }
                for left in left {
                    assert!(members.remove(&name(left.user(), left.visitor())).is_some(), "left twice");
                }
            }
        }
    }

    fn join(&mut self, joined: Vec<Member>) {
        let members = self.members.as_mut().expect("a snapshot comes first");
        for member in joined {
            let before = members.insert(name(member.user(), member.visitor()), member.meta().clone());
            assert_eq!(before, None, "joined twice");
        }
    }

    fn names(&self) -> Vec<&str> {
        assert_eq!(self.parts_left, 0, "a part of a snapshot is missing");
        self.members.as_ref().expect("a snapshot").keys().map(String::as_str).collect()
    }
}

/// The members as the server knows them.
fn truth(hub: &Hub) -> BTreeMap<String, Value> {
    let listed = presence(hub).list().into_iter().map(|listed| listed.member);
    listed.map(|member| (name(member.user(), member.visitor()), member.meta().clone())).collect()
}

async fn watcher(host: &Host) -> Watcher {
    Watcher::new(host.at("/?watch=true").connect().await)
}

async fn member(host: &Host, name: &str) -> Client {
    host.at("/?track=true").user(user(name)).connect().await
}

#[tokio::test(start_paused = true)]
async fn a_watcher_gets_a_snapshot_and_then_what_changes() {
    let host = Host::new(app());
    let mut ada = member(&host, "ada").await;
    let mut watcher = host.at("/?watch=true").connect().await;
    let member = |name: &str, n: u32| json!({"user": name, "meta": {"n": n}});
    assert_eq!(watcher.expect_json::<Value>().await, json!({"seq": 0, "snapshot": [member("ada", 0)]}));
    let mut bob = self::member(&host, "bob").await;
    let diff = |seq: u64, joined: &[Value], updated: &[Value], left: &[Value]| json!({"seq": seq, "joined": joined, "updated": updated, "left": left});
    assert_eq!(watcher.expect_json::<Value>().await, diff(1, &[member("bob", 0)], &[], &[]));
    bob.send_text(r#"{"n":2}"#).await;
    assert_eq!(watcher.expect_json::<Value>().await, diff(2, &[], &[member("bob", 2)], &[]));
    ada.send_text("untrack").await;
    assert_eq!(watcher.expect_json::<Value>().await, diff(3, &[], &[], &[json!({"user": "ada"})]));
    bob.drop_connection();
    assert_eq!(watcher.expect_json::<Value>().await, diff(4, &[], &[], &[json!({"user": "bob"})]));
    let _visitor = host.at("/?track=true").connect().await;
    let visitor = watcher.expect_json::<Value>().await;
    assert_eq!(visitor["joined"][0]["visitor"].as_str().map(str::len), Some(16), "{visitor}");
    watcher.send_text("unwatch").await;
    watcher.send_text("watch").await;
    let again = watcher.expect_json::<Value>().await;
    assert_eq!((&again["seq"], again["snapshot"].as_array().map(Vec::len)), (&json!(5), Some(1)));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_is_one_member_on_all_devices() {
    let host = Host::new(app());
    let mut watcher = watcher(&host).await;
    let (first, mut second) = (member(&host, "ada").await, member(&host, "ada").await);
    watcher.listen().await;
    let listed = presence(host.hub()).list();
    assert_eq!(
        serde_json::to_value(&listed).expect("JSON"),
        json!([{"user": "ada", "meta": {"n": 0}, "devices": 2}])
    );
    assert_eq!((watcher.names(), watcher.messages), (vec!["ada"], 2));
    first.drop_connection();
    second.send_text(r#"{"n":1}"#).await;
    watcher.listen().await;
    assert_eq!((watcher.names(), presence(host.hub()).occupancy()), (vec!["ada"], 1));
    second.send_text("sign in").await;
    watcher.listen().await;
    assert_eq!(watcher.names(), ["late"], "who is tracked as somebody else is not both");
    second.send_text("panic").await;
    watcher.listen().await;
    assert!(watcher.names().is_empty(), "gone with its connection, which a panic ended");
    assert_eq!(presence(host.hub()).list(), []);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_within_a_window_is_told_at_once() {
    let host = Host::new(app());
    let mut watcher = watcher(&host).await;
    watcher.listen().await;
    let mut stay = Vec::new();
    for number in 0..100 {
        let client = member(&host, &format!("user {number}")).await;
        if number % 2 == 0 {
            client.drop_connection();
        } else {
            stay.push(client);
        }
    }
    watcher.listen().await;
    // The first is told at once.
    assert!((2..=4).contains(&watcher.messages), "{} messages", watcher.messages);
    assert_eq!(watcher.members, Some(truth(host.hub())));
    assert_eq!(watcher.names().len(), 50);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn bad_metadata_and_small_routes_are_refused_and_harm_nobody() {
    async fn small(socket: Socket) -> wirelark::Result {
        let refused = presence(socket.hub()).watch(&socket);
        assert_eq!(refused, Err(PresenceError::MessageBytes));
        socket.send("refused").await?;
        Ok(())
    }
    let options = Options::new().message_bytes(16 * 1024);
    let host = Host::new(app().socket("/small", socket(small).options(options)));
    let mut watcher = watcher(&host).await;
    let mut ada = member(&host, "ada").await;
    ada.send_text(&json!("x".repeat(4095)).to_string()).await;
    let reason = ada.expect_close(1008).await;
    assert!(reason.contains("4097 bytes"), "{reason}");
    let mut stranger = host.at("/").connect().await;
    stranger.send_text("{}").await;
    let reason = stranger.expect_close(1008).await;
    assert!(reason.contains("track"), "{reason}");
    let mut small = host.at("/small").connect().await;
    assert_eq!(small.expect_text().await, "refused");
    let _bob = member(&host, "bob").await;
    watcher.listen().await;
    assert_eq!(watcher.names(), ["bob"]);
    host.close().await;
}

/// A watcher that does not read while more happens than its outbox can hold, on a route that drops what it likes.
async fn check_slow(policy: SlowClient) {
    let options = Options::new().outbox_bytes(64 * 1024).slow_client(policy);
    let host = Host::new(App::new().socket("/", socket(lobby).options(options)));
    let mut slow = watcher(&host).await;
    slow.listen().await;
    assert_eq!(slow.snapshots, 1);
    slow.client.stop_reading();
    // Its own messages fill the outbox, and are what the policy drops.
    slow.client.send_text("flood").await;
    host.advance(WINDOW).await;
    let mut members = Vec::new();
    for number in 0..20 {
        let mut client = member(&host, &format!("user {number}")).await;
        client.send_text(&json!({"text": "x".repeat(4000)}).to_string()).await;
        members.push(client);
        host.advance(2 * WINDOW).await;
    }
    members.drain(..10).for_each(Client::drop_connection);
    host.advance(2 * WINDOW).await;
    slow.client.resume_reading();
    slow.listen().await;
    assert_eq!(slow.members, Some(truth(host.hub())), "{policy:?}");
    assert_eq!(slow.names().len(), 10, "{policy:?}");
    assert!(slow.snapshots > 1, "{policy:?}: a slow watcher was meant to miss something");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_missed_something_gets_a_new_snapshot() {
    for policy in [SlowClient::DropOldest, SlowClient::DropNewest, SlowClient::Conflate, SlowClient::Error] {
        check_slow(policy).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_never_reads_is_closed_and_delays_nobody() {
    let options = Options::new().outbox_bytes(64 * 1024).slow_client(SlowClient::DropNewest);
    let host = Host::new(App::new().socket("/", socket(lobby).options(options.no_heartbeat())));
    let mut watcher = watcher(&host).await;
    let mut slow = host.at("/?watch=true").connect().await;
    slow.expect_json::<Value>().await;
    slow.stop_reading();
    slow.send_text("flood").await;
    host.advance(WINDOW).await;
    let mut members = Vec::new();
    for number in 0..20 {
        let mut client = member(&host, &format!("user {number}")).await;
        client.send_text(&json!("x".repeat(4000)).to_string()).await;
        members.push(client);
        host.advance(2 * WINDOW).await;
    }
    watcher.listen().await;
    let told = watcher.messages;
    let begin = tokio::time::Instant::now();
    members.pop().expect("one of them").drop_connection();
    let news = watcher.client.expect_json().await;
    assert!(begin.elapsed() <= WINDOW, "told after {:?}", begin.elapsed());
    watcher.hear(news);
    assert_eq!((watcher.messages, watcher.names().len()), (told + 1, 19));
    assert_eq!(host.hub().connection_count(), 21);
    host.advance(Duration::from_secs(60)).await;
    assert_eq!(host.hub().connection_count(), 20, "it was closed");
    host.close().await;
}

/// Five thousand members come and go within ten seconds, before the eyes of fifty watchers.
#[tokio::test(start_paused = true)]
async fn five_thousand_members_under_fifty_watchers() {
    const MEMBERS: u32 = 5_000;
    const SECONDS: u32 = 10;
    let host = Host::new(app());
    let mut watchers = Vec::new();
    for _ in 0..50 {
        watchers.push(watcher(&host).await);
    }
    let step = Duration::from_secs(SECONDS.into()) / (2 * MEMBERS);
    let begin = tokio::time::Instant::now();
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        members.push(member(&host, &format!("user {number}")).await);
        host.advance(step).await;
    }
    let mut late = watcher(&host).await;
    host.advance(2 * WINDOW).await;
    let news = late.client.expect_json().await;
    late.hear(news);
    assert!(late.parts_left > 10, "a snapshot of {MEMBERS} is not one message");
    for member in members.drain(..MEMBERS as usize - 7) {
        member.drop_connection();
        host.advance(step).await;
    }
    let took = begin.elapsed();
    assert!(took <= Duration::from_secs(SECONDS.into()) + 10 * WINDOW, "{took:?}");
    let truth = truth(host.hub());
    assert_eq!(truth.len(), 7);
    // One for each window, and what does not fit into one message.
    let bytes = 2 * MEMBERS as usize * 80;
    let most = (took.as_millis() / WINDOW.as_millis()) as usize + bytes / (8 * 1024) + 2;
    for watcher in watchers.iter_mut().chain([&mut late]) {
        watcher.listen().await;
        assert_eq!(watcher.members.as_ref(), Some(&truth));
        assert!(watcher.messages <= most, "{} messages, and {most} are the most", watcher.messages);
        assert_eq!(watcher.snapshots, 1);
    }
    host.close().await;
}

/// Clients that come, go and change at random, among them watchers: in the end all lists are the same.
#[tokio::test(start_paused = true)]
async fn lists_stay_exact_under_a_storm_of_reconnects() {
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let host = Host::new(app());
        let mut first = watcher(&host).await;
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..600 {
            match random.random_range(0..10) {
                0..5 => {
                    let name = format!("user {}", random.random_range(0..20));
                    let path =
                        if random.random_bool(0.2) { "/?track=true&watch=true" } else { "/?track=true" };
                    let connecting = host.at(path);
                    let connecting =
                        if random.random_bool(0.1) { connecting } else { connecting.user(user(&name)) };
                    clients.push(connecting.connect().await);
                }
                5 if !clients.is_empty() => {
                    let at = random.random_range(0..clients.len());
                    let n = random.random_range(0..3);
                    clients[at].send_text(&json!({ "n": n }).to_string()).await;
                }
                _ if !clients.is_empty() => {
                    let at = random.random_range(0..clients.len());
                    clients.swap_remove(at).drop_connection();
                }
                _ => {}
            }
            if random.random_bool(0.2) {
                host.advance(WINDOW.mul_f64(random.random_range(0.0..2.0))).await;
            }
        }
        first.listen().await;
        let mut last = watcher(&host).await;
        last.listen().await;
        assert_eq!(first.members, Some(truth(host.hub())), "seed {seed}");
        assert_eq!(last.members, first.members, "seed {seed}");
        clients.drain(..).for_each(Client::drop_connection);
        first.listen().await;
        assert!(first.names().is_empty(), "seed {seed}: a ghost");
        host.close().await;
    }
}

#[contract]
trait Party {
    /// Who is there.
    #[push(drop_oldest)]
    fn guests(#[body] news: News);
}

struct Hosting;

impl PartyServer for Hosting {
    type Data = ();

    async fn attached(&self, session: Session<Party, ()>) -> wirelark::Result {
        let presence = session.presence();
        presence.track(&session, json!({"hat": true, "size": 1.5}))?;
        presence.watch_as(&session, Party::guests)?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_contract_get_pushes_of_it_in_their_format() {
    let host = Host::new(App::new().contract("/party/{room}", Party::serve(Hosting).room_policy(OpenRooms)));
    let ada = host.at("/party/a").user(user("ada")).contract::<Party>().await;
    let snapshot = ada.expect_guests(|_| true).await;
    let News::Snapshot { snapshot, .. } = snapshot else { panic!("{snapshot:?}") };
    assert_eq!(snapshot.iter().map(Member::user).collect::<Vec<_>>(), [Some("ada")]);
    let msgpack =
        host.at("/party/a").user(user("bob")).protocols(["wirelark.v1.msgpack"]).contract::<Party>().await;
    let news = msgpack.expect_guests(|_| true).await;
    let News::Snapshot { snapshot, .. } = news else { panic!("{news:?}") };
    assert_eq!(snapshot[1].meta(), &json!({"hat": true, "size": 1.5}));
    let news = ada.expect_guests(|_| true).await;
    let News::Diff { seq: 1, joined, .. } = news else { panic!("{news:?}") };
    assert_eq!(joined[0].user(), Some("bob"));
    drop(msgpack);
    let news = ada.expect_guests(|_| true).await;
    assert!(matches!(&news, News::Diff { left, .. } if left[0].user() == Some("bob")), "{news:?}");
    host.close().await;
}
