//! Why an app cannot be built.

use std::time::Duration;

use super::contract::ContractError;
use super::messages::MessagesError;
use crate::limits::OptionError;

/// An app that cannot be built; the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An impossible option.
    #[error("route {route:?}: {error}")]
    Option {
        /// The route's pattern.
        route: Box<str>,
        /// What is wrong.
        error: OptionError,
    },
    /// Two routes that would match the same paths.
    #[error(
        "route {0:?} is there twice: give one of them another path (parameters' names make no difference)"
    )]
    Duplicate(Box<str>),
    /// A contract that cannot be served.
    #[error("route {route:?}: {error}")]
    Contract {
        /// The route's pattern.
        route: Box<str>,
        /// What is wrong.
        error: ContractError,
    },
    /// A grace period nobody can have meant.
    #[error("an offline grace of {0:?} is too long: give at most a day, such as `Duration::from_secs(5)`")]
    OfflineGrace(Duration),
    /// A message route that cannot be served.
    #[error("route {route:?}: {error}")]
    Messages {
        /// The route's pattern.
        route: Box<str>,
        /// What is wrong.
        error: MessagesError,
    },
    /// A contract's path that clients choose a part of, and nothing says who may.
    #[error(
        "route {0:?}: its clients choose the room they are in, as a part of its path; say who may join which with \
         `.room_policy(..)`, or `.room_policy(OpenRooms)` if everybody may join every one"
    )]
    RoomPolicy(Box<str>),
    /// A path that does not begin with a slash.
    #[error("route {0:?} does not begin with a slash: write \"/{0}\"")]
    Path(Box<str>),
    /// A prefix that is empty, does not begin with a slash or ends with one.
    #[error("scope prefix {0:?} must begin with a slash and not end with one, such as \"/api\"")]
    Prefix(Box<str>),
}
