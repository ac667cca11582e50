//! Users over the fixed routes: sent to, closed, online and offline, and present in rooms.

mod ways;

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use wirelark::axum::body::{Body, to_bytes};
use wirelark::axum::http::Request;
use wirelark::testing::{Client, Host};

use crate::ways::each_way;

each_way! {
    conformance::app();
    all_devices_get_what_is_sent_and_all_are_closed,
    events_are_there_before_the_answer_changes,
    a_room_knows_who_is_present,
}

async fn ask(host: &Host, method: &str, path: &str, body: &Value) -> Value {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let answer = host.request(request.body(Body::from(body.to_string())).expect("a request")).await;
    assert_eq!(answer.status(), 200, "{method} {path}");
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

async fn get(host: &Host, path: &str) -> Value {
    ask(host, "GET", path, &Value::Null).await
}

async fn post(host: &Host, path: &str, body: &Value) -> Value {
    ask(host, "POST", path, body).await
}

async fn device(host: &Host, user: &str) -> Client {
    let mut device = host.at("/secure").jwt(json!({"sub": user, "scope": "realtime"})).connect().await;
    assert_eq!(device.expect_json::<Value>().await["sub"], user);
    device
}

async fn all_devices_get_what_is_sent_and_all_are_closed(host: Host) {
    let mut ada = [device(&host, "ada").await, device(&host, "ada").await];
    let mut bob = device(&host, "bob").await;
    let news = json!({"news": ["ü", 1]});
    assert_eq!(post(&host, "/send/ada", &news).await, json!({"delivered": 2, "offline": 0}));
    assert_eq!(post(&host, "/send/eve", &news).await, json!({"delivered": 0, "offline": 1}));
    for device in &mut ada {
        assert_eq!(device.expect_json::<Value>().await, news);
    }
    assert_eq!(post(&host, "/close/ada?code=4003", &Value::Null).await, json!({"closed": 2}));
    for device in &mut ada {
        device.expect_close(4003).await;
    }
    assert_eq!(post(&host, "/close/eve", &Value::Null).await, json!({"closed": 0}));
    let bad = Request::post("/close/bob?code=1005").body(Body::empty()).expect("a request");
    assert_eq!(host.request(bad).await.status(), 400);
    bob.send_text("still here").await;
    assert_eq!(bob.expect_text().await, "still here");
    host.close().await;
}

async fn events_are_there_before_the_answer_changes(host: Host) {
    assert_eq!(get(&host, "/online/ada").await, json!({"online": false, "devices": 0}));
    let mut devices = [device(&host, "ada").await, device(&host, "ada").await];
    let online = json!([{"event": "online", "user": "ada"}]);
    assert_eq!(get(&host, "/online/ada").await, json!({"online": true, "devices": 2}));
    assert_eq!(get(&host, "/events").await, online);
    for device in &mut devices {
        device.close(1000, "").await;
        device.expect_close(1000).await;
    }
    let mut looks = 0;
    while get(&host, "/online/ada").await["online"] == true {
        looks += 1;
        assert!(looks < 500, "ada never goes offline");
        host.advance(Duration::from_millis(20)).await;
    }
    assert!(looks > 25, "not before the grace period of a second is over");
    let both = json!([{"event": "online", "user": "ada"}, {"event": "offline", "user": "ada"}]);
    assert_eq!(get(&host, "/events").await, both);
    host.close().await;
}

async fn a_room_knows_who_is_present(host: Host) {
    let mut ada = host.at("/presence/lobby?user=ada&meta=%7B%22a%22:1%7D").connect().await;
    let member = |user: &str, meta: Value| json!({"user": user, "meta": meta});
    assert_eq!(ada.expect_json::<Value>().await["snapshot"], json!([member("ada", json!({"a": 1}))]));
    let mut bob = host.at("/presence/lobby?user=bob").connect().await;
    let both = json!([member("ada", json!({"a": 1})), member("bob", Value::Null)]);
    assert_eq!(bob.expect_json::<Value>().await["snapshot"], both);
    let diff = ada.expect_json::<Value>().await;
    assert_eq!(
        [&diff["joined"], &diff["updated"], &diff["left"]],
        [&json!([member("bob", Value::Null)]), &json!([]), &json!([])]
    );
    bob.send_json(&json!({"meta": [2]})).await;
    assert_eq!(ada.expect_json::<Value>().await["updated"], json!([member("bob", json!([2]))]));
    bob.expect_json::<Value>().await;
    bob.send_json(&json!({"meta": "x".repeat(4095)})).await;
    let error = bob.expect_json::<Value>().await;
    assert!(error["error"].as_str().is_some_and(|error| error.contains("4096")), "{error}");
    let _again = host.at("/presence/lobby?user=ada&meta=%7B%22a%22:1%7D").connect().await;
    // Only a device more: nothing to tell.
    let listed = json!([
        {"user": "ada", "meta": {"a": 1}, "devices": 2},
        {"user": "bob", "meta": [2], "devices": 1},
    ]);
    let mut looks = 0;
    while get(&host, "/presence/lobby").await != json!({"members": listed, "occupancy": 2}) {
        looks += 1;
        assert!(looks < 200, "{}", get(&host, "/presence/lobby").await);
        host.advance(Duration::from_millis(10)).await;
    }
    assert_eq!(get(&host, "/online/bob").await, json!({"online": true, "devices": 1}));
    bob.drop_connection();
    assert_eq!(ada.expect_json::<Value>().await["left"], json!([{"user": "bob"}]));
    for bad in ["meta=%7B", "user=%00", "user="] {
        host.at(&format!("/presence/lobby?{bad}")).expect_rejected(400).await;
    }
    host.close().await;
}

/// Four thousand users with two devices each, in another process: one call reaches them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_users_with_two_devices_get_one_push() {
    const USERS: usize = 4_000;
    let host = Host::tcp(conformance::app()).await;
    let users: Vec<_> = (0..USERS).map(|number| format!("user {number}")).collect();
    let paths: String = users
        .iter()
        .map(|user| {
            let token = ways::token(&json!({"sub": user, "scope": "realtime"}));
            format!("/secure?token={token}\n").repeat(2)
        })
        .collect();
    let address = host.address().expect("over TCP").to_string();
    let mut crowd = Command::new(env!("CARGO_BIN_EXE_crowd"))
        .args([&*address, "news"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program is there");
    let mut stdin = crowd.stdin.take().expect("it is piped");
    stdin.write_all(paths.as_bytes()).await.expect("it reads its paths");
    drop(stdin);
    let mut said = BufReader::new(crowd.stdout.take().expect("it is piped")).lines();
    assert_eq!(said.next_line().await.expect("text"), Some(format!("connected {}", 2 * USERS)));
    let everybody = host.hub().users_bulk(users.iter().chain(["nobody".to_owned()].iter()));
    assert_eq!((everybody.devices(), everybody.is_online()), (2 * USERS, true));
    let delivered = everybody.push("news").counted().await;
    assert_eq!((delivered.queued, delivered.offline), (2 * USERS, 1));
    assert_eq!(said.next_line().await.expect("text"), Some(format!("received {}", 2 * USERS)));
    assert!(crowd.wait().await.expect("it ends").success());
    host.close().await;
}
