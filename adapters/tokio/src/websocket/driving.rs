//! How a whole connection is driven.

use super::WebSocket;
use crate::alarm::Alarm;
use crate::drive::{Drive, told};
use crate::message::Told;
use crate::reading::{Mode, Reading};
use crate::replies::Replies;
use crate::writing::{Side, Writing};
use sockless::driver::{Next, Storage};
use sockless::seen::Life;
use sockless::{Close, Message, RelayError, SendError};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// What any event becomes, until there is something of one.
    #[inline(never)]
    fn tell_any<T>(
        &mut self,
        storage: &mut Storage,
        mode: &mut Mode<'_>,
        take: &mut dyn FnMut(Message<'_>, &mut Replies<'_>) -> Option<T>,
    ) -> Result<Option<Told<T>>, RelayError> {
        loop {
            let Side { io, writing: Writing { driver, out } } = &mut *self.side;
            let now = out.now();
            let event = match mode {
                Mode::Message | Mode::Nothing => {
                    let made = driver.event_with(storage, now, |turn, event| {
                        told(event, |message| take(message, &mut Replies { turn: turn.reborrow(), out, io }))
                    });
                    match made? {
                        Some(None) => continue,
                        made => return Ok(made.flatten()),
                    }
                }
                Mode::Piece => driver.piece(storage, now)?,
                Mode::Frame => driver.frame(storage, now)?,
                // It is written first; what came is kept.
                Mode::Relay(to) if to.is_high() => return Err(RelayError::Send(SendError::Full)),
                Mode::Relay(to) => driver.relay(storage, to, now)?,
            };
            let Some(event) = event else { return Ok(None) };
            match told(event, |message| Some(message.into_owned())) {
                None => {}
                Some(Told::Event(event)) => return Ok(Some(Told::Event(event))),
                // It was begun by who wants it whole.
                Some(Told::Message(message)) => {
                    if let Some(made) = take(message, &mut Replies { turn: driver.turn(storage), out, io }) {
                        return Ok(Some(Told::Message(made)));
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drive for WebSocket<S> {
    type Side<'a> = Replies<'a>;

    #[inline]
    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    fn alarm(&self) -> &Arc<Alarm> {
        self.side.writing.alarm()
    }

    fn must_look_again(&self) -> bool {
        self.side.writing.alarm().rings()
    }

    #[inline]
    fn begin(&mut self, storage: &mut Storage) {
        if self.gathered.is_some() {
            // If it cannot be sent, the next part says so.
            _ = self.release();
        }
        self.side.writing.driver.lend(storage);
    }

    #[inline(always)]
    fn tell<T>(
        &mut self,
        storage: &mut Storage,
        mode: &mut Mode<'_>,
        take: &mut impl FnMut(Message<'_>, &mut Replies<'_>) -> Option<T>,
    ) -> Result<Option<Told<T>>, RelayError> {
        let Side { io, writing: Writing { driver, out } } = &mut *self.side;
        if driver.is_dry(storage) {
            return Ok(None);
        }
        if let Mode::Message = mode {
            let mut messages = driver.messages(storage);
            while let Some(message) = messages.next() {
                let take = |message| take(message, &mut Replies { turn: messages.turn(), out, io });
                if let Some(told) = told(message?, take) {
                    return Ok(Some(told));
                }
            }
            drop(messages);
            if driver.is_dry(storage) {
                return Ok(None);
            }
        }
        self.tell_any(storage, mode, take)
    }

    #[cold]
    fn give<T>(
        &mut self,
        storage: &mut Storage,
        message: Message<'static>,
        take: &mut impl FnMut(Message<'_>, &mut Replies<'_>) -> Option<T>,
    ) -> Option<T> {
        let Side { io, writing: Writing { driver, out } } = &mut *self.side;
        take(message, &mut Replies { turn: driver.turn(storage), out, io })
    }

    #[inline(always)]
    fn poll_read(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<()> {
        self.note_look();
        let Side { io, writing } = &mut *self.side;
        // Whoever waits to write reads too, and may be another task, which goes on reading if this one does not.
        let for_all = self.reading.attended.then(|| writing.waker().clone());
        let cx = &mut for_all.as_ref().map_or_else(|| Context::from_waker(cx.waker()), Context::from_waker);
        let mut read = ReadBuf::new(writing.driver.space(storage));
        let result = ready!(Pin::new(io).poll_read(cx, &mut read));
        let len = self.reading.note_read(result, &read);
        writing.driver.received_lately(storage, len);
        Poll::Ready(())
    }

    #[inline]
    fn turn(&mut self, storage: &mut Storage) -> Option<Next> {
        self.side.turn(storage)
    }

    #[inline]
    fn is_settled(&self, storage: &Storage) -> bool {
        self.side.writing.driver.is_settled(storage)
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.side.writing.is_due()
    }

    fn judge(&mut self, storage: &mut Storage) {
        self.side.writing.driver.received_nothing(storage);
    }

    #[inline]
    fn leave(&mut self, storage: &mut Storage) {
        self.reading.count(storage);
        self.side.writing.driver.leave(storage);
        self.reading.note_turn(storage);
    }

    fn take_life(&mut self) -> Life {
        mem::take(&mut self.side.writing.out.life)
    }

    fn handle_rare(&mut self) {
        self.side.writing.out.look_at_the_time();
    }

    fn handle_close(&mut self, close: &Close<'static>) {
        self.reading.handle_close(close);
    }
}
