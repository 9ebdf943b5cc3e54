//! The server's side of the opening handshake.

use crate::opening::Opening;
use crate::websocket::WebSocket;
use sockless::driver::Error;
use sockless::{Accept, Config, Connection, Event, Reject, Request, SharedConfig};
use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};

/// Takes a connection with the default settings, and accepts its request.
///
/// # Errors
/// [`Error::Protocol`] for a request that is not a good one, which has been told to the client, or none in time;
/// [`Error::Io`].
///
/// # Cancel safety
/// Dropped, the future drops the stream with it.
///
/// ```no_run
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     tokio::spawn(async move {
///         let mut socket = sockless_tokio::accept(stream).await?;
///         while let Some(message) = socket.recv().await? {
///             socket.send(message).await?;
///         }
///         Ok::<_, sockless_tokio::Error>(())
///     });
/// }
/// # }
/// ```
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<WebSocket<S>, Error> {
    accept_with(stream, Config::default(), |request| Ok(request.accept())).await
}

/// Takes a connection, and accepts or refuses its request, or answers it as plain HTTP, as `answer` says.
///
/// What the stream is over is not known here: for one over TLS, say so by [`Config::secure`].
///
/// # Errors
/// As [`accept`], and [`Error::Refused`] for a request that `answer` refused; [`Error::Send`] for an answer that cannot
/// be given.
///
/// # Cancel safety
/// As [`accept`].
///
/// ```no_run
/// use sockless_tokio::{Reject, accept_with, sockless::Config};
///
/// # async fn serve(stream: tokio::net::TcpStream) -> Result<(), sockless_tokio::Error> {
/// let socket = accept_with(stream, Config::default(), |request| match request.path() {
///     "/chat" => Ok(request.accept_first_subprotocol().header("Set-Cookie", "seen=1")),
///     _ => Err(Reject::new(404)),
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn accept_with<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: impl Into<SharedConfig>,
    answer: impl FnOnce(&Request<'_>) -> Result<Accept, Reject>,
) -> Result<WebSocket<S>, Error> {
    let handshake = async move {
        let incoming = Incoming::read(stream, config).await?;
        match answer(incoming.request()) {
            Ok(accept) => incoming.accept_as(accept).await,
            Err(reject) => Err(incoming.reject(reject).await),
        }
    };
    // A task that awaits this has room for it as long as it lives, so there should be little.
    Box::pin(handshake).await
}

/// A connection whose request waits for an answer, for a server that has to think about it.
///
/// Dropped without one, it hangs up.
pub struct Incoming<S> {
    opening: Opening<S>,
    request: Request<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    /// Takes a connection, and reads its request.
    ///
    /// # Errors
    /// As [`accept`].
    ///
    /// # Cancel safety
    /// As [`accept`].
    pub async fn read(stream: S, config: impl Into<SharedConfig>) -> Result<Self, Error> {
        let mut opening = Opening::new(Connection::server(config), stream);
        loop {
            if let Event::Request(request) = opening.event().await? {
                return Ok(Self { opening, request });
            }
        }
    }

    /// The request.
    pub fn request(&self) -> &Request<'static> {
        &self.request
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        self.opening.stream()
    }

    /// Accepts the request as it is. One that is not good is refused, with the status that fits.
    ///
    /// # Errors
    /// [`Error::Protocol`] for such a request; [`Error::Io`].
    ///
    /// # Cancel safety
    /// As [`accept`].
    pub async fn accept(self) -> Result<WebSocket<S>, Error> {
        let accept = self.request.accept();
        self.accept_as(accept).await
    }

    /// Accepts the request with an answer made from it by [`Request::accept`], which may choose a subprotocol and add
    /// fields.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), and [`Error::Send`] for an answer that cannot be given; the client is told of 500.
    ///
    /// # Cancel safety
    /// As [`accept`].
    pub async fn accept_as(self, accept: Accept) -> Result<WebSocket<S>, Error> {
        match self.part().1.answered(accept) {
            Ok(answered) => answered.open().await,
            Err(refused) => Err(refused.finish().await),
        }
    }

    /// The request, and the connection that waits for its answer.
    pub(crate) fn part(self) -> (Request<'static>, Asked<S>) {
        (self.request, Asked(self.opening))
    }

    /// Refuses the request, or answers it as plain HTTP. The error says what became of it: [`Error::Refused`] if it was
    /// sent, or [`Error::Send`] if it cannot be.
    ///
    /// # Cancel safety
    /// As [`accept`].
    pub async fn reject(self, reject: Reject) -> Error {
        self.part().1.reject(reject).await
    }
}

/// A connection that waits for the answer to its request.
pub(crate) struct Asked<S>(Opening<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Asked<S> {
    /// Goes on by other settings; the request as they judge it.
    pub(crate) fn reconfigure(&mut self, request: Request<'static>, config: SharedConfig) -> Request<'static> {
        self.0.reconfigure(request, config)
    }

    /// Answers the request, in memory; the [`Refused`] has the answer to a request that is not good, or is of 500.
    pub(crate) fn answered(mut self, accept: Accept) -> Result<Answered<S>, Box<Refused<S>>> {
        let subprotocol = accept.chosen_subprotocol().map(String::from);
        let connection = self.0.connection();
        let error = match connection.accept(accept) {
            Ok(()) => connection.receive(&mut &mut [][..]).err().map(Error::from),
            Err(error) => {
                _ = connection.reject(500, &[], b"");
                Some(error.into())
            }
        };
        match error {
            None => Ok(Answered { opening: self.0, subprotocol }),
            Some(error) => Err(Box::new(Refused { opening: self.0, error })),
        }
    }

    pub(crate) async fn reject(mut self, reject: Reject) -> Error {
        let status = reject.status();
        match self.0.connection().answer(reject) {
            Ok(()) => {
                self.0.finish().await;
                Error::Refused(status)
            }
            Err(error) => error.into(),
        }
    }
}

/// A connection that is open when the answer is written.
pub(crate) struct Answered<S> {
    opening: Opening<S>,
    subprotocol: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Answered<S> {
    pub(crate) async fn open(mut self) -> Result<WebSocket<S>, Error> {
        self.opening.answer().await?;
        Ok(self.opening.open(self.subprotocol.as_deref()))
    }
}

/// A connection that is over when the answer is written.
pub(crate) struct Refused<S> {
    opening: Opening<S>,
    error: Error,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Refused<S> {
    /// Writes it; gives the reason.
    pub(crate) async fn finish(mut self) -> Error {
        self.opening.finish().await;
        self.error
    }
}

impl<S> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}
