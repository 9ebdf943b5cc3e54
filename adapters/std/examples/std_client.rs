//! A client for the terminal: sends lines of standard input to a WebSocket server, and prints what it sends. With `--autobahn`,
//! it runs each of the cases that `URL/getCaseCount` of Autobahn's fuzzing server counts.
//!
//! ```text
//! cargo run --release -p sockless-std --features deflate --example std_client -- ws://127.0.0.1:9001/
//! ```

use sockless_std::sockless::Deflate;
use sockless_std::{Client, Config, Error, Proxy};
use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::thread;

const USAGE: &str = "std_client [--max-message BYTES] [--max-fragments N] [--deflate] [--proxy URL | --proxy-from-env] \
    [--root FILE] [--autobahn] URL";

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    use lexopt::prelude::*;
    let (mut url, mut config, mut root, mut is_tested) = (None, Config::default(), None, false);
    let mut client = Client::new("");
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if url.is_none() => url = Some(value.string()?),
            Long("max-message") => config.limits.message = arguments.value()?.parse()?,
            Long("max-fragments") => config.limits.fragments = arguments.value()?.parse()?,
            // Any window will do for what this end sends, so that a server may name one.
            Long("deflate") => config.deflate = Some(Deflate { window_bits: 15, ..Deflate::default() }),
            Long("root") => root = Some(arguments.value()?),
            Long("proxy") => client = client.proxy(Proxy::new(&arguments.value()?.string()?)?),
            Long("proxy-from-env") => client = client.proxy(Proxy::from_env()?),
            Long("autobahn") => is_tested = true,
            _ => return Err(USAGE.into()),
        }
    }
    let url = url.ok_or(USAGE)?;
    let client = trusting(client.url(&url).config(config), root)?;
    if is_tested { autobahn(&client, url.trim_end_matches('/')) } else { talk(&client) }
}

#[cfg(feature = "tls")]
fn trusting(client: Client, root: Option<OsString>) -> Result<Client, AnyError> {
    Ok(match root {
        Some(root) => client.tls(sockless_std::Tls::trusting(root)?),
        None => client,
    })
}

#[cfg(not(feature = "tls"))]
fn trusting(client: Client, root: Option<OsString>) -> Result<Client, AnyError> {
    if root.is_some() { Err("--root needs the feature `tls`".into()) } else { Ok(client) }
}

fn talk(client: &Client) -> Result<(), AnyError> {
    let (sender, mut receiver) = client.connect()?.0.split()?;
    let printing = thread::spawn(move || {
        while let Some(message) = receiver.recv()? {
            writeln!(io::stdout(), "{}", String::from_utf8_lossy(message.as_bytes()))?;
        }
        Ok::<_, Error>(())
    });
    for line in io::stdin().lock().lines() {
        sender.send(line?)?;
    }
    sender.close(1000, "")?;
    Ok(printing.join().expect("it does not panic")?)
}

fn autobahn(client: &Client, url: &str) -> Result<(), AnyError> {
    let connect = |path: &str| client.clone().url(&format!("{url}{path}")).connect();
    let count = connect("/getCaseCount")?.0.recv()?.ok_or("no count of cases")?;
    for case in 1..=count.as_text().unwrap_or_default().parse()? {
        let (mut socket, _) = connect(&format!("/runCase?case={case}&agent=sockless-std"))?;
        let ended = socket.recv_each(|message, replies| replies.feed(message));
        ended.unwrap_or_else(|error| eprintln!("case {case}: {error}"));
    }
    Ok(())
}
