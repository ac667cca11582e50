//! A shop whose orders move on while their buyers watch: HTTP takes an order, a job works on it, and all devices of the
//! buyer are told of each step.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | the page; `?user=NAME` is who looks at it |
//! | `GET /my/orders?user=NAME` | the user's newest orders, as they are now |
//! | `POST /my/orders?user=NAME` | orders `{"item": ".."}`: 202, with the order |
//! | `WS /my/notifications?user=NAME` | an order of the user's, as `GET` shows it, whenever one has moved on |
//!
//! That there is work to do is in the store of jobs, how far it is in the [`Order`]. Both are files, so an order is worked on
//! to its end, whatever becomes of the process meanwhile. It is an example: whoever says so is the user.

mod orders;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use demo::asset;
use serde::Deserialize;
use wirelark::auth::User;
use wirelark::axum::Json;
use wirelark::axum::extract::rejection::QueryRejection;
use wirelark::axum::extract::{Query, Request, State};
use wirelark::axum::http::StatusCode;
use wirelark::axum::middleware::{Next, from_fn};
use wirelark::axum::response::{IntoResponse as _, Response};
use wirelark::axum::routing::get;
use wirelark::messages::{messages, push_only};
use wirelark::{App, Hub};
use wirelark_jobs::{EnqueueError, Job, Jobs, Queue};

pub use self::orders::Order;

use self::orders::Orders;

/// Jobs that carry the id of an order.
const FULFIL: Queue<i64> = Queue::new("fulfil").concurrency(8);

/// The longest name of what can be ordered, in characters.
const ITEM_MAX: usize = 60;

/// What was ordered, and who works on it.
#[derive(Clone, Debug)]
pub struct Shop {
    orders: Orders,
    jobs: Jobs,
}

/// The whole app. The page is built already, by `npm run build` in `examples`.
pub fn app(shop: &Shop) -> App<Shop> {
    App::with_state(shop.clone())
        .scope("/my", |mine| {
            mine.route("/orders", get(list).post(place))
                .messages("/notifications", messages(push_only()))
                .layer(from_fn(sign_in))
        })
        .route("/", get(async || asset("text/html; charset=utf-8", include_str!("../page/dist/index.html"))))
        .route(
            "/page.css",
            get(async || asset("text/css; charset=utf-8", include_str!("../page/dist/page.css"))),
        )
        .route(
            "/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../page/dist/page.js"))),
        )
        .alongside(shop.jobs.worker())
}

impl Shop {
    /// Opens the shop's files in `folder`, which is made if it is not there. `pace` is what an order rests between two steps.
    ///
    /// # Errors
    /// The folder cannot be made, or another process has the files open.
    pub async fn open(folder: &Path, pace: Duration) -> anyhow::Result<Self> {
        let made = tokio::fs::create_dir_all(folder).await;
        made.with_context(|| format!("{} cannot be made", folder.display()))?;
        let orders = Orders::open(&folder.join("orders.db")).await?;
        let shelf = orders.clone();
        let jobs = Jobs::builder()
            .queue(FULFIL, move |job, hub| fulfil(job, hub, shelf.clone(), pace))
            .open(folder.join("jobs.db"))
            .await?;
        let shop = Self { orders, jobs };
        // The process before may have died when it had written an order down, and not enqueued its job. Most have one: the
        // job's key finds it, and nothing is done twice.
        for order in shop.orders.under_way().await? {
            shop.enqueue(&order).await?;
        }
        Ok(shop)
    }

    /// Lets go of the files, so that they can be opened again.
    pub async fn close(&self) {
        self.jobs.close().await;
        self.orders.close().await;
    }

    async fn enqueue(&self, order: &Order) -> Result<(), EnqueueError> {
        self.jobs.enqueue(FULFIL, &order.id).user(&order.user).unique(&order.id.to_string()).await?;
        Ok(())
    }
}

/// Works on an order, and tells all devices of its buyer. An earlier attempt may have come far: how far, the order knows.
async fn fulfil(job: Job<i64>, hub: Hub, orders: Orders, pace: Duration) -> anyhow::Result<()> {
    while let Some(order) = orders.advance(*job.payload(), job.attempt()).await? {
        if let Some(user) = job.user() {
            hub.user(user).push_json(&order)?.await;
        }
        let rested = job.token().run_until_cancelled(tokio::time::sleep(pace)).await;
        rested.context("the server stops: the rest is for the next one")?;
    }
    Ok(())
}

type Refused = (StatusCode, &'static str);

async fn list(user: User, State(shop): State<Shop>) -> Result<Json<Vec<Order>>, Refused> {
    Ok(Json(shop.orders.newest(user.id()).await.map_err(broken)?))
}

#[derive(Deserialize)]
struct Wish {
    item: String,
}

async fn place(
    user: User,
    State(shop): State<Shop>,
    hub: Hub,
    Json(Wish { item }): Json<Wish>,
) -> Result<(StatusCode, Json<Order>), Refused> {
    let item = item.trim();
    if item.is_empty() || item.chars().count() > ITEM_MAX {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "Say what you want, in at most 60 characters."));
    }
    let Some(order) = shop.orders.place(user.id(), item).await.map_err(broken)? else {
        return Err((
            StatusCode::TOO_MANY_REQUESTS,
            "Too much is on its way already. Wait until something has come.",
        ));
    };
    shop.enqueue(&order).await.map_err(broken)?;
    hub.user(user.id()).push_json(&order).map_err(broken)?.await;
    Ok((StatusCode::ACCEPTED, Json(order)))
}

fn broken(error: impl std::error::Error) -> Refused {
    tracing::error!(%error, "the shop cannot do what it was asked for");
    (StatusCode::INTERNAL_SERVER_ERROR, "The shop is broken. Try again later.")
}

#[derive(Deserialize)]
struct Asked {
    user: String,
}

/// Finds out whose request it is, for HTTP and sockets alike. A shop would look at a cookie here.
async fn sign_in(asked: Result<Query<Asked>, QueryRejection>, mut request: Request, next: Next) -> Response {
    let user = asked.ok().and_then(|Query(Asked { user })| User::new(user).ok());
    let Some(user) = user else {
        return (StatusCode::UNAUTHORIZED, "say who you are: `?user=ada`").into_response();
    };
    request.extensions_mut().insert(user);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use wirelark::testing::Host;

    use super::*;

    #[tokio::test]
    async fn an_order_whose_job_was_never_enqueued_gets_one_at_the_next_start() {
        let folder = std::env::temp_dir().join(format!("notifications-gap-{}", std::process::id()));
        let shop = Shop::open(&folder, Duration::ZERO).await.expect("a shop");
        shop.orders.place("ada", "A bell").await.expect("a table").expect("an order");
        shop.close().await;

        let shop = Shop::open(&folder, Duration::from_millis(1)).await.expect("a shop");
        let host = Host::new(app(&shop));
        let fulfilled = async { while !shop.orders.under_way().await.expect("a table").is_empty() {} };
        tokio::time::timeout(Duration::from_secs(30), fulfilled).await.expect("nobody works on it");
        host.close().await;
        shop.close().await;
        std::fs::remove_dir_all(&folder).expect("a folder");
    }
}
