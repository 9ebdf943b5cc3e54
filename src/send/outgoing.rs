//! What waits to go out, as it is lent to be written.

use super::outbox::{Outbox, extend};
use crate::noted::Notes;
use bytes::Buf;
#[cfg(feature = "std")]
use std::io::IoSlice;

/// What waits to go out, lent as a [`Buf`]: write its chunks, one by one or with `write_vectored`, and `advance` it by
/// what went out.
pub struct Outgoing<'a> {
    outbox: &'a mut Outbox,
    pub(crate) retain: usize,
    sent: &'a mut u64,
    pub(crate) notes: Notes,
}

impl<'a> Outgoing<'a> {
    /// `retain` is the capacity in bytes to keep when all is sent, `sent` counts the bytes that are.
    #[inline]
    pub(crate) fn new(outbox: &'a mut Outbox, retain: usize, sent: &'a mut u64, notes: Notes) -> Self {
        Self { outbox, retain, sent, notes }
    }

    /// The same, but when all is sent, so many bytes of capacity are kept, whatever
    /// [`Outbound::retain`](crate::Outbound::retain) says: for a driver that then takes them back.
    #[doc(hidden)] // The driver's, and for tests.
    #[inline]
    #[must_use]
    pub fn retaining(self, bytes: usize) -> Self {
        Self { retain: bytes, ..self }
    }

    /// As `advance`, while more is to go out behind all that waits here.
    pub(crate) fn step(&mut self, count: usize) {
        self.outbox.step(count);
        self.count(count);
    }

    /// So many bytes that never waited here have gone out.
    pub(crate) fn count(&mut self, count: usize) {
        *self.sent += count as u64;
    }

    /// Takes the rest of a frame, header and payload, which has `begun` to go out behind all that waited, or has not.
    #[cold]
    pub(crate) fn keep(&mut self, rest: [&[u8]; 2], begun: bool) {
        match begun {
            true => self.outbox.push_rest(rest),
            false => extend(self.outbox.tail(rest[0].len() + rest[1].len()), rest),
        }
    }
}

impl Buf for Outgoing<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.outbox.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.outbox.chunk()
    }

    #[cfg(feature = "std")]
    #[inline]
    fn chunks_vectored<'b>(&'b self, slices: &mut [IoSlice<'b>]) -> usize {
        self.outbox.fill(slices)
    }

    /// # Panics
    /// If `count` is more than remains: that many bytes cannot have gone out.
    #[inline]
    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "advanced past the end of what waits");
        self.notes.sent(self, count);
        self.outbox.advance(count, self.retain);
        *self.sent += count as u64;
    }
}
