//! Who is online, and when: what hooks hear, and that it stays exact however clients come and go.
//!
//! `CHURN=1000000 cargo nextest run --release -p wirelark --test online` has them come and go more often than the suite has
//! time for.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use wirelark::auth::User;
use wirelark::axum::extract::Request;
use wirelark::axum::middleware::{Next, from_fn};
use wirelark::axum::response::Response;
use wirelark::testing::{Client, Host};
use wirelark::{App, BuildError, Hub, Socket};

const GRACE: Duration = Duration::from_secs(5);

/// What the hooks heard: a user and whether that user is online now.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(String, bool)>>>);

impl Log {
    fn hear(&self, app: App) -> App {
        app.on_online(self.keep(true)).on_offline(self.keep(false))
    }

    /// A hook that keeps what it hears.
    fn keep(&self, online: bool) -> impl Fn(String, Hub) -> Ready<()> + Send + Sync + 'static {
        let log = self.clone();
        move |user, _| {
            log.0.lock().push((user, online));
            ready(())
        }
    }

    fn of(&self, user: &str) -> Vec<bool> {
        self.0.lock().iter().filter(|(who, _)| who == user).map(|(_, online)| *online).collect()
    }
}

async fn keep_open(socket: Socket) {
    socket.keep_open();
}

fn user(name: &str) -> User {
    User::new(name).expect("a name")
}

async fn connect(host: &Host, name: &str) -> Client {
    host.at("/").user(user(name)).connect().await
}

fn host(log: &Log) -> Host {
    Host::new(log.hear(App::new().socket("/", keep_open)))
}

#[tokio::test(start_paused = true)]
async fn a_user_is_online_from_the_first_device_until_a_while_after_the_last() {
    let log = Log::default();
    let host = host(&log);
    let ada = host.hub().user("ada");
    assert!(!ada.is_online());
    let first = connect(&host, "ada").await;
    assert!(ada.is_online());
    let second = connect(&host, "ada").await;
    let _anonymous = host.at("/").connect().await;
    first.drop_connection();
    host.advance(3 * GRACE).await;
    assert_eq!((log.of("ada"), ada.devices()), (vec![true], 1));
    second.drop_connection();
    host.advance(GRACE - Duration::from_secs(1)).await;
    assert_eq!((log.of("ada"), ada.devices(), ada.is_online()), (vec![true], 0, true));
    host.advance(Duration::from_secs(2)).await;
    assert_eq!((log.of("ada"), ada.is_online()), (vec![true, false], false));
    assert_eq!(log.0.lock().len(), 2, "somebody without a name is nobody's presence");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_within_the_grace_period_is_not_heard_of() {
    let log = Log::default();
    let host = host(&log);
    for _ in 0..10 {
        let mut device = connect(&host, "ada").await;
        device.close(1000, "").await;
        device.expect_close(1000).await;
        host.advance(GRACE - Duration::from_secs(1)).await;
        assert!(host.hub().user("ada").is_online());
    }
    assert_eq!(log.of("ada"), [true]);
    host.advance(2 * GRACE).await;
    assert_eq!(log.of("ada"), [true, false]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_a_user_who_was_refused() {
    let log = Log::default();
    let host = Host::new(log.hear(App::new().socket("/", async |mut socket: Socket| {
        while socket.recv().await.is_some() {
            let refused = socket.sign_in(&user("eve")).is_err();
            let _ = socket.send(refused.to_string()).await;
        }
    })));
    let mut device = host.at("/").user(user("ada")).connect().await;
    device.send_text("sign in").await;
    assert_eq!(device.expect_text().await, "true");
    assert!(!host.hub().user("eve").is_online());
    assert_eq!(log.of("eve"), [false; 0]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_late_comes_online_then() {
    let log = Log::default();
    let host = Host::new(log.hear(App::new().socket("/", async |mut socket: Socket| {
        while let Some(message) = socket.recv().await {
            let name = std::str::from_utf8(message.as_bytes()).unwrap_or("?");
            socket.switch_user(&user(name)).expect("the connection is open");
            let _ = socket.send("done").await;
        }
    })));
    let mut device = host.at("/").connect().await;
    for name in ["ada", "ada", "bob"] {
        device.send_text(name).await;
        device.expect_text().await;
    }
    assert_eq!((log.of("ada"), log.of("bob")), (vec![true], vec![true]));
    host.advance(2 * GRACE).await;
    assert_eq!((log.of("ada"), log.of("bob")), (vec![true, false], vec![true]));
    device.drop_connection();
    host.advance(2 * GRACE).await;
    assert_eq!(log.of("bob"), [true, false]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_can_be_another_and_must_be_one() {
    let log = Log::default();
    let app = log.hear(App::new().socket("/", keep_open)).offline_grace(Duration::ZERO);
    let host = Host::new(app);
    connect(&host, "ada").await.drop_connection();
    host.advance(Duration::from_millis(10)).await;
    assert_eq!((log.of("ada"), host.hub().user("ada").is_online()), (vec![true, false], false));
    host.close().await;
    let error = App::new().offline_grace(Duration::MAX).build().expect_err("longer than the clock");
    assert_eq!(error, BuildError::OfflineGrace(Duration::MAX));
    assert!(error.to_string().contains("from_secs"), "{error}");
}

/// Runs of one user's hooks, as they begin and end.
#[tokio::test(start_paused = true)]
async fn runs_of_a_user_take_their_turns_and_those_of_others_do_not_wait() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let hook = |what: &'static str, log: &Arc<Mutex<Vec<String>>>| {
        let log = Arc::clone(log);
        move |user: String, hub: Hub| {
            let log = Arc::clone(&log);
            async move {
                log.lock().push(format!("{user} {what}"));
                match &*user {
                    "slow" => tokio::time::sleep(Duration::from_secs(8)).await,
                    "stuck" => std::future::pending().await,
                    "broken" => panic!("this hook always panics"),
                    _ => hub.broadcast(user.clone()).await,
                }
                log.lock().push(format!("{user} {what}, done"));
            }
        }
    };
    let app = App::new().socket("/", keep_open).offline_grace(Duration::from_secs(1));
    let host = Host::new(app.on_online(hook("on", &log)).on_offline(hook("off", &log)));
    for name in ["slow", "stuck", "broken"] {
        connect(&host, name).await.drop_connection();
    }
    let mut quick = connect(&host, "quick").await;
    assert_eq!(quick.expect_text().await, "quick", "a hook can send");
    host.advance(Duration::from_secs(30)).await;
    let log = std::mem::take(&mut *log.lock());
    let of = |user: &str| log.iter().filter(|line| line.starts_with(user)).cloned().collect::<Vec<_>>();
    assert_eq!(of("slow"), ["slow on", "slow on, done", "slow off", "slow off, done"]);
    assert_eq!(of("stuck"), ["stuck on", "stuck off"], "given up after a while");
    assert_eq!(of("broken"), ["broken on", "broken off"]);
    assert_eq!(of("quick"), ["quick on", "quick on, done"]);
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_when_it_is_called_harms_nobody() {
    let app = App::new().socket("/", keep_open).on_online(|_, _| -> Ready<()> { panic!("always") });
    let host = Host::new(app);
    let mut device = connect(&host, "ada").await;
    assert!(host.hub().user("ada").is_online());
    host.hub().user("ada").push("still here").await;
    assert_eq!(device.expect_text().await, "still here");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_takes_nobody_offline() {
    let log = Log::default();
    let host = host(&log);
    let _devices = [connect(&host, "ada").await, connect(&host, "bob").await];
    connect(&host, "eve").await.drop_connection();
    host.close().await;
    tokio::time::sleep(3 * GRACE).await;
    assert_eq!([log.of("ada"), log.of("bob"), log.of("eve")], [[true]; 3].map(Vec::from));
}

/// What should be true of users whose connections we hold: how many each has.
type Held = BTreeMap<String, usize>;

/// Everything that is not as it should be, once every grace period has passed.
fn wrong(hub: &Hub, log: &Log, held: &Held) -> Vec<String> {
    let mut wrong = Vec::new();
    for (user, &devices) in held {
        let (is_online, counted, heard) =
            (hub.user(user.as_str()).is_online(), hub.user(user.as_str()).devices(), log.of(user));
        if (is_online, counted) != (devices > 0, devices) {
            wrong.push(format!("{user}: online {is_online} with {counted} devices instead of {devices}"));
        }
        let in_turn = heard.iter().enumerate().all(|(at, online)| *online == (at % 2 == 0));
        if !in_turn || heard.last().copied().unwrap_or(false) != is_online {
            wrong.push(format!("{user}: online {is_online}, and the hooks heard {heard:?}"));
        }
    }
    wrong
}

fn steps() -> usize {
    std::env::var("CHURN").map_or(100_000, |steps| steps.parse().expect("CHURN is a number"))
}

#[tokio::test(start_paused = true)]
async fn online_is_exact_after_a_hundred_thousand_random_steps() {
    const USERS: usize = 50;
    const SEED: u64 = 84;
    let mut random = StdRng::seed_from_u64(SEED);
    let log = Log::default();
    let host = host(&log);
    let mut devices: Vec<(String, Client)> = Vec::new();
    let mut held: Held = (0..USERS).map(|number| (format!("user {number}"), 0)).collect();
    let names: Vec<String> = held.keys().cloned().collect();
    for step in 0..steps() {
        // Around two devices for each user, and often none.
        if devices.is_empty() || random.random_range(0..USERS * 2) > devices.len() {
            let name = names.choose(&mut random).expect("there are some").clone();
            devices.push((name.clone(), connect(&host, &name).await));
            *held.get_mut(&name).expect("one of them") += 1;
        } else {
            let (name, mut device) = devices.swap_remove(random.random_range(0..devices.len()));
            *held.get_mut(&name).expect("one of them") -= 1;
            match random.random_bool(0.5) {
                true => device.drop_connection(),
                false => {
                    device.close(1000, "").await;
                    device.expect_close(1000).await;
                }
            }
        }
        // Now and then so long that some grace periods pass, and all of them.
        if random.random_bool(0.01) {
            host.advance(GRACE.mul_f64(random.random_range(0.0..1.0))).await;
        }
        if step % 5_000 == 0 {
            host.advance(2 * GRACE).await;
            assert_eq!(wrong(host.hub(), &log, &held), [""; 0], "seed {SEED}, step {step}");
        }
    }
    host.advance(2 * GRACE).await;
    assert_eq!(wrong(host.hub(), &log, &held), [""; 0], "seed {SEED}");
    assert!(log.0.lock().len() > USERS, "users came and went");
    host.close().await;
}

/// Faults of each kind the check is there for, planted: it finds them, and nothing else.
#[tokio::test(start_paused = true)]
async fn the_check_finds_planted_faults() {
    let log = Log::default();
    let host = host(&log);
    let mut held: Held =
        ["ghost", "missing", "unheard", "twice", "fine"].map(|name| (name.to_owned(), 1)).into();
    let _devices =
        [connect(&host, "ghost").await, connect(&host, "unheard").await, connect(&host, "fine").await];
    let _twice = connect(&host, "twice").await;
    connect(&host, "missing").await.drop_connection();
    host.advance(2 * GRACE).await;
    // A connection that ended stays with its user.
    held.insert("ghost".to_owned(), 0);
    // A change is told to nobody, and another one twice.
    log.0.lock().retain(|(user, _)| user != "unheard");
    log.0.lock().push(("twice".to_owned(), true));
    assert_eq!(
        wrong(host.hub(), &log, &held),
        [
            "ghost: online true with 1 devices instead of 0",
            "missing: online false with 0 devices instead of 1",
            "twice: online true, and the hooks heard [true, true]",
            "unheard: online true, and the hooks heard []",
        ]
    );
    host.close().await;
}

/// As above, with connections that really run at the same time, over TCP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn online_is_exact_when_users_come_and_go_at_the_same_time() {
    async fn sign_in(mut request: Request, next: Next) -> Response {
        if let Some(user) = request.headers().get("x-user").and_then(|name| name.to_str().ok()).map(user) {
            request.extensions_mut().insert(user);
        }
        next.run(request).await
    }
    const TASKS: u64 = 4;
    let grace = Duration::from_millis(30);
    let log = Log::default();
    let app = App::new().socket("/", keep_open).layer(from_fn(sign_in)).offline_grace(grace);
    let host = Arc::new(Host::tcp(log.hear(app)).await);
    let comers = (0..TASKS).map(|seed| {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..500 {
                // Few, so that several tasks are the same user at the same time.
                let name = format!("user {}", random.random_range(0..3));
                let device = host.at("/").header("x-user", &name).connect().await;
                if random.random_bool(0.2) {
                    tokio::time::sleep(grace.mul_f64(random.random_range(0.0..1.5))).await;
                }
                device.drop_connection();
                if random.random_bool(0.05) {
                    tokio::time::sleep(grace * 2).await;
                }
            }
        })
    });
    for comer in comers.collect::<Vec<_>>() {
        comer.await.expect("nobody panics");
    }
    let last = host.at("/").header("x-user", "user 0").connect().await;
    let held: Held =
        [("user 0", 1), ("user 1", 0), ("user 2", 0)].map(|(name, held)| (name.to_owned(), held)).into();
    for _ in 0..200 {
        if wrong(host.hub(), &log, &held).is_empty() {
            break;
        }
        tokio::time::sleep(grace).await;
    }
    assert_eq!(wrong(host.hub(), &log, &held), [""; 0]);
    drop(last);
    Arc::into_inner(host).expect("the tasks have ended").close().await;
}
