//! The writing side: messages to the transport, the alarm, and the transport's end.

use crate::alarm::Alarm;
use crate::message::Message;
use sockless::driver::{self, Driver, Error, Next, Storage, lent};
use sockless::seen::Life;
use sockless::{Changes, Code, Kind, SendError, Sender, State};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// What writes: the driver of a whole connection, or its writing half.
pub(crate) trait Writes {
    fn peek(&self) -> &Sender;
    fn sender(&mut self) -> &mut Sender;
    fn abort(&mut self, code: Code);
    fn lend(&mut self, storage: &mut Storage);
    fn write(&mut self, storage: &mut Storage, io: impl io::Write) -> io::Result<bool>;
    fn write_failed(&mut self);
    fn set_held_back(&mut self, held_back: bool);
    fn is_settled(&self, storage: &Storage) -> bool;
    fn next(&mut self, storage: &mut Storage, now: Duration) -> Next;
    /// Changes settings; whether the other half is to do so too.
    fn change(&mut self, changes: &mut Changes) -> bool;
}

impl Writes for Driver {
    #[inline]
    fn peek(&self) -> &Sender {
        Driver::peek(self).sender()
    }

    #[inline]
    fn sender(&mut self) -> &mut Sender {
        Driver::sender(self)
    }

    fn abort(&mut self, code: Code) {
        self.connection().abort(code);
    }

    #[inline]
    fn lend(&mut self, storage: &mut Storage) {
        Driver::lend(self, storage);
    }

    #[inline]
    fn write(&mut self, storage: &mut Storage, io: impl io::Write) -> io::Result<bool> {
        Driver::write(self, storage, io)
    }

    fn write_failed(&mut self) {
        Driver::write_failed(self);
    }

    fn set_held_back(&mut self, held_back: bool) {
        Driver::set_held_back(self, held_back);
    }

    #[inline]
    fn is_settled(&self, storage: &Storage) -> bool {
        Driver::is_settled(self, storage)
    }

    fn next(&mut self, storage: &mut Storage, now: Duration) -> Next {
        Driver::next(self, storage, now)
    }

    fn change(&mut self, changes: &mut Changes) -> bool {
        Driver::change(self, changes);
        false
    }
}

impl Writes for driver::Writing {
    fn peek(&self) -> &Sender {
        driver::Writing::peek(self)
    }

    fn sender(&mut self) -> &mut Sender {
        driver::Writing::sender(self)
    }

    fn abort(&mut self, code: Code) {
        self.sender().abort(code);
    }

    fn lend(&mut self, storage: &mut Storage) {
        driver::Writing::lend(self, storage);
    }

    fn write(&mut self, _: &mut Storage, io: impl io::Write) -> io::Result<bool> {
        driver::Writing::write(self, io)
    }

    fn write_failed(&mut self) {
        driver::Writing::write_failed(self);
    }

    fn set_held_back(&mut self, held_back: bool) {
        driver::Writing::set_held_back(self, held_back);
    }

    fn is_settled(&self, _: &Storage) -> bool {
        driver::Writing::is_settled(self)
    }

    fn next(&mut self, _: &mut Storage, now: Duration) -> Next {
        driver::Writing::next(self, now)
    }

    fn change(&mut self, changes: &mut Changes) -> bool {
        driver::Writing::change(self, changes);
        true
    }
}

/// The writing side, and what it writes to.
pub(crate) struct Side<D, W> {
    pub(crate) io: W,
    pub(crate) writing: Writing<D>,
}

impl<D: Writes, W: AsyncWrite + Unpin> Side<D, W> {
    #[inline]
    pub(crate) fn poll_flush(&mut self, storage: &mut Storage) -> Poll<Result<(), Error>> {
        self.writing.poll_flush(&mut self.io, storage)
    }

    #[inline]
    pub(crate) fn turn(&mut self, storage: &mut Storage) -> Option<Next> {
        self.writing.turn(&mut self.io, storage)
    }
}

pub(crate) struct Writing<D> {
    pub(crate) driver: D,
    pub(crate) out: Out,
}

/// What is known of the writing side, but for the driver.
pub(crate) struct Out {
    /// The moment that the driver's times count from.
    started: Instant,
    /// When the time was looked at last.
    now: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the sleep ends.
    armed: Option<Duration>,
    /// The time is to be judged, which waits until what there was to be read has been.
    due: bool,
    /// This end began to close, before the peer did.
    closes: bool,
    /// Why nothing can be written any more.
    broken: Option<ErrorKind>,
    /// Bytes of messages that were given up.
    lost: usize,
    /// The transport may hold back what was written.
    pub(crate) unflushed: bool,
    /// The transport's write side is being shut down.
    shutting: bool,
    /// Tells of the connection.
    pub(crate) life: Life,
    alarm: Arc<Alarm>,
    /// The alarm's.
    pub(crate) waker: Waker,
}

impl<D> Writing<D> {
    pub(crate) fn new(driver: D, started: Instant) -> Self {
        let alarm = Arc::new(Alarm::default());
        let waker = alarm.clone().into();
        let out = Out {
            started,
            now: Duration::ZERO,
            sleep: None,
            armed: None,
            due: false,
            closes: false,
            broken: None,
            lost: 0,
            unflushed: false,
            shutting: false,
            life: Life::default(),
            alarm,
            waker,
        };
        Self { driver, out }
    }

    pub(crate) fn alarm(&self) -> &Arc<Alarm> {
        &self.out.alarm
    }

    /// The alarm's.
    pub(crate) fn waker(&self) -> &Waker {
        &self.out.waker
    }

    /// Whether this end began to close, before the peer did.
    pub(crate) fn closes(&self) -> bool {
        self.out.closes
    }

    /// Whether the time is to be judged. Whoever finds it so reads what is there, and then has it judged: a pong that waits to
    /// be read is not missing.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.out.due
    }
}

impl Out {
    /// Whether anything can be written.
    ///
    /// # Errors
    /// [`Error::Io`] if not.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.broken.map_or(Ok(()), |kind| Err(Error::Io(kind.into())))
    }

    /// The moment that the driver's times count from.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// When the time was looked at last, on the driver's clock.
    #[inline]
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    #[inline]
    pub(crate) fn look_at_the_time(&mut self) -> Duration {
        self.now = self.started.elapsed();
        self.now
    }

    fn poll_sleep(&mut self) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        // A deadline is not put off by a task that has used up its budget.
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(&self.waker))
    }

    /// Has the alarm ring at this time, if it has not come.
    fn arm(&mut self, deadline: Option<Duration>) {
        self.due = deadline.is_some_and(|deadline| deadline <= self.now);
        let deadline = deadline.filter(|_| !self.due);
        if deadline == self.armed {
            return;
        }
        self.armed = deadline;
        if let Some(at) = deadline.and_then(|deadline| self.started.checked_add(deadline)) {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(at),
                None => self.sleep = Some(Box::pin(sleep_until(at))),
            }
            if self.poll_sleep().is_ready() {
                self.alarm.mark();
            }
        }
    }
}

impl<D: Writes> Writing<D> {
    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Io`] where nothing can be written any more, else [`Error::Send`].
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Error> {
        lent(|storage| self.driver.lend(storage));
        self.with(|sender| match message {
            Message::Text(text) if text.len() < Sender::LEAST_SHARED => sender.send_text(&text),
            Message::Text(text) => sender.send_shared(Kind::Text, text.into_bytes()),
            Message::Binary(bytes) if bytes.len() < Sender::LEAST_SHARED => sender.send_binary(&bytes),
            Message::Binary(bytes) => sender.send_shared(Kind::Binary, bytes),
            Message::Unchecked(bytes) => sender.send(sockless::Message::Unchecked(bytes[..].into())),
        })
    }

    /// Does something with the sender, if it can still write.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub(crate) fn with<T>(&mut self, command: impl FnOnce(&mut Sender) -> Result<T, SendError>) -> Result<T, Error> {
        self.out.check()?;
        Ok(command(self.driver.sender())?)
    }

    /// Starts the closing handshake, unless it has begun.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be said.
    pub(crate) fn close(&mut self, code: Code, reason: &str) -> Result<(), Error> {
        self.close_by(|sender| sender.close(code, reason))
    }

    /// The same in the middle of a message, of which no more will come.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub(crate) fn close_amid(&mut self, code: Code, reason: &str) -> Result<(), Error> {
        self.close_by(|sender| sender.close_amid(code, reason))
    }

    fn close_by(&mut self, close: impl FnOnce(&mut Sender) -> Result<(), SendError>) -> Result<(), Error> {
        let is_first = self.driver.peek().state() == State::Open;
        match close(self.driver.sender()) {
            Ok(()) => {
                self.out.closes |= is_first;
                Ok(())
            }
            Err(SendError::Closing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the connection without waiting for anything.
    pub(crate) fn abort(&mut self, code: Code) {
        let before = self.driver.peek().queued_messages();
        self.driver.abort(code);
        self.out.closes = true;
        self.out.lost += before.saturating_sub(self.driver.peek().queued_messages());
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.out.lost + self.driver.peek().queued_messages()
    }

    /// Whether so much waits that whoever sends should wait too.
    #[inline]
    pub(crate) fn is_high(&self) -> bool {
        self.driver.peek().is_high()
    }

    /// Writes all that waits.
    #[inline]
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        storage: &mut Storage,
    ) -> Poll<Result<(), Error>> {
        match self.driver.peek().queued() > 0 || self.out.unflushed {
            true => self.poll_flush_some(io, storage),
            false => Poll::Ready(self.out.check()),
        }
    }

    #[inline(never)]
    fn poll_flush_some<W: AsyncWrite + Unpin>(&mut self, io: &mut W, storage: &mut Storage) -> Poll<Result<(), Error>> {
        if self.out.broken.is_none()
            && let Err(error) = ready!(self.poll_write(io, storage))
        {
            self.out.broken = Some(error.kind());
        }
        if self.out.broken.is_some() {
            // Nobody reads what is said here. What was said by the peer may still come, and then the end of it.
            self.out.lost += self.driver.peek().queued_messages();
            self.driver.write_failed();
            self.out.unflushed = false;
        }
        Poll::Ready(self.out.check())
    }

    fn poll_write<W: AsyncWrite + Unpin>(&mut self, io: &mut W, storage: &mut Storage) -> Poll<io::Result<()>> {
        let mut at_once = AtOnce::new(io, &self.out.waker);
        while self.driver.peek().queued() > 0 {
            _ = self.driver.write(storage, &mut at_once);
            self.out.unflushed = true;
            if let Some(poll) = at_once.poll.take() {
                ready!(poll)?;
            }
        }
        ready!(Pin::new(io).poll_flush(&mut Context::from_waker(&self.out.waker)))?;
        self.out.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Writes, ends the transport as far as it is wanted, and has the alarm ring in time; what is to be done next, unless that is
    /// but to read on.
    #[inline]
    pub(crate) fn turn<W: AsyncWrite + Unpin>(&mut self, io: &mut W, storage: &mut Storage) -> Option<Next> {
        let is_settled = !self.out.due
            && !self.out.alarm.rings()
            && self.poll_flush(io, storage).is_ready()
            && self.driver.is_settled(storage);
        if is_settled { None } else { Some(self.whole_turn(io, storage)) }
    }

    #[inline(never)]
    fn whole_turn<W: AsyncWrite + Unpin>(&mut self, io: &mut W, storage: &mut Storage) -> Next {
        // What rings from here on is for the next turn, which whoever was polled asks for. No turn waits for silence: a
        // transport may ring the waker that it has just been given, as tokio's do where a task's budget is used up.
        if self.out.alarm.take() {
            self.heed();
        }
        _ = self.poll_flush(io, storage);
        self.shut_down(io);
        let now = self.out.look_at_the_time();
        let mut next = self.driver.next(storage, now);
        if next.shutdown {
            self.out.shutting = true;
            self.shut_down(io);
            next = self.driver.next(storage, now);
        }
        self.out.arm(next.deadline);
        next
    }

    /// Does what others have asked for.
    fn heed(&mut self) {
        let alarm = self.out.alarm.clone();
        let driver = &mut self.driver;
        alarm.apply_changes(|changes| driver.change(changes));
        if let Some((code, reason)) = alarm.asked() {
            _ = self.close(code, reason);
        }
        if alarm.is_cut_off() {
            self.abort(Code::AWAY);
        }
    }

    /// Shuts the transport down as far as it goes now, if that has begun.
    fn shut_down<W: AsyncWrite + Unpin>(&mut self, io: &mut W) {
        // If it fails, the peer is gone already, which reading will tell.
        if self.out.shutting && Pin::new(io).poll_shutdown(&mut Context::from_waker(&self.out.waker)).is_ready() {
            self.out.shutting = false;
        }
        self.driver.set_held_back(self.out.shutting || self.out.unflushed);
    }
}

/// A stream to which is written what it takes at once; for the rest, it rings the alarm.
pub(crate) struct AtOnce<'a, W: ?Sized> {
    io: &'a mut W,
    waker: &'a Waker,
    /// Why it takes no more, now or for good.
    poll: Option<Poll<io::Result<()>>>,
}

impl<'a, W: ?Sized> AtOnce<'a, W> {
    pub(crate) fn new(io: &'a mut W, waker: &'a Waker) -> Self {
        Self { io, waker, poll: None }
    }

    fn note(&mut self, poll: Poll<io::Result<usize>>) -> io::Result<usize> {
        self.poll = Some(match poll {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => return Ok(written),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        });
        // It is this end that gives up what waits.
        Err(ErrorKind::WouldBlock.into())
    }
}

impl<W: AsyncWrite + Unpin + ?Sized> io::Write for AtOnce<'_, W> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let poll = Pin::new(&mut *self.io).poll_write(&mut Context::from_waker(self.waker), bytes);
        self.note(poll)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.io.is_write_vectored() {
            return self.write(slices.first().map_or(&[], |slice| slice));
        }
        let poll = Pin::new(&mut *self.io).poll_write_vectored(&mut Context::from_waker(self.waker), slices);
        self.note(poll)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
