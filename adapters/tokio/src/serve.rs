//! A server: its settings, its routes, and an end in which nothing is lost.

mod arriving;
mod base;
mod running;
mod stage;

use crate::failure::Failure;
use crate::handling::Outcome;
use crate::listener::Listeners;
use crate::open::{Open, Peer, Report};
use crate::route::{Route, Service};
use crate::stream::NetStream;
use crate::websocket::WebSocket;
use base::Base;
use running::Running;
use sockless::addresses::Trusted;
use sockless::handshake::RouteError;
use sockless::{Accept, Drain, Reject, Request, SendError, SharedConfig};
use std::fmt;
use std::future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A server's settings, and the part of its work that is the same in all servers.
///
/// A request is answered first, by [`answer`](Self::answer); then the handler has the connection, and what the answer found out.
/// `T` is that: the request itself, unless something else is said.
///
/// ```no_run
/// use sockless_tokio::{Error, Reject, Server};
///
/// # async fn run() -> std::io::Result<()> {
/// let server = Server::new()
///     .connections(10_000)
///     .answer(async |request, _peer| match request.cookie("user") {
///         Some(user) => Ok((request.accept_one_of(&["chat.v2", "chat.v1"]), user.to_owned())),
///         None => Err(Reject::new(401)),
///     })
///     .on_error(|peer, failure| eprintln!("{peer:?}: {failure}"))
///     .shutdown(async { _ = tokio::signal::ctrl_c().await });
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// let report = server
///     .serve(listener, |mut socket, _peer, user| async move {
///         while let Some(message) = socket.recv().await? {
///             socket.feed(format!("{user}: {}", message.as_text().unwrap_or("?"))).await?;
///         }
///         Ok::<_, Error>(())
///     })
///     .await;
/// assert!(report.cut_off.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # The end of a handler
///
/// A handler that returns nothing or `Ok` has the connection closed with 1000, behind all that it sent; one that returns an error or panics,
/// with 1011, and [`on_error`](Self::on_error) is told. What it holds of the connection then, all of it or the half that receives
/// after a [`split`](WebSocket::split), it may just drop; if another task has that, the connection closes there. Only of one that was
/// parted by [`split_with`](WebSocket::split_with) and dropped the peer is told nothing.
///
/// # Plain HTTP
///
/// Requests that ask for no WebSocket come to the answer too, whose [`Reject`] may be any response: a page, a redirect, a state of
/// health. It ends its connection, and bodies of requests are not read. A server that has more to do with HTTP is one of axum,
/// whose routes take WebSockets by [`WebSocketUpgrade`](https://docs.rs/sockless-tokio/latest/sockless_tokio/struct.WebSocketUpgrade.html)
/// beside all others, with keep-alive, bodies and HTTP/2.
pub struct Server<T = Request<'static>, D = future::Pending<()>> {
    base: Base,
    route: Route<T>,
    shutdown: D,
}

impl Server {
    /// 1024 opening handshakes at once.
    pub const HANDSHAKES: usize = 1024;

    /// A server that accepts every good request, any number of connections, and never shuts down.
    pub fn new() -> Self {
        Self { base: Base::new(Self::HANDSHAKES), route: Route::new(), shutdown: future::pending() }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// What is answered.
impl<T, D> Server<T, D> {
    /// Replaces the core's settings: limits, deadlines, origins, compression.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.base.config = config.into();
        self
    }

    /// Replaces what requests are answered with that no [`route`](Self::route) takes: an answer made by
    /// [`Request::accept`] and its like, and whatever the handler is to know; or another status. It may take its time, which is
    /// that of the handshake: a database may be asked.
    #[must_use]
    pub fn answer<U, A, F>(self, answer: A) -> Server<U, D>
    where
        A: Fn(Request<'static>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(Accept, U), Reject>> + Send + 'static,
    {
        Server { base: self.base, route: self.route.answer(answer), shutdown: self.shutdown }
    }

    /// Has another handler, and settings of their own if the [`Route`] has some, for requests at a path, such as
    /// `/chat/{room}` or `/files/{*rest}`: [`Request::param`] gives the parts in braces. A path without them goes before one
    /// with.
    ///
    /// # Errors
    /// A path that is none, or that stands for the same requests as one before it.
    ///
    /// ```no_run
    /// use sockless_tokio::{Config, Error, Listeners, Limits, Reject, Route, RouteError, Server, sockless::Origins};
    ///
    /// # async fn serve(listeners: Listeners) -> Result<(), RouteError> {
    /// let limits = Limits { message: 4 << 10, ..Limits::default() };
    /// let feed = Route::new().config(Config { limits, origins: Origins::Any, ..Config::default() });
    /// let page = Route::new().answer(async |_, _| Err::<(_, ()), _>(Reject::page("text/html", "<h1>Hello</h1>")));
    /// Server::new()
    ///     .route("/chat/{room}", Route::new(), |mut socket, _, request| async move {
    ///         socket.send(format!("This is {}.", request.param("room").unwrap_or_default())).await
    ///     })?
    ///     .route("/feed", feed, |mut socket, _, _| async move { socket.send("...").await })?
    ///     .route("/", page, |_, _, ()| async {})?
    ///     .serve_routes(listeners)
    ///     .await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn route<U, H, F>(mut self, path: &str, route: Route<U>, handle: H) -> Result<Self, RouteError>
    where
        U: Send + 'static,
        H: Fn(WebSocket<NetStream>, Peer, U) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        self.base.routes.add(path, Service::new(route, handle))?;
        Ok(self)
    }
}

/// Who may come, and what becomes of all.
impl<T, D> Server<T, D> {
    /// Has at most so many WebSockets open at once; others wait in the listener's backlog. Those that are in their opening
    /// handshake already wait for as long as that may take, and are refused with 503.
    #[must_use]
    pub fn connections(mut self, most: usize) -> Self {
        self.base.most = most.min(Semaphore::MAX_PERMITS);
        self
    }

    /// Has at most so many opening handshakes under way at once, of TLS too. Others wait until one is done, or the oldest has
    /// had a second: then that is hung up on, unless its request has come whole.
    #[must_use]
    pub fn handshakes(mut self, most: usize) -> Self {
        self.base.most_handshakes = most;
        self
    }

    /// Hangs up at once on clients that `admit` does not let in: for lists of addresses, and limits to their rate. If it
    /// panics, it does not. Clients of a Unix socket have no address, and are not asked after.
    #[must_use]
    pub fn admit(mut self, admit: impl FnMut(SocketAddr) -> bool + Send + 'static) -> Self {
        self.base.admit = Some(Box::new(admit));
        self
    }

    /// Connections at once from one address, or from one IPv6 network of 64 bits, which is what one customer has. More are hung up
    /// on, or answered 429 where a proxy says whose they are.
    #[must_use]
    pub fn connections_per_address(mut self, most: u32) -> Self {
        self.base.per_address = Some(most);
        self
    }

    /// New connections from one address, or from one IPv6 network of 64 bits, in a time; more are refused likewise.
    #[must_use]
    pub fn connection_rate(mut self, most: u32, per: Duration) -> Self {
        self.base.rate = Some((most, per));
        self
    }

    /// The proxies in front, whose word is taken for who their clients are: `Forwarded`, or `X-Forwarded-For` and
    /// `X-Forwarded-Proto`. So limits per address count the clients, [`Peer::address`] is theirs, and origins are judged by how they
    /// came. [`admit`](Self::admit) is asked about proxies as about everybody. By default nobody is trusted.
    ///
    /// ```
    /// use sockless_tokio::{Server, Trusted};
    ///
    /// let server = Server::new().trusted(Trusted::new(["10.0.0.0/8", "unix:"])?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trusted(mut self, proxies: Trusted) -> Self {
        self.base.trusted = proxies;
        self
    }

    /// Whether connections of [trusted](Self::trusted) proxies begin with a header of the PROXY protocol, of version 1 or 2, before
    /// TLS if that is spoken. Those of all others never do.
    #[must_use]
    pub fn proxy_protocol(mut self, spoken: bool) -> Self {
        self.base.proxy_protocol = spoken;
        self
    }

    /// Tells of what goes wrong, and of which connection if it is one's: to log it, or to count. Without, only `tracing` knows.
    #[must_use]
    pub fn on_error(mut self, on_error: impl Fn(Option<Peer>, &Failure) + Send + Sync + 'static) -> Self {
        self.base.on_error = Some(Box::new(on_error));
        self
    }

    /// Speaks TLS over TCP, by settings such as those of [`Tls::server`](crate::Tls::server), or an
    /// [`Identity`](crate::Identity) that may be read again.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<std::sync::Arc<sockless_tls::rustls::ServerConfig>>) -> Self {
        self.base.tls = Some(crate::tls::ServerTls::Rustls(tls.into().into()));
        self
    }

    /// Speaks TLS over TCP by the system's library.
    #[cfg(feature = "native-tls")]
    #[must_use]
    pub fn native_tls(mut self, tls: native_tls::TlsAcceptor) -> Self {
        self.base.tls = Some(crate::tls::ServerTls::Native(tls));
        self
    }

    /// Whether TCP sends small segments at once, which is on: a message is all that there is to say.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.base.nodelay = nodelay;
        self
    }

    /// Shuts down when `signal` is done, be it a signal of the system or a message of another task;
    /// [`Open::shutdown`] does the same from anywhere.
    #[must_use]
    pub fn shutdown<E: Future>(self, signal: E) -> Server<T, E> {
        Server { base: self.base, route: self.route, shutdown: signal }
    }

    /// Replaces what peers are told then, over what time, and how long they have.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl) for what cannot be said.
    pub fn drain(mut self, drain: Drain) -> Result<Self, SendError> {
        drain.check()?;
        self.base.drain = drain;
        Ok(self)
    }

    /// The same, but only the time that connections have to end once all are told.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.base.drain.grace = grace;
        self
    }

    /// The open connections, to count them and to close them from elsewhere.
    pub fn open(&self) -> Open {
        self.base.open.clone()
    }
}

/// Serving.
impl<T: Send + 'static, D: Future> Server<T, D> {
    /// Serves until the shutdown: has `handle` do the work of each connection that no [`route`](Self::route) takes, in a task of
    /// its own.
    ///
    /// Then nothing more is accepted, and every connection is asked to close as [`drain`](Self::drain) says, by default at once
    /// and with 1001 (going away), behind all that was sent on it before. Handlers see that as `None` from
    /// [`recv`](WebSocket::recv). Those that have not returned when the grace is over are dropped; the report says whose.
    pub async fn serve<H, F>(self, listeners: impl Into<Listeners>, handle: H) -> Report
    where
        H: Fn(WebSocket<NetStream>, Peer, T) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let other = Service::new(self.route, handle);
        Running::new(self.base, other).serve(listeners.into(), self.shutdown).await
    }
}

impl<D: Future> Server<Request<'static>, D> {
    /// The same for the [`route`](Self::route)s alone: all else is answered with 404.
    pub async fn serve_routes(self, listeners: impl Into<Listeners>) -> Report {
        let server = self.answer(async |_, _| Err::<(_, ()), _>(Reject::new(404)));
        server.serve(listeners, |_, _, ()| async {}).await
    }
}

impl<T, D> fmt::Debug for Server<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("most", &self.base.most).field("drain", &self.base.drain).finish_non_exhaustive()
    }
}
