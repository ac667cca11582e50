//! Presence: who is in a room, told to those who watch it.
//!
//! It is kept for whoever asks for it by [`Hub::presence`], and for nobody else. A room's members here are those who
//! were tracked, which has nothing to do with who has joined it.

mod news;
mod registry;
mod roster;

use std::fmt;

use serde::Serialize;

pub use self::news::{Left, METADATA_BYTES_MAX, Member, Metadata, News};
use self::news::{WATCHER_MESSAGE_BYTES_MIN, Who};
pub(super) use self::registry::{Registry, tell_watchers};
pub(crate) use self::registry::{Voice, VoiceKey};
use super::{Hub, InvalidRoom, Joinable, RoomName};
use crate::connection::{Connection, ConnectionId, User};

/// Whom presence is about: a [`Socket`](crate::Socket), its [`Sender`](crate::Sender), or the
/// [`Session`](crate::contract::Session) of a contract. Who has signed in is a member as that user, together with the
/// user's other devices; everybody else is a visitor by connection.
#[derive(Clone, Debug)]
pub struct Attendee {
    connection: ConnectionId,
    user: Option<User>,
    message_bytes: usize,
}

impl Attendee {
    pub(crate) fn new(connection: &Connection) -> Self {
        let message_bytes = connection.route.limits.message_bytes;
        Self { connection: connection.id, user: connection.user(), message_bytes }
    }
}

/// Why somebody could not be tracked, or cannot watch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// More metadata than every watcher should get for each member.
    #[error(
        "the metadata has {bytes} bytes as JSON, and {METADATA_BYTES_MAX} is the most: give what watchers show, such as a \
         name, and let them ask for the rest"
    )]
    MetadataTooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Metadata that cannot be written as JSON for everybody.
    #[error("the metadata cannot be sent: {0}")]
    Metadata(Box<str>),
    /// A member that is not there cannot be updated.
    #[error("the connection is not tracked in this room: call `track` first")]
    NotTracked,
    /// News would be larger than the connection's route allows.
    #[error(
        "a route whose connections watch presence needs `message_bytes` of {WATCHER_MESSAGE_BYTES_MIN} or more"
    )]
    MessageBytes,
}

/// A member as the server sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// Who, and what is said of it.
    #[serde(flatten)]
    pub member: Member,
    /// On how many connections.
    pub devices: usize,
}

/// Who is in a room, for those who watch it; see [`Hub::presence`]. Cheap to clone.
///
/// Whoever is [tracked](Self::track) is a member until it is untracked or its connection ends, however that happens.
/// Whoever [watches](Self::watch) gets a snapshot of the members and then diffs: who joined, whose metadata was updated,
/// who left. Watchers are told at once where little happens; of changes that follow within some 50 ms, or longer where
/// thousands watch, they are told together, and of what was undone meanwhile not at all. A watcher that reads too
/// slowly misses nothing in silence: it gets a new snapshot once it has room for one, and is closed with 1013 if it has
/// none for half a minute.
#[derive(Clone)]
pub struct Presence {
    hub: Hub,
    room: RoomName,
}

impl Hub {
    /// Who is in a room, for those who watch it: a room whose name is a literal, or one there is a
    /// [`RoomPass`](crate::RoomPass) for, as who watches is told about everybody there. Being tracked and watching are each
    /// their own: neither needs the other, nor that one has joined.
    ///
    /// ```
    /// # use wirelark::Socket;
    /// # use serde_json::json;
    /// async fn lobby(mut socket: Socket) -> wirelark::Result {
    ///     let presence = socket.hub().presence("lobby")?;
    ///     presence.track(&socket, json!({"status": "awake"}))?;
    ///     presence.watch(&socket)?;
    ///     while let Some(status) = socket.recv().await {
    ///         let status = String::from_utf8_lossy(status.as_bytes()).into_owned();
    ///         presence.update(&socket, json!({"status": status}))?;
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = wirelark::App::new().socket("/lobby", lobby);
    /// ```
    ///
    /// # Errors
    /// A name must have 1 to 256 characters and no control characters.
    pub fn presence(&self, room: impl Joinable) -> Result<Presence, InvalidRoom> {
        Ok(Presence::new(self.clone(), room.into_pass()?.into_name()))
    }
}

impl Presence {
    pub(crate) fn new(hub: Hub, room: RoomName) -> Self {
        Self { hub, room }
    }

    /// The room's name.
    pub fn room(&self) -> &RoomName {
        &self.room
    }

    /// Makes somebody a member, or gives a member other metadata. A user has one metadata on all devices: that of the
    /// last call. False if the connection is gone.
    ///
    /// # Errors
    /// [`PresenceError::MetadataTooLarge`] for more than [`METADATA_BYTES_MAX`] bytes of JSON,
    /// [`PresenceError::Metadata`] for what cannot be written as JSON.
    pub fn track(&self, who: impl Into<Attendee>, meta: impl Serialize) -> Result<bool, PresenceError> {
        let Attendee { connection, user, .. } = who.into();
        let meta = Metadata::new(meta)?;
        let who = match &user {
            Some(user) => Who::User(user.id().into()),
            None => Who::Visitor(connection),
        };
        let track =
            || self.hub.inner.presence.change(&self.room, |roster| roster.track(connection, who, meta));
        Ok(self.hub.attend(&self.room, connection, track).is_some())
    }

    /// Gives a member other metadata.
    ///
    /// # Errors
    /// As [`track`](Self::track); [`PresenceError::NotTracked`] if the connection is not there, or no longer.
    pub fn update(&self, who: impl Into<Attendee>, meta: impl Serialize) -> Result<(), PresenceError> {
        let (Attendee { connection, .. }, meta) = (who.into(), Metadata::new(meta)?);
        let updated = self.hub.inner.presence.change(&self.room, |roster| roster.update(connection, meta));
        if updated { Ok(()) } else { Err(PresenceError::NotTracked) }
    }

    /// The connection is no longer there. The member is, as long as other devices are. False if it was not there.
    pub fn untrack(&self, who: impl Into<Attendee>) -> bool {
        let connection = who.into().connection;
        let untrack = || self.hub.inner.presence.change(&self.room, |roster| roster.untrack(connection));
        self.hub.unattend(&self.room, connection, untrack).unwrap_or_default()
    }

    /// Sends the connection a snapshot, and from then on diffs, each as JSON text; see [`News`]. Watching twice is
    /// asking for a new snapshot. False if the connection is gone.
    ///
    /// # Errors
    /// [`PresenceError::MessageBytes`] on a route that allows no messages of the size that news can have.
    pub fn watch(&self, who: impl Into<Attendee>) -> Result<bool, PresenceError> {
        self.watch_with(&who.into(), VoiceKey::Json, registry::json_voice())
    }

    pub(crate) fn watch_with(
        &self,
        who: &Attendee,
        key: VoiceKey,
        voice: Voice,
    ) -> Result<bool, PresenceError> {
        if who.message_bytes < WATCHER_MESSAGE_BYTES_MIN {
            return Err(PresenceError::MessageBytes);
        }
        let watch = || self.hub.inner.presence.watch(&self.room, who.connection, key, voice);
        Ok(self.hub.attend(&self.room, who.connection, watch).is_some())
    }

    /// Tells the connection no more.
    pub fn unwatch(&self, who: impl Into<Attendee>) {
        let connection = who.into().connection;
        let unwatch = || self.hub.inner.presence.unwatch(&self.room, connection);
        self.hub.unattend(&self.room, connection, unwatch);
    }

    /// The members, sorted by id, users first.
    pub fn list(&self) -> Vec<Listed> {
        let members = self.hub.inner.presence.read(&self.room, |roster| roster.members_with_devices());
        members.into_iter().map(|(member, devices)| Listed { member, devices }).collect()
    }

    /// How many members there are, without saying who.
    pub fn occupancy(&self) -> usize {
        self.hub.inner.presence.read(&self.room, |roster| roster.len())
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presence").field(&self.room).finish()
    }
}
