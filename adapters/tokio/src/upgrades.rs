//! How upgrades go, for many requests at once, as a layer of tower's.

use crate::failure::{Failure, OnError};
use crate::open::{Open, Peer};
use http::Request;
use sockless::{Limits, Origins, SharedConfig};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// How upgrades go: the settings that a [`WebSocketUpgrade`](crate::WebSocketUpgrade) begins with, for all routes that this is a
/// layer of. What a handler says itself goes before.
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, response::Response, routing::any};
/// use sockless_tokio::{Error, Limits, Open, Upgrades, WebSocketUpgrade};
///
/// async fn chat(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.on_upgrade(|mut socket| async move {
///         while let Some(message) = socket.recv().await? {
///             socket.feed(message).await?;
///         }
///         Ok::<_, Error>(())
///     })
/// }
///
/// let open = Open::new();
/// let upgrades = Upgrades::new()
///     .subprotocols(&["chat.v2", "chat.v1"])
///     .limits(Limits { message: 64 << 10, ..Limits::default() })
///     .track(&open)
///     .on_error(|peer, failure| eprintln!("{peer:?}: {failure}"));
/// let app: Router = Router::new().route("/chat", any(chat)).layer(upgrades);
/// // ... `axum::serve` with `with_graceful_shutdown`, and beside it `open.shutdown(..)`
/// ```
#[derive(Clone, Default)]
pub struct Upgrades {
    pub(crate) config: SharedConfig,
    pub(crate) supported: Arc<[String]>,
    pub(crate) open: Option<Open>,
    pub(crate) on_error: Option<Arc<OnError>>,
}

impl Upgrades {
    /// The defaults: the core's settings, no subprotocols, not tracked.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the settings: origins, limits, keepalive, compression. Whether a server of HTTP/1.1 is over TLS is not known
    /// here, and is for [`Config::secure`](sockless::Config::secure) to say.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// Replaces what peers may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.to_mut().limits = limits;
        self
    }

    /// Replaces the origins that requests are taken from.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.config.to_mut().origins = origins;
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

    /// Counts the connections among these, from before they are open until their handlers have returned and their peers know,
    /// so that [`Open::shutdown`] takes leave of them and waits for them.
    #[must_use]
    pub fn track(mut self, open: &Open) -> Self {
        self.open = Some(open.clone());
        self
    }

    /// Tells of handlers that failed, and of upgrades that did not come about, as
    /// [`Server::on_error`](crate::Server::on_error) does.
    #[must_use]
    pub fn on_error(mut self, on_error: impl Fn(Option<Peer>, &Failure) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(on_error));
        self
    }
}

impl fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Upgrades");
        debug.field("config", &self.config).field("subprotocols", &self.supported).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Upgrades {
    type Service = WithUpgrades<S>;

    fn layer(&self, inner: S) -> WithUpgrades<S> {
        WithUpgrades { inner, upgrades: self.clone() }
    }
}

/// A service whose requests are upgraded as [`Upgrades`] say.
#[derive(Clone, Debug)]
pub struct WithUpgrades<S> {
    inner: S,
    upgrades: Upgrades,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for WithUpgrades<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.upgrades.clone());
        self.inner.call(request)
    }
}
