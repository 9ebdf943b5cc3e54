//! JSON lines over a WebSocket, typed by serde: a codec of 20 lines makes a connection a `Stream` and a `Sink` of the types.

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sockless_tokio::{Framed, Server, codec, connect, sockless::bytes::BytesMut};
use std::io;
use std::marker::PhantomData;
use tokio::net::TcpListener;

/// Reads a `T`, and writes anything, as JSON on a line.
struct JsonLines<T>(PhantomData<T>);

impl<T: DeserializeOwned> codec::Decoder for JsonLines<T> {
    type Item = T;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<T>> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&bytes.split_to(end + 1))?))
    }
}

impl<T, I: Serialize> codec::Encoder<I> for JsonLines<T> {
    type Error = io::Error;

    fn encode(&mut self, item: I, bytes: &mut BytesMut) -> io::Result<()> {
        bytes.extend_from_slice(&serde_json::to_vec(&item)?);
        bytes.extend_from_slice(b"\n");
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Command {
    Add { a: i64, b: i64 },
    Divide { a: i64, b: i64 },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/", listener.local_addr()?);
    tokio::spawn(Server::new().serve(listener, |socket, _, _| async move {
        let mut commands = Framed::text(socket, JsonLines(PhantomData));
        while let Some(command) = commands.next().await {
            let answer = match command? {
                Command::Add { a, b } => a.checked_add(b).ok_or("too large"),
                Command::Divide { a, b } => a.checked_div(b).ok_or("no such number"),
            };
            commands.send(answer).await?;
        }
        Ok::<_, io::Error>(())
    }));
    let mut server = Framed::text(connect(&url).await?, JsonLines::<Result<i64, String>>(PhantomData));
    for command in [Command::Add { a: 1, b: 2 }, Command::Divide { a: 1, b: 0 }] {
        server.send(&command).await?;
        println!("{command:?}: {:?}", server.next().await.transpose()?);
    }
    Ok(server.into_inner().close(1000, "").await?)
}
