//! The compressed messages of the receiving half (RFC 7692 §7.2.2).

use super::{Mode, Receiver};
use crate::event::Event;
use crate::message::chunk::Chunk;
use crate::message::inflated::Inflated;
use crate::message::{Kind, Message, Piece};
use crate::wire::error::ProtocolError;
use crate::wire::frame::RSV1;
use crate::wire::utf8::whole_text;
use alloc::borrow::Cow;
use core::mem;

/// Bytes above which inflated pieces are handed out.
const LEAST_PIECE: usize = 16 << 10;

impl Receiver {
    /// Takes a message that came whole.
    #[inline]
    pub(super) fn inflate_whole(&mut self, kind: Kind, payload: &[u8]) -> Result<Message<'static>, ProtocolError> {
        let room = self.config.limits.message;
        let filled = self.inflate_part(kind, payload, (true, true), room)?;
        let message = if let (Some(inflater), true) = (&self.inflater, self.assembler.is_empty_text()) {
            // Most are short, and have nothing to be put together from.
            let mut text = self.assembler.take_text();
            text.push_str(whole_text(inflater.step(filled))?);
            Message::Text(Cow::Owned(text))
        } else {
            self.append_last(filled, room)?;
            self.assembler.finish(kind, usize::MAX)?
        };
        self.end_inflating();
        Ok(message)
    }

    /// Takes a chunk of a message; the message, or a piece of it, when there is one.
    pub(super) fn inflate(&mut self, chunk: &Chunk<'_>) -> Result<Option<Event<'static>>, ProtocolError> {
        // Pieces are short anyway.
        let parts = matches!(self.mode, Mode::Piece | Mode::Frame);
        let room = if parts { usize::MAX } else { self.config.limits.message };
        let filled = self.inflate_part(chunk.kind, chunk.payload, (chunk.first, chunk.last), room)?;
        if chunk.last {
            self.append_last(filled, room)?;
            self.end_inflating();
        }
        match self.mode {
            Mode::Piece | Mode::Frame => self.inflated_part(chunk),
            _ if chunk.last => {
                let len = self.assembler.len();
                self.assembler.finish(chunk.kind, len).map(|message| Some(message.into()))
            }
            _ => Ok(None),
        }
    }

    /// Inflates a part of a message, which may be its `first`, its `last` or both, to a buffer that grows to `room` bytes.
    /// Of the last, as many bytes as are returned stay in the inflater.
    #[inline(never)]
    fn inflate_part(
        &mut self,
        kind: Kind,
        payload: &[u8],
        (first, last): (bool, bool),
        room: usize,
    ) -> Result<usize, ProtocolError> {
        let (Some(_), Some(deflate)) = (self.negotiated.deflate, &self.config.deflate) else {
            return Err(ProtocolError::ReservedBits(RSV1));
        };
        let most = self.config.limits.message;
        let assembler = &mut self.assembler;
        let inflater = self.inflater.get_or_insert_with(|| {
            let mut inflater = deflate.pool.inflater();
            let window = self.decoder.take_window();
            if !window.is_empty() {
                inflater.prime(&window);
            }
            inflater
        });
        if first {
            self.started = false;
            inflater.start();
            assembler.start(kind == Kind::Text && self.config.check_utf8);
        }
        let mut output = Inflated::new(assembler, inflater.front.take(), room, first);
        let filled = if last {
            inflater.finish(payload, most, &mut output)?
        } else {
            inflater.inflate(payload, most, &mut output)?;
            0
        };
        inflater.front = output.end();
        Ok(filled)
    }

    /// Puts a message together with its last bytes, which are in the inflater; `room` as for the bytes before.
    fn append_last(&mut self, filled: usize, room: usize) -> Result<(), ProtocolError> {
        let Some(inflater) = &mut self.inflater else { return Ok(()) };
        let mut output = Inflated::new(&mut self.assembler, inflater.front.take(), room, false);
        output.append(inflater.step(filled))?;
        output.join();
        Ok(())
    }

    /// A message has ended.
    #[inline]
    fn end_inflating(&mut self) {
        let takeover = self.negotiated.deflate.is_some_and(|params| params.peer_takeover);
        if let Some(inflater) = &mut self.inflater {
            inflater.end(takeover);
        }
    }

    /// Behind the last message of an input, tells the pool what was inflated; without context takeover, the codec goes
    /// there. While there is input at hand, the next message may need it again.
    #[inline]
    pub(super) fn settle_inflater(&mut self, input: &[u8]) {
        if input.is_empty() && self.inflater.as_ref().is_some_and(|inflater| inflater.has_ended()) {
            self.return_inflater();
        }
    }

    /// As [`Connection::rest`](crate::Connection::rest).
    pub fn rest(&mut self) {
        let (Some(params), Some(deflate)) = (self.negotiated.deflate, &self.config.deflate) else { return };
        // Inside a message, the codec knows more than its window.
        let Some(mut inflater) = self.inflater.take_if(|_| !self.decoder.in_compressed()) else { return };
        match inflater.take_window(1 << params.peer_window_bits) {
            Some(window) => {
                self.decoder.keep_window(window);
                deflate.pool.give_inflater(inflater);
            }
            None => self.inflater = Some(inflater),
        }
    }

    /// The same, if the codec was of no use since the last call.
    pub(crate) fn rest_if_idle(&mut self) {
        if self.inflater.as_mut().is_some_and(|inflater| !inflater.take_used()) {
            self.rest();
        }
    }

    /// Drops the codec, which may be inside a message; the pool is told of those before.
    pub(super) fn drop_inflater(&mut self) {
        if let (Some(mut inflater), Some(deflate)) = (self.inflater.take(), &self.config.deflate) {
            deflate.pool.count_inflated(&mut inflater);
        }
        self.decoder.take_window();
    }

    fn return_inflater(&mut self) {
        let (Some(params), Some(deflate)) = (self.negotiated.deflate, &self.config.deflate) else { return };
        if params.peer_takeover || self.decoder.in_compressed() {
            if let Some(inflater) = &mut self.inflater {
                deflate.pool.count_inflated(inflater);
            }
        } else if let Some(inflater) = self.inflater.take() {
            deflate.pool.give_inflater(inflater);
        }
    }

    /// What has been inflated, once it is much or ends something.
    fn inflated_part(&mut self, chunk: &Chunk<'_>) -> Result<Option<Event<'static>>, ProtocolError> {
        if !chunk.frame_end && (self.mode == Mode::Frame || self.assembler.len() < LEAST_PIECE) {
            return Ok(None);
        }
        let data = self.assembler.take_part(chunk.kind);
        if chunk.last {
            self.assembler.finish(chunk.kind, 0)?;
        }
        let first = !mem::replace(&mut self.started, true);
        Ok(Some(Event::Piece(Piece { data, first, frame_end: chunk.frame_end, last: chunk.last })))
    }

    /// What has been inflated when the input is used up.
    pub(super) fn inflated_piece(&mut self) -> Option<Event<'static>> {
        let kind = self.decoder.kind().filter(|_| self.assembler.len() > 0)?;
        let data = self.assembler.take_part(kind);
        let first = !mem::replace(&mut self.started, true);
        Some(Event::Piece(Piece { data, first, frame_end: false, last: false }))
    }
}
