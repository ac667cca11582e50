//! Sending to many: who is meant, and what became of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;
use wirelark_proto::Message;

use super::mailbox::{Deliver, Mail};
use super::{Hub, RoomName};
use crate::connection::{ConflationKey, ConnectionId, Delivery};
use crate::shared_frame::SharedFrame;

/// Who a message is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// The members of a room.
    #[non_exhaustive]
    Room {
        /// Which room.
        name: RoomName,
        /// The key newer messages replace older ones by, for members that are behind.
        key: Option<ConflationKey>,
    },
    /// One connection.
    Connection(ConnectionId),
    /// Some connections.
    Connections(Arc<[ConnectionId]>),
    /// The connections that speak a contract.
    Contract(&'static str),
    /// The connections of routes whose pattern begins so.
    Routes(Box<str>),
    /// Every connection.
    Everyone,
}

/// What became of a message that was sent to many. "Queued" means that it is in the connection's outbox,
/// in order; whether the client got it only the client can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Delivered {
    /// Connections it was queued for.
    pub queued: usize,
    /// Connections whose policy dropped or conflated a message for it.
    pub dropped: usize,
    /// Connections that had ended or were closing, or were closed because they read too slowly.
    pub closed: usize,
    /// Users who had no connection. Only a message to users has any.
    pub offline: usize,
    /// Connections whose route's `message_bytes` is smaller than the message. They stay open and get nothing of
    /// it; where it was a push, they are told that they missed one.
    pub too_large: usize,
}

impl Delivered {
    pub(crate) fn count(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Queued => self.queued += 1,
            Delivery::Dropped => self.dropped += 1,
            Delivery::Closed => self.closed += 1,
            Delivery::TooLarge => self.too_large += 1,
        }
    }

    pub(crate) fn absorb(&mut self, other: Self) {
        self.queued += other.queued;
        self.dropped += other.dropped;
        self.closed += other.closed;
        self.offline += other.offline;
        self.too_large += other.too_large;
    }
}

/// Whom a message leaves out: a connection by its id, or the [`Socket`](crate::Socket) or
/// [`Session`](crate::contract::Session) that a handler has at hand. Those are better, because they stay right where a
/// session goes on with another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excepted(ConnectionId);

impl From<ConnectionId> for Excepted {
    fn from(connection: ConnectionId) -> Self {
        Self(connection)
    }
}

/// A shard is so far behind that the message would have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub is busy: a shard has more mail than it may hold")]
pub struct Busy;

/// A message about to be sent to many.
///
/// Awaiting it hands the message to the shards and is done: nothing is waited for but room in their
/// mailboxes. [`counted`](Self::counted) also waits for their answers; [`try_send`](Self::try_send) never
/// waits.
///
/// A message that is larger than some receiver's route allows
/// ([`message_bytes`](crate::Options::message_bytes)) reaches the others; for whom it was too large
/// [`Delivered::too_large`] says.
///
/// # Ordering
/// Messages that one task sends to one target arrive in that order, and two members of a room see the
/// room's messages in the same order.
///
/// # Cancel safety
/// Dropped before it is ready, the message was handed to nobody.
#[derive(Debug)]
#[must_use = "nothing is sent until this is awaited"]
pub struct Publish {
    hub: Hub,
    target: Target,
    except: Vec<ConnectionId>,
    /// Users it is for who have no connection.
    offline: usize,
    frame: Arc<SharedFrame>,
    room_in_mailbox: Option<Waiting>,
}

struct Waiting(Pin<Box<dyn Future<Output = ()> + Send>>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Publish {
    pub(crate) fn new(hub: Hub, target: Target, message: Message) -> Self {
        Self::shared(hub, target, SharedFrame::new(message))
    }

    pub(crate) fn shared(hub: Hub, target: Target, frame: SharedFrame) -> Self {
        Self { hub, target, except: Vec::new(), offline: 0, frame: Arc::new(frame), room_in_mailbox: None }
    }

    pub(super) fn with_offline(self, offline: usize) -> Self {
        Self { offline, ..self }
    }

    /// Leaves somebody out, such as the sender: `.except(&socket)`, `.except(&session)`, or a connection by its id.
    pub fn except(mut self, who: impl Into<Excepted>) -> Self {
        self.except.push(who.into().0);
        self
    }

    /// Leaves all of these out.
    pub fn except_all<E: Into<Excepted>>(mut self, who: impl IntoIterator<Item = E>) -> Self {
        self.except.extend(who.into_iter().map(|who| who.into().0));
        self
    }

    /// Sends, and waits until every shard has said how many connections it queued the message for.
    pub async fn counted(mut self) -> Delivered {
        let mut answers = Vec::new();
        std::future::poll_fn(|cx| self.poll_mail(cx, Some(&mut answers))).await;
        let mut delivered = Delivered { offline: self.offline, ..Delivered::default() };
        for answer in answers {
            // A shard that stops answers nobody; its connections are gone.
            delivered.absorb(answer.await.unwrap_or_default());
        }
        delivered
    }

    /// Sends if that needs no waiting.
    pub fn try_send(self) -> Result<(), Busy> {
        self.mail(None).map_err(|_| Busy)
    }

    fn poll_mail(
        &mut self,
        cx: &mut Context<'_>,
        mut answers: Option<&mut Vec<oneshot::Receiver<Delivered>>>,
    ) -> Poll<()> {
        loop {
            if let Some(Waiting(waiting)) = &mut self.room_in_mailbox {
                ready!(waiting.as_mut().poll(cx));
                self.room_in_mailbox = None;
            }
            let Err(full) = self.mail(answers.as_deref_mut()) else { return Poll::Ready(()) };
            let shard = Arc::clone(&self.hub.inner.shards[full]);
            self.room_in_mailbox = Some(Waiting(Box::pin(async move { shard.mailbox.emptied().await })));
        }
    }

    /// Mails the message to every shard it concerns, or to none: then the index of one that is full.
    fn mail(&self, answers: Option<&mut Vec<oneshot::Receiver<Delivered>>>) -> Result<(), usize> {
        let except: Option<Arc<[ConnectionId]>> =
            (!self.except.is_empty()).then(|| self.except.as_slice().into());
        let hub = &*self.hub.inner;
        let frame = Arc::clone(&self.frame);
        let mut send = Mailing { hub, target: &self.target, except, frame, answers };
        match &self.target {
            Target::Room { name, .. } => hub.rooms.with_shards(name, |shards| send.to(shards)),
            Target::Connection(id) if id.shard() < hub.shards.len() => {
                send.to(&mut std::iter::once(id.shard()))
            }
            Target::Connection(_) => Ok(()),
            Target::Connections(ids) => {
                send.to(&mut ids.iter().map(|id| id.shard()).filter(|shard| *shard < hub.shards.len()))
            }
            // Before the first connection there is nobody, and no shard runs that could say so.
            Target::Contract(_) | Target::Routes(_) | Target::Everyone if !self.hub.has_started() => Ok(()),
            Target::Contract(_) | Target::Routes(_) | Target::Everyone => send.to(&mut (0..hub.shards.len())),
        }
    }
}

impl Future for Publish {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().poll_mail(cx, None)
    }
}

struct Mailing<'a> {
    hub: &'a super::Inner,
    target: &'a Target,
    except: Option<Arc<[ConnectionId]>>,
    frame: Arc<SharedFrame>,
    answers: Option<&'a mut Vec<oneshot::Receiver<Delivered>>>,
}

impl Mailing<'_> {
    fn to(&mut self, shards: &mut dyn Iterator<Item = usize>) -> Result<(), usize> {
        // At most 255 shards: a bit for each.
        let mut concerned = [0_u64; 4];
        for shard in shards {
            if self.hub.shards[shard].mailbox.is_full() {
                return Err(shard);
            }
            concerned[shard / 64] |= 1 << (shard % 64);
        }
        for (shard, handle) in self.hub.shards.iter().enumerate() {
            if concerned[shard / 64] & (1 << (shard % 64)) == 0 {
                continue;
            }
            let reply = self.answers.as_mut().map(|answers| {
                let (reply, answer) = oneshot::channel();
                answers.push(answer);
                reply
            });
            let (target, except) = (self.target.clone(), self.except.clone());
            let deliver = Deliver { target, except, frame: Arc::clone(&self.frame), reply };
            handle.mailbox.put(Mail::Deliver(deliver));
        }
        Ok(())
    }
}
