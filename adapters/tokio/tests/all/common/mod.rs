//! What the tests share.

pub(crate) mod choppy;
#[path = "../../../../../tests/all/common/heap.rs"]
pub(crate) mod heap;
#[cfg(all(feature = "axum", feature = "deflate", feature = "http2"))]
pub(crate) mod http2;
#[path = "../../../../../tests/all/common/random.rs"]
pub(crate) mod random;
#[cfg(feature = "testing")]
#[path = "../../../../../tests/all/common/taped.rs"]
pub(crate) mod taped;

use futures_util::StreamExt;
use futures_util::stream::{SplitSink, SplitStream};
#[cfg(any(feature = "tls", feature = "native-tls"))]
use sockless_tokio::sockless::handshake::accept_key;
use sockless_tokio::sockless::{Config, Role, Seed};
use sockless_tokio::{Message, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
#[cfg(any(feature = "tls", feature = "native-tls"))]
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) use sockless_test_support::{PATIENCE, Soon, soon, watch, within};
#[cfg(feature = "testing")]
use sockless_tokio::sockless;

/// An end of an open connection.
#[track_caller]
pub(crate) fn open<S>(stream: S, role: Role, config: Config) -> WebSocket<S> {
    watch();
    WebSocket::open(stream, role, Default::default(), config, Seed::new([7; 16]), b"")
}

/// A client and a server, joined by a stream that holds so many bytes each way.
#[track_caller]
pub(crate) fn pair(capacity: usize) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (client, server) = duplex(capacity);
    (open(client, Role::Client, Config::default()), open(server, Role::Server, Config::default()))
}

/// Halves as `futures` makes them, of a `Stream` and `Sink` behind a lock.
pub(crate) trait SplitFutures: Sized {
    /// The sink and the stream.
    fn split_futures(self) -> (SplitSink<Self, Message>, SplitStream<Self>);
}

impl<S: AsyncRead + AsyncWrite + Unpin> SplitFutures for WebSocket<S> {
    fn split_futures(self) -> (SplitSink<Self, Message>, SplitStream<Self>) {
        StreamExt::split(self)
    }
}

/// Accepts a WebSocket by hand, sends a message and parts: by a close frame, or without a word.
#[cfg(any(feature = "tls", feature = "native-tls"))]
pub(crate) async fn parting(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), clean: bool) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = accept_key(key.as_bytes().try_into().unwrap());
    let answer = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    stream.write_all(&[&answer[..], &accept, b"\r\n\r\n\x81\x01a"].concat()).await.unwrap();
    if clean {
        stream.write_all(&[0x88, 2, 3, 0xE8]).await.unwrap();
    }
    stream.flush().await.unwrap();
}
