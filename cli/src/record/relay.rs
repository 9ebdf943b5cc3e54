//! The bytes of a client and a server, passed on and recorded.

use super::Arguments;
use crate::output::note;
use crate::reel::Reel;
use crate::status::{Failure, Status};
use crate::stdout::print;
use crate::watch::Watch;
use sockless::Role;
use sockless::testing::tape::Tape;
use sockless_tokio::{Client, Config, NetStream};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

/// What passes, and where it is written.
struct Relay {
    watch: Watch,
    reel: Reel,
    started: Instant,
}

impl Relay {
    /// Writes what an end has sent; none: it has ended.
    fn passed(&mut self, from: Role, bytes: &[u8]) -> Result<(), Failure> {
        let steps = self.watch.passed(from, bytes, self.started.elapsed());
        self.reel.append(&Tape { steps })
    }
}

/// Where the number of a client stands in the name of its tape.
const NUMBER: &str = "%n";

/// Relays one client, or where each has a tape of its own, clients until Ctrl-C.
///
/// # Errors
/// It cannot listen or connect, or the file cannot be written.
pub(super) async fn relay(arguments: &Arguments, listen: &str, to: &str) -> Result<(), Failure> {
    let server = Rc::new(arguments.reach.client(to, Config::default())?);
    let not_listening = |error| Failure::new(Status::NotConnected, format!("{listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(not_listening)?;
    let (name, max_message) = (&arguments.output, arguments.taking.max_message);
    let is_for_many = name.to_str().is_some_and(|name| name.contains(NUMBER));
    // What cannot be written is told before anybody comes.
    let mut first = Some(Reel::create(&numbered(name, 1))?);
    let address = listener.local_addr().map_err(not_listening)?;
    // Nobody is left to be told.
    _ = print(format!("listening on ws://{address}/\n").as_bytes());
    let tasks = LocalSet::new();
    let serving = async {
        if !is_for_many {
            let (near, _) = listener.accept().await.map_err(not_listening)?;
            drop(listener);
            let reel = first.map_or_else(|| Reel::create(name), Ok)?;
            return relay_one(near, &server, reel, max_message).await;
        }
        for number in 1.. {
            let (near, peer) = listener.accept().await.map_err(not_listening)?;
            let reel = first.take().map_or_else(|| Reel::create(&numbered(name, number)), Ok)?;
            let server = server.clone();
            spawn_local(async move {
                if let Err(failure) = relay_one(near, &server, reel, max_message).await {
                    note!("sockless: {peer}: {}", failure.message);
                }
            });
        }
        Ok(())
    };
    tokio::select! {
        ended = tasks.run_until(serving) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// The file of one client.
fn numbered(name: &Path, number: usize) -> PathBuf {
    match name.to_str() {
        Some(name) => name.replace(NUMBER, &number.to_string()).into(),
        None => name.into(),
    }
}

async fn relay_one(near: TcpStream, server: &Client, reel: Reel, max_message: usize) -> Result<(), Failure> {
    // As they come, bytes are passed on.
    near.set_nodelay(true).map_err(|error| Failure::new(Status::NotConnected, error))?;
    let (far, _) = server.dial().await?;
    let relay = Relay { watch: Watch::new(max_message), reel, started: Instant::now() };
    both(NetStream::from(near), far, &RefCell::new(relay)).await
}

/// Passes on what either end sends, until both have ended.
async fn both(near: NetStream, far: NetStream, relay: &RefCell<Relay>) -> Result<(), Failure> {
    let ((near_reader, near_writer), (far_reader, far_writer)) = (split(near), split(far));
    let there = pin!(pass(Role::Client, near_reader, far_writer, relay));
    let back = pin!(pass(Role::Server, far_reader, near_writer, relay));
    tokio::try_join!(there, back).map(|_| ())
}

/// Passes on what one end sends, and its end.
async fn pass(
    from: Role,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    relay: &RefCell<Relay>,
) -> Result<(), Failure> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        // An end by an error is an end.
        let len = reader.read(&mut buffer).await.unwrap_or_default();
        relay.borrow_mut().passed(from, &buffer[..len])?;
        if len == 0 {
            break;
        }
        let written = writer.write_all(&buffer[..len]).await;
        if written.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    _ = writer.shutdown().await;
    Ok(())
}
