//! A handler for each path, with settings of its own.

use crate::call::Error;
use crate::closed::Closed;
use crate::conn::Conn;
use crate::handler::Handler;
use crate::routed::{NO_ROUTE, Parts, Routed, over_tls};
use sockless::handshake::{self, RouteError};
use sockless::{Answer, Message, Piece, Reject, Request, Response, SharedConfig};
use std::fmt;
use std::net::SocketAddr;

/// The settings of a path of [`Routes`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Route {
    config: Option<SharedConfig>,
    parts: Parts,
}

impl Route {
    /// The server's settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the server's settings for what is at this path: limits, deadlines, origins, compression. How much time there is
    /// for the request, and how large it may be, is for the server's to say, up to there.
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Has messages come in pieces, as [`Conn::take_pieces`] does.
    pub fn pieces(mut self) -> Self {
        self.parts = Parts::Pieces;
        self
    }

    /// Has messages come in whole frames, as [`Conn::take_frames`] does.
    pub fn frames(mut self) -> Self {
        self.parts = Parts::Frames;
        self
    }
}

/// Handlers by the paths of requests: a [`Handler`] itself, of those that keep the same state for a connection.
///
/// A path is such as `/`, `/chat/{room}` or `/files/{*rest}`; what stands in braces is [`Request::param`]. What is at no
/// path is answered with 404.
///
/// ```
/// use sockless_mio::sockless::Origins;
/// use sockless_mio::{Answer, Config, Conn, Error, Handler, Limits, Message, Reject, Request, Route, RouteError, Routes, Server};
///
/// struct Chat;
/// struct Feed;
///
/// impl Handler for Chat {
///     /// The room.
///     type State = String;
///
///     fn on_request(&self, conn: &mut Conn<'_, String>, request: &Request<'_>) -> Answer {
///         if request.cookie("user").is_none() {
///             return Reject::text(401, "who are you?\n").into();
///         }
///         *conn.state_mut() = request.param("room").unwrap_or_default().into_owned();
///         request.accept().into()
///     }
///
///     fn on_message(&self, conn: &mut Conn<'_, String>, message: Message<'_>) -> Result<(), Error> {
///         let answer = format!("{} in {}", message.as_text().unwrap_or("?"), conn.state());
///         conn.send_text(&answer)?;
///         Ok(())
///     }
/// }
///
/// impl Handler for Feed {
///     type State = String;
///
///     fn on_message(&self, _: &mut Conn<'_, String>, _: Message<'_>) -> Result<(), Error> {
///         Err("nobody is asked".into())
///     }
/// }
///
/// let limits = Limits { message: 4 << 10, ..Limits::default() };
/// let feed = Route::new().config(Config { limits, origins: Origins::Any, ..Config::default() });
/// let routes = Routes::new().route("/chat/{room}", Route::new(), Chat)?.route("/feed", feed, Feed)?;
/// let server = Server::builder().listen("127.0.0.1:0").bind(routes)?;
/// # drop(server);
/// # Ok::<(), Error>(())
/// ```
#[must_use]
pub struct Routes<S = ()> {
    routes: handshake::Routes<u16>,
    entries: Vec<Entry<S>>,
    others: Option<Box<dyn Handler<State = S>>>,
}

struct Entry<S> {
    handler: Box<dyn Handler<State = S>>,
    /// The settings of connections without TLS, and with it, if they are not the server's.
    config: Option<[SharedConfig; 2]>,
    parts: Parts,
}

impl<S: Default + Send + 'static> Routes<S> {
    /// None.
    pub fn new() -> Self {
        Self { routes: handshake::Routes::default(), entries: Vec::new(), others: None }
    }

    /// Adds what is at a path.
    ///
    /// # Errors
    /// A path that is none, or that stands for the same requests as one before it.
    pub fn route(mut self, path: &str, route: Route, handler: impl Handler<State = S>) -> Result<Self, RouteError> {
        // Beyond so many there would be one that is never found.
        let number = u16::try_from(self.entries.len()).unwrap_or(NO_ROUTE);
        self.routes.add(path, number)?;
        let config = route.config.map(|config| [config.clone(), over_tls(config)]);
        self.entries.push(Entry { handler: Box::new(handler), config, parts: route.parts });
        Ok(self)
    }

    /// Has a handler for what is at no path, whom [`Handle::connect`](crate::Handle::connect) connects to, and for
    /// [`on_accept`](Handler::on_accept) and [`on_accept_error`](Handler::on_accept_error), which know no path.
    pub fn others(mut self, handler: impl Handler<State = S>) -> Self {
        self.others = Some(Box::new(handler));
        self
    }

    fn at(&self, conn: &Conn<'_, S>) -> Option<&dyn Handler<State = S>> {
        let entry = self.entries.get(usize::from(conn.route())).map(|entry| &entry.handler);
        entry.or(self.others.as_ref()).map(|handler| &**handler)
    }

    /// Has the handler that a connection is of do something, if there is one.
    fn each<'c, 'a>(&self, conn: &'c mut Conn<'a, S>, call: impl FnOnce(&dyn Handler<State = S>, &'c mut Conn<'a, S>)) {
        if let Some(handler) = self.at(conn) {
            call(handler, conn);
        }
    }
}

impl<S: Default + Send + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("count", &self.entries.len()).finish_non_exhaustive()
    }
}

impl<S: Default + Send + 'static> Handler for Routes<S> {
    type State = S;

    fn routed(&self, request: &mut Request<'_>, is_secure: bool) -> Routed {
        let Some(number) = self.routes.route(request) else { return Routed::default() };
        let entry = &self.entries[usize::from(*number)];
        let config = entry.config.as_ref().map(|configs| configs[usize::from(is_secure)].clone());
        Routed { number: *number, config, parts: entry.parts }
    }

    fn on_accept(&self, peer: Option<SocketAddr>) -> bool {
        self.others.as_ref().is_none_or(|others| others.on_accept(peer))
    }

    fn on_request(&self, conn: &mut Conn<'_, S>, request: &Request<'_>) -> Answer {
        match self.at(conn) {
            Some(handler) => handler.on_request(conn, request),
            None => Reject::text(404, "there is nothing here\n").into(),
        }
    }

    fn on_response(&self, conn: &mut Conn<'_, S>, response: &Response<'_>) {
        self.each(conn, |handler, conn| handler.on_response(conn, response));
    }

    fn on_open(&self, conn: &mut Conn<'_, S>) {
        self.each(conn, |handler, conn| handler.on_open(conn));
    }

    fn on_message(&self, conn: &mut Conn<'_, S>, message: Message<'_>) -> Result<(), Error> {
        self.at(conn).map_or(Ok(()), |handler| handler.on_message(conn, message))
    }

    fn on_piece(&self, conn: &mut Conn<'_, S>, piece: Piece<'_>) -> Result<(), Error> {
        self.at(conn).map_or(Ok(()), |handler| handler.on_piece(conn, piece))
    }

    fn on_timer(&self, conn: &mut Conn<'_, S>, number: u32) {
        self.each(conn, |handler, conn| handler.on_timer(conn, number));
    }

    fn on_ping(&self, conn: &mut Conn<'_, S>, payload: &[u8]) {
        self.each(conn, |handler, conn| handler.on_ping(conn, payload));
    }

    fn on_pong(&self, conn: &mut Conn<'_, S>, payload: &[u8]) {
        self.each(conn, |handler, conn| handler.on_pong(conn, payload));
    }

    fn on_backpressure(&self, conn: &mut Conn<'_, S>) {
        self.each(conn, |handler, conn| handler.on_backpressure(conn));
    }

    fn on_drain(&self, conn: &mut Conn<'_, S>) {
        self.each(conn, |handler, conn| handler.on_drain(conn));
    }

    fn on_close(&self, conn: &mut Conn<'_, S>, closed: Closed) {
        self.each(conn, |handler, conn| handler.on_close(conn, closed));
    }

    fn on_shutdown(&self, conn: &mut Conn<'_, S>) {
        self.each(conn, |handler, conn| handler.on_shutdown(conn));
    }

    fn on_error(&self, conn: &mut Conn<'_, S>, error: &Error) {
        self.each(conn, |handler, conn| handler.on_error(conn, error));
    }

    fn on_accept_error(&self, error: &std::io::Error) {
        if let Some(others) = &self.others {
            others.on_accept_error(error);
        }
    }
}
