//! Working: each lane takes what is due, runs it, and settles it; each schedule fires.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wirelark::Hub;

use crate::attempt;
use crate::clock::{Clock, Millis};
use crate::cron::Cron;
use crate::job::Fire;
use crate::jobs::{Inner, Scheduled};
use crate::lane::Lane;
use crate::metric_names as names;
use crate::store::{End, NewJob, Settled, Store, Turn};

/// After the store has failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How often a lane that ends asks a failing store. What is not settled then is taken back at the next start.
const LAST_TRIES: u32 = 3;

/// How often what is done is thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Works until `stop`, and until what runs has ended or was given back.
pub(crate) async fn work(inner: Arc<Inner>, hub: Hub, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    for lane in inner.lanes.values() {
        let (inner, lane, hub, stop) = (Arc::clone(&inner), Arc::clone(lane), hub.clone(), stop.clone());
        tasks.spawn(async move { work_on(&inner.store, inner.clock, lane, hub, stop).await });
    }
    for index in 0..inner.schedules.len() {
        let (inner, stop) = (Arc::clone(&inner), stop.clone());
        let firing = async move { keep_firing(&inner.store, inner.clock, &inner.schedules[index]).await };
        tasks.spawn(async move { stop.run_until_cancelled(firing).await.unwrap_or_default() });
    }
    let sweeping = async move {
        loop {
            sleep(SWEEP_EVERY).await;
            if let Err(error) = inner.store.sweep().await {
                tracing::error!(%error, "what is done could not be thrown away");
            }
        }
    };
    tasks.spawn(async move { stop.run_until_cancelled_owned(sweeping).await.unwrap_or_default() });
    // They end together. A panic in one is a bug of ours, and should be seen as one.
    tasks.join_all().await;
}

/// Keeps as many jobs of a lane running as may run. Places are given away again only in the turn that settles who had them.
async fn work_on(store: &Store, clock: Clock, lane: Arc<Lane>, hub: Hub, stop: CancellationToken) {
    let mut running: JoinSet<Settled> = JoinSet::new();
    let mut ended: Vec<Settled> = Vec::new();
    loop {
        let free = match stop.is_cancelled() {
            true => 0,
            false => lane.limits.concurrency - running.len(),
        };
        let Some(Turn { taken, next_due }) =
            turn(store, &lane, std::mem::take(&mut ended), free, &stop).await
        else {
            // Nothing can be settled any more, but what runs has its time to end all the same.
            while running.join_next().await.is_some() {}
            return;
        };
        for taken in taken {
            let (lane, hub, stop) = (Arc::clone(&lane), hub.clone(), stop.clone());
            running.spawn(async move { attempt::run(&lane, taken, hub, clock, &stop).await });
        }
        if stop.is_cancelled() && running.is_empty() {
            return;
        }
        let has_room = running.len() < lane.limits.concurrency && !stop.is_cancelled();
        tokio::select! {
            Some(first) = running.join_next() => {
                let others = std::iter::from_fn(|| running.try_join_next());
                let all = std::iter::once(first).chain(others);
                ended.extend(all.map(|ended| ended.expect("panics of handlers are caught, and nobody aborts them")));
            }
            () = lane.backlog.arrival(), if has_room => {}
            () = clock.sleep_until(next_due.unwrap_or(Millis::MAX)), if has_room && next_due.is_some() => {}
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
    }
}

/// A turn at the store, however often it fails: a full disk is a state that passes. Nothing if it fails still when the
/// server stops.
async fn turn(
    store: &Store,
    lane: &Lane,
    ended: Vec<Settled>,
    free: usize,
    stop: &CancellationToken,
) -> Option<Turn> {
    let ended = Arc::new(ended);
    let mut last_tries = LAST_TRIES;
    loop {
        match store.turn(&lane.key, &ended, free).await {
            Ok(turn) => {
                ended.iter().filter(|settled| is_over(&settled.end)).for_each(|_| lane.backlog.leave());
                return Some(turn);
            }
            Err(error) => {
                tracing::error!(%error, queue = &**lane.name(), "the job store failed: trying again")
            }
        }
        if stop.is_cancelled() {
            last_tries -= 1;
            if last_tries == 0 {
                return None;
            }
        }
        sleep(STORE_PAUSE).await;
    }
}

fn is_over(end: &End) -> bool {
    match end {
        End::Done | End::Failed { .. } | End::Dead { .. } => true,
        End::Retry { .. } | End::Returned => false,
    }
}

/// Stores a run at each fire time. What was missed while nothing ran, or while the machine slept, is made up for by one
/// run: the newest.
async fn keep_firing(store: &Store, clock: Clock, schedule: &Scheduled) {
    let mut last = loop {
        match store.record(schedule.lane.name()).await {
            Ok(record) => break record.fired,
            Err(error) => store_failed(schedule, &error).await,
        }
    };
    while let Some(due) = next_fire(&schedule.cron, last, clock.now()) {
        clock.sleep_until(due).await;
        let run = run_of(&schedule.lane, Fire { due, by_hand: false });
        match store.fire(due, run, schedule.about.overlap.runs_max()).await {
            Ok(true) => {
                metrics::counter!(names::ENQUEUED, "queue" => schedule.lane.name().to_string()).increment(1);
            }
            Ok(false) => {
                tracing::warn!(schedule = schedule.about.name, "left out: earlier runs have not ended");
                metrics::counter!(names::SKIPPED, "queue" => schedule.lane.name().to_string()).increment(1);
            }
            Err(error) => {
                store_failed(schedule, &error).await;
                continue;
            }
        }
        last = due;
    }
    // Nothing comes any more, or ever came.
    std::future::pending().await
}

/// The next fire time after `last`; where several have passed, the newest.
fn next_fire(cron: &Cron, last: Millis, now: Millis) -> Option<Millis> {
    let next = cron.next_after(last)?;
    match next <= now {
        true => cron.last_until(now).or(Some(next)),
        false => Some(next),
    }
}

async fn store_failed(schedule: &Scheduled, error: &crate::StoreError) {
    tracing::error!(%error, schedule = schedule.about.name, "the job store failed: trying again");
    sleep(STORE_PAUSE).await;
}

/// A run of a schedule, to be stored.
pub(crate) fn run_of(lane: &Lane, fire: Fire) -> NewJob {
    let payload = serde_json::to_vec(&fire).expect("a number and a flag can be written");
    let (lane, backlog) = (Arc::clone(lane.name()), Arc::clone(&lane.backlog));
    NewJob { lane, backlog, payload, user: None, due: fire.due, attempts: 1, key: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_fire_times_that_were_missed_the_newest_is_made_up_for() {
        const DAY: Millis = 86_400_000;
        let cron = Cron::parse("0 0 * * *", 0).expect("a good schedule");
        assert_eq!(next_fire(&cron, 10 * DAY, 10 * DAY + 5), Some(11 * DAY));
        assert_eq!(next_fire(&cron, 10 * DAY, 11 * DAY), Some(11 * DAY));
        assert_eq!(next_fire(&cron, 10 * DAY, 15 * DAY + 5), Some(15 * DAY));
    }
}
