//! The routes of the conformance server. They are a fixed interface: outside test suites, clients of other
//! languages and load generators drive them.

mod demo;
mod first;
mod flood;
mod jobs;
mod lifecycle;
mod messages;
mod presence;
mod rooms;
mod rpc;
mod rpc_room;
mod secure;
mod users;
mod values;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use wirelark::axum::Json;
use wirelark::axum::routing::get;
use wirelark::{App, CompressionOptions, Options, SlowClient, Socket, socket};

const MIB: usize = 1024 * 1024;

/// The whole server: the routes that need nothing, and jobs over a store.
///
/// # Errors
/// The store cannot be opened.
pub async fn app_with_jobs(store: &TempStore) -> anyhow::Result<App> {
    Ok(jobs::add_to(app(), &store.path()).await?)
}

/// A folder for jobs that is gone with the server.
#[derive(Debug)]
pub struct TempStore(PathBuf);

impl TempStore {
    /// A folder nobody else has.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let mut n = 0;
        loop {
            let folder =
                std::env::temp_dir().join(format!("wirelark-conformance-{}-{n}", std::process::id()));
            match std::fs::create_dir(&folder) {
                // Of a process with our id, that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
                made => return made.map(|()| Self(folder)),
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.0.join("jobs.db")
    }
}

impl Drop for TempStore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The server without jobs, which nothing has to be opened for.
pub fn app() -> App {
    let echo_options = Options::new()
        .protocols(["echo"])
        .require_protocol(false)
        .message_bytes(64 * MIB)
        .outbox_bytes(64 * MIB)
        .slow_client(SlowClient::Wait)
        .compression(CompressionOptions::default());
    let bounded_options =
        Options::new().message_bytes(MIB).outbox_bytes(MIB + 64 * 1024).slow_client(SlowClient::Close);
    let strict_options = bounded_options
        .clone()
        .origins(["http://127.0.0.1:9399", "https://app.example.com"])
        .protocols(["echo", "wirelark.test"])
        .heartbeat(Duration::from_secs(2))
        .pong_deadline(Duration::from_secs(2));
    let app = App::new()
        .route("/healthz", get(async || Json(serde_json::json!({"status": "ok"}))))
        .metrics("/metrics")
        .routes_json("/routes.json")
        .about("Wirelark's conformance server", env!("CARGO_PKG_VERSION"))
        .asyncapi("/asyncapi.json")
        .socket("/echo", socket(echo).options(echo_options))
        .socket("/bounded", socket(echo).options(bounded_options))
        .socket("/strict", socket(echo).options(strict_options))
        .socket(demo::ping::path(), demo::ping);
    let app = first::add_to(app);
    let app = flood::add_to(app);
    let app = lifecycle::add_to(app);
    let app = rooms::add_to(app);
    let app = presence::add_to(users::add_to(app));
    let app = secure::add_to(app);
    let app = rpc_room::add_to(rpc::add_to(app));
    let app = messages::add_to(app);
    values::add_to(app)
}

async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}
