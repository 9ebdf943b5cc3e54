//! The opening handshake over a stream, in both roles.

use crate::buffer::Input;
use crate::error::Error;
use crate::trace;
use crate::websocket::WebSocket;
use bytes::Buf;
use sockless::{Connection, Event, ProtocolError, bytes};
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
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opening<S> {
    pub(crate) fn new(connection: Connection, stream: S) -> Self {
        Self { connection, stream, rest: Input::default(), started: Instant::now() }
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

    async fn step(&mut self) -> Result<Option<Event<'static>>, Error> {
        if let Some(event) = self.connection.handle_timeout(self.started.elapsed())? {
            return Ok(Some(event));
        }
        let Some(()) = self.in_time(Self::flush).await? else { return Ok(None) };
        let Some(told) = self.in_time(Self::read).await? else { return Ok(None) };
        Ok(told?)
    }

    async fn read(&mut self) -> io::Result<Result<Option<Event<'static>>, ProtocolError>> {
        let Self { connection, stream, rest, .. } = self;
        if !poll_fn(|cx| rest.poll_read(cx, stream)).await? {
            return Ok(connection.receive_eof());
        }
        let told = rest.take(|input| connection.receive(input).map(|event| event.map(Event::into_owned)));
        rest.shrink();
        Ok(told)
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
        match self.in_time(Self::flush).await? {
            Some(()) => Ok(()),
            None => Err(sockless::HandshakeError::Timeout.into()),
        }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Does something until the next deadline; `None` when that has passed.
    async fn in_time<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> io::Result<T>) -> io::Result<Option<T>> {
        match self.connection.poll_timeout().and_then(|deadline| self.started.checked_add(deadline)) {
            None => work(self).await.map(Some),
            Some(deadline) => timeout_at(deadline, work(self)).await.ok().transpose(),
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
        let Self { connection, stream, rest, started } = self;
        trace::event!(DEBUG, role = ?connection.role(), subprotocol, "open");
        WebSocket::from_core(stream, connection, rest, started, subprotocol)
            .ok_or(Error::Send(sockless::SendError::NotOpen))
    }
}
