//! One socket route: every check between the request and the handler, in the order promised.
//!
//! handshake → origin → subprotocol → room on the node → authentication → authorisation → upgrade rate →
//! connections of the user and the address → extractors and handler → 101. Middleware has run before all of it. From the subprotocol on a client that speaks
//! one of ours is refused by a close code, which is all that a browser shows of a refusal.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use serde::Serialize;
use tokio::time::timeout;
use tower_service::Service;
use wirelark_proto::contract::{Rate, RateLimited};
use wirelark_proto::handshake::{self, server::Offer};

use super::auth::{
    AuthError, Authenticator, FirstMessage, Requirements, SignsInLater, TokenSource, User, authorize,
};
use super::contract::{CallDescription, CallKind, CallRate, Delivery, Description, Format, PushDescription};
use super::farewell::Farewell;
use super::handler::SocketHandler;
use super::upgrade::{Pending, Runner};
use crate::connection::{Agreed, Full, RouteContext, SEAT_RETRY_SECONDS, Seat, Seats};
use crate::hub::{Hub, SharedPolicy};
use crate::limits::{Limits, Origins};
use crate::observe::Rejection;
use crate::rate::{Meters, neighbourhood};

type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Calls a handler with the state baked in.
pub(crate) type Call = Arc<dyn Fn(Parts, Pending) -> ResponseFuture + Send + Sync>;

pub(crate) fn call<H, M, S>(handler: H, state: S) -> Call
where
    H: SocketHandler<M, S>,
    S: Clone + Send + Sync + 'static,
{
    Arc::new(move |parts, pending| handler.clone().call(parts, state.clone(), pending))
}

/// What a route became when its app was built.
pub(crate) struct Endpoint {
    pub(crate) context: Arc<RouteContext>,
    pub(crate) hub: Hub,
    pub(crate) auth: Option<Arc<dyn Authenticator>>,
    pub(crate) room_policy: Option<SharedPolicy>,
    pub(crate) rate: Option<Meters<IpAddr>>,
    pub(crate) seats: Option<Arc<Seats>>,
    pub(crate) call: Call,
}

/// The service mounted in the router. Its endpoint is filled in when the app is built and all options are
/// known.
#[derive(Clone)]
pub(crate) struct RouteService(pub(crate) Arc<OnceLock<Endpoint>>);

impl Service<Request<Body>> for RouteService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        Box::pin(async move {
            let endpoint = endpoint.get().expect("an app's router is only handed out when it is built");
            Ok(endpoint.upgrade(request).await.unwrap_or_else(|refused| refused))
        })
    }
}

#[allow(clippy::result_large_err, reason = "a refusal is a response, made once and sent at once")]
impl Endpoint {
    /// The 101, or the refusal as the error.
    async fn upgrade(&self, request: Request<Body>) -> Result<Response, Response> {
        let (mut parts, _body) = request.into_parts();
        let offer = handshake::server::validate(&parts.method, parts.version, &parts.headers)
            .map_err(|refusal| self.refuse(Rejection::Handshake, refusal_response(&refusal)))?;
        if has_body(&parts.headers) {
            let text = "an upgrade has no body: its bytes would be taken for frames";
            return Err(self.refuse(Rejection::Handshake, (StatusCode::BAD_REQUEST, text).into_response()));
        }
        let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            let text = "this server cannot upgrade connections of this kind";
            return Err(
                self.refuse(Rejection::Handshake, (StatusCode::NOT_IMPLEMENTED, text).into_response())
            );
        };
        self.check_origin(&parts.headers)?;
        let protocol = self.choose_protocol(&offer)?;
        let speaks_ours = protocol.as_deref().is_some_and(|it| Format::from_subprotocol(it).is_some());
        let chosen = protocol.as_deref().and_then(|protocol| HeaderValue::from_str(protocol).ok());
        let farewell = speaks_ours.then(|| Farewell {
            hub: self.hub.clone(),
            on_upgrade: on_upgrade.clone(),
            accept: offer.accept.clone(),
            protocol: chosen.clone(),
            limit: self.context.limits.close_timeout,
        });
        let answering = self.answer(parts, &offer, on_upgrade, protocol, chosen);
        let refused = match timeout(self.context.limits.accept_timeout, answering).await {
            Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => return Ok(response),
            // A handler's or an extractor's own answer.
            Ok(Ok(response)) => response,
            Ok(Err(refused)) => refused,
            // Whatever was under way was dropped, and nobody else has taken the upgrade: taking it is the last thing
            // done before a 101.
            Err(_) => self.too_late(),
        };
        Err(match farewell {
            Some(farewell) => farewell.instead_of(refused),
            None => refused,
        })
    }

    /// Everything that may take time. The response is the handler's, or the extractors'.
    async fn answer(
        &self,
        mut parts: Parts,
        offer: &Offer,
        on_upgrade: OnUpgrade,
        protocol: Option<Box<str>>,
        chosen: Option<HeaderValue>,
    ) -> Result<Response, Response> {
        let reservation = self.hub.reserve().ok_or_else(|| self.overloaded())?;
        let (user, first, seat) = self.admit(&mut parts).await?;
        if let Some(policy) = &self.room_policy {
            parts.extensions.insert(policy.clone());
        }
        let negotiated = self.context.limits.compression.as_ref().and_then(|wish| offer.negotiate(wish));
        let (compression, extensions) = negotiated.unzip();
        let pending = Pending {
            context: Arc::clone(&self.context),
            hub: self.hub.clone(),
            reservation,
            seat,
            on_upgrade,
            accept: offer.accept.clone(),
            protocol: chosen,
            extensions,
            agreed: Agreed { protocol, compression, format: None, user, undecided: first.is_some() },
            first,
            asked_room: None,
            runner: Runner::Task,
        };
        Ok((self.call)(parts, pending).await)
    }

    /// Who is it, may they, not too often, and not too many at a time? Who it is may be for the first message to say, and
    /// whether they may is then asked there.
    async fn admit(
        &self,
        parts: &mut Parts,
    ) -> Result<(Option<User>, Option<FirstMessage>, Option<Seat>), Response> {
        let user = self.authenticate(parts).await?;
        let first = self.auth.as_ref().and_then(|auth| auth.first_message()).filter(|_| user.is_none());
        if first.is_some() {
            parts.extensions.insert(SignsInLater);
        } else {
            authorize(user.as_ref(), &self.context.requirements).map_err(|error| self.unauthorized(error))?;
        }
        let address = address_of(parts);
        self.check_rate(address)?;
        let seat = self.take_seat(user.as_ref(), address)?;
        Ok((user, first.cloned(), seat))
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Response> {
        let limits = &self.context.limits;
        if origin_allowed(headers, &limits.origins, limits.require_origin) {
            return Ok(());
        }
        let text = "pages of this origin may not connect here";
        Err(self.refuse(Rejection::Origin, (StatusCode::FORBIDDEN, text).into_response()))
    }

    /// The subprotocol to answer with. A credential in the list is echoed only when nothing else could be:
    /// browsers drop a connection that answers none of the protocols they offered.
    fn choose_protocol(&self, offer: &Offer) -> Result<Option<Box<str>>, Response> {
        let Limits { protocols, require_protocol, .. } = &self.context.limits;
        let is_credential =
            |protocol: &str| self.auth.as_ref().is_some_and(|auth| auth.is_credential(protocol));
        let chosen = offer.protocols().find(|offered| protocols.iter().any(|known| **known == **offered));
        if chosen.is_none() && !protocols.is_empty() && *require_protocol {
            let text = format!("offer one of the subprotocols {}", protocols.join(", "));
            return Err(self.refuse(Rejection::Protocol, (StatusCode::BAD_REQUEST, text).into_response()));
        }
        Ok(chosen.or_else(|| offer.protocols().find(|offered| is_credential(offered))).map(Into::into))
    }

    /// A user whom middleware has put into the request is authenticated already.
    async fn authenticate(&self, parts: &mut Parts) -> Result<Option<User>, Response> {
        if let (Some(auth), None) = (&self.auth, parts.extensions.get::<User>()) {
            match auth.authenticate(parts).await {
                Ok(user) => drop(parts.extensions.insert(user)),
                Err(AuthError::Missing) if auth.admits_visitors() => {}
                Err(error) => return Err(self.unauthorized(error)),
            }
        }
        Ok(parts.extensions.get().cloned())
    }

    fn unauthorized(&self, error: AuthError) -> Response {
        let why = if error.is_forbidden() { Rejection::Forbidden } else { Rejection::Unauthorized };
        self.refuse(why, error.into_response())
    }

    fn check_rate(&self, address: Option<IpAddr>) -> Result<(), Response> {
        let Some((rate, address)) = self.rate.as_ref().zip(address) else { return Ok(()) };
        let Err(RateLimited { retry_after }) = rate.check(address) else { return Ok(()) };
        Err(self.too_many(Rejection::Rate, retry_after.as_secs() + 1, "too many upgrades"))
    }

    fn take_seat(&self, user: Option<&User>, address: Option<IpAddr>) -> Result<Option<Seat>, Response> {
        let Some(seats) = &self.seats else { return Ok(None) };
        let full = |Full(text)| self.too_many(Rejection::Connections, SEAT_RETRY_SECONDS, text);
        seats.take(user, address).map_err(full).map(Some)
    }

    fn too_many(&self, why: Rejection, seconds: u64, text: &'static str) -> Response {
        let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
        self.refuse(why, (StatusCode::TOO_MANY_REQUESTS, retry_after, text).into_response())
    }

    fn overloaded(&self) -> Response {
        let answer =
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "no room for a connection now");
        self.refuse(Rejection::Overload, answer.into_response())
    }

    fn too_late(&self) -> Response {
        let text = "the upgrade was not answered in time";
        self.refuse(Rejection::Timeout, (StatusCode::GATEWAY_TIMEOUT, text).into_response())
    }

    fn refuse(&self, why: Rejection, response: Response) -> Response {
        self.hub.observer().rejected(why);
        response
    }
}

/// Who is counted as one client, where addresses are.
pub(super) fn address_of(parts: &Parts) -> Option<IpAddr> {
    let ConnectInfo(address) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(neighbourhood(address.ip()))
}

fn refusal_response(refusal: &handshake::server::Refusal) -> Response {
    let mut response = (refusal.status(), refusal.message().to_owned()).into_response();
    response.headers_mut().extend(refusal.headers().clone());
    response
}

fn has_body(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
    headers.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length != "0")
}

/// Browsers send `Origin` with every WebSocket handshake and let no page change it.
fn origin_allowed(headers: &HeaderMap, origins: &Origins, required: bool) -> bool {
    let mut values = headers.get_all(header::ORIGIN).into_iter();
    let (Some(origin), None) = (values.next(), values.next()) else {
        // None is fine unless required; two are a forgery.
        return headers.get(header::ORIGIN).is_none() && !required;
    };
    let Ok(origin) = origin.to_str() else { return false };
    match origins {
        Origins::Any => true,
        Origins::List(list) => list.iter().any(|allowed| **allowed == *origin),
        Origins::SameHost => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let origin_host = origin.split_once("://").map(|(_, host)| host);
            host.zip(origin_host).is_some_and(|(host, origin)| host.eq_ignore_ascii_case(origin))
        }
    }
}

/// What can be said about a route while the app runs; see [`Built::routes`](crate::Built::routes).
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The pattern, such as `/rooms/{room}`.
    pub path: Box<str>,
    /// `socket`, `messages`, `pushes` (messages that nobody handles) or `contract`.
    pub kind: &'static str,
    /// The contract's name and the hash of its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractInfo>,
    /// Subprotocols.
    pub protocols: Box<[Box<str>]>,
    /// `same-host`, `*` or the list.
    pub origins: Vec<Box<str>>,
    /// Whether an authenticator guards the route.
    pub authenticated: bool,
    /// Whether requests that carry no credentials are let in.
    pub visitors: bool,
    /// Whether clients that carry none sign in by their first message.
    pub first_message: bool,
    /// Where it looks for credentials.
    #[serde(skip)]
    pub(crate) credentials: Vec<TokenSource>,
    /// Scopes a user must have.
    pub scopes: Vec<Box<str>>,
    /// Roles a user must have.
    pub roles: Vec<Box<str>>,
    /// Limits, in bytes and milliseconds; `null` is off.
    pub limits: LimitsInfo,
}

/// The contract of a route.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ContractInfo {
    /// Its name.
    pub name: &'static str,
    /// What changes when the contract does; see [`Description::hash`].
    pub hash: Box<str>,
    /// What clients may ask.
    pub calls: Vec<CallInfo>,
    /// What the server may tell.
    pub pushes: Vec<PushInfo>,
    /// All of it.
    #[serde(skip)]
    pub description: &'static Description,
}

/// A call of a contract.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct CallInfo {
    /// Its name on the wire.
    pub name: &'static str,
    /// What comes back.
    pub kind: CallKind,
    /// How often it may be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<CallRate>,
}

/// A push of a contract.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct PushInfo {
    /// Its name on the wire.
    pub name: &'static str,
    /// What happens to it while its receiver is behind.
    pub delivery: Delivery,
}

impl ContractInfo {
    fn new(description: &'static Description) -> Self {
        let calls = description.calls.iter();
        let pushes = description.pushes.iter();
        Self {
            name: description.name,
            hash: description.hash().to_string().into(),
            calls: calls
                .map(|&CallDescription { name, kind, rate, .. }| CallInfo { name, kind, rate })
                .collect(),
            pushes: pushes
                .map(|&PushDescription { name, delivery, .. }| PushInfo { name, delivery })
                .collect(),
            description,
        }
    }
}

/// The limits of a route.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LimitsInfo {
    /// Largest message in bytes.
    pub message_bytes: usize,
    /// Most bytes queued for a slow client.
    pub outbox_bytes: usize,
    /// What happens beyond that.
    pub slow_client: &'static str,
    /// Interval of pings in milliseconds.
    pub heartbeat_ms: Option<u128>,
    /// Milliseconds a ping may stay unanswered.
    pub pong_deadline_ms: u128,
    /// Milliseconds without a message.
    pub idle_ms: Option<u128>,
    /// Milliseconds a close handshake may take.
    pub close_timeout_ms: u128,
    /// Milliseconds an upgrade may take.
    pub accept_timeout_ms: u128,
    /// Whether permessage-deflate is agreed to.
    pub compression: bool,
    /// Upgrades of an address.
    pub upgrade_rate: Option<Rate>,
    /// Messages of a connection.
    pub message_rate: Option<Rate>,
    /// Most connections of a user at the same time.
    pub connections_per_user: Option<NonZeroUsize>,
    /// Most connections of an address at the same time.
    pub connections_per_address: Option<NonZeroUsize>,
}

impl RouteInfo {
    pub(crate) fn new(
        path: &str,
        kind: &'static str,
        limits: &Limits,
        auth: Option<&dyn Authenticator>,
        requirements: &Requirements,
        contract: Option<&'static Description>,
    ) -> Self {
        Self {
            path: path.into(),
            kind,
            contract: contract.map(ContractInfo::new),
            protocols: limits.protocols.clone(),
            origins: match &limits.origins {
                Origins::SameHost => vec!["same-host".into()],
                Origins::Any => vec!["*".into()],
                Origins::List(list) => list.to_vec(),
            },
            authenticated: auth.is_some(),
            visitors: auth.is_none_or(Authenticator::admits_visitors) && requirements.is_empty(),
            first_message: auth.is_some_and(|auth| auth.first_message().is_some()),
            credentials: auth.map(Authenticator::sources).unwrap_or_default(),
            scopes: requirements.scopes.clone(),
            roles: requirements.roles.clone(),
            limits: LimitsInfo {
                message_bytes: limits.message_bytes,
                outbox_bytes: limits.outbox_bytes,
                slow_client: limits.slow_client.as_str(),
                heartbeat_ms: limits.heartbeat.map(|interval| interval.as_millis()),
                pong_deadline_ms: limits.pong_deadline.as_millis(),
                idle_ms: limits.idle.map(|limit| limit.as_millis()),
                close_timeout_ms: limits.close_timeout.as_millis(),
                accept_timeout_ms: limits.accept_timeout.as_millis(),
                compression: limits.compression.is_some(),
                upgrade_rate: limits.upgrade_rate,
                message_rate: limits.message_rate,
                connections_per_user: limits.connections_per_user,
                connections_per_address: limits.connections_per_address,
            },
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("context", &self.context).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_origin(origins: &Origins, required: bool, sent: &[&str], allowed: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("app.example.com:8080"));
        for origin in sent {
            headers
                .append(header::ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).expect("a header value"));
        }
        assert_eq!(origin_allowed(&headers, origins, required), allowed, "{origins:?} {sent:?}");
    }

    #[test]
    fn origins_are_compared_exactly() {
        let list = Origins::List(["https://a.example".into()].into());
        check_origin(&list, false, &["https://a.example"], true);
        check_origin(&list, false, &["https://A.example"], false);
        check_origin(&list, false, &["https://a.example.evil.com"], false);
        check_origin(&list, false, &["https://a.example", "https://a.example"], false);
        check_origin(&list, false, &["\u{fc}"], false);
        check_origin(&list, false, &[], true);
        check_origin(&list, true, &[], false);
        check_origin(&Origins::Any, false, &["https://anything.example"], true);
    }

    #[test]
    fn the_default_is_the_pages_own_host() {
        check_origin(&Origins::SameHost, false, &["http://app.example.com:8080"], true);
        check_origin(&Origins::SameHost, false, &["https://app.example.com:8080"], true);
        check_origin(&Origins::SameHost, false, &["https://app.example.com"], false);
        check_origin(&Origins::SameHost, false, &["https://evil.example"], false);
        check_origin(&Origins::SameHost, false, &["null"], false);
        check_origin(&Origins::SameHost, false, &[], true);
    }
}
