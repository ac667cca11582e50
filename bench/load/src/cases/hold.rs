//! Holding: many sessions of a contract, each of a user and in a room with others, rest while heartbeats go on. Each
//! answers a call before and after, and the answer names everybody in its room.

use std::borrow::Cow;
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Generator;
use super::idle::Weight;
use crate::connection::{Connection, Target};
use crate::opening::AT_ONCE;
use crate::report::Hold;

/// Who comes is announced to the room, so that rooms are small.
const ROOM: usize = 50;
/// Until those that left are gone from their rooms.
const SETTLE: Duration = Duration::from_secs(1);

/// Holds `count` sessions for `rest`.
pub fn run(generator: &mut Generator, count: usize, rest: Duration) -> Result<Hold> {
    // What the first sessions make a server allocate once is not theirs.
    let mut first = generator.open_each(AT_ONCE, session, |_| Ok(()))?;
    ask_each(generator, &mut first)?;
    drop(first);
    sleep(SETTLE);
    let before = Weight::take(generator)?;
    let mut sessions = generator.open_each(count, session, |_| Ok(()))?;
    ask_each(generator, &mut sessions)?;
    let pings_before: Vec<u32> = sessions.iter().map(Connection::pings).collect();
    let began = Instant::now();
    while began.elapsed() < rest {
        generator.poller.allow_silence();
        generator.listen(&mut sessions, |_, _| Ok(()))?;
    }
    let footprint = Weight::take(generator)?.per_connection(&before, count);
    ask_each(generator, &mut sessions)?;
    let pings = sessions.iter().zip(pings_before).map(|(session, before)| session.pings() - before);
    Ok(Hold { connections: count, seconds: rest.as_secs_f64(), pings: pings.min().unwrap_or(0), footprint })
}

fn session(target: &Target, number: usize) -> Cow<'_, Target> {
    let path = format!("{}/r{}?name=n{number}", target.path, number / ROOM);
    Cow::Owned(Target { path, ..target.clone() })
}

/// Each asks who is in its room, few at the same time.
fn ask_each(generator: &mut Generator, sessions: &mut [Connection]) -> Result<()> {
    let count = sessions.len();
    let (mut asked, mut answered) = (0, 0);
    while answered < count {
        while asked < count && asked - answered < AT_ONCE {
            sessions[asked]
                .queue_text(br#"{"socka":"clientRequest","v":1,"id":"who","rpc":"who","body":{}}"#);
            sessions[asked].flush(&generator.poller)?;
            asked += 1;
        }
        generator.listen(sessions, |number, message| {
            let message: Value = serde_json::from_slice(message)?;
            if message["socka"] == "serverEvent" {
                return Ok(());
            }
            let people = message["body"].as_array().into_iter().flatten();
            let names: HashSet<&str> = people.filter_map(|person| person["name"].as_str()).collect();
            let first = number - number % ROOM;
            let due = first..(first + ROOM).min(count);
            ensure!(
                names.len() == due.len() && due.clone().all(|number| names.contains(&*format!("n{number}"))),
                "session {number} was told {names:?}, and n{} to n{} were due",
                due.start,
                due.end - 1,
            );
            answered += 1;
            Ok(())
        })?;
    }
    Ok(())
}
