//! The turns of a connection over any stream of bytes: read, then judge the time, then write.

use crate::clock::{Clock, Timer};
use crate::waiting::{RECEIVER, Waiting};
use futures_io::{AsyncRead, AsyncWrite};
use sockless::bytes::Buf;
use sockless::driver::{Driver, Error, Inbox, Storage, lent};
use sockless::{Close, Code, Connection, Event, Message, ProtocolError, SendError, State};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// When the turns since the last wait have cost more (see [`Storage::work`]), other tasks have theirs.
const MOST_WORK: usize = 4 << 20;

/// A connection and its stream; whoever waits for either half drives both.
pub(crate) struct Turns<S> {
    pub(crate) stream: S,
    pub(crate) driver: Driver,
    clock: Clock,
    pub(crate) waiting: Arc<Waiting>,
    inbox: Inbox,
    pub(crate) close: Option<Close<'static>>,
    /// Why nothing can be written any more.
    broken: Option<io::Error>,
    failure: Option<Error>,
    shuts: bool,
    over: bool,
    /// The stream was given bytes that it may still hold.
    unflushed: bool,
    /// The application has begun to close.
    closes: bool,
    /// Something was read, or a deadline has come nearer, or the end, which all have to know.
    has_news: bool,
    /// Something was written, which senders may wait for.
    has_written: bool,
    work: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Turns<S> {
    pub(crate) fn new(connection: Connection, stream: S, timer: Option<Timer>) -> Self {
        Self {
            stream,
            driver: Driver::new(connection),
            clock: Clock::new(timer),
            waiting: Arc::default(),
            inbox: Inbox::default(),
            close: None,
            broken: None,
            failure: None,
            shuts: false,
            over: false,
            unflushed: false,
            closes: false,
            has_news: false,
            has_written: false,
            work: 0,
        }
    }

    /// Has turns until `goal` is reached or the connection is over, while at most so many bytes of events are kept.
    fn poll_until<T>(
        &mut self,
        cx: &mut Context<'_>,
        place: usize,
        most: usize,
        mut goal: impl FnMut(&mut Self) -> Option<T>,
    ) -> Poll<Option<T>> {
        self.waiting.wait(place, cx.waker());
        let all = Waker::from(self.waiting.clone());
        let poll = lent(|storage| {
            let mut waits = false;
            let poll = loop {
                let reached = goal(self);
                if reached.is_some() || self.over {
                    break Poll::Ready(reached);
                }
                if waits {
                    break Poll::Pending;
                }
                waits = self.poll_turn(&mut Context::from_waker(&all), storage, most).is_pending();
            };
            self.driver.leave(storage);
            poll
        });
        if poll.is_pending() {
            self.work = 0;
        }
        let (news, written) = (mem::take(&mut self.has_news), mem::take(&mut self.has_written));
        if news || written {
            self.waiting.wake_others(place, news);
        }
        poll
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, storage: &mut Storage, most: usize) -> Poll<()> {
        if self.work > MOST_WORK {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let pinged = self.tell(storage, most);
        let full = self.inbox.bytes() > most;
        // A pong goes out before the next takes its place (RFC 6455 §5.5.3), other answers with those to what was read with them.
        if !full || most > 0 || pinged {
            self.write(cx, storage);
        }
        if full && most == 0 {
            self.work += storage.work();
            return Poll::Ready(());
        }
        if !full && self.driver.has_more(storage) {
            return Poll::Ready(());
        }
        self.work += storage.work();
        let next = self.driver.next(storage, self.clock.now());
        self.shuts |= next.shutdown;
        // If it fails the peer is gone, which reading tells.
        self.shuts = self.shuts && Pin::new(&mut self.stream).poll_close(cx).is_pending();
        if next.close {
            (self.over, self.has_news) = (true, true);
            return Poll::Ready(());
        }
        if !full && (next.again || next.read && self.poll_read(cx, storage).is_ready()) {
            return Poll::Ready(());
        }
        ready!(self.clock.poll_until(cx, next.deadline));
        if full {
            let judged = self.driver.judge(self.clock.now());
            judged.unwrap_or_else(|error| self.fail(error));
        } else {
            self.driver.received_nothing(storage);
        }
        Poll::Ready(())
    }

    /// Keeps what was read; whether a ping was in it.
    fn tell(&mut self, storage: &mut Storage, most: usize) -> bool {
        let (now, mut pinged) = (self.clock.now(), false);
        while self.inbox.bytes() <= most {
            match self.driver.event(storage, now) {
                Ok(Some(event)) => {
                    if let Event::Close(close) = &event {
                        self.close = Some(close.clone().into_owned());
                    }
                    pinged |= matches!(event, Event::Ping(_));
                    self.inbox.push(event.into_owned());
                }
                Ok(None) => break,
                Err(error) => self.fail(error),
            }
        }
        pinged
    }

    fn fail(&mut self, error: ProtocolError) {
        let error = match (error, &self.broken) {
            (ProtocolError::UnexpectedEof, Some(cause)) => io::Error::from(cause.kind()).into(),
            (error, _) => error.into(),
        };
        self.failure.get_or_insert(error);
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<()> {
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, self.driver.space(storage)));
        let len = result.unwrap_or_else(|error| {
            self.broken.get_or_insert(error);
            0
        });
        self.driver.received(storage, len, self.clock.now());
        // Nobody is woken for this once more, whoever waits for it.
        self.has_news = true;
        Poll::Ready(())
    }

    /// Writes what the stream takes.
    fn write(&mut self, cx: &mut Context<'_>, storage: &mut Storage) {
        while self.driver.peek().queued() > 0
            && let Poll::Ready(result) = self.poll_write(cx, storage)
        {
            (self.unflushed, self.has_written) = (true, true);
            self.note(result);
        }
        self.driver.wrote(storage);
        // To some streams a flush ends the wait that a write has begun.
        if self.unflushed
            && self.driver.peek().queued() == 0
            && let Poll::Ready(result) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            (self.unflushed, self.has_written) = (false, true);
            self.note(result);
        }
        self.driver.set_held_back(self.unflushed);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<io::Result<()>> {
        let (mut outbound, mut slices) = (self.driver.outbound(storage), [IoSlice::new(&[]); 16]);
        let count = outbound.chunks_vectored(&mut slices);
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]))?;
        outbound.advance(written);
        Poll::Ready(if written == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(()) })
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.broken.get_or_insert(error);
            self.driver.write_failed();
        }
    }

    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event<'static>>, Error>> {
        match ready!(self.poll_until(cx, RECEIVER, 0, |this| this.inbox.pop())) {
            None => Poll::Ready(self.failure.take().map_or(Ok(None), Err)),
            event => Poll::Ready(Ok(event)),
        }
    }

    /// The first event, or why there is none, though the peer has not hung up.
    pub(crate) fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<'static>, Error>> {
        let told =
            self.poll_until(cx, RECEIVER, 0, |this| this.inbox.pop().map(Ok).or_else(|| this.failure.take().map(Err)));
        Poll::Ready(ready!(told).unwrap_or(Err(ProtocolError::UnexpectedEof.into())))
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message<'static>>, Error>> {
        loop {
            match ready!(self.poll_event(cx))?.map(Event::into_message) {
                Some(None) => {}
                message => return Poll::Ready(Ok(message.flatten())),
            }
        }
    }

    /// Waits until all that was sent is written, or so much that little waits.
    pub(crate) fn poll_drained(&mut self, cx: &mut Context<'_>, place: usize, all: bool) -> Poll<Result<(), Error>> {
        let most = self.driver.peek().sender().outbound_limits().soft;
        let drained = self.poll_until(cx, place, most, |this| {
            let connection = this.driver.peek();
            let written = if all { connection.queued() == 0 && !this.unflushed } else { !connection.is_high() };
            this.end().map(Err).or(written.then_some(Ok(())))
        });
        Poll::Ready(ready!(drained).unwrap_or(Ok(())))
    }

    /// Starts to close, and waits for the end; no longer, though, than there is room for what still comes.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>, place: usize) -> Poll<Result<(), Error>> {
        if !self.closes {
            self.start_close(Code::NORMAL, "")?;
        }
        let most = self.driver.peek().sender().outbound_limits().soft;
        _ = ready!(self.poll_until(cx, place, most, |this| {
            (this.inbox.bytes() > most && this.driver.peek().queued() == 0).then_some(())
        }));
        Poll::Ready(self.end().map_or(Ok(()), Err))
    }

    /// Why nothing more can be sent, unless that is the application's wish.
    fn end(&self) -> Option<Error> {
        if let Some(error) = &self.failure {
            return Some(error.copied());
        }
        let broken = self.broken.as_ref().map(|error| io::Error::from(error.kind()).into());
        let closed = self.close.clone().map(|close| Error::Closed(Box::new(close)));
        let ended = broken.or(closed).or(self.over.then_some(SendError::Closing.into()));
        ended.filter(|_| !self.closes)
    }

    pub(crate) fn push(&mut self, send: impl FnOnce(&mut Connection) -> Result<(), SendError>) -> Result<(), Error> {
        send(self.driver.connection()).map_err(|error| match error {
            SendError::Closing => self.end().unwrap_or(error.into()),
            error => error.into(),
        })
    }

    /// Starts the closing handshake.
    pub(crate) fn start_close(&mut self, code: Code, reason: &str) -> Result<(), Error> {
        self.push(|connection| connection.close(code, reason))?;
        (self.closes, self.has_news) = (true, true);
        Ok(())
    }

    /// Starts to close, and waits until the close frame is written.
    pub(crate) fn poll_close_sent(&mut self, cx: &mut Context<'_>, place: usize) -> Poll<Result<(), Error>> {
        if !self.closes {
            self.start_close(Code::NORMAL, "")?;
        }
        self.poll_drained(cx, place, true)
    }

    pub(crate) fn state(&self) -> State {
        if self.over { State::Closed } else { self.driver.peek().state() }
    }
}

impl<S> fmt::Debug for Turns<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turns").field(&self.driver).finish()
    }
}
