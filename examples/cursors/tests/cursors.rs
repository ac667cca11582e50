//! Live cursors over the real stack, in memory.

use std::time::Duration;

use cursors::{Cursors, CursorsTester};
use wirelark::presence::News;
use wirelark::testing::Host;

/// A page whose reader is there under this name, with the reader's id.
async fn enter(host: &Host, name: &str) -> (CursorsTester, String) {
    let page = host.at("/cursors").contract::<Cursors>().await;
    let id = page.enter(name.to_owned()).await.expect("a name");
    (page, id)
}

/// Waits for news of somebody who is there, or has another name now.
async fn expect_person(page: &CursorsTester, id: &str, name: &str) {
    page.expect_presence(|news| {
        let told = match news {
            News::Snapshot { snapshot, .. } => vec![snapshot],
            News::Diff { joined, updated, .. } => vec![joined, updated],
        };
        told.into_iter().flatten().any(|it| it.visitor() == Some(id) && *it.meta() == *name)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn everybody_sees_who_comes_points_is_renamed_and_goes() {
    let host = Host::new(cursors::app());
    let (ada, ada_id) = enter(&host, "Ada").await;
    let (bob, bob_id) = enter(&host, "  Bob ").await;
    expect_person(&ada, &ada_id, "Ada").await;
    expect_person(&ada, &bob_id, "Bob").await;
    expect_person(&bob, &ada_id, "Ada").await;

    ada.point(0, 65535).await.expect("it is queued");
    bob.expect_moved(|id, x, y| (id.as_str(), *x, *y) == (ada_id.as_str(), 0, 65535)).await;
    bob.point(7, 8).await.expect("it is queued");
    // The first she hears of: nobody is told of their own.
    assert_eq!(ada.expect_moved(|_, _, _| true).await, (bob_id.clone(), 7, 8));

    bob.enter("Robert".to_owned()).await.expect("a name");
    expect_person(&ada, &bob_id, "Robert").await;
    drop(bob);
    host.advance(Duration::from_secs(1)).await;
    ada.expect_presence(
        |news| matches!(news, News::Diff { left, .. } if left.iter().any(|it| it.visitor() == Some(&bob_id))),
    )
    .await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_nobody_could_read_is_refused_and_says_why() {
    let host = Host::new(cursors::app());
    let page = host.at("/cursors").contract::<Cursors>().await;
    for name in ["", " \t ", "a name of 25 characters.."] {
        let error = page.enter(name.to_owned()).await.expect_err(name);
        assert!(error.to_string().contains("A name has 1 to 24 characters."), "{error}");
    }
    // Characters, not bytes.
    page.enter("é".repeat(24)).await.expect("a name");
    host.close().await;
}
