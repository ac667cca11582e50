//! Tic-tac-toe, from the command line: `cargo run -p tic-tac-toe`, then open the address it prints in two tabs.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    demo::run(tic_tac_toe::app, 3001).await
}
