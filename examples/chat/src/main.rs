//! The chat, from the command line: `cargo run -p chat`, then open the address it prints.
//!
//! Ctrl-C closes every connection with 1001; the pages wait for the server to come back.

use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::anyhow;
use clap::Parser;
use tracing_subscriber::EnvFilter;
use wirelark::{ServeError, Server};

/// Where the search for a free port begins, and how many are tried.
const FIRST_PORT: u16 = 3000;
const PORTS_TRIED: u16 = 100;

#[derive(Parser)]
#[command(about = "A chat in the browser, on one Wirelark server")]
struct Options {
    /// The port to listen on, 0 for any; without it 3000, or the next one that is free.
    #[arg(long, env = "PORT")]
    port: Option<u16>,
    /// The address to listen on; 0.0.0.0 lets phones on the same network in.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let server = listen(&Options::parse()).await?;
    println!("http://{}", server.local_addr());
    std::io::stdout().flush()?;
    server.run().await;
    Ok(())
}

/// A port that was asked for is the only one tried: whoever names one is going to open that one.
async fn listen(options: &Options) -> anyhow::Result<Server> {
    let (first, tried) = options.port.map_or((FIRST_PORT, PORTS_TRIED), |port| (port, 1));
    let last = first.saturating_add(tried - 1);
    for port in first..=last {
        match chat::app().bind((options.host, port)).await {
            Err(ServeError::Listen(error)) if error.kind() == ErrorKind::AddrInUse && port < last => {}
            bound => return bound.map_err(|error| anyhow!("{}, port {port}: {error}", options.host)),
        }
    }
    unreachable!("the last port returns whatever became of it")
}
