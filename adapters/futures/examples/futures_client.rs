//! On smol: sends lines of standard input to a WebSocket server, and prints what it sends meanwhile.
//!
//! ```text
//! cargo run --release -p sockless-futures --example futures_client -- ws://127.0.0.1:9001/
//! ```

use futures_util::{SinkExt, StreamExt};
use smol::io::{AsyncBufReadExt, BufReader};
use smol::{Timer, Unblock, net::TcpStream};
use sockless_futures::{ClientRequest, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let request = ClientRequest::new(&std::env::args().nth(1).ok_or("a URL is missing")?)?;
    smol::block_on(async {
        let stream = TcpStream::connect((request.host(), request.port())).await?;
        let settings = Settings::default().timer(Timer::after);
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
