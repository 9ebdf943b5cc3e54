//! Two ends of which one always reads never wait for each other, whatever the streams between them hold, with all defaults.

use crate::common::*;
use sockless_tokio::sockless::{Config, Kind, Role};
use sockless_tokio::{Error, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use tokio::net::{TcpListener, TcpStream};

/// More than all of the buffers between two ends hold.
const MESSAGES: usize = 60;
const LEN: usize = 1_000_000;

/// How a server gives every message back, and takes the next only then.
#[derive(Clone, Copy, Debug)]
enum Echo {
    RecvAndSend,
    RecvAndFeed,
    EventsAndSend,
    PiecesAndWriter,
    Each,
    With,
    HalvesInOneTask,
}

const ECHOES: [Echo; 7] = [
    Echo::RecvAndSend,
    Echo::RecvAndFeed,
    Echo::EventsAndSend,
    Echo::PiecesAndWriter,
    Echo::Each,
    Echo::With,
    Echo::HalvesInOneTask,
];

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<S>, echo: Echo) -> Result<(), Error> {
    match echo {
        Echo::RecvAndSend => {
            while let Some(message) = socket.recv().await? {
                socket.send(message).soon().await?;
            }
        }
        Echo::RecvAndFeed => {
            while let Some(message) = socket.recv().await? {
                socket.feed(message).soon().await?;
            }
        }
        Echo::EventsAndSend => {
            while let Some(event) = socket.recv_event().await? {
                if let sockless_tokio::Event::Message(message) = event {
                    socket.send(message).soon().await?;
                }
            }
        }
        Echo::PiecesAndWriter => {
            while let Some(piece) = socket.recv_piece().await? {
                let mut writer = socket.writer(Kind::Binary);
                writer.write(piece.data.as_bytes()).soon().await?;
                if piece.last {
                    writer.finish().soon().await?;
                }
            }
        }
        Echo::Each => socket.recv_each(|message, replies| replies.feed(message)).await?,
        Echo::With => while socket.recv_with(|message, replies| replies.feed(message)).await?.transpose()?.is_some() {},
        Echo::HalvesInOneTask => {
            let (sender, mut receiver) = socket.split();
            while let Some(message) = receiver.recv().await? {
                sender.send(message).soon().await?;
            }
        }
    }
    Ok(())
}

/// A client in halves sends in one task and receives in another.
async fn talk<S>(client: S, server: S, kind: Echo)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let served = tokio::spawn(echo(open(server, Role::Server, Config::default()), kind));
    let (sender, mut receiver) = open(client, Role::Client, Config::default()).split();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            sender.send(vec![number as u8; LEN]).soon().await?;
        }
        Ok::<_, Error>(sender)
    });
    for number in 0..MESSAGES {
        let message = receiver.recv().soon().await.unwrap().expect("it is echoed");
        assert!(message.as_bytes() == vec![number as u8; LEN], "number {number}");
    }
    sending.soon().await.unwrap().unwrap().close(1000, "").soon().await.unwrap();
    assert_eq!(receiver.recv().soon().await.unwrap(), None);
    served.soon().await.unwrap().unwrap();
}

fn each_echo(run: impl Fn(Echo)) {
    for echo in ECHOES {
        within(&format!("{echo:?}"), || run(echo));
    }
}

#[test]
fn over_tcp() {
    each_echo(|echo| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).soon().await.unwrap();
            let (server, _) = listener.accept().soon().await.unwrap();
            talk(client, server, echo).await;
        });
    });
}

#[test]
fn over_a_stream_that_holds_little() {
    each_echo(|echo| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (client, server) = duplex(1 << 12);
            talk(client, server, echo).await;
        });
    });
}
