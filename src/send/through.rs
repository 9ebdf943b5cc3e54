//! A message that goes out from where it lies, behind all that waits.

#[cfg(feature = "std")]
use crate::send::outbox::fill;
use crate::send::outgoing::Outgoing;
use crate::wire::frame::HeaderBytes;
use bytes::Buf;

/// All that waits to go out, and behind it a new message whose payload is borrowed, lent as a [`Buf`]: write it with
/// `write_vectored`, and `advance` it by what went out.
///
/// When it is dropped, what has not gone out of the message is copied and waits: the message is sent in any case.
///
/// Made by [`Connection::send_through`](crate::Connection::send_through).
pub struct Through<'a> {
    queued: Outgoing<'a>,
    /// Of the frame that is not in the queue; empty if there is none.
    header: HeaderBytes,
    payload: &'a [u8],
    /// How many bytes of that frame have gone out.
    out: usize,
}

impl<'a> Through<'a> {
    pub(crate) fn new(queued: Outgoing<'a>, header: HeaderBytes, payload: &'a [u8]) -> Self {
        Self { queued, header, payload, out: 0 }
    }

    /// As [`Outgoing::retaining`].
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn retaining(mut self, bytes: usize) -> Self {
        self.queued.retain = bytes;
        self
    }
}

/// What is left of a header and a payload when `out` bytes of them have gone out.
#[inline]
fn rest<'a>(header: &'a HeaderBytes, payload: &'a [u8], out: usize) -> [&'a [u8]; 2] {
    let of_header = out.min(header.len());
    [&header[of_header..], &payload[out - of_header..]]
}

impl Buf for Through<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.queued.remaining() + self.header.len() + self.payload.len() - self.out
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        let [header, payload] = rest(&self.header, self.payload, self.out);
        match self.queued.chunk() {
            [] if header.is_empty() => payload,
            [] => header,
            queued => queued,
        }
    }

    #[cfg(feature = "std")]
    #[inline]
    fn chunks_vectored<'b>(&'b self, slices: &mut [std::io::IoSlice<'b>]) -> usize {
        let count = self.queued.chunks_vectored(slices);
        count + fill(&mut slices[count..], rest(&self.header, self.payload, self.out))
    }

    /// # Panics
    /// If `count` is more than remains: that many bytes cannot have gone out.
    #[inline]
    fn advance(&mut self, count: usize) {
        let (queued, remaining) = (self.queued.remaining(), self.remaining());
        assert!(count <= remaining, "advanced past the end of what waits");
        let notes = core::mem::take(&mut self.queued.notes);
        notes.sent(self, count);
        if count == remaining {
            self.queued.advance(queued);
        } else {
            self.queued.step(count.min(queued));
        }
        let frame = count.saturating_sub(queued);
        self.queued.count(frame);
        self.out += frame;
        self.queued.notes = notes;
    }
}

impl Drop for Through<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.out < self.header.len() + self.payload.len() {
            self.queued.keep(rest(&self.header, self.payload, self.out), self.out > 0);
        }
    }
}
