//! How a whole connection is driven.

use super::WebSocket;
use crate::alarm::Alarm;
use crate::drive::Drive;
use crate::reading::Reading;
use crate::writing::{Side, Turn};
use sockless::{Close, Fact, ProtocolError};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin> Drive for WebSocket<S> {
    type Side = Side<S>;

    fn reading(&mut self) -> &mut Reading {
        &mut self.reading
    }

    #[inline]
    fn parts(&mut self) -> (&mut Reading, &mut Side<S>) {
        (&mut self.reading, &mut self.side)
    }

    #[inline]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.side.writing.is_high() { self.poll_answers(cx) } else { Poll::Ready(()) }
    }

    #[inline]
    fn begin(&mut self) {
        self.begin_to_receive();
    }

    fn handle_close(&mut self, close: &Close<'static>) {
        self.reading.handle_close(close);
    }

    fn excuse(&mut self) {
        self.reading.excuse();
    }

    fn alarm(&self) -> &Arc<Alarm> {
        self.side.writing.alarm()
    }

    fn must_look_again(&self) -> bool {
        self.side.writing.alarm().rings()
    }

    #[inline(always)]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.note_look();
        if self.reading.attended {
            return self.poll_read_for_all();
        }
        self.reading.poll_read(cx, &mut self.side.io)
    }

    fn tell(&mut self, fact: Fact) {
        self.side.writing.sender_mut().handle_fact(fact);
    }

    #[inline(always)]
    fn turn(&mut self, judge: bool) -> Result<Turn, ProtocolError> {
        let heard = self.reading.heard();
        self.side.writing.turn(&mut self.side.io, heard, judge)
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.side.writing.is_due()
    }
}
