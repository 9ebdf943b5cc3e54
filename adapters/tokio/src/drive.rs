//! How a connection is driven by whoever polls its reading side: the one loop of the whole and of the halves.

use crate::alarm::Alarm;
use crate::error::Error;
use crate::message::{Event, Message, Piece};
use crate::reading::{Mode, Read, Reading, Told};
use crate::writing::Turn;
use sockless::{Fact, ProtocolError, RelayError};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The reading side of a connection, and its way to the writing side.
pub(crate) trait Drive {
    fn reading(&mut self) -> &mut Reading;

    fn alarm(&self) -> &Arc<Alarm>;

    /// Whether the alarm rang before it knew whom to wake.
    fn must_look_again(&self) -> bool {
        self.alarm().has_rung()
    }

    /// Reads once from the transport.
    fn poll_read(&mut self, cx: &mut Context<'_>, mode: Mode<'_>) -> Poll<io::Result<Read>>;

    /// Tells the writing side what the reading side has found.
    fn tell(&mut self, fact: Fact);

    /// Does the work of the writing side.
    ///
    /// # Errors
    /// A deadline that ended the connection.
    fn turn(&mut self) -> Result<Turn, ProtocolError>;

    /// The next event; `None` when the connection and its transport have ended.
    fn poll_event(&mut self, cx: &mut Context<'_>, mut mode: Mode<'_>) -> Poll<Result<Option<Event>, Error>> {
        loop {
            if let Some(result) = self.reading().next(mode.reborrow())
                && let Some(event) = self.handle(result)
            {
                return Poll::Ready(event.map(Some));
            }
            match self.step(cx, mode.reborrow()) {
                Poll::Ready(Some(event)) => return Poll::Ready(event.map(Some)),
                Poll::Ready(None) if self.reading().is_over() => {
                    return Poll::Ready(self.reading().outcome().map(|()| None));
                }
                Poll::Ready(None) => {}
                Poll::Pending => {
                    self.alarm().wait_to_read(cx.waker());
                    if !self.must_look_again() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Does a turn of the writing side, and reads once.
    fn step(&mut self, cx: &mut Context<'_>, mode: Mode<'_>) -> Poll<Option<Result<Event, Error>>> {
        if self.reading().is_over() {
            return Poll::Ready(None);
        }
        match self.turn() {
            Ok(Turn::Read) => {}
            Ok(Turn::Wait) => return Poll::Pending,
            Ok(Turn::Over) => {
                self.reading().set_over();
                return Poll::Ready(None);
            }
            Err(error) => {
                self.reading().fail(error.into());
                return Poll::Ready(None);
            }
        }
        if matches!(mode, Mode::Nothing) {
            return Poll::Pending;
        }
        let error = match self.poll_read(cx, mode) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Read::Some(result))) => return Poll::Ready(self.handle(result)),
            Poll::Ready(Ok(Read::Nothing)) => return Poll::Ready(None),
            Poll::Ready(Ok(Read::Eof)) => None,
            Poll::Ready(Err(error)) => Some(error),
        };
        self.reading().end(error);
        self.tell(Fact::Eof);
        Poll::Ready(None)
    }

    /// Tells the writing side what matters to it; gives the event.
    fn handle(&mut self, result: Result<Told, RelayError>) -> Option<Result<Event, Error>> {
        match result {
            Ok((event, fact)) => {
                if let Event::Close(close) = &event {
                    self.reading().handle_close(close);
                }
                if let Some(fact) = fact {
                    self.tell(fact);
                    // The next ping's answer would take the place of this one's.
                    if matches!(fact, Fact::Ping(_)) {
                        self.answer();
                    }
                }
                Some(Ok(event))
            }
            Err(RelayError::Peer(error)) => {
                self.reading().fail(error.into());
                self.tell(error.into());
                None
            }
            // The other connection's matter.
            Err(RelayError::Send(error)) => Some(Err(error.into())),
        }
    }

    /// Has an answer to a ping go out, if the transport takes it.
    fn answer(&mut self) {
        match self.turn() {
            Ok(Turn::Over) => self.reading().set_over(),
            Ok(_) => {}
            Err(error) => self.reading().fail(error.into()),
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        loop {
            match std::task::ready!(self.poll_event(cx, Mode::Message))? {
                Some(Event::Message(message)) => return Poll::Ready(Ok(Some(message))),
                Some(_) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
        loop {
            match std::task::ready!(self.poll_event(cx, Mode::Piece))? {
                Some(Event::Piece(piece)) => return Poll::Ready(Ok(Some(piece))),
                // One that `recv` had begun, before it was dropped.
                Some(Event::Message(data)) => {
                    return Poll::Ready(Ok(Some(Piece { data, first: true, frame_end: true, last: true })));
                }
                Some(_) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }
}
