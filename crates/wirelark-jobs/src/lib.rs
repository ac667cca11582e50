//! Durable jobs and schedules for [Wirelark](wirelark): later work that can push to the user who asked for it.
//!
//! A [`Queue`] is a name with a type. Jobs are kept in a SQLite file, so there is nothing to install, and a job that was
//! enqueued runs at least once, whatever happens to the process: after a crash, what was running is tried again with a
//! higher [attempt](Job::attempt).
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use wirelark::axum::{Extension, Json, routing::post};
//! use wirelark::{App, Hub};
//! use wirelark_jobs::{EnqueueError, Job, Jobs, Queue, Run, Schedule};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     item: String,
//! }
//!
//! const SHIP: Queue<Order> = Queue::new("ship").concurrency(4);
//!
//! async fn ship(job: Job<Order>, hub: Hub) -> Result<(), std::io::Error> {
//!     println!("attempt {} to ship {}", job.attempt(), job.payload().item);
//!     hub.broadcast("shipped").await;
//!     Ok(())
//! }
//!
//! async fn report(_: Run, hub: Hub) -> Result<(), std::io::Error> {
//!     hub.broadcast("good morning").await;
//!     Ok(())
//! }
//!
//! async fn order(jobs: Jobs, Json(order): Json<Order>) -> Result<String, String> {
//!     let id = jobs.enqueue(SHIP, &order).user("ada").await.map_err(|error: EnqueueError| error.to_string())?;
//!     Ok(id.to_string())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let jobs = Jobs::builder()
//!         .queue(SHIP, ship)
//!         .schedule(Schedule::new("morning", "0 6 * * *"), report)
//!         .open("jobs.db")
//!         .await?;
//!     App::new()
//!         .route("/orders", post(order))
//!         .layer(Extension(jobs.clone()))
//!         .alongside(jobs.worker())
//!         .serve("127.0.0.1:3000")
//!         .await?;
//!     Ok(())
//! }
//! ```

mod attempt;
mod backlog;
mod clock;
mod cron;
mod error;
mod http;
mod job;
mod jobs;
mod lane;
pub mod metric_names;
mod queue;
mod schedule;
mod store;
mod worker;

pub use self::cron::CronError;
pub use self::error::{EnqueueError, InvalidName, OpenError, RunError, StoreError};
pub use self::job::{Job, JobId, Run};
pub use self::jobs::{DeadLetter, Enqueue, Jobs, JobsBuilder, Worker};
pub use self::queue::Queue;
pub use self::schedule::{LastRun, Overlap, RunOutcome, Schedule, ScheduleInfo};
