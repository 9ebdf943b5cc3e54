//! A client for the terminal, on smol: sends lines of standard input to a WebSocket server, and prints what it sends.
//!
//! ```text
//! cargo run --release -p sockless-futures --features deflate --example futures_client -- ws://127.0.0.1:9001/
//! ```

use futures_util::{SinkExt, StreamExt};
use smol::io::{AsyncBufReadExt, BufReader};
use smol::{Timer, Unblock, net::TcpStream};
use sockless_futures::sockless::Deflate;
use sockless_futures::{ClientRequest, Config, Settings};

const USAGE: &str = "futures_client [--deflate] URL";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let (mut url, mut config) = (None, Config::default());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if url.is_none() => url = Some(value.string()?),
            Long("deflate") => config.deflate = Some(Deflate::default()),
            _ => return Err(USAGE.into()),
        }
    }
    let request = ClientRequest::new(&url.ok_or(USAGE)?)?;
    smol::block_on(async {
        let stream = TcpStream::connect((request.host(), request.port())).await?;
        let settings = Settings::default().config(config).timer(Timer::after);
        let (mut sink, mut messages) = settings.connect_over(&request, stream).await?.0.split();
        let sending = smol::spawn(async move {
            let mut lines = BufReader::new(Unblock::new(std::io::stdin())).lines();
            while let Some(line) = lines.next().await {
                sink.send(line?.into()).await?;
            }
            sink.close().await
        });
        while let Some(message) = messages.next().await {
            println!("{}", String::from_utf8_lossy(message?.as_bytes()));
        }
        Ok(sending.await?)
    })
}
