//! Functions that can serve a message route.

use std::any::Any;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use axum::response::Response;
use http::request::Parts;
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, DropGuard};
use wirelark_proto::Message;
use wirelark_proto::contract::{Problem, RateLimited};

use super::MessagesError;
use super::extract::{FromMessage, Incoming};
use super::reply::{IntoReply, ReplyOf};
use crate::app::failure::Failure;
use crate::app::work::{Ended, Running};

/// What a handler's extractors keep of the upgrade request, on its way.
#[doc(hidden)]
pub type Keeping<'a, K> = Pin<Box<dyn Future<Output = Result<K, Response>> + Send + 'a>>;

/// Why a message is not handled.
#[doc(hidden)]
#[derive(Debug)]
pub struct Refused(pub(super) Failure);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Failure::Input(problem))
    }
}

impl From<RateLimited> for Refused {
    fn from(limited: RateLimited) -> Self {
        Self(Failure::Limited(limited))
    }
}

/// The handling of a message by a handler whose type is forgotten.
#[doc(hidden)]
pub struct AnyRunning(pub(super) Running);

impl Future for AnyRunning {
    type Output = ReplyOf;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ReplyOf> {
        self.0.as_mut().poll(cx).map(ReplyOf)
    }
}

impl fmt::Debug for AnyRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyRunning")
    }
}

pin_project! {
    /// The handling of a message by a function.
    #[doc(hidden)]
    #[derive(Debug)]
    pub struct Handling<F> {
        #[pin]
        future: F,
        // Fires when the handling is over, in whatever way.
        token: Option<DropGuard>,
    }
}

impl<F: Future<Output: IntoReply>> Future for Handling<F> {
    type Output = ReplyOf;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ReplyOf> {
        self.project().future.poll(cx).map(IntoReply::into_reply)
    }
}

pin_project! {
    /// Where the handling of a message lies while it runs. The next message's can take its place, so that a burst takes
    /// one allocation.
    pub(super) struct Slot<F> {
        #[pin]
        running: Option<F>,
    }
}

impl<F> Slot<F> {
    pub(super) fn of(running: F) -> Pin<Box<Self>> {
        Box::pin(Self { running: Some(running) })
    }

    pub(super) fn put(self: Pin<&mut Self>, running: F) {
        self.project().running.set(Some(running));
    }

    pub(super) fn clear(self: Pin<&mut Self>) {
        self.project().running.set(None);
    }
}

impl<F: Future<Output = ReplyOf>> Future for Slot<F> {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let running = self.project().running.as_pin_mut().expect("an empty slot is not polled");
        running.poll(cx).map(|ReplyOf(ended)| ended)
    }
}

/// Which of its functions a handler takes for a message.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    pub(super) index: usize,
    /// The event it is for.
    pub(super) event: Option<&'static str>,
}

/// What serves a message route: an async function whose arguments are [extractors](FromMessage) and whose result is a
/// [reply](IntoReply), or several of them by [`on`](super::on).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message handler",
    label = "not a message handler",
    note = "a message handler is an `async fn(extractors..)` whose arguments implement `FromMessage` and whose result implements `IntoReply`",
    note = "its future must be `Send`: no `Rc`, no lock guard held across an `.await`"
)]
pub trait MessageHandler<Marker, S>: Send + Sync + 'static {
    #[doc(hidden)]
    type Kept: Send + Sync + 'static;

    #[doc(hidden)]
    type Running: Future<Output = ReplyOf> + Send + 'static;

    /// Whether anything is done about messages at all.
    #[doc(hidden)]
    const TAKES_MESSAGES: bool = true;

    #[doc(hidden)]
    fn check(&self) -> Result<(), MessagesError> {
        Ok(())
    }

    #[doc(hidden)]
    fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, Self::Kept>;

    #[doc(hidden)]
    fn choose(&self, message: &Message) -> Result<Choice, Problem> {
        let _ = message;
        Ok(Choice::default())
    }

    #[doc(hidden)]
    fn begin(
        &self,
        choice: Choice,
        incoming: Incoming<'_>,
        kept: &Self::Kept,
        state: &S,
    ) -> Result<Self::Running, Refused>;
}

macro_rules! message_handler {
    ($($extractor:ident),*) => {
        #[diagnostic::do_not_recommend]
        impl<F, Fut, S, $($extractor,)*> MessageHandler<($($extractor,)*), S> for F
        where
            F: Fn($($extractor,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output: IntoReply> + Send + 'static,
            S: Send + Sync + 'static,
            $($extractor: FromMessage<S>,)*
        {
            type Kept = ($($extractor::Kept,)*);
            type Running = Handling<Fut>;

            #[allow(unused_variables, reason = "one macro serves every number of arguments")]
            fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, Self::Kept> {
                Box::pin(async move { Ok(($($extractor::keep(parts, state).await?,)*)) })
            }

            #[allow(non_snake_case, unused_mut, unused_variables, reason = "one macro serves every number of arguments")]
            fn begin(
                &self,
                _: Choice,
                mut incoming: Incoming<'_>,
                kept: &Self::Kept,
                state: &S,
            ) -> Result<Handling<Fut>, Refused> {
                let ($($extractor,)*) = kept;
                incoming.readers = 0 $(+ usize::from($extractor::READS_MESSAGE))*;
                let future = self($({
                    let argument = $extractor::from_message(&mut incoming, $extractor, state)?;
                    incoming.readers -= usize::from($extractor::READS_MESSAGE);
                    argument
                },)*);
                let token = incoming.into_token().map(CancellationToken::drop_guard);
                Ok(Handling { future, token })
            }
        }
    };
}

message_handler!();
message_handler!(T1);
message_handler!(T1, T2);
message_handler!(T1, T2, T3);
message_handler!(T1, T2, T3, T4);
message_handler!(T1, T2, T3, T4, T5);
message_handler!(T1, T2, T3, T4, T5, T6);
message_handler!(T1, T2, T3, T4, T5, T6, T7);
message_handler!(T1, T2, T3, T4, T5, T6, T7, T8);

/// Serves a route whose clients are only sent to, by their users' ids or through rooms. What they send is counted and
/// ignored.
///
/// ```
/// use wirelark::App;
/// use wirelark::auth::Jwt;
/// use wirelark::messages::{messages, push_only};
///
/// # let _: App =
/// App::new().messages("/notifications", messages(push_only()).auth(Jwt::hs256(b"a secret")));
/// ```
pub fn push_only() -> PushOnly {
    PushOnly
}

/// See [`push_only`].
#[derive(Clone, Copy, Debug)]
pub struct PushOnly;

impl<S: Send + Sync + 'static> MessageHandler<Self, S> for PushOnly {
    type Kept = ();
    type Running = Ready<ReplyOf>;

    const TAKES_MESSAGES: bool = false;

    fn keep<'a>(&'a self, _: &'a mut Parts, _: &'a S) -> Keeping<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn begin(&self, _: Choice, _: Incoming<'_>, (): &(), _: &S) -> Result<Self::Running, Refused> {
        Ok(ready(ReplyOf(Ok(None))))
    }
}

/// What a handler of any type keeps; `None` where it takes no memory.
pub(super) type AnyKept = Option<Box<dyn Any + Send + Sync>>;

/// A handler of any type.
pub(super) trait AnyHandler<S>: Send + Sync {
    fn check(&self) -> Result<(), MessagesError>;
    fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, AnyKept>;
    fn begin(&self, incoming: Incoming<'_>, kept: &AnyKept, state: &S) -> Result<Running, Refused>;
}

/// A handler whose type is forgotten.
pub(super) struct Erased<H: MessageHandler<M, S>, M, S> {
    handler: H,
    /// What it keeps, where that takes no memory: one is then like another.
    nothing: OnceLock<H::Kept>,
    marker: PhantomData<fn(M, S)>,
}

impl<H: MessageHandler<M, S>, M, S> Erased<H, M, S> {
    pub(super) fn new(handler: H) -> Self {
        Self { handler, nothing: OnceLock::new(), marker: PhantomData }
    }
}

impl<H: MessageHandler<M, S>, M, S: Sync> AnyHandler<S> for Erased<H, M, S> {
    fn check(&self) -> Result<(), MessagesError> {
        self.handler.check()
    }

    fn keep<'a>(&'a self, parts: &'a mut Parts, state: &'a S) -> Keeping<'a, AnyKept> {
        Box::pin(async move {
            let kept = self.handler.keep(parts, state).await?;
            if size_of::<H::Kept>() > 0 {
                return Ok(Some(Box::new(kept) as _));
            }
            let _ = self.nothing.set(kept);
            Ok(None)
        })
    }

    fn begin(&self, incoming: Incoming<'_>, kept: &AnyKept, state: &S) -> Result<Running, Refused> {
        let kept = match kept {
            Some(kept) => kept.downcast_ref(),
            None => self.nothing.get(),
        };
        let kept = kept.expect("the same handler kept it, before the connection was there");
        // There is no message in `attached` and `closed`.
        let choice = incoming.message().ok().map(|message| self.handler.choose(message)).transpose()?;
        Ok(Slot::of(self.handler.begin(choice.unwrap_or_default(), incoming, kept, state)?))
    }
}
