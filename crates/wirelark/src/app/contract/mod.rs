//! The contract style: typed calls and pushes, shared with clients.

mod asyncapi;
mod calls;
mod failure;
mod peers;
mod push;
mod serving;
mod session;
#[cfg(feature = "garde")]
mod valid;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::response::IntoResponse;
use http::request::Parts;
use http::{StatusCode, header};
use wirelark_proto::{CloseCode, CloseFrame};

pub use wirelark_proto::contract::{
    BigInt, CallDescription, CallKind, Contract, ContractHash, Delivery, Description, Format,
    InvalidContract, Problem, PushDescription, RESERVED_NAMES,
};

pub use wirelark_macros::Problem;

pub(super) use self::asyncapi::About;
pub use self::asyncapi::AsyncApi;
pub use self::calls::Calls;
#[doc(hidden)]
pub use self::failure::FailureOf;
pub use self::failure::IntoFailure;
pub use self::peers::Peers;
pub use self::push::{ContractRecipients, ContractRoom, Push, PushKey, Pushed, Pushes, Pushing};
pub use self::session::Session;
#[cfg(feature = "garde")]
pub use self::valid::Valid;

use self::peers::Place;
use self::serving::{Service, Serving};
use super::SocketRoute;
use super::auth::Authenticator;
use super::route::Call;
use super::terms::Terms;
use super::upgrade::Runner;
use crate::connection::Hooks;
use crate::hub::RoomName;
use crate::limits::{Options, SlowClient};

/// How long a call may take, unless the route says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

type FormatOf = Arc<dyn Fn(&Parts) -> Option<Format> + Send + Sync>;

/// A server of the contract `C`, to be added to an app with [`App::contract`](crate::App::contract); made by
/// `Chat::serve(..)`, or by hand with [`serve`].
#[must_use = "a contract is not served until it is added to an app"]
pub struct ContractBuilder<C, T, D> {
    server: Arc<T>,
    calls: Calls<C, T, D>,
    terms: Terms,
    concurrency: NonZeroUsize,
    call_timeout: Duration,
    format: Format,
    format_of: Option<FormatOf>,
    versions: Versions,
    /// The first thing that was given as a version and is none.
    no_version: Option<Box<str>>,
}

/// Which versions of the contract clients may be made from.
enum Versions {
    /// The server's own, and those with one of these hashes.
    OneOf(Vec<ContractHash>),
    Any,
}

/// Serves a contract with `calls` on `server`. Each session has data `D`, made from its upgrade request; if that
/// fails the upgrade is refused with the extractor's own answer.
pub fn serve<C, T, D>(server: T, calls: Calls<C, T, D>) -> ContractBuilder<C, T, D>
where
    C: Contract,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    ContractBuilder {
        server: Arc::new(server),
        calls,
        terms: Terms::default(),
        concurrency: NonZeroUsize::MIN,
        call_timeout: CALL_TIMEOUT,
        format: Format::Json,
        format_of: None,
        versions: Versions::OneOf(Vec::new()),
        no_version: None,
    }
}

impl<C, T, D> ContractBuilder<C, T, D> {
    /// Options of this route; what is left out is inherited. A contract's own default for slow clients is
    /// [`SlowClient::Wait`]: answers wait for room, and pushes follow what each is declared with.
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

    /// How many calls of one connection may run at the same time; one unless set. With more than one, a call
    /// that waits does not hold up those behind it, and answers come in the order in which they are ready. What
    /// is beyond stays unread.
    pub fn concurrency(mut self, calls: NonZeroUsize) -> Self {
        self.concurrency = calls;
        self
    }

    /// How long a call may take; ten seconds unless set. Its caller is then told so, and the call is dropped at
    /// the place where it waits.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How frames are written for clients that agreed to no subprotocol; JSON unless set.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Asks the upgrade request for the format where no subprotocol says it, such as a query parameter.
    pub fn format_of(mut self, of: impl Fn(&Parts) -> Option<Format> + Send + Sync + 'static) -> Self {
        self.format_of = Some(Arc::new(of));
        self
    }

    /// Clients made from these versions of the contract may connect too, besides those of the server's own; other
    /// ones are told so by name. A version is its hash, sixteen hexadecimal digits; anything else is an error when
    /// the app is built.
    ///
    /// `wirelark check` says whether an old version's clients can go on, and with which hash to let them in.
    ///
    /// ```
    /// # use wirelark::contract;
    /// # use wirelark::contract::Session;
    /// # #[contract] pub trait Chat { async fn post(&self, text: String); }
    /// # struct Room;
    /// # impl ChatServer for Room {
    /// #     type Data = ();
    /// #     async fn post(&self, _: Session<Chat, ()>, _: String) {}
    /// # }
    /// let chat = Chat::serve(Room).also_accepts(["9c1f0b6d2a7e4835"]);
    /// # let _ = wirelark::App::new().contract("/chat", chat);
    /// ```
    pub fn also_accepts<H: AsRef<str>>(mut self, hashes: impl IntoIterator<Item = H>) -> Self {
        for hash in hashes {
            match (ContractHash::parse(hash.as_ref()), &mut self.versions) {
                (Some(version), Versions::OneOf(accepted)) => accepted.push(version),
                (Some(_), Versions::Any) => {}
                (None, _) => {
                    self.no_version.get_or_insert_with(|| hash.as_ref().into());
                }
            }
        }
        self
    }

    /// Clients made from any version of the contract may connect.
    pub fn any_version(mut self) -> Self {
        self.versions = Versions::Any;
        self
    }
}

impl<C, T, D> ContractBuilder<C, T, D>
where
    C: Contract,
    T: Send + Sync + 'static,
    D: Send + Sync + 'static,
{
    pub(super) fn into_route<S>(mut self, path: &str, state: S) -> SocketRoute
    where
        D: FromRequestParts<S>,
        S: Clone + Send + Sync + 'static,
    {
        let formats = [Format::Json, Format::MsgPack].map(Format::subprotocol);
        let defaults =
            Options::new().protocols(formats).require_protocol(false).slow_client(SlowClient::Wait);
        self.terms.inherit(&Terms { options: defaults, ..Terms::default() });
        let service = Arc::new(Service {
            server: self.server,
            calls: self.calls,
            concurrency: self.concurrency.get(),
            call_timeout: self.call_timeout,
        });
        let versions = match self.versions {
            Versions::OneOf(accepted) => Some([C::describe().hash()].into_iter().chain(accepted).collect()),
            Versions::Any => None,
        };
        let call = call(service, self.format, self.format_of, versions, state);
        SocketRoute {
            path: path.to_owned(),
            call,
            terms: self.terms,
            contract: Some(C::describe()),
            endpoint: Arc::default(),
        }
    }

    /// Whether the contract can be served, and every call of it has a handler.
    pub(super) fn check(&self) -> Result<(), ContractError> {
        let description = C::describe();
        description.check()?;
        let contract = description.name;
        if let Some(hash) = &self.no_version {
            return Err(ContractError::Version { contract, hash: hash.clone() });
        }
        for call in &description.calls {
            match self.calls.find(call.name) {
                Some(entry) if entry.kind == call.kind => {}
                Some(_) => return Err(ContractError::Kind { contract, call: call.name }),
                None => return Err(ContractError::Unserved { contract, call: call.name }),
            }
        }
        match self.calls.names().find(|name| description.calls.iter().all(|call| call.name != *name)) {
            Some(call) => Err(ContractError::Undeclared { contract, call }),
            None => Ok(()),
        }
    }
}

/// A contract and a server that do not fit together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// The contract itself is not one.
    #[error(transparent)]
    Invalid(#[from] InvalidContract),
    /// A declared call nobody handles.
    #[error("contract {contract}: nothing serves the call {call:?}; add it to the `Calls`")]
    Unserved {
        /// The contract.
        contract: &'static str,
        /// The call.
        call: &'static str,
    },
    /// A handler for a call that is not declared.
    #[error("contract {contract}: {call:?} is served but not declared; add it to the description")]
    Undeclared {
        /// The contract.
        contract: &'static str,
        /// The call.
        call: &'static str,
    },
    /// A handler of another kind than the declared one.
    #[error("contract {contract}: {call:?} is declared and served as different kinds (call, ack or send)")]
    Kind {
        /// The contract.
        contract: &'static str,
        /// The call.
        call: &'static str,
    },
    /// A version that is to be accepted and is no hash.
    #[error(
        "contract {contract}: {hash:?} is no version; write the sixteen hexadecimal digits of its hash, as \
         `wirelark check` and the contract's document say it"
    )]
    Version {
        /// The contract.
        contract: &'static str,
        /// What stands there.
        hash: Box<str>,
    },
}

/// What happens between the checks of the route and the 101.
fn call<C, T, D, S>(
    service: Arc<Service<C, T, D>>,
    format: Format,
    format_of: Option<FormatOf>,
    versions: Option<Arc<[ContractHash]>>,
    state: S,
) -> Call
where
    C: Contract,
    T: Send + Sync + 'static,
    D: FromRequestParts<S> + Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    let place = Arc::new(Place::new());
    Arc::new(move |mut parts, mut pending| {
        let (service, place, state) = (Arc::clone(&service), Arc::clone(&place), state.clone());
        let (format_of, versions) = (format_of.clone(), versions.clone());
        Box::pin(async move {
            let refusal = versions.and_then(|accepted| other_version(&parts, C::describe().name, &accepted));
            if let Some(frame) = refusal {
                return pending.turn_away(frame);
            }
            let Some(room) = room_of(&parts) else {
                return pending
                    .refuse((StatusCode::BAD_REQUEST, "the path is no room's name").into_response());
            };
            let agreed = pending.agreed.protocol.as_deref().and_then(Format::from_subprotocol);
            let asked = agreed.or_else(|| format_of.and_then(|of| of(&parts)));
            pending.agreed.format = Some(asked.unwrap_or(format));
            let data = match D::from_request_parts(&mut parts, &state).await {
                Ok(data) => data,
                Err(rejection) => return pending.refuse(rejection.into_response()),
            };
            // Whatever of the request is kept now would be kept as long as the connection.
            drop(parts);
            drop(state);
            pending.runner = Runner::Shard;
            pending.accept(move |socket| {
                let (connection, hub) = (Arc::clone(socket.shared()), socket.hub().clone());
                let room = place.name(room);
                let session = Session::new(session::Parts { connection, hub, place, room, data });
                Serving::new(service, session, socket)
            })
        })
    })
}

/// How to close the connection of a client that was made from something else than this contract. It says so in
/// a subprotocol, which is the only thing a browser can say before the 101. Of the accepted versions the first is the
/// server's own.
fn other_version(parts: &Parts, name: &str, accepted: &[ContractHash]) -> Option<CloseFrame> {
    let offered = parts.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let (theirs, version) = offered.find_map(|protocol| ContractHash::from_subprotocol(protocol.trim()))?;
    if theirs != name {
        let reason = format!("this is contract {name}, the client was made for {theirs}");
        return Some(CloseFrame::new(CloseCode::OTHER_VERSION, reason));
    }
    let ours = accepted.first()?;
    (!accepted.contains(&version)).then(|| {
        let reason = format!("contract {name}: the client has version {version}, the server {ours}");
        CloseFrame::new(CloseCode::OTHER_VERSION, reason)
    })
}

/// The room of everybody who comes to the same path, as people write it. Segments stay segments: a slash that is
/// written `%2F` belongs to a parameter, and must not lead into another route's rooms.
fn room_of(parts: &Parts) -> Option<RoomName> {
    let path = match parts.extensions.get() {
        Some(OriginalUri(uri)) => uri.path(),
        None => parts.uri.path(),
    };
    let decoded = path.split('/').map(|segment| {
        let segment = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
        Some(segment.replace('/', "%2F"))
    });
    let path = decoded.collect::<Option<Vec<_>>>()?.join("/");
    RoomName::try_from(&*path).ok()
}

impl<C, T, D> fmt::Debug for ContractBuilder<C, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContractBuilder").field("calls", &self.calls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(path: &str) -> Option<String> {
        let request = http::Request::get(path).body(()).expect("a path");
        room_of(&request.into_parts().0).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_path_is_a_rooms_name_as_people_write_it() {
        assert_eq!(room("/chat/lobby?name=ada").as_deref(), Some("/chat/lobby"));
        assert_eq!(room("/chat/gr%C3%BC%C3%9Fe").as_deref(), Some("/chat/gr\u{fc}\u{df}e"));
        assert_eq!(
            room("/c/x%2Fy").as_deref(),
            Some("/c/x%2Fy"),
            "a slash in a parameter leads nowhere else"
        );
        assert_eq!(room("/c/%0A"), None, "a control character");
        assert_eq!(room("/c/%FF"), None, "not text");
        assert_eq!(room(&format!("/{}", "x".repeat(300))), None, "too long");
    }
}
