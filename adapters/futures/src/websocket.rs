//! What an application holds.

mod turns;

use crate::clock::{Clock, Timer};
use crate::waiting::{RECEIVER, SENDER, Waiting};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use sockless::driver::{Driver, Error, GivenBack, InUse, Inbox, lent};
use sockless::{Close, Code, Connection, Event, Message, ProtocolError, SendError, State};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

/// A WebSocket connection over a stream of bytes `S`, from [`connect_over`](crate::connect_over),
/// [`accept`](crate::accept) or [`open`](Self::open).
///
/// **Whoever waits drives the connection**: [`recv`](Self::recv) also writes, answers pings and closes, and keeps the deadlines
/// of [`Keepalive`](sockless::Keepalive), if there is a [timer](crate::Settings::timer). While sending waits for the peer, what
/// comes is kept, up to [`Outbound::soft`](sockless::Outbound::soft) bytes and one event; then it is time to receive.
///
/// **Every future of it may be dropped** at any time: nothing is lost or told twice.
///
/// **For two tasks** it is parted by `StreamExt::split` of `futures-util`, as every `Stream` and `Sink` is. Each half wakes the
/// other.
pub struct WebSocket<S> {
    stream: S,
    driver: Driver,
    pub(crate) subprotocol: Option<Box<str>>,
    clock: Clock,
    waiting: Arc<Waiting>,
    /// For whom there may be news, found in the other's poll.
    news: [bool; 2],
    inbox: Inbox,
    work: usize,
    /// The stream was given bytes that it may still hold.
    unflushed: bool,
    /// Its way out is being closed.
    shuts: bool,
    /// The connection and its stream have ended.
    over: bool,
    /// The application has begun to close.
    closes: bool,
    peer_close: Option<Close<'static>>,
    /// Why the stream gives or takes nothing any more.
    broken: Option<io::Error>,
    failure: Option<Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn new(stream: S, driver: Driver, timer: Option<Timer>) -> Self {
        Self {
            stream,
            driver,
            subprotocol: None,
            clock: Clock::new(timer),
            waiting: Arc::default(),
            news: [false; 2],
            inbox: Inbox::default(),
            work: 0,
            unflushed: false,
            shuts: false,
            over: false,
            closes: false,
            peer_close: None,
            broken: None,
            failure: None,
        }
    }

    /// The next message; `None` when the connection has ended by a closing handshake.
    ///
    /// # Errors
    /// [`Error::Protocol`] or [`Error::Io`], once, when the connection has failed; `None` follows.
    pub async fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same as messages, pings, pongs and the close frame, as soon as each comes.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_event(&mut self) -> Result<Option<Event<'static>>, Error> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Sends a message, which is taken by the call; the future waits until it and all before it is written.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be sent, which harms nothing; [`Error::Closed`] if the peer has closed; [`Error::Io`] or
    /// [`Error::Protocol`] if the connection has failed.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<(), Error>> {
        let taken = self.push(|connection| connection.send(message));
        self.written(taken, true)
    }

    /// The same, but it waits only while very much is not yet written: the next call that sends, flushes or receives writes it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<(), Error>> {
        let taken = self.push(|connection| connection.send(message));
        self.written(taken, false)
    }

    /// Sends a ping of at most 125 bytes, ahead of messages that wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&mut self, payload: &[u8]) -> impl Future<Output = Result<(), Error>> {
        let taken = self.push(|connection| connection.ping(payload));
        self.written(taken, true)
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.written(Ok(()), true).await
    }

    /// Closes the connection with a code, such as 1000, and a reason of at most 123 bytes. Waits for the peer's close, which it
    /// gives, and for the end; messages that come meanwhile are dropped.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be said, and then nothing happens; else as [`recv`](Self::recv).
    pub async fn close(&mut self, code: impl Into<Code>, reason: &str) -> Result<Close<'static>, Error> {
        self.start_close(code, reason)?;
        while self.recv_event().await?.is_some() {}
        self.peer_close.clone().ok_or(SendError::Closing.into())
    }

    /// Starts the closing handshake, unless it has begun: nothing more may be sent, and what the peer still says may be received.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be said.
    pub fn start_close(&mut self, code: impl Into<Code>, reason: &str) -> Result<(), Error> {
        match self.driver.connection().close(code, reason) {
            Err(SendError::Closing) => {}
            closed => {
                closed?;
                self.closes = true;
            }
        }
        Ok(())
    }

    /// The stream, and what was read of it behind the last event: [`open`](Self::open) goes on with both, and so does whatever
    /// follows a closing handshake. Nothing is said to the peer.
    ///
    /// # Errors
    /// The connection itself: [`Unwritten`](InUse::Unwritten) until it is [flushed](Self::flush),
    /// [`Unreceived`](InUse::Unreceived) while there is something that came meanwhile, and
    /// [`WithinMessage`](InUse::WithinMessage).
    #[allow(clippy::result_large_err)] // The error is the connection, given back.
    pub fn into_inner(self) -> Result<(S, Vec<u8>), GivenBack<Self>> {
        let why = match self.driver.check_idle() {
            Ok(()) if self.unflushed => InUse::Unwritten,
            Ok(()) if self.inbox.bytes() > 0 => InUse::Unreceived,
            Ok(()) => return Ok((self.stream, lent(|storage| self.driver.into_rest(storage)))),
            Err(why) => why,
        };
        Err(GivenBack { inner: self, why })
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The state, as RFC 6455 names it.
    pub fn state(&self) -> State {
        if self.over { State::Closed } else { self.driver.peek().state() }
    }

    pub(crate) fn push(&mut self, send: impl FnOnce(&mut Connection) -> Result<(), SendError>) -> Result<(), Error> {
        send(self.driver.connection()).map_err(|error| match error {
            SendError::Closing => self.end(),
            error => error.into(),
        })
    }

    /// Waits for what was taken to be written.
    async fn written(&mut self, taken: Result<(), Error>, all: bool) -> Result<(), Error> {
        taken?;
        poll_fn(|cx| self.poll_written(cx, all)).await
    }

    /// Waits until all is written, or so much that little waits.
    fn poll_written(&mut self, cx: &mut Context<'_>, all: bool) -> Poll<Result<(), Error>> {
        if !all && !self.driver.peek().is_high() {
            return Poll::Ready(Ok(()));
        }
        self.poll_until(cx, SENDER, |this| {
            let connection = this.driver.peek();
            let written = if all { connection.queued() == 0 && !this.unflushed } else { !connection.is_high() };
            let failed = this.failure.is_some() || this.broken.is_some() || this.over && !written;
            if failed { Some(Err(this.end())) } else { written.then_some(Ok(())) }
        })
    }

    /// The first event of an opening handshake, or why there is none, though the peer may not have hung up.
    pub(crate) async fn opening(&mut self) -> Result<Event<'static>, Error> {
        let goal = |this: &mut Self| {
            let failure = this.failure.take().or(this.over.then(|| ProtocolError::UnexpectedEof.into()));
            this.inbox.pop().map(Ok).or(failure.map(Err))
        };
        poll_fn(|cx| self.poll_until(cx, RECEIVER, goal)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event<'static>>, Error>> {
        self.poll_until(cx, RECEIVER, |this| {
            // Who sends may have stopped reading, and goes on.
            this.news[SENDER] |= this.is_full(SENDER);
            let end = |this: &mut Self| this.over.then(|| this.failure.take().map_or(Ok(None), Err));
            this.inbox.pop().map(|event| Ok(Some(event))).or_else(|| end(this))
        })
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message<'static>>, Error>> {
        loop {
            match ready!(self.poll_event(cx))?.map(Event::into_message) {
                Some(None) => {}
                message => return Poll::Ready(Ok(message.flatten())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message<'static>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message<'static>> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_written(cx, false)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message<'static>) -> Result<(), Error> {
        self.push(|connection| connection.send(message))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_written(cx, true)
    }

    /// Closes with 1000, and waits for the end; no longer, though, than there is room for what still comes, which whoever has the
    /// `Stream` gets.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.start_close(Code::NORMAL, "")?;
        self.poll_until(cx, SENDER, |this| {
            let full = this.is_full(SENDER) && this.driver.peek().queued() == 0;
            let end = this.failure.as_ref().map_or(Ok(()), |error| Err(error.copied()));
            (this.over || full).then_some(end)
        })
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocket").field(&self.driver).finish()
    }
}
