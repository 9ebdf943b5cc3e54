//! Waits for what was sent to be written. Whoever waits reads meanwhile: pings are answered, the peer's close is told, and the
//! rest is kept for who receives next, within a bound.

use super::WebSocket;
use crate::drive::Drive;
use crate::error::Error;
use crate::gather;
use crate::reading::Mode;
use crate::writing::Writing;
use sockless::{Kind, ProtocolError, SendError, State};
use std::io;
use std::task::{Context, Poll, ready};
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
        match self.side.writing.poll_flush(&mut self.side.io) {
            Poll::Ready(result) if !self.must_look() => {
                self.reading.attended = false;
                Poll::Ready(result)
            }
            poll => self.poll_written_or_read(cx, poll),
        }
    }

    #[inline(never)]
    fn poll_written_or_read(&mut self, cx: &mut Context<'_>, poll: Poll<Result<(), Error>>) -> Poll<Result<(), Error>> {
        self.note_look();
        if poll.is_ready() {
            self.reading.attended = false;
            // What it finds is for the next to be told.
            self.keep();
            return poll;
        }
        self.side.writing.alarm().wait_to_write(cx.waker());
        self.keep();
        let poll = match self.side.writing.poll_flush(&mut self.side.io) {
            // What a deadline has ended cannot be written any more.
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.end().unwrap_or(error))),
            Poll::Pending if self.reading.is_over() => {
                Poll::Ready(Err(self.end().unwrap_or(ProtocolError::CloseTimeout.into())))
            }
            // What is whole may still be taken by a peer that has closed, but a message in parts will never be.
            Poll::Pending if self.gathered.is_some() => self.end().map_or(Poll::Pending, |end| Poll::Ready(Err(end))),
            poll => poll,
        };
        self.reading.attended = poll.is_pending();
        poll
    }

    /// Waits for the end, which the closing handshake makes that has begun; or until the close frame is written and so much is
    /// kept that somebody has to receive.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.side.writing.alarm().wait_to_write(cx.waker());
        self.keep();
        let poll = match self.side.writing.poll_flush(&mut self.side.io) {
            _ if self.reading.is_over() => Poll::Ready(self.reading.failure().map_or(Ok(()), Err)),
            Poll::Ready(Ok(())) if !self.is_full() => Poll::Pending,
            poll => poll,
        };
        self.reading.attended = poll.is_pending();
        poll
    }

    /// Reads what there is to be read, does what it asks for, and keeps the rest; judges the time, and writes.
    fn keep(&mut self) {
        let waker = self.side.writing.waker().clone();
        // Whoever receives may do so in another task, and either is to be woken.
        let cx = &mut Context::from_waker(&waker);
        let before = self.kept();
        // Or it would be told again.
        let mut kept = self.reading.kept.take();
        let most = self.side.writing.sender().outbound_limits().soft;
        while kept.as_ref().is_none_or(|kept| kept.bytes() <= most) {
            let mut mode = if self.reading.pieces { Mode::Piece } else { Mode::Message };
            match self.poll_decoded(cx, &mut mode, &mut |message, _| Some(message.into_owned())) {
                Poll::Ready(Ok(Some(told))) => kept.get_or_insert_default().push(told),
                _ => break,
            }
        }
        self.reading.kept = kept;
        self.reading.put_away();
        if self.is_full() && !self.reading.is_over() {
            let turn = self.turn(true);
            self.end_by(turn);
        }
        if self.kept() > before {
            self.side.writing.alarm().wake_reader();
        }
    }

    /// What is kept takes so many bytes.
    fn kept(&self) -> usize {
        self.reading.kept.as_ref().map_or(0, |kept| kept.bytes())
    }

    /// Reads for whoever waits to write too, who may be another task, and goes on reading if this one does not.
    #[inline(never)]
    pub(super) fn poll_read_for_all(&mut self) -> Poll<io::Result<bool>> {
        let waker = self.side.writing.waker().clone();
        self.reading.poll_read(&mut Context::from_waker(&waker), &mut self.side.io)
    }

    /// Whether so much is kept that no more is read.
    fn is_full(&self) -> bool {
        self.kept() > self.side.writing.sender().outbound_limits().soft
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
        (self.side.writing.sender().traffic().bytes >> LOOK) as u8
    }

    /// Why nothing more can be sent, if the peer or a deadline made it so.
    fn end(&self) -> Option<Error> {
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

    /// Has a handler answer what is received, once there is room for answers.
    #[inline]
    pub(super) fn poll_answered<T>(
        &mut self,
        cx: &mut Context<'_>,
        receive: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.reading.unanswered = self.side.writing.position();
        ready!(self.poll_room(cx));
        let poll = receive(self, cx);
        // Few need no account, and will have gone out before they are many.
        if self.side.writing.is_high() {
            self.note_answers();
        }
        poll
    }

    /// Accounts for what a handler has answered.
    #[inline(never)]
    fn note_answers(&mut self) {
        let position = self.side.writing.position();
        if position != self.reading.unanswered {
            self.side.writing.note_answers(self.reading.unanswered);
            self.reading.unanswered = position;
        }
    }

    /// Waits while a server has so many answers to write that it does not read on.
    #[inline(never)]
    pub(super) fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.note_answers();
        if !self.side.writing.pauses() {
            return Poll::Ready(());
        }
        // If it cannot be written, receiving tells how the connection ended.
        let poll = self.poll_out(cx, true);
        if self.side.writing.pauses() { poll } else { Poll::Ready(()) }
    }

    /// Writes without reading, for who reads elsewhere or must not, and judges the time then.
    pub(crate) fn poll_out(&mut self, cx: &mut Context<'_>, judge: bool) -> Poll<()> {
        if self.side.writing.poll_flush(&mut self.side.io).is_ready() {
            return Poll::Ready(());
        }
        self.side.writing.alarm().wait_to_write(cx.waker());
        let turn = self.turn(judge);
        self.end_by(turn);
        match self.side.writing.poll_flush(&mut self.side.io) {
            Poll::Pending if !self.reading.is_over() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Sends a part of a message, or gathers it.
    pub(crate) fn push_part(&mut self, kind: Kind, part: &[u8], last: bool) -> Result<(), Error> {
        // A message may take long, and one that is not whole is nothing to a peer that has closed.
        self.keep();
        if let Some(end) = self.end() {
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

    /// Does the work of the writing side.
    pub(crate) fn drive_out(&mut self) {
        let turn = self.turn(false);
        self.end_by(turn);
    }

    /// Bytes of messages that were taken and are not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.side.writing.unwritten()
    }

    /// The most bytes that may wait before more is refused.
    pub(crate) fn most_queued(&self) -> usize {
        self.side.writing.sender().outbound_limits().hard
    }

    /// How far it has come, for who looks whether that changes.
    pub(crate) fn stage(&self) -> (State, bool) {
        (self.side.writing.sender().state(), self.reading.is_over())
    }

    pub(crate) fn writing(&mut self) -> &mut Writing {
        &mut self.side.writing
    }

    /// Somebody receives.
    #[inline]
    pub(super) fn begin_to_receive(&mut self) {
        if self.gathered.is_some() {
            // If it cannot be sent, the next part says so.
            _ = self.release();
        }
    }
}
