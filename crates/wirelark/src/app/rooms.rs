//! Passes for rooms, out of the request: for socket handlers, and kept for message handlers.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use wirelark_proto::contract::Problem;

use super::auth::{AskedRoom, SignsInLater, User};
use super::messages::{FromMessage, Incoming};
use crate::hub::{RoomDenied, RoomName, RoomPass, SharedPolicy};

/// The parameter of a route's pattern that names a room.
const PARAMETER: &str = "room";

impl<S: Send + Sync> FromRequestParts<S> for RoomPass {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let (SharedPolicy(policy), room) = asked_room(parts, state).await?;
        let user = parts.extensions.get::<User>();
        Self::ask(&*policy, user, room).await.map_err(IntoResponse::into_response)
    }
}

impl<S: Send + Sync> FromMessage<S> for RoomPass {
    type Kept = Self;

    const READS_MESSAGE: bool = false;

    async fn keep(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        if parts.extensions.get::<SignsInLater>().is_none() {
            return <Self as FromRequestParts<S>>::from_request_parts(parts, state).await;
        }
        // Who asks is not known yet. The policy is asked as soon as it is, and nothing of the route runs unless it says yes,
        // so that this pass is given to nobody before.
        let (policy, room) = asked_room(parts, state).await?;
        parts.extensions.insert::<AskedRoom>((policy, room.clone()));
        Self::trusted(room).map_err(|error| RoomDenied::from(error).into_response())
    }

    fn from_message(_: &mut Incoming<'_>, kept: &Self, _: &S) -> Result<Self, Problem> {
        Ok(kept.clone())
    }
}

/// The room that the path names, and who says whether it may be joined.
async fn asked_room<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<AskedRoom, Response> {
    let Some(policy) = parts.extensions.get::<SharedPolicy>().cloned() else {
        return Err(misused(
            "nothing says who may join: write `.room_policy(..)` behind the route's handler",
        ));
    };
    let named = RawPathParams::from_request_parts(parts, state).await;
    let params = named.map_err(IntoResponse::into_response)?;
    let Some((_, room)) = params.iter().find(|(name, _)| *name == PARAMETER) else {
        return Err(misused("no parameter of its pattern is called `{room}`"));
    };
    let room = RoomName::try_from(room).map_err(|error| RoomDenied::from(error).into_response())?;
    Ok((policy, room))
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
