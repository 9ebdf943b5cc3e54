//! What the tests share.

pub(crate) mod choppy;
#[path = "../../../../../tests/all/common/heap.rs"]
pub(crate) mod heap;
#[path = "../../../../../tests/all/common/random.rs"]
pub(crate) mod random;

use futures_util::StreamExt;
use futures_util::stream::{SplitSink, SplitStream};
use sockless_tokio::sockless::{Config, Role, Seed};
use sockless_tokio::{Message, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};

pub(crate) use sockless_test_support::{PATIENCE, Soon, soon, watch, within};

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
