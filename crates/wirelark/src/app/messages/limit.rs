//! How often one connection may have one handler run.

use std::fmt;

use http::request::Parts;
use wirelark_proto::Message;
use wirelark_proto::contract::{Problem, Rate};

use super::MessagesError;
use super::extract::Incoming;
use super::handler::{Choice, Keeping, MessageHandler, Refused};
use crate::rate::Meter;

/// A handler that runs only so often for each connection: `on("say", limited(Rate::per_second(5), say))`.
///
/// A message beyond that is answered with `{"error": .., "code": "RATE_LIMITED", "data": {"retry_after_ms": ..}}`, counted,
/// and handled by nobody. [`Options::message_rate`](crate::Options::message_rate) limits all messages of a connection
/// together.
#[must_use = "a handler does nothing until it is added to an app"]
pub struct Limited<H> {
    handler: H,
    rate: Rate,
}

/// Limits how often a handler runs for each connection; see [`Limited`].
pub fn limited<H>(rate: Rate, handler: H) -> Limited<H> {
    Limited { handler, rate }
}

/// Marks limited handlers.
#[derive(Debug)]
pub struct IsLimited<M>(M);

impl<H, M, S> MessageHandler<IsLimited<M>, S> for Limited<H>
where
    H: MessageHandler<M, S>,
    S: Send + Sync + 'static,
{
    /// With the meter of the connection.
    type Kept = (Box<Meter>, H::Kept);
    type Running = H::Running;

    const TAKES_MESSAGES: bool = H::TAKES_MESSAGES;

    fn check(&self) -> Result<(), MessagesError> {
        Meter::new(self.rate).map_err(|error| MessagesError::Rate(error.to_string().into()))?;
        self.handler.check()
    }

    fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, Self::Kept> {
        Box::pin(async move {
            let kept = self.handler.keep(parts, state).await?;
            Ok((Box::new(Meter::checked(self.rate)), kept))
        })
    }

    fn choose(&self, message: &Message) -> Result<Choice, Problem> {
        self.handler.choose(message)
    }

    fn begin(
        &self,
        choice: Choice,
        incoming: Incoming<'_>,
        (meter, kept): &Self::Kept,
        state: &S,
    ) -> Result<Self::Running, Refused> {
        meter.check()?;
        self.handler.begin(choice, incoming, kept, state)
    }
}

impl<H> fmt::Debug for Limited<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited").field("rate", &self.rate).finish_non_exhaustive()
    }
}
