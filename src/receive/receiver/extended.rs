//! What comes through the stages of extensions (RFC 6455 §9).

use super::{Input, Mode, Receiver};
use crate::event::Event;
use crate::extensions::{Decoding, Frame, Undecoded};
use crate::message::assemble::Announced;
use crate::message::chunk::Chunk;
use crate::message::{Kind, Piece};
use crate::wire::error::{ProtocolError, said};
use core::mem;

impl Receiver {
    /// What comes goes through these stages from now on.
    pub(crate) fn extend(&mut self, stages: Decoding) {
        self.decoder.extend(stages);
        if self.input == Input::Decoded {
            self.input = Input::Extended;
        }
    }

    /// Whether it does.
    pub(super) fn is_extended(&self) -> bool {
        self.input == Input::Extended
    }

    /// Takes a chunk of a message through all stages; the message, or a piece of it, when there is one.
    #[cold]
    pub(super) fn extended(&mut self, mut chunk: Chunk<'_>) -> Result<Option<Event<'static>>, ProtocolError> {
        chunk.unmask();
        let Chunk { payload, kind, compressed, first, frame_end, last, .. } = chunk;
        let limits = &self.config.limits;
        let (most, wire) = (limits.on_wire(compressed), limits.on_wire(true));
        let Some(stages) = self.decoder.extended_mut() else { return Ok(None) };
        let made = stages.decode(Frame { kind, first, frame_end, last }, payload, most, wire);
        let mut made = made.map_err(|error| match error {
            Undecoded::Refused(refused) => ProtocolError::Extension(refused.code()),
            // Not what came in all, which depends on how the input was cut.
            Undecoded::TooLong => {
                let limit = said(limits.message);
                ProtocolError::MessageTooLong { len: limit.saturating_add(1), limit }
            }
        })?;
        let chunk = Chunk { payload: &mut made, mask: None, kind, compressed, first, frame_end, last };
        #[cfg(feature = "deflate")]
        if chunk.compressed {
            return self.inflate(&chunk);
        }
        self.grown(chunk)
    }

    /// Takes a chunk of a message of which no header says how long it gets, nor where its characters are cut.
    fn grown(&mut self, mut chunk: Chunk<'_>) -> Result<Option<Event<'static>>, ProtocolError> {
        let Chunk { kind, first, frame_end, last, .. } = chunk;
        if first {
            self.started = false;
            self.assembler.start_empty(kind == Kind::Text && self.config.check_utf8);
        }
        let before = self.assembler.len();
        // It has been started, empty; and where it ends is found below.
        (chunk.first, chunk.last) = (false, false);
        self.assembler.push(chunk, Announced { before, most: self.config.limits.message }, self.config.check_utf8)?;
        let len = self.assembler.len();
        match self.mode {
            Mode::Message | Mode::Relay if !last => return Ok(None),
            Mode::Message | Mode::Relay => {
                return self.assembler.finish(kind, len).map(|message| Some(message.into()));
            }
            Mode::Frame if !frame_end => return Ok(None),
            Mode::Piece if !frame_end && len == 0 => return Ok(None),
            Mode::Frame | Mode::Piece => {}
        }
        self.part(kind, frame_end, last).map(Some)
    }

    /// What was put together of a message since its last part, as a piece of it.
    pub(super) fn part(&mut self, kind: Kind, frame_end: bool, last: bool) -> Result<Event<'static>, ProtocolError> {
        let data = match last {
            true => self.assembler.finish(kind, self.assembler.len())?,
            false => self.assembler.take_part(kind),
        };
        let first = !mem::replace(&mut self.started, true);
        Ok(Event::Piece(Piece { data, first, frame_end, last }))
    }
}
