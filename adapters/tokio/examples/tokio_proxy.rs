//! A proxy that relays frames between clients and an upstream server as they come.
//!
//! ```text
//! cargo run --release -p sockless-tokio --example tokio_proxy -- ws://127.0.0.1:9001
//! ```
//!
//! It connects to the upstream before it answers its client, who is told what the upstream chose, or how it refused. Compression is
//! offered to neither: what one side compresses, `relay` can only pass on where the other has agreed on the same.

use sockless_tokio::sockless::{Config, Origins, Request};
use sockless_tokio::{Client, ConnectError, Error, Incoming, Reject, relay};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = std::env::args().nth(1).ok_or("the upstream's URL is missing")?;
    let listener = TcpListener::bind("127.0.0.1:9000").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let upstream = upstream.clone();
        tokio::spawn(async move {
            proxy(stream, upstream.trim_end_matches('/')).await.unwrap_or_else(|error| eprintln!("{peer}: {error}"));
        });
    }
}

async fn proxy(stream: TcpStream, upstream: &str) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    // Origins are the upstream's to judge.
    let incoming = Incoming::read(stream, Config { origins: Origins::Any, ..Config::default() }).await?;
    let (far, response) = match client(upstream, incoming.request()).connect().await {
        Ok(connected) => connected,
        Err(ConnectError::Rejected(response)) => {
            return Err(incoming.reject(Reject::new(response.status()).body(response.body())).await);
        }
        Err(_) => return Err(incoming.reject(Reject::new(502)).await),
    };
    let mut accept = incoming.request().accept();
    if let Some(name) = response.subprotocol() {
        accept = accept.subprotocol(name);
    }
    let (near, far) = relay(incoming.accept_as(accept).await?, far).await;
    near.and(far)
}

/// A client that asks the upstream for what was asked of the proxy.
fn client(upstream: &str, request: &Request<'_>) -> Client {
    let mut client = Client::new(&format!("{upstream}{}", request.target()));
    for name in ["Authorization", "Cookie", "Origin", "User-Agent"] {
        if let Some(Ok(value)) = request.header(name).map(str::from_utf8) {
            client = client.header(name, value);
        }
    }
    for name in request.subprotocols() {
        client = client.subprotocol(name);
    }
    client
}
