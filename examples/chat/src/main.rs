//! The chat, from the command line: `cargo run -p chat`, then open the address it prints.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    demo::run(chat::app, 3000).await
}
