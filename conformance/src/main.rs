//! The conformance server: `conformance --listen 127.0.0.1:0 [--workers N]`.
//!
//! It prints one line, `listening on ADDR:PORT`, when it is ready. SIGTERM closes every connection with
//! 1001, and it exits 0.

use std::io::Write as _;
use std::net::SocketAddr;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Handshakes allocate large and short-lived beside small and long-lived. This allocator keeps the sizes apart; glibc's
/// leaves holes between them that the next handshake does not fit in (the book's chapter on memory has figures).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(about = "Wirelark's conformance server")]
struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Worker threads; one per core unless given.
    #[arg(long)]
    workers: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = options.workers {
        runtime.worker_threads(workers.max(1));
    }
    runtime.enable_all().build()?.block_on(async {
        let store = conformance::TempStore::new()?;
        let server = conformance::app_with_jobs(&store).await?.bind(options.listen).await?;
        println!("listening on {}", server.local_addr());
        std::io::stdout().flush()?;
        server.run().await;
        Ok(())
    })
}
