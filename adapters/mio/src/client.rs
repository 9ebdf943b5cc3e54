//! Clients: what they connect to, and one that blocks.

use crate::stream::{Socket, Stream};
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use sockless::bytes::Buf;
use sockless::{
    ClientRequest, Close, Code, Config, Connection, Event, Kind, Message, ProtocolError, Response, Seed, SendError,
    State, Transport,
};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long connecting takes at most, unless the caller has it otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Pongs that are kept until they are asked for; most never are.
const MOST_PONGS: usize = 64;

/// The end of a time that begins now; `None` where that is never.
fn after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

/// A connection that is being made, for a worker to go on with.
pub(crate) struct Target {
    pub(crate) request: ClientRequest,
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// What else to try, the next one last.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Target {
    /// Begins to connect to the first address that can be tried at all.
    pub(crate) fn dial(request: &ClientRequest, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let mut addresses = resolve(request)?;
        let tls = tls.map(|config| session(config, request)).transpose()?;
        loop {
            let Some(peer) = addresses.pop() else { return Err(no_address()) };
            match TcpStream::connect(peer) {
                Ok(socket) => {
                    let stream = Stream::new(Socket::Tcp(socket), tls.map(Into::into));
                    return Ok(Self { request: request.clone(), stream, peer, addresses });
                }
                Err(error) if addresses.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
    }
}

/// The addresses of a request's host, the one to try first last.
fn resolve(request: &ClientRequest) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<_> = (request.host(), request.port()).to_socket_addrs()?.collect();
    addresses.reverse();
    if addresses.is_empty() { Err(no_address()) } else { Ok(addresses) }
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "name without an address")
}

/// A TLS session with the server that a request is for.
fn session(config: Arc<ClientConfig>, request: &ClientRequest) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(request.host().to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(config, name).map_err(io::Error::other)
}

/// Why a client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The socket, TLS, or a name that was not found.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server broke the protocol, or kept silent for too long.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// What cannot be sent, now or at all.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server did not open a WebSocket; the response says what else, a redirect for instance.
    #[error("the server answered {}", .0.status())]
    Rejected(Box<Response<'static>>),
    /// Nothing came within the time to wait.
    #[error("nothing came in time")]
    TimedOut,
    /// The connection has ended; [`Client::closed`] says how.
    #[error("the connection is closed")]
    Closed,
}

/// The settings of a [`Client`], from [`Client::builder`].
#[must_use]
pub struct ClientBuilder {
    request: Result<ClientRequest, SendError>,
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
}

impl ClientBuilder {
    /// Adds a field to the request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.map(|request| request.header(name, value));
        self
    }

    /// Offers a subprotocol; the one offered first is liked best.
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.request = self.request.map(|request| request.subprotocol(name));
        self
    }

    /// Limits, timers, compression.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Another TLS than [`tls::client`](crate::tls::client).
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Time to connect in, all of it; 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects, and waits until the WebSocket is open. Each address of the name is tried.
    ///
    /// # Errors
    /// [`ClientError`], all but [`Closed`](ClientError::Closed).
    pub fn connect(self) -> Result<Client, ClientError> {
        let request = self.request?;
        let mut addresses = resolve(&request)?;
        let deadline = after(self.timeout);
        let mut result = Err(ClientError::TimedOut);
        while let (Err(ClientError::Io(_) | ClientError::TimedOut), Some(address)) = (&result, addresses.pop()) {
            let tls = match (request.is_secure(), &self.tls) {
                (false, _) => None,
                (true, Some(config)) => Some(session(config.clone(), &request)?),
                (true, None) => Some(session(crate::tls::client()?, &request)?),
            };
            let socket = match TcpStream::connect(address) {
                Ok(socket) => Socket::Tcp(socket),
                Err(error) => {
                    result = Err(error.into());
                    continue;
                }
            };
            let stream = Stream::new(socket, tls.map(Into::into));
            result = Client::open(&request, self.config.clone(), stream, deadline);
        }
        result
    }
}

/// A client that waits: for tests, tools, and whoever has one connection. [`Handle::connect`](crate::Handle::connect) is
/// for many.
///
/// Pings are answered while it waits in [`receive`](Self::receive), and only there. Compression is as in `Config`.
pub struct Client {
    connection: Connection,
    stream: Stream,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    started: Instant,
    /// What has come and not been asked for.
    inbox: VecDeque<Message<'static>>,
    /// The newest first.
    pongs: VecDeque<Vec<u8>>,
    closed: Option<Close<'static>>,
    response: Option<Response<'static>>,
    /// The end, which is told once.
    error: Option<ClientError>,
    ended: bool,
}

impl Client {
    /// Connects to a `ws://` or `wss://` URL.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub fn connect(url: &str) -> Result<Self, ClientError> {
        Self::builder(url).connect()
    }

    /// The settings of a connection to a URL.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder { request: ClientRequest::new(url), config: Config::default(), tls: None, timeout: TIMEOUT }
    }

    /// Speaks over a Unix socket.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    #[cfg(unix)]
    pub fn connect_unix(path: impl AsRef<std::path::Path>, url: &str) -> Result<Self, ClientError> {
        let stream = Stream::new(Socket::Unix(mio::net::UnixStream::connect(path)?), None);
        Self::open(&ClientRequest::new(url)?, Config::default(), stream, after(TIMEOUT))
    }

    fn open(
        request: &ClientRequest,
        config: Config,
        mut stream: Stream,
        deadline: Option<Instant>,
    ) -> Result<Self, ClientError> {
        let poll = Poll::new()?;
        stream.register(poll.registry(), Token(0))?;
        let mut client = Self {
            connection: Connection::client(request, config, Seed::random())?,
            stream,
            poll,
            events: Events::with_capacity(4),
            buffer: vec![0; 64 << 10],
            started: Instant::now(),
            inbox: VecDeque::new(),
            pongs: VecDeque::new(),
            closed: None,
            response: None,
            error: None,
            ended: false,
        };
        loop {
            match client.stream.connected() {
                Some(Ok(())) => break,
                Some(Err(error)) => return Err(error.into()),
                None => client.wait(deadline)?,
            }
        }
        client.stream.set_nodelay();
        client.until(deadline, |client| client.response.is_some())?;
        Ok(client)
    }

    /// Sends a message, all of it: waits while the peer takes none, for as long as the keepalive of its configuration
    /// lets it.
    ///
    /// # Errors
    /// [`Send`](ClientError::Send) for what cannot be sent; else what ended the connection.
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), ClientError> {
        self.connection.send(message)?;
        self.flush()
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send(&text.into())
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.send(&bytes.into())
    }

    /// Sends a fragment of a message (RFC 6455 §5.4).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) -> Result<(), ClientError> {
        self.connection.send_fragment(kind, bytes, last)?;
        self.flush()
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.connection.ping(payload)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        self.until(None, |client| client.connection.outbound().remaining() == 0)
    }

    /// Waits for the next message; `None` when the peer has closed by the rules.
    ///
    /// # Errors
    /// What ended the connection otherwise, once; then [`Closed`](ClientError::Closed).
    pub fn receive(&mut self) -> Result<Option<Message<'static>>, ClientError> {
        self.receive_until(None)
    }

    /// The same, for a time.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), and [`TimedOut`](ClientError::TimedOut).
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'static>>, ClientError> {
        self.receive_until(after(timeout))
    }

    fn receive_until(&mut self, deadline: Option<Instant>) -> Result<Option<Message<'static>>, ClientError> {
        // What has come is taken first, or a peer that sends faster would fill the inbox without end.
        if self.inbox.is_empty() {
            self.until(deadline, |client| !client.inbox.is_empty() || client.closed.is_some())?;
        }
        Ok(self.inbox.pop_front())
    }

    /// Waits for a pong; messages that come meanwhile are kept.
    ///
    /// # Errors
    /// As [`receive_timeout`](Self::receive_timeout).
    pub fn receive_pong(&mut self, timeout: Duration) -> Result<Vec<u8>, ClientError> {
        self.until(after(timeout), |client| !client.pongs.is_empty() || client.closed.is_some())?;
        self.pongs.pop_back().ok_or(ClientError::Closed)
    }

    /// Calls `each` for every message until the connection is closed, or `each` says that it is enough.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn read_loop(&mut self, mut each: impl FnMut(&mut Self, Message<'static>) -> bool) -> Result<(), ClientError> {
        while let Some(message) = self.receive()? {
            if !each(self, message) {
                break;
            }
        }
        Ok(())
    }

    /// Closes the connection, and waits for the peer to do the same: for its close frame and for the transport's end.
    /// Messages that come meanwhile are kept, for [`receive`](Self::receive).
    ///
    /// # Errors
    /// What cannot be said, or what ended the connection otherwise.
    pub fn close(&mut self, code: Code, reason: &str) -> Result<Close<'static>, ClientError> {
        match self.connection.close(code, reason) {
            Ok(()) | Err(SendError::Closing) => {}
            Err(error) => return Err(error.into()),
        }
        self.until(None, |client| client.ended)?;
        self.closed.clone().ok_or(ClientError::Closed)
    }

    /// How the peer closed, if it has.
    pub fn closed(&self) -> Option<&Close<'static>> {
        self.closed.as_ref()
    }

    /// The server's answer to the handshake: its headers, the subprotocol it chose.
    pub fn response(&self) -> Option<&Response<'static>> {
        self.response.as_ref()
    }

    /// The protocol's own state.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Goes on until `done`.
    fn until(&mut self, deadline: Option<Instant>, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), ClientError> {
        loop {
            let progress = self.turn()?;
            if done(self) {
                return Ok(());
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if self.ended {
                return Err(ClientError::Closed);
            }
            if !progress {
                self.wait(deadline)?;
            }
        }
    }

    /// Tells the time, writes, reads, and does with the socket what the connection wants; whether anything moved.
    fn turn(&mut self) -> Result<bool, ClientError> {
        if self.ended {
            return Ok(false);
        }
        let result = self.connection.handle_timeout(self.started.elapsed());
        self.take(result);
        let wrote = self.write();
        match self.connection.wants().transport {
            Transport::Open => {}
            Transport::Shutdown => self.stream.shutdown(),
            Transport::Close => {
                self.ended = true;
                self.stream.say_goodbye();
                return Ok(true);
            }
        }
        match wrote.and_then(|wrote| self.exchange(wrote)) {
            Ok(moved) => Ok(moved),
            Err(error) => {
                self.ended = true;
                // Unless the end was known already.
                match self.connection.receive_eof() {
                    Ok(_) => Ok(true),
                    Err(_) => Err(error.into()),
                }
            }
        }
    }

    /// Reads, and writes what that owes: a pong, or the answer to a close.
    fn exchange(&mut self, wrote: bool) -> io::Result<bool> {
        let read = self.read()?;
        Ok(self.write()? | read | wrote)
    }

    fn write(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while self.connection.wants().write {
            let mut outbound = self.connection.outbound();
            match self.stream.write(outbound.chunk()) {
                Ok(n) => outbound.advance(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            moved = true;
        }
        self.stream.flush()?;
        Ok(moved)
    }

    fn read(&mut self) -> io::Result<bool> {
        let Self { connection, stream, buffer, .. } = self;
        let (received, is_tail) = match connection.tail() {
            Some(tail) => (stream.read(tail), true),
            None => (stream.read(buffer), false),
        };
        let len = match received {
            Ok(received) => received.len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        if len == 0 {
            let result = self.connection.receive_eof();
            self.take(result);
        } else if is_tail {
            let result = self.connection.receive_tail(len);
            self.take(result);
        } else {
            let mut buffer = std::mem::take(&mut self.buffer);
            let mut input = &mut buffer[..len];
            while let Some(event) = self.connection.receive(&mut input).transpose() {
                let end = event.is_err();
                self.take(event.map(Some));
                if end {
                    break;
                }
            }
            self.buffer = buffer;
        }
        Ok(true)
    }

    fn take(&mut self, result: Result<Option<Event<'_>>, ProtocolError>) {
        match result {
            Ok(None) => {}
            Ok(Some(Event::Text(text))) => self.inbox.push_back(Message::Text(text.into_owned().into())),
            Ok(Some(Event::Binary(bytes))) => self.inbox.push_back(Message::Binary(bytes.into_owned().into())),
            Ok(Some(Event::Unchecked(text))) => self.inbox.push_back(Message::Unchecked(text.into_owned().into())),
            Ok(Some(Event::Pong(payload))) => {
                self.pongs.truncate(MOST_PONGS - 1);
                self.pongs.push_front(payload.into_owned());
            }
            Ok(Some(Event::Close(close))) => self.closed = Some(close.into_owned()),
            Ok(Some(Event::Open(response))) => self.response = Some(response.into_owned()),
            Ok(Some(Event::Rejected(response))) => {
                self.error = Some(ClientError::Rejected(Box::new(response.into_owned())));
            }
            Ok(Some(_)) => {}
            Err(error) => self.error = Some(error.into()),
        }
    }

    /// Waits for the socket, the next deadline of the connection, or the caller's.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ClientError> {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(ClientError::TimedOut);
        }
        let own = self.connection.poll_timeout().map(|at| at.saturating_sub(self.started.elapsed()));
        let callers = deadline.map(|deadline| deadline - now);
        match self.poll.poll(&mut self.events, own.into_iter().chain(callers).min()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Closes the transport; [`Client::close`] closes the connection.
impl Drop for Client {
    fn drop(&mut self) {
        if self.connection.state() == State::Open {
            self.stream.say_goodbye();
        }
    }
}
