//! What a handler returns, and how it travels.

use axum::Json;
use bytes::Bytes;
use serde::Serialize;
use wirelark_proto::contract::{EncodeBody, Format, Problem};
use wirelark_proto::{Message, Text};

use crate::app::failure::{Failure, IntoFailure};
use crate::app::scratch::encoded;
use crate::app::work::Ended;

/// What a message handler may return.
///
/// | type | what the client gets |
/// |---|---|
/// | `()` | nothing |
/// | [`Json<T>`](axum::Json) | the value as JSON, in a text message |
/// | `String`, `&'static str`, [`Text`] | a text message |
/// | [`Bytes`], `Vec<u8>` | a binary message |
/// | [`Message`] | itself |
/// | `Option<R>` | the reply, or nothing |
/// | `Result<R, E>` | the reply, or `{"error": text}`; of which errors the text is shown [`IntoFailure`] says |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no reply to a message",
    note = "wrap a value that is to travel as JSON: `Json(value)`",
    note = "a `Result`'s error must be a `Problem`, turn into one, or be a `wirelark::Error`"
)]
pub trait IntoReply {
    #[doc(hidden)]
    fn into_reply(self) -> ReplyOf;
}

/// A reply, without its crate-private type in a public signature.
#[doc(hidden)]
#[derive(Debug)]
pub struct ReplyOf(pub(super) Ended);

macro_rules! messages {
    ($($type:ty),*) => {$(
        impl IntoReply for $type {
            fn into_reply(self) -> ReplyOf {
                ReplyOf(Ok(Some(self.into())))
            }
        }
    )*};
}

messages!(Message, Text, String, &'static str, Bytes, Vec<u8>);

impl IntoReply for () {
    fn into_reply(self) -> ReplyOf {
        ReplyOf(Ok(None))
    }
}

impl<T: Serialize> IntoReply for Json<T> {
    fn into_reply(self) -> ReplyOf {
        let json = encoded(|out| serde_json::to_writer(out, &self.0));
        ReplyOf(match json {
            Ok(json) => Ok(Some(Message::Text(Text::from_validated(json)))),
            Err(error) => Err(Failure::Unwritable(error.into())),
        })
    }
}

impl<R: IntoReply> IntoReply for Option<R> {
    fn into_reply(self) -> ReplyOf {
        self.map_or(ReplyOf(Ok(None)), R::into_reply)
    }
}

impl<R: IntoReply, E: IntoFailure> IntoReply for Result<R, E> {
    fn into_reply(self) -> ReplyOf {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => ReplyOf(Err(error.into_failure().0)),
        }
    }
}

/// A problem as a message: `{"error": text}`, with its code and its data where it has them. What cannot be written of
/// the data is left out.
pub(super) fn error_message(problem: &Problem) -> Message {
    #[derive(Serialize)]
    struct ErrorMessage<'a> {
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
    }
    let head = ErrorMessage { error: problem.message(), code: problem.as_code() };
    let mut json = serde_json::to_vec(&head).expect("texts can be written");
    if let Some(data) = problem.as_data() {
        let (end, without) = (json.len() - 1, json.len());
        json.truncate(end);
        json.extend_from_slice(b",\"data\":");
        match data.encode_body(Format::Json, &mut json) {
            Ok(()) => json.push(b'}'),
            Err(_) => {
                json.truncate(without - 1);
                json.push(b'}');
            }
        }
    }
    Message::Text(Text::from_validated(json.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(problem: &Problem, expected: &str) {
        assert_eq!(error_message(problem), Message::from(expected));
    }

    #[test]
    fn a_problem_is_written_with_what_it_has() {
        check(&Problem::new("no \"way\""), r#"{"error":"no \"way\""}"#);
        check(&Problem::new("no").code("NOPE"), r#"{"error":"no","code":"NOPE"}"#);
        check(&Problem::new("no").data([1, 2]), r#"{"error":"no","data":[1,2]}"#);
        check(&Problem::new("no").code("NOPE").data(u64::MAX), r#"{"error":"no","code":"NOPE"}"#);
    }
}
