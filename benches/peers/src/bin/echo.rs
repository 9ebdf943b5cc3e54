//! Echo servers of peers over tokio, on one thread: `echo NAME ADDRESS`, where the name is `bare` for one that echoes bytes
//! and knows no WebSocket.
//!
//! ```text
//! cargo build --release --manifest-path benches/peers/Cargo.toml --bin echo
//! cargo run --release -p sockless-bench-servers --bin cpu -- \
//!     --server 'tungstenite=benches/peers/target/release/echo tungstenite {addr}'
//! ```
//!
//! Each is written as its own documentation has it where that is quickest: with `forward`, which flushes when nothing more
//! is at hand, if it has a `Stream` and a `Sink`. `sockless` lends messages, `sockless-owned` gives them away. What all are
//! measured against is the bare one here, on the same runtime: `--bare 'benches/peers/target/release/echo bare {addr}'`.

use fastwebsockets::{OpCode, Role, WebSocket};
use futures_util::{StreamExt, TryStreamExt};
use sockless::{Config, Connection, Event, bytes::Buf};
use std::error::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("whose server?")?;
    let listener = TcpListener::bind(arguments.next().ok_or("which address?")?).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match &*name {
            "bare" => drop(tokio::spawn(bare(stream))),
            "sockless" => drop(tokio::spawn(sockless(stream))),
            "sockless-owned" => drop(tokio::spawn(sockless_owned(stream))),
            "tungstenite" => drop(tokio::spawn(tungstenite(stream))),
            "fastwebsockets" => drop(tokio::spawn(fastwebsockets(stream))),
            "tokio-websockets" => drop(tokio::spawn(tokio_websockets(stream))),
            _ => return Err(format!("no server of {name} here").into()),
        }
    }
}

async fn bare(mut stream: TcpStream) -> Result<(), AnyError> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

async fn sockless(stream: TcpStream) -> Result<(), AnyError> {
    let mut socket = sockless_tokio::accept(stream).await?;
    Ok(socket.recv_each(|message, replies| replies.feed(message)).await?)
}

async fn sockless_owned(stream: TcpStream) -> Result<(), AnyError> {
    let mut socket = sockless_tokio::accept(stream).await?;
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}

async fn tungstenite(stream: TcpStream) -> Result<(), AnyError> {
    let (sink, stream) = tokio_tungstenite::accept_async(stream).await?.split();
    let messages = stream.try_filter(|message| std::future::ready(message.is_binary() || message.is_text()));
    Ok(messages.forward(sink).await?)
}

async fn tokio_websockets(stream: TcpStream) -> Result<(), AnyError> {
    let (_, socket) = tokio_websockets::ServerBuilder::new().accept(stream).await?;
    let (sink, stream) = socket.split();
    let messages = stream.try_filter(|message| std::future::ready(message.is_binary() || message.is_text()));
    Ok(messages.forward(sink).await?)
}

async fn fastwebsockets(mut stream: TcpStream) -> Result<(), AnyError> {
    handshake(&mut stream).await?;
    let mut socket = WebSocket::after_handshake(stream, Role::Server);
    socket.set_writev(true);
    socket.set_auto_close(true);
    socket.set_auto_pong(true);
    let mut socket = fastwebsockets::FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// Its own handshake needs hyper; this one is our core's.
async fn handshake(stream: &mut TcpStream) -> Result<(), AnyError> {
    let mut connection = Connection::server(Config::default());
    let mut byte = [0];
    loop {
        // Byte by byte: what follows is not ours.
        stream.read_exact(&mut byte).await?;
        if let Some(Event::Request(request)) = connection.receive(&mut &mut byte[..])? {
            connection.accept(request.accept())?;
            while connection.outbound().has_remaining() {
                let n = stream.write(connection.outbound().chunk()).await?;
                connection.outbound().advance(n);
            }
            return Ok(());
        }
    }
}
