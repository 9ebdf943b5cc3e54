//! A client for the terminal: sends each line of standard input to a WebSocket server, and prints what it is answered.
//!
//! ```text
//! cargo run --release -p sockless-mio --features deflate --example mio_client -- ws://127.0.0.1:9001/
//! ```

use sockless_mio::sockless::{Config, Deflate};
use sockless_mio::{Client, Tls};
use std::io;

const USAGE: &str = "mio_client [--deflate] [--root FILE] URL";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let (mut url, mut config, mut tls) = (None, Config::default(), None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if url.is_none() => url = Some(value.string()?),
            Long("deflate") => config.deflate = Some(Deflate::default()),
            Long("root") => tls = Some(Tls::trusting(arguments.value()?)?),
            _ => return Err(USAGE.into()),
        }
    }
    let mut client = Client::builder(&url.ok_or(USAGE)?).config(config);
    if let Some(tls) = tls {
        client = client.tls(tls);
    }
    let mut client = client.connect()?;
    for line in io::stdin().lines() {
        client.send_text(&line?)?;
        let Some(answer) = client.receive()? else { break };
        println!("{}", String::from_utf8_lossy(answer.as_bytes()));
    }
    client.close(1000, "")?;
    Ok(())
}
