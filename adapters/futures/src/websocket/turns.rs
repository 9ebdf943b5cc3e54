//! The turns of a connection over its stream: read, then judge the time, then write.

use super::WebSocket;
use crate::waiting::{RECEIVER, SENDER};
use futures_io::{AsyncRead, AsyncWrite};
use sockless::bytes::Buf;
use sockless::driver::{Error, Storage, lent};
use sockless::{Event, ProtocolError, SendError};
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// When the turns since others had theirs have cost more (see [`Storage::work`]), it is their turn.
const MOST_WORK: usize = 4 << 20;

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Has turns until nothing is left to do but to wait, and looks whether who waits has reached its goal.
    pub(super) fn poll_until<T>(
        &mut self,
        cx: &mut Context<'_>,
        who: usize,
        goal: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Poll<T> {
        self.waiting.replace(who, Some(cx.waker().clone()));
        let both = Waker::from(self.waiting.clone());
        lent(|storage| {
            while !self.over && self.poll_turn(&mut Context::from_waker(&both), storage, who).is_ready() {}
            self.driver.leave(storage);
        });
        let reached = goal(self);
        if reached.is_some() {
            self.waiting.replace(who, None);
        }
        let other = 1 - who;
        if mem::take(&mut self.news)[other]
            && let Some(waker) = self.waiting.replace(other, None)
        {
            waker.wake();
        }
        reached.map_or(Poll::Pending, Poll::Ready)
    }

    /// Has a turn; pending if another would do nothing more.
    fn poll_turn(&mut self, cx: &mut Context<'_>, storage: &mut Storage, who: usize) -> Poll<()> {
        if self.work > MOST_WORK {
            self.work = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.tell(cx, storage, who);
        // Answers to all that one read brought go out together, when all of it is received.
        if who == RECEIVER && self.is_full(who) {
            return Poll::Pending;
        }
        self.write(cx, storage);
        let full = self.is_full(who);
        if !full && self.driver.has_more(storage) {
            return Poll::Ready(());
        }
        let next = self.driver.next(storage, self.clock.now());
        self.shuts |= next.shutdown;
        // If it fails the peer is gone, which reading tells.
        self.shuts = self.shuts && Pin::new(&mut self.stream).poll_close(cx).is_pending();
        if next.close {
            (self.over, self.news) = (true, [true; 2]);
            return Poll::Ready(());
        }
        if !full && (next.again || next.read && self.poll_read(cx, storage).is_ready()) {
            return Poll::Ready(());
        }
        ready!(self.clock.poll_until(cx, next.deadline));
        match full {
            true => self.driver.judge(self.clock.now()).unwrap_or_else(|error| self.fail(error)),
            false => self.driver.received_nothing(storage),
        }
        Poll::Ready(())
    }

    /// Keeps the events of what was read: one for who receives; while somebody sends, as many as there is room for.
    fn tell(&mut self, cx: &mut Context<'_>, storage: &mut Storage, who: usize) {
        let (now, worked) = (self.clock.now(), storage.work());
        while !self.is_full(who) {
            match self.driver.event(storage, now) {
                Ok(Some(event)) => {
                    let event = event.into_owned();
                    if let Event::Close(close) = &event {
                        self.peer_close = Some(close.clone());
                    }
                    let is_ping = matches!(event, Event::Ping(_));
                    self.inbox.push(event);
                    if is_ping {
                        // The pong to the next one would take the place of this one's (RFC 6455 §5.5.3).
                        self.write(cx, storage);
                    }
                }
                Ok(None) => break,
                Err(error) => self.fail(error),
            }
        }
        self.work += storage.work() - worked;
    }

    /// Whether no more is kept for who receives.
    pub(super) fn is_full(&self, who: usize) -> bool {
        let most = if who == RECEIVER { 0 } else { self.driver.peek().sender().outbound_limits().soft };
        self.inbox.bytes() > most
    }

    fn fail(&mut self, error: ProtocolError) {
        self.failure = Some(match (error, self.broken.take()) {
            (ProtocolError::UnexpectedEof, Some(cause)) => cause.into(),
            (error, _) => error.into(),
        });
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<()> {
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, self.driver.space(storage)));
        let len = result.unwrap_or_else(|error| {
            self.broken.get_or_insert(error);
            0
        });
        self.driver.received(storage, len, self.clock.now());
        // The stream wakes nobody for this once more.
        self.news = [true; 2];
        Poll::Ready(())
    }

    /// Writes what the stream takes.
    fn write(&mut self, cx: &mut Context<'_>, storage: &mut Storage) {
        if let Poll::Ready(Err(error)) = self.poll_write(cx, storage) {
            self.broken.get_or_insert(error);
            self.driver.write_failed();
            self.unflushed = false;
        }
        self.driver.wrote(storage);
        self.driver.set_held_back(self.unflushed || self.shuts);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<io::Result<()>> {
        while self.driver.peek().queued() > 0 {
            let (mut outbound, mut slices) = (self.driver.outbound(storage), [IoSlice::new(&[]); 16]);
            let count = outbound.chunks_vectored(&mut slices);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]));
            (self.unflushed, self.news[SENDER]) = (true, true);
            match written? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => outbound.advance(written),
            }
        }
        // Not before, for to some streams a flush ends the wait that a write has begun.
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            (self.unflushed, self.news[SENDER]) = (false, true);
        }
        Poll::Ready(Ok(()))
    }

    /// Why nothing more can be sent.
    pub(super) fn end(&self) -> Error {
        match (&self.failure, &self.broken, &self.peer_close) {
            (Some(error), ..) => error.copied(),
            (_, Some(error), _) => io::Error::from(error.kind()).into(),
            (.., Some(close)) if !self.closes => Error::Closed(Box::new(close.clone())),
            _ => SendError::Closing.into(),
        }
    }
}
