//! What a loop lends to the connection whose turn it is.

use alloc::{boxed::Box, vec, vec::Vec};
use core::mem;

/// Capacity in bytes that the lent outbox keeps from one connection to the next.
const MOST_LENT: usize = 2 << 20;

/// A buffer to read into and an outbox, which a loop lends to whichever connection is busy, so that the others hold none.
///
/// One serves all connections of a thread. A loop of a single connection may lend it for good; one of many calls
/// [`Driver::leave`](super::Driver::leave) before it turns to the next.
pub struct Storage {
    /// What is read into, or what a connection had kept while it is its turn.
    pub(super) buffer: Box<[u8]>,
    pub(super) kept: Vec<u8>,
    /// Whether the input at hand is in `kept`, and where it is there.
    pub(super) is_kept: bool,
    pub(super) at: usize,
    pub(super) end: usize,
    /// The latest read filled all the space that it was given.
    pub(super) full: bool,
    /// It did, or its bytes are of a tail.
    pub(super) is_special: bool,
    /// What is left of the input is the front of a frame, which waits for one more read.
    pub(super) cut: bool,
    /// A buffer that had been kept, for the next that has something to keep.
    spare: Vec<u8>,
    /// Bytes that were read straight to where they belong.
    pub(super) tail: usize,
    /// The next read goes straight to where its bytes belong.
    pub(super) is_tail: bool,
    /// The transport was read in this turn, or had nothing.
    pub(super) asked: bool,
    /// It had nothing.
    pub(super) idle: bool,
    /// What was read this turn is to be answered before there is more.
    pub(super) must_write: bool,
    /// What this turn's events have cost, in bytes.
    pub(super) work: usize,
    /// Bytes that waited to go out when events began to be told, or were last written.
    pub(super) queued: usize,
    /// Bytes that were made to go out from within reading, this turn.
    pub(super) answered: usize,
    /// Bytes; while no more than so many wait, one turn's messages are all taken before they are written: the answers to
    /// them may be so many.
    pub(super) stop_at: usize,
    pub(super) gather: usize,
    pub(super) outbox: Vec<u8>,
    /// Outboxes of connections whose messages have gone out, for the next that have to wait.
    pub(super) outboxes: Vec<Vec<u8>>,
}

impl Storage {
    /// Bytes that a read brings at most, by default: what a quicker peer has sent meanwhile, and long messages whole.
    pub const READ: usize = (1 << 20) + (64 << 10);

    /// One that reads so many bytes at once, at least 1024.
    pub fn new(read: usize) -> Self {
        Self {
            buffer: vec![0; read.max(1024)].into_boxed_slice(),
            kept: Vec::new(),
            is_kept: false,
            at: 0,
            end: 0,
            full: false,
            is_special: false,
            cut: false,
            spare: Vec::new(),
            tail: 0,
            is_tail: false,
            asked: false,
            idle: false,
            must_write: false,
            work: 0,
            queued: 0,
            answered: 0,
            stop_at: 0,
            gather: 0,
            outbox: Vec::new(),
            outboxes: Vec::new(),
        }
    }

    /// What this turn's events have cost, about, in bytes of messages that come whole: for a loop that has an account of its
    /// own of when others have their turn.
    #[inline]
    pub fn work(&self) -> usize {
        self.work
    }

    /// Where the next bytes go, behind those that are left.
    #[inline]
    pub(super) fn space(&mut self) -> &mut [u8] {
        let left = self.len();
        if left > 0 {
            self.gather();
        }
        if self.is_kept {
            self.give_spare();
        }
        (self.at, self.end) = (0, left);
        &mut self.buffer[left..]
    }

    /// Moves what is left to the front of the buffer.
    #[cold]
    fn gather(&mut self) {
        match self.is_kept {
            true => self.buffer[..self.end - self.at].copy_from_slice(&self.kept[self.at..self.end]),
            false => self.buffer.copy_within(self.at..self.end, 0),
        }
    }

    /// So many bytes were read into the [`space`](Self::space).
    #[inline]
    pub(super) fn filled(&mut self, len: usize) {
        let room = self.buffer.len() - self.end;
        self.end += len.min(room);
        (self.full, self.cut, self.is_special) = (len >= room, false, len >= room);
    }

    /// Bytes of input at hand.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - self.at
    }

    /// Whether a frame of so many bytes is short enough to wait for its end here, rather than in a message of its own.
    #[inline]
    pub(super) fn can_wait_for(&self, frame: usize) -> bool {
        frame <= self.buffer.len() / 16
    }

    #[inline]
    pub(super) fn input(&self) -> &[u8] {
        match self.is_kept {
            true => &self.kept[self.at..self.end],
            false => &self.buffer[self.at..self.end],
        }
    }

    /// Takes what a connection had kept, from index `at` on.
    pub(super) fn restore(&mut self, kept: Vec<u8>, at: usize) {
        self.give_spare();
        (self.is_kept, self.at, self.end, self.kept) = (true, at, kept.len(), kept);
        (self.full, self.cut, self.is_special) = (false, false, false);
    }

    /// What is left of the input, and where it begins, for the connection to keep.
    pub(super) fn keep(&mut self) -> (Vec<u8>, usize) {
        let kept = match self.is_kept {
            true => (mem::take(&mut self.kept), self.at),
            false => {
                let mut kept = mem::take(&mut self.spare);
                kept.clear();
                kept.extend_from_slice(&self.buffer[self.at..self.end]);
                (kept, 0)
            }
        };
        (self.is_kept, self.at, self.end) = (false, 0, 0);
        kept
    }

    /// Forgets what a connection has left behind.
    #[inline]
    pub(super) fn abandon(&mut self) {
        if self.len() > 0 || self.tail > 0 {
            (self.is_kept, self.at, self.end, self.tail) = (false, 0, 0, 0);
        }
        self.end_turn();
    }

    fn give_spare(&mut self) {
        let kept = mem::take(&mut self.kept);
        if kept.capacity() > self.spare.capacity() && kept.capacity() <= self.buffer.len() {
            self.spare = kept;
        }
        self.is_kept = false;
    }

    /// The transport was read, or had nothing, while so many bytes wait to go out: what was made of them since it was last read in
    /// this turn are answers.
    #[inline]
    pub(super) fn ask(&mut self, queued: usize) {
        if self.asked {
            self.answered += queued.saturating_sub(self.queued);
        }
        self.asked = true;
        self.begin(queued);
    }

    /// Events begin to be told, while so many bytes wait to go out.
    #[inline]
    pub(super) fn begin(&mut self, queued: usize) {
        (self.queued, self.stop_at) = (queued, queued.saturating_add(self.gather));
    }

    /// So many bytes are left to go out behind a write.
    #[inline]
    pub(super) fn wrote(&mut self, queued: usize) {
        (self.must_write, self.is_special) = (false, self.full);
        self.begin(queued);
    }

    /// The next turn begins.
    #[inline]
    pub(super) fn end_turn(&mut self) {
        (self.asked, self.idle, self.must_write, self.is_special) = (false, false, false, self.full);
        (self.work, self.answered) = (0, 0);
    }

    /// Takes the outbox back.
    #[inline]
    pub(super) fn take_back(&mut self, outbox: Vec<u8>) {
        if outbox.capacity() <= MOST_LENT {
            self.outbox = outbox;
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self::new(Self::READ)
    }
}

impl core::fmt::Debug for Storage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Storage").field("input", &self.len()).finish_non_exhaustive()
    }
}
