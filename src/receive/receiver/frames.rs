//! Frames as the peer sends them: each whole, and none joined.

use super::{Mode, Receiver};
use crate::event::Event;
use crate::message::Kind;
use crate::message::assemble::Announced;
use crate::message::chunk::Chunk;
use crate::wire::error::ProtocolError;

impl Receiver {
    /// As [`Connection::receive_frame`](crate::Connection::receive_frame).
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection; once.
    pub fn receive_frame<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        self.watched(input, |receiver, input| receiver.next(input, Mode::Frame))
    }

    /// The frame that a chunk ends, if it ends one: lent where it came whole, else put together.
    pub(super) fn framed<'a>(&mut self, mut chunk: Chunk<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        let Chunk { kind, first, frame_end, last, .. } = chunk;
        if first {
            self.assembler.start_empty(kind == Kind::Text && self.config.check_utf8);
        }
        let before = self.assembler.len();
        if frame_end && before == 0 && self.assembler.missing() == 0 {
            return Ok(self.piece(chunk, self.config.check_utf8)?.map(Event::Piece));
        }
        self.started &= !first;
        // It has been started, empty.
        (chunk.first, chunk.last) = (false, false);
        let left = self.decoder.under_way().map_or(0, |(left, _)| left);
        let most = before + chunk.payload.len() + left;
        self.assembler.push(chunk, Announced { before, most }, self.config.check_utf8)?;
        if !frame_end {
            return Ok(None);
        }
        self.part(kind, frame_end, last).map(Some)
    }
}
