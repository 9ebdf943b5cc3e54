//! Blocking echo servers and clients, `sockless-std`'s beside tungstenite's, for a profiler to count their instructions.
//!
//! ```text
//! cargo build --release -p sockless-bench-servers --bin blocking
//! target/release/blocking sockless echo 127.0.0.1:9001 &
//! valgrind --tool=callgrind target/release/blocking tungstenite ask 127.0.0.1:9001 16 1 10000
//! ```
//!
//! `NAME echo ADDRESS` answers one connection, and ends with it. `NAME ask ADDRESS SIZE DEPTH COUNT` sends so many messages
//! of so many bytes, so many of them at once, and waits for each answer. NAMEs are `sockless`, `sockless-lent` (a server that
//! answers messages where they lie) and `tungstenite`.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use tungstenite::Message;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        [name, "echo", address] => {
            let (stream, _) = TcpListener::bind(address)?.accept()?;
            stream.set_nodelay(true)?;
            match *name {
                "sockless" => echo(stream),
                "sockless-lent" => echo_lent(stream),
                "tungstenite" => echo_tungstenite(stream),
                _ => Err("no such server".into()),
            }
        }
        [name, "ask", address, size, depth, count] => {
            let (url, size) = (format!("ws://{address}/"), size.parse()?);
            let rounds = count.parse::<u32>()? / depth.parse::<u32>()?;
            match *name {
                "sockless" => ask(&url, size, depth.parse()?, rounds),
                "tungstenite" => ask_tungstenite(&url, size, depth.parse()?, rounds),
                _ => Err("no such client".into()),
            }
        }
        _ => Err("NAME echo ADDRESS, or NAME ask ADDRESS SIZE DEPTH COUNT".into()),
    }
}

fn echo(stream: TcpStream) -> Done {
    let mut socket = sockless_std::accept(stream)?;
    while let Some(message) = socket.recv()? {
        socket.send(message)?;
    }
    Ok(())
}

fn echo_lent(stream: TcpStream) -> Done {
    Ok(sockless_std::accept(stream)?.recv_each(|message, replies| replies.feed(message))?)
}

fn echo_tungstenite(stream: TcpStream) -> Done {
    let mut socket = tungstenite::accept(stream)?;
    loop {
        match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => socket.send(message)?,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn ask(url: &str, size: usize, depth: usize, rounds: u32) -> Done {
    let (mut socket, message) = (sockless_std::connect(url)?, vec![7; size]);
    for _ in 0..rounds {
        for _ in 0..depth {
            socket.feed(&message)?;
        }
        socket.flush()?;
        for _ in 0..depth {
            let answer = socket.recv()?.ok_or("an end")?;
            assert_eq!(answer.len(), size);
        }
    }
    socket.close(1000, "")?;
    Ok(())
}

fn ask_tungstenite(url: &str, size: usize, depth: usize, rounds: u32) -> Done {
    let (mut socket, _) = tungstenite::connect(url)?;
    if let tungstenite::stream::MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_nodelay(true)?;
    }
    let message = Message::binary(vec![7; size]);
    for _ in 0..rounds {
        for _ in 0..depth {
            socket.write(message.clone())?;
        }
        socket.flush()?;
        for _ in 0..depth {
            assert_eq!(socket.read()?.len(), size);
        }
    }
    socket.close(None)?;
    while socket.read().is_ok() {}
    Ok(())
}
