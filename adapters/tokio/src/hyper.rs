//! Upgrades from hyper 1 and what is built on it, over HTTP/1.1 and HTTP/2.

use crate::failure::{Failure, OnError};
use crate::handling::{Handling, Outcome, handler};
use crate::open::{Open, Peer, Tracked};
use crate::trace;
use crate::upgrades::Upgrades;
use crate::websocket::WebSocket;
use http::{Extensions, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sockless::addresses::{Client, Trusted};
use sockless::driver::Driver;
use sockless::driver::Error;
use sockless::extensions::Stages;
use sockless::handshake::http::{accept, accept_extended, accept_response, choose_with_stages, refusal};
use sockless::seen::{Refused, Span, refused};
use sockless::{
    Accept, Config, Connection, HandshakeError, Limits, Negotiated, Origins, Role, Seed, SendError, SharedConfig,
};
use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tokio::time::Instant;

/// The stream of a connection that was upgraded.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// A request for a WebSocket that a server of hyper 1 has read: over HTTP/1.1, or an extended CONNECT over HTTP/2
/// (RFC 8441), for which the server's builder needs `enable_connect_protocol`.
///
/// It needs `initial_connection_window_size((1 << 31) - 1)` too: by default hyper's window for all streams of a connection is no
/// larger than that for one, so that a WebSocket which is not read holds up all others on its connection.
///
/// With the feature `axum` it is an extractor of axum 0.8.
///
/// ```
/// use http::{Extensions, Request, Response};
/// use sockless_tokio::{Error, WebSocketUpgrade};
///
/// /// The body of a `hyper::service::service_fn`.
/// async fn serve(mut request: Request<hyper::body::Incoming>) -> Result<Response<String>, Error> {
///     let accepted = WebSocketUpgrade::from_request(&mut request).and_then(|upgrade| upgrade.subprotocols(&["chat"]).accept());
///     let (response, upgrading) = match accepted {
///         Ok(accepted) => accepted,
///         Err(refusal) => return Ok(refusal.into()),
///     };
///     tokio::spawn(upgrading.run(|mut socket| async move {
///         while let Some(message) = socket.recv().await? {
///             socket.feed(message).await?;
///         }
///         Ok::<_, Error>(())
///     }));
///     Ok(response.map(|()| String::new()))
/// }
/// ```
pub struct WebSocketUpgrade {
    head: Request<()>,
    protocol: Option<Protocol>,
    on: OnUpgrade,
    upgrades: Upgrades,
    headers: Vec<(String, String)>,
    /// Who has sent it, as far as is known.
    client: Client,
}

impl WebSocketUpgrade {
    /// Takes the upgrade from a request, with the settings of [`Upgrades`] if the request has come through such a layer. Its
    /// origin is checked later, by [`accept`](Self::accept), when the settings are known.
    ///
    /// # Errors
    /// [`Refusal::Handshake`] for a request that does not open a WebSocket, or not well; [`Refusal::NotUpgradable`] for
    /// one that does not come from a server with upgrades.
    pub fn from_request<B>(request: &mut Request<B>) -> Result<Self, Refusal> {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        Self::from_head(head, request.extensions_mut())
    }

    pub(crate) fn from_head(head: Request<()>, extensions: &mut Extensions) -> Result<Self, Refusal> {
        let protocol = extensions.get::<Protocol>().cloned();
        let any = Config { origins: Origins::Any, ..Config::DEFAULT };
        check(&head, protocol.as_ref(), &any)?;
        let on = extensions.remove().ok_or(Refusal::NotUpgradable)?;
        let upgrades = extensions.get::<Upgrades>().cloned().unwrap_or_default();
        Ok(Self { head, protocol, on, upgrades, headers: Vec::new(), client: Client::default() })
    }

    /// As [`Upgrades::config`].
    #[must_use]
    pub fn config(self, config: impl Into<SharedConfig>) -> Self {
        self.with(|upgrades| upgrades.config(config))
    }

    /// As [`Upgrades::limits`].
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|upgrades| upgrades.limits(limits))
    }

    /// As [`Upgrades::origins`].
    #[must_use]
    pub fn origins(self, origins: Origins) -> Self {
        self.with(|upgrades| upgrades.origins(origins))
    }

    /// As [`Upgrades::deflate`].
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(self, deflate: sockless::Deflate) -> Self {
        self.with(|upgrades| upgrades.deflate(deflate))
    }

    /// As [`Upgrades::subprotocols`].
    #[must_use]
    pub fn subprotocols<T: AsRef<str>>(self, supported: &[T]) -> Self {
        self.with(|upgrades| upgrades.subprotocols(supported))
    }

    /// As [`Upgrades::track`].
    #[must_use]
    pub fn track(self, open: &Open) -> Self {
        self.with(|upgrades| upgrades.track(open))
    }

    /// As [`Upgrades::on_error`].
    #[must_use]
    pub fn on_error(self, on_error: impl Fn(Option<Peer>, &Failure) + Send + Sync + 'static) -> Self {
        self.with(|upgrades| upgrades.on_error(on_error))
    }

    fn with(mut self, change: impl FnOnce(Upgrades) -> Upgrades) -> Self {
        self.upgrades = change(self.upgrades);
        self
    }

    /// Notes who has sent the request to this server, where `peer` is who has connected: itself, or a proxy that is trusted to say so by
    /// `Forwarded`, or `X-Forwarded-For` and `X-Forwarded-Proto`. Its origin is judged by how it came, and
    /// [`track`](Self::track) has its address.
    ///
    /// # Errors
    /// [`Refusal::Handshake`] where a trusted proxy's fields contradict each other, or cannot be read.
    ///
    /// ```
    /// use sockless_tokio::{Refusal, Trusted, WebSocketUpgrade};
    /// use std::net::SocketAddr;
    ///
    /// /// In a handler of axum, `peer` is from its `ConnectInfo`.
    /// fn identify(upgrade: WebSocketUpgrade, trusted: &Trusted, peer: SocketAddr) -> Result<WebSocketUpgrade, Refusal> {
    ///     let upgrade = upgrade.sent_by(trusted, Some(peer))?;
    ///     println!("{:?}", upgrade.client().address);
    ///     Ok(upgrade)
    /// }
    /// ```
    pub fn sent_by(mut self, trusted: &Trusted, peer: Option<SocketAddr>) -> Result<Self, Refusal> {
        let fields = self.head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let version = self.head.version();
        self.client = trusted.client(fields, peer).map_err(|error| Refusal::Handshake { error, version })?;
        if self.upgrades.config.secure.is_none() && self.client.secure.is_some() {
            self.upgrades.config.to_mut().secure = self.client.secure;
        }
        Ok(self)
    }

    /// Who has sent the request, as far as is known.
    pub fn client(&self) -> Client {
        self.client
    }

    /// Adds a field to the response, such as `Set-Cookie`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The request, without its body.
    pub fn request(&self) -> &Request<()> {
        &self.head
    }

    /// The response that opens the WebSocket, and the wait for the connection, which begins behind that response: await
    /// it in another task.
    ///
    /// # Errors
    /// [`Refusal::Handshake`] for an origin that the settings don't allow; [`Refusal::Answer`] for a field that cannot
    /// be sent.
    pub fn accept(self) -> Result<(Response<()>, Upgrading), Refusal> {
        let Self { head, protocol, on, upgrades: Upgrades { config, supported, open, on_error }, headers, client } =
            self;
        let mut accept = check(&head, protocol.as_ref(), &config)?;
        let chosen = supported.iter().find(|name| accept.offered_subprotocols().any(|offered| offered == **name));
        if let Some(chosen) = chosen {
            accept = accept.subprotocol(chosen);
        }
        accept = headers.iter().fold(accept, |accept, (name, value)| accept.header(name, value));
        let (negotiated, extensions, stages) = choose_with_stages(head.headers(), &config);
        let response = accept_response(&accept, extensions.as_deref()).map_err(Refusal::Answer)?;
        let subprotocol = accept.chosen_subprotocol().map(String::from);
        let tracked = open.map(|open| open.enter(client.address));
        let span = Span::connection(tracked.as_ref().map(|tracked| tracked.peer().id), client.address);
        span.path(head.uri().path());
        Ok((response, Upgrading { on, negotiated, stages, config, subprotocol, tracked, on_error, span }))
    }
}

fn check(head: &Request<()>, protocol: Option<&Protocol>, config: &Config) -> Result<Accept, Refusal> {
    let version = head.version();
    let checked = if version >= Version::HTTP_2 {
        accept_extended(head, protocol.map(Protocol::as_str), config)
    } else {
        accept(head, config)
    };
    checked.map_err(|error| {
        refused(Refused::Handshake(&error.into()));
        Refusal::Handshake { error, version }
    })
}

/// Why a request was not upgraded. It turns into the response that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The client's request does not open a WebSocket, or its origin is not allowed.
    #[error("{error}")]
    Handshake {
        /// The rule that it breaks.
        error: HandshakeError,
        /// The version of HTTP to answer in.
        version: Version,
    },
    /// The server that read the request does not do upgrades.
    #[error("the HTTP server does no upgrades")]
    NotUpgradable,
    /// What was to be answered cannot be sent.
    #[error("answer: {0}")]
    Answer(SendError),
}

impl From<Refusal> for Response<String> {
    fn from(refused: Refusal) -> Self {
        match refused {
            Refusal::Handshake { error, version } => refusal(error, version),
            Refusal::NotUpgradable | Refusal::Answer(_) => {
                // What is wrong inside of the server is none of the client's business.
                let mut response = Response::new("internal server error\n".into());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

/// The wait for an upgraded connection; it is over once hyper has sent the response. [`run`](Self::run) has the rest done too:
/// awaited by itself, it leaves the connection to whoever awaits, who may [`track`](Open::track) it.
///
/// # Cancel safety
/// Dropped, it drops the connection with it.
#[must_use = "the connection is there when this is awaited"]
pub struct Upgrading {
    on: OnUpgrade,
    negotiated: Negotiated,
    stages: Stages,
    config: SharedConfig,
    subprotocol: Option<String>,
    tracked: Option<Tracked>,
    on_error: Option<Arc<OnError>>,
    span: Span,
}

impl Upgrading {
    /// Waits for the connection, and has `work` done with it, whose end is told to the peer: 1000, or 1011 if it fails or panics.
    /// If the client is gone before the connection is there, it is not called. For a task of its own.
    ///
    /// # Cancel safety
    /// Dropped, the future drops the connection with it.
    pub async fn run<F, Fut>(mut self, work: F)
    where
        F: FnOnce(WebSocket<Upgraded>) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        let (mut tracked, on_error) = (self.tracked.take(), self.on_error.take());
        let peer = tracked.as_ref().map(Tracked::peer);
        let span = self.span.clone();
        let run = async move {
            let note = |failure: Failure| failure.tell(peer, on_error.as_deref());
            match self.await {
                Ok(socket) => {
                    tracked.iter_mut().for_each(|tracked| tracked.opened(socket.closer()));
                    Handling::new(socket, |socket| handler(move || work(socket))).run(note).await;
                }
                Err(error) => note(Failure::Handshake(error)),
            }
        };
        trace::within(run, span).await;
    }
}

impl Future for Upgrading {
    /// [`Error::Io`] if the client went away, or the response was not sent.
    type Output = Result<WebSocket<Upgraded>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.on).poll(cx)).map_err(io::Error::other)?;
        let mut connection = Connection::open(Role::Server, self.negotiated, self.config.clone(), Seed::random());
        connection.extend(mem::take(&mut self.stages));
        let (stream, driver) = (TokioIo::new(upgraded), Driver::new(connection));
        Poll::Ready(Ok(WebSocket::from_driver(stream, driver, Instant::now(), self.subprotocol.as_deref())))
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("WebSocketUpgrade");
        debug.field("uri", self.head.uri()).field("version", &self.head.version()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").field("subprotocol", &self.subprotocol).finish_non_exhaustive()
    }
}
