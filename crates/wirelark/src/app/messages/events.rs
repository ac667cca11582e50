//! Several handlers on one socket, told apart by a field of the message.

use std::borrow::Cow;
use std::fmt;

use http::request::Parts;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use wirelark_proto::Message;
use wirelark_proto::contract::Problem;

use super::MessagesError;
use super::extract::{Incoming, not_json};
use super::handler::{AnyHandler, AnyKept, AnyRunning, Choice, Erased, Keeping, MessageHandler, Refused};

/// The field that names the event, unless [`on_field`] says another.
const FIELD: &str = "type";

/// A handler for messages whose field `type` is `event`; more are added with [`Events::on`].
///
/// ```
/// use wirelark::axum::Json;
/// use wirelark::messages::on;
///
/// #[derive(serde::Deserialize)]
/// struct Post {
///     text: String,
/// }
///
/// async fn post(Json(post): Json<Post>) -> Json<usize> {
///     Json(post.text.len())
/// }
///
/// async fn leave(connection: wirelark::messages::Connection) {
///     connection.close(wirelark::CloseCode::NORMAL, "bye");
/// }
///
/// # let _ =
/// wirelark::App::new().messages("/chat", on("post", post).on("leave", leave));
/// ```
///
/// A message that is no JSON object, that has no such field, or one that nothing handles, is answered with an error.
pub fn on<M: 'static, S: Send + Sync + 'static>(
    event: &'static str,
    handler: impl MessageHandler<M, S>,
) -> Events<S> {
    on_field(FIELD).on(event, handler)
}

/// No handlers yet, for messages that name their event in another field than `type`:
/// `on_field("op").on("say", say)`.
pub fn on_field<S>(field: &'static str) -> Events<S> {
    Events { field, handlers: Vec::new(), otherwise: None }
}

/// Handlers told apart by a field of the message; see [`on`].
#[must_use = "handlers do nothing until they are added to an app"]
pub struct Events<S = ()> {
    field: &'static str,
    /// A list and no map: it is short, and nothing a client sends can make it slow.
    handlers: Vec<(&'static str, Box<dyn AnyHandler<S>>)>,
    otherwise: Option<Box<dyn AnyHandler<S>>>,
}

impl<S: Send + Sync + 'static> Events<S> {
    /// A handler for one more event. It gets the whole message.
    pub fn on<M: 'static>(mut self, event: &'static str, handler: impl MessageHandler<M, S>) -> Self {
        self.handlers.push((event, Box::new(Erased::new(handler))));
        self
    }

    /// A handler for objects that name no event, or one that no other handler takes; without it they are answered with
    /// an error.
    pub fn otherwise<M: 'static>(mut self, handler: impl MessageHandler<M, S>) -> Self {
        self.otherwise = Some(Box::new(Erased::new(handler)));
        self
    }

    fn handler(&self, index: usize) -> Option<&dyn AnyHandler<S>> {
        self.handlers
            .get(index)
            .map(|(_, handler)| handler)
            .or(self.otherwise.as_ref())
            .map(|handler| &**handler)
    }

    fn all(&self) -> impl Iterator<Item = &dyn AnyHandler<S>> {
        self.handlers.iter().map(|(_, handler)| &**handler).chain(self.otherwise.as_deref())
    }
}

/// Marks [`Events`] among the handlers.
#[derive(Debug)]
pub struct ByEvent;

impl<S: Send + Sync + 'static> MessageHandler<ByEvent, S> for Events<S> {
    /// One for each handler, in their order; empty where none takes memory.
    type Kept = Box<[AnyKept]>;
    type Running = AnyRunning;

    fn check(&self) -> Result<(), MessagesError> {
        for (index, (event, _)) in self.handlers.iter().enumerate() {
            if event.is_empty() {
                return Err(MessagesError::Unnamed);
            }
            if self.handlers[..index].iter().any(|(earlier, _)| earlier == event) {
                return Err(MessagesError::Event(event));
            }
        }
        self.all().try_for_each(AnyHandler::check)
    }

    fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, Self::Kept> {
        Box::pin(async move {
            let mut kept = Vec::new();
            for handler in self.all() {
                kept.push(handler.keep(parts, state).await?);
            }
            if kept.iter().all(Option::is_none) {
                kept = Vec::new();
            }
            Ok(kept.into())
        })
    }

    fn choose(&self, message: &Message) -> Result<Choice, Problem> {
        let named = name_in(message.as_bytes(), self.field).map_err(|error| not_json(&error))?;
        let index =
            named.as_deref().and_then(|name| self.handlers.iter().position(|(event, _)| *event == name));
        match (index, named) {
            (Some(index), _) => Ok(Choice { index, event: Some(self.handlers[index].0) }),
            (None, _) if self.otherwise.is_some() => Ok(Choice { index: self.handlers.len(), event: None }),
            (None, Some(name)) => Err(unknown(&format!("nothing handles {} {name:?}", self.field))),
            (None, None) => Err(unknown(&format!("the message has no text in its field {:?}", self.field))),
        }
    }

    fn begin(
        &self,
        choice: Choice,
        incoming: Incoming<'_>,
        kept: &Self::Kept,
        state: &S,
    ) -> Result<AnyRunning, Refused> {
        let handler = self.handler(choice.index).expect("only handlers that exist are chosen");
        let running = handler.begin(incoming, kept.get(choice.index).unwrap_or(&None), state)?;
        Ok(AnyRunning(running))
    }
}

fn unknown(text: &str) -> Problem {
    Problem::new(text).code("UNKNOWN_EVENT")
}

impl<S> fmt::Debug for Events<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("field", &self.field)
            .field("events", &self.handlers.iter().map(|(event, _)| event).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The text in a field of a JSON object; `None` where there is none, or something else.
fn name_in<'a>(json: &'a [u8], field: &str) -> Result<Option<Cow<'a, str>>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let name = Field(field).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(name)
}

/// Finds a field's text. A field that is there twice is refused: a handler that reads the message again could find
/// another event in it than the one it was chosen by.
struct Field<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a field {:?}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Is(is_the_field)) = map.next_key_seed(Key(self.0))? {
            if !is_the_field {
                map.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(de::Error::custom(format_args!("the field {:?} is there twice", self.0)));
            } else {
                found = Some(map.next_value_seed(AnyText)?);
            }
        }
        Ok(found.flatten())
    }
}

/// Whether a key is the one that is looked for.
struct Key<'f>(&'f str);

struct Is(bool);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Is;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Is, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Is;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Is, E> {
        Ok(Is(key == self.0))
    }
}

/// Text, or nothing of a value that is none.
struct AnyText;

impl<'de> DeserializeSeed<'de> for AnyText {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyText {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Result<Option<&str>, &str>) {
        let found = name_in(json.as_bytes(), "type").map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{json}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{json}: {error}"),
            _ => panic!("{json}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn the_field_is_found_wherever_it_stands() {
        check(r#"{"type":"say","text":"hi"}"#, Ok(Some("say")));
        check(r#" {"nested":{"type":"no"},"list":["type"],"type":"s\u0061y"} "#, Ok(Some("say")));
        check(r#"{"text":"type"}"#, Ok(None));
        check("{}", Ok(None));
        for other in ["1", "-1", "1.5", "true", "null", "[1,[2]]", r#"{"a":{"b":1}}"#] {
            check(&format!(r#"{{"type":{other},"text":""}}"#), Ok(None));
        }
    }

    #[test]
    fn what_is_no_object_or_ambiguous_is_refused() {
        check(r#"{"type":"say","type":"admin"}"#, Err("twice"));
        check(r#"{"type":"say""#, Err("EOF"));
        check(r#"{"type":"say"} {}"#, Err("trailing"));
        check("[]", Err("an object with a field \"type\""));
        check("\"say\"", Err("an object"));
        check("", Err("EOF"));
    }
}
