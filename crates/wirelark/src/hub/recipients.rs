//! Users, on all their devices: whom a handler, a job or a plain task wants to reach, by name.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use wirelark_proto::{CloseCode, CloseFrame, Message};

use super::{Hub, Publish, Target};
use crate::connection::ConnectionId;
use crate::shared_frame::SharedFrame;

/// Users that [`Hub::users`] takes. A list that is longer than this was seldom meant to be: it comes from a query
/// without a limit, or from a client.
pub const USERS_MAX: usize = 100;

/// Users, each on all devices; see [`Hub::user`]. Nothing is kept for them: every method looks at the connections they
/// have when it is called.
#[derive(Clone, Debug)]
pub struct Recipients {
    hub: Hub,
    who: Who,
}

#[derive(Clone, Debug)]
enum Who {
    /// No user twice.
    Users(Arc<[Box<str>]>),
    /// Somebody who has not signed in.
    Connection(ConnectionId),
}

/// Why there is nobody to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientsError {
    /// More users than [`USERS_MAX`].
    #[error("these are more than {USERS_MAX} users: call `users_bulk` where a list may have any length")]
    TooMany,
    /// No users were named, and there is no current user and no connection to send to instead.
    #[error(
        "nobody to send to: name users, or call this where a user or a connection is at hand, such as in a handler"
    )]
    Nobody,
}

impl Hub {
    /// A user, on all devices: every connection that is authenticated as `id`. Nothing is checked: a user nobody has
    /// heard of is offline.
    ///
    /// ```
    /// # async fn example(hub: wirelark::Hub) {
    /// let delivered = hub.user("ada").push("your order has left").counted().await;
    /// if delivered.offline > 0 {
    ///     // Nobody is there to read it: send a mail.
    /// }
    /// # }
    /// ```
    pub fn user(&self, id: impl Into<Box<str>>) -> Recipients {
        Recipients { hub: self.clone(), who: Who::Users([id.into()].into()) }
    }

    /// Some users, on all their devices. One who is named twice counts once.
    ///
    /// # Errors
    /// [`RecipientsError::TooMany`] for more than [`USERS_MAX`] of them; [`users_bulk`](Self::users_bulk) takes any
    /// number.
    pub fn users<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<Recipients, RecipientsError> {
        let mut distinct = HashSet::new();
        for id in ids {
            distinct.insert(id.as_ref().into());
            if distinct.len() > USERS_MAX {
                return Err(RecipientsError::TooMany);
            }
        }
        Ok(Recipients::users(self.clone(), distinct))
    }

    /// As [`users`](Self::users), for a list of any length. A message to them is one piece of mail for each shard, which
    /// serves others in between.
    pub fn users_bulk<S: AsRef<str>>(&self, ids: impl IntoIterator<Item = S>) -> Recipients {
        Recipients::users(self.clone(), ids.into_iter().map(|id| id.as_ref().into()).collect())
    }

    /// Who is meant where a request may name users and mostly does not: the `named` users if there is a list, even an
    /// empty one; else all devices of the `current` user; else the `connection` alone, of somebody who has not signed in.
    ///
    /// # Errors
    /// [`RecipientsError::Nobody`] where there is none of the three; [`RecipientsError::TooMany`] as for
    /// [`users`](Self::users).
    pub fn recipients<S: AsRef<str>>(
        &self,
        named: Option<&[S]>,
        current: Option<&str>,
        connection: Option<ConnectionId>,
    ) -> Result<Recipients, RecipientsError> {
        match (named, current, connection) {
            (Some(named), ..) => self.users(named),
            (None, Some(user), _) => Ok(self.user(user)),
            (None, None, Some(connection)) => {
                Ok(Recipients { hub: self.clone(), who: Who::Connection(connection) })
            }
            (None, None, None) => Err(RecipientsError::Nobody),
        }
    }
}

impl Recipients {
    fn users(hub: Hub, distinct: HashSet<Box<str>>) -> Self {
        Self { hub, who: Who::Users(distinct.into_iter().collect()) }
    }

    /// Sends to every connection these users have now. Users who have none are counted in
    /// [`Delivered::offline`](crate::Delivered::offline), and are no error.
    ///
    /// Connections that speak a contract get the message as it is too, and their clients expect a push of it:
    /// [`Hub::contract`] reaches those.
    pub fn push(&self, message: impl Into<Message>) -> Publish {
        self.publish(SharedFrame::new(message.into()))
    }

    /// As [`push`](Self::push), with a value as JSON text.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn push_json(&self, value: &(impl Serialize + ?Sized)) -> serde_json::Result<Publish> {
        Ok(self.push(serde_json::to_string(value)?))
    }

    pub(crate) fn publish(&self, frame: SharedFrame) -> Publish {
        let (connections, offline) = self.connections();
        let target = Target::Connections(connections.into());
        Publish::shared(self.hub.clone(), target, frame).with_offline(offline)
    }

    /// Closes all connections these users have now, and says how many of them were open. The users can come back: what
    /// must keep them out is their authentication.
    ///
    /// # Cancel safety
    /// The connections close also where nobody waits for their number.
    pub async fn close(&self, code: CloseCode, reason: &str) -> usize {
        let (connections, _) = self.connections();
        self.hub.close_all(connections.into(), CloseFrame::new(code, reason)).await
    }

    /// How many connections these users have now.
    pub fn devices(&self) -> usize {
        match &self.who {
            Who::Users(users) => users.iter().map(|user| self.hub.inner.users.count(user)).sum(),
            Who::Connection(connection) => self.hub.is_connected(*connection).into(),
        }
    }

    /// Whether any of these users is online: has a connection, or had one within the
    /// [grace period](crate::App::offline_grace).
    pub fn is_online(&self) -> bool {
        match &self.who {
            Who::Users(users) => users.iter().any(|user| self.hub.inner.users.is_online(user)),
            Who::Connection(connection) => self.hub.is_connected(*connection),
        }
    }

    /// The connections there are, and the number of users who have none.
    fn connections(&self) -> (Vec<ConnectionId>, usize) {
        match &self.who {
            Who::Connection(connection) => (vec![*connection], 0),
            Who::Users(users) => {
                let mut connections = Vec::with_capacity(users.len());
                let registered = &self.hub.inner.users;
                let counts = users.iter().map(|user| registered.list(user, &mut connections));
                let offline = counts.filter(|count| *count == 0).count();
                (connections, offline)
            }
        }
    }
}
