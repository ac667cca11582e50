//! What the server says, read without a line of Wirelark's.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use wirelark_proto::contract::Format;

/// A result or an error, as far as it matters.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reply {
    pub(crate) id: String,
    /// Its text, if it is an error.
    pub(crate) error: Option<String>,
}

#[derive(Deserialize)]
struct Frame {
    socka: String,
    v: u8,
    id: Option<String>,
    error: Option<String>,
}

/// Reads a message. `None` is a push, which nobody waits for. Anything that a client of the contract could not read is
/// an error.
pub(crate) fn read(format: Format, is_text: bool, payload: &[u8]) -> Result<Option<Reply>> {
    ensure!(is_text == (format == Format::Json), "a {format} connection got the other kind of message");
    // What `crash` fails with is no client's business.
    let leaked = payload.windows(10).any(|part| part == b"plain boom");
    ensure!(!leaked, "an internal error reached the client: {}", String::from_utf8_lossy(payload));
    let frame: Frame = match format {
        Format::Json => serde_json::from_slice(payload)?,
        Format::MsgPack => {
            let mut rest = payload;
            let value = rmpv::decode::read_value(&mut rest)?;
            ensure!(rest.is_empty(), "{} bytes follow the value", rest.len());
            rmpv::ext::from_value(value)?
        }
    };
    ensure!(frame.v == 1, "the version is {}", frame.v);
    let id = || frame.id.clone().context("a reply without an id");
    match &*frame.socka {
        "serverEvent" => Ok(None),
        "serverResponse" => Ok(Some(Reply { id: id()?, error: None })),
        "serverError" => {
            let error = frame.error.as_ref().context("an error without a text")?;
            Ok(Some(Reply { id: id()?, error: Some(error.clone()) }))
        }
        other => bail!("the server sent a {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Option<Reply>> {
        read(Format::Json, true, text.as_bytes())
    }

    #[test]
    fn replies_are_told_from_pushes_and_from_nonsense() {
        let result = json(r#"{"socka":"serverResponse","v":1,"id":"a","rpc":"echo","body":[1]}"#).unwrap();
        assert_eq!(result, Some(Reply { id: "a".into(), error: None }));
        let error = json(r#"{"socka":"serverError","v":1,"id":"a","error":"no"}"#).unwrap();
        assert_eq!(error, Some(Reply { id: "a".into(), error: Some("no".into()) }));
        assert_eq!(json(r#"{"socka":"serverEvent","v":1,"event":"tick","body":{}}"#).unwrap(), None);
        for wrong in [
            r#"{"socka":"serverResponse","v":1}"#,
            r#"{"socka":"serverError","v":1,"id":"a"}"#,
            r#"{"socka":"clientRequest","v":1,"id":"a"}"#,
            r#"{"socka":"serverResponse","v":2,"id":"a"}"#,
            r#"{"socka":"serverError","v":1,"id":"a","error":"plain boom"}"#,
            "{",
        ] {
            json(wrong).unwrap_err();
        }
        read(Format::Json, false, br#"{"socka":"serverEvent","v":1}"#).unwrap_err();
    }

    #[test]
    fn undefined_is_read_over() {
        let void = b"\x84\xa5socka\xaeserverResponse\xa1v\x01\xa2id\xa1a\xa4body\xd4\x00\x00";
        assert_eq!(read(Format::MsgPack, false, void).unwrap(), Some(Reply { id: "a".into(), error: None }));
        read(Format::MsgPack, false, &[&void[..], b"\x00"].concat()).unwrap_err();
    }
}
