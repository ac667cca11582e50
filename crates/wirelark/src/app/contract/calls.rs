//! The calls of a contract, and how a request becomes one.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wirelark_proto::contract::{
    CallDescription, CallKind, DecodeError, EncodeError, Format, Request, Response,
};

use super::failure::{Failure, IntoFailure};
use super::rates::CallLimit;
use super::session::Session;

/// How a call ended: with the encoded answer, if there is to be one, or with what went wrong.
pub(super) type Ended = Result<Option<Bytes>, Failure>;

/// A call that has begun.
pub(super) type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

type Invoke<C, T, D> = Box<
    dyn Fn(&Arc<T>, Session<C, D>, &Request<'_>, &Arc<str>) -> Result<Running, DecodeError> + Send + Sync,
>;

type Hook<C, T, D> =
    Box<dyn Fn(Arc<T>, Session<C, D>) -> Pin<Box<dyn Future<Output = crate::Result> + Send>> + Send + Sync>;

/// What a server `T` does for each call of the contract `C`, and when sessions with data `D` come and go.
///
/// `#[contract]` writes one of these; by hand it is
///
/// ```
/// # use wirelark::contract::{Calls, Problem};
/// # struct Chat;
/// # struct Room;
/// # #[derive(serde::Deserialize)] struct Post { text: String }
/// # #[derive(serde::Deserialize)] struct Typing {}
/// let calls = Calls::<Chat, Room, ()>::new()
///     .call("post", |_room, _session, post: Post| async move { Ok::<_, Problem>(post.text.len()) })
///     .send("typing", |_room, _session, _: Typing| async move { Ok::<_, Problem>(()) });
/// ```
pub struct Calls<C, T, D> {
    /// Sorted by name. A list and no map: it is short, and nothing a client sends can make it slow.
    entries: Vec<Entry<C, T, D>>,
    attached: Option<Hook<C, T, D>>,
    closed: Option<Hook<C, T, D>>,
}

pub(super) struct Entry<C, T, D> {
    pub(super) name: &'static str,
    pub(super) kind: CallKind,
    pub(super) invoke: Invoke<C, T, D>,
    pub(super) limit: Option<CallLimit>,
}

impl<C, T, D> Calls<C, T, D>
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    /// No calls: every request is answered with `Unknown call`.
    pub fn new() -> Self {
        Self { entries: Vec::new(), attached: None, closed: None }
    }

    /// A call that is answered with what `handler` returns.
    #[must_use]
    pub fn call<I, O, E, F, Fut>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send,
        E: IntoFailure,
        F: Fn(Arc<T>, Session<C, D>, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
    {
        self.add(name, CallKind::Reply, handler, move |format, id, output| {
            let response = Response { id: id.into(), call: name.into(), body: Some(&output) };
            encoded(|frame| response.encode(format, frame))
        })
    }

    /// A call that is answered, without a body.
    #[must_use]
    pub fn ack<I, E, F, Fut>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        E: IntoFailure,
        F: Fn(Arc<T>, Session<C, D>, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.add(name, CallKind::Ack, handler, move |format, id, ()| {
            encoded(|frame| Response::void(id, name).encode(format, frame))
        })
    }

    /// A call that is not answered unless it fails.
    #[must_use]
    pub fn send<I, E, F, Fut>(self, name: &'static str, handler: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        E: IntoFailure,
        F: Fn(Arc<T>, Session<C, D>, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.add(name, CallKind::Send, handler, |_, _, ()| Ok(None))
    }

    /// Runs for each session before its first message, when its peers can see it. An error is reported and
    /// changes nothing.
    #[must_use]
    pub fn attached<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Arc<T>, Session<C, D>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result> + Send + 'static,
    {
        self.attached = Some(Box::new(move |server, session| Box::pin(hook(server, session))));
        self
    }

    /// Runs for each session after its last message, while its peers still see it; for at most the route's
    /// close timeout. An error is reported and changes nothing.
    #[must_use]
    pub fn closed<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Arc<T>, Session<C, D>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result> + Send + 'static,
    {
        self.closed = Some(Box::new(move |server, session| Box::pin(hook(server, session))));
        self
    }

    fn add<I, O, E, F, Fut, A>(mut self, name: &'static str, kind: CallKind, handler: F, answer: A) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Send,
        E: IntoFailure,
        F: Fn(Arc<T>, Session<C, D>, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        A: Fn(Format, &str, O) -> Ended + Copy + Send + Sync + 'static,
    {
        let invoke: Invoke<C, T, D> = Box::new(move |server, session, request, id| {
            let input = request.body.decode::<I>()?;
            let running = handler(Arc::clone(server), session, input);
            let (format, id) = (request.body.format(), Arc::clone(id));
            Ok(Box::pin(async move {
                let output = running.await.map_err(|error| error.into_failure().0)?;
                answer(format, &id, output)
            }))
        });
        let at = self.entries.partition_point(|entry| entry.name < name);
        self.entries.insert(at, Entry { name, kind, invoke, limit: None });
        self
    }

    pub(super) fn find(&self, name: &str) -> Option<&Entry<C, T, D>> {
        let at = self.entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        self.entries.get(at)
    }

    /// Sets the limits that the contract declares.
    pub(super) fn limit(&mut self, declared: &[CallDescription]) {
        for entry in &mut self.entries {
            let call = declared.iter().find(|call| call.name == entry.name);
            entry.limit = call.and_then(|call| call.rate).map(CallLimit::new);
        }
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = &CallLimit> {
        self.entries.iter().filter_map(|entry| entry.limit.as_ref())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|entry| entry.name)
    }

    pub(super) async fn run_attached(&self, server: &Arc<T>, session: Session<C, D>) -> crate::Result {
        match &self.attached {
            Some(hook) => hook(Arc::clone(server), session).await,
            None => Ok(()),
        }
    }

    pub(super) async fn run_closed(&self, server: &Arc<T>, session: Session<C, D>) -> crate::Result {
        match &self.closed {
            Some(hook) => hook(Arc::clone(server), session).await,
            None => Ok(()),
        }
    }
}

/// Largest buffer a thread keeps for encoding.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    /// Answers are put together here, so that each takes one allocation of its own size.
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Ended {
    // Taken out and not borrowed: a type may do what it likes while it is serialised.
    let mut buffer = ENCODED.take();
    buffer.clear();
    encode(&mut buffer).map_err(Failure::Unwritable)?;
    let frame = Bytes::copy_from_slice(&buffer);
    if buffer.capacity() <= KEPT_BYTES {
        ENCODED.set(buffer);
    }
    Ok(Some(frame))
}

impl<C, T, D> Default for Calls<C, T, D>
where
    C: 'static,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<C, T, D> fmt::Debug for Calls<C, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.iter().map(|entry| entry.name)).finish()
    }
}
