//! How a connection ended, or an attempt at one: one word for both, so that one table says what to do next.

use std::time::Duration;

use wirelark_proto::{CloseCode, CloseFrame, Text};

/// How a connection, or an attempt to make one, ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// The close code: the one that was sent first, 1005 when the server gave none, 1006 when the connection broke
    /// or was never made, and the code that means the same as the status of a server that refused.
    pub code: CloseCode,
    /// The reason that came with it, or the error's text.
    pub reason: Text,
    /// Who ended it.
    pub by: ClosedBy,
}

/// Who ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ClosedBy {
    /// This side: [`Client::close`](crate::Client::close), the last handle's end, or a server that broke the
    /// protocol.
    Client,
    /// The server.
    Server,
    /// Neither: the network, or a limit of time.
    Network,
}

impl Closed {
    pub(crate) fn by_client(frame: CloseFrame) -> Self {
        Self { code: frame.code, reason: frame.reason, by: ClosedBy::Client }
    }

    pub(crate) fn by_server(frame: Option<CloseFrame>) -> Self {
        let CloseFrame { code, reason } = frame.unwrap_or_else(|| CloseCode::NO_STATUS.into());
        Self { code, reason, by: ClosedBy::Server }
    }

    pub(crate) fn by_network(reason: impl Into<Text>) -> Self {
        Self { code: CloseCode::ABNORMAL, reason: reason.into(), by: ClosedBy::Network }
    }

    /// How long the server asked to be left alone: the end of a reason, `retry after 3 s`.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let (_, asked) = self.reason.as_str().rsplit_once("retry after ")?;
        let seconds = asked.strip_suffix(" s")?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = match self.by {
            ClosedBy::Client => "by this client",
            ClosedBy::Server => "by the server",
            ClosedBy::Network => "by the network",
        };
        write!(f, "{by} with {}", self.code)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, ", {}", self.reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_read_from_the_reason() {
        let asked =
            |reason| Closed::by_server(Some(CloseFrame::new(CloseCode::RESTART, reason))).retry_after();
        assert_eq!(asked("Too Many Requests; retry after 3 s"), Some(Duration::from_secs(3)));
        assert_eq!(asked("retry after 0 s"), Some(Duration::ZERO));
        for reason in ["", "retry after", "retry after 3", "retry after -1 s", "retry after 3 s, or 4", "3 s"]
        {
            assert_eq!(asked(reason), None, "{reason}");
        }
    }
}
