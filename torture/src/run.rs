//! Frames by the batch, and what must hold after each.
//!
//! Whether a reply is missing is counted and not timed. Behind every batch comes a call of ours, the *last call*. The
//! server answers in order, so that whatever has no reply when the last call has one will never get one; except for the
//! two calls that wait for something, whose replies are waited for. A connection that ends takes the calls with it that
//! were still waiting then, and no others: what came before the end is answered before the end.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::json;
use tokio::time::sleep;
use wirelark_proto::contract::{Format, Request};
use wirelark_proto::{CloseCode, Kind, Message};

use crate::connection::{Connection, Seen};
use crate::frames::{Frame, format_of};
use crate::ledger::Ledger;
use crate::oracle::Due;
use crate::reply::{self, Reply};
use crate::server::Server;

/// What was not as it should be.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: anyhow::Error,
    /// The frame it is known to come from, or all that were sent since the last check.
    pub(crate) frames: Range<u64>,
}

/// What happened to the frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    pub(crate) replies: u64,
    pub(crate) sends: u64,
    pub(crate) malformed: u64,
    pub(crate) ends: u64,
    pub(crate) hung_up: u64,
    pub(crate) honest_calls: u64,
}

/// A client that means harm, and one that does not, in each format.
pub(crate) struct Run<'s> {
    server: &'s mut Server,
    seed: u64,
    hostile: [Option<Connection>; 2],
    honest: [Connection; 2],
    tally: Tally,
}

impl<'s> Run<'s> {
    pub(crate) async fn start(server: &'s mut Server, seed: u64) -> Result<Self> {
        let json = Connection::open(&server.address, Format::Json).await?;
        let msgpack = Connection::open(&server.address, Format::MsgPack).await?;
        Ok(Self { server, seed, hostile: [None, None], honest: [json, msgpack], tally: Tally::default() })
    }

    pub(crate) fn server(&self) -> &Server {
        self.server
    }

    /// Sends the frames of some numbers, at most a batch of them, and checks what there is to check.
    pub(crate) async fn batch(&mut self, numbers: Range<u64>) -> Result<(), Failure> {
        let format = format_of(numbers.start);
        let frames: Vec<_> = numbers.clone().map(|number| Frame::new(self.seed, number)).collect();
        // A frame that ends its connection is the last one on it.
        for frames in frames.split_inclusive(|frame| frame.ends_connection()) {
            self.send(format, frames).await?;
        }
        self.tally.frames += frames.len() as u64;
        let checked = self.check().await;
        checked.map_err(|why| Failure { why: self.server.last_words_or(why), frames: numbers })
    }

    /// Sends frames on one connection and settles what is owed for them.
    async fn send(&mut self, format: Format, frames: &[Frame]) -> Result<(), Failure> {
        let [Some(first), Some(last)] = [frames.first(), frames.last()] else { return Ok(()) };
        let mut blamed = None;
        let settled = self.exchange(format, frames, &mut blamed).await;
        settled.map_err(|why| {
            let frames = blamed.map_or(first.number..last.number + 1, |number| number..number + 1);
            Failure { why: self.server.last_words_or(why), frames }
        })
    }

    async fn exchange(&mut self, format: Format, frames: &[Frame], blamed: &mut Option<u64>) -> Result<()> {
        let slot = &mut self.hostile[format as usize];
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => Connection::open(&self.server.address, format).await?,
        };
        let mut ledger = Ledger::default();
        frames.iter().for_each(|frame| ledger.note(frame.number, &frame.due));
        self.tally.count(frames);
        let (whole, end) = match frames.split_last() {
            Some((last, whole)) if last.ends_connection() => (whole, Some(last)),
            _ => (frames, None),
        };
        whole.iter().for_each(|frame| connection.queue(&frame.wire));
        if let Some(Frame { wire, due: Due::Close(code), .. }) = end {
            connection.queue(wire);
            return expect_close(&mut connection, ledger, *code, blamed).await;
        }
        let last = format!("last {}", self.tally.frames);
        connection.queue_message(call(format, &last, "list", &json!({}))?);
        expect_all(&mut connection, ledger, &last, blamed).await?;
        match end {
            Some(half) => connection.hang_up(&half.wire).await,
            None => {
                *slot = Some(connection);
                Ok(())
            }
        }
    }

    /// The server lives, has not complained, and serves others.
    async fn check(&mut self) -> Result<()> {
        self.server.check_is_well()?;
        for honest in &mut self.honest {
            let id = format!("honest {}", self.tally.honest_calls);
            let echo = call(honest.format(), &id, "echo", &json!({ "text": "served?" }))?;
            honest.queue_message(echo);
            let answered = next_reply(honest).await.context("an honest client was not served")?;
            ensure!(answered == Reply { id, error: None }, "an honest client got {answered:?}");
            self.tally.honest_calls += 1;
        }
        Ok(())
    }

    /// Closes every connection, hears whatever else there is to hear, and compares what the server has counted.
    pub(crate) async fn finish(self) -> Result<Tally> {
        for mut connection in self.hostile.into_iter().flatten().chain(self.honest) {
            connection.queue_close();
            expect_close(&mut connection, Ledger::default(), CloseCode::NORMAL.into(), &mut None).await?;
        }
        let panics = self.server.metric("websocket_handler_panics_total")?;
        ensure!(panics == 0, "{panics} handlers panicked");
        let malformed = self.server.metric("websocket_contract_malformed_total")?;
        let expected = self.tally.malformed;
        ensure!(
            malformed == expected,
            "the server counted {malformed} frames that are none, sent were {expected}"
        );
        all_have_left(self.server).await?;
        self.server.check_is_well()?;
        Ok(self.tally)
    }
}

/// Waits until the server has noticed that nobody is there any more, those who hung up included.
async fn all_have_left(server: &Server) -> Result<()> {
    for _ in 0..400 {
        if server.metric("websocket_connections_active")? == 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    bail!("20 s after the last connection was closed, some are still counted as open")
}

impl Tally {
    fn count(&mut self, frames: &[Frame]) {
        for frame in frames {
            let counter = match frame.due {
                Due::Reply { .. } => &mut self.replies,
                Due::Nothing => &mut self.sends,
                Due::Malformed => &mut self.malformed,
                Due::Close(_) => &mut self.ends,
                Due::HungUp => &mut self.hung_up,
            };
            *counter += 1;
        }
    }
}

/// Every reply, and that of the last call behind them.
async fn expect_all(
    connection: &mut Connection,
    mut ledger: Ledger,
    last: &str,
    blamed: &mut Option<u64>,
) -> Result<()> {
    let format = connection.format();
    let mut is_last_answered = false;
    let replies = connection.exchange(|seen| {
        let Some(reply) = expect_message(format, seen)? else { return Ok(ControlFlow::Continue(())) };
        if !is_last_answered && reply.id == last {
            is_last_answered = true;
            if let Some(frame) = ledger.first_overdue() {
                *blamed = Some(frame);
                bail!("it was not answered, and a later call was");
            }
        } else {
            ledger.settle(&reply).map_err(anyhow::Error::msg)?;
        }
        Ok(done_if(is_last_answered && ledger.is_settled()))
    });
    let replied = replies.await;
    if replied.is_err() && blamed.is_none() {
        *blamed = ledger.first_owed().filter(|_| is_last_answered);
    }
    replied
}

/// Every reply that does not wait for anything, and then the end.
async fn expect_close(
    connection: &mut Connection,
    mut ledger: Ledger,
    expected: u16,
    blamed: &mut Option<u64>,
) -> Result<()> {
    let format = connection.format();
    connection
        .exchange(|seen| {
            if let Seen::Closed(frame) = seen {
                if let Some(frame) = ledger.first_overdue() {
                    *blamed = Some(frame);
                    bail!("it was not answered before the connection ended");
                }
                let code = frame.map(|frame| u16::from(frame.code));
                ensure!(code == Some(expected), "the connection ended with {code:?} and not with {expected}");
                return Ok(ControlFlow::Break(()));
            }
            if let Some(reply) = expect_message(format, seen)? {
                ledger.settle(&reply).map_err(anyhow::Error::msg)?;
            }
            Ok(ControlFlow::Continue(()))
        })
        .await
}

async fn next_reply(connection: &mut Connection) -> Result<Reply> {
    let format = connection.format();
    let mut reply = None;
    let read = connection.exchange(|seen| {
        reply = expect_message(format, seen)?;
        Ok(done_if(reply.is_some()))
    });
    read.await?;
    reply.context("no reply came")
}

fn expect_message(format: Format, seen: Seen<'_>) -> Result<Option<Reply>> {
    match seen {
        Seen::Message { is_text, payload } => reply::read(format, is_text, payload),
        Seen::Closed(frame) => Err(anyhow!("the server closed a connection that was well: {frame:?}")),
    }
}

fn done_if(done: bool) -> ControlFlow<()> {
    if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// An honest call, written by the protocol crate like that of any client.
fn call(format: Format, id: &str, name: &str, body: &serde_json::Value) -> Result<Message> {
    let mut frame = Vec::new();
    Request { id: id.into(), call: name.into(), body }.encode(format, &mut frame)?;
    Ok(match format.kind() {
        Kind::Text => Message::from(String::from_utf8(frame)?),
        _ => Message::from(frame),
    })
}
