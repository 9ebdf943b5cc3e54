//! The opening handshake over a stream, in both roles.

use crate::buffer::Input;
use crate::error::Error;
use crate::trace;
use crate::websocket::WebSocket;
use bytes::Buf;
use sockless::{Connection, Event, Role, bytes};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// A connection that is not open yet, and its stream.
pub(crate) struct Opening<S> {
    pub(crate) connection: Connection,
    stream: S,
    /// What was read behind the head.
    rest: Input,
    started: Instant,
    /// Why nothing can be written any more.
    broken: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opening<S> {
    pub(crate) fn new(connection: Connection, stream: S) -> Self {
        Self { connection, stream, rest: Input::default(), started: Instant::now(), broken: None }
    }

    /// Writes what waits and reads on, until the peer has said something.
    ///
    /// # Errors
    /// [`Error::Protocol`], whose answer has been written, or [`Error::Io`].
    pub(crate) async fn event(&mut self) -> Result<Event<'static>, Error> {
        loop {
            match self.step().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    if let Error::Protocol(_) = error {
                        self.finish().await;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Writes what waits, reads what is there, and then judges the time.
    async fn step(&mut self) -> Result<Option<Event<'static>>, Error> {
        match self.in_time(Self::flush).await {
            Some(Err(error)) if self.connection.role() == Role::Server => return Err(error.into()),
            Some(Err(error)) => self.break_off(error),
            Some(Ok(())) | None => {}
        }
        match self.in_time(Self::read).await {
            Some(told) => told,
            None => Ok(self.connection.handle_timeout(self.started.elapsed())?),
        }
    }

    async fn read(&mut self) -> Result<Option<Event<'static>>, Error> {
        let Self { connection, stream, rest, .. } = self;
        match poll_fn(|cx| rest.poll_read(cx, stream)).await {
            Ok(true) => {}
            Ok(false) => return self.end(None),
            Err(error) => return self.end(Some(error)),
        }
        let told = rest.take(|input| connection.receive(input).map(|event| event.map(Event::into_owned)));
        rest.shrink();
        Ok(told?)
    }

    /// Nothing can be written any more. What the server has said may still be read, a refusal of what it did not like to
    /// read to its end, say.
    fn break_off(&mut self, error: io::Error) {
        self.broken.get_or_insert(error);
        let rest = self.connection.queued();
        self.connection.outbound().advance(rest);
    }

    /// The transport has ended, by an error perhaps; what the peer had said by then.
    fn end(&mut self, error: Option<io::Error>) -> Result<Option<Event<'static>>, Error> {
        self.connection.receive_eof().map_err(|ended| match self.broken.take().or(error) {
            Some(error) => error.into(),
            None => ended.into(),
        })
    }

    /// What the server has said, if nobody waits any longer: a refusal as far as it has come.
    pub(crate) fn give_up(&mut self) -> Option<Event<'static>> {
        self.connection.receive_eof().ok()?
    }

    /// Writes what waits.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.connection.outbound().has_remaining() {
            let mut outbound = self.connection.outbound();
            match self.stream.write(outbound.chunk()).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => outbound.advance(written),
            }
        }
        self.stream.flush().await
    }

    /// Writes an answer, in the time that the handshake has.
    pub(crate) async fn answer(&mut self) -> Result<(), Error> {
        self.connection.handle_timeout(self.started.elapsed())?;
        match self.in_time(Self::flush).await {
            Some(written) => Ok(written?),
            None => Err(sockless::HandshakeError::Timeout.into()),
        }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Does something until the next deadline, once at least; `None` when that has passed.
    async fn in_time<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> T) -> Option<T> {
        match self.connection.poll_timeout().and_then(|deadline| self.started.checked_add(deadline)) {
            None => Some(work(self).await),
            Some(deadline) => timeout_at(deadline, work(self)).await.ok(),
        }
    }

    /// Writes a refusal, and ends the stream. If it cannot be written, there is nobody to be told.
    pub(crate) async fn finish(&mut self) {
        const LONGEST: Duration = Duration::from_secs(5);
        let finish = async {
            self.flush().await?;
            self.stream.shutdown().await
        };
        _ = tokio::time::timeout(LONGEST, finish).await;
    }

    /// The connection, once it is open.
    pub(crate) fn open(self, subprotocol: Option<&str>) -> Result<WebSocket<S>, Error> {
        let Self { connection, stream, rest, started, .. } = self;
        // Not which subprotocol: some are credentials.
        trace::event!(DEBUG, role = ?connection.role(), subprotocol = subprotocol.is_some(), "open");
        WebSocket::from_core(stream, connection, rest, started, subprotocol)
            .ok_or(Error::Send(sockless::SendError::NotOpen))
    }
}
