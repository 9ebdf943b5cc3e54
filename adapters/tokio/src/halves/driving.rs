//! How the half that receives is driven.

use super::shared::Turn;
use super::{Inner, Receiver};
use crate::alarm::Alarm;
use crate::drive::{Drive, told};
use crate::message::Told;
use crate::reading::{Mode, Reading};
use sockless::driver::{Next, Storage};
use sockless::seen::Life;
use sockless::{Close, RelayError};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl<R, W> Receiver<R, W> {
    /// Tells the time, where it counts how much the peer sends in it.
    #[inline]
    fn tell_time(&mut self) {
        if self.inner.half.is_rated() {
            let now = self.inner.started.elapsed();
            self.inner.half.tell_time(now);
        }
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Drive for Receiver<R, W> {
    type Side<'a> = ();

    fn reading(&mut self) -> &mut Reading {
        &mut self.inner.reading
    }

    fn alarm(&self) -> &Arc<Alarm> {
        self.inner.shared.alarm()
    }

    fn must_look_again(&self) -> bool {
        self.inner.shared.must_look_again()
    }

    fn begin(&mut self, _: &mut Storage) {}

    fn tell<T>(
        &mut self,
        storage: &mut Storage,
        mode: &mut Mode<'_>,
        take: &mut impl FnMut(sockless::Message<'_>, &mut ()) -> Option<T>,
    ) -> Result<Option<Told<T>>, RelayError> {
        self.tell_time();
        let Inner { half, shared, .. } = &mut *self.inner;
        let tell = |fact| shared.tell(fact);
        loop {
            let event = match mode {
                Mode::Piece => half.piece(storage, tell),
                Mode::Frame => half.frame(storage, tell),
                _ => half.event(storage, tell),
            };
            let Some(event) = event.inspect_err(|error| shared.fail(*error))? else { return Ok(None) };
            if let Some(told) = told(event, |message| take(message, &mut ())) {
                return Ok(Some(told));
            }
        }
    }

    fn give<T>(
        &mut self,
        _: &mut Storage,
        message: sockless::Message<'static>,
        take: &mut impl FnMut(sockless::Message<'_>, &mut ()) -> Option<T>,
    ) -> Option<T> {
        take(message, &mut ())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, storage: &mut Storage) -> Poll<()> {
        let Inner { io, half, reading, .. } = &mut *self.inner;
        let mut read = ReadBuf::new(half.space(storage));
        let result = ready!(Pin::new(io).poll_read(cx, &mut read));
        let len = reading.note_read(result, &read);
        half.received(storage, len);
        Poll::Ready(())
    }

    fn turn(&mut self, storage: &mut Storage) -> Option<Next> {
        self.tell_time();
        let turn = self.inner.shared.receiver_turn(self.inner.half.heard(), storage);
        let inner = &mut *self.inner;
        let (half, shared) = (&mut inner.half, &inner.shared);
        shared.alarm().apply_to_reader(|changes| half.change(changes));
        if turn == Turn::Over {
            self.inner.shared.failure().into_iter().for_each(|error| self.inner.reading.fail(error));
            self.inner.half.end();
        }
        Some(Next { close: turn == Turn::Over, ..self.inner.half.next(storage, turn == Turn::Read) })
    }

    fn is_settled(&self, storage: &Storage) -> bool {
        self.inner.half.is_settled(storage)
    }

    fn is_due(&self) -> bool {
        self.inner.shared.is_due()
    }

    fn judge(&mut self, storage: &mut Storage) {
        self.inner.half.received_nothing(storage);
        if self.inner.shared.judge(self.inner.half.heard(), storage) {
            self.inner.half.rest_if_idle();
        }
    }

    fn leave(&mut self, storage: &mut Storage) {
        self.inner.reading.count(storage);
        self.inner.half.leave(storage);
        self.inner.reading.note_turn(storage);
    }

    fn take_life(&mut self) -> Life {
        self.inner.shared.take_life()
    }

    fn handle_close(&mut self, close: &Close<'static>) {
        self.inner.reading.handle_close(close);
        self.inner.shared.handle_close(close);
    }
}
