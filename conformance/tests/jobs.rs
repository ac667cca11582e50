//! Jobs and the schedule, as a user's devices see them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wirelark::axum::body::Body;
use wirelark::axum::http::Request;
use wirelark::testing::{Client, Host};

async fn device(host: &Host, user: &str) -> Client {
    // Retries come at whole seconds.
    let device = host.at("/secure").timeout(Duration::from_secs(10));
    let mut device = device.jwt(json!({"sub": user, "scope": "realtime"})).connect().await;
    assert_eq!(device.expect_json::<Value>().await["sub"], user);
    device
}

/// Enqueues a job; its id.
async fn post(host: &Host, path: &str, body: &Value) -> Value {
    let request =
        Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string()));
    let answer = host.request(request.expect("a request")).await;
    assert_eq!(answer.status(), 202, "{path}");
    answer.headers()["x-job-id"].to_str().expect("an id of plain characters").into()
}

#[tokio::test(start_paused = true)]
async fn a_job_reaches_all_devices_of_its_user_and_the_clock_ticks() {
    let store = conformance::TempStore::new().expect("a folder");
    let app = conformance::app_with_jobs(&store).await.expect("a store");
    let host = Host::new(app).jwt_secret(b"test-secret");
    let mut devices = [device(&host, "ada").await, device(&host, "ada").await];

    let job = post(&host, "/jobs/ada", &json!({"text": "hi"})).await;
    for device in &mut devices {
        let pushed: Value = device.expect_json().await;
        assert_eq!(pushed, json!({"job": job, "message": {"text": "hi"}, "attempt": 1}));
    }

    let start = Instant::now();
    let job = post(&host, "/jobs/ada?delay_ms=700&fail_times=2", &json!(1)).await;
    let pushed: Value = devices[0].expect_json().await;
    assert_eq!(pushed, json!({"job": job, "message": 1, "attempt": 3}));
    // The delay, and retries after about one second and two; each rounded up to a whole one.
    assert!((3600..7000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());

    let mut clock = device(&host, "clock").await;
    let first = clock.expect_json::<Value>().await["tick"].as_u64().expect("a number");
    for n in 1..5 {
        assert_eq!(clock.expect_json::<Value>().await, json!({"tick": first + n}));
    }
    host.advance(Duration::from_secs(1)).await;
    host.close().await;
}
