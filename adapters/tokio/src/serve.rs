//! A server over TCP: limits, TLS, and an end in which nothing is lost.

use crate::alarm::Closer;
use crate::handshakes::{Handshakes, Place};
use crate::server::Incoming;
use crate::stream::NetStream;
use crate::trace;
use crate::websocket::WebSocket;
use sockless::driver::Error;
use sockless::seen::{self, Refused, Span};
use sockless::{Accept, Reject, Request, SharedConfig};
use std::collections::HashMap;
use std::future::{self, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// After an error of the listener, such as too many open files, it is tried again; they get fewer with time.
const PAUSE: Duration = Duration::from_millis(100);

/// A server's settings, and the part of its work that is the same in all servers.
///
/// ```no_run
/// use sockless_tokio::{Error, Reject, Server};
///
/// # async fn run() -> std::io::Result<()> {
/// let server = Server::new()
///     .connections(10_000)
///     .answer(|request, _| match request.path() {
///         "/chat" => Ok(request.accept_first_subprotocol()),
///         _ => Err(Reject::new(404)),
///     })
///     .shutdown(async { _ = tokio::signal::ctrl_c().await });
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// let left = server
///     .serve(listener, |mut socket, _peer| async move {
///         while let Some(message) = socket.recv().await? {
///             socket.feed(message).await?;
///         }
///         Ok::<_, Error>(())
///     })
///     .await;
/// assert_eq!(left, 0);
/// # Ok(())
/// # }
/// ```
pub struct Server<D = future::Pending<()>> {
    shared: Shared,
    most: usize,
    most_handshakes: usize,
    admit: Option<Box<Admit>>,
    grace: Duration,
    shutdown: D,
}

/// A WebSocket that is open, and its places among those that are.
type Opened = (WebSocket<NetStream>, Registered, OwnedSemaphorePermit);
type Admit = dyn FnMut(SocketAddr) -> bool + Send;
type Answer = dyn Fn(&Request<'_>, SocketAddr) -> Result<Accept, Reject> + Send + Sync;

struct Shared {
    config: SharedConfig,
    answer: Box<Answer>,
    nodelay: bool,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsAcceptor>,
    registry: Open,
}

/// The open connections of a [`Server`]; clones are of the same.
#[derive(Clone, Default)]
pub struct Open(Arc<Registry>);

#[derive(Default)]
struct Registry {
    next: AtomicU64,
    /// All have been asked to close.
    going: AtomicBool,
    closers: Mutex<HashMap<u64, Closer>>,
}

/// What a handler is told of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The connection's number, which no other of this server has.
    pub id: u64,
}

impl Server {
    /// 10 s for connections to end when the server shuts down, as for a closing handshake.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// 1024 opening handshakes at once.
    pub const HANDSHAKES: usize = 1024;

    /// A server that accepts every good request, any number of connections, and never shuts down.
    pub fn new() -> Self {
        Self {
            shared: Shared {
                config: SharedConfig::default(),
                answer: Box::new(|request, _| Ok(request.accept())),
                nodelay: true,
                #[cfg(feature = "tls")]
                tls: None,
                registry: Open::default(),
            },
            most: Semaphore::MAX_PERMITS,
            most_handshakes: Self::HANDSHAKES,
            admit: None,
            grace: Self::GRACE,
            shutdown: future::pending(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> Server<D> {
    /// Replaces the core's settings: limits, deadlines, origins, compression.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.shared.config = config.into();
        self
    }

    /// Replaces what requests are answered with; see [`accept_with`](crate::accept_with).
    #[must_use]
    pub fn answer<A>(mut self, answer: A) -> Self
    where
        A: Fn(&Request<'_>, SocketAddr) -> Result<Accept, Reject> + Send + Sync + 'static,
    {
        self.shared.answer = Box::new(answer);
        self
    }

    /// Has at most so many WebSockets open at once; others wait in the listener's backlog. Those that are in their opening
    /// handshake already wait for as long as that may take, and are refused with 503.
    #[must_use]
    pub fn connections(mut self, most: usize) -> Self {
        self.most = most.min(Semaphore::MAX_PERMITS);
        self
    }

    /// Has at most so many opening handshakes under way at once, of TLS too. Others wait until one is done, or the oldest has
    /// had a second: then that is hung up on, unless its request has come whole.
    #[must_use]
    pub fn handshakes(mut self, most: usize) -> Self {
        self.most_handshakes = most;
        self
    }

    /// Hangs up at once on clients that `admit` does not let in: for lists of addresses, and limits to their rate. If it
    /// panics, it does not.
    #[must_use]
    pub fn admit(mut self, admit: impl FnMut(SocketAddr) -> bool + Send + 'static) -> Self {
        self.admit = Some(Box::new(admit));
        self
    }

    /// Speaks TLS, by settings such as those of [`Tls::server`](crate::Tls::server).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Arc<sockless_tls::rustls::ServerConfig>>) -> Self {
        self.shared.tls = Some(tls.into().into());
        self
    }

    /// Whether TCP sends small segments at once, which is on: a message is all that there is to say.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.shared.nodelay = nodelay;
        self
    }

    /// Shuts down when `signal` is done, be it a signal of the system or a message of another task.
    #[must_use]
    pub fn shutdown<E: Future>(self, signal: E) -> Server<E> {
        let Self { shared, most, most_handshakes, admit, grace, shutdown: _ } = self;
        Server { shared, most, most_handshakes, admit, grace, shutdown: signal }
    }

    /// Replaces the time that connections have to end when the server shuts down.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The open connections, to count them and to close them from elsewhere.
    pub fn open(&self) -> Open {
        self.shared.registry.clone()
    }

    /// Serves until the shutdown: has `handle` do the work of each connection, in a task of its own.
    ///
    /// Then nothing more is accepted, and every connection is asked to close with 1001 (going away), behind all that was
    /// sent on it before. Handlers see that as `None` from [`recv`](WebSocket::recv). Those that have not returned when
    /// the grace is over are dropped; gives how many.
    pub async fn serve<H, F, E>(self, listener: TcpListener, handle: H) -> usize
    where
        H: Fn(WebSocket<NetStream>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
        D: Future,
    {
        self.serve_all(vec![listener], handle).await
    }

    /// The same for several listeners, such as those that [`listen`](crate::listen) gives.
    pub async fn serve_all<H, F, E>(self, mut listeners: Vec<TcpListener>, handle: H) -> usize
    where
        H: Fn(WebSocket<NetStream>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
        D: Future,
    {
        let Self { mut shared, most, most_handshakes, mut admit, grace, shutdown } = self;
        shared.note_secure();
        let (shared, handle) = (Arc::new(shared), Arc::new(handle));
        let (room, handshakes) = (Arc::new(Semaphore::new(most)), Handshakes::new(most_handshakes));
        let mut tasks = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let next = next(&mut listeners, &room);
            let (stream, address) = match or_done(next, shutdown.as_mut()).await {
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    seen::not_accepted(&error);
                    sleep(PAUSE).await;
                    continue;
                }
                None => break,
            };
            while tasks.try_join_next().is_some() {}
            let is_admitted =
                |admit: &mut Box<Admit>| catch_unwind(AssertUnwindSafe(|| admit(address))).unwrap_or(false);
            if !admit.as_mut().is_none_or(is_admitted) {
                seen::refused(Refused::Unwanted);
                continue;
            }
            let peer = Peer { address, id: shared.registry.0.next.fetch_add(1, Ordering::Relaxed) };
            let Some(place) = or_done(handshakes.place(peer.id), shutdown.as_mut()).await else { break };
            let (shared, handle, room) = (shared.clone(), handle.clone(), room.clone());
            let span = Span::connection(peer.id, Some(address));
            let own = span.clone();
            let work = async move {
                // Apart from the task, which lives as long as the connection and would have room for all of it.
                match Box::pin(shared.open(stream, peer, place, room, &own)).await {
                    Ok((socket, _registered, _permit)) => {
                        if let Err(error) = Box::pin(handle(socket, peer)).await {
                            seen::handler_failed(Some(&error));
                        }
                    }
                    Err(error) => trace::not_opened(&error),
                }
            };
            tasks.spawn(trace::within(work, span));
        }
        drop(listeners);
        handshakes.end_all();
        shared.registry.go_away();
        let all = async { while tasks.join_next().await.is_some() {} };
        _ = timeout(grace, all).await;
        tasks.len()
    }
}

/// The next connection, once there is room for it; whoever opens first gets that.
async fn next(listeners: &mut [TcpListener], room: &Semaphore) -> io::Result<(TcpStream, SocketAddr)> {
    drop(room.acquire().await);
    poll_fn(|cx| {
        // Whoever was first is last the next time.
        if !listeners.is_empty() {
            listeners.rotate_left(1);
        }
        let ready = listeners.iter().map(|listener| listener.poll_accept(cx)).find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    })
    .await
}

/// What `work` gives, or `None` if `done` is done before.
async fn or_done<T>(work: impl Future<Output = T>, mut done: Pin<&mut impl Future>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match done.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

impl Shared {
    /// Tells the core that connections are over TLS, if they are, unless that was said.
    fn note_secure(&mut self) {
        #[cfg(feature = "tls")]
        if self.tls.is_some() && self.config.secure.is_none() {
            self.config.to_mut().secure = Some(true);
        }
    }

    /// Opens a WebSocket, unless the `place` of the handshake is to be another's.
    async fn open(
        &self,
        stream: TcpStream,
        peer: Peer,
        place: Place,
        room: Arc<Semaphore>,
        span: &Span,
    ) -> Result<Opened, Error> {
        let opened = or_done(self.accept(stream, peer, &place, room, span), pin!(place.given_up())).await;
        opened.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    async fn accept(
        &self,
        stream: TcpStream,
        peer: Peer,
        place: &Place,
        room: Arc<Semaphore>,
        span: &Span,
    ) -> Result<Opened, Error> {
        stream.set_nodelay(self.nodelay)?;
        let stream = self.secure(stream).await?;
        let started = Instant::now();
        let incoming = Incoming::read(stream, self.config.clone()).await?;
        place.set_asked(true);
        span.path(incoming.request().path());
        let permit = match (self.answer)(incoming.request(), peer.address) {
            Err(reject) => Err(reject),
            Ok(accept) => self.permit(room, started).await.map(|permit| (permit, accept)).ok_or(Reject::new(503)),
        };
        // What is left to do is to write the answer.
        place.set_asked(false);
        let (permit, accept) = match permit {
            Ok(permit) => permit,
            Err(reject) => return Err(incoming.reject(reject).await),
        };
        let answered = match incoming.answered(accept) {
            Ok(answered) => answered,
            Err(refused) => {
                drop(permit);
                return Err(refused.finish().await);
            }
        };
        let socket = answered.open().await?;
        let registered = self.registry.register(peer.id, socket.closer());
        Ok((socket, registered, permit))
    }

    /// The place of a WebSocket that is open, if there is one before the handshake's time is over.
    async fn permit(&self, room: Arc<Semaphore>, started: Instant) -> Option<OwnedSemaphorePermit> {
        let permit = room.acquire_owned();
        match self.config.keepalive.handshake {
            Some(time) => timeout(time.saturating_sub(started.elapsed()), permit).await.ok()?.ok(),
            None => permit.await.ok(),
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, stream: TcpStream) -> Result<NetStream, Error> {
        let Some(tls) = &self.tls else { return Ok(NetStream::Tcp(stream)) };
        let handshake = tls.accept(stream);
        let stream = match self.config.keepalive.handshake {
            Some(time) => timeout(time, handshake).await.map_err(io::Error::from)??,
            None => handshake.await?,
        };
        Ok(NetStream::Tls(Box::new(stream.into())))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, stream: TcpStream) -> Result<NetStream, Error> {
        Ok(NetStream::Tcp(stream))
    }
}

impl Open {
    /// How many connections are open.
    pub fn count(&self) -> usize {
        self.closers().len()
    }

    /// Asks the connection of this number, of [`Peer::id`], to close with 1001; whether there is one.
    pub fn close(&self, id: u64) -> bool {
        let closer = self.closers().get(&id).cloned();
        closer.inspect(Closer::go_away).is_some()
    }

    fn go_away(&self) {
        self.0.going.store(true, Ordering::SeqCst);
        let closers: Vec<_> = self.closers().values().cloned().collect();
        closers.iter().for_each(Closer::go_away);
    }

    fn register(&self, id: u64, closer: Closer) -> Registered {
        self.closers().insert(id, closer.clone());
        // It may have opened just when all the others were asked to close.
        if self.0.going.load(Ordering::SeqCst) {
            closer.go_away();
        }
        Registered(self.clone(), id)
    }

    fn closers(&self) -> MutexGuard<'_, HashMap<u64, Closer>> {
        self.0.closers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("count", &self.count()).finish()
    }
}

impl<D> fmt::Debug for Server<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("most", &self.most).field("grace", &self.grace).finish_non_exhaustive()
    }
}

/// An entry among the open connections, as long as the handler is at work.
struct Registered(Open, u64);

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.closers().remove(&self.1);
    }
}
