//! How a client is told that it missed pushes.

use serde::{Deserialize, Serialize};

/// The body of the event [`Gap::EVENT`]: pushes that did not reach a client, because it read too slowly or because
/// they are larger than the server's messages to it may be, since it was last told. It comes when the client has caught
/// up, behind everything that waited for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// The name of the push on the wire.
    pub push: String,
    /// How many of them. Of a push that is declared with `conflate` the newest of each key has arrived, so these
    /// were replaced, unless they were too large; of any other they are lost.
    pub missed: u32,
}

impl Gap {
    /// The name of the event. No contract can have a push like it.
    pub const EVENT: &'static str = "$gap";

    /// So many of a push.
    pub fn new(push: impl Into<String>, missed: u32) -> Self {
        Self { push: push.into(), missed }
    }
}
