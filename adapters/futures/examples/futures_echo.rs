//! An echo server on smol.
//!
//! ```text
//! cargo run --release -p sockless-futures --example futures_echo
//! ```

use smol::Timer;
use smol::net::{TcpListener, TcpStream};
use sockless_futures::{Error, Settings};

fn main() -> std::io::Result<()> {
    let settings = Settings::default().timer(Timer::after);
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:9001").await?;
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
    let mut socket = settings.accept_with(stream, |request| Ok(request.accept())).await?;
    // The answers to all that one read brought go out together, before the next.
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}
