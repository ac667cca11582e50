//! Live cursors, from the command line: `cargo run -p cursors`, then open the address it prints in two windows.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    demo::run(cursors::app, 3003).await
}
