//! How a client is made: every option has a default, and every bad value is found here.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wirelark_proto::contract::Format;
use wirelark_proto::handshake::client::{Handshake, InvalidRequest, Request};

use crate::address::{Address, InvalidUrl};
use crate::client::{Client, HasClient};
use crate::connect::ConnectError;
use crate::connector::{Connector, Network};
use crate::core::{Core, Limits};
use crate::driver::Driver;
use crate::reconnect::Reconnect;
use crate::report::{Report, Reports};

/// A client about to be made, and `C` is what it will be: a [`Client`], or a contract's own.
#[must_use = "there is no client until `build` or `connect`"]
pub struct Builder<C = Client> {
    options: Options,
    client: PhantomData<fn() -> C>,
}

struct Options {
    url: String,
    connector: Box<dyn Connector>,
    request: Request,
    format: Format,
    /// The version token of the contract the client is made for.
    version: Option<String>,
    plain_socka: bool,
    auto_connect: bool,
    call_timeout: Duration,
    connect_timeout: Duration,
    close_timeout: Duration,
    heartbeat: Option<Duration>,
    message_bytes: usize,
    outbox_messages: usize,
    outbox_bytes: usize,
    calls: usize,
    offline: Offline,
    rate_limit_retries: u32,
    reconnect: Reconnect,
    reports: Reports,
    seed: Option<u64>,
    /// The first thing that was wrong with what a method was given.
    problem: Option<BuildError>,
}

/// The longest a limit of time can be: beyond it a clock may overflow, and nobody waits for it anyway.
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What happens to calls and sends while there is no connection but there may soon be one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Offline {
    /// They wait for it: as many as the outbox holds, and calls as long as they may take.
    #[default]
    Wait,
    /// They fail with [`CallError::Disconnected`](crate::CallError::Disconnected).
    Fail,
}

impl Builder<Client> {
    pub(crate) fn new(url: &str) -> Self {
        let options = Options {
            url: url.to_owned(),
            connector: Box::new(Network::new()),
            request: Request::new("", "", [0; 16]),
            format: Format::Json,
            version: None,
            plain_socka: false,
            auto_connect: true,
            call_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            heartbeat: Some(Duration::from_secs(25)),
            // A server's outbox, unless it is given another one: no message of it is larger.
            message_bytes: 1024 * 1024,
            outbox_messages: 1024,
            outbox_bytes: 1024 * 1024,
            calls: 1024,
            offline: Offline::default(),
            rate_limit_retries: 0,
            reconnect: Reconnect::default(),
            reports: Reports::default(),
            seed: None,
            problem: None,
        };
        Self { options, client: PhantomData }
    }

    /// Makes it the client of a contract, which tells the server which version of it that is.
    pub fn contract<C: HasClient>(mut self) -> Builder<C::Client> {
        let description = C::describe();
        self.options.version = Some(description.hash().subprotocol(description.name));
        Builder { options: self.options, client: PhantomData }
    }
}

impl<C> Builder<C> {
    /// How frames are written; JSON unless set. It is offered as a subprotocol, `wirelark.v1.json` or
    /// `wirelark.v1.msgpack`, and a server that does not agree is no server for this client.
    pub fn format(mut self, format: Format) -> Self {
        self.options.format = format;
        self
    }

    /// Offers no subprotocol of ours, neither a format nor a contract's version: for socka's servers, and for routes
    /// that have a format of their own. Nobody checks then that both ends speak the same [`format`](Self::format).
    pub fn plain_socka(mut self) -> Self {
        self.options.plain_socka = true;
        self
    }

    /// Offers a subprotocol beside ours, such as `bearer.` with a token.
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.options.request.protocols.push(protocol.to_owned());
        self
    }

    /// Sends a header with each attempt to connect.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.options.request.headers.append(name, value);
            }
            _ => self.options.note(BuildError::Header(name.into())),
        }
        self
    }

    /// Sends a bearer token with each attempt to connect.
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Whether the client connects as soon as it is built; it does unless told otherwise. If not, it does with the
    /// first call or send, or with [`Client::connect`]; until then listeners can be added that miss nothing.
    pub fn auto_connect(mut self, auto_connect: bool) -> Self {
        self.options.auto_connect = auto_connect;
        self
    }

    /// How long a call may take, waiting for a connection and for room included; 10 s unless set. See
    /// [`Client::with_call_timeout`] for single calls.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.options.call_timeout = timeout;
        self
    }

    /// How long an attempt to connect may take, from the name's lookup to the server's answer; 10 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long the server may take to hang up after a close; 5 s unless set.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.options.close_timeout = timeout;
        self
    }

    /// After how long a silence the client asks with a ping whether the server is there; 25 s unless set, never for
    /// `None`. A server that does not answer within 10 s is gone. Pings of the server are always answered.
    pub fn heartbeat(mut self, heartbeat: impl Into<Option<Duration>>) -> Self {
        self.options.heartbeat = heartbeat.into();
        self
    }

    /// The largest message that is taken; 1 MiB unless set. A server that sends a larger one is told so with 1009,
    /// and the client is closed.
    pub fn message_bytes(mut self, bytes: usize) -> Self {
        self.options.message_bytes = bytes;
        self
    }

    /// How many calls and sends may wait to be sent, and how many bytes they may have together; 1024 and 1 MiB unless
    /// set. With a connection, what has no room waits for it; without one it fails with
    /// [`CallError::Full`](crate::CallError::Full).
    pub fn outbox(mut self, messages: usize, bytes: usize) -> Self {
        (self.options.outbox_messages, self.options.outbox_bytes) = (messages, bytes);
        self
    }

    /// How many calls may wait for their answers, sent or not; 1024 unless set. One more fails with
    /// [`CallError::Full`](crate::CallError::Full).
    pub fn calls(mut self, calls: usize) -> Self {
        self.options.calls = calls;
        self
    }

    /// What happens to calls and sends while the client connects and reconnects; they wait unless set.
    pub fn offline(mut self, offline: Offline) -> Self {
        self.options.offline = offline;
        self
    }

    /// How often a call is made again, after the time the server says, when it is told that it came too often; never
    /// unless set. All of it together may take the call timeout. Its caller gets
    /// [`CallError::RateLimited`](crate::CallError::RateLimited) when these are used up, and at once when the server
    /// asks for a longer time than the call has left.
    pub fn rate_limit_retries(mut self, retries: u32) -> Self {
        self.options.rate_limit_retries = retries;
        self
    }

    /// What happens when the connection ends.
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.options.reconnect = reconnect;
        self
    }

    /// Where to report what no caller is told about, instead of the log. It is called on the client's task, and must
    /// not block.
    pub fn reports(mut self, sink: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Self {
        self.options.reports = Reports::to(sink);
        self
    }

    /// Opens the streams, instead of [`Network`].
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.options.connector = Box::new(connector);
        self
    }

    /// Makes keys, masks and jitter the same in each run: for tests and simulations, and for nothing else, since
    /// masks protect only while nobody can guess them.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }
}

impl Options {
    fn note(&mut self, problem: BuildError) {
        self.problem.get_or_insert(problem);
    }

    /// The first problem of the options that a client could only fail with later.
    fn check(&self) -> Result<(), BuildError> {
        let numbers = [
            ("message_bytes", self.message_bytes),
            ("outbox", self.outbox_messages.min(self.outbox_bytes)),
            ("calls", self.calls),
        ];
        if let Some((option, _)) = numbers.iter().find(|(_, number)| *number == 0) {
            return Err(BuildError::Zero(option));
        }
        let times = [
            ("call_timeout", self.call_timeout),
            ("connect_timeout", self.connect_timeout),
            ("close_timeout", self.close_timeout),
            ("heartbeat", self.heartbeat.unwrap_or(TIME_MAX)),
        ];
        for (option, time) in times {
            if time.is_zero() {
                return Err(BuildError::Zero(option));
            }
            if time > TIME_MAX {
                return Err(BuildError::TooLong(option));
            }
        }
        match &self.reconnect {
            Reconnect::Never => Ok(()),
            Reconnect::Backoff(backoff) => {
                backoff.problem().map_or(Ok(()), |it| Err(BuildError::Backoff(it)))
            }
        }
    }

    /// The request of each attempt, but for its key.
    fn request(&mut self, address: &Address) -> Result<Request, BuildError> {
        let mut request = self.request.clone();
        address.authority().clone_into(&mut request.host);
        address.path().clone_into(&mut request.path);
        if !self.plain_socka {
            let ours = [Some(self.format.subprotocol().to_owned()), self.version.take()];
            request.protocols.splice(0..0, ours.into_iter().flatten());
        }
        // What cannot be sent is found out now, and not by an attempt that nobody watches.
        Handshake::start(request.clone())?;
        Ok(request)
    }
}

impl<C: From<Client>> Builder<C> {
    /// Makes the client, which begins to connect if [`auto_connect`](Self::auto_connect) is on. It runs on a task of
    /// the runtime it is built on, until its last handle is dropped.
    ///
    /// # Errors
    /// The address or an option is not usable, or there is no tokio runtime.
    pub fn build(self) -> Result<C, BuildError> {
        let mut options = self.options;
        options.problem.take().map_or(Ok(()), Err)?;
        options.check()?;
        let address = Address::parse(&options.url)?;
        let request = options.request(&address)?;
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let random =
            options.seed.map_or_else(StdRng::try_from_os_rng, |seed| Ok(StdRng::seed_from_u64(seed)));

        let limits = Limits {
            format: options.format,
            close_timeout: options.close_timeout,
            outbox_messages: options.outbox_messages,
            outbox_bytes: options.outbox_bytes,
            calls: options.calls,
            offline: options.offline,
            rate_limit_retries: options.rate_limit_retries,
        };
        let core = Arc::new(Core::new(limits, options.reports, options.auto_connect));
        let dropped = CancellationToken::new();
        let driver = Driver {
            core: Arc::clone(&core),
            dropped: dropped.clone(),
            connector: options.connector,
            address,
            request,
            subprotocol: (!options.plain_socka).then(|| options.format.subprotocol()),
            connect_timeout: options.connect_timeout,
            heartbeat: options.heartbeat,
            message_bytes: options.message_bytes,
            reconnect: options.reconnect,
            random: random.map_err(|_| BuildError::NoRandomness)?,
        };
        runtime.spawn(driver.run());
        Ok(Client::new(core, dropped, options.call_timeout).into())
    }

    /// Makes the client and waits until its first attempt to connect has succeeded. If it fails there is no client:
    /// one that is to go on trying comes from [`build`](Self::build).
    ///
    /// # Errors
    /// The client cannot be built, or the attempt failed.
    pub async fn connect(self) -> Result<C, ConnectError>
    where
        C: AsRef<Client>,
    {
        // Begun by `connect`, so that its outcome cannot be missed.
        let client = self.auto_connect(false).build()?;
        client.as_ref().connect().await?;
        Ok(client)
    }
}

/// A client that cannot be made; the text says what to write instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The address.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// A header that HTTP cannot carry. Its value is not shown: it may be a secret.
    #[error("the header {0:?} cannot be sent: names are tokens, values are visible ASCII")]
    Header(Box<str>),
    /// A header or subprotocol that the handshake does not take.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// An option that is zero.
    #[error("`{0}` is zero, with which nothing would ever work: write more")]
    Zero(&'static str),
    /// A limit of time beyond a year.
    #[error("`{0}` is more than a year, which is as good as no limit: write less")]
    TooLong(&'static str),
    /// The delays between attempts to connect.
    #[error("the backoff cannot be used: {0}")]
    Backoff(&'static str),
    /// There is no tokio runtime to run on.
    #[error("a client runs on a tokio runtime: build it inside of one")]
    NoRuntime,
    /// The operating system has no random numbers.
    #[error("the operating system has no random numbers to give")]
    NoRandomness,
}

impl<C> fmt::Debug for Builder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { url, format, .. } = &self.options;
        f.debug_struct("Builder").field("url", url).field("format", format).finish_non_exhaustive()
    }
}
