//! Floor 4: the app. Routes, options that are inherited, authentication, and the upgrade's pipeline.

mod alongside;
pub mod auth;
mod build_error;
pub mod contract;
mod error;
mod failure;
mod farewell;
mod handler;
mod json;
pub mod messages;
mod module_path;
mod permission;
mod rooms;
mod route;
mod scratch;
mod socket;
mod terms;
mod upgrade;
mod work;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, Route, get};
use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_layer::Layer;
use tower_service::Service;

use self::alongside::Alongside;
use self::auth::{Authenticator, FirstMessage};
pub use self::build_error::BuildError;
use self::contract::{About, AsyncApi, Contract, ContractBuilder, Description};
pub use self::error::{Close, Error, IntoOutcome, Refusal, Result};
pub use self::handler::SocketHandler;
pub use self::json::JsonSocket;
use self::messages::IntoMessagesRoute;
pub use self::module_path::socket_path;
pub use self::permission::Asked;
use self::route::{Call, Endpoint, RouteService};
pub use self::route::{CallInfo, ContractInfo, LimitsInfo, PushInfo, RouteInfo};
pub use self::socket::{Receiver, Receiving, Sender, Sending, SendingJson, Socket};
use self::terms::Terms;
pub use self::upgrade::{Gone, Upgrade};
use crate::budget::Budget;
use crate::connection::{Hooks, RouteContext, Seats};
use crate::hub::{Hub, RoomPolicy, UserHooks};
use crate::limits::Options;
use crate::observe::{Observer, Rejection};
use crate::rate::Meters;

/// Bytes all connections together may hold for slow clients, unless set: 256 MiB.
const BUDGET_BYTES: usize = 256 * 1024 * 1024;

/// Somebody who left yesterday is not here any more.
const OFFLINE_GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A realtime app: routes, their limits, and the layers around them.
///
/// It becomes an [`axum::Router`], or [serves](App::serve) itself. Limits on the handshake (a client that
/// connects and says nothing, headers without end) are only promised when it serves itself; a mounted
/// router has its host's.
///
/// ```no_run
/// use wirelark::{App, Socket};
///
/// async fn echo(mut socket: Socket) -> wirelark::Result {
///     while let Some(message) = socket.recv().await {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), wirelark::ServeError> {
///     App::new().socket("/echo", echo).serve("127.0.0.1:3000").await
/// }
/// ```
#[must_use = "an app does nothing until it is served or turned into a router"]
pub struct App<S = ()> {
    state: S,
    root: Scope<S>,
    about: About,
    budget_bytes: usize,
    shards: Option<usize>,
    alongside: Alongside,
    user_hooks: UserHooks,
    #[cfg(feature = "prometheus")]
    metrics: Option<Box<str>>,
}

impl App {
    /// An app without state.
    pub fn new() -> Self {
        Self::with_state(())
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> App<S> {
    /// An app whose handlers can extract `State` of `S`.
    pub fn with_state(state: S) -> Self {
        let root = Scope::new(state.clone());
        Self {
            state,
            root,
            about: About::default(),
            budget_bytes: BUDGET_BYTES,
            shards: None,
            alongside: Alongside::default(),
            user_hooks: UserHooks::default(),
            #[cfg(feature = "prometheus")]
            metrics: None,
        }
    }

    /// Adds a socket route. `handler` is an async function, or [`socket`] for one with options of its own.
    pub fn socket<M>(mut self, path: &str, handler: impl IntoSocketRoute<M, S>) -> Self {
        self.root = self.root.socket(path, handler);
        self
    }

    /// Adds a route that serves a contract: `.contract("/chat/{room}", Chat::serve(ChatRoom::default()))`.
    /// Clients that choose a part of the path choose their room, so that a [`room_policy`](ContractBuilder::room_policy) says
    /// who may.
    pub fn contract<C, T, D>(mut self, path: &str, builder: ContractBuilder<C, T, D>) -> Self
    where
        C: Contract,
        T: Send + Sync + 'static,
        D: FromRequestParts<S> + Send + Sync + 'static,
    {
        self.root = self.root.contract(path, builder);
        self
    }

    /// Adds a route whose handler is called once for each message: an async function, [`on`](messages::on) of several, or
    /// [`messages`](messages::messages) of these with options of their own.
    pub fn messages<M>(mut self, path: &str, handler: impl IntoMessagesRoute<M, S>) -> Self {
        self.root = self.root.messages(path, handler);
        self
    }

    /// Adds a plain HTTP route, as axum's `Router::route`.
    pub fn route(mut self, path: &str, method_router: MethodRouter<S>) -> Self {
        self.root = self.root.route(path, method_router);
        self
    }

    /// Adds routes under a prefix, with options, authentication and layers of their own.
    pub fn scope(mut self, prefix: &str, build: impl FnOnce(Scope<S>) -> Scope<S>) -> Self {
        self.root = self.root.scope(prefix, build);
        self
    }

    /// Wraps all routes added before in a tower layer; it runs before every check of a route, the last one
    /// added outermost, as in axum.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.root = self.root.layer(layer);
        self
    }

    /// Options all routes inherit.
    pub fn options(mut self, options: Options) -> Self {
        self.root = self.root.options(options);
        self
    }

    /// Who is told of messages and of what goes wrong, on every route that does not say otherwise.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.root = self.root.hooks(hooks);
        self
    }

    /// Authenticates every socket route, after the origin check.
    pub fn auth(mut self, authenticator: impl Authenticator) -> Self {
        self.root = self.root.auth(authenticator);
        self
    }

    /// Who may join which rooms that clients name, on every route that does not say otherwise.
    pub fn room_policy(mut self, policy: impl RoomPolicy) -> Self {
        self.root = self.root.room_policy(policy);
        self
    }

    /// Serves the counters in Prometheus' text format at `path`.
    #[cfg(feature = "prometheus")]
    pub fn metrics(mut self, path: &str) -> Self {
        self.metrics = Some(path.into());
        self
    }

    /// Serves the list of socket routes as JSON at `path`; see [`routes`](Built::routes).
    pub fn routes_json(self, path: &str) -> Self {
        self.route(path, get(async |listed: Listed| axum::Json(listed.routes.to_vec())))
    }

    /// Serves the AsyncAPI document of the app's contracts as JSON at `path`; see [`asyncapi`](Built::asyncapi).
    pub fn asyncapi(self, path: &str) -> Self {
        // It never changes while the app runs, and anybody may ask for it.
        let written = Arc::new(OnceLock::new());
        self.route(
            path,
            get(async move |listed: Listed| {
                let json = written.get_or_init(|| Bytes::from(listed.asyncapi_json()));
                ([(header::CONTENT_TYPE, "application/json")], json.clone())
            }),
        )
    }

    /// What the app is called and which version of it this is, such as `env!("CARGO_PKG_VERSION")`; for the
    /// documents made of it.
    pub fn about(mut self, title: &str, version: &str) -> Self {
        self.about = About { title: title.into(), version: version.into() };
        self
    }

    /// The most bytes all connections together may hold for slow clients; 256 MiB unless set. Beyond it new
    /// connections get 503 and those that hold most are closed with 1013.
    pub fn budget_bytes(mut self, bytes: usize) -> Self {
        self.budget_bytes = bytes;
        self
    }

    /// How many shards the hub has; as many as the runtime has workers unless set.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Runs `work` for as long as the server serves: a queue's workers, a subscription, a timer. It is started by
    /// [`serve`](Self::serve) and [`Server::run`](crate::Server::run), and by the test host. When the server stops
    /// listening the token fires; `work` should then end, and is waited for as handlers are, until the drain timeout.
    /// What runs still is dropped.
    ///
    /// An app that another server mounts has to be [built](Self::build), and its work started by
    /// [`start_alongside`](Built::start_alongside).
    ///
    /// ```no_run
    /// # async fn doc() -> Result<(), wirelark::ServeError> {
    /// use std::time::Duration;
    /// use wirelark::App;
    ///
    /// let app = App::new().alongside(async |hub, stop| {
    ///     let mut seconds = tokio::time::interval(Duration::from_secs(1));
    ///     while stop.run_until_cancelled(seconds.tick()).await.is_some() {
    ///         hub.broadcast("tick").await;
    ///     }
    /// });
    /// # app.serve("127.0.0.1:3000").await
    /// # }
    /// ```
    pub fn alongside<F, Fut>(self, work: F) -> Self
    where
        F: FnOnce(Hub, CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.alongside.add(work);
        self
    }

    /// Is told that a user is online: with the first connection that is authenticated as this user.
    ///
    /// `hook` is called before [`Recipients::is_online`](crate::Recipients::is_online) says so, where it happens, so that
    /// it must not wait; an `async` one begins to run afterwards. What it returns runs in a task of its own, for at most
    /// 10 s, and after the earlier runs for the same user. A panic is reported in the log and harms nobody.
    ///
    /// ```
    /// # use wirelark::{App, Hub};
    /// App::new()
    ///     .on_online(async |user: String, hub: Hub| hub.broadcast(format!("{user} is here")).await)
    ///     .on_offline(async |user: String, hub: Hub| hub.broadcast(format!("{user} has left")).await)
    /// # ;
    /// ```
    pub fn on_online<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(String, Hub) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.user_hooks.online = Some(Arc::new(move |user, hub| Box::pin(hook(user, hub))));
        self
    }

    /// Is told that a user is offline: the last connection has ended, and no other came within the
    /// [grace period](Self::offline_grace). It is called and run as the hook of [`on_online`](Self::on_online) is, and
    /// hears of each user in turn with that one. A server that stops takes nobody offline.
    pub fn on_offline<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(String, Hub) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.user_hooks.offline = Some(Arc::new(move |user, hub| Box::pin(hook(user, hub))));
        self
    }

    /// How long a user without a connection still counts as online; 5 s unless set, at most a day. Whoever comes back
    /// within it was never away.
    pub fn offline_grace(mut self, grace: Duration) -> Self {
        self.user_hooks.grace = grace;
        self
    }

    /// Checks every option and makes the router.
    ///
    /// # Errors
    /// An impossible option or a route that is there twice, with what to write instead.
    pub fn build(self) -> Result<Built, BuildError> {
        let shards = self.shards.unwrap_or_else(default_shards);
        #[cfg(feature = "prometheus")]
        let (recorder, scrape) = crate::prometheus::recorder(self.metrics.is_some());
        #[cfg(not(feature = "prometheus"))]
        let recorder = None;
        let observer = Arc::new(Observer::with_recorder(recorder));
        let budget = Arc::new(Budget::new(self.budget_bytes));
        if self.user_hooks.grace > OFFLINE_GRACE_MAX {
            return Err(BuildError::OfflineGrace(self.user_hooks.grace));
        }
        let hub = Hub::new(shards, Arc::clone(&observer), Arc::clone(&budget), self.user_hooks);

        let Scope { router, routes, problems, terms, .. } = self.root;
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        let mut listed = Vec::with_capacity(routes.len());
        for route in routes {
            listed.push(route.fill(&terms, &hub)?);
        }
        let listed = Listed { about: self.about.into(), routes: listed.into() };

        #[cfg_attr(
            not(feature = "prometheus"),
            allow(unused_mut, reason = "only the metrics route is added late")
        )]
        let mut router = router;
        #[cfg(feature = "prometheus")]
        if let (Some(path), Some(scrape)) = (&self.metrics, scrape) {
            router = router.route(path, crate::prometheus::route(scrape, Arc::clone(&observer)));
        }
        let router = router
            .fallback(not_found)
            .layer(axum::Extension(hub.clone()))
            .layer(axum::Extension(listed.clone()))
            .with_state(self.state);
        Ok(Built { router, hub, listed, alongside: self.alongside })
    }
}

/// One shard per worker of the runtime the app is built in, else per core.
fn default_shards() -> usize {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.metrics().num_workers(),
        Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// An app whose options hold.
#[derive(Clone, Debug)]
pub struct Built {
    router: Router,
    hub: Hub,
    listed: Listed,
    alongside: Alongside,
}

impl Built {
    /// The axum router.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The hub, for everything outside of handlers.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Starts what was added with [`App::alongside`], unless it was started before: for a server that mounts the
    /// [`router`](Self::router). What it returns is ready when all of it has ended, some time after `stop`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_alongside(&self, stop: &CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let tasks = self.run_alongside(stop);
        async move { tasks.wait().await }
    }

    pub(crate) fn run_alongside(&self, stop: &CancellationToken) -> TaskTracker {
        self.alongside.start(&self.hub, stop)
    }

    /// The socket routes with their limits.
    pub fn routes(&self) -> &[RouteInfo] {
        &self.listed.routes
    }

    /// The AsyncAPI 3.0 document of the app's contracts, to be serialised: each route is a channel, each call and
    /// push an operation as the server sees it, and every message is there with the JSON Schema of its frame.
    /// What AsyncAPI has no words for (hashes, kinds, what happens to pushes for slow clients) is in `x-wirelark`.
    pub fn asyncapi(&self) -> AsyncApi {
        self.listed.asyncapi()
    }
}

/// # Panics
/// If an option is impossible or a route is there twice; [`App::build`] returns that as an error. If the app has work
/// [alongside](App::alongside), which a router cannot start.
impl<S: Clone + Send + Sync + 'static> From<App<S>> for Router {
    fn from(app: App<S>) -> Self {
        assert!(
            app.alongside.is_empty(),
            "a router cannot run what was added with `alongside`: call `build()`, mount its `router()`, and call \
             `start_alongside`"
        );
        match app.build() {
            Ok(built) => built.router,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<S> fmt::Debug for App<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Routes that share a prefix, options, authentication and layers. Made by [`App::scope`].
#[must_use = "a scope's routes are added by returning it"]
pub struct Scope<S = ()> {
    state: S,
    router: Router<S>,
    routes: Vec<SocketRoute>,
    /// Patterns in use, with their parameters' names left out: two that differ only there are ambiguous.
    patterns: HashSet<String>,
    problems: Vec<BuildError>,
    terms: Terms,
}

impl<S: Clone + Send + Sync + 'static> Scope<S> {
    fn new(state: S) -> Self {
        Self {
            state,
            router: Router::new(),
            routes: Vec::new(),
            patterns: HashSet::new(),
            problems: Vec::new(),
            terms: Terms::default(),
        }
    }

    /// As [`App::socket`].
    pub fn socket<M>(mut self, path: &str, handler: impl IntoSocketRoute<M, S>) -> Self {
        if self.claim(path) {
            let route = handler.into_route(path, self.state.clone());
            self.mount(path, route);
        }
        self
    }

    /// As [`App::contract`].
    pub fn contract<C, T, D>(mut self, path: &str, builder: ContractBuilder<C, T, D>) -> Self
    where
        C: Contract,
        T: Send + Sync + 'static,
        D: FromRequestParts<S> + Send + Sync + 'static,
    {
        if let Err(error) = builder.check() {
            self.problems.push(BuildError::Contract { route: path.into(), error });
        } else if self.claim(path) {
            let route = builder.into_route(path, self.state.clone());
            self.mount(path, route);
        }
        self
    }

    /// As [`App::messages`].
    pub fn messages<M>(mut self, path: &str, handler: impl IntoMessagesRoute<M, S>) -> Self {
        match handler.into_route(path, self.state.clone()) {
            Err(error) => self.problems.push(BuildError::Messages { route: path.into(), error }),
            Ok(route) if self.claim(path) => self.mount(path, route),
            Ok(_) => {}
        }
        self
    }

    fn mount(&mut self, path: &str, route: SocketRoute) {
        let router = std::mem::take(&mut self.router);
        self.router = router.route_service(path, RouteService(Arc::clone(&route.endpoint)));
        self.routes.push(route);
    }

    /// As [`App::route`].
    pub fn route(mut self, path: &str, method_router: MethodRouter<S>) -> Self {
        if self.claim(path) {
            self.router = self.router.route(path, method_router.layer(from_fn(refuse_upgrades)));
        }
        self
    }

    /// As [`App::scope`]. The route `/` of the inner scope is served at the prefix itself.
    pub fn scope(mut self, prefix: &str, build: impl FnOnce(Self) -> Self) -> Self {
        if !prefix.starts_with('/') || prefix.len() < 2 || prefix.ends_with('/') {
            self.problems.push(BuildError::Prefix(prefix.into()));
            return self;
        }
        let inner = build(Self::new(self.state.clone()));
        for pattern in inner.patterns {
            let pattern = join(&without_names(prefix), &pattern);
            if !self.patterns.insert(pattern.clone()) {
                self.problems.push(BuildError::Duplicate(pattern.into()));
            }
        }
        self.problems.extend(inner.problems);
        if self.problems.is_empty() {
            self.router = self.router.nest(prefix, inner.router);
        }
        self.routes.extend(inner.routes.into_iter().map(|route| route.within(prefix, &inner.terms)));
        self
    }

    /// As [`App::layer`].
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    /// Options this scope's routes inherit; what is left out comes from the scope around it.
    pub fn options(mut self, options: Options) -> Self {
        self.terms.set_options(options);
        self
    }

    /// Hooks of this scope's routes; what is left out comes from the scope around it.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.terms.set_hooks(hooks);
        self
    }

    /// Authenticates this scope's socket routes, instead of the scope around it.
    pub fn auth(mut self, authenticator: impl Authenticator) -> Self {
        self.terms.set_auth(authenticator);
        self
    }

    /// Who may join which rooms that clients name of this scope's routes, instead of the scope around it.
    pub fn room_policy(mut self, policy: impl RoomPolicy) -> Self {
        self.terms.set_room_policy(policy);
        self
    }

    /// Users of this scope's socket routes must have a scope of this name, beside what routes ask for.
    pub fn require_scope(mut self, scope: &str) -> Self {
        self.terms.require_scope(scope);
        self
    }

    /// Users of this scope's socket routes must have a role, beside what routes ask for.
    pub fn require_role(mut self, role: &str) -> Self {
        self.terms.require_role(role);
        self
    }

    /// Notes that a path is in use; false, and a problem, if it cannot be.
    fn claim(&mut self, path: &str) -> bool {
        if !path.starts_with('/') {
            self.problems.push(BuildError::Path(path.into()));
            return false;
        }
        let fresh = self.patterns.insert(without_names(path));
        if !fresh {
            self.problems.push(BuildError::Duplicate(path.into()));
        }
        fresh
    }
}

impl<S> fmt::Debug for Scope<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

/// A route's pattern inside a scope: `/` is the prefix itself.
fn join(prefix: &str, path: &str) -> String {
    match path {
        "/" => prefix.to_owned(),
        path => format!("{prefix}{path}"),
    }
}

/// A pattern with its parameters' names left out: `/rooms/{room}` and `/rooms/{id}` are the same route.
fn without_names(pattern: &str) -> String {
    let mut shape = String::with_capacity(pattern.len());
    let mut inside = false;
    for c in pattern.chars() {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            '*' if inside => {}
            _ if inside => continue,
            _ => {}
        }
        shape.push(c);
    }
    shape
}

/// A socket route before its app is built.
pub struct SocketRoute {
    path: String,
    kind: &'static str,
    call: Call,
    terms: Terms,
    contract: Option<&'static Description>,
    endpoint: Arc<OnceLock<Endpoint>>,
}

impl SocketRoute {
    fn within(mut self, prefix: &str, outer: &Terms) -> Self {
        self.path = join(prefix, &self.path);
        self.terms.inherit(outer);
        self
    }

    fn fill(mut self, outer: &Terms, hub: &Hub) -> Result<RouteInfo, BuildError> {
        self.terms.inherit(outer);
        let Terms { options, auth, requirements, room_policy, hooks } = self.terms;
        let path: Box<str> = self.path.into();
        if self.contract.is_some() && path.contains('{') && room_policy.is_none() {
            return Err(BuildError::RoomPolicy(path));
        }
        let first = auth.as_ref().and_then(|auth| auth.first_message()).map_or(Ok(()), FirstMessage::check);
        let limits = first.and_then(|()| options.resolve());
        let limits = limits.map_err(|error| BuildError::Option { route: path.clone(), error })?;
        let info = RouteInfo::new(&path, self.kind, &limits, auth.as_deref(), &requirements, self.contract);
        let rate = limits.upgrade_rate.map(Meters::new);
        let seats = Seats::of(&limits);
        let counters = hub.observer().route(&path, self.contract);
        let budget = Arc::clone(hub.budget());
        let stopped = hub.stopped().clone();
        let contract = self.contract;
        let pattern = path;
        // The other styles answer what comes too often.
        let closes_floods = self.kind == "socket";
        let context = RouteContext {
            pattern,
            contract,
            closes_floods,
            limits,
            requirements,
            counters,
            hooks,
            budget,
            stopped,
        };
        let endpoint = Endpoint {
            context: Arc::new(context),
            hub: hub.clone(),
            auth,
            room_policy,
            rate,
            seats,
            call: self.call,
        };
        let _ = self.endpoint.set(endpoint);
        Ok(info)
    }
}

impl fmt::Debug for SocketRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketRoute").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A handler with options of its own: `socket(echo).options(..)`.
#[derive(Clone)]
#[must_use = "a route does nothing until it is added to an app"]
pub struct SocketBuilder<H> {
    handler: H,
    terms: Terms,
}

/// Gives a handler options of its own.
pub fn socket<H>(handler: H) -> SocketBuilder<H> {
    SocketBuilder { handler, terms: Terms::default() }
}

impl<H> SocketBuilder<H> {
    /// Options of this route; what is left out is inherited.
    pub fn options(mut self, options: Options) -> Self {
        self.terms.set_options(options);
        self
    }

    /// Hooks of this route; what is left out is inherited.
    pub fn hooks(mut self, hooks: Hooks) -> Self {
        self.terms.set_hooks(hooks);
        self
    }

    /// Authenticates this route, instead of what the scopes around it say.
    pub fn auth(mut self, authenticator: impl Authenticator) -> Self {
        self.terms.set_auth(authenticator);
        self
    }

    /// Who may join which rooms that clients name through this route, for handlers that take a
    /// [`RoomPass`](crate::RoomPass); instead of what the scopes around it say.
    pub fn room_policy(mut self, policy: impl RoomPolicy) -> Self {
        self.terms.set_room_policy(policy);
        self
    }

    /// The user must have this scope; otherwise 403.
    pub fn require_scope(mut self, scope: &str) -> Self {
        self.terms.require_scope(scope);
        self
    }

    /// The user must have this role; otherwise 403.
    pub fn require_role(mut self, role: &str) -> Self {
        self.terms.require_role(role);
        self
    }
}

impl<H> fmt::Debug for SocketBuilder<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketBuilder").field("options", &self.terms.options).finish_non_exhaustive()
    }
}

/// What can be added as a socket route: an async function, or [`socket`] of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot serve a socket route",
    note = "a socket handler is an `async fn(extractors.., socket: Socket)` that returns `()` or a `Result<(), E>`",
    note = "every argument before the `Socket` (or `Upgrade`) must implement `FromRequestParts`"
)]
pub trait IntoSocketRoute<Marker, S> {
    #[doc(hidden)]
    fn into_route(self, path: &str, state: S) -> SocketRoute;
}

/// Marks a handler without options of its own.
#[derive(Debug)]
pub struct Plain;

#[diagnostic::do_not_recommend]
impl<H, M, S> IntoSocketRoute<(Plain, M), S> for H
where
    H: SocketHandler<M, S>,
    S: Clone + Send + Sync + 'static,
{
    fn into_route(self, path: &str, state: S) -> SocketRoute {
        socket(self).into_route(path, state)
    }
}

/// Marks a handler with options.
#[derive(Debug)]
pub struct WithOptions;

impl<H, M, S> IntoSocketRoute<(WithOptions, M), S> for SocketBuilder<H>
where
    H: SocketHandler<M, S>,
    S: Clone + Send + Sync + 'static,
{
    fn into_route(self, path: &str, state: S) -> SocketRoute {
        SocketRoute {
            path: path.to_owned(),
            kind: "socket",
            call: route::call(self.handler, state),
            terms: self.terms,
            contract: None,
            endpoint: Arc::default(),
        }
    }
}

/// The hub, in any handler of the app.
impl<S: Sync> FromRequestParts<S> for Hub {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The app's socket routes, for the routes that describe them.
#[derive(Clone, Debug)]
struct Listed {
    about: Arc<About>,
    routes: Arc<[RouteInfo]>,
}

impl Listed {
    fn asyncapi(&self) -> AsyncApi {
        AsyncApi::new(&self.about, &self.routes)
    }

    fn asyncapi_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.asyncapi()).expect("all keys of the document are strings")
    }
}

impl<S: Sync> FromRequestParts<S> for Listed {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

fn wants_upgrade(request: &Request<Body>) -> bool {
    let upgrade = request.headers().get_all(header::UPGRADE);
    upgrade.into_iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// A WebSocket upgrade of a plain HTTP route would otherwise look like a success that never speaks.
async fn refuse_upgrades(hub: Option<axum::Extension<Hub>>, request: Request, next: Next) -> Response {
    if !wants_upgrade(&request) {
        return next.run(request).await;
    }
    if let Some(axum::Extension(hub)) = hub {
        hub.observer().rejected(Rejection::Method);
    }
    (StatusCode::METHOD_NOT_ALLOWED, "this path speaks HTTP, not WebSocket").into_response()
}

async fn not_found(hub: Option<axum::Extension<Hub>>, request: Request) -> StatusCode {
    if let (true, Some(axum::Extension(hub))) = (wants_upgrade(&request), hub) {
        hub.observer().rejected(Rejection::NotFound);
    }
    StatusCode::NOT_FOUND
}
