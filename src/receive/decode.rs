//! Bytes to chunks of payload: header spill, fragmentation rules (RFC 6455 §5.2, §5.4, §5.5), limits.

use crate::config::Config;
use crate::extensions::Decoding;
use crate::message::chunk::Chunk;
use crate::message::{Kind, LONGEST, Role};
use crate::seen::{self, Way};
use crate::wire::error::{ProtocolError, said};
use crate::wire::frame::{ControlPayload, Extent, Header, MAX_HEADER, OpCode, RSV1, Start};
use crate::wire::mask::Mask;
use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use core::mem;

/// What the front of the input was.
pub(crate) enum Decoded<'a> {
    /// Part of a message.
    Data(Chunk<'a>),
    /// A whole control frame.
    Control(OpCode, Cow<'a, [u8]>),
}

/// How many bytes of a payload to take at once.
#[derive(Clone, Copy)]
pub(crate) struct Most {
    pub(crate) plain: usize,
    pub(crate) compressed: usize,
}

impl Most {
    pub(crate) const ALL: Self = Self { plain: usize::MAX, compressed: usize::MAX };
}

/// Where the input goes on.
enum State {
    /// In a header, of which these bytes came.
    Header { spill: [u8; MAX_HEADER], len: u8 },
    /// In a payload.
    Payload { opcode: OpCode, fin: bool, started: bool, mask: Mask, remaining: usize },
}

/// The message under way.
#[derive(Clone, Copy)]
struct Message {
    kind: Kind,
    compressed: bool,
}

/// The decoder of one direction: a few bytes, whatever it decodes.
pub(crate) struct Decoder {
    state: State,
    role: Role,
    message: Option<Message>,
    /// Its frames so far.
    fragments: u32,
    /// Its bytes on the wire so far, the frame under way counted whole.
    announced: usize,
    /// What few connections have.
    rare: Option<Box<Rare>>,
    pub(crate) frames: u64,
    /// The number of the latest message that did not come whole in one frame; it wraps, and is never 0.
    number: u8,
}

#[derive(Default)]
struct Rare {
    /// A control payload that did not come whole.
    control: Option<ControlPayload>,
    extended: Option<Decoding>,
    /// What compressed messages may refer to, while no codec knows it.
    #[cfg(feature = "deflate")]
    window: Vec<u8>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if !self.window.is_empty() {
            return false;
        }
        self.control.is_none() && self.extended.is_none()
    }
}

const START: State = State::Header { spill: [0; MAX_HEADER], len: 0 };

impl Decoder {
    pub(crate) fn new(role: Role) -> Self {
        Self { state: START, role, message: None, fragments: 0, announced: 0, rare: None, frames: 0, number: 0 }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Takes a message that came whole, in one frame, from the front of `input`: the common case, where nothing has to be
    /// remembered. Whatever else is there, and every error, is for [`next`](Self::next) to find. Whether messages may be
    /// `compressed` was negotiated; so is this one, if the last of what is returned says so.
    #[inline(always)]
    pub(crate) fn whole_message<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
        compressed: bool,
    ) -> Option<(Kind, &'a mut [u8], bool)> {
        let (&[first, second], rest) = input.split_first_chunk()?;
        let (kind, compressed) = match first {
            0x81 => (Kind::Text, false),
            0x82 => (Kind::Binary, false),
            0xC1 if compressed => (Kind::Text, true),
            0xC2 if compressed => (Kind::Binary, true),
            _ => return None,
        };
        let State::Header { len: 0, .. } = self.state else { return None };
        let Extent { mask, length, header } = Extent::parse(second, rest).ok()??;
        let most = longest(config, compressed).min(input.len() - header);
        if self.message.is_some() || mask.is_some() != (self.role == Role::Server) || length > most as u64 {
            return None;
        }
        take(input, header);
        let payload = take(input, length as usize);
        if let Some(key) = mask {
            Mask::new(key).apply(payload);
        }
        self.note_frame(true, kind.opcode(), length);
        Some((kind, payload, compressed))
    }

    #[inline(always)]
    fn note_frame(&mut self, fin: bool, opcode: OpCode, len: u64) {
        self.frames += 1;
        seen::frame(Way::Received, fin, opcode, len);
    }

    /// How many bytes behind `input` the frame at its front lacks, as far as is known, if whole it could be lent as it
    /// lies; 0 for every other frame, and for what [`next`](Self::next) has an error for.
    #[cold]
    pub(crate) fn missing(&self, input: &[u8], config: &Config, compressed: bool) -> usize {
        let State::Header { len: 0, .. } = self.state else { return 0 };
        // Nothing is known of a frame by its first byte, but that a second one follows.
        let Some((bytes, rest)) = input.split_first_chunk() else { return input.len() };
        let Ok(start) = Start::parse(*bytes) else { return 0 };
        let most = match start.opcode.is_control() {
            true => u64::MAX,
            false if start.fin && self.message.is_none() => longest(config, start.rsv != 0).min(LONGEST) as u64,
            false => return 0,
        };
        if self.check(start, config, compressed).is_err() {
            return 0;
        }
        let whole = match start.finish(rest) {
            Ok(Some((header, len))) if header.length <= most => len.saturating_add(header.length as usize),
            Ok(None) => Start::header_len(bytes[1]),
            _ => 0,
        };
        whole.saturating_sub(input.len())
    }

    /// Takes all of an `input` that lies within a plain payload, and neither begins nor ends it: the other common case, of
    /// messages that reads cut.
    #[inline(always)]
    pub(crate) fn within<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Chunk<'a>> {
        let State::Payload { opcode, started, ref mut mask, ref mut remaining, .. } = self.state else { return None };
        let Some(Message { kind, compressed: false }) = self.message else { return None };
        // A control frame has no part here, for it starts nothing; nor has the front of a message.
        if !(started || opcode == OpCode::Continuation) || input.is_empty() || input.len() >= *remaining {
            return None;
        }
        let payload = mem::take(input);
        let of_payload = (self.role == Role::Server).then_some(*mask);
        mask.skip(payload.len());
        *remaining -= payload.len();
        Some(Chunk { payload, mask: of_payload, kind, compressed: false, first: false, frame_end: false, last: false })
    }

    /// Takes a fragment that came whole, and goes on with a plain message: the common case of messages in many frames.
    #[inline(always)]
    pub(crate) fn fragment<'a>(&mut self, input: &mut &'a mut [u8], config: &Config) -> Option<Chunk<'a>> {
        let (&[first, second], rest) = input.split_first_chunk()?;
        let last = match first {
            0x00 => false,
            0x80 => true,
            _ => return None,
        };
        let State::Header { len: 0, .. } = self.state else { return None };
        let Some(Message { kind, compressed: false }) = self.message else { return None };
        let Extent { mask, length, header } = Extent::parse(second, rest).ok()??;
        let limits = &config.limits;
        let most = limits.message.checked_sub(self.announced)?.min(limits.frame).min(input.len() - header);
        if mask.is_some() != (self.role == Role::Server) || length > most as u64 || self.fragments >= limits.fragments {
            return None;
        }
        take(input, header);
        let payload = take(input, length as usize);
        self.note_frame(last, OpCode::Continuation, length);
        self.fragments += 1;
        self.announced += payload.len();
        if last {
            self.message = None;
        }
        Some(Chunk { payload, mask: mask.map(Mask::new), kind, compressed: false, first: false, frame_end: true, last })
    }

    /// Takes from the front of `input` what makes the next chunk or control frame; `None` when all input is taken.
    /// Whether messages may be `compressed` was negotiated.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        config: &Config,
        compressed: bool,
        most: Most,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        if let State::Header { .. } = self.state {
            let Some(header) = self.header(input, config, compressed)? else { return Ok(None) };
            let remaining = self.begin(&header, config)?;
            let Header { opcode, fin, mask, length, .. } = header;
            self.note_frame(fin, opcode, length);
            let mask = Mask::new(mask.unwrap_or_default());
            self.state = State::Payload { opcode, fin, started: false, mask, remaining };
        }
        Ok(self.payload(input, most))
    }

    /// Takes a header; `None` when all input is taken and more is needed.
    fn header(
        &mut self,
        input: &mut &mut [u8],
        config: &Config,
        compressed: bool,
    ) -> Result<Option<Header>, ProtocolError> {
        if let State::Header { len: 0, .. } = self.state
            && let Some((start, rest)) = input.split_first_chunk()
        {
            let start = Start::parse(*start)?;
            self.check(start, config, compressed)?;
            if let Some((header, len)) = start.finish(rest)? {
                take(input, len);
                return Ok(Some(header));
            }
        }
        // The first two bytes say how many there are.
        while let State::Header { spill, len } = &mut self.state {
            let have = usize::from(*len);
            let want = if have < 2 { 2 } else { Start::header_len(spill[1]) };
            let more = input.len().min(want - have);
            spill[have..have + more].copy_from_slice(take(input, more));
            *len += more as u8;
            if have + more < want {
                return Ok(None);
            }
            let (spill, [first, second, ..]) = (*spill, *spill);
            let start = Start::parse([first, second])?;
            if want == 2 {
                self.check(start, config, compressed)?;
            }
            if let Some((header, _)) = start.finish(&spill[2..want])? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The rules of a header that the role, the extension and the message under way make.
    fn check(&self, start: Start, config: &Config, compressed: bool) -> Result<(), ProtocolError> {
        if start.is_masked() != (self.role == Role::Server) {
            match self.role {
                Role::Client => return Err(ProtocolError::Masked),
                Role::Server if config.require_masks => return Err(ProtocolError::Unmasked),
                Role::Server => {}
            }
        }
        // RFC 7692 §6: RSV1 only on the first frame of a message.
        let first = matches!(start.opcode, OpCode::Text | OpCode::Binary);
        if start.rsv != 0 && !(start.rsv == RSV1 && compressed && first) && !self.is_extended_by(start, compressed) {
            return Err(ProtocolError::ReservedBits(start.rsv));
        }
        match (start.opcode, self.message) {
            (OpCode::Continuation, None) => Err(ProtocolError::UnexpectedContinuation),
            (OpCode::Text | OpCode::Binary, Some(_)) => Err(ProtocolError::InterleavedMessage),
            _ => Ok(()),
        }
    }

    /// Whether all reserved bits of a header are such as extensions claim, beside compression.
    #[cold]
    fn is_extended_by(&self, start: Start, compressed: bool) -> bool {
        let first = start.opcode != OpCode::Continuation;
        let deflate = if compressed && first { RSV1 } else { 0 };
        let claimed = self.extended().map_or(0, |extended| extended.bits(first));
        !start.opcode.is_control() && start.rsv & !(claimed | deflate) == 0
    }

    fn extended(&self) -> Option<&Decoding> {
        self.rare.as_deref()?.extended.as_ref()
    }

    /// The stages that data goes through.
    pub(crate) fn extended_mut(&mut self) -> Option<&mut Decoding> {
        self.rare.as_deref_mut()?.extended.as_mut()
    }

    /// Holds nothing for what there is nothing of.
    fn settle_rare(&mut self) {
        self.rare.take_if(|rare| rare.is_empty());
    }

    /// Keeps what compressed messages may refer to.
    #[cfg(feature = "deflate")]
    pub(crate) fn keep_window(&mut self, window: Vec<u8>) {
        self.rare.get_or_insert_default().window = window;
        self.settle_rare();
    }

    /// That, if it is kept here.
    #[cfg(feature = "deflate")]
    pub(crate) fn take_window(&mut self) -> Vec<u8> {
        let window = self.rare.as_deref_mut().map(|rare| mem::take(&mut rare.window)).unwrap_or_default();
        self.settle_rare();
        window
    }

    /// Whether it is.
    #[cfg(feature = "deflate")]
    pub(crate) fn has_window(&self) -> bool {
        self.rare.as_deref().is_some_and(|rare| !rare.window.is_empty())
    }

    /// Data goes through these stages.
    pub(crate) fn extend(&mut self, stages: Decoding) {
        self.rare.get_or_insert_default().extended = Some(stages);
    }

    /// Begins a frame, and with one of data perhaps a message, within the limits; the length of its payload.
    fn begin(&mut self, header: &Header, config: &Config) -> Result<usize, ProtocolError> {
        // What does not fit is beyond every limit.
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if header.opcode.is_control() {
            return Ok(length);
        }
        let message = self.message.unwrap_or_else(|| {
            (self.fragments, self.announced) = (0, 0);
            self.number = self.number.wrapping_add(1).max(1);
            let kind = if header.opcode == OpCode::Text { Kind::Text } else { Kind::Binary };
            let compressed = header.rsv & RSV1 & !self.extended().map_or(0, |extended| extended.bits(true)) != 0;
            Message { kind, compressed }
        });
        self.fragments += 1;
        let limits = &config.limits;
        if self.fragments > limits.fragments.max(1) {
            return Err(ProtocolError::TooManyFragments { limit: limits.fragments.max(1) });
        }
        if length > limits.frame {
            return Err(ProtocolError::FrameTooLong { len: said(header.length), limit: said(limits.frame) });
        }
        self.announced = self.announced.saturating_add(length);
        // What extensions make of it has a limit of its own.
        let on_wire = limits.on_wire(message.compressed || self.rare.is_some() && self.extended().is_some());
        if self.announced > on_wire.min(LONGEST) {
            return Err(ProtocolError::MessageTooLong { len: said(self.announced), limit: said(limits.message) });
        }
        self.message = Some(message);
        if let Some(extended) = self.extended_mut() {
            extended.begin(header.rsv);
        }
        Ok(length)
    }

    /// Takes payload of the frame under way, unmasked in place.
    fn payload<'a>(&mut self, input: &mut &'a mut [u8], most: Most) -> Option<Decoded<'a>> {
        let State::Payload { opcode, fin, ref mut started, ref mut mask, ref mut remaining } = self.state else {
            return None;
        };
        let here = input.len().min(*remaining);
        if opcode.is_control() {
            return self.control(input, here, opcode);
        }
        if here == 0 && *remaining > 0 {
            return None;
        }
        let Message { kind, compressed } = self.message?;
        let here = here.min(if compressed { most.compressed } else { most.plain });
        let payload = take(input, here);
        let of_payload = (self.role == Role::Server).then_some(*mask);
        mask.skip(here);
        *remaining -= here;
        let frame_end = *remaining == 0;
        let first = opcode != OpCode::Continuation && !mem::replace(started, true);
        let last = fin && frame_end;
        if frame_end {
            self.state = START;
        }
        if last {
            self.message = None;
        }
        Some(Decoded::Data(Chunk { payload, mask: of_payload, kind, compressed, first, frame_end, last }))
    }

    /// Takes `here` bytes of a control frame's payload; the frame once it is whole, `None` before.
    fn control<'a>(&mut self, input: &mut &'a mut [u8], here: usize, opcode: OpCode) -> Option<Decoded<'a>> {
        let State::Payload { ref mut mask, ref mut remaining, .. } = self.state else { return None };
        let payload = take(input, here);
        mask.apply(payload);
        *remaining -= here;
        if *remaining > 0 {
            self.rare.get_or_insert_default().control.get_or_insert_default().push(payload)?;
            return None;
        }
        self.state = START;
        let control = self.rare.as_deref_mut().and_then(|rare| rare.control.take());
        self.settle_rare();
        let payload = match control {
            None => Cow::Borrowed(&*payload),
            Some(mut control) => {
                control.push(payload)?;
                Cow::Owned(Vec::from(&*control))
            }
        };
        Some(Decoded::Control(opcode, payload))
    }

    /// Bytes of the frame under way that have not come, and whether its message ends with it; `None` between data
    /// frames.
    #[inline]
    pub(crate) fn under_way(&self) -> Option<(usize, bool)> {
        match self.state {
            State::Payload { opcode, fin, remaining, .. } if !opcode.is_control() => Some((remaining, fin)),
            _ => None,
        }
    }

    /// Whether neither a message nor a frame has begun.
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.state, State::Header { len: 0, .. }) && !self.in_message()
    }

    /// Whether a message has begun and not ended.
    pub(crate) fn in_message(&self) -> bool {
        self.message.is_some()
    }

    /// Its number, which its neighbours do not have; 0 where none is under way.
    pub(crate) fn number(&self) -> u8 {
        if self.in_message() { self.number } else { 0 }
    }

    /// What that message is.
    #[cfg(feature = "deflate")]
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.message.map(|message| message.kind)
    }

    /// Whether that message is compressed.
    pub(crate) fn in_compressed(&self) -> bool {
        self.message.is_some_and(|message| message.compressed)
    }

    /// Bytes of the message under way that came, as they were on the wire.
    pub(crate) fn arrived(&self) -> usize {
        self.announced - self.under_way().map_or(0, |(remaining, _)| remaining)
    }
}

/// The most bytes that the frame of a message in one frame may have.
#[inline(always)]
fn longest(config: &Config, compressed: bool) -> usize {
    config.limits.frame.min(config.limits.on_wire(compressed))
}

/// Splits `len` bytes off the front of `input`.
#[inline]
fn take<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = mem::take(input).split_at_mut(len);
    *input = rest;
    front
}
