//! An echo server on smol.
//!
//! ```text
//! cargo run --release -p sockless-futures --features deflate --example futures_echo
//! ```

use smol::Timer;
use smol::net::{TcpListener, TcpStream};
use sockless_futures::sockless::{Deflate, Origins};
use sockless_futures::{Config, Error, Settings};

const USAGE: &str = "futures_echo [--listen ADDR] [--max-message BYTES] [--max-fragments N] [--deflate]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let (mut listen, mut config) = ("127.0.0.1:9001".to_owned(), Config::default());
    config.origins = Origins::Any;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => listen = arguments.value()?.string()?,
            Long("max-message") => config.limits.message = arguments.value()?.parse()?,
            Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
            Long("deflate") => config.deflate = Some(Deflate::default()),
            _ => return Err(USAGE.into()),
        }
    }
    let settings = Settings::default().config(config).timer(Timer::after);
    smol::block_on(async {
        let listener = TcpListener::bind(listen).await?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let ((stream, peer), settings) = (listener.accept().await?, settings.clone());
            let serving =
                async move { echo(stream, settings).await.unwrap_or_else(|error| eprintln!("{peer}: {error}")) };
            smol::spawn(serving).detach();
        }
    })
}

async fn echo(stream: TcpStream, settings: Settings) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = settings.accept_with(stream, |request| Ok(request.accept_first_subprotocol())).await?;
    // The answers to all that one read brought go out together, before the next.
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}
