//! The receiving half: input to events.

#[cfg(feature = "deflate")]
mod compressed;
mod extended;
mod frames;
mod lent;
mod relay;
mod tail;

use crate::changes::Changes;
use crate::config::{Config, Keepalive, Limits, Negotiated, SharedConfig};
use crate::counters::Traffic;
#[cfg(feature = "deflate")]
use crate::deflate::Inflater;
use crate::event::{Event, Fact};
use crate::message::Role;
use crate::message::assemble::{Announced, Assembler};
use crate::message::chunk::Chunk;
use crate::message::{Kind, Message, Piece};
use crate::receive::decode::{Decoded, Decoder, Most};
use crate::wire::close;
use crate::wire::error::{ProtocolError, RelayError};
use crate::wire::frame::{self, OpCode};
#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::{borrow::Cow, vec::Vec};
use core::mem;
use core::num::NonZero;
pub(crate) use lent::Lent;
use lent::message;

/// The receiving half of an open connection: input to events, as in [`Connection`](crate::Connection).
///
/// It writes nothing. Tell the [`Sender`](crate::Sender) each event's [`fact`](Event::fact), and the error that ends
/// the connection as a [`Fact`](crate::Fact) too: pongs and the closing handshake are its work.
pub struct Receiver {
    config: SharedConfig,
    decoder: Decoder,
    assembler: Assembler,
    negotiated: Negotiated,
    /// What becomes of the message under way: chosen when it begins.
    mode: Mode,
    /// Whether the message under way has had its first piece.
    started: bool,
    /// The number of the message of which it was last told that it is under way; 0 for none.
    told: u8,
    /// What becomes of input.
    input: Input,
    bytes: u64,
    /// While a compressed message is under way, and all the time with context takeover.
    #[cfg(feature = "deflate")]
    inflater: Option<Box<Inflater>>,
}

/// Compressed bytes that a piece is inflated from at a time: they make at most 66 KiB (RFC 1951 has no more than 1032 to
/// 1), and a piece has no more than that above what it wants to have at least.
const BITE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Message,
    Piece,
    Frame,
    Relay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Decoded,
    /// The same, and through the stages of extensions.
    Extended,
    Discarded,
    /// The same, and the event or error that ends the connection has been told.
    Ended,
}

impl Receiver {
    pub(crate) fn new(role: Role, config: SharedConfig) -> Self {
        Self {
            config,
            decoder: Decoder::new(role),
            assembler: Assembler::new(),
            negotiated: Negotiated::default(),
            mode: Mode::Message,
            started: false,
            told: 0,
            input: Input::Decoded,
            bytes: 0,
            #[cfg(feature = "deflate")]
            inflater: None,
        }
    }

    /// The opening handshake is done.
    pub(crate) fn open(&mut self, negotiated: Negotiated) {
        self.negotiated = negotiated;
    }

    /// Replaces the settings, before the opening handshake is done.
    pub(crate) fn set_config(&mut self, config: SharedConfig) {
        self.config = config;
    }

    /// As [`Connection::receive`](crate::Connection::receive).
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection; once.
    #[inline(always)]
    pub fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        match self.whole_message(input) {
            Some(result) => result.map(|message| Some(message.into())),
            None if self.is_done(input) => Ok(None),
            None => self.receive_rest(input),
        }
    }

    /// The common case of [`receive`](Self::receive): a message in one frame that came whole, and nothing to inflate.
    #[inline(always)]
    pub(crate) fn whole_message<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Result<Lent<'a>, ProtocolError>> {
        #[cfg(feature = "deflate")]
        if self.inflater.is_some() {
            return None;
        }
        if self.input != Input::Decoded {
            return None;
        }
        let before = input.len();
        let (kind, payload, _) = self.decoder.whole_message(input, &self.config, false)?;
        self.bytes += (before - input.len()) as u64;
        let message = message(kind, payload, self.config.check_utf8);
        if message.is_err() {
            *input = &mut [];
            self.end();
        }
        Some(message)
    }

    /// As [`Connection::is_between_messages`](crate::Connection::is_between_messages).
    pub fn is_between_messages(&self) -> bool {
        self.decoder.is_between()
    }

    /// As [`Connection::missing`](crate::Connection::missing).
    #[doc(hidden)]
    #[inline]
    pub fn missing(&self, input: &[u8]) -> usize {
        match frame::is_whole(input) || self.input != Input::Decoded {
            true => 0,
            false => self.decoder.missing(input, &self.config, self.negotiated.is_compressed()),
        }
    }

    /// Whether there is nothing to say of an `input`, for it is empty, and no more than the input at hand was owed: only
    /// pieces are.
    #[inline]
    pub(crate) fn is_done(&self, input: &[u8]) -> bool {
        input.is_empty() && self.mode != Mode::Piece
    }

    /// Every case of [`receive`](Self::receive).
    #[inline(never)]
    pub(crate) fn receive_rest<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        if let Some(result) = self.within(input) {
            return result.map(|()| None);
        }
        self.watched(input, |receiver, input| receiver.next(input, Mode::Message))
    }

    /// An `input` within a message that is put together. Whether it was that.
    #[inline(always)]
    fn within(&mut self, input: &mut &mut [u8]) -> Option<Result<(), ProtocolError>> {
        if self.mode != Mode::Message || self.input != Input::Decoded {
            return None;
        }
        let chunk = self.decoder.within(input)?;
        self.bytes += chunk.payload.len() as u64;
        let result = self.put_together(chunk);
        if result.is_err() {
            self.end();
        }
        Some(result.map(|_| ()))
    }

    /// As [`Connection::receive_piece`](crate::Connection::receive_piece).
    ///
    /// # Errors
    /// The [`ProtocolError`] that ends the connection; once.
    pub fn receive_piece<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Event<'a>>, ProtocolError> {
        self.watched(input, |receiver, input| receiver.next(input, Mode::Piece))
    }

    /// Discards the input of an ended connection, counts the rest, and ends with an error of the peer's.
    fn watched<'a, T, E: IsFatal>(
        &mut self,
        input: &mut &'a mut [u8],
        receive: impl FnOnce(&mut Self, &mut &'a mut [u8]) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        if !matches!(self.input, Input::Decoded | Input::Extended) {
            *input = &mut [];
            return Ok(None);
        }
        let before = input.len();
        let result = receive(self, input);
        self.bytes += (before - input.len()) as u64;
        if let Err(error) = &result
            && error.is_fatal()
        {
            self.end();
            *input = &mut [];
        }
        // Behind the end, so that no codec that failed inside a message goes to another connection.
        #[cfg(feature = "deflate")]
        self.settle_inflater(input);
        result
    }

    #[inline(always)]
    fn next<'a>(&mut self, input: &mut &'a mut [u8], mode: Mode) -> Result<Option<Event<'a>>, ProtocolError> {
        loop {
            if self.is_done(input) {
                return Ok(None);
            }
            let plain = self.input == Input::Decoded;
            if self.mode == Mode::Message
                && plain
                && let Some(chunk) = self.decoder.fragment(input, &self.config)
            {
                if let Some(message) = self.put_together(chunk)? {
                    return Ok(Some(message.into()));
                }
                continue;
            }
            #[cfg(feature = "deflate")]
            if mode == Mode::Message
                && plain
                && self.negotiated.is_compressed()
                && let Some((kind, payload, compressed)) = self.decoder.whole_message(input, &self.config, true)
            {
                self.mode = mode;
                return match compressed {
                    true => Ok(Some(self.inflate_whole(kind, payload)?.into())),
                    false => message(kind, payload, self.config.check_utf8).map(|message| Some(message.into())),
                };
            }
            match self.decode(input, mode)? {
                #[cfg(feature = "deflate")]
                None if self.mode == Mode::Piece && self.decoder.in_compressed() => return Ok(self.inflated_piece()),
                None => return Ok(None),
                Some(Decoded::Data(chunk)) => {
                    if let Some(event) = self.data(chunk)? {
                        return Ok(Some(event));
                    }
                }
                Some(Decoded::Control(opcode, payload)) => return self.control(opcode, payload).map(Some),
            }
        }
    }

    fn decode<'a>(&mut self, input: &mut &'a mut [u8], mode: Mode) -> Result<Option<Decoded<'a>>, ProtocolError> {
        // A character cut in two is a piece of its own, so that the rest is lent as it lies.
        let most = match (self.mode, mode) {
            (Mode::Piece, _) | (_, Mode::Piece) => {
                let missing = NonZero::new(self.assembler.missing()).filter(|_| !self.decoder.in_compressed());
                Most { plain: missing.map_or(usize::MAX, NonZero::get), compressed: BITE }
            }
            _ => Most::ALL,
        };
        let decoded = self.decoder.next(input, &self.config, self.negotiated.is_compressed(), most)?;
        if let Some(Decoded::Data(Chunk { first: true, .. })) = decoded {
            self.mode = mode;
        }
        Ok(decoded)
    }

    #[cfg_attr(not(feature = "deflate"), allow(unused_mut))]
    fn data<'a>(&mut self, mut chunk: Chunk<'a>) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.mode == Mode::Relay {
            // Its front was passed on, so the rest is of no use here.
            return Ok(None);
        }
        if self.input == Input::Extended {
            return self.extended(chunk);
        }
        #[cfg(feature = "deflate")]
        if chunk.compressed {
            chunk.unmask();
            return self.inflate(&chunk);
        }
        if self.mode == Mode::Frame {
            return self.framed(chunk);
        }
        let check_utf8 = self.config.check_utf8;
        if self.mode == Mode::Piece {
            return Ok(self.piece(chunk, check_utf8)?.map(Event::Piece));
        }
        if chunk.first && chunk.last {
            return message(chunk.kind, chunk.unmasked(), check_utf8).map(|message| Some(message.into()));
        }
        Ok(self.put_together(chunk)?.map(Event::from))
    }

    /// Takes a chunk of a message that is put together; the message, if this was its last.
    #[inline]
    fn put_together(&mut self, chunk: Chunk<'_>) -> Result<Option<Message<'static>>, ProtocolError> {
        let announced = self.announced(chunk.payload.len());
        self.assembler.push(chunk, announced, self.config.check_utf8)
    }

    /// Where a chunk of `len` bytes that was just decoded lies in its message.
    fn announced(&self, len: usize) -> Announced {
        let arrived = self.decoder.arrived();
        let most = match self.decoder.under_way() {
            Some((left, true)) => arrived + left,
            None if !self.decoder.in_message() => arrived,
            _ => self.config.limits.message,
        };
        Announced { before: arrived - len, most }
    }

    /// The piece that a chunk makes, unless it is a few bytes of a character that ends nothing.
    fn piece<'a>(&mut self, chunk: Chunk<'a>, check_utf8: bool) -> Result<Option<Piece<'a>>, ProtocolError> {
        self.started &= !chunk.first;
        let Chunk { kind, first, frame_end, last, .. } = chunk;
        let payload = &*chunk.unmasked();
        let data = match kind {
            Kind::Binary => Message::Binary(Cow::Borrowed(payload)),
            Kind::Text if !check_utf8 => Message::Unchecked(Cow::Borrowed(payload)),
            Kind::Text => {
                if first {
                    self.assembler.start(true);
                }
                let checked = self.assembler.check(payload, last)?;
                Message::Text(match checked.head {
                    Some(head) => Cow::Owned(head.into()),
                    None => Cow::Borrowed(checked.text),
                })
            }
        };
        if data.as_bytes().is_empty() && !frame_end {
            return Ok(None);
        }
        let first = !mem::replace(&mut self.started, true);
        Ok(Some(Piece { data, first, frame_end, last }))
    }

    #[cold]
    fn control<'a>(&mut self, opcode: OpCode, payload: Cow<'a, [u8]>) -> Result<Event<'a>, ProtocolError> {
        Ok(match opcode {
            OpCode::Ping => Event::Ping(payload),
            OpCode::Pong => Event::Pong(payload),
            _ => {
                let close = match &payload {
                    Cow::Borrowed(payload) => close::parse(payload)?,
                    Cow::Owned(payload) => close::parse(payload)?.into_owned(),
                };
                self.end();
                Event::Close(close)
            }
        })
    }

    /// As [`Connection::receive_eof`](crate::Connection::receive_eof).
    ///
    /// # Errors
    /// [`UnexpectedEof`](ProtocolError::UnexpectedEof) if the connection had not ended.
    pub fn receive_eof(&mut self) -> Result<(), ProtocolError> {
        let ended = self.input == Input::Ended;
        self.end();
        if ended { Ok(()) } else { Err(ProtocolError::UnexpectedEof) }
    }

    /// As [`Connection::recycle`](crate::Connection::recycle).
    pub fn recycle(&mut self, spent: Vec<u8>) {
        if !self.decoder.in_message() && self.input == Input::Decoded {
            self.assembler.recycle(spent);
        }
    }

    /// The limits; they count from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.config.to_mut().limits = limits;
    }

    pub(crate) fn change(&mut self, changes: &mut Changes) {
        self.config = changes.of(&self.config);
    }

    /// The deadlines, of which this half keeps none, but says what they count from.
    pub fn set_keepalive(&mut self, keepalive: Keepalive) {
        self.config.to_mut().keepalive = keepalive;
    }

    /// What the [`Sender`](crate::Sender) has to know besides of the message under way, behind whatever was received: whether one
    /// has begun, or ended, that did not come at once. It is only told where [`Keepalive::message`](crate::Keepalive::message) bounds its
    /// time.
    pub fn message_fact(&mut self) -> Option<Fact> {
        self.config.keepalive.message?;
        let number = self.decoder.number();
        match (mem::replace(&mut self.told, number), number) {
            (told, number) if told == number => None,
            (_, 0) => Some(Fact::MessageEnded),
            _ => Some(Fact::MessageBegun),
        }
    }

    /// What has been received.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        Traffic { frames: self.decoder.frames, bytes: self.bytes }
    }

    /// Counts bytes of the opening handshake.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// What the opening handshake agreed on.
    pub fn negotiated(&self) -> Negotiated {
        self.negotiated
    }

    pub(crate) fn role(&self) -> Role {
        self.decoder.role()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Nothing but the end is told from now on, and nothing is kept.
    pub(crate) fn discard(&mut self) {
        if self.input != Input::Ended {
            self.input = Input::Discarded;
        }
        self.assembler = Assembler::new();
        #[cfg(feature = "deflate")]
        self.drop_inflater();
    }

    /// The connection has ended otherwise, as by an error of [`Sender::handle_timeout`](crate::Sender::handle_timeout):
    /// no event or error follows.
    pub fn end(&mut self) {
        self.discard();
        self.input = Input::Ended;
    }
}

/// Whether an error ends the connection it came from.
trait IsFatal {
    fn is_fatal(&self) -> bool;
}

impl IsFatal for ProtocolError {
    #[inline]
    fn is_fatal(&self) -> bool {
        true
    }
}

impl IsFatal for RelayError {
    fn is_fatal(&self) -> bool {
        matches!(self, Self::Peer(_))
    }
}
