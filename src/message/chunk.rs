//! A part of a message as its frames bring it.

use super::Kind;
use crate::wire::mask::Mask;

/// Part of a data frame's payload.
pub(crate) struct Chunk<'a> {
    pub(crate) payload: &'a mut [u8],
    /// What the payload is still masked with: who touches it first unmasks it.
    pub(crate) mask: Option<Mask>,
    pub(crate) kind: Kind,
    pub(crate) compressed: bool,
    /// The message starts here.
    pub(crate) first: bool,
    /// The frame ends here.
    pub(crate) frame_end: bool,
    /// The message ends here.
    pub(crate) last: bool,
}

impl<'a> Chunk<'a> {
    /// The payload, unmasked where it lies.
    #[inline]
    pub(crate) fn unmasked(mut self) -> &'a mut [u8] {
        self.unmask();
        self.payload
    }

    /// Unmasks the payload where it lies.
    pub(crate) fn unmask(&mut self) {
        if let Some(mut mask) = self.mask.take() {
            mask.apply(self.payload);
        }
    }
}
