//! By tasks of smol.

use super::{Arguments, Result};
use smol::Timer;
use smol::net::{TcpListener, TcpStream};
use sockless_futures::{Error, Settings};

pub(super) fn serve(arguments: &Arguments) -> Result {
    let settings = Settings::default().config(arguments.settings.server()).timer(Timer::after);
    smol::block_on(async {
        let listener = TcpListener::bind(&arguments.listen).await?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let ((stream, peer), settings) = (listener.accept().await?, settings.clone());
            let serving =
                async move { echo(stream, settings).await.unwrap_or_else(|error| eprintln!("{peer}: {error}")) };
            smol::spawn(serving).detach();
        }
    })
}

async fn echo(stream: TcpStream, settings: Settings) -> std::result::Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = settings.accept_with(stream, |request| Ok(request.accept_first_subprotocol())).await?;
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}
