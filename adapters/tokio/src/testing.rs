//! For tests of what is built on connections: two joined ends, without sockets.

use crate::websocket::WebSocket;
use sockless::{Config, Negotiated, Role, Seed, SharedConfig};
use tokio::io::{DuplexStream, duplex};

/// Bytes that the stream between two ends holds each way, as a socket does.
const CAPACITY: usize = 64 << 10;

/// A client and a server, open and joined in memory, with default settings.
///
/// On tokio's paused clock (`tokio::time::pause`, of its feature `test-util`), deadlines of minutes pass at once, as soon as
/// no task has anything else to do. Masking keys are the same in each run.
///
/// ```
/// use sockless_tokio::sockless::ProtocolError;
/// use sockless_tokio::{Error, testing};
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)]
/// async fn main() -> Result<(), Error> {
///     let (mut client, mut server) = testing::pair();
///     client.send("Hello").await?;
///     assert_eq!(server.recv().await?, Some("Hello".into()));
///
///     // The client says nothing more, nor answers pings: the server gives it up.
///     let started = tokio::time::Instant::now();
///     let ended = server.recv().await;
///     assert!(matches!(ended, Err(Error::Protocol(ProtocolError::PongTimeout))));
///     assert_eq!(started.elapsed().as_secs(), 40);
///     Ok(())
/// }
/// ```
pub fn pair() -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    pair_with(Config::default(), Config::default())
}

/// The same with settings of the client's and of the server's.
pub fn pair_with(
    client: impl Into<SharedConfig>,
    server: impl Into<SharedConfig>,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(CAPACITY);
    let open =
        |stream, role, config| WebSocket::open(stream, role, Negotiated::default(), config, Seed::new([0x5A; 16]), b"");
    (open(near, Role::Client, client.into()), open(far, Role::Server, server.into()))
}
