//! The rest of a large message, read straight to where it belongs.

use super::{Input, Mode, Receiver};
use crate::event::Event;
use crate::message::chunk::Chunk;
use crate::receive::decode::{Decoded, Most};
use crate::wire::error::ProtocolError;

impl Receiver {
    /// As [`Connection::tail`](crate::Connection::tail).
    #[doc(hidden)]
    #[inline]
    pub fn tail(&mut self) -> Option<&mut [u8]> {
        let (filled, left, most) = self.under_way()?;
        self.assembler.tail(filled, left, most)
    }

    /// Of the message that is put together, the bytes that came, those of its frame that are still to come, and the most
    /// that it will have.
    #[inline]
    fn under_way(&self) -> Option<(usize, usize, usize)> {
        let (left, fin) = self.decoder.under_way()?;
        let filled = self.decoder.arrived();
        // Before its first byte, it is not known whose the message is, nor does the assembler know whether it is text.
        if self.input != Input::Decoded || self.mode != Mode::Message || self.decoder.in_compressed() || filled == 0 {
            return None;
        }
        Some((filled, left, if fin { filled + left } else { self.config.limits.message }))
    }

    /// As [`Connection::receive_tail`](crate::Connection::receive_tail).
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection; once.
    #[doc(hidden)]
    pub fn receive_tail(&mut self, len: usize) -> Result<Option<Event<'static>>, ProtocolError> {
        let mut none: &mut [u8] = &mut [];
        self.watched(&mut none, |receiver, _| {
            let Some((filled, left, most)) = receiver.under_way() else { return Ok(None) };
            let Some(tail) = receiver.assembler.tail(filled, left, most) else { return Ok(None) };
            let len = len.min(tail.len());
            let mut input = &mut tail[..len];
            receiver.bytes += len as u64;
            let decoded =
                receiver.decoder.next(&mut input, &receiver.config, receiver.negotiated.is_compressed(), Most::ALL)?;
            let Some(Decoded::Data(mut chunk)) = decoded else { return Ok(None) };
            chunk.unmask();
            let Chunk { kind, last: true, .. } = chunk else { return Ok(None) };
            receiver.assembler.finish(kind, filled + len).map(|message| Some(message.into()))
        })
    }
}
