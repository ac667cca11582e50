//! Where a client connects to: a URL, taken apart once.

use http::Uri;

/// Where a client connects to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    secure: bool,
    host: String,
    port: u16,
    /// As the request names it: without a port that is the scheme's own.
    authority: String,
    path: String,
}

impl Address {
    /// Reads `ws://host:port/path?query` or `wss://..`.
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let invalid = || InvalidUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(invalid()),
        };
        let authority = uri.authority().filter(|it| !it.as_str().contains('@')).ok_or_else(invalid)?;
        let own_port = if secure { 443 } else { 80 };
        let host = authority.host();
        // Not `authority.port()`, to which a port that is too large is none.
        let port = match authority.as_str().strip_prefix(host).unwrap_or_default() {
            "" => own_port,
            port => port.trim_start_matches(':').parse().map_err(|_| invalid())?,
        };
        if host.is_empty() || port == 0 {
            return Err(invalid());
        }
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        let authority = if port == own_port { host.to_owned() } else { format!("{host}:{port}") };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { secure, host, port, authority, path })
    }

    /// Whether the connection is encrypted: `wss`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host's name or address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, with the query if there is one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the `Host` header says.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

/// The text is no address of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is no WebSocket's address: write `wss://host/path` or `ws://host:port/path`, without a user's name, and \
     give credentials as headers"
)]
pub struct InvalidUrl(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, secure: bool, host: &str, port: u16, authority: &str, path: &str) {
        let address = Address::parse(url).unwrap();
        let expected =
            Address { secure, host: host.into(), port, authority: authority.into(), path: path.into() };
        assert_eq!(address, expected, "{url}");
    }

    #[test]
    fn addresses_are_taken_apart() {
        check("ws://a.example", false, "a.example", 80, "a.example", "/");
        check("wss://a.example:443/b?c=d", true, "a.example", 443, "a.example", "/b?c=d");
        check("ws://a.example:443/b", false, "a.example", 443, "a.example:443", "/b");
        check("ws://[::1]:3000/?q", false, "::1", 3000, "[::1]:3000", "/?q");
        check("ws://127.0.0.1:1?q=1", false, "127.0.0.1", 1, "127.0.0.1:1", "/?q=1");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in
            ["", "a", "/a", "http://a", "ws:///a", "ws://a:0", "ws://a:70000", "ws://u:p@a/", "ws://a b/"]
        {
            assert_eq!(Address::parse(url), Err(InvalidUrl(url.to_owned())));
        }
    }
}
