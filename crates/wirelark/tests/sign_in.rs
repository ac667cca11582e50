//! Users of open connections: they expire, renew their tokens, and are revoked.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::Instant;
use wirelark::auth::{Jwt, SignInError, User};
use wirelark::contract::{Problem, Session};
use wirelark::testing::{Client, ExpectError as _, Host};
use wirelark::{App, Message, Options, Socket, contract};

const SECOND: Duration = Duration::from_secs(1);

fn jwt() -> Jwt {
    Jwt::hs256(b"secret")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

fn token(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("claims can be signed")
}

/// A token that holds for so many seconds.
fn token_for(name: &str, seconds: u64) -> String {
    token(&json!({"sub": name, "exp": now() + seconds, "scope": "talk"}))
}

/// Each message is a token to sign in with, or behind a `!` one of whomever; the answer says what came of it.
async fn renewing(mut socket: Socket) -> wirelark::Result {
    socket.send("ready").await?;
    while let Some(Message::Text(text)) = socket.recv().await {
        let text = text.as_str();
        let signed_in = match text.strip_prefix('!') {
            Some(token) => socket.switch_user(&jwt().verify(token)?),
            None => socket.sign_in(&jwt().verify(text)?),
        };
        let who = socket.user().map_or_else(String::new, |user| user.id().to_owned());
        let answer = signed_in.map_or_else(|error| error.to_string(), |()| who);
        socket.send(answer).await?;
    }
    Ok(())
}

fn host() -> Host {
    // The only timers are the users'.
    let options = Options::new().no_heartbeat();
    Host::new(
        App::new()
            .auth(jwt())
            .options(options)
            .scope("/talk", |scope| scope.require_scope("talk").socket("/", renewing)),
    )
}

async fn connect(host: &Host, token: &str) -> Client {
    let mut client = host.at("/talk").bearer(token).timeout(10_000 * SECOND).connect().await;
    assert_eq!(client.expect_text().await, "ready");
    client
}

async fn check_answer(client: &mut Client, text: &str, expected: &str) {
    client.send_text(text).await;
    assert_eq!(client.expect_text().await, expected);
}

/// Closed because of its user, so many seconds after `start`; a second more or less.
async fn check_expires(client: &mut Client, start: Instant, after: u64) {
    assert_eq!(client.expect_close(4401).await, "sign in again: the credentials have expired");
    let (took, after) = (start.elapsed(), SECOND * after as u32);
    assert!((after - 2 * SECOND..after + SECOND).contains(&took), "expired after {took:?}, not {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_token() {
    let host = host();
    let start = Instant::now();
    // One within the horizon of the shard's ring, one beyond it.
    let mut clients =
        [connect(&host, &token_for("ada", 10)).await, connect(&host, &token_for("ada", 500)).await];
    check_expires(&mut clients[0], start, 10).await;
    check_expires(&mut clients[1], start, 500).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_holds_only_as_clocks_differ_is_not_closed_at_once() {
    let host = host();
    let start = Instant::now();
    let expired = token(&json!({"sub": "ada", "exp": now() - 10, "scope": "talk"}));
    let mut client = connect(&host, &expired).await;
    check_expires(&mut client, start, 50).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_moves_the_end() {
    let host = host();
    let start = Instant::now();
    let mut client = connect(&host, &token_for("ada", 10)).await;
    host.advance(8 * SECOND).await;
    // The tokens are made at the time of day, which stands still here.
    check_answer(&mut client, &token_for("ada", 60), "ada").await;
    host.advance(50 * SECOND).await;
    check_answer(&mut client, &token_for("ada", 2_000), "ada").await;
    check_answer(&mut client, &token_for("ada", 20), "ada").await;
    check_expires(&mut client, start, 78).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_of_many_renewals_counts() {
    let host = host();
    let mut client = connect(&host, &token_for("ada", 4_000)).await;
    for seconds in (1_000..2_000).rev().chain(1_000..2_000) {
        check_answer(&mut client, &token_for("ada", seconds), "ada").await;
    }
    let start = Instant::now();
    check_answer(&mut client, &token_for("ada", 30), "ada").await;
    check_expires(&mut client, start, 30).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn another_user_takes_over_only_where_that_is_meant() {
    let host = host();
    let start = Instant::now();
    let mut client = connect(&host, &token_for("ada", 30)).await;
    check_answer(&mut client, &token_for("bob", 60), &SignInError::AnotherUser.to_string()).await;
    let lacking = token(&json!({"sub": "ada", "exp": now() + 60}));
    let forbidden = "the user lacks the scope \"talk\"";
    check_answer(&mut client, &lacking, forbidden).await;
    check_answer(&mut client, &format!("!{lacking}"), forbidden).await;
    assert_eq!(host.hub().revoke("bob").await, 0);
    let mut other = connect(&host, &token_for("ada", 30)).await;
    check_answer(&mut other, &format!("!{}", token_for("bob", 60)), "bob").await;
    check_expires(&mut client, start, 30).await;
    assert_eq!(host.hub().revoke("ada").await, 0, "nobody is ada any more");
    assert_eq!(host.hub().revoke("bob").await, 1);
    other.expect_close(4401).await;
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_hold_closes_where_the_handler_says_so_by_its_error() {
    let host = host();
    let mut client = connect(&host, &token_for("ada", 30)).await;
    client.send_text("no token").await;
    assert_eq!(client.expect_close(4401).await, "the credentials are not valid: it is no signed token");
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn revoking_closes_all_connections_of_a_user_or_a_token() {
    let host = host();
    assert_eq!(host.hub().revoke_where(|_| true).await, 0, "there is nobody yet");
    let with_id =
        |name: &str, id: &str| token(&json!({"sub": name, "exp": now() + 500, "scope": "talk", "jti": id}));
    let mut ada = [
        connect(&host, &with_id("ada", "1")).await,
        connect(&host, &with_id("ada", "1")).await,
        connect(&host, &with_id("ada", "2")).await,
    ];
    let mut bob = connect(&host, &with_id("bob", "3")).await;
    assert_eq!(host.hub().revoke_where(|_| panic!("on purpose")).await, 0);
    assert_eq!(host.hub().revoke_where(|user| user.token_id().as_deref() == Some("1")).await, 2);
    for client in &mut ada[..2] {
        assert_eq!(client.expect_close(4401).await, "sign in again: the credentials were revoked");
    }
    check_answer(&mut ada[2], &with_id("ada", "4"), "ada").await;
    assert_eq!(
        host.hub().revoke_where(|user| user.token_id().as_deref() == Some("2")).await,
        0,
        "it was renewed"
    );
    host.advance(SECOND).await;
    assert_eq!(host.hub().revoke("ada").await, 1);
    assert_eq!(ada[2].expect_close(4401).await, "sign in again: the credentials were revoked");
    check_answer(&mut bob, &with_id("bob", "5"), "bob").await;
    host.close().await;
}

/// A contract with a call to renew a token.
#[contract]
trait Desk {
    /// Stays for as long as the token holds.
    async fn renew(&self, token: String) -> Result<String, Problem>;
    /// The same, with errors of any kind.
    async fn stay(&self, token: String) -> wirelark::Result;
}

struct Server;

impl DeskServer for Server {
    type Data = User;

    async fn renew(&self, session: Session<Desk, User>, token: String) -> Result<String, Problem> {
        session.sign_in(&jwt().verify(&token)?)?;
        Ok(session.user().map_or_else(String::new, |user| user.id().to_owned()))
    }

    async fn stay(&self, session: Session<Desk, User>, token: String) -> wirelark::Result {
        session.sign_in(&jwt().verify(&token)?)?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_renew_says_why() {
    let host = Host::new(App::new().contract("/desk", Desk::serve(Server).auth(jwt()))).jwt_secret(b"secret");
    let desk = host.at("/desk").jwt(json!({"sub": "ada"})).contract::<Desk>().await;
    for (token, code) in [("none", "UNAUTHORIZED"), (&*token_for("bob", 60), "FORBIDDEN")] {
        desk.renew(token).await.expect_error(code);
        desk.stay(token).await.expect_error(code);
    }
    assert_eq!(desk.stay(token_for("ada", 60)).await, Ok(()));
    host.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_is_renewed_by_a_call_and_expires_without_one() {
    let host = Host::new(App::new().contract("/desk", Desk::serve(Server).auth(jwt()))).jwt_secret(b"secret");
    let start = Instant::now();
    let connect = async |seconds: u64| {
        host.at("/desk")
            .jwt(json!({"sub": "ada", "exp": now() + seconds}))
            .timeout(1_000 * SECOND)
            .connect()
            .await
    };
    let (mut renewed, mut other) = (connect(20).await, connect(20).await);
    host.advance(15 * SECOND).await;
    let body = json!({"token": token_for("ada", 100)});
    renewed
        .send_json(&json!({"socka": "clientRequest", "v": 1, "id": "1", "rpc": "renew", "body": body}))
        .await;
    assert_eq!(renewed.expect_json::<Value>().await["body"], "ada");
    check_expires(&mut other, start, 20).await;
    check_expires(&mut renewed, start, 115).await;
    host.close().await;
}
