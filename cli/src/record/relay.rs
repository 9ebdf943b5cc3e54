//! The bytes of a client and a server, passed on and recorded.

use super::Arguments;
use crate::output::print;
use crate::reel::Reel;
use crate::status::{Failure, Status};
use crate::watch::Watch;
use sockless::Role;
use sockless::testing::tape::Tape;
use sockless_tokio::{Config, NetStream};
use std::cell::RefCell;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpListener;
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

/// Relays one client.
///
/// # Errors
/// It cannot listen or connect, or the file cannot be written.
pub(super) async fn relay(arguments: &Arguments, listen: &str, to: &str) -> Result<(), Failure> {
    let client = arguments.reach.client(to, Config::default())?;
    let not_listening = |error| Failure::new(Status::NotConnected, format!("{listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(not_listening)?;
    let reel = Reel::create(&arguments.output)?;
    let address = listener.local_addr().map_err(not_listening)?;
    // Nobody is left to be told.
    _ = print(format!("listening on ws://{address}/\n").as_bytes());
    let near = tokio::select! {
        accepted = listener.accept() => accepted.map_err(not_listening)?.0,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    drop(listener);
    // As they come, they are passed on.
    near.set_nodelay(true).map_err(not_listening)?;
    let (far, _) = client.dial().await?;
    let relay = Relay { watch: Watch::new(arguments.taking.max_message), reel, started: Instant::now() };
    let relay = RefCell::new(relay);
    tokio::select! {
        ended = both(NetStream::from(near), far, &relay) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
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
