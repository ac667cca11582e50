//! Functions that can serve a socket route.

use std::future::Future;
use std::pin::Pin;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::error::IntoOutcome;
use super::socket::Socket;
use super::upgrade::{Pending, Upgrade};

type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An async function that serves a socket route.
///
/// Its arguments are extractors of axum (`FromRequestParts`: path, query, headers, state, extensions,
/// [`User`](crate::auth::User), [`Hub`](crate::Hub)) and last, either
///
/// - a [`Socket`]: the upgrade is accepted once every extractor has succeeded, or
/// - an [`Upgrade`]: the function decides, and may answer with any HTTP response instead.
///
/// It returns `()`, or a `Result<(), E>` of any error. See [`Error`](crate::Error) for what the client is
/// told, and axum's own `debug_handler` advice for errors the compiler reports here: usually an argument
/// is no extractor, the last one is no `Socket`, or the future is not `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot serve a socket route",
    label = "not a socket handler",
    note = "a socket handler is an `async fn(extractors.., socket: Socket)` that returns `()` or a `Result<(), E>`",
    note = "every argument before the `Socket` (or `Upgrade`) must implement `FromRequestParts`",
    note = "its future must be `Send`: no `Rc`, no lock guard held across an `.await`"
)]
pub trait SocketHandler<Marker, S>: Clone + Send + Sync + 'static {
    #[doc(hidden)]
    fn call(self, parts: Parts, state: S, pending: Pending) -> ResponseFuture;
}

/// Marks handlers that take a [`Socket`].
#[derive(Debug)]
pub struct TakesSocket;

/// Marks handlers that take an [`Upgrade`].
#[derive(Debug)]
pub struct TakesUpgrade;

macro_rules! socket_handler {
    ($($extractor:ident),*) => {
        #[diagnostic::do_not_recommend]
        impl<F, Fut, S, $($extractor,)*> SocketHandler<(TakesSocket, $($extractor,)*), S> for F
        where
            F: FnOnce($($extractor,)* Socket) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            S: Send + Sync + 'static,
            $($extractor: FromRequestParts<S> + Send + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables, reason = "one macro serves every number of arguments")]
            fn call(self, mut parts: Parts, state: S, pending: Pending) -> ResponseFuture {
                Box::pin(async move {
                    $(
                        let $extractor = match $extractor::from_request_parts(&mut parts, &state).await {
                            Ok(extracted) => extracted,
                            Err(rejection) => return pending.refuse(rejection.into_response()),
                        };
                    )*
                    // Whatever of the request is kept now would be kept as long as the connection.
                    drop(parts);
                    drop(state);
                    pending.accept(move |socket| self($($extractor,)* socket))
                })
            }
        }

        #[diagnostic::do_not_recommend]
        impl<F, Fut, S, $($extractor,)*> SocketHandler<(TakesUpgrade, $($extractor,)*), S> for F
        where
            F: FnOnce($($extractor,)* Upgrade) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: IntoOutcome> + Send + 'static,
            S: Send + Sync + 'static,
            $($extractor: FromRequestParts<S> + Send + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables, reason = "one macro serves every number of arguments")]
            fn call(self, mut parts: Parts, state: S, pending: Pending) -> ResponseFuture {
                Box::pin(async move {
                    $(
                        let $extractor = match $extractor::from_request_parts(&mut parts, &state).await {
                            Ok(extracted) => extracted,
                            Err(rejection) => return pending.refuse(rejection.into_response()),
                        };
                    )*
                    drop(parts);
                    drop(state);
                    pending.decide(move |upgrade| self($($extractor,)* upgrade)).await
                })
            }
        }
    };
}

socket_handler!();
socket_handler!(T1);
socket_handler!(T1, T2);
socket_handler!(T1, T2, T3);
socket_handler!(T1, T2, T3, T4);
socket_handler!(T1, T2, T3, T4, T5);
socket_handler!(T1, T2, T3, T4, T5, T6);
socket_handler!(T1, T2, T3, T4, T5, T6, T7);
socket_handler!(T1, T2, T3, T4, T5, T6, T7, T8);
