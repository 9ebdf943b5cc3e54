//! A server with a thread for each connection.

use crate::accept::Incoming;
use crate::closer::Closer;
use crate::drive::Drive;
use crate::net_stream::NetStream;
use crate::tls::ServerTls;
use crate::websocket::WebSocket;
use sockless::driver::{Driver, Error};
use sockless::{Accept, Connection, Reject, Request, SharedConfig};
use std::fmt::{self, Display};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// After an error of the listener, such as too many open files, it is tried again; they get fewer with time.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the listener's thread is tried to be woken.
const WAKE: Duration = Duration::from_secs(1);

/// A server's settings.
///
/// ```
/// use sockless_std::{Error, Reject, Server, connect};
///
/// let server = Server::new().connections(100).answer(|request, _peer| match request.path() {
///     "/chat" => Ok(request.accept_first_subprotocol()),
///     _ => Err(Reject::new(404)),
/// });
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let running = server.start(listener, |mut socket, request| {
///     socket.send(request.path())?;
///     socket.recv_each(|message, replies| replies.feed(message))
/// })?;
/// let mut socket = connect(&format!("ws://{}/chat", running.address()))?;
/// assert_eq!(socket.recv()?, Some("/chat".into()));
/// # drop(socket);
/// assert_eq!(running.shutdown(), 0);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    config: SharedConfig,
    answer: Box<Answer>,
    on_error: Box<OnError>,
    most: usize,
    nodelay: bool,
    grace: Duration,
    tls: Option<ServerTls>,
}

type Answer = dyn Fn(&Request<'_>, SocketAddr) -> Result<Accept, Reject> + Send + Sync;
type OnError = dyn Fn(SocketAddr, &dyn Display) + Send + Sync;

impl Server {
    /// 10 s for connections to end when the server shuts down, as for a closing handshake.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// 1024 connections at once, each with a thread.
    pub const CONNECTIONS: usize = 1024;

    /// A server that accepts every good request.
    pub fn new() -> Self {
        Self {
            config: SharedConfig::default(),
            answer: Box::new(|request, _| Ok(request.accept())),
            on_error: Box::new(|_, _| {}),
            most: Self::CONNECTIONS,
            nodelay: true,
            grace: Self::GRACE,
            tls: None,
        }
    }

    /// Replaces the core's settings: limits, deadlines, origins, compression.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// Replaces what requests are answered with; see [`accept_with`](crate::accept_with).
    #[must_use]
    pub fn answer<A>(mut self, answer: A) -> Self
    where
        A: Fn(&Request<'_>, SocketAddr) -> Result<Accept, Reject> + Send + Sync + 'static,
    {
        self.answer = Box::new(answer);
        self
    }

    /// Tells of each connection that failed, or could not be had: what its handler returned, or what was wrong before.
    #[must_use]
    pub fn on_error(mut self, tell: impl Fn(SocketAddr, &dyn Display) + Send + Sync + 'static) -> Self {
        self.on_error = Box::new(tell);
        self
    }

    /// Has at most so many connections at once, those in their opening handshake too; others wait in the listener's backlog.
    #[must_use]
    pub fn connections(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Speaks TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: impl Into<Arc<sockless_tls::rustls::ServerConfig>>) -> Self {
        self.tls = Some(ServerTls::Rustls(config.into()));
        self
    }

    /// Speaks TLS by the system's library.
    #[cfg(feature = "native-tls")]
    #[must_use]
    pub fn native_tls(mut self, tls: sockless_tls::native_tls::TlsAcceptor) -> Self {
        self.tls = Some(ServerTls::Native(tls));
        self
    }

    /// Whether TCP sends small segments at once, which is on: a message is all that there is to say.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Replaces the time that connections have to end when the server shuts down.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Serves, and does not come back: has `handle` do the work of each connection, in a thread of its own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn serve<E: Display>(
        self,
        listener: TcpListener,
        handle: impl Fn(WebSocket<NetStream>, &Request<'static>) -> Result<(), E> + Send + Sync + 'static,
    ) -> io::Result<()> {
        self.start(listener, handle)?.join();
        Ok(())
    }

    /// Serves in threads of its own, until that is [shut down](Running::shutdown).
    ///
    /// # Errors
    /// A listener without an address, or a thread that cannot be had.
    pub fn start<E: Display>(
        self,
        listener: TcpListener,
        handle: impl Fn(WebSocket<NetStream>, &Request<'static>) -> Result<(), E> + Send + Sync + 'static,
    ) -> io::Result<Running> {
        let (address, grace) = (listener.local_addr()?, self.grace);
        let places = Arc::new(Places::default());
        let serving = Arc::new(Serving { server: self.noting_tls(), places: places.clone(), handle });
        let thread = thread::Builder::new().spawn(move || serving.accept_all(&listener))?;
        Ok(Running { address, grace, places, thread })
    }
}

impl Server {
    /// Tells the core that connections are over TLS, if they are, unless that was said.
    fn noting_tls(mut self) -> Self {
        if self.tls.is_some() && self.config.secure.is_none() {
            self.config.to_mut().secure = Some(true);
        }
        self
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("most", &self.most).field("grace", &self.grace).finish_non_exhaustive()
    }
}

/// What the threads of a server share.
struct Serving<H> {
    server: Server,
    places: Arc<Places>,
    handle: H,
}

impl<H, E> Serving<H>
where
    H: Fn(WebSocket<NetStream>, &Request<'static>) -> Result<(), E> + Send + Sync + 'static,
    E: Display,
{
    fn accept_all(self: Arc<Self>, listener: &TcpListener) {
        while self.places.wait(self.server.most) {
            let spawned = listener.accept().and_then(|(stream, peer)| {
                if self.places.all.is_asked() {
                    return Ok(());
                }
                let (this, place) = (self.clone(), Place::take(&self.places));
                thread::Builder::new().spawn(move || this.serve(stream, peer, place)).map(drop)
            });
            if spawned.is_err() {
                thread::sleep(PAUSE);
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, _place: Place) {
        let failed = match self.open(stream, peer) {
            Ok((socket, request)) => match (self.handle)(socket, &request) {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        (self.server.on_error)(peer, &failed);
    }

    fn open(&self, stream: TcpStream, peer: SocketAddr) -> Result<(WebSocket<NetStream>, Request<'static>), Error> {
        stream.set_nodelay(self.server.nodelay)?;
        let stream = self.secure(stream)?;
        let mut drive = Drive::new(Driver::new(Connection::server(self.server.config.clone())), stream);
        drive.closer = Some(self.places.all.child());
        let incoming = Incoming::read_by(drive)?;
        let request = incoming.request().clone();
        match (self.server.answer)(&request, peer) {
            Ok(accept) => Ok((incoming.accept_as(accept)?, request)),
            Err(reject) => Err(incoming.reject(reject)),
        }
    }

    fn secure(&self, stream: TcpStream) -> io::Result<NetStream> {
        let stream = NetStream::Tcp(stream);
        let Some(tls) = &self.server.tls else { return Ok(stream) };
        let time = self.server.config.keepalive.handshake;
        tls.accept(stream, time.and_then(|time| Instant::now().checked_add(time)))
    }
}

/// How many connections there are.
#[derive(Default)]
struct Places {
    taken: Mutex<usize>,
    changed: Condvar,
    /// Has all of them closed.
    all: Closer,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more; false when the server shuts down.
    fn wait(&self, most: usize) -> bool {
        let is_full = |taken: &mut usize| *taken >= most && !self.all.is_asked();
        drop(self.changed.wait_while(self.taken(), is_full).unwrap_or_else(PoisonError::into_inner));
        !self.all.is_asked()
    }
}

/// A connection's place among those that there may be.
struct Place(Arc<Places>);

impl Place {
    fn take(places: &Arc<Places>) -> Self {
        *places.taken() += 1;
        Self(places.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.taken() -= 1;
        self.0.changed.notify_all();
    }
}

/// A server at work. Dropped, it goes on.
pub struct Running {
    address: SocketAddr,
    grace: Duration,
    places: Arc<Places>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are, those in their opening handshake too.
    pub fn count(&self) -> usize {
        *self.places.taken()
    }

    /// Waits for the end, which is that of the process unless another thread brings it about.
    pub fn join(self) {
        _ = self.thread.join();
    }

    /// Accepts nothing more, and asks every connection to close with 1001 (going away), behind all that was sent on it
    /// before; handlers see that as `None` from [`recv`](WebSocket::recv). Waits for them until the grace is over; gives how
    /// many are left, whose threads go on.
    pub fn shutdown(self) -> usize {
        {
            // While nobody looks, so that nobody goes to sleep behind it.
            let _taken = self.places.taken();
            self.places.all.go_away();
            self.places.changed.notify_all();
        }
        // The listener's thread may be waiting for a connection: this is one.
        let deadline = Instant::now() + WAKE;
        while !self.thread.is_finished() && Instant::now() < deadline {
            _ = TcpStream::connect_timeout(&loopback(self.address), PAUSE);
            thread::yield_now();
        }
        let none_left = |taken: &mut usize| *taken > 0;
        let waited = self.places.changed.wait_timeout_while(self.places.taken(), self.grace, none_left);
        let (taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *taken
    }
}

/// Where a listener at all addresses of this host can be reached.
fn loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("address", &self.address).field("count", &self.count()).finish()
    }
}
