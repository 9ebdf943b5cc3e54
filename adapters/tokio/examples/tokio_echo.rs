//! An echo server.
//!
//! ```text
//! cargo run --release -p sockless-tokio --example tokio_echo
//! ```
//!
//! Messages are answered where they lie, and the answers to all that came together go out together. `serve` keeps the deadlines
//! of the handshakes, and outlives a want of descriptors.

use sockless_tokio::{Error, Server, listen};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listeners = listen("127.0.0.1:9001").await?;
    for listener in &listeners {
        println!("listening on {}", listener.local_addr()?);
    }
    let server = Server::new().on_error(|peer, error| eprintln!("{peer:?}: {error}"));
    let echoing = server.serve(listeners, |mut socket, _, _| async move {
        socket.recv_each::<Error>(|message, replies| replies.feed(message)).await
    });
    echoing.await;
    Ok(())
}
