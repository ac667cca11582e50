//! Jobs that are enqueued over HTTP and push to a user's devices, and a schedule that ticks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wirelark::axum::Json;
use wirelark::axum::extract::{Path, Query};
use wirelark::axum::http::{HeaderName, StatusCode};
use wirelark::axum::routing::post;
use wirelark::{App, Hub};
use wirelark_jobs::{EnqueueError, Job, Jobs, OpenError, Queue, Run, Schedule};

#[derive(Serialize, Deserialize)]
struct Work {
    message: Value,
    fail_times: u32,
}

const WORK: Queue<Work> = Queue::new("work");

const JOB_ID: HeaderName = HeaderName::from_static("x-job-id");

/// The user who hears of each tick.
const CLOCK: &str = "clock";

/// Adds the routes of jobs, and works on them alongside. Their store is a file at `path`.
pub(crate) async fn add_to(app: App, path: &std::path::Path) -> Result<App, OpenError> {
    let ticks = Arc::new(AtomicU64::new(0));
    let tick = move |_: Run, hub: Hub| {
        let n = ticks.fetch_add(1, SeqCst) + 1;
        async move {
            hub.user(CLOCK).push(json!({"tick": n}).to_string()).await;
            Ok::<_, String>(())
        }
    };
    let jobs = Jobs::builder()
        .queue(WORK, work)
        .schedule(Schedule::new("tick", "* * * * * *"), tick)
        .open(path)
        .await?;
    let worker = jobs.worker();
    Ok(app
        .route("/jobs/{user}", post(async move |user, asked, body| enqueue(jobs, user, asked, body).await))
        .alongside(worker))
}

async fn work(job: Job<Work>, hub: Hub) -> Result<(), &'static str> {
    let (id, attempt) = (job.id().to_string(), job.attempt());
    if attempt <= job.payload().fail_times {
        return Err("it was asked to fail");
    }
    let user = job.user().ok_or("every job of this route has a user")?;
    hub.user(user)
        .push(json!({"job": id, "message": job.payload().message, "attempt": attempt}).to_string())
        .await;
    Ok(())
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    fail_times: u32,
}

async fn enqueue(
    jobs: Jobs,
    Path(user): Path<String>,
    Query(asked): Query<Asked>,
    Json(message): Json<Value>,
) -> Result<(StatusCode, [(HeaderName, String); 1]), (StatusCode, String)> {
    let work = Work { message, fail_times: asked.fail_times };
    let job = jobs.enqueue(WORK, &work).user(&user).delay(Duration::from_millis(asked.delay_ms));
    match job.await {
        Ok(id) => Ok((StatusCode::ACCEPTED, [(JOB_ID, id.to_string())])),
        Err(EnqueueError::Store(error)) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        Err(error) => Err((StatusCode::BAD_REQUEST, error.to_string())),
    }
}
