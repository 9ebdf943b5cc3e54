//! Bytes to chunks of payload: header spill, fragmentation rules (RFC 6455 §5.2, §5.4, §5.5), limits.

use crate::config::Config;
use crate::error::ProtocolError;
use crate::event::Kind;
use crate::frame::{ControlPayload, Header, MAX_HEADER, OpCode, RSV1};
use crate::mask::Mask;
use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use core::mem;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepted the connection, and its frames are not masked.
    Server,
    /// It opened the connection, and masks its frames.
    Client,
}

/// What the front of the input was.
pub(crate) enum Decoded<'a> {
    /// Part of a message.
    Data(Chunk<'a>),
    /// A whole control frame.
    Control(OpCode, Cow<'a, [u8]>),
}

/// Part of a data frame's payload, unmasked.
pub(crate) struct Chunk<'a> {
    pub(crate) payload: &'a mut [u8],
    pub(crate) kind: Kind,
    pub(crate) compressed: bool,
    /// The message starts here.
    pub(crate) first: bool,
    /// The frame ends here.
    pub(crate) frame_end: bool,
    /// The message ends here.
    pub(crate) last: bool,
}

/// Where the input goes on.
enum State {
    /// In a header, of which these bytes came.
    Header { spill: [u8; MAX_HEADER], len: u8 },
    /// In a payload.
    Payload { opcode: OpCode, fin: bool, started: bool, mask: Mask, remaining: u64 },
}

/// The decoder of one direction: a few bytes, whatever it decodes.
pub(crate) struct Decoder {
    state: State,
    role: Role,
    /// The message under way.
    message: Option<(Kind, bool)>,
    /// Its frames so far.
    fragments: u32,
    /// Its bytes on the wire so far, the frame under way counted whole.
    announced: usize,
    /// A control payload that did not come whole.
    control: Option<Box<ControlPayload>>,
    pub(crate) frames: u64,
}

const START: State = State::Header { spill: [0; MAX_HEADER], len: 0 };

impl Decoder {
    pub(crate) fn new(role: Role) -> Self {
        Self { state: START, role, message: None, fragments: 0, announced: 0, control: None, frames: 0 }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Takes from the front of `input` what makes the next chunk or control frame, at most `most` bytes of a payload;
    /// `None` when all input is taken.
    #[inline]
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
        deflate: bool,
        most: usize,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        if let State::Header { .. } = self.state {
            let Some(header) = self.header(input)? else { return Ok(None) };
            self.begin(&header, config, deflate)?;
        }
        self.payload(input, most)
    }

    /// Takes a header; `None` when all input is taken and more is needed.
    #[inline]
    fn header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, ProtocolError> {
        let State::Header { spill, len } = &mut self.state else { return Ok(None) };
        if *len == 0
            && let Ok(Some((header, len))) = Header::parse(input)
        {
            take(input, len);
            return Ok(Some(header));
        }
        // At most 14 bytes, so one at a time is still linear; and an error takes as many bytes however they are cut.
        while !input.is_empty() {
            spill[usize::from(*len)] = take(input, 1)[0];
            *len += 1;
            if let Some((header, _)) = Header::parse(&spill[..usize::from(*len)])? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Checks a header against the role, the extension, the message under way and the limits, and enters its payload.
    #[inline]
    fn begin(&mut self, header: &Header, config: &Config, deflate: bool) -> Result<(), ProtocolError> {
        match (self.role, header.mask) {
            (Role::Server, None) if config.require_masks => return Err(ProtocolError::Unmasked),
            (Role::Client, Some(_)) => return Err(ProtocolError::Masked),
            _ => {}
        }
        // RFC 7692 §6: RSV1 only on the first frame of a message.
        let first = matches!(header.opcode, OpCode::Text | OpCode::Binary);
        let compressed = header.rsv == RSV1 && deflate && first;
        if header.rsv != 0 && !compressed {
            return Err(ProtocolError::ReservedBits(header.rsv));
        }
        if !header.opcode.is_control() {
            self.begin_data(header, config, compressed)?;
        }
        self.frames += 1;
        let mask = Mask::new(header.mask.unwrap_or_default());
        self.state =
            State::Payload { opcode: header.opcode, fin: header.fin, started: false, mask, remaining: header.length };
        Ok(())
    }

    #[inline]
    fn begin_data(&mut self, header: &Header, config: &Config, compressed: bool) -> Result<(), ProtocolError> {
        match (header.opcode, self.message) {
            (OpCode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
            (OpCode::Continuation, Some(_)) => {}
            (_, Some(_)) => return Err(ProtocolError::InterleavedMessage),
            (opcode, None) => {
                let kind = if opcode == OpCode::Text { Kind::Text } else { Kind::Binary };
                self.message = Some((kind, compressed));
                self.fragments = 0;
                self.announced = 0;
            }
        }
        self.fragments += 1;
        if self.fragments > config.limits.fragments {
            return Err(ProtocolError::TooManyFragments);
        }
        let length = usize::try_from(header.length).map_err(|_| ProtocolError::FrameTooLong)?;
        if length > config.limits.frame {
            return Err(ProtocolError::FrameTooLong);
        }
        self.announced = self.announced.checked_add(length).ok_or(ProtocolError::MessageTooLong)?;
        // What a compressed message inflates to is bounded where it inflates.
        let plain = self.message.is_some_and(|(_, compressed)| !compressed);
        if plain && self.announced > config.limits.message {
            return Err(ProtocolError::MessageTooLong);
        }
        Ok(())
    }

    /// Takes payload, unmasked in place.
    #[inline]
    fn payload<'a>(&mut self, input: &mut &'a mut [u8], most: usize) -> Result<Option<Decoded<'a>>, ProtocolError> {
        let State::Payload { opcode, fin, ref mut started, ref mut mask, ref mut remaining } = self.state else {
            return Ok(None);
        };
        let here = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
        if opcode.is_control() {
            return Ok(self.control(input, here, opcode));
        }
        if here == 0 && *remaining > 0 {
            return Ok(None);
        }
        let here = here.min(most);
        let payload = take(input, here);
        if self.role == Role::Server {
            mask.apply(payload);
        }
        *remaining -= here as u64;
        let frame_end = *remaining == 0;
        let first = opcode != OpCode::Continuation && !mem::replace(started, true);
        Ok(self.chunk(payload, first, frame_end, fin && frame_end).map(Decoded::Data))
    }

    /// A chunk of the message under way; where it ends a frame or the message, that is over.
    #[inline]
    fn chunk<'a>(&mut self, payload: &'a mut [u8], first: bool, frame_end: bool, last: bool) -> Option<Chunk<'a>> {
        let (kind, compressed) = self.message?;
        if frame_end {
            self.state = START;
        }
        if last {
            self.message = None;
        }
        Some(Chunk { payload, kind, compressed, first, frame_end, last })
    }

    /// Takes `here` bytes of a control frame's payload; the frame once it is whole, `None` before.
    fn control<'a>(&mut self, input: &mut &'a mut [u8], here: usize, opcode: OpCode) -> Option<Decoded<'a>> {
        let State::Payload { ref mut mask, ref mut remaining, .. } = self.state else { return None };
        let payload = take(input, here);
        mask.apply(payload);
        *remaining -= here as u64;
        if *remaining > 0 {
            self.control.get_or_insert_default().push(payload)?;
            return None;
        }
        self.state = START;
        let payload = match self.control.take() {
            None => Cow::Borrowed(&*payload),
            Some(mut control) => {
                control.push(payload)?;
                Cow::Owned(Vec::from(&**control))
            }
        };
        Some(Decoded::Control(opcode, payload))
    }

    /// Bytes of the frame under way that have not come, and whether its message ends with it; `None` between data
    /// frames.
    pub(crate) fn under_way(&self) -> Option<(usize, bool)> {
        match self.state {
            State::Payload { opcode, fin, remaining, .. } if !opcode.is_control() => Some((remaining as usize, fin)),
            _ => None,
        }
    }

    /// Whether a message has begun and not ended.
    pub(crate) fn in_message(&self) -> bool {
        self.message.is_some()
    }

    /// Bytes of the message under way that came, as they were on the wire.
    pub(crate) fn arrived(&self) -> usize {
        self.announced - self.under_way().map_or(0, |(remaining, _)| remaining)
    }
}

/// Splits `len` bytes off the front of `input`.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    front
}
