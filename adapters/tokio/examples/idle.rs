//! Measures what connections that wait cost a server: opens so many to a server in a process of its own, has each
//! exchange a message, and prints what the server's resident memory grew by.
//!
//! ```text
//! cargo run --release -p sockless-tokio --example idle -- 10000
//! ```
//!
//! Linux only. The limit on open files has to allow twice as many in all.

use sockless_tokio::{Server, connect};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Connections that are opened at the same time.
const AT_ONCE: usize = 100;

fn main() -> Result<(), AnyError> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        Some(count) => measure(count.parse()?),
        None => Err("how many connections?".into()),
    }
}

/// The server's process: prints its port, and its memory whenever it is asked by a line.
#[tokio::main(flavor = "current_thread")]
async fn serve() -> Result<(), AnyError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    tokio::spawn(Server::new().serve(listener, |mut socket, _, _| async move {
        while let Some(message) = socket.recv().await? {
            socket.feed(message).await?;
        }
        Ok::<_, sockless_tokio::Error>(())
    }));
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(tokio::io::stdin()));
    while lines.next_line().await?.is_some() {
        println!("{}", resident()?);
    }
    Ok(())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, AnyError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

#[tokio::main(flavor = "current_thread")]
async fn measure(count: usize) -> Result<(), AnyError> {
    let mut server =
        Command::new(std::env::current_exe()?).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let result = ask(&mut server, count).await;
    server.kill()?;
    server.wait()?;
    let per = result?;
    println!("{count} idle connections: {per:.0} bytes each");
    if per > 2048.0 { Err("more than 2 KiB".into()) } else { Ok(()) }
}

async fn ask(server: &mut std::process::Child, count: usize) -> Result<f64, AnyError> {
    let mut input = server.stdin.take().ok_or("no input")?;
    let mut lines = BufReader::new(server.stdout.take().ok_or("no output")?).lines();
    let mut line = move || -> Result<String, AnyError> { Ok(lines.next().ok_or("the server has ended")??) };
    let url = format!("ws://127.0.0.1:{}/", line()?);
    // What the first connection costs is the server's own: its buffer, its timers.
    let mut sockets = vec![talk(&url).await?];
    let mut memory = move || -> Result<u64, AnyError> {
        writeln!(input)?;
        Ok(line()?.parse()?)
    };
    let before = memory()?;
    while sockets.len() <= count {
        let many = AT_ONCE.min(count + 1 - sockets.len());
        let opened: Vec<_> = (0..many).map(|_| tokio::spawn(talk_owned(url.clone()))).collect();
        for socket in opened {
            sockets.push(socket.await??);
        }
    }
    let after = memory()?;
    Ok((after.saturating_sub(before)) as f64 / count as f64)
}

type Socket = sockless_tokio::WebSocket<sockless_tokio::NetStream>;
type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn talk_owned(url: String) -> Result<Socket, AnyError> {
    talk(&url).await
}

/// A connection over which a message went and came.
async fn talk(url: &str) -> Result<Socket, AnyError> {
    let mut socket = connect(url).await?;
    socket.send(vec![7; 1024]).await?;
    match socket.recv().await? {
        Some(_) => Ok(socket),
        None => Err("closed".into()),
    }
}
