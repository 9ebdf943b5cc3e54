//! The opening handshake over a stream, in both roles.

use crate::websocket::WebSocket;
use bytes::Buf;
use sockless::driver::{Driver, Error, Storage, lent};
use sockless::{Connection, Event, ProtocolError, Request, Role, SharedConfig, bytes};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// A connection that is not open yet, and its stream.
pub(crate) struct Opening<S> {
    driver: Driver,
    stream: S,
    started: Instant,
    /// Why nothing can be written any more.
    broken: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opening<S> {
    pub(crate) fn new(connection: Connection, stream: S) -> Self {
        Self { driver: Driver::new(connection), stream, started: Instant::now(), broken: None }
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

    /// Goes on by other settings; the request, which waits for its answer, as they judge it.
    pub(crate) fn reconfigure(&mut self, request: Request<'static>, config: SharedConfig) -> Request<'static> {
        self.driver.reconfigure(request, config).expect("the request waits")
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        self.driver.connection()
    }

    /// Writes what waits, reads what is there, and then judges the time.
    async fn step(&mut self) -> Result<Option<Event<'static>>, Error> {
        match self.in_time(Self::flush).await {
            Some(Err(error)) if self.driver.peek().role() == Role::Server => return Err(error.into()),
            Some(Err(error)) => self.break_off(error),
            Some(Ok(())) | None => {}
        }
        match self.in_time(async |opening| poll_fn(|cx| lent(|storage| opening.poll_read(cx, storage))).await).await {
            Some(told) => told,
            None => Ok(lent(|storage| {
                self.driver.received_nothing(storage);
                self.told(storage)
            })?),
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        storage: &mut Storage,
    ) -> Poll<Result<Option<Event<'static>>, Error>> {
        let mut read = ReadBuf::new(self.driver.space(storage));
        let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, &mut read) else {
            self.driver.leave(storage);
            return Poll::Pending;
        };
        let len = if result.is_ok() { read.filled().len() } else { 0 };
        self.driver.received(storage, len, self.started.elapsed());
        Poll::Ready(self.told(storage).map_err(|error| match self.broken.take().or(result.err()) {
            Some(why) if len == 0 => why.into(),
            _ => error.into(),
        }))
    }

    /// What the peer has said.
    fn told(&mut self, storage: &mut Storage) -> Result<Option<Event<'static>>, ProtocolError> {
        let told = self.driver.event(storage, self.started.elapsed());
        let told = told.map(|event| event.map(Event::into_owned));
        self.driver.leave(storage);
        told
    }

    /// Nothing can be written any more. What the server has said may still be read, a refusal of what it did not like to
    /// read to its end, say.
    fn break_off(&mut self, error: io::Error) {
        self.broken.get_or_insert(error);
        let rest = self.driver.peek().queued();
        self.connection().outbound().advance(rest);
    }

    /// What the server has said, if nobody waits any longer: a refusal as far as it has come.
    pub(crate) fn give_up(&mut self) -> Option<Event<'static>> {
        self.connection().receive_eof().ok()?
    }

    /// Writes what waits.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.driver.peek().queued() > 0 {
            let mut outbound = self.driver.connection().outbound();
            match self.stream.write(outbound.chunk()).await? {
                0 => return Err(ErrorKind::WriteZero.into()),
                written => outbound.advance(written),
            }
        }
        self.stream.flush().await
    }

    /// Writes an answer, in the time that the handshake has.
    pub(crate) async fn answer(&mut self) -> Result<(), Error> {
        let now = self.started.elapsed();
        self.connection().handle_timeout(now)?;
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
        match self.driver.peek().poll_timeout().and_then(|deadline| self.started.checked_add(deadline)) {
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
    pub(crate) fn open(self, subprotocol: Option<&str>) -> WebSocket<S> {
        let Self { driver, stream, started, .. } = self;
        WebSocket::from_driver(stream, driver, started, subprotocol)
    }
}
