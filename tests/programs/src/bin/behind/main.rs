//! A server behind proxies, by mio or tokio: tells each client the address that it is known by, then echoes. `tests/proxies/run`
//! puts nginx and HAProxy before it.

mod by_mio;
mod by_tokio;

use clap::Parser;
use sockless_test_programs::Adapter;
use sockless_tls::Tls;
use sockless_tls::rustls::ServerConfig;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Tells each client the address that it is known by, then echoes
#[derive(Parser)]
struct Arguments {
    by: Adapter,
    /// Proxies whose word is taken: an address or a network; may be repeated
    #[arg(long)]
    trust: Vec<String>,
    /// The chain of certificates and the key of TLS, in PEM
    #[arg(long, num_args = 2, value_names = ["CHAIN", "KEY"])]
    tls: Vec<PathBuf>,
}

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// One of four places to listen.
struct Place {
    tls: Option<Arc<ServerConfig>>,
    /// Whether proxies speak the PROXY protocol there.
    proxied: bool,
}

fn main() -> Result {
    let arguments = Arguments::parse();
    let tls = Tls::server(&arguments.tls[0], &arguments.tls[1])?;
    let places = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(secure, proxied)| Place { tls: secure.then(|| tls.clone()), proxied });
    match arguments.by {
        Adapter::Mio => by_mio::serve(places, &arguments.trust),
        Adapter::Tokio => by_tokio::serve(places, &arguments.trust),
        _ => Err("by mio or tokio".into()),
    }
}

/// What a client is told.
fn name(address: Option<SocketAddr>) -> String {
    address.map_or("nobody knows".into(), |address| address.to_string())
}
