//! Clients of contracts, for tests: the typed client of the contract, over the host's own streams, with every push
//! kept until it is expected.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::header;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::timeout;
use wirelark_client::{
    Builder, CallError, Client, ConnectError, Format, HasClient, Reconnect, ServerError, Subscription,
};

use super::client::Connecting;

/// Longer than servers let calls take, so that a test sees what the server says of one that takes too long.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Pushes that may wait for a test.
const PUSHES_MAX: usize = 4096;

/// A contract that has a tester; `#[contract]` implements it.
pub trait HasTester: HasClient {
    /// The contract's client, which also expects pushes.
    type Tester;

    #[doc(hidden)]
    fn tester(client: Self::Client, inbox: Inbox) -> Self::Tester;
}

impl Connecting<'_> {
    /// Connects as a client of a contract, which also expects its pushes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use wirelark::contract::Session;
    /// use wirelark::testing::Host;
    /// use wirelark::{App, OpenRooms, contract};
    ///
    /// #[contract]
    /// trait Chat {
    ///     async fn post(&self, text: String) -> usize;
    ///     #[push]
    ///     fn posted(text: String);
    /// }
    ///
    /// struct Room;
    ///
    /// impl ChatServer for Room {
    ///     type Data = ();
    ///
    ///     async fn post(&self, session: Session<Chat, ()>, text: String) -> usize {
    ///         let len = text.len();
    ///         session.room().push(Chat::posted(text)).await;
    ///         len
    ///     }
    /// }
    ///
    /// let host = Host::new(App::new().contract("/chat/{room}", Chat::serve(Room).room_policy(OpenRooms)));
    /// let ada = host.at("/chat/lobby").contract::<Chat>().await;
    /// let bob = host.at("/chat/lobby").contract::<Chat>().await;
    /// assert_eq!(ada.post("hi").await, Ok(2));
    /// bob.expect_posted(|text| text == "hi").await;
    /// host.close().await;
    /// # }
    /// ```
    ///
    /// It writes JSON unless `wirelark.v1.msgpack` was offered, does not reconnect, and sends no pings of its own, so
    /// that it leaves the clock alone. Pings are always answered, and no compression is offered.
    ///
    /// # Panics
    /// If the upgrade is refused.
    pub async fn contract<C: HasTester>(self) -> C::Tester {
        self.contract_with::<C>(|builder| builder).await
    }

    /// The same with options of the client, such as one that reconnects.
    ///
    /// # Panics
    /// If the upgrade is refused, or the options cannot be used.
    pub async fn contract_with<C: HasTester>(
        self,
        options: impl FnOnce(Builder<C::Client>) -> Builder<C::Client>,
    ) -> C::Tester {
        let (path, within) = (self.path.clone(), self.timeout);
        let builder = options(self.builder().contract::<C>());
        let client = builder.auto_connect(false).build().unwrap_or_else(|error| panic!("{error}"));
        // Listens before it connects: what is pushed first is not missed.
        let tester = C::tester(client.clone(), Inbox::new(within));
        match client.as_ref().connect().await {
            Ok(()) => tester,
            Err(ConnectError::Refused { status, body, .. }) => panic!("{path} was refused: {status} {body}"),
            Err(error) => panic!("{path} was not reached: {error}"),
        }
    }

    fn builder(self) -> Builder {
        let host =
            self.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("wirelark.test");
        let formats = self.protocols.iter().find_map(|protocol| Format::from_subprotocol(protocol));
        let door = self.host.door(self.user);
        let mut builder = Client::builder(&format!("ws://{host}{}", self.path))
            .connector(move |_| {
                let door = door.clone();
                async move { door.open().await }
            })
            .format(formats.unwrap_or(Format::Json))
            .heartbeat(None)
            .reconnect(Reconnect::Never)
            .call_timeout(CALL_TIMEOUT);
        for protocol in self.protocols.iter().filter(|protocol| Format::from_subprotocol(protocol).is_none())
        {
            builder = builder.protocol(protocol);
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != header::HOST) {
            builder = builder.header(name.as_str(), value.to_str().expect("a header value that is text"));
        }
        builder
    }
}

/// Asserts how a call failed.
pub trait ExpectError {
    /// The error the server made for its client, with this code.
    ///
    /// # Panics
    /// If the call succeeded, or failed in another way.
    fn expect_error(self, code: &str) -> ServerError;
}

impl<T> ExpectError for Result<T, CallError> {
    #[track_caller]
    fn expect_error(self, code: &str) -> ServerError {
        match self {
            Err(CallError::Refused(error)) if error.code.as_deref() == Some(code) => *error,
            Err(CallError::Refused(error)) => {
                panic!("expected the error {code:?}, got {:?}: {error}", error.code)
            }
            Err(error) => panic!("expected the error {code:?}, got {error:?}"),
            Ok(_) => panic!("expected the error {code:?}, and the call succeeded"),
        }
    }
}

/// The pushes that a tester keeps.
#[doc(hidden)]
pub struct Inbox {
    arrivals: Arc<Arrivals>,
    within: Duration,
    listening: Vec<Subscription>,
}

#[derive(Default)]
struct Arrivals {
    pushes: Mutex<VecDeque<Arrival>>,
    arrived: Notify,
    /// Whether there was no room for a push.
    overflowed: AtomicBool,
}

/// One push, and how it is shown.
struct Arrival {
    name: &'static str,
    body: Box<dyn Any + Send>,
    shown: String,
}

impl Inbox {
    fn new(within: Duration) -> Self {
        Self { arrivals: Arc::default(), within, listening: Vec::new() }
    }

    /// Keeps the pushes of this name.
    pub fn listen<T>(&mut self, client: &Client, name: &'static str)
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let arrivals = Arc::clone(&self.arrivals);
        self.listening.push(client.on(name, move |body: T| {
            let json = serde_json::to_string(&body).unwrap_or_else(|error| error.to_string());
            arrivals.add(Arrival { name, body: Box::new(body), shown: format!("{name} {json}") });
        }));
    }

    /// Takes the first push of this name for which `predicate` is true.
    pub async fn expect<T: 'static>(&self, name: &str, mut predicate: impl FnMut(&T) -> bool) -> T {
        let expected = async {
            loop {
                let arrived = self.arrivals.arrived.notified();
                if let Some(body) = self.arrivals.take(name, &mut predicate) {
                    return body;
                }
                arrived.await;
            }
        };
        match timeout(self.within, expected).await {
            Ok(body) => body,
            Err(_) => panic!("expected {name}, within {:?} there were: {}", self.within, self.arrivals),
        }
    }
}

impl Arrivals {
    fn add(&self, arrival: Arrival) {
        let mut pushes = self.pushes.lock();
        if pushes.len() < PUSHES_MAX {
            pushes.push_back(arrival);
        } else {
            self.overflowed.store(true, Relaxed);
        }
        drop(pushes);
        self.arrived.notify_waiters();
    }

    fn take<T: 'static>(&self, name: &str, predicate: &mut impl FnMut(&T) -> bool) -> Option<T> {
        let overflowed = self.overflowed.load(Relaxed);
        assert!(!overflowed, "more than {PUSHES_MAX} pushes came: expect some of them earlier");
        let mut pushes = self.pushes.lock();
        let at = pushes.iter().position(|arrival| {
            arrival.name == name && arrival.body.downcast_ref().is_some_and(&mut *predicate)
        })?;
        pushes.remove(at)?.body.downcast().ok().map(|body| *body)
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pushes = self.pushes.lock();
        if pushes.is_empty() {
            return f.write_str("no pushes");
        }
        pushes.iter().try_for_each(|arrival| write!(f, "\n  {}", arrival.shown))
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbox({})", self.arrivals)
    }
}
