//! The orders: a table, as any shop has one. How they move on is not decided here.

use std::path::Path;

use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{FromRow, Result, Row as _};

/// Ids are never used twice: a page may still show an order that is forgotten here.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user TEXT NOT NULL,
    item TEXT NOT NULL,
    percent INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0
)";

/// An order, as its buyer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Its number; later orders have larger ones.
    pub id: i64,
    /// Whose it is.
    #[serde(skip)]
    pub user: String,
    /// What was ordered.
    pub item: String,
    /// How far it is. It only ever grows: of two pictures of an order, the one with more is newer.
    pub percent: u8,
    /// Which attempt brought it there. Above 1 a process has died, or stopped, in the middle of it.
    pub attempt: u32,
}

impl FromRow<'_, SqliteRow> for Order {
    fn from_row(row: &SqliteRow) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            user: row.try_get("user")?,
            item: row.try_get("item")?,
            percent: row.try_get("percent")?,
            attempt: row.try_get("attempt")?,
        })
    }
}

/// All orders, in a file. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Orders(SqlitePool);

impl Orders {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let file = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        // Whoever writes waits for others anyway.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(file).await?;
        sqlx::query(TABLE).execute(&pool).await?;
        Ok(Self(pool))
    }

    /// Writes an order down, unless five of the user's, or a thousand of everybody's, are under way. Of those that have come,
    /// what is not among the newest thousand is forgotten.
    pub(crate) async fn place(&self, user: &str, item: &str) -> Result<Option<Order>> {
        let insert = "INSERT INTO orders (user, item) SELECT ?1, ?2
            WHERE (SELECT count(*) FROM orders WHERE percent < 100 AND user = ?1) < 5
            AND (SELECT count(*) FROM orders WHERE percent < 100) < 1000 RETURNING *";
        let placed = sqlx::query_as(insert).bind(user).bind(item).fetch_optional(&self.0).await?;
        let forget = "DELETE FROM orders WHERE percent = 100 AND id <= (SELECT max(id) - 1000 FROM orders)";
        sqlx::query(forget).execute(&self.0).await?;
        Ok(placed)
    }

    /// A step further, by this attempt; nothing if the order has come already.
    pub(crate) async fn advance(&self, id: i64, attempt: u32) -> Result<Option<Order>> {
        let update =
            "UPDATE orders SET percent = percent + 5, attempt = ? WHERE id = ? AND percent < 100 RETURNING *";
        sqlx::query_as(update).bind(attempt).bind(id).fetch_optional(&self.0).await
    }

    /// The newest of a user, latest first.
    pub(crate) async fn newest(&self, user: &str) -> Result<Vec<Order>> {
        let select = "SELECT * FROM orders WHERE user = ? ORDER BY id DESC LIMIT 20";
        sqlx::query_as(select).bind(user).fetch_all(&self.0).await
    }

    /// Everybody's that have not come.
    pub(crate) async fn under_way(&self) -> Result<Vec<Order>> {
        sqlx::query_as("SELECT * FROM orders WHERE percent < 100 ORDER BY id").fetch_all(&self.0).await
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}
