//! Where upgrade requests carry credentials, in AsyncAPI's words.

use std::borrow::Cow;

use serde::Serialize;

use crate::app::auth::TokenSource;
use crate::app::route::RouteInfo;

/// Where an upgrade request may carry the credential it needs. Whoever is authenticated by middleware is taken to use
/// the header. Nothing for routes that take visitors too, or where clients sign in
/// later: AsyncAPI has no words for a credential that is not needed.
pub(super) fn credentials(route: &RouteInfo) -> Cow<'_, [TokenSource]> {
    match &*route.credentials {
        _ if route.visitors || route.first_message => Cow::Borrowed(&[]),
        [] => Cow::Owned(vec![TokenSource::Bearer]),
        sources => Cow::Borrowed(sources),
    }
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct SecurityScheme {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
    description: String,
}

impl SecurityScheme {
    /// A name for it, and what it is.
    pub(super) fn of(source: &TokenSource) -> (String, Self) {
        let checked = "Checked in the upgrade request, before there is a connection.";
        let in_place = |place, name: &str, description: String| Self {
            r#type: "httpApiKey",
            scheme: None,
            name: Some(name.into()),
            place: Some(place),
            description,
        };
        match source {
            TokenSource::Bearer => {
                let (scheme, description) = (Some("bearer"), checked.to_owned());
                ("bearer".to_owned(), Self { r#type: "http", scheme, name: None, place: None, description })
            }
            TokenSource::Cookie(name) => {
                (format!("cookie.{name}"), in_place("cookie", name, checked.to_owned()))
            }
            TokenSource::Query(name) => {
                (format!("query.{name}"), in_place("query", name, checked.to_owned()))
            }
            TokenSource::Subprotocol(prefix) => {
                let description =
                    format!("Offered as the subprotocol `{prefix}` with the token behind it. {checked}");
                ("subprotocol".to_owned(), in_place("header", "Sec-WebSocket-Protocol", description))
            }
        }
    }
}
