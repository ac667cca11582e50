//! Members of a room, and what its watchers are told of them.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use wirelark_proto::contract::Format;

use super::PresenceError;
use crate::connection::ConnectionId;

/// Bytes a member's metadata may have as JSON.
pub const METADATA_BYTES_MAX: usize = 4096;

/// Arrays and objects that may stand inside each other in metadata: clients refuse to read much more.
const METADATA_DEPTH_MAX: usize = 64;

/// Bytes of members in one message; a longer list is several messages. No message is larger than twice this, as a
/// member has less than five KiB.
const PART_BYTES: usize = 8 * 1024;

/// The room a route's messages must have for its connections to watch: a part in MessagePack, where a number can be
/// more than twice as long as in JSON.
pub(super) const WATCHER_MESSAGE_BYTES_MIN: usize = 32 * 1024;

/// Who is a member: a user on all devices, or a connection of somebody who has not signed in.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Who {
    User(Text),
    Visitor(ConnectionId),
}

/// A text that many share.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Text(Arc<str>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// What an app says of a member, as JSON. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Metadata {
    value: Arc<Value>,
    /// Bytes of it as JSON.
    bytes: usize,
}

impl Metadata {
    /// Checks it; [`Presence::track`](super::Presence::track) does so too, and takes this as it takes any value.
    ///
    /// # Errors
    /// [`PresenceError::MetadataTooLarge`] for more than [`METADATA_BYTES_MAX`] bytes of JSON,
    /// [`PresenceError::Metadata`] for what cannot be written as JSON, or not so that every client can read it.
    pub fn new(value: impl Serialize) -> Result<Self, PresenceError> {
        let refused = |error: String| PresenceError::Metadata(error.into());
        let value = serde_json::to_value(value).map_err(|error| refused(error.to_string()))?;
        if !is_shallow(&value, METADATA_DEPTH_MAX) {
            return Err(refused(format!("it is nested more than {METADATA_DEPTH_MAX} deep")));
        }
        let mut json = Vec::new();
        // As pushes of contracts are written: integers that JavaScript cannot hold are found out here.
        Format::Json.encode(&value, &mut json).map_err(|error| refused(error.to_string()))?;
        match json.len() {
            bytes @ ..=METADATA_BYTES_MAX => Ok(Self { value: Arc::new(value), bytes }),
            bytes => Err(PresenceError::MetadataTooLarge { bytes }),
        }
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Recursion ends with `depth`.
fn is_shallow(value: &Value, depth: usize) -> bool {
    let inner = |value| depth > 0 && is_shallow(value, depth - 1);
    match value {
        Value::Array(values) => values.iter().all(inner),
        Value::Object(fields) => fields.values().all(inner),
        _ => true,
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let bytes = value.to_string().len();
        Ok(Self { value: Arc::new(value), bytes })
    }
}

impl JsonSchema for Metadata {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metadata".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }
}

/// Somebody in a room: a user, on however many devices, or the connection of a visitor who has not signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PresenceMember")]
pub struct Member {
    /// The id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    user: Option<Text>,
    /// The id of the visitor's connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    visitor: Option<Text>,
    /// What the app says of the member.
    meta: Metadata,
}

/// Somebody who has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PresenceLeft")]
pub struct Left {
    /// The id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    user: Option<Text>,
    /// The id of the visitor's connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    visitor: Option<Text>,
}

impl Member {
    pub(super) fn new(who: &Who, meta: Metadata) -> Self {
        let Left { user, visitor } = Left::new(who);
        Self { user, visitor, meta }
    }

    /// The id of the user; `None` for a visitor.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|text| &*text.0)
    }

    /// The id of the visitor's connection; `None` for a user.
    pub fn visitor(&self) -> Option<&str> {
        self.visitor.as_ref().map(|text| &*text.0)
    }

    /// What the app says of the member.
    pub fn meta(&self) -> &Value {
        self.meta.value()
    }

    fn bytes(&self) -> usize {
        self.meta.bytes + bytes_of(&self.user, &self.visitor)
    }
}

impl Left {
    pub(super) fn new(who: &Who) -> Self {
        match who {
            Who::User(user) => Self { user: Some(user.clone()), visitor: None },
            Who::Visitor(id) => Self { user: None, visitor: Some(Text(id.to_string().into())) },
        }
    }

    /// The id of the user; `None` for a visitor.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|text| &*text.0)
    }

    /// The id of the visitor's connection; `None` for a user.
    pub fn visitor(&self) -> Option<&str> {
        self.visitor.as_ref().map(|text| &*text.0)
    }

    fn bytes(&self) -> usize {
        bytes_of(&self.user, &self.visitor)
    }
}

/// The most an id takes as JSON, with what is around it: it has no control characters, so that escaping doubles it.
fn bytes_of(user: &Option<Text>, visitor: &Option<Text>) -> usize {
    let id = user.iter().chain(visitor);
    id.map(|text| 2 * text.0.len()).sum::<usize>() + 32
}

/// What the watchers of a room are told: everybody who is there, and from then on what has changed.
///
/// A watcher gets a snapshot first. A diff follows with the next number; one that does not is a sign that something is
/// missing, and the list is wrong until the next snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "PresenceNews")]
pub enum News {
    /// Everybody who is there. What was known before is void.
    Snapshot {
        /// The number of the last diff that is in it.
        seq: u64,
        /// The members, or the first of them.
        snapshot: Vec<Member>,
        /// How many messages the snapshot has, this one included, where it is more than one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts: Option<u32>,
    },
    /// What has changed.
    Diff {
        /// Diffs are numbered one by one. A part of a snapshot has the snapshot's number.
        seq: u64,
        /// Which part of a snapshot this is, from 2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<u32>,
        /// Who is there now, and was not before.
        joined: Vec<Member>,
        /// Whose metadata is another now.
        updated: Vec<Member>,
        /// Who is no longer there.
        left: Vec<Left>,
    },
}

/// What has changed since watchers were last told.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) joined: Vec<Member>,
    pub(super) updated: Vec<Member>,
    pub(super) left: Vec<Left>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.updated.is_empty() && self.left.is_empty()
    }

    /// As diffs that are small enough, numbered from behind `seq`. Who is named in two of them is not: each member has
    /// changed in one way.
    pub(super) fn into_diffs(self, mut seq: u64) -> Vec<News> {
        let mut diffs = Vec::new();
        let mut diff = |changes: Self| {
            seq += 1;
            let Self { joined, updated, left } = changes;
            diffs.push(News::Diff { seq, part: None, joined, updated, left });
        };
        let (mut next, mut bytes) = (Self::default(), 0);
        let mut full = |next: &mut Self, more: usize| {
            if bytes + more > PART_BYTES && !next.is_empty() {
                diff(std::mem::take(next));
                bytes = 0;
            }
            bytes += more;
        };
        for member in self.joined {
            full(&mut next, member.bytes());
            next.joined.push(member);
        }
        for member in self.updated {
            full(&mut next, member.bytes());
            next.updated.push(member);
        }
        for member in self.left {
            full(&mut next, member.bytes());
            next.left.push(member);
        }
        if !next.is_empty() {
            diff(next);
        }
        diffs
    }
}

/// Everybody as messages that are small enough. Those behind the first are diffs in which all have joined, so that a
/// client that has never heard of parts has the list too.
pub(super) fn snapshot(seq: u64, members: Vec<Member>) -> Vec<News> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for member in members {
        let more = member.bytes();
        if bytes + more > PART_BYTES && bytes > 0 {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        parts.last_mut().expect("there is one from the beginning").push(member);
    }
    let count = parts.len() as u32;
    let news = parts.into_iter().zip(1..).map(|(members, number)| match number {
        1 => News::Snapshot { seq, snapshot: members, parts: (count > 1).then_some(count) },
        part => News::Diff { seq, part: Some(part), joined: members, updated: Vec::new(), left: Vec::new() },
    });
    news.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(number: usize, bytes: usize) -> Member {
        let who = Who::User(format!("user {number}").as_str().into());
        Member::new(&who, Metadata::new("x".repeat(bytes - 2)).expect("metadata"))
    }

    #[test]
    fn metadata_has_so_many_bytes_and_no_more() {
        // Two are the quotes, and an umlaut is two.
        for fits in ["x".repeat(METADATA_BYTES_MAX - 2), "ü".repeat(METADATA_BYTES_MAX / 2 - 1)] {
            Metadata::new(&fits).expect("as much as is allowed");
            let error = Metadata::new(fits + "x").expect_err("one byte more");
            assert_eq!(error, PresenceError::MetadataTooLarge { bytes: METADATA_BYTES_MAX + 1 });
        }
    }

    #[test]
    fn metadata_that_some_client_could_not_read_is_refused() {
        Metadata::new(json!({"n": 9_007_199_254_740_991_u64})).expect("JavaScript can count so far");
        let deep = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        Metadata::new(deep(METADATA_DEPTH_MAX)).expect("deep, and not too deep");
        let not_text = std::collections::HashMap::from([((1, 2), "a key that is no text")]);
        let refused = [
            Metadata::new(json!({"n": 9_007_199_254_740_992_u64})),
            Metadata::new(deep(METADATA_DEPTH_MAX + 1)),
            Metadata::new(not_text),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(PresenceError::Metadata(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_long_snapshot_is_parts_that_fit_and_nobody_is_lost() {
        let members: Vec<_> = (0..100).map(|number| member(number, 1 + number * 40 + 1)).collect();
        let parts = snapshot(7, members.clone());
        let mut seen = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let bytes = serde_json::to_string(part).expect("JSON").len();
            assert!(bytes <= 2 * PART_BYTES, "part {index} has {bytes} bytes");
            match part {
                News::Snapshot { seq: 7, snapshot, parts: Some(count) } if index == 0 => {
                    assert_eq!(*count as usize, parts.len());
                    seen.extend(snapshot.clone());
                }
                News::Diff { seq: 7, part: Some(number), joined, .. } if *number as usize == index + 1 => {
                    seen.extend(joined.clone());
                }
                other => panic!("part {index}: {other:?}"),
            }
        }
        assert!(parts.len() > 10 && seen == members);
        let none = snapshot(7, Vec::new());
        assert_eq!(none, [News::Snapshot { seq: 7, snapshot: Vec::new(), parts: None }]);
    }

    #[test]
    fn long_changes_are_diffs_that_fit_numbered_one_by_one() {
        let joined: Vec<_> = (0..20).map(|number| member(number, METADATA_BYTES_MAX)).collect();
        let updated: Vec<_> = (20..40).map(|number| member(number, 10)).collect();
        let left: Vec<_> =
            (40..60).map(|number| Left::new(&Who::User(number.to_string().as_str().into()))).collect();
        let changes = Changes { joined: joined.clone(), updated: updated.clone(), left: left.clone() };
        let mut seen = Changes::default();
        let mut last = 41;
        for diff in changes.into_diffs(41) {
            assert!(serde_json::to_string(&diff).expect("JSON").len() <= 2 * PART_BYTES);
            let News::Diff { seq, part: None, joined, updated, left } = diff else { panic!("{diff:?}") };
            assert_eq!(seq, last + 1);
            last = seq;
            seen.joined.extend(joined);
            seen.updated.extend(updated);
            seen.left.extend(left);
        }
        assert!(last > 50 && seen.joined == joined && seen.updated == updated && seen.left == left);
    }

    #[test]
    fn news_read_as_they_were_written() {
        let diff = json!({"seq": 2, "joined": [{"user": "ada", "meta": {"a": 1}}], "updated": [], "left": [{"visitor": "0f"}]});
        let snapshot = json!({"seq": 1, "snapshot": [{"visitor": "0f", "meta": null}]});
        for news in [diff, snapshot] {
            let read: News = serde_json::from_value(news.clone()).expect("news");
            assert_eq!(serde_json::to_value(&read).expect("JSON"), news);
        }
    }
}
