//! A client for the terminal.
//!
//! ```text
//! cargo run --release -p sockless-std --features deflate,webpki-roots --example std_client -- ws://127.0.0.1:9001/
//! ```

use sockless_std::sockless::Deflate;
use sockless_std::{Client, Config, ConnectError, Error};
use std::io::{self, BufRead, Write};

const HELP: &str = "\
Sends each line of standard input to a WebSocket server, and prints what it answers.

Usage: std_client [OPTIONS] URL

Options:
  --max-message BYTES  refuse longer messages with 1009 [default: 1048576]
  --max-fragments N    refuse messages in more fragments with 1008 [default: 4096]
  --deflate            offer to compress messages
  --deflate-takeover   the same, each message compressed by help of those before it
  --autobahn           be tested by Autobahn's fuzzing server: run each of the cases that URL/getCaseCount counts
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let (mut url, mut config, mut is_tested) = (None, Config::default(), false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        // Any window will do for what this end sends, so that a server may name one.
        let any = Deflate { window_bits: 15, ..Deflate::default() };
        let deflate = |takeover| Some(Deflate { takeover, peer_takeover: takeover, ..any });
        match argument {
            Value(value) if url.is_none() => url = Some(value.string()?),
            Long("max-message") => config.limits.message = arguments.value()?.parse()?,
            Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
            Long("deflate") => config.deflate = deflate(false),
            Long("deflate-takeover") => config.deflate = deflate(true),
            Long("autobahn") => is_tested = true,
            Long("help") | Short('h') => return io::stdout().write_all(HELP.as_bytes()).map_err(Into::into),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let url = url.ok_or("no URL; see --help")?;
    let client = Client::new(&url).config(config);
    if is_tested { autobahn(&client, url.trim_end_matches('/')) } else { talk(&client) }
}

/// Sends lines, and prints the answer to each.
fn talk(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let (mut socket, _) = client.connect()?;
    for line in io::stdin().lock().lines() {
        socket.send(line?)?;
        match socket.recv()? {
            Some(message) => writeln!(io::stdout(), "{}", String::from_utf8_lossy(message.as_bytes()))?,
            None => return Ok(()),
        }
    }
    socket.close(1000, "")?;
    Ok(())
}

fn autobahn(client: &Client, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let connect = |path: &str| Ok::<_, ConnectError>(client.clone().url(&format!("{url}{path}")).connect()?.0);
    let count = connect("/getCaseCount")?.recv()?.ok_or("no count of cases")?;
    for case in 1..=count.as_text().unwrap_or_default().parse::<u32>()? {
        let mut socket = connect(&format!("/runCase?case={case}&agent=sockless-std"))?;
        let ended: Result<(), Error> = socket.recv_each(|message, replies| replies.feed(message));
        ended.unwrap_or_else(|error| eprintln!("case {case}: {error}"));
    }
    Ok(())
}
