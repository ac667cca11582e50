//! `/lifecycle/{mode}`: every way a handler can end, and a log of what was seen.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use wirelark::axum::Json;
use wirelark::axum::http::StatusCode;
use wirelark::axum::routing::get;
use wirelark::{App, CloseCode, Options, Refusal, Socket, Upgrade, socket};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone, Serialize)]
struct Entry {
    mode: &'static str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Log {
    /// Notes that a connection opened, and from now on how it ends.
    fn follow(&self, mode: &'static str, socket: &Socket) {
        self.add(mode, "opened", None);
        let (log, sender) = (self.clone(), socket.sender());
        let token = sender.token();
        tokio::spawn(async move {
            token.cancelled().await;
            log.add(mode, "cancelled", None);
            let closed = sender.ended().await;
            log.add(mode, "closed", Some(closed.code.into()));
        });
    }

    fn add(&self, mode: &'static str, event: &'static str, code: Option<u16>) {
        self.0.lock().push(Entry { mode, event, code });
    }
}

pub(crate) fn add_to(app: App) -> App {
    let log = Log::default();
    let impatient = Options::new().accept_timeout(Duration::from_secs(1));
    app.route(
        "/lifecycle/log",
        get({
            let log = log.clone();
            async move || Json(log.0.lock().clone())
        }),
    )
    .socket("/lifecycle/return", {
        let log = log.clone();
        async move |socket: Socket| log.follow("return", &socket)
    })
    .socket("/lifecycle/keep", {
        let log = log.clone();
        async move |socket: Socket| {
            log.follow("keep", &socket);
            socket.keep_open();
        }
    })
    .socket("/lifecycle/error", {
        let log = log.clone();
        async move |socket: Socket| -> wirelark::Result {
            log.follow("error", &socket);
            Err(std::io::Error::other("the disk is on fire").into())
        }
    })
    .socket("/lifecycle/panic", {
        let log = log.clone();
        async move |socket: Socket| -> wirelark::Result {
            log.follow("panic", &socket);
            panic!("this handler always panics");
        }
    })
    .socket("/lifecycle/close", {
        let log = log.clone();
        async move |mut socket: Socket| {
            log.follow("close", &socket);
            socket.close(CloseCode::new(4001), "bye");
            while socket.recv().await.is_some() {}
        }
    })
    .socket("/lifecycle/refuse", async |upgrade: Upgrade| -> wirelark::Result {
        upgrade.refuse((StatusCode::IM_A_TEAPOT, "short and stout"));
        Ok(())
    })
    .socket("/lifecycle/never", socket(never).options(impatient))
}

async fn never(upgrade: Upgrade) -> wirelark::Result {
    std::future::pending::<()>().await;
    Err(Refusal::new(format!("{} is never reached", upgrade.id())).into())
}
