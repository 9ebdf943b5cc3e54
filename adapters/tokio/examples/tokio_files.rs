//! Sends a file as one message, and writes one to a file, in pieces, so that it is never held as a whole.
//!
//! ```text
//! cargo run --release -p sockless-tokio --example tokio_files -- send ws://127.0.0.1:9001/ film.mkv
//! cargo run --release -p sockless-tokio --example tokio_files -- save ws://127.0.0.1:9001/ film.mkv
//! ```

use sockless_tokio::sockless::{Config, Kind};
use sockless_tokio::{Client, NetStream, WebSocket};
use std::env::args;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type AnyError = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let words: Vec<String> = args().skip(1).collect();
    let [what, url, file] = &words[..] else { return Err("tokio_files send|save URL FILE".into()) };
    let mut config = Config::default();
    config.limits.message = usize::MAX; // pieces are not kept
    let (mut socket, _) = Client::new(url).config(config).connect().await?;
    match what.as_str() {
        "send" => send(&mut socket, File::open(file).await?).await?,
        _ => save(&mut socket, File::create(file).await?).await?,
    }
    Ok(socket.close(1000, "").await?)
}

async fn send(socket: &mut WebSocket<NetStream>, mut file: File) -> Result<(), AnyError> {
    let mut buffer = vec![0; 64 << 10];
    let mut message = socket.writer(Kind::Binary);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(message.finish().await?),
            n => message.write(&buffer[..n]).await?,
        }
    }
}

async fn save(socket: &mut WebSocket<NetStream>, mut file: File) -> Result<(), AnyError> {
    while let Some(piece) = socket.recv_piece().await? {
        file.write_all(piece.data.as_bytes()).await?;
        if piece.last {
            break;
        }
    }
    Ok(file.flush().await?)
}
