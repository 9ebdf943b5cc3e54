//! Compressed messages to plain ones (RFC 7692 §7.2.2).

use super::TAIL;
use super::counts::Compressed;
use super::window::{said_again, said_len};
use crate::message::{assemble::Assembler, inflated::Inflated};
use crate::wire::error::{ProtocolError, said};
use alloc::{boxed::Box, vec, vec::Vec};
use core::mem;
use zlib_rs::{InflateFlush, Status};

/// Bytes that are inflated in one step, where they are not inflated in place: 16 KiB, and what keeps the codec on its
/// quick path up to there. With its state of 47.5 KiB, that is as much as fits into 64 KiB.
const STEP: usize = (16 << 10) + LAST;

/// The most compressed bytes that are inflated together with the tail. They are copied for that, to the
/// end of the step, so that fewer are where the step takes what comes out too.
const END: usize = 1 << 10;
const END_IN_PLACE: usize = 8 << 10;

/// Room for each byte that is inflated in place; most messages need less.
const RATIO: usize = 4;

/// The codec leaves its quick path 258 bytes before the end of its room.
const LAST: usize = 264;

/// Bytes behind the tail: with so many at hand, the codec takes its quick path up to the end.
const SPARE: usize = 16;

/// Compressed messages to plain ones.
pub(crate) struct Inflater {
    stream: Inflate,
    /// Bytes of the message under way that came.
    taken: usize,
    /// Messages that the pool has not been told of, if there are any.
    pub(super) messages: Option<Compressed>,
    /// What was put aside of the message under way.
    pub(crate) front: Option<Assembler>,
    used: bool,
    step: [u8; STEP],
}

/// The codec of an [`Inflater`].
struct Inflate {
    codec: zlib_rs::Inflate,
    /// Bytes of the window that were handed in.
    primed: usize,
    /// Bytes of the message under way that came out.
    given: usize,
    /// A block that says it is the last was, and nothing came behind it.
    ended: bool,
}

impl Inflater {
    pub(super) fn new() -> Box<Self> {
        // It inflates what was deflated with any window.
        let codec = zlib_rs::Inflate::new(false, 15);
        let stream = Inflate { codec, primed: 0, given: 0, ended: false };
        Box::new(Self { stream, taken: 0, messages: None, front: None, used: false, step: [0; STEP] })
    }

    /// Begins a message.
    pub(crate) fn start(&mut self) {
        self.used = true;
        (self.taken, self.stream.given, self.stream.ended) = (0, 0, false);
    }

    /// Ends a message; with `takeover` the next one may refer to it, else the codec forgets it.
    #[inline]
    pub(crate) fn end(&mut self, takeover: bool) {
        self.messages.get_or_insert_default().count(self.stream.given, self.taken);
        if !takeover {
            self.stream.forget();
        }
    }

    /// Whether it has inflated messages of which the pool has not been told.
    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.messages.is_some()
    }

    /// Whether it was of use since the last call.
    pub(crate) fn take_used(&mut self) -> bool {
        mem::take(&mut self.used)
    }

    /// The last of what was inflated, at most `most` bytes, between two messages; the codec knows nothing of it any more.
    /// `None` if it does not tell, as no codec between two messages does.
    pub(crate) fn take_window(&mut self, most: usize) -> Option<Vec<u8>> {
        let codec = &mut self.stream.codec;
        let len = most.min(self.stream.primed.saturating_add(codec.total_out() as usize));
        let mut window = vec![0; said_len(len)];
        if len > 0 {
            let before = codec.total_out();
            codec.decompress(&said_again(len), &mut window, InflateFlush::SyncFlush).ok()?;
            if codec.total_out() - before != window.len() as u64 {
                return None;
            }
        }
        window.truncate(len);
        window.shrink_to_fit();
        self.stream.forget();
        Some(window)
    }

    /// Goes on behind a window that was taken.
    pub(crate) fn prime(&mut self, window: &[u8]) {
        // A raw stream takes any (RFC 1951 has no name for one).
        let primed = self.stream.codec.set_dictionary(window);
        debug_assert!(primed.is_ok());
        self.stream.primed = window.len();
    }

    /// Inflates `input` to `output`, until that is more than `most` bytes of a message.
    pub(crate) fn inflate(
        &mut self,
        mut input: &[u8],
        most: usize,
        output: &mut Inflated<'_>,
    ) -> Result<(), ProtocolError> {
        self.taken += input.len();
        let (mut filled, mut full) = (0, false);
        while full || !input.is_empty() {
            let step = self.stream.step(input, InflateFlush::SyncFlush, &mut self.step, &mut filled, most, output)?;
            input = &input[step.taken..];
            // What did not fit is still to come.
            full = step.full;
        }
        output.append(&self.step[..filled])
    }

    /// Inflates the end of a message, and what its sender left out (RFC 7692 §7.2.2). One that ends inside a block is
    /// found out. How much of it is left in the step, not appended to `output`: all of a short one.
    #[inline]
    pub(crate) fn finish(
        &mut self,
        input: &[u8],
        most: usize,
        output: &mut Inflated<'_>,
    ) -> Result<usize, ProtocolError> {
        let most_at_once = if output.is_text() { END } else { END_IN_PLACE };
        let back = if input.len() > most_at_once {
            self.inflate(input, most, output)?;
            &[]
        } else {
            input
        };
        self.taken += back.len();
        let end = back.len() + TAIL.len();
        let (step, input) = self.step.split_at_mut(STEP - SPARE - end);
        input[..back.len()].copy_from_slice(back);
        input[back.len()..end].copy_from_slice(&TAIL);
        input[end..].fill(0xFF);
        let mut filled = 0;
        // Some send nothing for nothing, instead of an empty block.
        let mut at = if self.taken == 0 { end } else { 0 };
        let (mut until, mut full) = (end, false);
        while (at < until || full) && !(self.stream.ended && at == back.len()) {
            let step = self.stream.step(&input[at..], InflateFlush::Block, step, &mut filled, most, output)?;
            at += step.taken;
            full = step.full;
            // No step goes from one block to the next, and the tail makes one that is empty.
            if at > back.len() && (at, step.given) != (end, 0) {
                // All that comes out counts, so that no cutting of the input makes it another error.
                until = input.len();
            }
        }
        if until > end {
            output.append(&self.step[..filled])?;
            return Err(ProtocolError::CorruptDeflate);
        }
        Ok(filled)
    }

    /// The first bytes of the step.
    #[inline]
    pub(crate) fn step(&self, filled: usize) -> &[u8] {
        &self.step[..filled]
    }
}

/// What one call of the codec did.
struct Step {
    taken: usize,
    given: usize,
    /// There was no room for more.
    full: bool,
}

impl Inflate {
    /// As if nothing had been inflated.
    fn forget(&mut self) {
        self.codec.reset(false);
        self.primed = 0;
    }

    /// One call of the codec: in place, or to what is not `filled` of `step`, which is appended to `output` when there is
    /// little room left.
    #[inline]
    fn step(
        &mut self,
        input: &[u8],
        flush: InflateFlush,
        step: &mut [u8],
        filled: &mut usize,
        most: usize,
        output: &mut Inflated<'_>,
    ) -> Result<Step, ProtocolError> {
        let (before, out) = (self.codec.total_in(), self.codec.total_out());
        let room = most.saturating_sub(self.given);
        let want = input.len().saturating_mul(RATIO).saturating_add(LAST);
        // What is in the step comes first.
        let in_place = if *filled == 0 && want <= room { output.in_place(want) } else { None };
        let is_in_place = in_place.is_some();
        let buffer = in_place.unwrap_or(&mut step[*filled..]);
        let status = self.codec.decompress(input, buffer, flush);
        let taken = (self.codec.total_in() - before) as usize;
        let given = (self.codec.total_out() - out) as usize;
        let unused = buffer.len() - given;
        self.ended = status == Ok(Status::StreamEnd);
        if self.ended {
            // RFC 7692 §7.2.3.4: a block may say that it is the last, and others follow.
            self.forget();
        }
        self.given += given;
        let corrupt = match status {
            Ok(Status::BufError) => !input.is_empty(),
            Ok(_) => false,
            Err(_) => true,
        };
        if is_in_place {
            output.fill(given);
        } else {
            *filled += given;
            let over = given.saturating_sub(room);
            if over > 0 || corrupt || unused < LAST {
                // What comes out before an error counts, so that no cutting of the input makes it another.
                output.append(&step[..*filled - over])?;
                *filled = 0;
            }
            if over > 0 {
                // Not what came in all, which depends on how the input was cut.
                return Err(ProtocolError::MessageTooLong { len: said(most).saturating_add(1), limit: said(most) });
            }
        }
        if corrupt { Err(ProtocolError::CorruptDeflate) } else { Ok(Step { taken, given, full: unused == 0 }) }
    }
}
