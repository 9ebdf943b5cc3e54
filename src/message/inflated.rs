//! Messages that are put together while they are inflated.

use super::assemble::Assembler;
use crate::wire::error::ProtocolError;
use crate::wire::utf8::Checked;
use core::mem;

/// A message that is being inflated: no header says how long it gets.
pub(crate) struct Inflated<'a> {
    assembler: &'a mut Assembler,
    /// What was put aside of it.
    front: Option<Assembler>,
    /// The bytes that its buffers may have together.
    most: usize,
    /// Bytes in the assembler; what is behind them is there to be written over.
    filled: usize,
}

impl<'a> Inflated<'a> {
    /// Goes on with a message, or begins one in what a recycled buffer has.
    pub(crate) fn new(assembler: &'a mut Assembler, front: Option<Assembler>, most: usize, first: bool) -> Self {
        let filled = if first { 0 } else { assembler.len() };
        Self { assembler, front, most, filled }
    }

    /// Whether it is text, which has to be checked, so that nothing of it is inflated in place.
    #[inline]
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.assembler, Assembler::Text(..))
    }

    /// Room for `want` bytes in the message itself, if that is not text, which has to be checked, and stays far from the
    /// most that it may have.
    #[inline]
    pub(crate) fn in_place(&mut self, want: usize) -> Option<&mut [u8]> {
        let Assembler::Bytes(bytes) = &mut *self.assembler else { return None };
        let end = self.filled + want;
        if self.front.is_some() || end > self.most / 4 {
            return None;
        }
        if end > bytes.capacity() {
            bytes.reserve_exact(end.max(bytes.capacity() * 2) - bytes.len());
        }
        if end > bytes.len() {
            bytes.resize(end, 0);
        }
        Some(&mut bytes[self.filled..end])
    }

    /// The first `given` bytes of the room are filled.
    #[inline]
    pub(crate) fn fill(&mut self, given: usize) {
        self.filled += given;
    }

    /// Appends to the message; text is checked.
    #[inline]
    pub(crate) fn append(&mut self, inflated: &[u8]) -> Result<(), ProtocolError> {
        match &mut *self.assembler {
            Assembler::Text(_, utf8) => {
                let Checked { head, text } = utf8.check(inflated)?;
                if let Some(head) = head {
                    self.push(Part::Text(head.encode_utf8(&mut [0; 4])));
                }
                self.push(Part::Text(text));
            }
            Assembler::Bytes(bytes) => {
                bytes.truncate(self.filled);
                self.push(Part::Bytes(inflated));
            }
        }
        self.filled = self.assembler.len();
        Ok(())
    }

    /// The buffer grows while it and the one that it is moved to have `most` bytes together; then it is filled and put
    /// aside as the `front`, and a buffer for the rest takes its place.
    #[inline]
    fn push(&mut self, part: Part<'_>) {
        let (len, capacity) = (self.assembler.len(), self.assembler.capacity());
        let end = len + part.len();
        let mut rest = part;
        if end > capacity {
            let room = end.max(capacity.saturating_mul(2).min(self.most.saturating_sub(capacity)));
            if len > 0 && capacity + room > self.most && self.front.is_none() {
                let fits;
                (fits, rest) = part.split_at(capacity - len);
                fits.append_to(self.assembler);
                let back = self.assembler.split_off();
                self.front = Some(mem::replace(self.assembler, back));
                let len = len + fits.len();
                self.assembler.reserve(rest.len().max(self.most.saturating_sub(len)));
            } else {
                self.assembler.reserve(room - len);
            }
        }
        rest.append_to(self.assembler);
    }

    /// Ends a part of the message; what is put aside of it.
    #[inline]
    pub(crate) fn end(self) -> Option<Assembler> {
        if let Assembler::Bytes(bytes) = self.assembler {
            bytes.truncate(self.filled);
        }
        self.front
    }

    /// Ends the message: puts what was put aside before what was appended since.
    pub(crate) fn join(self) {
        let Some(front) = self.front else { return };
        match (mem::replace(self.assembler, front), self.assembler) {
            (Assembler::Text(back, state), Assembler::Text(text, utf8)) => {
                text.reserve_exact(back.len());
                text.push_str(&back);
                *utf8 = state;
            }
            (Assembler::Bytes(back), Assembler::Bytes(bytes)) => {
                bytes.reserve_exact(back.len());
                bytes.extend_from_slice(&back);
            }
            _ => {}
        }
    }
}

/// What is appended to a message of its kind.
#[derive(Clone, Copy)]
enum Part<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Part<'_> {
    fn len(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Its first `len` bytes, or a few less, lest a character be cut; and the rest.
    fn split_at(self, len: usize) -> (Self, Self) {
        match self {
            Self::Text(text) => {
                let boundary = (0..=len).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
                let (front, back) = text.split_at(boundary);
                (Self::Text(front), Self::Text(back))
            }
            Self::Bytes(bytes) => {
                let (front, back) = bytes.split_at(len);
                (Self::Bytes(front), Self::Bytes(back))
            }
        }
    }

    #[inline]
    fn append_to(self, assembler: &mut Assembler) {
        match (self, assembler) {
            (Self::Text(part), Assembler::Text(text, _)) => text.push_str(part),
            (Self::Bytes(part), Assembler::Bytes(bytes)) => bytes.extend_from_slice(part),
            _ => {}
        }
    }
}
