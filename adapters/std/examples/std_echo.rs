//! An echo server with a thread for each connection.
//!
//! ```text
//! cargo run --release -p sockless-std --example std_echo
//! ```

use sockless_std::Server;
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9001")?;
    println!("listening on {}", listener.local_addr()?);
    let server = Server::new().on_error(|peer, error| eprintln!("{peer}: {error}"));
    // Messages are answered where they lie, and the answers to all that came together go out together.
    server.serve(listener, |mut socket, _| socket.recv_each(|message, replies| replies.feed(message)))
}
