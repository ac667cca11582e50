//! A terminal, from the command line: `cargo run -p terminal`, then open the address it prints.

use terminal::{Door, Shells};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (door, token) = Door::new()?;
    let shells = Shells::default();
    demo::run_locally(|| terminal::app(&door, &shells), 3002, &format!("/#{token}")).await?;
    shells.ended().await;
    Ok(())
}
