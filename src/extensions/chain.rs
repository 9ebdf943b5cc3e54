//! The stages of a connection, one after the other, and what each may make.

use super::{Decode, Encode, Extension, Output, Part, Refused, Stage};
use crate::message::Kind;
use crate::wire::code::Code;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What one frame may have more than twice what was sent.
const MORE: usize = 64 << 10;

/// The stages that a handshake agreed on, in the order of the server's answer.
#[derive(Debug, Default)]
pub struct Stages(Vec<(Bits, Stage)>);

/// The reserved bits of an extension.
#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    /// On the first frame of a message.
    first: u8,
    /// On those that go on with it.
    later: u8,
}

impl Stages {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends the stage of an extension that is the next of the answer.
    ///
    /// # Errors
    /// The stage, if another has the bits that the extension claims.
    pub fn push(&mut self, extension: &dyn Extension, stage: Stage) -> Result<(), Stage> {
        let first = extension.bits() & 0b111;
        if first & self.bits() != 0 {
            return Err(stage);
        }
        self.0.push((Bits { first, later: if extension.marks_fragments() { first } else { 0 } }, stage));
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reserved bits that they claim.
    pub fn bits(&self) -> u8 {
        self.0.iter().fold(0, |all, (bits, _)| all | bits.first)
    }

    pub(crate) fn part(self) -> (Encoding, Decoding) {
        let (mut encoding, mut decoding) = (Encoding::default(), Decoding::default());
        for (bits, stage) in self.0 {
            encoding.stages.push((bits.first, stage.encode));
            decoding.stages.push((bits, stage.decode, 0));
        }
        (encoding, decoding)
    }
}

/// The way out.
#[derive(Default)]
pub(crate) struct Encoding {
    stages: Vec<(u8, Box<dyn Encode>)>,
    /// Of the message under way.
    kind: Option<Kind>,
}

impl Encoding {
    /// What a frame carries instead of a payload that begins a message of this `kind`, or goes on with one, and the bits that are set.
    pub(crate) fn encode(&mut self, kind: Option<Kind>, last: bool, payload: &[u8]) -> Result<(u8, Vec<u8>), Refused> {
        self.kind = kind.or(self.kind);
        let whole = Part {
            bytes: payload,
            kind: self.kind.unwrap_or(Kind::Binary),
            bits: 0,
            first: kind.is_some(),
            frame_start: true,
            frame_end: true,
            last,
        };
        let (mut rsv, mut made) = (0, Vec::new());
        for (index, (own, stage)) in self.stages.iter_mut().enumerate() {
            let bytes = if index == 0 { payload } else { &made };
            let mut next = Vec::new();
            let most = bytes.len().saturating_mul(2).saturating_add(MORE);
            let mut out = Output { bytes: &mut next, left: most, over: false };
            let bits = stage.encode(Part { bytes, ..whole }, &mut out)?;
            if out.over || bits & !*own != 0 {
                return Err(Refused::new(Code::INTERNAL_ERROR));
            }
            (rsv, made) = (rsv | bits, next);
        }
        Ok((rsv, made))
    }
}

/// The way in.
#[derive(Default)]
pub(crate) struct Decoding {
    /// With each, what it has made of the message under way, in bytes.
    stages: Vec<(Bits, Box<dyn Decode>, usize)>,
    /// Those of the frame under way.
    rsv: u8,
    /// That frame has had its first part.
    in_frame: bool,
}

/// Why there is nothing more of a message.
pub(crate) enum Undecoded {
    /// A stage made more than it may.
    TooLong,
    Refused(Refused),
}

/// Where a part lies in its message, for [`Decoding::decode`].
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) first: bool,
    pub(crate) frame_end: bool,
    pub(crate) last: bool,
}

impl Decoding {
    /// The bits that a data frame may have, by whether it begins a message.
    pub(crate) fn bits(&self, first: bool) -> u8 {
        self.stages.iter().fold(0, |all, (bits, ..)| all | if first { bits.first } else { bits.later })
    }

    /// A data frame with these bits begins.
    pub(crate) fn begin(&mut self, rsv: u8) {
        self.rsv = rsv;
    }

    /// What the stages make of a part; the last, which is the first of the answer, may make `most` bytes of a message, and those
    /// behind it what a compressed one of them may have.
    pub(crate) fn decode(
        &mut self,
        frame: Frame,
        payload: &[u8],
        most: usize,
        wire: usize,
    ) -> Result<Vec<u8>, Undecoded> {
        let Frame { kind, first, frame_end, last } = frame;
        let frame_start = !core::mem::replace(&mut self.in_frame, !frame_end);
        let (mut made, behind) = (Vec::new(), self.stages.len());
        for (index, (bits, stage, before)) in self.stages.iter_mut().enumerate().rev() {
            let bytes = if index + 1 == behind { payload } else { &made };
            let part = Part { bytes, kind, bits: self.rsv & bits.first, first, frame_start, frame_end, last };
            if first {
                *before = 0;
            }
            let most = if index == 0 { most } else { wire };
            let mut next = Vec::new();
            let mut out = Output { bytes: &mut next, left: most.saturating_sub(*before), over: false };
            let decoded = stage.decode(part, &mut out);
            if out.over {
                return Err(Undecoded::TooLong);
            }
            decoded.map_err(Undecoded::Refused)?;
            *before += next.len();
            made = next;
        }
        Ok(made)
    }
}
