//! How a connection is driven by whoever polls its reading side: the one loop of the whole and of the halves.

use crate::alarm::Alarm;
use crate::message::{Event, Piece, Told};
use crate::reading::{Mode, Parts, Reading};
use sockless::driver::{Error, Next, Storage, lent};
use sockless::seen::{Life, Since};
use sockless::{Close, Message, RelayError};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, ready};

/// The reading side of a connection, and its way to the writing side.
pub(crate) trait Drive: Sized {
    /// Where what is made of a message may leave an answer to it.
    type Side<'a>;

    fn reading(&mut self) -> &mut Reading;

    fn alarm(&self) -> &Arc<Alarm>;

    /// Whether the alarm rang since the last turn, perhaps before it knew whom to wake.
    fn must_look_again(&self) -> bool;

    /// Somebody begins to receive.
    fn begin(&mut self, storage: &mut Storage);

    /// Gives `take` messages until it makes something of one, or tells another event before that; `None` when it is time to
    /// write.
    fn tell<T>(
        &mut self,
        storage: &mut Storage,
        mode: &mut Mode<'_>,
        take: &mut impl FnMut(Message<'_>, &mut Self::Side<'_>) -> Option<T>,
    ) -> Result<Option<Told<T>>, RelayError>;

    /// Gives `take` a message that was kept.
    fn give<T>(
        &mut self,
        storage: &mut Storage,
        message: Message<'static>,
        take: &mut impl FnMut(Message<'_>, &mut Self::Side<'_>) -> Option<T>,
    ) -> Option<T>;

    /// Reads once.
    fn poll_read(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<()>;

    /// Does the work of the writing side; what is to be done next, unless that is but to read on.
    fn turn(&mut self, storage: &mut Storage) -> Option<Next>;

    /// Whether there is nothing to do but reading on.
    fn is_settled(&self, storage: &Storage) -> bool;

    /// [`Writing::is_due`](crate::writing::Writing::is_due).
    fn is_due(&self) -> bool;

    /// What there was to be read has been: has the time judged.
    fn judge(&mut self, storage: &mut Storage);

    /// Gives back what is lent.
    fn leave(&mut self, storage: &mut Storage);

    /// What tells of the connection, whose end is the last to be told.
    fn take_life(&mut self) -> Life;

    /// Something else than a message came, behind which the time is judged.
    fn handle_rare(&mut self) {}

    /// Notes what the peer's close frame said.
    fn handle_close(&mut self, close: &Close<'static>);

    /// Gives `take` messages until it makes something of one, or tells another event before that; `None` when the connection
    /// and its transport have ended.
    #[inline]
    fn poll_told<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut mode: Mode<'_>,
        take: &mut impl FnMut(Message<'_>, &mut Self::Side<'_>) -> Option<T>,
    ) -> Poll<Result<Option<Told<T>>, Error>> {
        self.reading().parts = mode.parts();
        // Whoever asks for more has done with the last.
        self.reading().since.take().handled();
        let mut since = Since::default();
        let take = &mut |message: Message<'_>, side: &mut Self::Side<'_>| {
            since = Since::now();
            let made = take(message, side);
            if made.is_none() {
                since.take().handled();
            }
            made
        };
        let poll = lent(|storage| {
            self.begin(storage);
            let lent = Lent { drive: self, storage };
            lent.drive.poll_decoded(cx, lent.storage, &mut mode, take)
        });
        self.reading().since = since;
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
        storage: &mut Storage,
        mode: &mut Mode<'_>,
        take: &mut impl FnMut(Message<'_>, &mut Self::Side<'_>) -> Option<T>,
    ) -> Poll<Result<Option<Told<T>>, Error>> {
        let mut asked = false;
        ready!(self.reading().poll_turn(cx));
        loop {
            let told = match self.reading().next_kept(mode) {
                None => self.tell(storage, mode, take),
                Some(Told::Message(message)) => match self.give(storage, message, take) {
                    Some(made) => return Poll::Ready(Ok(Some(Told::Message(made)))),
                    None => continue,
                },
                Some(Told::Event(event)) => return Poll::Ready(Ok(Some(Told::Event(event)))),
            };
            match told {
                Ok(Some(Told::Event(event))) => {
                    let Some(event) = self.reading().join_later(event, mode) else { continue };
                    if self.handle_event(&event, storage) {
                        return Poll::Ready(Ok(Some(Told::Event(event))));
                    }
                }
                Ok(Some(made)) => return Poll::Ready(Ok(Some(made))),
                Ok(None) => {
                    ready!(self.step(cx, storage, &mut asked));
                    if self.reading().is_over() {
                        return Poll::Ready(Ok(None));
                    }
                }
                Err(RelayError::Peer(error)) => self.reading().fail(error),
                Err(RelayError::Send(error)) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Does a turn of the writing side, reads once, and has the time judged by what was there.
    #[inline]
    fn step(&mut self, cx: &mut Context<'_>, storage: &mut Storage, asked: &mut bool) -> Poll<()> {
        if self.reading().is_over() {
            return Poll::Ready(());
        }
        self.reading().count(storage);
        let Some(next) = self.turn(storage) else {
            ready!(self.reading().poll_turn(cx));
            ready!(self.poll_read(cx, storage));
            *asked = false;
            return Poll::Ready(());
        };
        self.reading().note_turn(storage);
        if next.close {
            self.end();
            return Poll::Ready(());
        }
        ready!(self.reading().poll_turn(cx));
        let due = self.is_due();
        if mem::take(&mut self.reading().heard) && due {
            self.judge(storage);
            return Poll::Ready(());
        }
        if next.again {
            return Poll::Ready(());
        }
        if next.read && self.poll_read(cx, storage).is_ready() {
            (self.reading().heard, *asked) = (due, false);
            return Poll::Ready(());
        }
        if *asked || !due && self.is_settled(storage) {
            return Poll::Pending;
        }
        *asked = true;
        self.judge(storage);
        Poll::Ready(())
    }

    /// Does what another event than a message asks for; whether it is to be told.
    #[inline(never)]
    fn handle_event(&mut self, event: &Event, storage: &mut Storage) -> bool {
        self.handle_rare();
        match event {
            // The next ping's answer would take the place of this one's.
            Event::Ping(_) => self.drive_out(storage),
            // It is told to who asked for it.
            Event::Pong(payload) => return !self.alarm().handle_pong(payload),
            Event::Close(close) => {
                self.handle_close(close);
                // Nobody is to send any more.
                self.alarm().wake_by_ref();
            }
            _ => {}
        }
        true
    }

    /// Does a turn of the writing side.
    fn drive_out(&mut self, storage: &mut Storage) {
        if !self.reading().is_over() {
            self.reading().count(storage);
            if self.turn(storage).is_some_and(|next| next.close) {
                self.end();
            }
            self.reading().note_turn(storage);
        }
    }

    /// The connection has ended, and its transport.
    #[inline(never)]
    fn end(&mut self) {
        if self.reading().set_over() {
            let life = self.take_life();
            self.reading().tell_end(life);
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
        mut take: impl FnMut(Message<'_>, &mut Self::Side<'_>) -> Option<T>,
    ) -> Poll<Result<Option<T>, Error>> {
        loop {
            match ready!(self.poll_told(cx, Mode::Message, &mut take))? {
                Some(Told::Message(made)) => return Poll::Ready(Ok(Some(made))),
                Some(Told::Event(_)) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// The next part of a message, of these.
    fn poll_part(&mut self, cx: &mut Context<'_>, parts: Parts) -> Poll<Result<Option<Piece>, Error>> {
        loop {
            match ready!(self.poll_event(cx, parts.mode()))? {
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

/// What is lent to who is polled, and given back in any case: what was read behind a message on which its taker panics is the
/// connection's still.
struct Lent<'a, D: Drive> {
    drive: &'a mut D,
    storage: &'a mut Storage,
}

impl<D: Drive> Drop for Lent<'_, D> {
    #[inline]
    fn drop(&mut self) {
        self.drive.leave(self.storage);
    }
}

/// What becomes of an event: of a message what `take` makes of it, if anything.
#[inline(always)]
pub(crate) fn told<'e, T>(event: sockless::Event<'e>, take: impl FnOnce(Message<'e>) -> Option<T>) -> Option<Told<T>> {
    let message = match event {
        sockless::Event::Binary(bytes) => Message::Binary(bytes),
        sockless::Event::Text(text) => Message::Text(text),
        sockless::Event::Unchecked(bytes) => Message::Unchecked(bytes),
        event => return other(event).map(Told::Event),
    };
    take(message).map(Told::Message)
}

/// Another event, if an open connection has it.
#[cold]
#[inline(never)]
fn other(event: sockless::Event<'_>) -> Option<Box<Event>> {
    Event::from_core(event).map(Box::new)
}
