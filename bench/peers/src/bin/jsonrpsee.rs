//! jsonrpsee, as its documentation shows it: a trait, and the module the macro makes of it. It answers on every path
//! and switches Nagle's algorithm off itself.

use anyhow::Result;
use bench_peers::{Echo, serve};
use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;
use jsonrpsee::server::{Server, ServerConfig};

#[rpc(server)]
trait Api {
    /// Not async, because it need not wait: jsonrpsee boxes no future for it.
    #[method(name = "echo", param_kind = map)]
    fn echo(&self, text: String) -> RpcResult<Echo>;
}

struct Peer;

impl ApiServer for Peer {
    fn echo(&self, text: String) -> RpcResult<Echo> {
        Ok(Echo { text })
    }
}

fn main() -> Result<()> {
    serve(async |listener| {
        let config = ServerConfig::builder().ws_only().build();
        let server = Server::builder().set_config(config).build_from_tcp(listener.into_std()?)?;
        server.start(Peer.into_rpc()).stopped().await;
        Ok(())
    })
}
