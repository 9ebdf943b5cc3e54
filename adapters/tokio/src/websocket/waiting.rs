//! Waits for what was sent to be written. Whoever waits reads meanwhile: pings are answered, the peer's close is told, and the
//! rest is kept for who receives next, within a bound.

use super::WebSocket;
use crate::drive::Drive;
use crate::gather;
use crate::reading::Mode;
use crate::round_trip::Sent;
use crate::writing::Writing;
use sockless::driver::{Driver, Error, Storage, lent};
use sockless::{Kind, ProtocolError, SendError, State};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes as a power of two; whoever sends more without receiving looks whether there is anything to be read.
const LOOK: u32 = 18;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while ready!(self.poll_event(cx, Mode::Message))?.is_some() {}
        Poll::Ready(Ok(()))
    }

    #[inline(always)]
    pub(crate) fn poll_drained(&mut self, cx: &mut Context<'_>, all: bool) -> Poll<Result<(), Error>> {
        if !all && !self.side.writing.is_high() {
            return Poll::Ready(Ok(()));
        }
        if all && self.gathered.is_some() {
            self.release()?;
        }
        self.poll_written(cx)
    }

    /// The same of a message in parts, of which what was gathered may have to wait for more.
    pub(crate) fn poll_flush_parts(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let all = self.gathered.as_ref().is_none_or(|gathered| gathered.may_be_released());
        if all { self.poll_drained(cx, true) } else { self.poll_written(cx) }
    }

    #[inline(never)]
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lent(|storage| {
            let poll = match self.side.poll_flush(storage) {
                Poll::Ready(result) if !self.must_look() => {
                    self.reading.attended = false;
                    Poll::Ready(result)
                }
                poll => self.poll_written_or_read(cx, storage, poll),
            };
            self.leave(storage);
            poll
        })
    }

    #[inline(never)]
    fn poll_written_or_read(
        &mut self,
        cx: &mut Context<'_>,
        storage: &mut Storage,
        poll: Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        self.note_look();
        if poll.is_ready() {
            self.reading.attended = false;
            // What it finds is for the next to be told.
            self.keep(storage);
            return poll;
        }
        self.side.writing.alarm().wait_to_write(cx.waker());
        self.keep(storage);
        let poll = match self.side.poll_flush(storage) {
            // What a deadline has ended cannot be written any more.
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.ended().unwrap_or(error))),
            Poll::Pending if self.reading.is_over() => {
                Poll::Ready(Err(self.ended().unwrap_or(ProtocolError::CloseTimeout.into())))
            }
            // What is whole may still be taken by a peer that has closed, but a message in parts will never be.
            Poll::Pending if self.gathered.is_some() => self.ended().map_or(Poll::Pending, |end| Poll::Ready(Err(end))),
            poll => poll,
        };
        self.reading.attended = poll.is_pending();
        poll
    }

    /// Waits for the end, which the closing handshake makes that has begun; or until the close frame is written and so much is
    /// kept that somebody has to receive.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.side.writing.alarm().wait_to_write(cx.waker());
        lent(|storage| {
            self.keep(storage);
            let poll = match self.side.poll_flush(storage) {
                _ if self.reading.is_over() => Poll::Ready(self.reading.failure().map_or(Ok(()), Err)),
                Poll::Ready(Ok(())) if !self.is_full() => Poll::Pending,
                poll => poll,
            };
            self.reading.attended = poll.is_pending();
            self.leave(storage);
            poll
        })
    }

    /// Sends a ping, and waits for its pong: how long that took. The pong is told here alone; what else comes
    /// meanwhile is kept for who receives next.
    ///
    /// A peer that never answers is given up by [`Keepalive`](sockless::Keepalive), if that is silent altogether, or else by a
    /// timeout of the caller's. A pong that nobody asked for tells nothing.
    ///
    /// # Errors
    /// As [`ping`](Self::ping), and what has ended the connection; [`Error::Unreceived`] where more than
    /// [`Outbound::soft`](sockless::Outbound::soft) bytes wait to be received, behind which the pong may lie.
    ///
    /// # Cancel safety
    /// Dropped, the future has lost nothing but the time: the ping is sent, and its pong tells nobody.
    pub async fn round_trip(&mut self) -> Result<Duration, Error> {
        let (sent, payload) = self.alarm().asked_after().ping();
        self.ping(&payload).await?;
        poll_fn(|cx| self.poll_answered(cx, sent)).await
    }

    /// Waits for the pong of a ping that is sent.
    fn poll_answered(&mut self, cx: &mut Context<'_>, sent: Sent) -> Poll<Result<Duration, Error>> {
        self.side.writing.alarm().wait_to_write(cx.waker());
        lent(|storage| {
            self.keep(storage);
            let poll = match self.side.writing.alarm().asked_after().round_trip(sent) {
                Some(time) => Poll::Ready(Ok(time)),
                None if self.reading.is_over() => Poll::Ready(Err(self.ended().unwrap_or(SendError::Closing.into()))),
                None if self.is_full() => Poll::Ready(Err(Error::Unreceived)),
                None => Poll::Pending,
            };
            self.reading.attended = poll.is_pending();
            self.leave(storage);
            poll
        })
    }

    /// Reads what there is to be read, does what it asks for, and keeps the rest; judges the time, and writes.
    fn keep(&mut self, storage: &mut Storage) {
        let waker = self.side.writing.waker().clone();
        // Whoever receives may do so in another task, and either is to be woken.
        let cx = &mut Context::from_waker(&waker);
        let before = self.kept();
        // Or it would be told again.
        let mut kept = self.reading.kept.take();
        let most = self.side.writing.driver.peek().sender().outbound_limits().soft;
        let mut mode = self.reading.parts.mode();
        while kept.as_ref().is_none_or(|kept| kept.bytes() <= most) {
            match self.poll_decoded(cx, storage, &mut mode, &mut |message, _| Some(message.into_owned())) {
                Poll::Ready(Ok(Some(told))) => kept.get_or_insert_default().push(told),
                _ => break,
            }
        }
        self.reading.kept = kept;
        if self.is_full() {
            self.drive_out(storage);
            self.judge_unread(storage);
        }
        if self.kept() > before {
            self.side.writing.alarm().wake_reader();
        }
    }

    /// What is kept takes so many bytes.
    fn kept(&self) -> usize {
        self.reading.kept.as_ref().map_or(0, |kept| kept.bytes())
    }

    /// Whether so much is kept that no more is read.
    fn is_full(&self) -> bool {
        self.kept() > self.side.writing.driver.peek().sender().outbound_limits().soft
    }

    /// Whether so much was written since anybody read that it is time to look.
    #[inline]
    fn must_look(&self) -> bool {
        self.reading.looked != self.block()
    }

    #[inline]
    pub(super) fn note_look(&mut self) {
        self.reading.looked = self.block();
    }

    /// The number of the block of bytes, of those that were sent, in which the last is.
    #[inline]
    fn block(&self) -> u8 {
        (self.side.writing.driver.peek().sender().traffic().bytes >> LOOK) as u8
    }

    /// Why nothing more can be sent, if the peer or a deadline made it so.
    fn ended(&self) -> Option<Error> {
        self.reading.failure().or_else(|| self.closed())
    }

    /// What the peer has said at its end, unless this end began to close.
    fn closed(&self) -> Option<Error> {
        let close = self.reading.close().filter(|_| !self.side.writing.closes());
        close.map(|close| Error::Closed(Box::new(close.clone())))
    }

    /// What was refused, and why.
    #[cold]
    pub(super) fn refusal(&self, error: Error) -> Error {
        match error {
            Error::Send(SendError::Closing) => self.closed().unwrap_or(error),
            error => error,
        }
    }

    /// Writes without reading, for who reads elsewhere.
    pub(crate) fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.side.writing.alarm().wait_to_write(cx.waker());
        self.write_on();
        match self.side.writing.is_high() && !self.reading.is_over() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Sends a part of a message, or gathers it.
    pub(crate) fn push_part(&mut self, kind: Kind, part: &[u8], last: bool) -> Result<(), Error> {
        // A message may take long, and one that is not whole is nothing to a peer that has closed.
        lent(|storage| {
            self.keep(storage);
            self.leave(storage);
        });
        if let Some(end) = self.ended() {
            return Err(end);
        }
        let sent = gather::send_part(&mut self.gathered, &mut self.side.writing, kind, part, last);
        sent.map_err(|error| self.refusal(error))
    }

    /// Sends the parts of a message that were gathered, or says once why they cannot be.
    #[inline(never)]
    pub(super) fn release(&mut self) -> Result<(), Error> {
        let Some(gathered) = &mut self.gathered else { return Ok(()) };
        let released = gathered.release(&mut self.side.writing);
        if released.is_err() {
            self.gathered = None;
        }
        released.map_err(|error| self.refusal(error))
    }

    /// Judges the time, though there may be more to read: nobody waits for ever for a peer that takes nothing.
    fn judge_unread(&mut self, storage: &mut Storage) {
        if self.is_due() && !self.reading.is_over() {
            let now = self.side.writing.out.now();
            if let Err(error) = self.side.writing.driver.judge(now) {
                self.reading.fail(error);
            }
            self.drive_out(storage);
        }
    }

    /// Does the work of the writing side.
    pub(crate) fn write_on(&mut self) {
        lent(|storage| {
            self.drive_out(storage);
            self.leave(storage);
        });
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.side.writing.unwritten()
    }

    /// Whether so much waits that whoever sends should wait too.
    pub(crate) fn is_high(&self) -> bool {
        self.side.writing.is_high()
    }

    /// The most bytes that may wait before more is refused.
    pub(crate) fn most_queued(&self) -> usize {
        self.side.writing.driver.peek().sender().outbound_limits().hard
    }

    /// How far it has come, for who looks whether that changes.
    pub(crate) fn stage(&self) -> (State, bool) {
        (self.side.writing.driver.peek().state(), self.reading.is_over())
    }

    pub(crate) fn writing(&mut self) -> &mut Writing<Driver> {
        &mut self.side.writing
    }
}
