//! What a server does with a request: whether it is accepted, by which settings, and who has the connection then.

use crate::handling::{Handler, Outcome, handler};
use crate::open::Peer;
use crate::stream::NetStream;
use crate::websocket::WebSocket;
use sockless::{Accept, Reject, Request, SharedConfig};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Answering<T> = dyn Fn(Request<'static>, Peer) -> Boxed<Result<(Accept, T), Reject>> + Send + Sync;

/// How the requests at a path of a [`Server`](crate::Server) are answered, and by which settings.
///
/// `T` is what the answer has for the handler: the request, unless [`answer`](Self::answer) says something else.
#[must_use]
pub struct Route<T = Request<'static>> {
    config: Option<SharedConfig>,
    answer: Arc<Answering<T>>,
}

impl Route {
    /// A route that accepts every good request by the server's settings.
    pub fn new() -> Self {
        Self { config: None, answer: Arc::new(|request, _| Box::pin(async { Ok((request.accept(), request)) })) }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Route<T> {
    /// Replaces the server's settings for what is at this path: limits, deadlines, origins, compression. How much time there is
    /// for the request, and how large it may be, is for the server's to say, up to there.
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Replaces what requests are answered with; see [`Server::answer`](crate::Server::answer).
    pub fn answer<U, A, F>(self, answer: A) -> Route<U>
    where
        A: Fn(Request<'static>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(Accept, U), Reject>> + Send + 'static,
    {
        let answer: Arc<Answering<U>> = Arc::new(move |request, peer| Box::pin(answer(request, peer)));
        Route { config: self.config, answer }
    }
}

impl<T> Clone for Route<T> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), answer: self.answer.clone() }
    }
}

impl<T> fmt::Debug for Route<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What is done with a connection once it is open.
pub(crate) type Work = Box<dyn FnOnce(WebSocket<NetStream>) -> Handler + Send>;

/// Settings as they are for connections over TLS, and for others: the core is told, unless that was said.
pub(crate) struct Settings {
    plain: SharedConfig,
    over_tls: SharedConfig,
}

impl Settings {
    pub(crate) fn new(config: SharedConfig) -> Self {
        let mut over_tls = config.clone();
        if over_tls.secure.is_none() {
            over_tls.to_mut().secure = Some(true);
        }
        Self { plain: config, over_tls }
    }

    pub(crate) fn of(&self, over_tls: bool) -> SharedConfig {
        if over_tls { self.over_tls.clone() } else { self.plain.clone() }
    }
}

/// A route and its handler, whatever passes between them.
pub(crate) struct Service {
    /// Those of its own.
    pub(crate) settings: Option<Settings>,
    answer: Box<Answering<Work>>,
}

impl Service {
    pub(crate) fn new<T, H, F>(route: Route<T>, handle: H) -> Self
    where
        T: Send + 'static,
        H: Fn(WebSocket<NetStream>, Peer, T) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let (answer, handle) = (route.answer, Arc::new(handle));
        let answer = move |request, peer| -> Boxed<Result<(Accept, Work), Reject>> {
            let (answering, handle) = (answer(request, peer), handle.clone());
            Box::pin(async move {
                let (accept, user) = answering.await?;
                let work: Work = Box::new(move |socket| handler(move || handle(socket, peer, user)));
                Ok((accept, work))
            })
        };
        Self { settings: route.config.map(Settings::new), answer: Box::new(answer) }
    }

    /// Whether the request is accepted, and what is done then.
    pub(crate) async fn answer(&self, request: Request<'static>, peer: Peer) -> Result<(Accept, Work), Reject> {
        (self.answer)(request, peer).await
    }
}
