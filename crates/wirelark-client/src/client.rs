//! The handle of a client.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use wirelark_proto::contract::{Contract, EncodeError, Format, Gap, Request};
use wirelark_proto::{CloseCode, CloseFrame};

use crate::builder::Builder;
use crate::call::CallError;
use crate::closed::Closed;
use crate::connect::ConnectError;
use crate::core::{Core, request_id};
use crate::listeners::{Heard, OnPush, OnStatus, Subscription};
use crate::status::Status;
use crate::stream::{self, PushStream};

/// A client of one address. Cheap to clone; every clone is a handle of the same connection, which is closed with
/// 1001 when the last of them is dropped.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    call_timeout: Duration,
    /// Tells the task when the last handle is gone.
    _alive: Arc<DropGuard>,
}

/// A contract that has a typed client; `#[contract]` implements it.
pub trait HasClient: Contract {
    /// The typed client.
    type Client: From<Client> + AsRef<Client> + Clone + Send + Sync + 'static;
}

impl Client {
    /// A client of the server at `url`, `ws://host:port/path` or `wss://..`. Nothing happens before it is built.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn new(core: Arc<Core>, dropped: CancellationToken, call_timeout: Duration) -> Self {
        Self { core, call_timeout, _alive: Arc::new(dropped.drop_guard()) }
    }

    /// The same client with another limit for calls that are made with this handle.
    #[must_use]
    pub fn with_call_timeout(&self, timeout: Duration) -> Self {
        Self { call_timeout: timeout, ..self.clone() }
    }

    /// Calls `name`, and waits for the answer. `()` is both an input without anything in it and the output of a call
    /// that only says that it is done.
    ///
    /// While there is no connection the call waits for one, unless the client was built with
    /// [`Offline::Fail`](crate::Offline::Fail). Requests leave in the order in which they were queued; answers come
    /// in the order in which the server is done.
    ///
    /// # Errors
    /// What the server says is wrong, or a [`CallError`] when the connection ends, time is up, or there is no room.
    /// A call is never sent twice, unless the server says that it came too often and was not done, and the client is to
    /// [try again](Builder::rate_limit_retries). Meanwhile calls of the same name wait.
    ///
    /// # Cancel safety
    /// Dropped, the call is forgotten: if it was not sent it never is, otherwise its late answer is dropped.
    pub async fn call<I, O>(&self, name: &str, input: &I) -> Result<O, CallError>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let deadline = deadline(self.call_timeout);
        let mut retries = self.core.limits.rate_limit_retries;
        loop {
            self.core.allowed(name, deadline).await?;
            match self.call_once(name, input, deadline).await {
                Err(CallError::RateLimited(_)) if retries > 0 => retries -= 1,
                settled => return settled,
            }
        }
    }

    async fn call_once<I, O>(&self, name: &str, input: &I, deadline: Instant) -> Result<O, CallError>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let (number, frame) = self.encode(name, input)?;
        let queued = timeout_at(deadline, self.core.call(number, name.into(), frame)).await;
        let mut waiting = queued.map_err(|_| CallError::Full)??;
        match timeout_at(deadline, &mut waiting.answer).await {
            Ok(Ok(answer)) => Ok(answer?.decode()?),
            // Only when the task is gone, with its runtime.
            Ok(Err(_)) => {
                Err(CallError::Disconnected { sent: true, closed: Closed::by_network("the runtime ended") })
            }
            Err(_) => Err(CallError::Timeout { sent: waiting.was_sent() }),
        }
    }

    /// Sends `name`, which the server does not answer. Ready once it is queued, which waits while the server says that
    /// it was sent this too often.
    ///
    /// Queued sends leave before a close of this client, and wait for the next connection when theirs is lost.
    /// What the server could not do is reported to the [sink](Builder::reports), and so is a send that was queued and
    /// never left. One that left and was lost with its connection is lost without a word.
    ///
    /// # Errors
    /// It was not queued: there is no room, at once without a connection and after the call timeout with one; the
    /// client is closed; the server wants to be left alone with it for longer than the call timeout; or the input cannot
    /// be written.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is sent.
    pub async fn send<I: Serialize + ?Sized>(&self, name: &str, input: &I) -> Result<(), CallError> {
        let deadline = deadline(self.call_timeout);
        self.core.allowed(name, deadline).await?;
        let (number, frame) = self.encode(name, input)?;
        let queued = timeout_at(deadline, self.core.send(number, name.into(), frame)).await;
        queued.unwrap_or(Err(CallError::Full))
    }

    fn encode<I: Serialize + ?Sized>(&self, name: &str, input: &I) -> Result<(u64, Vec<u8>), EncodeError> {
        let number = self.core.next_number();
        let mut frame = Vec::with_capacity(FRAME_BYTES);
        let request = Request { id: request_id(name, number).into(), call: name.into(), body: &input };
        request.encode(self.core.limits.format, &mut frame)?;
        Ok((number, frame))
    }

    /// Calls `handler` for each push of this name, until the subscription is dropped. Reconnects make no difference.
    ///
    /// Handlers run on the client's task, in the order in which they were added, and must not block: while one runs,
    /// nothing is read. One that panics is reported, and the others run all the same, as they do when the body is not
    /// a `T`. Pushes nobody listens to are dropped.
    pub fn on<T: DeserializeOwned>(
        &self,
        name: &str,
        mut handler: impl FnMut(T) + Send + 'static,
    ) -> Subscription {
        self.listen(name, false, move |pushed: T| {
            handler(pushed);
            Heard::More
        })
    }

    /// As [`on`](Self::on), for the next push only.
    pub fn once<T: DeserializeOwned>(
        &self,
        name: &str,
        handler: impl FnOnce(T) + Send + 'static,
    ) -> Subscription {
        let mut handler = Some(handler);
        self.listen(name, false, move |pushed: T| {
            if let Some(handler) = handler.take() {
                handler(pushed);
            }
            Heard::Enough
        })
    }

    /// The next push of this name for which `predicate` is true. It listens from the call on, not from the first time
    /// it is polled, so that what a call leads to can be waited for:
    ///
    /// ```no_run
    /// # async fn example(client: wirelark_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// let joined = client.wait_for("joined", Duration::from_secs(5), |name: &String| name == "ada");
    /// client.call::<_, ()>("join", &()).await?;
    /// let name = joined.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// It did not come within `within`, or the client was closed first. A lost connection is waited for.
    ///
    /// # Cancel safety
    /// Dropped, it does not listen any more.
    pub fn wait_for<T>(
        &self,
        name: &str,
        within: Duration,
        mut predicate: impl FnMut(&T) -> bool + Send + 'static,
    ) -> impl Future<Output = Result<T, WaitError>> + Send + 'static
    where
        T: DeserializeOwned + Send + 'static,
    {
        let deadline = deadline(within);
        let (sender, pushed) = oneshot::channel();
        let mut sender = Some(sender);
        let subscription = self.listen(name, true, move |pushed: T| {
            if !predicate(&pushed) {
                return Heard::More;
            }
            if let Some(sender) = sender.take() {
                let _ = sender.send(pushed);
            }
            Heard::Enough
        });
        async move {
            let _listening = subscription;
            match timeout_at(deadline, pushed).await {
                Ok(Ok(pushed)) => Ok(pushed),
                Ok(Err(_)) => Err(WaitError::Closed),
                Err(_) => Err(WaitError::Timeout),
            }
        }
    }

    /// The pushes of this name from now on, for a reader that takes its time: up to `len_max` of them wait for it.
    /// Beyond that the oldest makes room, see [`PushStream`].
    pub fn pushes<T>(&self, name: &str, len_max: NonZeroUsize) -> PushStream<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let (mut inlet, outlet) = stream::queue(len_max);
        outlet.into_stream(self.listen(name, true, move |pushed: T| inlet.push(pushed)))
    }

    /// Calls `handler` with each [`Gap`], until the subscription is dropped: this client read so slowly that the
    /// server dropped pushes, or replaced them by newer ones, and it has caught up now. Whatever else was on its way
    /// has been handed out before. As listeners of pushes it runs on the client's task and must not block.
    ///
    /// A push that is lost for good is the moment to ask the server how things are. One that is declared with
    /// `conflate` needs nothing: its newest state has arrived. Servers tell gaps to clients that offer a subprotocol
    /// of ours, which all do but those of [`plain_socka`](Builder::plain_socka); what is missed while there is no
    /// connection is no gap.
    pub fn on_gap(&self, handler: impl FnMut(Gap) + Send + 'static) -> Subscription {
        self.on(Gap::EVENT, handler)
    }

    fn listen<T: DeserializeOwned>(
        &self,
        name: &str,
        until_closed: bool,
        mut hear: impl FnMut(T) -> Heard + Send + 'static,
    ) -> Subscription {
        let handler: Arc<Mutex<OnPush>> =
            Arc::new(Mutex::new(move |pushed: crate::listeners::Pushed<'_>| pushed.decode().map(&mut hear)));
        self.core.pushes.add(name.into(), until_closed, handler)
    }

    /// What the client is doing.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// Calls `handler` with the present status, now, and then with each new one, in order, until the subscription is
    /// dropped. As listeners of pushes it runs on the client's task and must not block.
    pub fn on_status(&self, mut handler: impl FnMut(Status) + Send + 'static) -> Subscription {
        let mut last = None;
        let handler = Arc::new(Mutex::new(move |status| {
            if last.replace(status) != Some(status) {
                handler(status);
            }
        }));
        // Held until it has heard the present status, so that a new one waits its turn.
        let mut first = handler.lock();
        let subscription = self.core.statuses.add((), false, Arc::clone(&handler) as Arc<Mutex<OnStatus>>);
        first(self.status());
        drop(first);
        subscription
    }

    /// How the last connection, or attempt at one, ended; `None` while there is a connection, and before the first
    /// end.
    pub fn closed(&self) -> Option<Closed> {
        self.core.closed()
    }

    /// Connects, and waits for the outcome of the attempt that is under way or comes next. Between two attempts it
    /// cuts the wait short; it also opens a client again that was closed, whatever closed it. Ready at once while
    /// there is a connection.
    ///
    /// # Errors
    /// The attempt failed. The client goes on according to its [`Reconnect`](crate::Reconnect).
    ///
    /// # Cancel safety
    /// Dropped, the client connects all the same.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        match self.core.ask_to_connect() {
            None => Ok(()),
            Some(seen) => self.core.connected(&seen).await,
        }
    }

    /// Closes the client: calls fail with [`CallError::Closed`], sends that are queued still leave if there is a
    /// connection, and nothing is received any more. Ready when the server has hung up, at most after the close
    /// timeout. It does not reconnect; [`connect`](Self::connect) opens it again.
    ///
    /// Of several closes at the same time the first one's code counts. A code that may not travel is sent as none.
    ///
    /// # Cancel safety
    /// Dropped, the client is closed all the same.
    pub async fn close(&self, code: CloseCode, reason: &str) {
        let seen = self.core.ask_to_close(CloseFrame::new(code, reason));
        self.core.is_closed(&seen).await;
    }

    /// How frames are written.
    pub fn format(&self) -> Format {
        self.core.limits.format
    }
}

/// When so much time has passed. What the clock cannot hold is a year, which nobody waits for.
fn deadline(within: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(within).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3_600))
}

/// What a small request takes, so that its bytes are allocated once.
const FRAME_BYTES: usize = 128;

impl AsRef<Self> for Client {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Why a push that was waited for did not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// Not in time.
    #[error("the push did not come in time")]
    Timeout,
    /// Not before the client was closed.
    #[error("the client was closed before the push came")]
    Closed,
}
