//! Who hears of which push, and in which order.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use wirelark_client::{Client, CloseCode, ReportKind, Subscription, WaitError};

use crate::fake::{Log, Peer, connected, fake, reporting};

/// Until everything that was pushed has been handed out.
async fn settle(client: &Client, peer: &mut Peer) {
    let (answer, ()) = tokio::join!(client.call::<_, Value>("flush", &()), peer.answer("flush", json!(0)));
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_their_pushes_in_order() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let heard = Log::default();
    let listener = |listener: &'static str| {
        let heard = heard.clone();
        move |n: u32| heard.add((listener, n))
    };
    let first = client.on("tick", listener("first"));
    let _second = client.on("tick", listener("second"));
    let _once = client.once("tick", listener("once"));
    let _other = client.on("tock", listener("other"));
    peer.push("tick", json!(1)).await;
    peer.push("unknown", json!(1)).await;
    peer.push("tick", json!(2)).await;
    settle(&client, &mut peer).await;
    assert_eq!(heard.take(), [("first", 1), ("second", 1), ("once", 1), ("first", 2), ("second", 2)]);
    drop(first);
    peer.push("tick", json!(3)).await;
    settle(&client, &mut peer).await;
    assert_eq!(heard.take(), [("second", 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_seen_after_the_pushes_before_it() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let heard = Log::default();
    let pushes = heard.clone();
    client.on("tick", move |n: u32| pushes.add(n)).detach();
    let (answer, ()) = tokio::join!(
        async {
            let answer: u32 = client.call("count", &()).await.unwrap();
            (answer, heard.take())
        },
        async {
            let (id, _) = peer.request("count").await;
            peer.push("tick", json!(1)).await;
            peer.push("tick", json!(2)).await;
            peer.respond(&id, "count", json!(2)).await;
        }
    );
    assert_eq!(answer, (2, vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_push_without_a_body_is_a_unit() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let heard = Log::default();
    let (units, options) = (heard.clone(), heard.clone());
    client.on("cleared", move |()| units.add(())).detach();
    client.on("cleared", move |_: Option<u32>| options.add(())).detach();
    peer.json(json!({"socka": "serverEvent", "v": 1, "event": "cleared"})).await;
    settle(&client, &mut peer).await;
    assert_eq!(heard.take(), [(), ()]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_fails_is_reported_and_the_others_run() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    let heard = Log::default();
    let last = heard.clone();
    client.on("tick", |n: u32| assert!(n > 1, "one is too few")).detach();
    client.on("tick", |_: String| unreachable!("it is a number")).detach();
    client.on("tick", move |n: u32| last.add(n)).detach();
    for n in [1, 2] {
        peer.push("tick", json!(n)).await;
    }
    settle(&client, &mut peer).await;
    assert_eq!(heard.take(), [1, 2]);
    let kinds: Vec<_> = reports.take().into_iter().map(|(kind, name, _)| (kind, name.unwrap())).collect();
    let tick = || "tick".to_owned();
    assert_eq!(
        kinds,
        [
            (ReportKind::Listener, tick()),
            (ReportKind::InvalidPush, tick()),
            (ReportKind::InvalidPush, tick())
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn listeners_may_come_and_go_while_they_are_called() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let heard = Log::default();
    let kept: std::sync::Arc<parking_lot::Mutex<Vec<Subscription>>> = std::sync::Arc::default();
    let (inner, keep, also) = (client.clone(), kept.clone(), heard.clone());
    client
        .on("tick", move |n: u32| {
            also.add(("outer", n));
            let also = also.clone();
            let fresh = inner.on("tick", move |n: u32| also.add(("inner", n)));
            let gone = std::mem::replace(&mut *keep.lock(), vec![fresh]);
            drop(gone);
        })
        .detach();
    for n in [1, 2, 3] {
        peer.push("tick", json!(n)).await;
    }
    settle(&client, &mut peer).await;
    // One that is added while a push is handed out hears of the next one. One that is dropped then, still of this.
    assert_eq!(heard.take(), [("outer", 1), ("outer", 2), ("inner", 2), ("outer", 3), ("inner", 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_push_can_be_waited_for() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let wait = |n: u32| client.wait_for("tick", Duration::from_secs(5), move |got: &u32| *got == n);
    let waiting = wait(2);
    let forgotten = wait(1);
    drop(forgotten);
    for n in [1, 2, 3] {
        peer.push("tick", json!(n)).await;
    }
    settle(&client, &mut peer).await;
    assert_eq!(waiting.await, Ok(2));
    let began = Instant::now();
    assert_eq!(wait(2).await, Err(WaitError::Timeout));
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn waits_outlive_a_connection_and_not_the_client() {
    let (client, peer, mut fake) = connected(|it| it).await;
    let wait = |name: &str| {
        client.wait_for("tick", Duration::from_secs(60), {
            let name = name.to_owned();
            move |got: &String| *got == name
        })
    };
    let (first, second) = (wait("first"), wait("second"));
    drop(peer);
    let mut peer = fake.accept().await;
    peer.push("tick", json!("first")).await;
    assert_eq!(first.await, Ok("first".to_owned()));
    peer.close(1008, "").await;
    assert_eq!(second.await, Err(WaitError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_pushes_for_its_reader() {
    let (client, mut peer, _fake) = connected(|it| it).await;
    let mut ticks = client.pushes::<u32>("tick", NonZeroUsize::new(8).unwrap());
    for n in 0..8 {
        peer.push("tick", json!(n)).await;
    }
    for n in 0..8 {
        assert_eq!(ticks.next().await, Some(n));
    }
    assert_eq!(ticks.lagged(), 0);
    let (next, ()) = tokio::join!(ticks.next(), peer.push("tick", json!(8)));
    assert_eq!(next, Some(8));
    peer.push("tick", json!(9)).await;
    tokio::join!(client.close(CloseCode::NORMAL, ""), peer.expect_close(1000, ""));
    // What arrived before the close is still there, and then it ends.
    let rest = [ticks.next().await, ticks.next().await];
    assert!(matches!(rest, [Some(9), None] | [None, None]), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_full_drops_the_oldest_and_counts() {
    let (builder, mut fake) = fake();
    let (builder, reports) = reporting(builder);
    let client = builder.build().unwrap();
    let mut peer = fake.accept().await;
    let mut ticks = client.pushes::<u32>("tick", NonZeroUsize::new(3).unwrap());
    for n in 0..10 {
        peer.push("tick", json!(n)).await;
    }
    settle(&client, &mut peer).await;
    assert_eq!(ticks.lagged(), 7);
    assert_eq!([ticks.next().await, ticks.next().await, ticks.next().await], [Some(7), Some(8), Some(9)]);
    assert_eq!(ticks.lagged(), 0);
    let lagged = (ReportKind::Lagged, Some("tick".to_owned()), "the oldest push was dropped".to_owned());
    assert_eq!(reports.take(), std::slice::from_ref(&lagged));
    // Caught up, and behind once more: that is news again.
    for n in 0..5 {
        peer.push("tick", json!(n)).await;
    }
    settle(&client, &mut peer).await;
    assert_eq!((ticks.lagged(), reports.take()), (2, vec![lagged]));
}
