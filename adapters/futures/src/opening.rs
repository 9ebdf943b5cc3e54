//! The opening handshake, of either role, over a stream that is there already.

use crate::clock::Timer;
use crate::websocket::WebSocket;
use futures_io::{AsyncRead, AsyncWrite};
use sockless::driver::{ConnectError, Driver, Error};
use sockless::{
    Accept, ClientRequest, Connection, Event, Negotiated, ProtocolError, Reject, Request, Response, Role, Seed,
    SharedConfig, State,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Opens a connection to a `ws://` or `wss://` URL over a stream that is connected to its host already, by TLS for `wss`.
///
/// # Errors
/// As [`Settings::connect_over`]. There is no deadline, for there is no [timer](Settings::timer).
pub async fn connect_over<S>(url: &str, stream: S) -> Result<WebSocket<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Ok(Settings::default().connect_over(&ClientRequest::new(url)?, stream).await?.0)
}

/// Takes a connection, and accepts its request.
///
/// # Errors
/// As [`Settings::accept_with`]. There is no deadline, for there is no [timer](Settings::timer).
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, Error> {
    Settings::default().accept_with(stream, |request| Ok(request.accept())).await
}

/// What connections are opened with.
///
/// ```no_run
/// use sockless_futures::{ClientRequest, Settings};
///
/// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
/// let stream = smol::net::TcpStream::connect("127.0.0.1:9001").await?;
/// let request = ClientRequest::new("ws://127.0.0.1:9001/chat")?.header("Origin", "https://example.com").subprotocol("chat");
/// let (mut socket, response) = Settings::default().timer(smol::Timer::after).connect_over(&request, stream).await?;
/// assert_eq!((response.status(), socket.subprotocol()), (101, Some("chat")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Settings {
    config: SharedConfig,
    timer: Option<Timer>,
}

impl Settings {
    /// Replaces the core's settings: limits, deadlines, compression.
    #[must_use]
    pub fn config(mut self, config: impl Into<SharedConfig>) -> Self {
        self.config = config.into();
        self
    }

    /// Keeps the deadlines of [`Keepalive`](sockless::Keepalive) by futures that are ready after a while, such as
    /// `smol::Timer::after`. Without them there is none: a silent peer is waited for as long as it likes.
    #[must_use]
    pub fn timer<F>(mut self, after: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future + Send + 'static,
    {
        self.timer = Some(Arc::new(move |time| {
            let sleep = after(time);
            Box::pin(async { _ = sleep.await })
        }));
        self
    }

    /// Opens a connection over a stream; gives the server's response too.
    ///
    /// # Errors
    /// [`ConnectError::Request`], [`ConnectError::Rejected`] or [`ConnectError::Handshake`].
    pub async fn connect_over<S>(
        &self,
        request: &ClientRequest,
        stream: S,
    ) -> Result<(WebSocket<S>, Response<'static>), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut socket = self.over(stream, Connection::client(request, self.config.clone(), Seed::random())?);
        match socket.opening().await.map_err(ConnectError::Handshake)? {
            Event::Open(response) => {
                socket.subprotocol = response.subprotocol().map(Box::from);
                Ok((socket, response))
            }
            Event::Rejected(response) => Err(ConnectError::Rejected(Box::new(response))),
            _ => Err(ConnectError::Handshake(ProtocolError::UnexpectedEof.into())),
        }
    }

    /// Takes a connection, and accepts or refuses its request, or answers it as plain HTTP, as `answer` says.
    ///
    /// # Errors
    /// [`Error::Protocol`] for a request that is not a good one, which has been told to the client; [`Error::Refused`] for one
    /// that `answer` refused; [`Error::Send`] for an answer that cannot be given; [`Error::Io`].
    pub async fn accept_with<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        answer: impl FnOnce(&Request<'_>) -> Result<Accept, Reject>,
    ) -> Result<WebSocket<S>, Error> {
        let mut socket = self.over(stream, Connection::server(self.config.clone()));
        let answered = socket.answer(answer).await;
        // A client that is refused is told, but not waited for.
        let written = socket.flush().await;
        answered.and(written).map(|()| socket)
    }

    fn over<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, connection: Connection) -> WebSocket<S> {
        WebSocket::new(stream, Driver::new(connection), self.timer.clone())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// An open connection, after a handshake done elsewhere: `negotiated` is what it agreed on, `rest` the bytes that were read
    /// behind it. `seed` matters for a client only; use [`Seed::random`].
    pub fn open(stream: S, role: Role, negotiated: Negotiated, settings: &Settings, seed: Seed, rest: &[u8]) -> Self {
        let driver = Driver::with_rest(Connection::open(role, negotiated, settings.config.clone(), seed), rest);
        Self::new(stream, driver, settings.timer.clone())
    }

    async fn answer(&mut self, answer: impl FnOnce(&Request<'_>) -> Result<Accept, Reject>) -> Result<(), Error> {
        let early = || ProtocolError::UnexpectedEof.into();
        let Event::Request(request) = self.opening().await? else { return Err(early()) };
        match answer(&request) {
            Ok(accept) => {
                self.subprotocol = accept.chosen_subprotocol().map(Box::from);
                self.push(|connection| connection.accept(accept))?;
                // A request that is not good is refused, though it was accepted.
                if self.state() == State::Open { Ok(()) } else { Err(self.opening().await.err().unwrap_or_else(early)) }
            }
            Err(reject) => {
                let status = reject.status();
                self.push(|connection| connection.answer(reject))?;
                Err(Error::Refused(status))
            }
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("timer", &self.timer.is_some()).finish_non_exhaustive()
    }
}
