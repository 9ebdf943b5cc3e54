//! An echo server with a thread for each connection.
//!
//! ```text
//! cargo run --release -p sockless-std --features deflate --example std_echo
//! ```

use sockless_std::sockless::{Deflate, Origins};
use sockless_std::{Config, Reject, Server};
use std::io::Write;
use std::net::TcpListener;

const HELP: &str = "\
Sends each WebSocket message back to where it came from.

Usage: std_echo [OPTIONS]

Options:
  --listen ADDR        where to listen, port 0 for any free port [default: 127.0.0.1:9001]
  --max-message BYTES  refuse longer messages with 1009 [default: 1048576]
  --max-fragments N    refuse messages in more fragments with 1008 [default: 4096]
  --deflate            take compressed messages, and send such
  --deflate-takeover   the same, each message compressed by help of those before it
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some((listen, config)) = options()? else { return Ok(std::io::stdout().write_all(HELP.as_bytes())?) };
    let listener = TcpListener::bind(listen)?;
    println!("listening on {}", listener.local_addr()?);
    let server = Server::new().config(config).connections(10_000).answer(|request, _| match request.is_upgrade() {
        true => Ok(request.accept_first_subprotocol()),
        false => Err(Reject::new(426).header("Upgrade", "websocket").body("This is for WebSockets.\n")),
    });
    let server = server.on_error(|peer, error| eprintln!("{peer}: {error}"));
    // Messages are answered where they lie, and the answers to all that came together go out together.
    server.serve(listener, |mut socket, _| socket.recv_each(|message, replies| replies.feed(message)))?;
    Ok(())
}

/// Where to listen, and the settings; `None` for who asks for help.
fn options() -> Result<Option<(String, Config)>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut listen, mut config) = ("127.0.0.1:9001".to_owned(), Config::default());
    config.origins = Origins::Any;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        let deflate = |takeover| Some(Deflate { takeover, peer_takeover: takeover, ..Deflate::default() });
        match argument {
            Long("listen") => listen = arguments.value()?.string()?,
            Long("max-message") => config.limits.message = arguments.value()?.parse()?,
            Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
            Long("deflate") => config.deflate = deflate(false),
            Long("deflate-takeover") => config.deflate = deflate(true),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some((listen, config)))
}
