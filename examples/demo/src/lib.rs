//! What the examples with a page have in common: their command line, a free port, and pages from memory.

use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::anyhow;
use clap::Parser;
use tracing_subscriber::EnvFilter;
use wirelark::axum::http::header;
use wirelark::axum::response::IntoResponse;
use wirelark::{App, ServeError, Server};

/// How many ports are tried when nobody asked for one.
const PORTS_TRIED: u16 = 100;

/// Nothing from elsewhere, and no script in the markup: should a text of somebody's ever be rendered as HTML by
/// mistake, it still cannot run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Parser)]
#[command(about = "An example in the browser, on one Wirelark server")]
struct Options {
    #[command(flatten)]
    port: Port,
    /// The address to listen on; 0.0.0.0 lets phones on the same network in.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
}

/// Of an example that nobody but this machine may reach.
#[derive(Parser)]
#[command(about = "An example in the browser, on one Wirelark server, for this machine only")]
struct LocalOptions {
    #[command(flatten)]
    port: Port,
}

#[derive(clap::Args)]
struct Port {
    /// The port to listen on, 0 for any; without it the example's own, or the next one that is free.
    #[arg(long, env = "PORT")]
    port: Option<u16>,
}

/// Serves the app as the command line says, and prints its address. Ctrl-C closes every connection with 1001; the
/// pages wait for the server to come back.
///
/// # Errors
/// When it cannot listen.
pub async fn run<S>(app: impl Fn() -> App<S>, first_port: u16) -> anyhow::Result<()>
where
    S: Clone + Send + Sync + 'static,
{
    let Options { port, host } = Options::parse();
    let server = listen(app, first_port, host, port).await?;
    serve(server, "").await
}

/// As [`run`], for this machine only: there is no option to listen elsewhere. `path` goes behind the address that is
/// printed.
///
/// # Errors
/// When it cannot listen.
pub async fn run_locally<S>(app: impl Fn() -> App<S>, first_port: u16, path: &str) -> anyhow::Result<()>
where
    S: Clone + Send + Sync + 'static,
{
    let LocalOptions { port } = LocalOptions::parse();
    let server = listen(app, first_port, Ipv4Addr::LOCALHOST.into(), port).await?;
    serve(server, path).await
}

/// A port that was asked for is the only one tried: whoever names one is going to open that one.
async fn listen<S>(
    app: impl Fn() -> App<S>,
    first_port: u16,
    host: IpAddr,
    Port { port }: Port,
) -> anyhow::Result<Server>
where
    S: Clone + Send + Sync + 'static,
{
    let (first, tried) = port.map_or((first_port, PORTS_TRIED), |port| (port, 1));
    let last = first.saturating_add(tried - 1);
    for port in first..=last {
        match app().bind((host, port)).await {
            Err(ServeError::Listen(error)) if error.kind() == ErrorKind::AddrInUse && port < last => {}
            bound => return bound.map_err(|error| anyhow!("{host}, port {port}: {error}")),
        }
    }
    unreachable!("the last port returns whatever became of it")
}

async fn serve(server: Server, path: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    println!("http://{}{path}", server.local_addr());
    std::io::stdout().flush()?;
    server.run().await;
    Ok(())
}

/// A file of a page that is compiled into the binary: the example is one file to copy.
pub fn asset(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    // Not cached: after a restart the page must be the one this server speaks with.
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body)
}
