//! How a connection is driven by whoever polls its reading side: the one loop of the whole and of the halves.

use crate::alarm::Alarm;
use crate::error::Error;
use crate::message::{Event, Piece};
use crate::reading::{Mode, Read, Reading, Told};
use crate::writing::Turn;
use sockless::{Fact, ProtocolError, RelayError};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The reading side of a connection, and its way to the writing side.
pub(crate) trait Drive {
    /// Where what is made of a message may leave an answer to it.
    type Replies;

    fn reading(&mut self) -> &mut Reading;

    fn alarm(&self) -> &Arc<Alarm>;

    /// Whether the alarm rang before it knew whom to wake.
    fn must_look_again(&self) -> bool;

    /// [`Reading::next`].
    fn next(
        &mut self,
        mode: Mode<'_>,
        take: &mut impl FnMut(sockless::Message<'_>, &mut Self::Replies),
    ) -> Option<Result<Told, RelayError>>;

    /// [`Reading::poll_read`].
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mode: Mode<'_>,
        take: &mut impl FnMut(sockless::Message<'_>, &mut Self::Replies),
    ) -> Poll<io::Result<Read>>;

    /// Tells the writing side what the reading side has found.
    fn tell(&mut self, fact: Fact);

    /// Does the work of the writing side.
    ///
    /// # Errors
    /// A deadline that ended the connection.
    fn turn(&mut self) -> Result<Turn, ProtocolError>;

    /// Gives `take` the next message, or tells another event before it; `None` when the connection and its transport have
    /// ended.
    fn poll_told(
        &mut self,
        cx: &mut Context<'_>,
        mut mode: Mode<'_>,
        take: &mut impl FnMut(sockless::Message<'_>, &mut Self::Replies),
    ) -> Poll<Result<Option<Told>, Error>> {
        loop {
            if let Some(result) = self.next(mode.reborrow(), take)
                && let Some(told) = self.handle(result)
            {
                return Poll::Ready(told.map(Some));
            }
            match self.step(cx, mode.reborrow(), take) {
                Poll::Ready(Some(told)) => return Poll::Ready(told.map(Some)),
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
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        mode: Mode<'_>,
        take: &mut impl FnMut(sockless::Message<'_>, &mut Self::Replies),
    ) -> Poll<Option<Result<Told, Error>>> {
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
        let error = match self.poll_read(cx, mode, take) {
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

    /// Tells the writing side what matters to it; gives the rest.
    #[inline]
    fn handle(&mut self, result: Result<Told, RelayError>) -> Option<Result<Told, Error>> {
        match result {
            Ok(told) => {
                if let Told::Event(event) = &told {
                    let (event, fact) = &**event;
                    self.handle_event(event, *fact);
                }
                Some(Ok(told))
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

    #[inline(never)]
    fn handle_event(&mut self, event: &Event, fact: Option<Fact>) {
        if let Event::Close(close) = event {
            self.reading().handle_close(close);
        }
        if let Some(fact) = fact {
            self.tell(fact);
            // The next ping's answer would take the place of this one's.
            if matches!(fact, Fact::Ping(_)) {
                self.answer();
            }
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

    fn poll_event(&mut self, cx: &mut Context<'_>, mode: Mode<'_>) -> Poll<Result<Option<Event>, Error>> {
        let mut message = None;
        let told = ready!(self.poll_told(cx, mode, &mut |lent, _| message = Some(lent.into())))?;
        Poll::Ready(Ok(told.and_then(|told| match told {
            Told::Message => message.map(Event::Message),
            Told::Event(event) => Some(event.0),
        })))
    }

    fn poll_recv<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(sockless::Message<'_>, &mut Self::Replies) -> T,
    ) -> Poll<Result<Option<T>, Error>> {
        let mut made = None;
        let take =
            &mut |message: sockless::Message<'_>, replies: &mut Self::Replies| made = Some(take(message, replies));
        while let Some(Told::Event(_)) = ready!(self.poll_told(cx, Mode::Message, take))? {}
        Poll::Ready(Ok(made))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Error>> {
        loop {
            match ready!(self.poll_event(cx, Mode::Piece))? {
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
