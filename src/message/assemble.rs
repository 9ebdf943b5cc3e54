//! Chunks to messages: whole ones lent as they lie, cut ones put together.

use crate::message::chunk::Chunk;
use crate::message::{Kind, LONGEST, Message};
use crate::wire::error::ProtocolError;
use crate::wire::utf8::{Checked, Utf8};
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::mem;

/// A driver reads straight into a message only if at least this many of its bytes are still to come: fewer come with
/// what follows them in one read of a usual buffer.
const LEAST_TAIL: usize = 64 << 10;

/// What is unmasked, checked and moved at once: it stays in the first-level cache meanwhile.
const BLOCK: usize = 8 << 10;

/// A message that is not whole yet; idle, it holds no heap.
pub(crate) enum Assembler {
    /// Checked text, held as a `String` so that nothing of it is checked twice, and its unfinished character.
    Text(String, Utf8),
    /// Anything else.
    Bytes(Vec<u8>),
}

/// How long the message will get, as far as its headers say.
#[derive(Clone, Copy)]
pub(crate) struct Announced {
    /// Its bytes before the chunk at hand.
    pub(crate) before: usize,
    /// All of its bytes if this frame is the last, else the most that it may have.
    pub(crate) most: usize,
}

impl Assembler {
    pub(crate) const fn new() -> Self {
        Self::Bytes(Vec::new())
    }

    /// Takes a chunk; the message, if this was its last.
    #[inline]
    pub(crate) fn push(
        &mut self,
        chunk: Chunk<'_>,
        announced: Announced,
        check_utf8: bool,
    ) -> Result<Option<Message<'static>>, ProtocolError> {
        let Chunk { mut mask, kind, last, .. } = chunk;
        if chunk.first {
            self.start(kind == Kind::Text && check_utf8);
        }
        let want = announced.before + chunk.payload.len();
        match self {
            Self::Text(text, utf8) => {
                if text.capacity() < want {
                    text.reserve_exact(room(want, announced.most) - text.len());
                }
                for block in chunk.payload.chunks_mut(BLOCK) {
                    if let Some(mask) = &mut mask {
                        mask.apply(block);
                    }
                    let checked = utf8.check(block)?;
                    text.extend(checked.head);
                    text.push_str(checked.text);
                }
            }
            Self::Bytes(bytes) => {
                if bytes.capacity() < want {
                    bytes.reserve_exact(room(want, announced.most) - bytes.len());
                }
                // A tail that was lent, or a recycled buffer, is there to be written over.
                let over = chunk.payload.len().min(bytes.len() - announced.before);
                let (over, rest) = chunk.payload.split_at(over);
                let there = &mut bytes[announced.before..announced.before + over.len()];
                match &mut mask {
                    Some(mask) => mask.copy_to(over, there),
                    None => there.copy_from_slice(over),
                }
                if !rest.is_empty() {
                    match &mut mask {
                        Some(mask) => mask.copy(rest, bytes),
                        None => bytes.extend_from_slice(rest),
                    }
                }
            }
        }
        if last { self.finish(kind, want).map(Some) } else { Ok(None) }
    }

    /// Begins a message; a recycled buffer is kept.
    pub(crate) fn start(&mut self, text: bool) {
        let mut bytes = match mem::take(self) {
            Self::Text(text, _) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        *self = if text {
            bytes.clear();
            Self::Text(String::from_utf8(bytes).unwrap_or_default(), Utf8::default())
        } else {
            Self::Bytes(bytes)
        };
    }

    /// The same, and holds nothing.
    pub(crate) fn start_empty(&mut self, text: bool) {
        self.start(text);
        if let Self::Bytes(bytes) = self {
            bytes.clear();
        }
    }

    /// What was appended since the last call, as a part of a message that goes on.
    pub(crate) fn take_part(&mut self, kind: Kind) -> Message<'static> {
        match (self, kind) {
            (Self::Text(text, _), _) => Message::Text(Cow::Owned(mem::take(text))),
            (Self::Bytes(bytes), Kind::Text) => Message::Unchecked(Cow::Owned(mem::take(bytes))),
            (Self::Bytes(bytes), Kind::Binary) => Message::Binary(Cow::Owned(mem::take(bytes))),
        }
    }

    /// Bytes that are held, an unfinished character left out.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text, _) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Text(text, _) => text.capacity(),
            Self::Bytes(bytes) => bytes.capacity(),
        }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn reserve(&mut self, additional: usize) {
        match self {
            Self::Text(text, _) => text.reserve_exact(additional),
            Self::Bytes(bytes) => bytes.reserve_exact(additional),
        }
    }

    /// One for what follows, with the unfinished character.
    #[cfg(feature = "deflate")]
    pub(super) fn split_off(&mut self) -> Self {
        match self {
            Self::Text(_, utf8) => Self::Text(String::new(), mem::take(utf8)),
            Self::Bytes(_) => Self::new(),
        }
    }

    /// Whether a text has just begun.
    #[cfg(feature = "deflate")]
    #[inline]
    pub(crate) fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text, utf8) if text.is_empty() && utf8.missing() == 0)
    }

    /// The buffer of a text.
    #[cfg(feature = "deflate")]
    #[inline]
    pub(crate) fn take_text(&mut self) -> String {
        match mem::take(self) {
            Self::Text(text, _) => text,
            Self::Bytes(_) => String::new(),
        }
    }

    /// Takes part of a text that is handed out in pieces.
    pub(crate) fn check<'a>(&mut self, bytes: &'a [u8], last: bool) -> Result<Checked<'a>, ProtocolError> {
        let Self::Text(_, utf8) = self else { return Err(ProtocolError::InvalidUtf8) };
        let checked = utf8.check(bytes)?;
        if last {
            utf8.finish()?;
        }
        Ok(checked)
    }

    /// How many bytes the unfinished character of a text still wants.
    pub(crate) fn missing(&self) -> usize {
        match self {
            Self::Text(_, utf8) => utf8.missing(),
            Self::Bytes(_) => 0,
        }
    }

    /// The message of `len` bytes that has come whole.
    pub(crate) fn finish(&mut self, kind: Kind, len: usize) -> Result<Message<'static>, ProtocolError> {
        Ok(match (mem::take(self), kind) {
            (Self::Text(text, mut utf8), _) => {
                utf8.finish()?;
                Message::Text(Cow::Owned(text))
            }
            (Self::Bytes(mut bytes), kind) => {
                bytes.truncate(len);
                match kind {
                    Kind::Text => Message::Unchecked(Cow::Owned(bytes)),
                    Kind::Binary => Message::Binary(Cow::Owned(bytes)),
                }
            }
        })
    }

    /// Where the next bytes of a large message belong, of which `filled` are here and `left` are still to come.
    pub(crate) fn tail(&mut self, filled: usize, left: usize, most: usize) -> Option<&mut [u8]> {
        let Self::Bytes(bytes) = self else { return None };
        if left < LEAST_TAIL {
            return None;
        }
        if bytes.capacity() == filled {
            let room = room(filled + 1, most);
            bytes.reserve_exact(room.saturating_sub(bytes.len()));
        }
        let end = bytes.capacity().min(filled + left);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        Some(&mut bytes[filled..end])
    }

    /// Takes a spent buffer for the next message that has to be put together.
    pub(crate) fn recycle(&mut self, spent: Vec<u8>) {
        if self.capacity() < spent.capacity() {
            *self = Self::Bytes(spent);
        }
    }
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new()
    }
}

/// The capacity for `want` bytes of a message that may have `most`.
///
/// Thrice what arrived: with the buffer it is moved from, that is at most four times.
fn room(want: usize, most: usize) -> usize {
    want.saturating_mul(3).min(most).min(LONGEST).max(want)
}
