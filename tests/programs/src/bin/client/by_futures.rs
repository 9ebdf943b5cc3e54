//! By two tasks of smol, over the two halves of a stream.

use super::{Arguments, Failure, print};
use futures_util::{SinkExt, StreamExt};
use smol::io::{AsyncBufReadExt, BufReader};
use smol::{Timer, Unblock, net::TcpStream};
use sockless_futures::{ClientRequest, Settings};

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = ClientRequest::new(&arguments.url)?;
    smol::block_on(async {
        let stream = TcpStream::connect((request.host(), request.port())).await.map_err(Failure::connecting)?;
        let settings = Settings::default().config(arguments.config()).timer(Timer::after);
        let connected = settings.connect_over(&request, stream).await.map_err(Failure::connecting)?;
        let (mut sink, mut messages) = connected.0.split();
        let printing = smol::spawn(async move {
            while let Some(message) = messages.next().await {
                let message = message?;
                print(message.as_text(), message.as_bytes());
            }
            Ok(())
        });
        let mut lines = BufReader::new(Unblock::new(std::io::stdin())).lines();
        while let Some(line) = lines.next().await {
            sink.send(arguments.message(line?)).await?;
        }
        sink.close().await?;
        printing.await
    })
}
