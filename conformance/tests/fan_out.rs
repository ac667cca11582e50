//! A large room with a stalled and a dead member.

use std::time::Duration;

use wirelark::axum::extract::Path;
use wirelark::testing::{Client, Host};
use wirelark::{App, Hub, Options, Socket};

const MEMBERS: usize = 1_000;
const MESSAGES: usize = 100;

async fn join(Path(room): Path<String>, mut socket: Socket) -> wirelark::Result {
    socket.join(room)?;
    socket.send("joined").await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

async fn member(host: &Host) -> Client {
    let mut client = host.at("/rooms/large").timeout(Duration::from_secs(30)).connect().await;
    assert_eq!(client.expect_text().await, "joined");
    client
}

async fn publish(hub: &Hub, body: &str) -> wirelark::Delivered {
    let room = hub.room("large").expect("a room name");
    let mut all = wirelark::Delivered::default();
    for number in 0..MESSAGES {
        all = room.publish(format!("{number} {body}")).counted().await;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stalled_and_one_dead_member_cost_the_others_nothing() {
    let options = Options::new().outbox_bytes(64 * 1024);
    let host = Host::tcp(App::new().shards(2).options(options).socket("/rooms/{room}", join)).await;
    let stalled = member(&host).await;
    stalled.stop_reading();
    member(&host).await.drop_connection();
    let mut members = Vec::with_capacity(MEMBERS);
    for _ in 0..MEMBERS {
        members.push(member(&host).await);
    }
    let readers: Vec<_> = members
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                for number in 0..MESSAGES {
                    let text = client.expect_text().await;
                    let (first, _) = text.split_once(' ').expect("a number and a body");
                    assert_eq!(first, number.to_string());
                }
                client
            })
        })
        .collect();
    // More than the stalled member's outbox and the kernel's buffers hold.
    let last = publish(host.hub(), &"x".repeat(10_000)).await;
    for reader in readers {
        reader.await.expect("every other member got everything, in order");
    }
    assert_eq!(last.queued, MEMBERS, "{last:?}");
    let cut = [("route", "/rooms/{room}"), ("outcome", "close")];
    assert_eq!(
        host.counter("websocket.backpressure.total", &cut),
        1,
        "the stalled member was cut and counted"
    );
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn join_and_leave_are_idempotent_and_say_how_many_are_in() {
    async fn counts(mut socket: Socket) -> wirelark::Result {
        let room = socket.join("r")?;
        assert_eq!(room.join(socket.id()), Some(room.count()));
        let id = socket.id();
        let other = socket.hub().room("never joined")?;
        assert_eq!((other.leave(id), other.count()), (0, 0));
        socket.send("in").await?;
        socket.recv().await;
        room.leave(id);
        room.leave(id);
        socket.send("out").await?;
        socket.recv().await;
        Ok(())
    }
    let host = Host::tcp(App::new().shards(2).socket("/", counts)).await;
    let room = host.hub().room("r").expect("a room name");
    let mut clients = Vec::new();
    for expected in 1..=4 {
        let mut client = host.at("/").connect().await;
        assert_eq!(client.expect_text().await, "in");
        assert_eq!((room.count(), room.members().await.len()), (expected, expected));
        clients.push(client);
    }
    let ids = room.members().await;
    let delivered = room.publish("all but two").except_all(ids[..2].to_vec()).counted().await;
    assert_eq!(delivered.queued, 2);
    for client in &mut clients {
        client.send_text("leave").await;
    }
    for mut client in clients {
        let mut texts = vec![client.expect_text().await];
        if texts[0] == "all but two" {
            texts.push(client.expect_text().await);
        }
        assert_eq!(texts.last().map(String::as_str), Some("out"));
    }
    assert_eq!((room.count(), host.hub().room_count()), (0, 0));
    assert!(host.hub().room("bad\nname").is_err());
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_sends_to_and_closes_single_connections() {
    async fn tell_id(mut socket: Socket) -> wirelark::Result {
        socket.send(socket.id().to_string()).await?;
        socket.join("known")?;
        socket.send("ready").await?;
        while socket.recv().await.is_some() {}
        Ok(())
    }
    let host = Host::tcp(App::new().socket("/", tell_id)).await;
    let mut client = host.at("/").connect().await;
    let id = client.expect_text().await;
    assert_eq!(client.expect_text().await, "ready");
    let known = host.hub().room("known").expect("a room name").members().await;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].to_string(), id);
    assert_eq!(host.hub().send_to(known[0], "just you").counted().await.queued, 1);
    assert_eq!(client.expect_text().await, "just you");
    assert!(host.hub().close(known[0], wirelark::CloseCode::POLICY, "enough").await);
    assert_eq!(client.expect_close(1008).await, "enough");
    for _ in 0..100 {
        if host.hub().connection_count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(host.hub().send_to(known[0], "too late").counted().await.closed, 1);
    assert!(!host.hub().close(known[0], wirelark::CloseCode::POLICY, "").await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_connection_that_is_there_can_join() {
    async fn too_early(upgrade: wirelark::Upgrade) -> wirelark::Result {
        let (hub, id) = (upgrade.hub().clone(), upgrade.id());
        let room = hub.room("r")?;
        assert_eq!(room.join(id), None, "not yet open");
        let mut socket = upgrade.accept().await?;
        assert_eq!(room.join(id), Some(1));
        room.publish("in").await;
        while socket.recv().await.is_some() {}
        // The hub lets go of a connection when its handler has ended, or its close timeout has passed.
        tokio::spawn(async move {
            while hub.connection_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(room.join(id), None, "gone");
            let delivered = room.publish("nobody").counted().await;
            assert_eq!(delivered.queued, 0);
            LEFT.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        Ok(())
    }
    static LEFT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let host = Host::tcp(App::new().socket("/", too_early)).await;
    let mut client = host.at("/").connect().await;
    assert_eq!(client.expect_text().await, "in");
    client.close(1000, "").await;
    client.expect_close(1000).await;
    for _ in 0..200 {
        if LEFT.load(std::sync::atomic::Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(LEFT.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(host.hub().room_count(), 0);
    host.close().await;
}
