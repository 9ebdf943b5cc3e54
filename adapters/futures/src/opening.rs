//! The opening handshake, of either role, over a stream that is there already.

use crate::clock::Timer;
use crate::turns::Turns;
use crate::waiting::RECEIVER;
use crate::websocket::WebSocket;
use futures_io::{AsyncRead, AsyncWrite};
use sockless::driver::{ConnectError, Error};
use sockless::{
    Accept, ClientRequest, Connection, Event, ProtocolError, Reject, Request, Response, Seed, SharedConfig, State,
};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
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
        let connection = Connection::client(request, self.config.clone(), Seed::random())?;
        let mut turns = Turns::new(connection, stream, self.timer.clone());
        match poll_fn(|cx| turns.poll_opening(cx)).await.map_err(ConnectError::Handshake)? {
            Event::Open(response) => Ok((WebSocket::new(turns, response.subprotocol()), response)),
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
        let mut turns = Turns::new(Connection::server(self.config.clone()), stream, self.timer.clone());
        let opened = poll_fn(|cx| turns.poll_opening(cx)).await.and_then(|event| match event {
            Event::Request(request) => {
                let answer = answer(&request);
                let subprotocol = answer.as_ref().ok().and_then(Accept::chosen_subprotocol).map(String::from);
                let refused = answer.as_ref().err().map(|reject| Error::Refused(reject.status()));
                turns.push(|connection| match answer {
                    Ok(accept) => connection.accept(accept),
                    Err(reject) => connection.answer(reject),
                })?;
                refused.map_or(Ok(subprotocol), Err)
            }
            _ => Err(ProtocolError::UnexpectedEof.into()),
        });
        // A request that is not good is refused, though it was accepted.
        let opened = match opened {
            Ok(_) if turns.state() != State::Open => Err(match poll_fn(|cx| turns.poll_opening(cx)).await {
                Ok(_) => ProtocolError::UnexpectedEof.into(),
                Err(error) => error,
            }),
            opened => opened,
        };
        let written = poll_fn(|cx| turns.poll_drained(cx, RECEIVER, true)).await;
        if opened.is_err() {
            // A client that is gone need not be told, and is not waited for.
            _ = poll_fn(|cx| Pin::new(&mut turns.stream).poll_close(cx)).await;
        }
        let subprotocol = opened?;
        written?;
        Ok(WebSocket::new(turns, subprotocol.as_deref()))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("timer", &self.timer.is_some()).finish_non_exhaustive()
    }
}
