//! Who a page belongs to.

use std::sync::Arc;

use serde::Deserialize;
use wirelark::axum::extract::{FromRequestParts, Query};
use wirelark::axum::http::request::Parts;
use wirelark::axum::response::{IntoResponse, Response};

use crate::rooms::Room;

/// By this a player who comes again is known. Made up by the page, and told to nobody else: whoever knows it can
/// play in their place.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Key(String);

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(key: String) -> Result<Self, Self::Error> {
        if (16..=64).contains(&key.len()) { Ok(Self(key)) } else { Err("a player's key has 16 to 64 bytes") }
    }
}

/// The query of a page's address: `?player=KEY`.
#[derive(Deserialize)]
struct Asked {
    player: Key,
}

/// A page: whose it is, and the room it is in, from hello to goodbye.
#[derive(Debug)]
pub struct Visitor {
    pub(crate) player: Key,
    pub(crate) room: Option<Arc<Room>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let asked = Query::from_request_parts(parts, state).await;
        let Query(Asked { player }) = asked.map_err(IntoResponse::into_response)?;
        Ok(Self { player, room: None })
    }
}
