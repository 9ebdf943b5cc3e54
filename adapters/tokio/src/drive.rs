//! How a connection is driven by whoever polls its reading side: the one loop of the whole and of the halves.

use crate::alarm::Alarm;
use crate::error::Error;
use crate::message::{Event, Piece, Told};
use crate::reading::{Mode, Reading};
use crate::writing::Turn;
use sockless::{Close, Fact, Message, ProtocolError, RelayError};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, ready};

/// The reading side of a connection, and its way to the writing side.
pub(crate) trait Drive {
    /// The writing side, as far as what is made of a message may leave an answer to it there.
    type Side;

    fn reading(&mut self) -> &mut Reading;

    /// The same, and where answers are left.
    fn parts(&mut self) -> (&mut Reading, &mut Self::Side);

    /// Waits while so much of what answered messages from within reading is not yet written that a server does not read on.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    fn alarm(&self) -> &Arc<Alarm>;

    /// Whether the alarm rang since the last turn, perhaps before it knew whom to wake.
    fn must_look_again(&self) -> bool;

    /// [`Reading::poll_read`].
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>>;

    /// The peer's silence is this end's, which does not read: it is no evidence.
    fn excuse(&mut self);

    /// Tells the writing side what the reading side has found.
    fn tell(&mut self, fact: Fact);

    /// Does the work of the writing side. With `judge`, there was no more to be read when the time became due.
    ///
    /// # Errors
    /// A deadline that ended the connection, and the transport.
    fn turn(&mut self, judge: bool) -> Result<Turn, ProtocolError>;

    /// [`Writing::is_due`](crate::writing::Writing::is_due).
    fn is_due(&self) -> bool;

    /// Somebody begins to receive.
    fn begin(&mut self);

    /// Notes what the peer's close frame said.
    fn handle_close(&mut self, close: &Close<'static>);

    /// Gives `take` messages until it makes something of one, or tells another event before that; `None` when the connection
    /// and its transport have ended.
    #[inline]
    fn poll_told<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut mode: Mode<'_>,
        take: &mut impl FnMut(Message<'_>, &mut Self::Side) -> Option<T>,
    ) -> Poll<Result<Option<Told<T>>, Error>> {
        self.begin();
        self.reading().pieces = matches!(mode, Mode::Piece);
        let poll = self.poll_decoded(cx, &mut mode, take);
        self.reading().put_away();
        if poll.is_pending() {
            if self.reading().waits_anew(cx.waker()) {
                self.alarm().wait_to_read(cx.waker());
            }
            // No turn of ours is repeated here: what rings within a poll may ring within each.
            if self.must_look_again() {
                cx.waker().wake_by_ref();
            }
        } else if matches!(poll, Poll::Ready(Ok(None))) {
            self.reading().outcome()?;
        }
        poll
    }

    /// The same, but for the wait, and for how the connection has ended.
    #[inline]
    fn poll_decoded<T>(
        &mut self,
        cx: &mut Context<'_>,
        mode: &mut Mode<'_>,
        take: &mut impl FnMut(Message<'_>, &mut Self::Side) -> Option<T>,
    ) -> Poll<Result<Option<Told<T>>, Error>> {
        'next: loop {
            let (reading, side) = self.parts();
            ready!(reading.poll_turn(cx));
            let message = 'message: {
                'dry: {
                    match reading.next_kept(mode) {
                        None => {}
                        Some(Told::Message(message)) => break 'message message,
                        Some(Told::Event(event)) => return Poll::Ready(Ok(Some(Told::Event(event)))),
                    }
                    if reading.is_dry() {
                        break 'dry;
                    }
                    let result = if reading.has_input(mode) {
                        match reading.receive() {
                            // The common ones, of which nothing but a pointer and a length is moved, not even through memory.
                            Ok(Some(sockless::Event::Binary(bytes))) => match bytes {
                                Cow::Borrowed(bytes) => break 'message Message::Binary(Cow::Borrowed(bytes)),
                                own => Ok(Some(sockless::Event::Binary(own))),
                            },
                            Ok(Some(sockless::Event::Text(text))) => match text {
                                Cow::Borrowed(text) => break 'message Message::Text(Cow::Borrowed(text)),
                                own => Ok(Some(sockless::Event::Text(own))),
                            },
                            result => result.map_err(RelayError::Peer),
                        }
                    } else {
                        reading.receive_any(mode)
                    };
                    match result.map(|event| event.map(sort)) {
                        Ok(Some(Sorted::Message(message))) => break 'message message,
                        Ok(Some(Sorted::Event(event, fact))) => {
                            let Some(event) = reading.join_later(event, mode) else { continue 'next };
                            self.handle_event(&event, fact);
                            return Poll::Ready(Ok(Some(Told::Event(event))));
                        }
                        Ok(Some(Sorted::Nothing)) => continue 'next,
                        Ok(None) => {}
                        Err(error) => match self.handle_error(error) {
                            Some(error) => return Poll::Ready(Err(error)),
                            None => continue 'next,
                        },
                    }
                }
                ready!(self.step(cx, mode));
                if self.reading().is_over() {
                    return Poll::Ready(Ok(None));
                }
                continue 'next;
            };
            match take(message, side) {
                Some(made) => return Poll::Ready(Ok(Some(Told::Message(made)))),
                None => ready!(self.poll_room(cx)),
            }
        }
    }

    /// Does a turn of the writing side, reads once, and judges the time by what was there.
    #[inline(always)]
    fn step(&mut self, cx: &mut Context<'_>, mode: &Mode<'_>) -> Poll<()> {
        if self.reading().is_over() {
            return Poll::Ready(());
        }
        let judge = self.reading().take_heard();
        let mut turn = self.turn(judge);
        if turn == Ok(Turn::Read) && !matches!(mode, Mode::Nothing) {
            match self.poll_read(cx) {
                Poll::Ready(Ok(true)) => {
                    if self.is_due() {
                        self.reading().set_heard();
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(end) => {
                    self.reading().end(end.err());
                    self.tell(Fact::Eof);
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
        }
        if turn.is_ok() && self.is_due() {
            if matches!(mode, Mode::Nothing) {
                self.excuse();
            }
            turn = self.turn(true);
        }
        match turn {
            Ok(Turn::Read | Turn::Wait) => Poll::Pending,
            turn => {
                self.end_by(turn);
                Poll::Ready(())
            }
        }
    }

    /// Tells the writing side what matters to it; gives what is another connection's matter.
    #[inline(never)]
    fn handle_error(&mut self, error: RelayError) -> Option<Error> {
        match error {
            RelayError::Peer(error) => {
                self.reading().fail(error.into());
                self.tell(error.into());
                None
            }
            RelayError::Send(error) => {
                self.reading().set_owed();
                Some(error.into())
            }
        }
    }

    /// Tells the writing side what matters to it.
    #[inline(never)]
    fn handle_event(&mut self, event: &Event, fact: Option<Fact>) {
        self.reading().set_owed();
        if let Some(fact) = fact {
            self.tell(fact);
            // The next ping's answer would take the place of this one's.
            if matches!(fact, Fact::Ping(_)) {
                let turn = self.turn(false);
                self.end_by(turn);
            }
        }
        if let Event::Close(close) = event {
            self.handle_close(close);
            // Nobody is to send any more.
            self.alarm().wake_by_ref();
        }
    }

    /// What the writing side has found that ends the connection.
    #[inline(never)]
    fn end_by(&mut self, turn: Result<Turn, ProtocolError>) {
        match turn {
            Ok(Turn::Over) => {}
            Ok(_) => return,
            // A peer that is gone is not waited for.
            Err(error) => self.reading().fail(error.into()),
        }
        if !self.reading().is_over() {
            self.reading().set_over();
            // Whoever waits for anything else is told.
            self.alarm().wake_by_ref();
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, mode: Mode<'_>) -> Poll<Result<Option<Event>, Error>> {
        let told = ready!(self.poll_told(cx, mode, &mut |message, _| Some(message.into())))?;
        Poll::Ready(Ok(told.map(|told| match told {
            Told::Message(message) => Event::Message(message),
            Told::Event(event) => *event,
        })))
    }

    /// What `take` makes of a message.
    #[inline]
    fn poll_made<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Message<'_>, &mut Self::Side) -> Option<T>,
    ) -> Poll<Result<Option<T>, Error>> {
        loop {
            match ready!(self.poll_told(cx, Mode::Message, &mut take))? {
                Some(Told::Message(made)) => return Poll::Ready(Ok(Some(made))),
                Some(Told::Event(_)) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
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

/// An event, as the writing side and the caller need it.
enum Sorted<'a> {
    Message(Message<'a>),
    /// Another, and what the writing side has to know of it.
    Event(Box<Event>, Option<Fact>),
    /// One that an open connection does not have.
    Nothing,
}

#[inline(never)]
fn sort(event: sockless::Event<'_>) -> Sorted<'_> {
    match event {
        sockless::Event::Binary(bytes) => Sorted::Message(Message::Binary(bytes)),
        sockless::Event::Text(text) => Sorted::Message(Message::Text(text)),
        sockless::Event::Unchecked(bytes) => Sorted::Message(Message::Unchecked(bytes)),
        event => {
            let fact = event.fact();
            match Event::from_core(event) {
                Some(event) => Sorted::Event(Box::new(event), fact),
                None => Sorted::Nothing,
            }
        }
    }
}
