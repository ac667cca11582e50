//! The shop over the real stack, in memory, with its files in a folder of each test's own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use notifications::{Shop, app};
use serde_json::{Value, json};
use wirelark::axum::body::{Body, to_bytes};
use wirelark::axum::http::{Method, Request};
use wirelark::testing::{Client, Host};

/// Slow enough for nothing, fast enough for a test: the files' threads do not know a paused clock.
const PACE: Duration = Duration::from_millis(1);

/// An order does not move on in a test that is not about that.
const NEVER: Duration = Duration::from_secs(3600);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("notifications-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn host(folder: &Path, pace: Duration) -> Host {
    Host::new(app(&Shop::open(folder, pace).await.expect("a shop")))
}

async fn request(host: &Host, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = host.request(request.body(Body::from(body.to_string())).expect("a request")).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 64 * 1024).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
}

async fn order(host: &Host, user: &str, item: &str) -> (u16, Value) {
    request(host, Method::POST, &format!("/my/orders?user={user}"), &json!({ "item": item })).await
}

async fn orders(host: &Host, user: &str) -> Value {
    let (status, orders) = request(host, Method::GET, &format!("/my/orders?user={user}"), &Value::Null).await;
    assert_eq!(status, 200, "{orders}");
    orders
}

async fn device(host: &Host, user: &str) -> Client {
    host.at(&format!("/my/notifications?user={user}")).connect().await
}

/// What a device is told of its user's only order, until it has come.
async fn watched(device: &mut Client) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&100) {
        let order: Value = device.expect_json().await;
        seen.push(order["percent"].as_u64().expect("a percentage"));
    }
    // That it was ordered may be told after the first step.
    seen.sort_unstable();
    seen
}

#[tokio::test]
async fn all_devices_of_the_buyer_see_each_step_and_nobody_else_does() {
    let folder = Folder::new();
    let host = host(&folder.0, PACE).await;
    let (mut phone, mut laptop) = (device(&host, "ada").await, device(&host, "ada").await);
    let mut bob = device(&host, "bob").await;

    let (status, placed) = order(&host, "ada", " A bell ").await;
    assert_eq!((status, &placed["item"], &placed["percent"]), (202, &json!("A bell"), &json!(0)));
    let each: Vec<u64> = (0..=100).step_by(5).collect();
    assert_eq!(watched(&mut phone).await, each);
    assert_eq!(watched(&mut laptop).await, each);
    assert_eq!(
        orders(&host, "ada").await,
        json!([{ "id": placed["id"], "item": "A bell", "percent": 100, "attempt": 1 }])
    );

    // The first thing bob hears of is his own.
    order(&host, "bob", "A horn").await;
    assert_eq!(bob.expect_json::<Value>().await["item"], "A horn");
    assert_eq!(orders(&host, "bob").await[0]["item"], "A horn");
    host.close().await;
}

#[tokio::test]
async fn an_order_goes_on_where_the_server_before_stopped() {
    let folder = Folder::new();
    let shop = Shop::open(&folder.0, NEVER).await.expect("a shop");
    let before = Host::new(app(&shop));
    let mut device = device(&before, "ada").await;
    order(&before, "ada", "A bell").await;
    while device.expect_json::<Value>().await["percent"] != 5 {}
    before.close().await;
    shop.close().await;

    // One step further, and there it rests.
    let after = host(&folder.0, NEVER).await;
    let resumed = loop {
        let order = orders(&after, "ada").await[0].clone();
        if order["attempt"] == 2 {
            break order;
        }
    };
    assert_eq!(resumed["percent"], 10, "it did not go on where it was");
    after.close().await;
}

#[tokio::test]
async fn what_cannot_be_ordered_is_said_in_words() {
    let folder = Folder::new();
    let host = host(&folder.0, NEVER).await;
    for item in ["  ", &"x".repeat(61)] {
        let (status, why) = order(&host, "ada", item).await;
        assert_eq!((status, why), (422, json!("Say what you want, in at most 60 characters.")));
    }
    for _ in 0..5 {
        assert_eq!(order(&host, "ada", "A bell").await.0, 202);
    }
    let (status, why) = order(&host, "ada", "A bell").await;
    assert_eq!(status, 429, "{why}");
    assert_eq!(order(&host, "bob", "A bell").await.0, 202, "others may");
    assert_eq!(orders(&host, "ada").await.as_array().map(Vec::len), Some(5));
    host.close().await;
}

#[tokio::test]
async fn nobody_is_told_anything() {
    let folder = Folder::new();
    let host = host(&folder.0, PACE).await;
    for query in ["", "?user=", "?name=ada"] {
        let (status, why) = request(&host, Method::GET, &format!("/my/orders{query}"), &Value::Null).await;
        assert_eq!((status, why), (401, json!("say who you are: `?user=ada`")), "{query}");
        host.at(&format!("/my/notifications{query}")).expect_rejected(401).await;
    }
    host.close().await;
}
