//! A proxy that relays frames between clients and an upstream server, neither joined nor inflated.
//!
//! ```text
//! cargo run --release -p sockless-tokio --features deflate --example proxy -- ws://127.0.0.1:9001
//! ```
//!
//! It connects to the upstream before it answers its client, so that the client is told what the upstream chose. A
//! request that the upstream refuses is refused with the same status.

use sockless_tokio::sockless::{Config, Origins, Request, SendError};
use sockless_tokio::{Client, ConnectError, Error, Incoming, Reject, relay};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

const HELP: &str = "\
Relays WebSocket frames between clients and an upstream server.

Usage: proxy [OPTIONS] URL

Paths and queries of requests are added to the ws:// URL of the upstream. Compression is passed through: a client that
offers it gets it if the upstream takes it, with windows of 32 KiB and no context takeover.

Options:
  --listen ADDR  where to listen, port 0 for any free port [default: 127.0.0.1:9000]
  --help         print this
";

#[tokio::main]
async fn main() -> ExitCode {
    let (listen, upstream) = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("proxy: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match serve(&listen, upstream.trim_end_matches('/').into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where to listen, and the upstream's URL; `None` for a call for help.
fn options() -> Result<Option<(String, String)>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut listen, mut upstream) = ("127.0.0.1:9000".to_owned(), None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => listen = arguments.value()?.string()?,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if upstream.is_none() => upstream = Some(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some((listen, upstream.ok_or("the upstream's URL is missing")?)))
}

async fn serve(listen: &str, upstream: Arc<str>) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, most likely; they get fewer with time.
                eprintln!("proxy: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let upstream = upstream.clone();
        tokio::spawn(async move {
            if let Err(error) = proxy(stream, &upstream).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn proxy(stream: TcpStream, upstream: &str) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    // Origins are the upstream's to judge.
    let config = Config { origins: Origins::Any, ..config() };
    let incoming = Incoming::read(stream, config).await?;
    let client = client(upstream, incoming.request());
    let (far, response) = match client.connect().await {
        Ok(connected) => connected,
        Err(ConnectError::Rejected(response)) => {
            let reject = Reject::new(response.status()).body(response.body());
            return Err(incoming.reject(reject).await);
        }
        Err(error) => {
            eprintln!("{upstream}: {error}");
            return Err(incoming.reject(Reject::new(502)).await);
        }
    };
    let mut accept = incoming.request().accept();
    if let Some(name) = response.subprotocol() {
        accept = accept.subprotocol(name);
    }
    let near = incoming.accept_as(accept).await?;
    let (near, far) = relay(near, far).await;
    match near {
        Err(Error::Send(SendError::Extension)) => near,
        near => near.and(far),
    }
}

/// A client that asks the upstream for what was asked of the proxy.
fn client(upstream: &str, request: &Request<'_>) -> Client {
    let target = if request.target().starts_with('/') { request.target() } else { request.path() };
    let mut client = Client::new(&format!("{upstream}{target}"));
    for (name, value) in request.headers() {
        let passed_on = ["authorization", "cookie", "origin", "user-agent"];
        if let Ok(value) = str::from_utf8(value)
            && passed_on.iter().any(|known| name.eq_ignore_ascii_case(known))
        {
            client = client.header(name, value);
        }
    }
    for name in request.subprotocols() {
        client = client.subprotocol(name);
    }
    let compressed = request.extensions().flatten().any(|extension| extension.name() == "permessage-deflate");
    if compressed { client.config(config()) } else { client }
}

/// Settings by which both sides may compress messages in the same way.
#[cfg(feature = "deflate")]
fn config() -> Config {
    use sockless_tokio::sockless::Deflate;
    let deflate = Deflate { window_bits: 15, peer_window_bits: 15, ..Deflate::default() };
    Config { deflate: Some(deflate), ..Config::default() }
}

#[cfg(not(feature = "deflate"))]
fn config() -> Config {
    Config::default()
}
