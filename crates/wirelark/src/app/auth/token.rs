//! Where a request carries its token.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;

/// A place a token may be in. Browsers cannot set headers on a WebSocket: pages use a cookie, a
/// subprotocol, or the query, which ends up in the access logs of proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenSource {
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// A cookie of this name. Only safe together with an origin check, which is on unless switched off.
    Cookie(Box<str>),
    /// A query parameter of this name.
    Query(Box<str>),
    /// A subprotocol that begins so, such as `bearer.`; the rest is the token.
    Subprotocol(Box<str>),
}

impl TokenSource {
    /// The token, if it is there.
    pub fn find<'a>(&self, parts: &'a Parts) -> Option<&'a str> {
        match self {
            Self::Bearer => bearer(&parts.headers),
            Self::Cookie(name) => cookie(&parts.headers, name),
            Self::Query(name) => query(parts.uri.query()?, name),
            Self::Subprotocol(prefix) => {
                subprotocols(&parts.headers).find_map(|offer| offer.strip_prefix(&**prefix))
            }
        }
        .filter(|token| !token.is_empty())
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let value = pairs.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))?;
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// A token in a query is taken as it stands: base64url and JWT need no escaping.
fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(source: &TokenSource, uri: &str, headers: &[(&str, &str)], expected: Option<&str>) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a valid request").into_parts();
        assert_eq!(source.find(&parts), expected, "{source:?} in {uri} {headers:?}");
    }

    #[test]
    fn tokens_are_found_where_they_may_be() {
        check(&TokenSource::Bearer, "/", &[("authorization", "Bearer abc")], Some("abc"));
        check(&TokenSource::Bearer, "/", &[("authorization", "bearer  abc ")], Some("abc"));
        check(&TokenSource::Bearer, "/", &[("authorization", "Basic abc")], None);
        check(&TokenSource::Bearer, "/", &[("authorization", "Bearer ")], None);
        let cookie = || TokenSource::Cookie("token".into());
        check(&cookie(), "/", &[("cookie", "a=1; token=abc; b=2")], Some("abc"));
        check(&cookie(), "/", &[("cookie", "token=\"abc\"")], Some("abc"));
        check(&cookie(), "/", &[("cookie", "xtoken=abc")], None);
        let query = || TokenSource::Query("token".into());
        check(&query(), "/?a=1&token=abc", &[], Some("abc"));
        check(&query(), "/?xtoken=abc&token=", &[], None);
        let subprotocol = || TokenSource::Subprotocol("bearer.".into());
        check(&subprotocol(), "/", &[("sec-websocket-protocol", "echo, bearer.abc")], Some("abc"));
        check(&subprotocol(), "/", &[("sec-websocket-protocol", "echo")], None);
    }
}
