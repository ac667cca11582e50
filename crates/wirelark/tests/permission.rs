//! Who may make which call: what the contract requires, and what a policy says.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde::Deserialize;
use serde_json::{Value, json};
use wirelark::auth::{SignInError, User};
use wirelark::contract::{Contract as _, Problem, Session};
use wirelark::testing::{Client, Host};
use wirelark::{App, Asked, contract};

/// A page that some read and some write.
#[contract]
trait Page {
    /// Anybody may.
    async fn read(&self) -> u32;
    /// Whoever may write.
    #[require(scope = "write")]
    async fn write(&self, author: String) -> u32;
    /// Whoever may write and is an editor.
    #[require(scope = "write", role = "editor")]
    #[require(role = "adult")]
    #[send]
    async fn erase(&self);
    /// Becomes somebody.
    async fn sign_in(&self, name: String, scopes: Vec<String>) -> Result<(), Problem>;
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

struct Server;

impl PageServer for Server {
    type Data = Option<User>;

    async fn read(&self, _: Session<Page, Self::Data>) -> u32 {
        1
    }

    async fn write(&self, _: Session<Page, Self::Data>, _: String) -> u32 {
        HANDLED.fetch_add(1, SeqCst);
        2
    }

    async fn erase(&self, _: Session<Page, Self::Data>) {
        HANDLED.fetch_add(1, SeqCst);
    }

    async fn sign_in(
        &self,
        session: Session<Page, Self::Data>,
        name: String,
        scopes: Vec<String>,
    ) -> Result<(), Problem> {
        let user = User::new(name).map_err(|error| Problem::new(error.to_string()))?;
        session.sign_in(&user.scopes(scopes)).map_err(|error: SignInError| Problem::new(error.to_string()))
    }
}

#[derive(Deserialize)]
struct Write {
    author: String,
}

/// One writes in one's own name only.
fn own_name(asked: &Asked<'_>) -> bool {
    assert_eq!((asked.contract(), asked.id().is_empty()), (Some("Page"), false));
    let Some(Write { author }) = asked.data() else { return asked.name() != "write" };
    assert_ne!(author, "boom", "on purpose");
    asked.user().is_some_and(|user| user.id() == author)
}

fn host() -> Host {
    Host::new(App::new().contract("/page", Page::serve(Server).policy(own_name)))
}

fn ada() -> User {
    User::new("ada").expect("a valid id")
}

/// Calls, and is answered with this body, or with an error of this code and text.
async fn check(client: &mut Client, call: &str, body: Value, expected: Result<Value, (&str, &str)>) {
    client.send_json(&json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": call, "body": body})).await;
    let answer: Value = client.expect_json().await;
    match expected {
        Ok(body) => assert_eq!(answer["body"], body, "{answer}"),
        Err((code, text)) => assert_eq!((&answer["code"], &answer["error"]), (&json!(code), &json!(text))),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_by_those_who_have_what_it_requires() {
    let host = host();
    let by_ada = || json!({"author": "ada"});

    let mut nobody = host.at("/page").connect().await;
    check(&mut nobody, "read", json!({}), Ok(json!(1))).await;
    check(&mut nobody, "write", by_ada(), Err(("UNAUTHORIZED", "write: sign in first"))).await;
    check(&mut nobody, "erase", json!({}), Err(("UNAUTHORIZED", "erase: sign in first"))).await;

    let mut reader = host.at("/page").user(ada()).connect().await;
    check(&mut reader, "read", json!({}), Ok(json!(1))).await;
    let lacking = "write: the user lacks the scope \"write\"";
    // Who may not is not told what a call takes either.
    check(&mut reader, "write", json!({"author": 7}), Err(("FORBIDDEN", lacking))).await;

    let mut writer = host.at("/page").user(ada().scopes(["write"]).roles(["editor"])).connect().await;
    let lacking = "erase: the user lacks the role \"adult\"";
    check(&mut writer, "erase", json!({}), Err(("FORBIDDEN", lacking))).await;
    assert_eq!(HANDLED.load(SeqCst), 0);
    check(&mut writer, "write", by_ada(), Ok(json!(2))).await;
    // The policy is asked behind that, and cannot do harm.
    check(&mut writer, "write", json!({"author": "bob"}), Err(("FORBIDDEN", "write: not allowed"))).await;
    check(&mut writer, "write", json!({"author": "boom"}), Err(("INTERNAL", "internal error"))).await;
    check(&mut writer, "write", by_ada(), Ok(json!(2))).await;
    assert_eq!(HANDLED.load(SeqCst), 2);

    // What counts is who is there now.
    check(&mut nobody, "sign_in", json!({"name": "bob", "scopes": ["write"]}), Ok(Value::Null)).await;
    check(&mut nobody, "write", json!({"author": "bob"}), Ok(json!(2))).await;
    check(&mut nobody, "sign_in", json!({"name": "bob", "scopes": []}), Ok(Value::Null)).await;
    let lacking = "write: the user lacks the scope \"write\"";
    check(&mut nobody, "write", json!({"author": "bob"}), Err(("FORBIDDEN", lacking))).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_call_requires_is_asked_without_a_policy_too() {
    let host = Host::new(App::new().contract("/page", Page::serve(Server)));
    let mut reader = host.at("/page").user(ada()).connect().await;
    check(&mut reader, "read", json!({}), Ok(json!(1))).await;
    let lacking = "erase: the user lacks the scope \"write\"";
    check(&mut reader, "erase", json!({}), Err(("FORBIDDEN", lacking))).await;
    host.close().await;
}

#[test]
fn the_documents_say_what_calls_require_and_the_hash_does_not() {
    let document = host().app().asyncapi();
    let document = serde_json::to_value(document).expect("JSON");
    let extension = |call: &str| document["operations"][format!("page.{call}")]["x-wirelark"].clone();
    assert_eq!(extension("read"), json!({"kind": "reply"}));
    assert_eq!(extension("write"), json!({"kind": "reply", "scopes": ["write"]}));
    let erase = json!({"kind": "send", "scopes": ["write"], "roles": ["editor", "adult"]});
    assert_eq!(extension("erase"), erase);
    let mut free = Page::describe().clone();
    free.calls.iter_mut().for_each(|call| (call.scopes, call.roles) = (Vec::new(), Vec::new()));
    assert_eq!(free.hash(), Page::describe().hash());
}
