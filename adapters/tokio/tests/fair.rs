//! A peer whose bytes make much work does not keep the other tasks of its thread waiting.

mod common;

use common::*;
use sockless_tokio::WebSocket;
use sockless_tokio::sockless::{Config, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

/// Whether another task has its turn before a server has received `bytes`, which lie there, and an empty message behind them.
async fn other_runs(bytes: &[u8], open: impl FnOnce(DuplexStream) -> WebSocket<DuplexStream>) -> bool {
    let (server, mut wire) = duplex(16 << 20);
    wire.write_all(&[bytes, b"\x82\x80\0\0\0\0"].concat()).await.unwrap();
    let mut socket = open(server);
    let ran = Arc::new(AtomicBool::new(false));
    // In a runtime of one thread, it runs as soon as this task gives way.
    let other = tokio::spawn({
        let ran = ran.clone();
        async move { ran.store(true, Ordering::Relaxed) }
    });
    while !socket.recv().await.unwrap().expect("it is open").as_bytes().is_empty() {}
    let ran = ran.load(Ordering::Relaxed);
    other.await.unwrap();
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
async fn pongs() {
    // Nothing is written for them.
    assert!(other_runs(&b"\x8a\x80\0\0\0\0".repeat(20_000), server).await);
}

/// A kilobyte each that inflates to a megabyte.
#[tokio::test]
#[cfg(feature = "deflate")]
async fn compressed_messages() {
    use sockless_tokio::sockless::bytes::Buf;
    use sockless_tokio::sockless::{Connection, Deflate, DeflateParams, Seed};
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let params = DeflateParams { window_bits: 12, peer_window_bits: 12, takeover: false, peer_takeover: false };
    let mut client = Connection::open(Role::Client, params.into(), config.clone(), Seed::new([0; 16]));
    client.send_binary(&vec![0; 1 << 20]).unwrap();
    let mut outbound = client.outbound();
    let bomb = outbound.copy_to_bytes(outbound.remaining());
    let open = |stream| WebSocket::open(stream, Role::Server, params.into(), config, Seed::new([0; 16]), b"");
    assert!(other_runs(&bomb.repeat(10), open).await);
}
