//! The shop, from the command line: `cargo run -p notifications`, then open the address it prints in two windows.

use std::path::PathBuf;
use std::time::Duration;

use notifications::Shop;

/// An order takes six seconds: long enough to kill the server in the middle of it.
const PACE: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::var_os("STORE").map_or_else(|| "notifications-store".into(), PathBuf::from);
    let shop = Shop::open(&folder, PACE).await?;
    demo::run(|| notifications::app(&shop), 3004).await
}
