//! permessage-deflate (RFC 7692): the codecs, and the pool they come from. The negotiation is in
//! [`handshake`](crate::handshake).
//!
//! The codec is zlib-rs itself, not under flate2, which hides the memory level.

use crate::message::{assemble::Assembler, inflated::Inflated};
use crate::wire::error::ProtocolError;
use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};
use core::fmt;
use std::sync::{Mutex, PoisonError};
use zlib_rs::{DeflateConfig, DeflateFlush, InflateFlush, Method, Status, Strategy};

/// What ends every compressed message, and is left out of it (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

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

/// The least window that zlib can deflate raw with; it takes 8 for 9, which a peer of 8 cannot inflate.
pub(crate) const LEAST_WINDOW_BITS: u8 = 9;

/// Settings of permessage-deflate, for [`Config::deflate`](crate::Config::deflate). A number outside of its range counts as
/// the nearest in it.
///
/// ```
/// use sockless::{Config, Deflate};
///
/// let mut config = Config::default();
/// config.deflate = Some(Deflate::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The effort, 1 to 9.
    pub level: u8,
    /// The memory that zlib takes for its output, 1 to 9.
    pub mem_level: u8,
    /// Bytes; shorter messages go plain.
    pub threshold: usize,
    /// The window that messages are deflated with at most, 9 to 15: the logarithm of its bytes.
    pub window_bits: u8,
    /// The window that the peer may use, 9 to 15. A server tells a client that can be told; a client asks for less than 15,
    /// and fails where the answer is without it: [`HandshakeError::Parameter`](crate::HandshakeError::Parameter).
    pub peer_window_bits: u8,
    /// Whether messages refer to those before them: better compressed, at the cost of a codec held all the time.
    pub takeover: bool,
    /// Whether the peer's messages may.
    pub peer_takeover: bool,
    /// Where codecs come from while a message is under way; clones share it.
    pub pool: Pool,
}

impl Deflate {
    /// 1: a third of the time of 3 and more, for JSON of 1 KiB, at three quarters of its gain.
    pub const LEVEL: u8 = 1;
    /// 5: no message of a few KiB gains by more.
    pub const MEM_LEVEL: u8 = 5;
    /// 256 bytes: shorter ones gain less than a packet's overhead.
    pub const THRESHOLD: usize = 256;
    /// 12, which is 4 KiB: most of what 15 gains on messages without context takeover.
    pub const WINDOW_BITS: u8 = 12;
    /// 15, which is any: what the peer's window is takes no memory here, and a client that asks for less has to refuse the
    /// servers that leave it out of their answer, as gorilla's and libwebsockets do.
    pub const PEER_WINDOW_BITS: u8 = 15;
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: Self::LEVEL,
            mem_level: Self::MEM_LEVEL,
            threshold: Self::THRESHOLD,
            window_bits: Self::WINDOW_BITS,
            peer_window_bits: Self::PEER_WINDOW_BITS,
            takeover: false,
            peer_takeover: false,
            pool: Pool::default(),
        }
    }
}

/// What two ends agreed on (RFC 7692 §7.1). [`Negotiated`](crate::Negotiated) takes those that are in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// The window that this end deflates with, 8 to 15: the logarithm of its bytes. With 8, which the codec does not have,
    /// its messages go plain.
    pub window_bits: u8,
    /// The window that the peer deflates with, 8 to 15.
    pub peer_window_bits: u8,
    /// Whether this end's messages refer to those before them.
    pub takeover: bool,
    /// Whether the peer's do.
    pub peer_takeover: bool,
}

/// Whether a message is compressed, where compression is negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// If it is as long as [`Deflate::threshold`].
    #[default]
    Auto,
    /// However short it is; still not one that would grow.
    Always,
    /// Not at all: it would not gain, or holds a secret beside what an attacker may choose.
    Never,
}

/// Codecs for the connections of a loop, a worker or a process.
///
/// A connection without context takeover takes one while a compressed message is under way, and gives it back.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    codecs: Mutex<Codecs>,
    most: usize,
}

#[derive(Default)]
#[allow(clippy::vec_box)] // They move in and out for each message, as pointers.
struct Codecs {
    inflaters: Vec<Box<Inflater>>,
    deflaters: Vec<Box<Deflater>>,
    inflated: Compressed,
    deflated: Compressed,
}

/// Bytes of messages before and after compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressed {
    /// As they are.
    pub plain: u64,
    /// As they are on the wire.
    pub compressed: u64,
}

impl Compressed {
    fn count(&mut self, plain: usize, compressed: usize) {
        self.add(Self { plain: plain as u64, compressed: compressed as u64 });
    }

    fn add(&mut self, other: Self) {
        self.plain += other.plain;
        self.compressed += other.compressed;
    }
}

impl Pool {
    /// A pool that keeps at most `most` idle codecs of each kind: 60 KiB to inflate, 170 KiB to deflate with the default
    /// settings.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Shared { codecs: Mutex::default(), most }))
    }

    /// The messages that its connections have inflated.
    pub fn inflated(&self) -> Compressed {
        self.with(|codecs| codecs.inflated)
    }

    /// The messages that its connections have deflated.
    pub fn deflated(&self) -> Compressed {
        self.with(|codecs| codecs.deflated)
    }

    /// Counts the messages of an inflater that its connection keeps.
    pub(crate) fn count_inflated(&self, inflater: &mut Inflater) {
        self.with(|codecs| codecs.inflated.add(inflater.messages.take().unwrap_or_default()));
    }

    /// Counts a message whose deflater its connection keeps.
    pub(crate) fn count_deflated(&self, plain: usize, compressed: usize) {
        self.with(|codecs| codecs.deflated.count(plain, compressed));
    }

    #[inline]
    pub(crate) fn inflater(&self) -> Box<Inflater> {
        self.with(|codecs| codecs.inflaters.pop()).unwrap_or_else(Inflater::new)
    }

    /// A deflater whose window has `window_bits`; it knows no message.
    pub(crate) fn deflater(&self, window_bits: u8, deflate: &Deflate) -> Box<Deflater> {
        let key = (window_bits, deflate.level, deflate.mem_level);
        self.with(|codecs| {
            let index = codecs.deflaters.iter().position(|deflater| deflater.key == key)?;
            Some(codecs.deflaters.swap_remove(index))
        })
        .unwrap_or_else(|| Deflater::new(key))
    }

    /// Takes an inflater back that knows no message any more, and counts those that it inflated.
    pub(crate) fn give_inflater(&self, mut inflater: Box<Inflater>) {
        self.with(|codecs| {
            codecs.inflated.add(inflater.messages.take().unwrap_or_default());
            if codecs.inflaters.len() < self.0.most {
                codecs.inflaters.push(inflater);
            }
        });
    }

    /// Takes a deflater back, and counts its message.
    pub(crate) fn give_deflater(&self, mut deflater: Box<Deflater>, plain: usize, compressed: usize) {
        deflater.shrink();
        self.with(|codecs| {
            codecs.deflated.count(plain, compressed);
            if codecs.deflaters.len() < self.0.most {
                codecs.deflaters.push(deflater);
            }
        });
    }

    fn with<T>(&self, then: impl FnOnce(&mut Codecs) -> T) -> T {
        // Only codecs that know no message are in it, whatever panicked.
        then(&mut self.0.codecs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Pool {
    /// Keeps four of each: a loop deflates one message at a time, and few are being inflated at once.
    fn default() -> Self {
        Self::new(4)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.0.most).finish_non_exhaustive()
    }
}

/// Pools are equal that are the same.
impl PartialEq for Pool {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pool {}

/// Compressed messages to plain ones.
pub(crate) struct Inflater {
    stream: Inflate,
    /// Bytes of the message under way that came.
    taken: usize,
    /// Messages that the pool has not been told of, if there are any.
    messages: Option<Compressed>,
    /// What was put aside of the message under way.
    pub(crate) front: Option<Assembler>,
    step: [u8; STEP],
}

/// The codec of an [`Inflater`].
struct Inflate {
    codec: zlib_rs::Inflate,
    /// Bytes of the message under way that came out.
    given: usize,
    /// A block that says it is the last was, and nothing came behind it.
    ended: bool,
}

impl Inflater {
    fn new() -> Box<Self> {
        // It inflates what was deflated with any window.
        let codec = zlib_rs::Inflate::new(false, 15);
        let stream = Inflate { codec, given: 0, ended: false };
        Box::new(Self { stream, taken: 0, messages: None, front: None, step: [0; STEP] })
    }

    /// Begins a message.
    pub(crate) fn start(&mut self) {
        (self.taken, self.stream.given, self.stream.ended) = (0, 0, false);
    }

    /// Ends a message; with `takeover` the next one may refer to it, else the codec forgets it.
    #[inline]
    pub(crate) fn end(&mut self, takeover: bool) {
        self.messages.get_or_insert_default().count(self.stream.given, self.taken);
        if !takeover {
            self.stream.codec.reset(false);
        }
    }

    /// Whether it has inflated messages of which the pool has not been told.
    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.messages.is_some()
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
            self.codec.reset(false);
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
                return Err(ProtocolError::MessageTooLong);
            }
        }
        if corrupt { Err(ProtocolError::CorruptDeflate) } else { Ok(Step { taken, given, full: unused == 0 }) }
    }
}

/// Plain messages to compressed ones.
pub(crate) struct Deflater {
    codec: zlib_rs::Deflate,
    /// Window bits, level and memory level.
    key: (u8, u8, u8),
    out: Vec<u8>,
}

impl Deflater {
    fn new(key: (u8, u8, u8)) -> Box<Self> {
        let (window_bits, level, mem_level) = key;
        let config = DeflateConfig {
            level: level.clamp(1, 9).into(),
            method: Method::Deflated,
            window_bits: -i32::from(window_bits),
            mem_level: mem_level.clamp(1, 9).into(),
            strategy: Strategy::Default,
        };
        Box::new(Self { codec: zlib_rs::Deflate::new_with_config(config), key, out: Vec::new() })
    }

    /// Forgets the messages before.
    pub(crate) fn reset(&mut self) {
        self.codec.reset();
    }

    /// Keeps no more than a fifth of what the codec itself holds.
    pub(crate) fn shrink(&mut self) {
        if self.out.capacity() > 32 << 10 {
            self.out = Vec::new();
        }
    }

    /// Deflates a whole message; `None` if it would not get shorter. With `takeover` the next one may refer to it, else the
    /// codec forgets it.
    pub(crate) fn message(&mut self, payload: &[u8], takeover: bool) -> Option<&[u8]> {
        let len = self.deflate(payload, takeover);
        self.out[..len].strip_suffix(&TAIL).filter(|deflated| deflated.len() < payload.len())
    }

    /// Deflates a fragment of a message, which may grow; `takeover` as for a message.
    pub(crate) fn fragment(&mut self, payload: &[u8], last: bool, takeover: bool) -> &[u8] {
        match (payload, last) {
            ([], false) => &[],
            // An empty block that is not compressed, without the tail that the peer adds.
            ([], true) => &[0x00],
            _ => {
                let len = self.deflate(payload, takeover);
                let deflated = &self.out[..len];
                if last { deflated.strip_suffix(&TAIL).unwrap_or(deflated) } else { deflated }
            }
        }
    }

    /// Deflates into `out`, up to a byte boundary; the bytes that makes.
    fn deflate(&mut self, payload: &[u8], takeover: bool) -> usize {
        // Level 1 makes 9 bits of 8 at worst, and other levels add a few bytes to each block. All of it must fit: a reset
        // does not make zlib-rs forget output that did not.
        let room = payload.len() + payload.len() / 8 + payload.len() / 64 + 64;
        if self.out.len() < room {
            self.out = vec![0; room];
        }
        // What a full flush makes it forget takes a third less time than a reset.
        let flush = if takeover { DeflateFlush::SyncFlush } else { DeflateFlush::FullFlush };
        let mut len = 0;
        // The codec counts in 32 bits.
        for part in payload.chunks(1 << 30) {
            let before = self.codec.total_out();
            let status = self.codec.compress(part, &mut self.out[len..room], flush);
            len += (self.codec.total_out() - before) as usize;
            debug_assert!(status == Ok(Status::Ok) && len < room, "{status:?}: {len} of {room} bytes");
        }
        len
    }
}
