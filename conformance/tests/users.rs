//! Users over the fixed routes: sent to, closed, online and offline.

mod ways;

use std::time::Duration;

use serde_json::{Value, json};
use wirelark::axum::body::{Body, to_bytes};
use wirelark::axum::http::Request;
use wirelark::testing::{Client, Host};

use crate::ways::each_way;

each_way! {
    conformance::app();
    all_devices_get_what_is_sent_and_all_are_closed,
    events_are_there_before_the_answer_changes,
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
