//! Upgrades from hyper 1 and what is built on it, over HTTP/1.1 and HTTP/2.

use crate::websocket::WebSocket;
use http::{Extensions, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sockless::driver::Driver;
use sockless::driver::Error;
use sockless::handshake::http::{accept, accept_extended, accept_response, choose_extensions, refusal};
use sockless::seen::{Refused, refused};
use sockless::{Accept, Config, Connection, HandshakeError, Negotiated, Origins, Role, Seed, SendError, SharedConfig};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tokio::time::Instant;

/// The stream of a connection that was upgraded.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// A request for a WebSocket that a server of hyper 1 has read: over HTTP/1.1, or an extended CONNECT over HTTP/2
/// (RFC 8441), for which the server's builder needs `enable_connect_protocol`.
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
///     tokio::spawn(async move {
///         let mut socket = upgrading.await?;
///         while let Some(message) = socket.recv().await? {
///             socket.feed(message).await?;
///         }
///         Ok::<_, Error>(())
///     });
///     Ok(response.map(|()| String::new()))
/// }
/// ```
pub struct WebSocketUpgrade {
    head: Request<()>,
    protocol: Option<Protocol>,
    on: OnUpgrade,
    config: SharedConfig,
    supported: Vec<String>,
    headers: Vec<(String, String)>,
}

impl WebSocketUpgrade {
    /// Takes the upgrade from a request. Its origin is checked later, by [`accept`](Self::accept), when the settings
    /// are known.
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
        let (config, supported, headers) = (SharedConfig::default(), Vec::new(), Vec::new());
        Ok(Self { head, protocol, on, config, supported, headers })
    }

    /// Replaces the settings: origins, limits, keepalive, compression. Whether a server of HTTP/1.1 is over TLS is not known
    /// here, and is for [`Config::secure`] to say.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// Accepts compressed messages, and sends such, by these settings.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: sockless::Deflate) -> Self {
        self.config.to_mut().deflate = Some(deflate);
        self
    }

    /// The subprotocols that the server speaks, the one it likes best first. The first that the client offers is
    /// chosen; if there is none, the connection goes on without (RFC 6455 §4.2.2).
    #[must_use]
    pub fn subprotocols<T: AsRef<str>>(mut self, supported: &[T]) -> Self {
        self.supported = supported.iter().map(|name| name.as_ref().into()).collect();
        self
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
        let Self { head, protocol, on, config, supported, headers } = self;
        let mut accept = check(&head, protocol.as_ref(), &config)?;
        let chosen = supported.iter().find(|name| accept.offered_subprotocols().any(|offered| offered == **name));
        if let Some(chosen) = chosen {
            accept = accept.subprotocol(chosen);
        }
        accept = headers.iter().fold(accept, |accept, (name, value)| accept.header(name, value));
        let (negotiated, extensions) = choose_extensions(head.headers(), &config);
        let response = accept_response(&accept, extensions.as_deref()).map_err(Refusal::Answer)?;
        let subprotocol = accept.chosen_subprotocol().map(String::from);
        Ok((response, Upgrading { on, negotiated, config, subprotocol }))
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

/// The wait for an upgraded connection; it is over once hyper has sent the response.
///
/// # Cancel safety
/// Dropped, it drops the connection with it.
#[must_use = "the connection is there when this is awaited"]
pub struct Upgrading {
    on: OnUpgrade,
    negotiated: Negotiated,
    config: SharedConfig,
    subprotocol: Option<String>,
}

impl Future for Upgrading {
    /// [`Error::Io`] if the client went away, or the response was not sent.
    type Output = Result<WebSocket<Upgraded>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.on).poll(cx)).map_err(io::Error::other)?;
        let connection = Connection::open(Role::Server, self.negotiated, self.config.clone(), Seed::random());
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
