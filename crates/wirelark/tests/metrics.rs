//! One scripted run, and the exact value of every counter it touches.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use wirelark::testing::Host;
use wirelark::{App, Options, Socket};

async fn echo(mut socket: Socket) -> wirelark::Result {
    while let Some(message) = socket.recv().await {
        if message.as_bytes() == b"panic" {
            panic!("as the script says");
        }
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_counter_has_its_exact_value() {
    let options = Options::new().no_heartbeat().origins(["https://a.example"]);
    let host = Host::new(App::new().socket("/echo/{secret}", echo).options(options).metrics("/metrics"));
    let path = "/echo/hunter2";

    let mut client = host.at(path).connect().await;
    client.send_text("four").await;
    client.send_text("").await;
    client.send_bytes(vec![1; 300]).await;
    client.send_ping("pp").await;
    client.send_pong("ppp").await;
    assert_eq!(client.expect_text().await, "four");
    assert_eq!(client.expect_text().await, "");
    assert_eq!(client.expect_bytes().await.len(), 300);
    client.close(4000, "done").await;
    client.expect_close(4000).await;
    let mut crashing = host.at(path).connect().await;
    crashing.send_text("panic").await;
    crashing.expect_close(1011).await;
    host.at(path).connect().await.drop_connection();
    host.at("/nowhere").expect_rejected(404).await;
    host.at(path).origin("https://b.example").expect_rejected(403).await;
    while host.hub().connection_count() > 0 {
        host.advance(std::time::Duration::from_millis(10)).await;
    }

    let route = ("route", "/echo/{secret}");
    type Labels<'a> = &'a [(&'a str, &'a str)];
    let expected: &[(&str, Labels<'_>, u64)] = &[
        ("websocket.upgrades.total", &[route, ("outcome", "accepted")], 3),
        ("websocket.upgrades.rejected.total", &[("outcome", "not-found")], 1),
        ("websocket.upgrades.rejected.total", &[("outcome", "origin")], 1),
        ("websocket.connections.total", &[route], 3),
        ("websocket.connections.active", &[route], 0),
        ("websocket.messages.in.total", &[route, ("kind", "text")], 3),
        ("websocket.messages.in.total", &[route, ("kind", "binary")], 1),
        ("websocket.messages.in.total", &[route, ("kind", "ping")], 1),
        ("websocket.messages.in.total", &[route, ("kind", "pong")], 1),
        ("websocket.bytes.in.total", &[route, ("kind", "text")], 9),
        ("websocket.bytes.in.total", &[route, ("kind", "binary")], 300),
        ("websocket.bytes.in.total", &[route, ("kind", "ping")], 2),
        ("websocket.bytes.in.total", &[route, ("kind", "pong")], 3),
        ("websocket.messages.out.total", &[route, ("kind", "text")], 2),
        ("websocket.messages.out.total", &[route, ("kind", "binary")], 1),
        ("websocket.messages.out.total", &[route, ("kind", "ping")], 0),
        ("websocket.messages.out.total", &[route, ("kind", "pong")], 1),
        ("websocket.bytes.out.total", &[route, ("kind", "text")], 4),
        ("websocket.bytes.out.total", &[route, ("kind", "binary")], 300),
        ("websocket.bytes.out.total", &[route, ("kind", "pong")], 2),
        ("websocket.close.total", &[route, ("code", "4000")], 1),
        ("websocket.close.total", &[route, ("code", "1011")], 1),
        ("websocket.close.total", &[route, ("code", "1006")], 1),
        ("websocket.backpressure.total", &[route, ("outcome", "error")], 0),
        ("websocket.handler.panics.total", &[route], 1),
    ];
    for (name, labels, value) in expected {
        assert_eq!(host.counter(name, labels), *value, "{name} {labels:?}");
    }

    let scrape = host.request(Request::get("/metrics").body(Body::empty()).expect("a request")).await;
    let text = to_bytes(scrape.into_body(), 1 << 20).await.expect("a body");
    let text = String::from_utf8(text.to_vec()).expect("text");
    for line in [
        r#"websocket_connections_total{route="/echo/{secret}"} 3"#,
        r#"websocket_close_total{route="/echo/{secret}",code="4000"} 1"#,
        r#"websocket_upgrades_rejected_total{outcome="origin"} 1"#,
        r#"websocket_messages_in_total{route="/echo/{secret}",kind="text"} 3"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is missing from\n{text}");
    }
    assert!(!text.contains("hunter2"), "labels never hold a path");
    host.close().await;
}
