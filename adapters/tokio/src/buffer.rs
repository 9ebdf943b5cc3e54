//! The buffers: one to read and one to write for each thread, so that a connection that waits holds none.

use std::cell::Cell;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once: what a peer that is quicker has sent meanwhile, and long messages whole, so that few are put together
/// of parts.
const SIZE: usize = (1 << 20) + (64 << 10);

/// Capacity in bytes that the thread's outbox keeps.
const MOST_LENT: usize = 256 << 10;

/// What waits is moved out of a thread's buffer if it is less than this part of it: a connection whose task has turned to
/// something else holds no more than four times what it was sent.
const LEAST_PART: usize = 4;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static OUTBOX: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The thread's outbox, to be given back when all in it has gone out.
#[inline]
pub(crate) fn lend_outbox() -> Vec<u8> {
    OUTBOX.try_with(Cell::take).unwrap_or_default()
}

#[inline]
pub(crate) fn give_back(outbox: Vec<u8>) {
    if outbox.capacity() <= MOST_LENT {
        _ = OUTBOX.try_with(|slot| slot.set(outbox));
    }
}

/// The thread's buffer to read into; another where a stream that is itself made of WebSockets has it.
#[inline]
fn lend_buffer() -> Box<[u8]> {
    BUFFER.try_with(Cell::take).ok().flatten().unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
}

/// Whether so many bytes that wait are better moved out of the thread's outbox.
pub(crate) fn are_few(bytes: usize) -> bool {
    bytes < MOST_LENT / LEAST_PART
}

/// Input that was read and is not decoded yet; empty, it holds no heap.
#[derive(Default)]
pub(crate) struct Input {
    /// The thread's buffer, which goes back when this is dropped, or one that just fits.
    bytes: Box<[u8]>,
    at: usize,
    end: usize,
}

impl Input {
    /// Reads once, when all was taken; `false` at the end of the stream. What waits for bytes holds no buffer.
    #[inline(always)]
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
    ) -> Poll<io::Result<bool>> {
        if self.bytes.len() != SIZE {
            self.bytes = lend_buffer();
        }
        let mut read = ReadBuf::new(&mut self.bytes);
        let poll = Pin::new(io).poll_read(cx, &mut read);
        (self.at, self.end) = (0, read.filled().len());
        if poll.is_pending() {
            self.shrink();
        }
        poll.map_ok(|()| self.end > 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.at
    }

    /// Has `take` take from the front of it.
    #[inline]
    pub(crate) fn take<'a, T>(&'a mut self, take: impl FnOnce(&mut &'a mut [u8]) -> T) -> T {
        let mut rest = &mut self.bytes[self.at..self.end];
        let result = take(&mut rest);
        self.at = self.end - rest.len();
        result
    }

    /// Holds no more than it has to while the connection's task does other things.
    #[inline]
    pub(crate) fn shrink(&mut self) {
        if !self.bytes.is_empty() {
            self.shrink_some();
        }
    }

    #[inline(never)]
    fn shrink_some(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        } else if self.bytes.len() == SIZE && self.len() < SIZE / LEAST_PART {
            *self = self.bytes[self.at..self.end].into();
        }
    }
}

impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), at: 0, end: bytes.len() }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if self.bytes.len() == SIZE {
            let bytes = mem::take(&mut self.bytes);
            _ = BUFFER.try_with(|slot| slot.set(Some(bytes)));
        }
    }
}
