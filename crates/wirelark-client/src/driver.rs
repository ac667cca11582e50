//! The task of a client: it connects, reads and writes, and connects again.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use wirelark_proto::handshake::client::{Connected, Request};
use wirelark_proto::{CloseCode, CloseFrame};

use crate::address::Address;
use crate::closed::Closed;
use crate::connect::{self, ConnectError};
use crate::connector::{Connector, Stream};
use crate::core::{Core, Queued};
use crate::link::{Link, Over, Turn};
use crate::reconnect::Reconnect;

/// What only the task needs of what a client was built with.
pub(crate) struct Driver {
    pub(crate) core: Arc<Core>,
    /// Fires when the last handle is gone.
    pub(crate) dropped: CancellationToken,
    pub(crate) connector: Box<dyn Connector>,
    pub(crate) address: Address,
    /// The request of each attempt, but for its key.
    pub(crate) request: Request,
    /// What the server must agree to.
    pub(crate) subprotocol: Option<&'static str>,
    pub(crate) connect_timeout: Duration,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) message_bytes: usize,
    pub(crate) reconnect: Reconnect,
    pub(crate) random: StdRng,
}

/// Why there is no connection.
enum Ended {
    /// The application asked for it, and has been told.
    Asked,
    /// It was lost, or could not be made. The server may have asked to be left alone for a while.
    Lost(Closed, Option<Duration>),
}

impl Driver {
    /// Runs until the last handle is gone.
    pub(crate) async fn run(mut self) {
        while self.wanted().await {
            self.core.connecting();
            self.stay_connected().await;
        }
        self.core.give_up(&Closed::by_client(gone()));
    }

    /// Waits until a connection is wanted. `false` if none ever will be.
    async fn wanted(&self) -> bool {
        loop {
            if self.dropped.is_cancelled() {
                return false;
            }
            if let Some(frame) = self.core.asked_to_close() {
                self.close(frame);
            }
            if self.core.takes_connect() {
                return true;
            }
            self.woken().await;
        }
    }

    async fn woken(&self) {
        tokio::select! {
            () = self.core.woken() => {}
            () = self.dropped.cancelled() => {}
        }
    }

    /// The close that is due: the one that was asked for, or that of a client nobody holds any more.
    fn close_due(&self) -> Option<CloseFrame> {
        self.core.asked_to_close().or_else(|| self.dropped.is_cancelled().then(gone))
    }

    /// Connects, again and again, until there is no point in it.
    async fn stay_connected(&mut self) {
        let (mut attempt, mut waited) = (0, Duration::ZERO);
        loop {
            let ended = match self.attempt().await {
                Err(ended) => ended,
                Ok((stream, connected)) => {
                    let opened = Instant::now();
                    let ended = self.serve(stream, &connected).await;
                    if opened.elapsed() > waited {
                        attempt = 0;
                    }
                    ended
                }
            };
            let (closed, asked) = match ended {
                Ended::Asked => return,
                Ended::Lost(closed, asked) => (closed, asked),
            };
            attempt += 1;
            let Some(delay) = self.reconnect.delay(attempt, &closed, asked, &mut self.random) else {
                return self.core.give_up(&closed);
            };
            self.core.reconnecting(attempt, delay, &closed);
            waited = delay;
            if let ControlFlow::Break(frame) = self.rest(delay).await {
                return self.close(frame);
            }
        }
    }

    /// Waits before the next attempt, unless somebody wants it now.
    async fn rest(&self, delay: Duration) -> ControlFlow<CloseFrame> {
        let mut sleep = std::pin::pin!(sleep(delay));
        loop {
            if let Some(frame) = self.close_due() {
                return ControlFlow::Break(frame);
            }
            if self.core.takes_connect() {
                return ControlFlow::Continue(());
            }
            tokio::select! {
                () = &mut sleep => return ControlFlow::Continue(()),
                () = self.woken() => {}
            }
        }
    }

    /// Closes the client while it has no connection.
    fn close(&self, frame: CloseFrame) {
        for name in self.core.close(frame).iter().map(Queued::name) {
            self.core.report_lost(name);
        }
        self.core.close_done();
    }

    /// Tries once.
    async fn attempt(&mut self) -> Result<(Box<dyn Stream>, Connected), Ended> {
        let request = Request { key: self.random.random(), ..self.request.clone() };
        let opening = connect::open(&*self.connector, &self.address, request);
        let mut opening = std::pin::pin!(timeout(self.connect_timeout, opening));
        let opened = loop {
            if let Some(frame) = self.close_due() {
                self.close(frame);
                return Err(Ended::Asked);
            }
            tokio::select! {
                biased;
                opened = &mut opening => break opened.unwrap_or(Err(ConnectError::Timeout)),
                () = self.woken() => {}
            }
        };
        opened.and_then(|opened| self.check_subprotocol(opened)).map_err(|error| {
            let (closed, asked) = (error.closed(), error.retry_after());
            self.core.failed(error);
            Ended::Lost(closed, asked)
        })
    }

    fn check_subprotocol(
        &self,
        (stream, connected): (Box<dyn Stream>, Connected),
    ) -> Result<(Box<dyn Stream>, Connected), ConnectError> {
        match self.subprotocol {
            Some(offered) if connected.protocol.as_deref() != Some(offered) => {
                Err(ConnectError::Subprotocol(offered))
            }
            _ => Ok((stream, connected)),
        }
    }

    /// Reads and writes until the connection ends.
    async fn serve(&mut self, stream: Box<dyn Stream>, connected: &Connected) -> Ended {
        let mut link = Link::new(stream, connected, self.message_bytes);
        self.core.open();
        let mut first = connected.rest.to_vec();
        if let Err(over) = link.take_in(&mut first, |kind, frame| self.core.receive(kind, frame)) {
            return self.hang_up(link, over).await;
        }
        let heartbeat = self.heartbeat.unwrap_or_default();
        let mut beat = std::pin::pin!(sleep(heartbeat));
        loop {
            if let Some(frame) = self.close_due() {
                return self.say_goodbye(link, frame).await;
            }
            self.fill(&mut link);
            tokio::select! {
                biased;
                turn = poll_fn(|cx| link.poll_turn(cx)) => match turn {
                    Ok(Turn::Written) => {}
                    Ok(Turn::Read(0)) => return self.lose("the connection ended without a close frame"),
                    Ok(Turn::Read(len)) => {
                        let read = link.take_read(len, |kind, frame| self.core.receive(kind, frame));
                        if let Err(over) = read {
                            return self.hang_up(link, over).await;
                        }
                    }
                    Err(error) => return self.lose(&error.to_string()),
                },
                () = self.woken() => {}
                () = &mut beat, if self.heartbeat.is_some() => {
                    if !link.beat(heartbeat, &mut self.random) {
                        return self.lose("the server did not answer a ping");
                    }
                    beat.as_mut().reset(link.next_beat(heartbeat));
                }
            }
        }
    }

    /// Puts what waits to be sent into the next write.
    fn fill(&mut self, link: &mut Link) {
        if link.has_room() {
            link.queue_pong(&mut self.random);
        }
        let kind = self.core.limits.format.kind();
        let mut made_room = false;
        while link.has_room()
            && let Some(frame) = self.core.next_frame()
        {
            link.queue(kind, &frame, &mut self.random);
            made_room = true;
        }
        if made_room {
            self.core.made_room();
        }
    }

    /// Answers the server's close, or tells it what it did wrong. Callers hear of it first.
    async fn hang_up(&mut self, mut link: Link, over: Over) -> Ended {
        let (closed, answer) = match over {
            Over::Closed(frame) => (Closed::by_server(frame.clone()), frame),
            Over::Violated(error) => {
                let frame = CloseFrame::new(error.close_code(), error.reason());
                (Closed::by_client(frame.clone()), Some(frame))
            }
        };
        self.core.lose_sent(&closed);
        link.queue_close(answer, &mut self.random);
        let _ = timeout(self.core.limits.close_timeout, link.finish()).await;
        Ended::Lost(closed, None)
    }

    /// Closes the connection as it was asked to: behind what was sent before.
    async fn say_goodbye(&mut self, mut link: Link, frame: CloseFrame) -> Ended {
        let kind = self.core.limits.format.kind();
        for send in self.core.close(frame.clone()) {
            link.queue(kind, send.frame(), &mut self.random);
        }
        link.queue_close(Some(frame), &mut self.random);
        let _ = timeout(self.core.limits.close_timeout, link.close()).await;
        self.core.close_done();
        Ended::Asked
    }

    fn lose(&self, why: &str) -> Ended {
        let closed = Closed::by_network(why);
        self.core.lose_sent(&closed);
        Ended::Lost(closed, None)
    }
}

/// What a client says when nobody holds it any more.
fn gone() -> CloseFrame {
    CloseFrame::new(CloseCode::GOING_AWAY, "")
}
