//! Passes for rooms, in HTTP's words.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::auth::User;
use crate::hub::{RoomDenied, RoomPass, SharedPolicy};

/// The parameter of a route's pattern that names a room.
const PARAMETER: &str = "room";

impl<S: Send + Sync> FromRequestParts<S> for RoomPass {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Some(SharedPolicy(policy)) = parts.extensions.get::<SharedPolicy>().cloned() else {
            return Err(misused("nothing says who may join: write `socket(handler).room_policy(..)`"));
        };
        let named = RawPathParams::from_request_parts(parts, state).await;
        let params = named.map_err(IntoResponse::into_response)?;
        let Some((_, room)) = params.iter().find(|(name, _)| *name == PARAMETER) else {
            return Err(misused("no parameter of its pattern is called `{room}`"));
        };
        let user = parts.extensions.get::<User>();
        Self::ask(&*policy, user, room).await.map_err(IntoResponse::into_response)
    }
}

fn misused(why: &str) -> Response {
    tracing::error!("a handler takes a `RoomPass`, and its route has none to give: {why}");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

impl RoomDenied {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
        }
    }
}

impl IntoResponse for RoomDenied {
    fn into_response(self) -> Response {
        (self.status(), self.to_string()).into_response()
    }
}
