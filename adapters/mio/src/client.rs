//! The client that waits.

mod builder;

use crate::dial::after;
use crate::inbox::Inbox;
use crate::stream::Stream;
use crate::transport::{self, Transport, is_eof};
use mio::{Events, Poll, Token};
use sockless::driver::{Driver, Storage, Turn};
use sockless::{
    ClientRequest, Close, Code, Connection, Event, Kind, Message, Response, Seed, SendError, SharedConfig, State,
};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

pub use builder::{ClientBuilder, ClientError};

/// Pongs that are kept until they are asked for; most never are.
const MOST_PONGS: usize = 64;

/// Of the one socket.
const TOKEN: Token = Token(0);

/// What [`ClientBuilder::inbox`] is unless it is set: a few of the longest messages, or a good many of the usual.
const INBOX: usize = 16 << 20;

/// How long a peer may take nothing while it is not read. One that reads does so sooner, and one that waits to be read does
/// not at all.
const STALL: Duration = Duration::from_secs(1);

/// A client that waits: for tests, tools, and whoever has one connection. [`Handle::connect`](crate::Handle::connect) is
/// for many.
///
/// It reads, answers pings and keeps its deadlines while it waits in one of its methods, and only there. Messages that come
/// while it waits for something else are kept for [`receive`](Self::receive), as far as [`ClientBuilder::inbox`] lets it.
/// Compression is as in the configuration.
pub struct Client {
    driver: Driver,
    storage: Storage,
    stream: Stream,
    poll: Poll,
    events: Events,
    started: Instant,
    heard: Heard,
    /// TLS holds back what was written.
    unflushed: bool,
    /// When the connection wants to be looked after, if nothing happens.
    deadline: Option<Duration>,
    ended: bool,
}

/// What has come and not been asked for.
struct Heard {
    inbox: Inbox,
    /// What comes beyond that is not kept, and read all the same.
    discards: bool,
    /// The newest first.
    pongs: VecDeque<Vec<u8>>,
    closed: Option<Close<'static>>,
    response: Option<Response<'static>>,
    /// Why the socket has failed.
    broken: Option<io::Error>,
    /// The end, which is told once.
    error: Option<ClientError>,
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
        ClientBuilder::new(url)
    }

    /// Speaks over a Unix socket.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    #[cfg(unix)]
    pub fn connect_unix(path: impl AsRef<std::path::Path>, url: &str) -> Result<Self, ClientError> {
        let poll = Poll::new()?;
        let mut stream = Stream::new(crate::stream::Socket::Unix(mio::net::UnixStream::connect(path)?), None);
        stream.register(poll.registry(), TOKEN)?;
        Self::open(&ClientRequest::new(url)?, SharedConfig::default(), stream, poll, INBOX, after(crate::dial::TIMEOUT))
    }

    /// Opens a connection over a stream that is connected, and perhaps watched already.
    fn open(
        request: &ClientRequest,
        config: SharedConfig,
        stream: Stream,
        poll: Poll,
        inbox: usize,
        deadline: Option<Instant>,
    ) -> Result<Self, ClientError> {
        let heard = Heard {
            inbox: Inbox::new(inbox),
            discards: false,
            pongs: VecDeque::new(),
            closed: None,
            response: None,
            broken: None,
            error: None,
        };
        let mut client = Self {
            driver: Driver::new(Connection::client(request, config, Seed::random())?),
            storage: Storage::new(64 << 10),
            stream,
            poll,
            events: Events::with_capacity(4),
            started: Instant::now(),
            heard,
            unflushed: false,
            deadline: None,
            ended: false,
        };
        match client.until(deadline, |client| client.heard.response.is_some()) {
            Err(ClientError::TimedOut) => {
                // A refusal that is known is told, be its body whole or not.
                client.driver.received(&mut client.storage, 0, client.started.elapsed());
                client.take_events();
                Err(client.heard.error.take().filter(ClientError::is_rejection).unwrap_or(ClientError::TimedOut))
            }
            opened => opened.map(|()| client),
        }
    }

    /// Sends a message, all of it: waits while the peer takes none, for as long as the keepalive of its configuration
    /// lets it. What comes meanwhile is kept; when the inbox is full, it writes and does not read.
    ///
    /// # Errors
    /// [`Send`](ClientError::Send) for what cannot be sent; [`Unreceived`](ClientError::Unreceived) if the inbox is full and
    /// the peer has taken nothing for a second, as one that waits to be read would; else what ended the connection.
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), ClientError> {
        self.driver.connection().send(message)?;
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
        self.driver.connection().send_fragment(kind, bytes, last)?;
        self.flush()
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.driver.connection().ping(payload)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), ClientError> {
        loop {
            let sent = self.connection().counters().sent.bytes;
            let deadline = if self.is_deaf() { after(STALL) } else { None };
            let moved = self.until(deadline, |client| {
                client.has_written_all()
                    || client.connection().counters().sent.bytes > sent
                    || client.is_deaf() != deadline.is_some()
            });
            match moved {
                Ok(()) if self.has_written_all() => return Ok(()),
                Ok(()) => {}
                // Nobody reads here, and there, it seems, nobody does either.
                Err(ClientError::TimedOut) => return Err(ClientError::Unreceived),
                Err(error) => return Err(error),
            }
        }
    }

    fn has_written_all(&self) -> bool {
        self.connection().queued() == 0 && !self.unflushed && self.heard.broken.is_none()
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
        if self.heard.inbox.is_empty() {
            self.until(deadline, |client| !client.heard.inbox.is_empty() || client.heard.closed.is_some())?;
        }
        Ok(self.heard.inbox.pop())
    }

    /// Waits for a pong; messages that come meanwhile are kept.
    ///
    /// # Errors
    /// As [`receive_timeout`](Self::receive_timeout), and [`Unreceived`](ClientError::Unreceived) if they are too many.
    pub fn receive_pong(&mut self, timeout: Duration) -> Result<Vec<u8>, ClientError> {
        let done =
            |client: &mut Self| !client.heard.pongs.is_empty() || client.heard.closed.is_some() || client.is_deaf();
        self.until(after(timeout), done)?;
        match self.heard.pongs.pop_back() {
            Some(pong) => Ok(pong),
            None if self.heard.closed.is_none() => Err(ClientError::Unreceived),
            None => Err(ClientError::Closed),
        }
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
    /// Messages that come meanwhile are kept, for [`receive`](Self::receive), until the inbox is full; more is left out. Who
    /// wants them all calls [`start_close`](Self::start_close) and goes on receiving.
    ///
    /// # Errors
    /// What cannot be said, or what ended the connection otherwise.
    pub fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<Close<'static>, ClientError> {
        self.start_close(code, reason)?;
        self.heard.discards = true;
        let ended = self.until(None, |client| client.ended);
        self.heard.discards = false;
        ended?;
        self.heard.closed.clone().ok_or(ClientError::Closed)
    }

    /// Starts the closing handshake, unless it has begun: nothing more may be sent, and what the peer still says may be
    /// received.
    ///
    /// # Errors
    /// What cannot be said.
    pub fn start_close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), ClientError> {
        match self.driver.connection().close(code, reason) {
            Ok(()) | Err(SendError::Closing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How the peer closed, if it has.
    pub fn closed(&self) -> Option<&Close<'static>> {
        self.heard.closed.as_ref()
    }

    /// The server's answer to the handshake: its headers, the subprotocol it chose.
    pub fn response(&self) -> Option<&Response<'static>> {
        self.heard.response.as_ref()
    }

    /// The protocol's own state.
    pub fn connection(&self) -> &Connection {
        self.driver.peek()
    }

    /// Goes on until `done`, at most until the deadline.
    fn until(&mut self, deadline: Option<Instant>, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), ClientError> {
        loop {
            let goes_on = self.turn();
            if done(self) {
                return Ok(());
            }
            if let Some(error) = self.heard.error.take() {
                return Err(error);
            }
            if self.ended {
                return Err(ClientError::Closed);
            }
            // However much comes of what is not waited for.
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(ClientError::TimedOut);
            }
            if !goes_on {
                self.wait(deadline)?;
            }
        }
    }

    /// Whether nothing more is read, because so much has come that was not received.
    fn is_deaf(&self) -> bool {
        self.heard.is_deaf()
    }

    /// A turn: reads once, takes what came, writes, and does with the socket what the connection wants; whether there is more to do at once.
    fn turn(&mut self) -> bool {
        if self.ended {
            return false;
        }
        match self.is_deaf() {
            true => self.driver.hold(),
            false => self.driver.release(),
        }
        let Self { driver, storage, stream, started, heard, .. } = self;
        if let Err(error) = driver.read(storage, stream, || started.elapsed()) {
            driver.write_failed();
            heard.broken.get_or_insert(error);
        }
        self.take_events();
        match transport::write(&mut self.driver, &mut self.storage, &mut self.stream) {
            Ok(all) => self.unflushed = !all,
            Err(error) => _ = self.heard.broken.get_or_insert(error),
        }
        let next = self.driver.next(&mut self.storage, self.started.elapsed());
        self.deadline = next.deadline;
        if next.shutdown {
            self.stream.shutdown();
        }
        if next.close {
            self.ended = true;
            self.stream.say_goodbye();
        }
        next.again || next.close || next.read && self.stream.is_readable()
    }

    /// Takes what was read, while there is room for it, and judges the time.
    fn take_events(&mut self) {
        let Self { driver, storage, started, heard, .. } = self;
        if let Err(error) = driver.each(storage, started.elapsed(), |turn, event| heard.take(turn, event)) {
            let failure = if is_eof(error) { heard.broken.take() } else { None };
            heard.error = Some(failure.map_or(error.into(), ClientError::Io));
        }
    }

    /// Waits for the socket, the next deadline of the connection, or the caller's.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ClientError> {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(ClientError::TimedOut);
        }
        let own = self.deadline.map(|at| at.saturating_sub(self.started.elapsed()));
        let callers = deadline.map(|deadline| deadline - now);
        match self.poll.poll(&mut self.events, own.into_iter().chain(callers).min()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            self.stream.ready(event);
        }
        Ok(())
    }
}

impl Heard {
    fn is_deaf(&self) -> bool {
        self.inbox.is_full() && !self.discards
    }

    fn take(&mut self, turn: &mut Turn<'_>, event: Event<'_>) {
        match event {
            Event::Pong(payload) => {
                self.pongs.truncate(MOST_PONGS - 1);
                self.pongs.push_front(payload.into_owned());
            }
            Event::Close(close) => self.closed = Some(close.into_owned()),
            Event::Open(response) => self.response = Some(response.into_owned()),
            Event::Rejected(response) => self.error = Some(ClientError::Rejected(Box::new(response.into_owned()))),
            event => {
                if let Some(message) = event.into_message()
                    && !self.inbox.is_full()
                {
                    self.inbox.push(message.into_owned());
                }
            }
        }
        if self.is_deaf() {
            turn.hold();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("connection", self.connection()).finish_non_exhaustive()
    }
}

/// Closes the transport; [`Client::close`] closes the connection.
impl Drop for Client {
    fn drop(&mut self) {
        if self.connection().state() == State::Open {
            self.stream.say_goodbye();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use sockless::ProtocolError;
    use sockless_test_support::within;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A client, and its server's end; what is written to either has come at once.
    fn connected() -> (Client, UnixStream) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sockless-client-{}-{number}", std::process::id()));
        _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let client = std::thread::spawn({
            let path = path.clone();
            move || Client::connect_unix(path, "ws://localhost/").unwrap()
        });
        let mut server = within("its connection", || listener.accept()).unwrap().0;
        std::fs::remove_file(path).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            server.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = sockless::handshake::accept_key(key.as_bytes().try_into().unwrap());
        let head = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        server.write_all(&[&head[..], &accept, b"\r\n\r\n"].concat()).unwrap();
        (within("its connection", || client.join()).unwrap(), server)
    }

    #[test]
    fn a_pong_that_has_come_is_read_before_it_is_missed() {
        let (mut client, mut server) = connected();
        let later = |client: &mut Client| client.started -= Duration::from_secs(30);
        later(&mut client);
        assert!(matches!(client.receive_timeout(Duration::ZERO), Err(ClientError::TimedOut)));
        let mut ping = [0; 7];
        server.read_exact(&mut ping).unwrap();
        assert_eq!(ping[..2], [0x89, 0x81]);
        server.write_all(&[0x8A, 1, ping[2] ^ ping[6]]).unwrap();
        // The caller does something else meanwhile, for longer than a pong may take.
        later(&mut client);
        assert!(matches!(client.receive_timeout(Duration::ZERO), Err(ClientError::TimedOut)));
        assert_eq!(client.receive_pong(Duration::ZERO).unwrap().len(), 1);
        // And one that has not come is missed.
        later(&mut client);
        assert!(matches!(client.receive_timeout(Duration::ZERO), Err(ClientError::TimedOut)));
        later(&mut client);
        let missed = client.receive_timeout(Duration::ZERO);
        assert!(matches!(missed, Err(ClientError::Protocol(ProtocolError::PongTimeout))), "{missed:?}");
    }

    #[test]
    fn what_the_peer_said_is_read_although_it_takes_no_more() {
        let (mut client, mut server) = connected();
        server.write_all(b"\x81\x01a\x88\x02\x03\xf3").unwrap();
        drop(server);
        // Nothing of it goes out, and yet it is known how the connection ended.
        assert!(matches!(client.send_text("b"), Ok(()) | Err(ClientError::Closed)));
        assert_eq!(client.receive().unwrap(), Some("a".into()));
        assert_eq!(client.closed().unwrap().code, Code::INTERNAL_ERROR);
    }
}
