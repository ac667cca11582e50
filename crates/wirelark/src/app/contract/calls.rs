//! The calls of a contract, and how a request becomes one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wirelark_proto::contract::{
    CallDescription, CallKind, DecodeError, EncodeError, Format, Request, Response,
};

use super::push::reply;
use super::rates::CallLimit;
use super::session::Session;
use crate::app::auth::Requirements;
use crate::app::failure::{Failure, IntoFailure};
use crate::app::scratch::encoded;
use crate::app::work::{Ended, Running};

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
    /// What its callers must have, as the contract says it.
    pub(super) requirements: Requirements,
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
            answer_with(format, |frame| response.encode(format, frame))
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
            answer_with(format, |frame| Response::void(id, name).encode(format, frame))
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
        let requirements = Requirements::default();
        self.entries.insert(at, Entry { name, kind, requirements, invoke, limit: None });
        self
    }

    pub(super) fn find(&self, name: &str) -> Option<&Entry<C, T, D>> {
        let at = self.entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        self.entries.get(at)
    }

    /// Takes over from the contract what callers must have, and how often they may call.
    pub(super) fn declare(&mut self, calls: &[CallDescription]) {
        for call in calls {
            if let Ok(at) = self.entries.binary_search_by(|entry| entry.name.cmp(call.name)) {
                let entry = &mut self.entries[at];
                entry.requirements = Requirements::new(&call.scopes, &call.roles);
                entry.limit = call.rate.map(CallLimit::new);
            }
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

fn answer_with(format: Format, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Ended {
    let frame = encoded(encode).map_err(|error| Failure::Unwritable(error.into()))?;
    Ok(Some(reply(format, frame)))
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
