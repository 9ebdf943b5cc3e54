//! How a whole connection is driven.

use super::WebSocket;
use crate::alarm::Alarm;
use crate::drive::Drive;
use crate::reading::{Mode, Reading};
use crate::writing::Side;
use sockless::driver::{Driver, Next, Storage};
use sockless::{Close, Event, RelayError};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl<S: AsyncRead + AsyncWrite + Unpin> Drive for WebSocket<S> {
    type Side = Side<Driver, S>;

    #[inline]
    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    #[inline]
    fn side(&mut self) -> &mut Side<Driver, S> {
        &mut self.side
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
    fn event<'a>(&mut self, storage: &'a mut Storage, mode: &mut Mode<'_>) -> Result<Option<Event<'a>>, RelayError> {
        let now = self.side.writing.now();
        let driver = &mut self.side.writing.driver;
        Ok(match mode {
            Mode::Message | Mode::Nothing => driver.event(storage, now)?,
            Mode::Piece => driver.piece(storage, now)?,
            Mode::Relay(to) => driver.relay(storage, to, now)?,
        })
    }

    #[inline(always)]
    fn poll_read(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<()> {
        self.note_look();
        let Side { io, writing } = &mut self.side;
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
    fn turn(&mut self, storage: &mut Storage) -> Next {
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

    fn handle_rare(&mut self) {
        self.side.writing.look_at_the_time();
    }

    fn handle_close(&mut self, close: &Close<'static>) {
        self.reading.handle_close(close);
    }
}
