//! A server for a test, and what is asked of it.
#![allow(unreachable_pub)]

#[path = "../../../../../tests/all/common/heap.rs"]
pub(crate) mod heap;
#[cfg(feature = "testing")]
#[path = "../../../../../tests/all/common/taped.rs"]
pub(crate) mod taped;

use sockless_mio::sockless::Close;
use sockless_mio::{Builder, ClientError, Code, Handle, Handler, Message, Running, Stats};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

#[cfg(feature = "testing")]
use sockless_mio::sockless;
pub use sockless_test_support::{PATIENCE, eventually, watch, within};

/// A server that runs.
pub struct Started<S> {
    running: Running<S>,
}

#[track_caller]
pub fn start<H: Handler>(builder: Builder, handler: H) -> Started<H::State> {
    watch();
    Started { running: builder.bind(handler).unwrap().start().unwrap() }
}

impl<S: Send + 'static> Started<S> {
    pub fn address(&self) -> SocketAddr {
        self.running.addresses()[0].tcp().unwrap()
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address())
    }

    pub fn handle(&self) -> &Handle<S> {
        self.running.handle()
    }

    #[track_caller]
    pub fn connect(&self) -> Client {
        client(|| sockless_mio::Client::connect(&self.url())).unwrap()
    }

    /// Waits until the statistics say so.
    #[track_caller]
    pub fn eventually(&self, what: &str, mut holds: impl FnMut(&Stats) -> bool) {
        eventually(what, || holds(&self.handle().stats()));
    }

    /// Shuts the server down, and waits for nobody.
    #[track_caller]
    pub fn stop(self) {
        self.stop_within(Duration::ZERO);
    }

    #[track_caller]
    pub fn stop_within(self, patience: Duration) -> sockless_mio::Report {
        self.handle().shutdown(patience).unwrap();
        within("the server's end", || self.running.join())
    }
}

/// A client none of whose waits lasts for ever.
pub struct Client(sockless_mio::Client);

impl Client {
    #[track_caller]
    pub fn receive(&mut self) -> Result<Option<Message<'static>>, ClientError> {
        within("a message", || self.0.receive())
    }

    #[track_caller]
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        within("room for a text", || self.0.send_text(text))
    }

    #[track_caller]
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        within("room for a message", || self.0.send_binary(bytes))
    }

    #[track_caller]
    pub fn close(&mut self, code: Code, reason: &str) -> Result<Close<'static>, ClientError> {
        within("the end of the closing handshake", || self.0.close(code, reason))
    }
}

impl Deref for Client {
    type Target = sockless_mio::Client;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Waits for a client's opening handshake.
#[track_caller]
pub fn client(open: impl FnOnce() -> Result<sockless_mio::Client, ClientError>) -> Result<Client, ClientError> {
    within("a connection", open).map(Client)
}

/// A request that opens a WebSocket.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A connection whose reads and writes end.
#[track_caller]
pub fn dial(address: SocketAddr) -> TcpStream {
    watch();
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    bound(&stream);
    stream
}

/// Sees to it that a connection's reads and writes end.
pub fn bound(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
}

/// An open connection, spoken to byte by byte.
#[track_caller]
pub fn raw(address: SocketAddr) -> TcpStream {
    let mut stream = dial(address);
    stream.write_all(REQUEST).unwrap();
    skip_head(&mut stream);
    stream
}

/// Reads a response up to the end of its head.
pub fn skip_head(stream: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
}

pub fn text(text: &str) -> Message<'static> {
    Message::Text(text.to_owned().into())
}
