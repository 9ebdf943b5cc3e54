//! An echo server by the adapter of choice, for conformance suites, other implementations and benchmarks.
//!
//! ```text
//! cargo run --release -p sockless-test-programs --bin echo -- tokio --listen 127.0.0.1:9001
//! ```
//!
//! It takes the first subprotocol that a client offers, and says on standard output where it listens, a line for each address.

mod by_futures;
mod by_mio;
mod by_std;
mod by_tokio;

use clap::Parser;
use sockless_test_programs::{Adapter, Settings};
use sockless_tls::Tls;
use sockless_tls::rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sends each WebSocket message back to where it came from
#[derive(Parser)]
struct Arguments {
    by: Adapter,
    /// Where to listen, port 0 for any free port
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: String,
    #[command(flatten)]
    settings: Settings,
    /// Speak TLS by this chain of certificates and this key, both PEM files
    #[arg(long, num_args = 2, value_names = ["CHAIN", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    /// Speak TLS by a certificate for 127.0.0.1 and localhost that is made now, and written to this file
    #[arg(long, value_name = "FILE", conflicts_with = "tls")]
    tls_made: Option<PathBuf>,
    /// Threads to serve with, where the adapter has a choice: else one for each core
    #[arg(long)]
    threads: Option<usize>,
}

type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

impl Arguments {
    fn server_tls(&self) -> Result<Option<Arc<ServerConfig>>> {
        Ok(match (&self.tls, &self.tls_made) {
            (Some(files), _) => Some(Tls::server(&files[0], &files[1])?),
            (None, Some(file)) => Some(made(file)?),
            (None, None) => None,
        })
    }
}

fn made(file: &Path) -> Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".into(), "localhost".into()])?;
    std::fs::write(file, made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    Ok(Tls::server_with(vec![made.cert.into()], key)?)
}

fn main() -> Result {
    let arguments = Arguments::parse();
    let tls = arguments.server_tls()?;
    match arguments.by {
        Adapter::Std => by_std::serve(&arguments, tls),
        Adapter::Tokio => by_tokio::serve(&arguments, tls),
        Adapter::Mio => by_mio::serve(&arguments, tls),
        Adapter::Futures if tls.is_some() => Err("sockless-futures is given streams that have TLS already".into()),
        Adapter::Futures => by_futures::serve(&arguments),
    }
}
