//! The writing side: messages to the transport, deadlines, and the transport's end.

use crate::alarm::Alarm;
use crate::buffer::{are_few, give_back, lend_outbox};
use crate::error::Error;
use crate::message::Message;
use bytes::Buf;
use sockless::driver::Answers;
use sockless::{Code, Kind, ProtocolError, SendError, Sender, State, Transport, bytes};
use std::borrow::Cow;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes; a longer binary message goes out from where it lies. Below, a copy costs less than a reference.
const LEAST_SHARED: usize = 4 << 10;

/// Bytes; a longer message that is borrowed is written from where it lies. Below, a copy costs less than a system call for
/// each message.
const LEAST_THROUGH: usize = 32 << 10;

/// Frames and payloads written by one call.
const SLICES: usize = 32;

/// For a transport to shut down, TLS its goodbye included, when all else is done: as long as for a closing handshake.
const LINGER: Duration = Duration::from_secs(10);

/// What the reading side is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Turn {
    Read,
    /// Wait until more has gone out.
    Wait,
    /// The transport is to be dropped.
    Over,
}

/// The writing side, and what it writes to.
pub(crate) struct Side<W> {
    pub(crate) io: W,
    pub(crate) writing: Writing,
}

pub(crate) struct Writing {
    sender: Sender,
    /// What a server's handler has answered from within reading.
    answers: Answers,
    /// The moment that the core's times count from.
    started: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the sleep ends.
    armed: Option<Duration>,
    /// The core is to be told the time, which waits until what there was to be read has been.
    due: bool,
    /// The last turn left nothing to do but reading, and there was nothing since but messages.
    settled: bool,
    /// What waits is in the thread's outbox.
    lent: bool,
    /// This end began to close, before the peer did.
    closes: bool,
    /// Why nothing can be written any more.
    broken: Option<ErrorKind>,
    /// Bytes of messages that were given up.
    lost: usize,
    /// The transport may hold back what was written.
    unflushed: bool,
    /// The transport's write side was shut down.
    shut: bool,
    /// When the end of the transport, the last thing that is waited for, is given up.
    linger: Option<Box<Duration>>,
    alarm: Arc<Alarm>,
    /// The alarm's.
    waker: Waker,
}

impl Writing {
    pub(crate) fn new(sender: Sender, started: Instant) -> Self {
        let alarm = Arc::new(Alarm::default());
        let waker = alarm.clone().into();
        Self {
            sender,
            answers: Answers::default(),
            started,
            sleep: None,
            armed: None,
            due: false,
            settled: false,
            lent: false,
            closes: false,
            broken: None,
            lost: 0,
            unflushed: false,
            shut: false,
            linger: None,
            alarm,
            waker,
        }
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn sender_mut(&mut self) -> &mut Sender {
        self.settled = false;
        &mut self.sender
    }

    pub(crate) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`Error::Io`] where nothing can be written any more, else [`Error::Send`].
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Error> {
        self.prepare()?;
        match message {
            Message::Text(text) if text.len() < LEAST_SHARED => self.sender.send_text(&text)?,
            Message::Text(text) => self.sender.send_shared(Kind::Text, text.into_bytes())?,
            Message::Binary(bytes) if bytes.len() < LEAST_SHARED => self.sender.send_binary(&bytes)?,
            Message::Binary(bytes) => self.sender.send_shared(Kind::Binary, bytes)?,
            Message::Unchecked(bytes) => self.sender.send(sockless::Message::Unchecked(bytes[..].into()))?,
        }
        Ok(())
    }

    /// Takes a message that is lent; a long one goes out from where it lies, if it can at once.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    #[inline]
    pub(crate) fn push_borrowed<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        message: sockless::Message<'_>,
        io: &mut W,
    ) -> Result<(), Error> {
        match message {
            sockless::Message::Text(Cow::Borrowed(text)) if text.len() < LEAST_THROUGH => {
                self.prepare()?;
                Ok(self.sender.send_text(text)?)
            }
            sockless::Message::Binary(Cow::Borrowed(bytes)) if bytes.len() < LEAST_THROUGH => {
                self.prepare()?;
                Ok(self.sender.send_binary(bytes)?)
            }
            message => self.push_long(message, io),
        }
    }

    #[inline(never)]
    fn push_long<W: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        message: sockless::Message<'_>,
        io: &mut W,
    ) -> Result<(), Error> {
        let is_borrowed = match &message {
            sockless::Message::Text(text) => matches!(text, Cow::Borrowed(_)),
            sockless::Message::Binary(bytes) | sockless::Message::Unchecked(bytes) => matches!(bytes, Cow::Borrowed(_)),
        };
        if !is_borrowed {
            // What is its own needs no copy.
            return self.push(message.into());
        }
        self.prepare()?;
        if message.as_bytes().len() < LEAST_THROUGH || !io.is_write_vectored() {
            return Ok(self.sender.send(&message)?);
        }
        let mut through = self.sender.send_through(&message)?;
        if self.lent {
            through = through.retaining(usize::MAX);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = through.chunks_vectored(&mut slices);
        let cx = &mut Context::from_waker(&self.waker);
        // What does not go out now waits as if it had been copied.
        match Pin::new(io).poll_write_vectored(cx, &slices[..count]) {
            Poll::Ready(Ok(written)) => {
                through.advance(written);
                self.unflushed = true;
            }
            Poll::Ready(Err(error)) => self.broken = Some(error.kind()),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Looks whether anything can be written, and has what is sent next put together in the thread's outbox.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    #[inline(always)]
    fn prepare(&mut self) -> Result<(), Error> {
        self.check()?;
        if !self.lent {
            self.borrow_outbox();
        }
        Ok(())
    }

    #[inline(never)]
    fn borrow_outbox(&mut self) {
        // What already waits would have to be moved, and who retains has an outbox.
        if self.sender.queued() == 0 && self.sender.outbound_limits().retain == 0 {
            self.sender.swap_outbox(&mut lend_outbox());
            self.lent = true;
        }
    }

    /// Gives the thread's outbox back, unless so much is in it that moving it would cost more.
    fn give_back(&mut self) {
        if self.lent && are_few(self.sender.queued()) {
            let mut outbox = Vec::new();
            self.sender.swap_outbox(&mut outbox);
            give_back(outbox);
            self.lent = false;
        }
    }

    /// Does something with the sender, if it can still write.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) fn with<T>(&mut self, command: impl FnOnce(&mut Sender) -> Result<T, SendError>) -> Result<T, Error> {
        self.check()?;
        Ok(command(self.sender_mut())?)
    }

    /// Whether anything can be written.
    ///
    /// # Errors
    /// [`Error::Io`] if not.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.broken.map_or(Ok(()), |kind| Err(Error::Io(kind.into())))
    }

    /// Starts the closing handshake, unless it has begun.
    ///
    /// # Errors
    /// [`Error::Send`] for what cannot be said.
    pub(crate) fn close(&mut self, code: Code, reason: &str) -> Result<(), Error> {
        match self.sender_mut().close(code, reason) {
            Ok(()) => {
                self.closes = true;
                Ok(())
            }
            Err(SendError::Closing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the connection without waiting for anything.
    pub(crate) fn abort(&mut self, code: Code) {
        let before = self.sender.queued_messages();
        self.sender_mut().abort(code);
        self.closes = true;
        self.lost += before.saturating_sub(self.sender.queued_messages());
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.lost + self.sender.queued_messages()
    }

    /// Whether this end began to close, before the peer did.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// The alarm's.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether so much waits that whoever sends should wait too.
    #[inline]
    pub(crate) fn is_high(&self) -> bool {
        let limits = self.sender.outbound_limits();
        self.sender.queued() > limits.soft.min(limits.hard)
    }

    /// Bytes that were ever to be sent; they wrap.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        (self.sender.traffic().bytes as u32).wrapping_add(self.sender.queued() as u32)
    }

    /// A handler has answered from within reading, and nobody else has sent anything, since this was the position.
    pub(crate) fn note_answers(&mut self, since: u32) {
        let answers = self.position().wrapping_sub(since) as usize;
        // Of them, what waits is behind all else.
        let before = self.sender.queued().saturating_sub(answers);
        self.answers.note(&self.sender, before);
    }

    /// Whether a server should not read on before more of its handler's answers have gone out.
    #[inline]
    pub(crate) fn pauses(&self) -> bool {
        self.answers.pause(&self.sender)
    }

    /// Writes all that waits.
    #[inline(always)]
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(&mut self, io: &mut W) -> Poll<Result<(), Error>> {
        match self.sender.queued() > 0 || self.unflushed || self.lent {
            true => self.poll_flush_some(io),
            false => Poll::Ready(self.check()),
        }
    }

    #[inline(never)]
    fn poll_flush_some<W: AsyncWrite + Unpin>(&mut self, io: &mut W) -> Poll<Result<(), Error>> {
        let poll = self.poll_write(io);
        self.give_back();
        let result = ready!(poll);
        if let Err(error) = result {
            self.broken.get_or_insert(error.kind());
        }
        if self.broken.is_some() {
            // Nobody reads what is said here. What was said by the peer may still come, and then the end of it.
            self.lost += self.sender.queued_messages();
            let rest = self.sender.queued();
            self.sender.outbound().advance(rest);
            self.unflushed = false;
        }
        Poll::Ready(self.check())
    }

    fn poll_write<W: AsyncWrite + Unpin>(&mut self, io: &mut W) -> Poll<io::Result<()>> {
        let cx = &mut Context::from_waker(&self.waker);
        while self.broken.is_none() && self.sender.queued() > 0 {
            let mut outbound = self.sender.outbound();
            if self.lent {
                outbound = outbound.retaining(usize::MAX);
            }
            let written = if outbound.chunk().len() < outbound.remaining() && io.is_write_vectored() {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = outbound.chunks_vectored(&mut slices);
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count]))?
            } else {
                ready!(Pin::new(&mut *io).poll_write(cx, outbound.chunk()))?
            };
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            outbound.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps the deadlines, writes, and ends the transport as the core wants; what the reading side is to do, which has
    /// heard so many bytes. With `judge`, that is all that there was to be heard when the time became [due](Self::is_due).
    ///
    /// # Errors
    /// A deadline that ended the connection. Nobody is waited for: its close frame went out if it could at once, and the
    /// transport is to be dropped.
    #[inline(always)]
    pub(crate) fn turn<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        heard: u64,
        judge: bool,
    ) -> Result<Turn, ProtocolError> {
        if self.settled && !self.alarm.rings() && matches!(self.poll_flush(io), Poll::Ready(Ok(()))) {
            return Ok(Turn::Read);
        }
        self.whole_turn(io, heard, judge)
    }

    #[inline(never)]
    fn whole_turn<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        heard: u64,
        judge: bool,
    ) -> Result<Turn, ProtocolError> {
        let rang = self.alarm.take();
        if rang && self.alarm.must_go_away() {
            _ = self.close(Code::AWAY, "");
        }
        self.settled = false;
        let kept = self.keep_time(rang, heard, judge);
        _ = self.poll_flush(io);
        if let Err(error) = kept {
            _ = self.poll_shutdown(io);
            return Err(error);
        }
        let turn = self.poll_end(io);
        self.settled = turn == Turn::Read && self.sender.state() == State::Open && !self.due;
        // What rings from here on is for the next turn, which whoever was polled asks for. No turn waits for silence: a
        // transport may ring the waker that it has just been given, as tokio's do where a task's budget is used up.
        Ok(turn)
    }

    /// Whether the core is to be told the time. Whoever finds it so reads what is there, and then has it judged: a pong that
    /// waits to be read is not missing.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// Tells the core the time, if it wants to know, and has it told again at the next deadline.
    fn keep_time(&mut self, rang: bool, heard: u64, judge: bool) -> Result<(), ProtocolError> {
        self.due |= self.deadline() != self.armed || rang && self.poll_sleep().is_ready();
        if !(self.due && judge) {
            return Ok(());
        }
        self.due = false;
        let result = self.sender.handle_timeout(self.started.elapsed(), heard);
        self.armed = self.deadline();
        if let Some(at) = self.armed.and_then(|deadline| self.started.checked_add(deadline)) {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(at),
                None => self.sleep = Some(Box::pin(sleep_until(at))),
            }
            if self.poll_sleep().is_ready() {
                self.alarm.mark();
            }
        }
        result
    }

    /// When the core wants to know the time, or the transport's end is not waited for any longer.
    fn deadline(&self) -> Option<Duration> {
        self.sender.poll_timeout().or(self.linger.as_deref().copied())
    }

    fn poll_sleep(&mut self) -> Poll<()> {
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        // A deadline is not put off by a task that has used up its budget.
        Pin::new(&mut unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(&self.waker))
    }

    /// Ends the transport as far as the core wants.
    pub(crate) fn poll_end<W: AsyncWrite + Unpin>(&mut self, io: &mut W) -> Turn {
        let wants = self.sender.wants();
        let turn = if wants.read { Turn::Read } else { Turn::Wait };
        match wants.transport {
            Transport::Open => turn,
            Transport::Shutdown => {
                _ = self.poll_shutdown(io);
                turn
            }
            // A deadline has passed: nobody waits any longer.
            Transport::Close if self.sender.queued() > 0 => Turn::Over,
            Transport::Close if self.poll_shutdown(io).is_ready() => Turn::Over,
            Transport::Close => {
                let now = self.started.elapsed();
                let linger = self.linger.get_or_insert_with(|| {
                    self.alarm.mark();
                    Box::new(now + LINGER)
                });
                if **linger <= now { Turn::Over } else { Turn::Wait }
            }
        }
    }

    fn poll_shutdown<W: AsyncWrite + Unpin>(&mut self, io: &mut W) -> Poll<()> {
        if !self.shut && self.broken.is_none() {
            // If it fails, the peer is gone already, which reading will tell.
            _ = ready!(Pin::new(io).poll_shutdown(&mut Context::from_waker(&self.waker)));
            self.shut = true;
        }
        Poll::Ready(())
    }
}
