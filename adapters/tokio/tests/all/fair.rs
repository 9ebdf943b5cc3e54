//! A peer whose bytes make much work does not keep the other tasks of its thread waiting.

use crate::common::*;
use sockless_tokio::WebSocket;
use sockless_tokio::sockless::{Config, Role};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::task::yield_now;

/// Whether another task has its turn before a server has received `bytes`, which lie there, and a last message behind them.
async fn other_runs(bytes: &[u8], open: impl FnOnce(DuplexStream) -> WebSocket<DuplexStream>) -> bool {
    let (server, mut wire) = duplex(16 << 20);
    wire.write_all(&[bytes, b"\x82\x81\0\0\0\0!"].concat()).soon().await.unwrap();
    let mut socket = open(server);
    let ran = Arc::new(AtomicBool::new(false));
    // In a runtime of one thread, it runs as soon as this task gives way.
    let other = tokio::spawn({
        let ran = ran.clone();
        async move { ran.store(true, Ordering::Relaxed) }
    });
    while socket.recv().await.unwrap().expect("it is open").as_bytes() != b"!" {}
    let ran = ran.load(Ordering::Relaxed);
    other.soon().await.unwrap();
    ran
}

fn server(stream: DuplexStream) -> WebSocket<DuplexStream> {
    open(stream, Role::Server, Config::default())
}

#[tokio::test]
async fn few_messages() {
    // All at once, or the others would tell nothing.
    assert!(!other_runs(&b"\x82\x81\0\0\0\0m".repeat(1000), server).await);
}

#[tokio::test]
async fn messages() {
    // As many as it takes, in reads of a megabyte at most.
    let message = [&b"\x82\xfe\xff\xff\0\0\0\0"[..], &[0; 0xFFFF]].concat();
    assert!(other_runs(&message.repeat(130), server).await);
}

#[tokio::test]
async fn empty_messages() {
    // Few bytes, but each is a message.
    assert!(other_runs(&b"\x82\x80\0\0\0\0".repeat(100_000), server).await);
}

#[tokio::test]
async fn empty_fragments() {
    let message = [&b"\x02\x80\0\0\0\0"[..], &b"\0\x80\0\0\0\0".repeat(4000), b"\x80\x80\0\0\0\0"].concat();
    assert!(other_runs(&message.repeat(25), server).await);
}

#[tokio::test]
async fn pongs() {
    // Nothing is written for them.
    assert!(other_runs(&b"\x8a\x80\0\0\0\0".repeat(20_000), server).await);
}

/// A stream from which the same bytes come for ever, at once, and which takes all; tokio knows nothing of it.
struct Endless {
    bytes: Vec<u8>,
    at: usize,
}

impl Endless {
    fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.repeat(1 + (1 << 20) / bytes.len()), at: 0 }
    }
}

impl AsyncRead for Endless {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = buf.remaining().min(self.bytes.len() - self.at);
        buf.put_slice(&self.bytes[self.at..][..len]);
        self.at = (self.at + len) % self.bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Work of one turn, in bytes: a task's budget is 128 units.
const TURN: u64 = 128 * (64 << 10);

/// The most bytes that one read brings.
const READ: u64 = 2 << 20;

/// The most frames and bytes that a server receives before others have their turn, of many turns.
async fn most_of_a_turn(mut socket: WebSocket<Endless>) -> (u64, u64) {
    let turns = Arc::new(AtomicU64::new(0));
    let others = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        }
    });
    let (mut turn, mut before, mut most) = (0, (0, 0), (0, 0));
    while turn < 10 {
        // Whoever calls says what it waits for: a million times it would take too long.
        socket.recv_event().await.unwrap().expect("it never ends");
        let received = socket.counters().received;
        let now = (received.frames, received.bytes);
        most = (most.0.max(now.0 - before.0), most.1.max(now.1 - before.1));
        let seen = turns.load(Ordering::Relaxed);
        if seen > turn {
            (turn, before) = (seen, now);
        }
    }
    others.abort();
    most
}

#[tokio::test]
async fn many_turns() {
    let message = |len: usize| [&[0x82, 0x80 | len as u8, 0, 0, 0, 0][..], &vec![0; len]].concat();
    let fragments = [&b"\x02\x80\0\0\0\0"[..], &b"\0\x80\0\0\0\0".repeat(4000), b"\x80\x80\0\0\0\0"].concat();
    for bytes in [
        message(0),
        message(1),
        message(125),
        fragments,
        b"\x8a\x80\0\0\0\0".to_vec(),
        b"\x89\x80\0\0\0\0".to_vec(),
        [&b"\x82\xfe\xff\xff\0\0\0\0"[..], &[0; 0xFFFF]].concat(),
    ] {
        let (frames, bytes) = most_of_a_turn(open(Endless::new(&bytes), Role::Server, Config::default())).soon().await;
        // What one call takes comes on top: a message of fragments.
        assert!(frames <= TURN / 128 + 4096, "{frames} frames");
        assert!(bytes <= TURN + READ, "{bytes} bytes");
    }
}

#[cfg(feature = "deflate")]
mod compressed {
    use super::*;
    use sockless_tokio::sockless::bytes::Buf;
    use sockless_tokio::sockless::{Connection, Deflate, DeflateParams, Seed};

    const PARAMS: DeflateParams =
        DeflateParams { window_bits: 12, peer_window_bits: 12, takeover: false, peer_takeover: false };

    fn config() -> Config {
        Config { deflate: Some(Deflate::default()), ..Config::default() }
    }

    fn server(stream: DuplexStream) -> WebSocket<DuplexStream> {
        WebSocket::open(stream, Role::Server, PARAMS.try_into().unwrap(), config(), Seed::new([0; 16]), b"")
    }

    /// A kilobyte each that inflates to a megabyte.
    #[tokio::test]
    async fn messages() {
        let mut client = Connection::open(Role::Client, PARAMS.try_into().unwrap(), config(), Seed::new([0; 16]));
        client.send_binary(&vec![0; 1 << 20]).unwrap();
        let mut outbound = client.outbound();
        let bomb = outbound.copy_to_bytes(outbound.remaining());
        assert!(other_runs(&bomb.repeat(10), server).await);
    }

    /// They inflate to nothing at all.
    #[tokio::test]
    async fn empty_blocks() {
        assert!(other_runs(&blocks().repeat(10), server).await);
    }

    /// A message of them.
    fn blocks() -> Vec<u8> {
        // A stored block without a byte (RFC 1951 §3.2.4); the last ends the message (RFC 7692 §7.2.1).
        let blocks = [&b"\0\0\0\xff\xff".repeat(20_000)[..], b"\0"].concat();
        [&b"\xc2\xff"[..], &(blocks.len() as u64).to_be_bytes(), &[0; 4], &blocks].concat()
    }

    #[tokio::test]
    async fn many_turns() {
        let open = |stream| {
            WebSocket::open(stream, Role::Server, PARAMS.try_into().unwrap(), config(), Seed::new([0; 16]), b"")
        };
        let (_, bytes) = most_of_a_turn(open(Endless::new(&blocks()))).soon().await;
        assert!(bytes <= TURN / 16 + READ, "{bytes} bytes");
    }
}
