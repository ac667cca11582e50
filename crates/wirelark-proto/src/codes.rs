//! Close codes: one table that says what each code means and what a client should do about it.
//!
//! The documentation page and the enums of the clients are generated from [`table`]; nothing else lists the
//! codes.
//!
//! Codes 1000 to 1015 are the registered ones (RFC 6455 section 7.4 and IANA's registry). Browsers cannot see
//! an HTTP refusal, only 1006. A server may therefore accept a connection and close it at once with the
//! *twin* of the status it would have sent: 4000 plus the status, for the statuses that ask different things
//! of a client.

use std::fmt::{self, Write as _};

use http::StatusCode;

/// A close code. Any number can be held; [`CloseCode::is_allowed_on_wire`] says which may travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The work is done.
    pub const NORMAL: Self = Self(1000);
    /// This end goes away: a server shuts down, a page is left, a connection was idle for too long.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke RFC 6455.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of data this end does not take, such as binary where text is expected.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection ended without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// Data that contradicts its kind: text that is not UTF-8, compressed data that does not inflate.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of the application, and no other code fits.
    pub const POLICY: Self = Self(1008);
    /// A message larger than this end takes.
    pub const TOO_BIG: Self = Self(1009);
    /// The server did not agree to an extension the client cannot do without.
    pub const EXTENSION: Self = Self(1010);
    /// The handler failed.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts.
    pub const RESTART: Self = Self(1012);
    /// The server is overloaded, or this client reads too slowly.
    pub const TRY_AGAIN: Self = Self(1013);
    /// A server behind this one answered badly.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// The TLS handshake failed. Never sent.
    pub const TLS: Self = Self(1015);
    /// Twin of 400: the upgrade request was malformed or lacked something.
    pub const BAD_REQUEST: Self = Self(4400);
    /// Twin of 401: no valid credentials, or they expired.
    pub const SIGN_IN: Self = Self(4401);
    /// Twin of 403: known, but not allowed here.
    pub const FORBIDDEN: Self = Self(4403);
    /// Twin of 404: nothing is served under this address.
    pub const NOT_FOUND: Self = Self(4404);
    /// Twin of 408: the client was silent where it had to speak.
    pub const TIMEOUT: Self = Self(4408);
    /// Twin of 409: another connection took this one's place.
    pub const REPLACED: Self = Self(4409);
    /// Twin of 426: the client was made for another version of the contract.
    pub const OTHER_VERSION: Self = Self(4426);
    /// Twin of 429: too many connections or messages.
    pub const RATE_LIMITED: Self = Self(4429);
    /// Twin of 500: the server failed before the connection was set up.
    pub const FAILED: Self = Self(4500);
    /// Twin of 504: the server did not decide in time whether to accept.
    pub const NO_ANSWER: Self = Self(4504);

    /// Holds any number, also one that may not travel.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The close code that tells a browser what an HTTP refusal with `status` would have told it.
    ///
    /// Statuses without a twin of their own get the twin of their class: an unknown 4xx is a bad request, an
    /// unknown 5xx a failure. 503 is [`CloseCode::TRY_AGAIN`], which the registry already has.
    pub fn twin_of(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::SIGN_IN,
            403 => Self::FORBIDDEN,
            404 => Self::NOT_FOUND,
            408 => Self::TIMEOUT,
            409 => Self::REPLACED,
            426 => Self::OTHER_VERSION,
            429 => Self::RATE_LIMITED,
            502 => Self::BAD_GATEWAY,
            503 => Self::TRY_AGAIN,
            504 => Self::NO_ANSWER,
            500..=599 => Self::FAILED,
            _ => Self::BAD_REQUEST,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a close frame may carry the code (RFC 6455 section 7.4).
    ///
    /// 1004 is undefined, 1005, 1006 and 1015 stand for closes without a frame. 1012 to 1014 came later
    /// through the registry, 3000 to 3999 belong to libraries and 4000 to 4999 to applications.
    pub const fn is_allowed_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// What a client should do on this code. [`Action::None`] for codes the table does not know.
    pub fn action(self) -> Action {
        self.entry().map_or(Action::None, |entry| entry.action)
    }

    /// The code's row of the [`table`], if it has one.
    pub fn entry(self) -> Option<&'static CodeEntry> {
        TABLE.iter().find(|entry| entry.code == self)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => write!(f, "CloseCode({} {})", self.0, entry.name),
            None => write!(f, "CloseCode({})", self.0),
        }
    }
}

/// One row of the [`table`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CodeEntry {
    /// The code.
    pub code: CloseCode,
    /// Its name, in lower snake case; generated clients derive theirs from it.
    pub name: &'static str,
    /// What happened, in one sentence.
    pub meaning: &'static str,
    /// Whose close frame carries it.
    pub sent_by: SentBy,
    /// What the client should do next.
    pub action: Action,
    /// Whether the client should wait before it does so. The close reason may carry the delay; without one
    /// the client uses its own backoff.
    pub delay: bool,
}

/// Whose close frame carries a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SentBy {
    /// Only servers send it.
    Server,
    /// Only clients send it.
    Client,
    /// Either end sends it.
    Either,
    /// It is never sent: an end reports it to its own application.
    Nobody,
}

/// What a client should do after a close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Connect again: the same request may succeed.
    Reconnect,
    /// Obtain new credentials, then connect again.
    SignIn,
    /// Stay away: the same request will fail again until somebody changes something.
    Stop,
    /// Nothing went wrong, or only the application can tell.
    None,
}

/// Every code with a meaning of its own, in ascending order.
pub fn table() -> &'static [CodeEntry] {
    TABLE
}

/// The [`table`] as a Markdown table, for the documentation.
pub fn table_markdown() -> String {
    let mut page =
        String::from("| code | name | meaning | sent by | a client should |\n|---|---|---|---|---|\n");
    for entry in TABLE {
        let CodeEntry { code, name, meaning, .. } = entry;
        let sent_by = match entry.sent_by {
            SentBy::Server => "server",
            SentBy::Client => "client",
            SentBy::Either => "either end",
            SentBy::Nobody => "nobody: reported locally",
        };
        let action = match (entry.action, entry.delay) {
            (Action::Reconnect, false) => "reconnect",
            (Action::Reconnect, true) => "reconnect after a delay",
            (Action::SignIn, _) => "sign in, then reconnect",
            (Action::Stop, _) => "stop",
            (Action::None, _) => "do nothing",
        };
        writeln!(page, "| {code} | `{name}` | {meaning} | {sent_by} | {action} |")
            .expect("a String takes any text");
    }
    page
}

const fn entry(
    code: CloseCode,
    name: &'static str,
    meaning: &'static str,
    sent_by: SentBy,
    action: Action,
) -> CodeEntry {
    CodeEntry { code, name, meaning, sent_by, action, delay: false }
}

const fn delayed(entry: CodeEntry) -> CodeEntry {
    CodeEntry { delay: true, ..entry }
}

#[rustfmt::skip] // A table reads as a table.
const TABLE: &[CodeEntry] = {
    use {Action::{None, Reconnect, SignIn, Stop}, CloseCode as C, SentBy::{Client, Either, Nobody, Server}};
    &[
        entry(C::NORMAL, "normal", "The work is done.", Either, None),
        entry(C::GOING_AWAY, "going_away", "The sender shuts down, leaves the page, or closes an idle connection.", Either, Reconnect),
        entry(C::PROTOCOL, "protocol", "The peer broke the WebSocket protocol.", Either, Stop),
        entry(C::UNSUPPORTED, "unsupported", "The peer sent a kind of data that is not taken here, such as binary instead of text.", Either, Stop),
        entry(C::NO_STATUS, "no_status", "The close frame carried no code.", Nobody, None),
        entry(C::ABNORMAL, "abnormal", "The connection ended without a close frame, or was never accepted.", Nobody, Reconnect),
        entry(C::INVALID_PAYLOAD, "invalid_payload", "Text was not UTF-8, or a payload could not be decoded.", Either, Stop),
        entry(C::POLICY, "policy", "The peer broke a rule of the application.", Either, Stop),
        entry(C::TOO_BIG, "too_big", "A message was larger than the receiver takes.", Either, Stop),
        entry(C::EXTENSION, "extension", "The server did not agree to an extension the client needs.", Client, Stop),
        delayed(entry(C::INTERNAL, "internal", "The handler failed.", Server, Reconnect)),
        delayed(entry(C::RESTART, "restart", "The server restarts; the delay spreads the clients that come back.", Server, Reconnect)),
        delayed(entry(C::TRY_AGAIN, "try_again", "The server is overloaded, or the client reads too slowly.", Server, Reconnect)),
        delayed(entry(C::BAD_GATEWAY, "bad_gateway", "A server behind this one answered badly.", Server, Reconnect)),
        entry(C::TLS, "tls", "The TLS handshake failed.", Nobody, Stop),
        entry(C::BAD_REQUEST, "bad_request", "The upgrade request was malformed or lacked something (HTTP 400).", Server, Stop),
        entry(C::SIGN_IN, "sign_in", "The credentials were missing, invalid or have expired (HTTP 401).", Server, SignIn),
        entry(C::FORBIDDEN, "forbidden", "The user may not use this address (HTTP 403).", Server, Stop),
        entry(C::NOT_FOUND, "not_found", "Nothing is served under this address (HTTP 404).", Server, Stop),
        entry(C::TIMEOUT, "timeout", "The client was silent where it had to speak (HTTP 408).", Server, Reconnect),
        entry(C::REPLACED, "replaced", "Another connection took the place of this one (HTTP 409).", Server, Stop),
        entry(
            C::OTHER_VERSION,
            "other_version",
            "The client was made for another version of the contract (HTTP 426).",
            Server,
            Stop,
        ),
        delayed(entry(C::RATE_LIMITED, "rate_limited", "Too many connections or messages (HTTP 429).", Server, Reconnect)),
        delayed(entry(C::FAILED, "failed", "The server failed before the connection was set up (HTTP 500).", Server, Reconnect)),
        delayed(entry(C::NO_ANSWER, "no_answer", "The server did not decide in time whether to accept (HTTP 504).", Server, Reconnect)),
    ]
};
