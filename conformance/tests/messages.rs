//! The routes of the messages style, as they are fixed for outside suites.

use serde_json::{Value, json};
use wirelark::testing::{Client, Host};

async fn answer(client: &mut Client, message: Value) -> Value {
    client.send_json(&message).await;
    client.expect_json().await
}

#[tokio::test(start_paused = true)]
async fn each_operation_does_what_is_said_of_it() {
    let host = Host::new(conformance::app());
    let mut ada = host.at("/messages?user=ada").connect().await;
    let mut tablet = host.at("/silent").cookie("user", "ada").connect().await;
    let mut bob = host.at("/silent?user=bob").connect().await;
    assert_eq!(
        answer(&mut ada, json!({"op": "reply", "value": [1, null]})).await,
        json!({"value": [1, null]})
    );
    assert_eq!(answer(&mut ada, json!({"op": "me", "message": "mine"})).await, json!("mine"));
    assert_eq!(tablet.expect_text().await, "\"mine\"");
    let to = json!({"op": "to", "users": ["ada", "bob", "bob", "eve"], "message": 7});
    ada.send_json(&to).await;
    let mut told = [ada.expect_json::<Value>().await, ada.expect_json().await];
    told.sort_by_key(|value| value.is_object());
    assert_eq!(told, [json!(7), json!({"delivered": 3, "offline": 1})]);
    assert_eq!((tablet.expect_text().await.as_str(), bob.expect_text().await.as_str()), ("7", "7"));
    let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    let refused = answer(&mut ada, json!({"op": "to", "users": many, "message": 7})).await;
    assert_eq!(refused["code"], "TOO_MANY_USERS");
    for op in ["fail", "crash"] {
        let failed = answer(&mut ada, json!({"op": op})).await;
        assert_eq!(failed["error"], "internal error", "{op}");
    }
    assert!(answer(&mut ada, json!({"op": "sleep", "ms": 1500})).await["error"].is_string());
    assert_eq!(answer(&mut ada, json!({"op": "sleep", "ms": 500})).await, json!({"slept": 500}));
    assert_eq!(answer(&mut ada, json!({"op": "online", "user": "bob"})).await, json!({"online": true}));
    assert_eq!(answer(&mut ada, json!({"op": "online", "user": "eve"})).await, json!({"online": false}));
    let mut nobody = host.at("/messages").connect().await;
    assert_eq!(answer(&mut nobody, json!({"op": "me", "message": 1})).await, json!(1));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn text_is_in_capitals_and_bytes_are_reversed() {
    let host = Host::new(conformance::app());
    let mut text = host.at("/messages/text").connect().await;
    text.send_text("straße").await;
    assert_eq!(text.expect_text().await, "STRASSE");
    let mut bytes = host.at("/messages/binary").connect().await;
    bytes.send_bytes(vec![1, 2, 3]).await;
    assert_eq!(bytes.expect_bytes().await, [3, 2, 1][..]);
    host.close().await;
}
