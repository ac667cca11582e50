//! `/secure`: one middleware, a signed token that can be renewed, and a scope.

use serde_json::json;
use wirelark::auth::{Jwt, TokenSource, User};
use wirelark::axum::extract::{Query, Request};
use wirelark::axum::http::HeaderValue;
use wirelark::axum::middleware::{Next, from_fn};
use wirelark::axum::response::Response;
use wirelark::{App, OpenRooms, RoomPass, Socket, socket};

/// Verifies tokens signed with the secret that suites know too.
pub(crate) fn jwt() -> Jwt {
    Jwt::hs256(b"test-secret")
}

pub(crate) fn add_to(app: App) -> App {
    let jwt = jwt().sources([
        TokenSource::Bearer,
        TokenSource::Cookie("token".into()),
        TokenSource::Query("token".into()),
        TokenSource::Subprotocol("bearer.".into()),
    ]);
    app.scope("/secure", |scope| {
        scope.socket("/", socket(secure).auth(jwt).require_scope("realtime")).layer(from_fn(name_the_server))
    })
}

async fn name_the_server(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("server", HeaderValue::from_static("wirelark-conformance"));
    response
}

#[derive(serde::Deserialize)]
struct Asked {
    /// A room to join, for whoever measures what an authenticated member costs.
    room: Option<String>,
}

/// A client's wish to stay for longer than its token holds.
#[derive(serde::Deserialize)]
struct Renewal {
    renew: String,
}

async fn secure(user: User, Query(asked): Query<Asked>, mut socket: Socket) -> wirelark::Result {
    if let Some(room) = asked.room {
        // Boxed, as it is gone before the connection rests.
        let pass = Box::pin(RoomPass::ask(&OpenRooms, Some(&user), room)).await?;
        socket.join(pass)?;
    }
    socket.send_json(&json!({"type": "hello", "sub": user.id()})).await?;
    while let Some(message) = socket.recv().await {
        match serde_json::from_slice(message.as_bytes()) {
            // The verifier is made for the moment: held by each connection, it would be a third of what one takes.
            Ok(Renewal { renew }) => socket.sign_in(&jwt().verify(&renew)?)?,
            Err(_) => socket.send(message).await?,
        }
    }
    Ok(())
}
