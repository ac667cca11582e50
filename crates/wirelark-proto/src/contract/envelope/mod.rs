//! The frames of socka's wire, version 1.
//!
//! A frame is one object. Its keys are always written in this order, absent ones are left out:
//!
//! ```text
//! {"socka":"clientRequest","v":1,"id":…,"rpc":…,"body":{…}}             a call
//! {"socka":"serverResponse","v":1,"id":…,"rpc":…,"body":…}              its result
//! {"socka":"serverError","v":1,"id":…,"error":…,"rpc":…,"code":…,"data":…}   or why there is none
//! {"socka":"serverEvent","v":1,"event":…,"body":…}                      news nobody asked for
//! ```

mod decode;
mod encode;

use std::borrow::Cow;

use super::{Body, DecodeError, EncodeBody, EncodeError, Format, json, msgpack};
use encode::Frame;

pub(super) use decode::Fields;

/// One frame of a contract, as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Envelope<'a> {
    /// A client calls.
    Request(Request<'a>),
    /// The server answers a call.
    Response(Response<'a>),
    /// The server answers that a call has failed.
    Error(ErrorResponse<'a>),
    /// The server tells something.
    Event(Event<'a>),
}

impl<'a> Envelope<'a> {
    /// Judges a whole frame, with the checks of the original in its order. All of the frame is read, the body
    /// is not decoded.
    ///
    /// Unknown keys are ignored, and of a key that comes twice the last one counts, as in JavaScript.
    /// `undefined`, which only MessagePack can say, is the same as an absent key. The version may be any
    /// number that equals 1. An `rpc` or `code` of an error that is no string is dropped.
    pub fn decode(format: Format, frame: &'a [u8]) -> Result<Self, EnvelopeError> {
        let fields = match format {
            Format::Json => json::fields(frame).map_err(EnvelopeError::InvalidJson)?,
            Format::MsgPack => msgpack::fields(frame).map_err(EnvelopeError::InvalidMsgPack)?,
        };
        fields.ok_or(EnvelopeError::NotObject)?.judge()
    }

    /// Appends the frame to `out`. After an error `out` is as it was.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Request(request) => request.encode(format, out),
            Self::Response(response) => response.encode(format, out),
            Self::Error(error) => error.encode(format, out),
            Self::Event(event) => event.encode(format, out),
        }
    }
}

/// A client calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a, B = Body<'a>> {
    /// What the answer will be recognised by. Chosen by the client, may be empty.
    pub id: Cow<'a, str>,
    /// The name of the call, `rpc` on the wire.
    pub call: Cow<'a, str>,
    /// The input, always an object.
    pub body: B,
}

impl<'a> Request<'a> {
    /// Recognises a request in the form every client writes, which is cheap: the keys in order and without
    /// whitespace, plain strings, an object last. For everything else there is [`Envelope::decode`].
    ///
    /// The body has not been looked at. If decoding it fails, or the call is unknown, decode the frame again
    /// with [`Envelope::decode`], whose verdict counts. If decoding it succeeds, that verdict is this request.
    #[inline]
    pub fn scan(format: Format, frame: &'a [u8]) -> Option<Self> {
        match format {
            Format::Json => json::scan(frame),
            Format::MsgPack => msgpack::scan(frame),
        }
    }
}

impl<B: EncodeBody> Request<'_, B> {
    /// Appends the frame to `out`. After an error `out` is as it was.
    ///
    /// A body that is null, such as that of `()`, is sent as an object without keys. Anything else but an
    /// object is an error.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Frame::write(format, out, |frame| {
            frame.begin("clientRequest", 5);
            frame.text("id", &self.id)?;
            frame.text("rpc", &self.call)?;
            frame.object("body", &self.body)
        })
    }
}

/// The server answers a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response<'a, B = Body<'a>> {
    /// The request's.
    pub id: Cow<'a, str>,
    /// The name of the call, `rpc` on the wire.
    pub call: Cow<'a, str>,
    /// The result, none if the call returns nothing. JSON then has no `body`, MessagePack has `undefined`.
    pub body: Option<B>,
}

impl<'a> Response<'a> {
    /// The answer of a call that returns nothing.
    pub fn void(id: impl Into<Cow<'a, str>>, call: impl Into<Cow<'a, str>>) -> Self {
        Self { id: id.into(), call: call.into(), body: None }
    }
}

impl<B: EncodeBody> Response<'_, B> {
    /// Appends the frame to `out`. After an error `out` is as it was.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Frame::write(format, out, |frame| {
            frame.begin("serverResponse", 5);
            frame.text("id", &self.id)?;
            frame.text("rpc", &self.call)?;
            frame.value_or_undefined("body", self.body.as_ref())
        })
    }
}

/// The server answers that a call has failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorResponse<'a, B = Body<'a>> {
    /// The request's.
    pub id: Cow<'a, str>,
    /// What went wrong, for people.
    pub error: Cow<'a, str>,
    /// The name of the call, `rpc` on the wire.
    pub call: Option<Cow<'a, str>>,
    /// What went wrong, for programs.
    pub code: Option<Cow<'a, str>>,
    /// More about it.
    pub data: Option<B>,
}

impl<B: EncodeBody> ErrorResponse<'_, B> {
    /// Appends the frame to `out`. After an error `out` is as it was.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let optional = [self.call.is_some(), self.code.is_some(), self.data.is_some()];
        Frame::write(format, out, |frame| {
            frame.begin("serverError", 4 + optional.map(u8::from).iter().sum::<u8>());
            frame.text("id", &self.id)?;
            frame.text("error", &self.error)?;
            if let Some(call) = &self.call {
                frame.text("rpc", call)?;
            }
            if let Some(code) = &self.code {
                frame.text("code", code)?;
            }
            if let Some(data) = &self.data {
                frame.value("data", data)?;
            }
            Ok(())
        })
    }
}

/// The server tells something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'a, B = Body<'a>> {
    /// The name of the event.
    pub event: Cow<'a, str>,
    /// What there is to tell, none written as in [`Response::body`].
    pub body: Option<B>,
}

impl<B: EncodeBody> Event<'_, B> {
    /// Appends the frame to `out`. After an error `out` is as it was.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Frame::write(format, out, |frame| {
            frame.begin("serverEvent", 4);
            frame.text("event", &self.event)?;
            frame.value_or_undefined("body", self.body.as_ref())
        })
    }
}

/// Why a message is not a frame of version 1, in the words of the original.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The text is not JSON, or one of the envelope's own strings is not Unicode.
    #[error("socka: invalid JSON")]
    InvalidJson(#[source] DecodeError),
    /// The bytes are not MessagePack, or one of the envelope's own strings is not UTF-8. The original shows
    /// its decoder's text here.
    #[error("socka: invalid MessagePack")]
    InvalidMsgPack(#[source] DecodeError),
    /// The value is null, a scalar or an array.
    #[error("socka: expected a JSON object")]
    NotObject,
    /// The object has no `socka`.
    #[error("socka: missing \"socka\" discriminator")]
    MissingDiscriminator,
    /// The object's `v` is not 1.
    #[error("socka: unsupported wire version")]
    UnsupportedVersion,
    /// The `socka` is none of the four kinds, or a key this kind must have is missing or of another type.
    /// Holds the kind as JavaScript's `String()` shows it.
    #[error("socka: unknown or invalid frame kind {0}")]
    InvalidKind(String),
}
