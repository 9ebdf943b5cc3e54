//! The server's side of the opening handshake.

use crate::drive::Drive;
use crate::mode::Mode;
use crate::stream::Stream;
use crate::websocket::WebSocket;
use sockless::driver::{Driver, Error};
use sockless::{Accept, Config, Connection, Event, ProtocolError, Reject, Request, SharedConfig, State};
use std::fmt;

/// Takes a connection with the default settings, and accepts its request.
///
/// # Errors
/// [`Error::Protocol`] for a request that is not a good one, which has been told to the client, or none in time;
/// [`Error::Io`].
///
/// ```no_run
/// let listener = std::net::TcpListener::bind("127.0.0.1:9001")?;
/// for stream in listener.incoming() {
///     let stream = stream?;
///     std::thread::spawn(move || {
///         let mut socket = sockless_std::accept(stream)?;
///         while let Some(message) = socket.recv()? {
///             socket.send(message)?;
///         }
///         Ok::<_, sockless_std::Error>(())
///     });
/// }
/// # Ok::<_, std::io::Error>(())
/// ```
pub fn accept<S: Stream>(stream: S) -> Result<WebSocket<S>, Error> {
    accept_with(stream, Config::default(), |request| Ok(request.accept()))
}

/// Takes a connection, and accepts or refuses its request, or answers it as plain HTTP, as `answer` says.
///
/// What the stream is over is not known here: for one over TLS, say so by [`Config::secure`].
///
/// # Errors
/// As [`accept`], and [`Error::Refused`] for a request that `answer` refused; [`Error::Send`] for an answer that cannot
/// be given.
///
/// ```no_run
/// use sockless_std::{Config, Reject, accept_with};
///
/// # fn serve(stream: std::net::TcpStream) -> Result<(), sockless_std::Error> {
/// let socket = accept_with(stream, Config::default(), |request| match request.path() {
///     "/chat" => Ok(request.accept_first_subprotocol().header("Set-Cookie", "seen=1")),
///     _ => Err(Reject::new(404)),
/// })?;
/// # Ok(())
/// # }
/// ```
pub fn accept_with<S: Stream>(
    stream: S,
    config: impl Into<SharedConfig>,
    answer: impl FnOnce(&Request<'_>) -> Result<Accept, Reject>,
) -> Result<WebSocket<S>, Error> {
    let incoming = Incoming::read(stream, config)?;
    match answer(incoming.request()) {
        Ok(accept) => incoming.accept_as(accept),
        Err(reject) => Err(incoming.reject(reject)),
    }
}

/// A connection whose request waits for an answer, for a server that has to think about it.
///
/// Dropped without one, it hangs up.
pub struct Incoming<S> {
    drive: Drive<S>,
    request: Request<'static>,
}

impl<S: Stream> Incoming<S> {
    /// Takes a connection, and reads its request.
    ///
    /// # Errors
    /// As [`accept`].
    pub fn read(stream: S, config: impl Into<SharedConfig>) -> Result<Self, Error> {
        Self::read_by(Drive::new(Driver::new(Connection::server(config)), stream))
    }

    pub(crate) fn read_by(mut drive: Drive<S>) -> Result<Self, Error> {
        match drive.recv(Mode::Message, None)? {
            Some(Event::Request(request)) => Ok(Self { drive, request }),
            _ => Err(ProtocolError::UnexpectedEof.into()),
        }
    }

    /// The request.
    pub fn request(&self) -> &Request<'static> {
        &self.request
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.drive.transport.stream
    }

    /// Accepts the request as it is. One that is not good is refused, with the status that fits.
    ///
    /// # Errors
    /// [`Error::Protocol`] for such a request; [`Error::Io`].
    pub fn accept(self) -> Result<WebSocket<S>, Error> {
        let accept = self.request.accept();
        self.accept_as(accept)
    }

    /// Accepts the request with an answer made from it by [`Request::accept`], which may choose a subprotocol and add
    /// fields.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), and [`Error::Send`] for an answer that cannot be given; the client is told of 500.
    pub fn accept_as(self, accept: Accept) -> Result<WebSocket<S>, Error> {
        let Self { mut drive, .. } = self;
        let subprotocol = accept.chosen_subprotocol().map(String::from);
        if let Err(error) = drive.send(|connection| connection.accept(accept)) {
            _ = drive.send(|connection| connection.reject(500, &[], b""));
            _ = drive.finish(None);
            return Err(error.into());
        }
        if drive.driver.peek().state() != State::Open {
            // It was refused, which is the end that it comes to.
            drive.finish(None)?;
            return Err(ProtocolError::UnexpectedEof.into());
        }
        drive.flush(None)?;
        Ok(WebSocket::from_drive(drive, subprotocol.as_deref()))
    }

    /// Refuses the request, or answers it as plain HTTP. The error says what became of it: [`Error::Refused`] if it was
    /// sent, or [`Error::Send`] if it cannot be.
    pub fn reject(mut self, reject: Reject) -> Error {
        let status = reject.status();
        match self.drive.send(|connection| connection.answer(reject)) {
            Ok(()) => {
                // A client that is gone need not be told.
                _ = self.drive.finish(None);
                Error::Refused(status)
            }
            Err(error) => error.into(),
        }
    }
}

impl<S> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}
