//! What the tests share.

#[path = "../../../../../tests/all/common/heap.rs"]
pub(crate) mod heap;
#[path = "../../../../../tests/all/common/random.rs"]
pub(crate) mod random;
#[cfg(feature = "testing")]
#[path = "../../../../../tests/all/common/taped.rs"]
pub(crate) mod taped;

use sockless_std::sockless::{Config, Role, Seed};
use sockless_std::{Client, Error, Stream, WebSocket, accept_with};
use std::net::{TcpListener, TcpStream};
use std::thread;
#[cfg(any(feature = "tls", feature = "native-tls"))]
use std::{
    io::{self, ErrorKind},
    time::Duration,
};

#[cfg(feature = "testing")]
use sockless_std::sockless;
pub(crate) use sockless_test_support::{PATIENCE, eventually, watch, within};

/// A settings with other than the defaults.
pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// Two sockets that are connected.
#[track_caller]
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for socket in [&client, &server] {
        socket.set_nodelay(true).unwrap();
    }
    (client, server)
}

/// An end of an open connection.
pub(crate) fn open<S: Stream>(stream: S, role: Role, config: Config) -> WebSocket<S> {
    WebSocket::open(stream, role, Default::default(), config, Seed::new([7; 16]), b"")
}

/// A client and a server that have opened a connection, each by its settings.
#[track_caller]
pub(crate) fn pair_with(client: Config, server: Config) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let (stream, served) = sockets();
    let serving = thread::spawn(|| accept_with(served, server, |request| Ok(request.accept())));
    let asked = within("a client", || Client::new("ws://localhost/").config(client).connect_over(stream));
    (asked.unwrap().0, within("a server", || serving.join().unwrap().unwrap()))
}

/// The same with the default settings.
#[track_caller]
pub(crate) fn pair() -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    pair_with(Config::default(), Config::default())
}

/// Sends each message back, to the end.
pub(crate) fn echo<S: Stream>(mut socket: WebSocket<S>) -> Result<(), Error> {
    while let Some(message) = socket.recv()? {
        socket.send(message)?;
    }
    Ok(())
}

/// Some bytes, which compress a little.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * i) >> 7) as u8).collect()
}

/// Sends so many bytes both ways at once, by calls that wait for no more than a moment, and expects them in their order.
#[cfg(any(feature = "tls", feature = "native-tls"))]
pub(crate) fn keep_their_order<S: Stream + Send + 'static>(ends: [S; 2], all: usize) {
    fn pump(mut stream: impl Stream, all: usize) {
        let is_for_now = |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        let bytes: Vec<u8> = (0..all).map(|i| ((i * 7) >> 5) as u8).collect();
        let (mut written, mut read, mut buffer) = (0, 0, vec![0; 100_000]);
        stream.set_write_timeout(Some(Duration::from_millis(2))).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        while written < all || read < all || stream.flush().is_err() {
            match stream.write(&bytes[written..all.min(written + 200_000)]) {
                Ok(len) => written += len,
                Err(error) => assert!(is_for_now(&error), "{error}"),
            }
            match stream.read(&mut buffer) {
                Ok(0) => assert_eq!(read, all),
                Ok(len) => {
                    assert!(buffer[..len] == bytes[read..read + len], "at {read}");
                    read += len;
                }
                Err(error) => assert!(is_for_now(&error), "{error}"),
            }
        }
    }
    for end in ends.map(|stream| thread::spawn(move || pump(stream, all))) {
        within("an end", || end.join()).unwrap();
    }
}
