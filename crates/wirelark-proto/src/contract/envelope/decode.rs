//! From the values of a frame's keys to an envelope.

use std::borrow::Cow;

use serde_json::Value;

use super::{Body, Envelope, EnvelopeError, ErrorResponse, Event, Format, Request, Response};

/// The last value of each key an envelope can have.
#[derive(Default)]
pub(in crate::contract) struct Fields<'a> {
    socka: Option<Body<'a>>,
    v: Option<Body<'a>>,
    id: Option<Body<'a>>,
    rpc: Option<Body<'a>>,
    body: Option<Body<'a>>,
    error: Option<Body<'a>>,
    code: Option<Body<'a>>,
    data: Option<Body<'a>>,
    event: Option<Body<'a>>,
}

impl<'a> Fields<'a> {
    /// Where the value of a key goes.
    pub(in crate::contract) fn slot(&mut self, key: &str) -> Option<&mut Option<Body<'a>>> {
        Some(match key {
            "socka" => &mut self.socka,
            "v" => &mut self.v,
            "id" => &mut self.id,
            "rpc" => &mut self.rpc,
            "body" => &mut self.body,
            "error" => &mut self.error,
            "code" => &mut self.code,
            "data" => &mut self.data,
            "event" => &mut self.event,
            _ => return None,
        })
    }

    /// The checks, in the order of the original.
    pub(super) fn judge(self) -> Result<Envelope<'a>, EnvelopeError> {
        let socka = self.socka.ok_or(EnvelopeError::MissingDiscriminator)?;
        if !self.v.is_some_and(Body::is_one) {
            return Err(EnvelopeError::UnsupportedVersion);
        }
        let kind = text(Some(socka))?;
        let envelope = match kind.as_deref() {
            Some("clientRequest") => self.request()?,
            Some("serverResponse") => self.response()?,
            Some("serverError") => self.error()?,
            Some("serverEvent") => self.event()?,
            _ => None,
        };
        envelope.ok_or_else(|| {
            EnvelopeError::InvalidKind(match kind {
                Some(kind) => kind.into_owned(),
                None => shown(socka),
            })
        })
    }

    fn request(&self) -> Result<Option<Envelope<'a>>, EnvelopeError> {
        let parts = (text(self.id)?, text(self.rpc)?, self.body.filter(|body| body.is_object()));
        let (Some(id), Some(call), Some(body)) = parts else { return Ok(None) };
        Ok(Some(Envelope::Request(Request { id, call, body })))
    }

    fn response(&self) -> Result<Option<Envelope<'a>>, EnvelopeError> {
        let (Some(id), Some(call)) = (text(self.id)?, text(self.rpc)?) else { return Ok(None) };
        Ok(Some(Envelope::Response(Response { id, call, body: self.body })))
    }

    fn error(&self) -> Result<Option<Envelope<'a>>, EnvelopeError> {
        let (Some(id), Some(error)) = (text(self.id)?, text(self.error)?) else { return Ok(None) };
        let (call, code) = (text(self.rpc)?, text(self.code)?);
        Ok(Some(Envelope::Error(ErrorResponse { id, error, call, code, data: self.data })))
    }

    fn event(&self) -> Result<Option<Envelope<'a>>, EnvelopeError> {
        let Some(event) = text(self.event)? else { return Ok(None) };
        Ok(Some(Envelope::Event(Event { event, body: self.body })))
    }
}

/// The text of a value, none if it is absent or no string. A string that cannot be a `str` spoils the frame.
fn text(value: Option<Body<'_>>) -> Result<Option<Cow<'_, str>>, EnvelopeError> {
    let Some(value) = value else { return Ok(None) };
    value.text().map_err(|error| match value.format() {
        Format::Json => EnvelopeError::InvalidJson(error),
        Format::MsgPack => EnvelopeError::InvalidMsgPack(error),
    })
}

/// What JavaScript's `String()` makes of a value that is no string. Values it could show and we cannot decode
/// are shown as objects.
fn shown(value: Body<'_>) -> String {
    fn show(value: &Value) -> String {
        match value {
            Value::Null => "null".into(),
            Value::Bool(bool) => bool.to_string(),
            Value::Number(number) => {
                ryu_js::Buffer::new().format(number.as_f64().unwrap_or(f64::NAN)).to_owned()
            }
            Value::String(text) => text.clone(),
            // Nothing is shown of null in an array, whatever it is elsewhere.
            Value::Array(items) => {
                let items = items.iter().map(|item| if item.is_null() { String::new() } else { show(item) });
                items.collect::<Vec<_>>().join(",")
            }
            Value::Object(_) => "[object Object]".into(),
        }
    }
    show(&value.decode().unwrap_or_else(|_| Value::Object(Default::default())))
}
