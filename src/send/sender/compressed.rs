//! The compressed messages of the sending half (RFC 7692 §7.2.1).

use super::Sender;
use crate::deflate::{Compress, Deflate, DeflateParams, Deflater, LEAST_WINDOW_BITS};
use crate::message::{Kind, Message};
use crate::send::prepared::Prepared;
use crate::wire::error::SendError;
use crate::wire::frame::RSV1;
use alloc::boxed::Box;
use core::mem;

impl Sender {
    /// As [`Connection::send_with`](crate::Connection::send_with).
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn send_with<'m>(&mut self, message: impl Into<Message<'m>>, compress: Compress) -> Result<(), SendError> {
        let message = message.into();
        self.check_new()?;
        self.deflate(message.kind(), message.as_bytes(), compress);
        self.check_sent()
    }

    /// What messages of this end's own may be deflated with.
    fn params(&self) -> Option<(DeflateParams, &Deflate)> {
        let is_lent = self.rare.as_deref().is_some_and(|rare| rare.context_lent);
        let can = |params: &DeflateParams| params.window_bits >= LEAST_WINDOW_BITS && !is_lent;
        self.negotiated.deflate.filter(can).zip(self.config.deflate.as_ref())
    }

    /// A compressed message is relayed. With context takeover the next one may refer to it, and messages of this end's
    /// own must not come between: they go plain from now on.
    pub(super) fn lend_context(&mut self) {
        if self.negotiated.deflate.is_some_and(|params| params.takeover) {
            let rare = self.rare.get_or_insert_default();
            rare.deflater = None;
            rare.context_lent = true;
        }
    }

    /// Whether a message of `len` bytes goes compressed unless the caller says otherwise.
    pub(super) fn is_worth_deflating(&self, len: usize) -> bool {
        self.params().is_some_and(|(_, deflate)| len >= deflate.threshold)
    }

    /// Whether a fragment belongs to a compressed message, or begins one with `len` bytes.
    pub(super) fn is_fragment_compressed(&self, len: usize) -> bool {
        match self.fragmented() {
            Some(message) => message.compressed,
            None => self.is_worth_deflating(len),
        }
    }

    /// A deflater that goes on after the messages before, or one that knows none; and whether it is to remember.
    fn take_deflater(&mut self) -> Option<(Box<Deflater>, bool)> {
        let kept = self.take_kept();
        let (params, deflate) = self.params()?;
        Some((kept.unwrap_or_else(|| deflate.deflater(params.window_bits)), params.takeover))
    }

    fn take_kept(&mut self) -> Option<Box<Deflater>> {
        self.rare.as_deref_mut()?.deflater.take()
    }

    /// The deflater that is kept between messages.
    fn deflater(&mut self) -> Option<&mut Box<Deflater>> {
        self.rare.as_deref_mut()?.deflater.as_mut()
    }

    fn give_deflater(&mut self, mut deflater: Box<Deflater>, plain: usize, deflated: usize) {
        let Some((params, deflate)) = self.params() else { return };
        if params.takeover {
            deflate.pool.count_deflated(plain, deflated);
            deflater.shrink();
            self.rare.get_or_insert_default().deflater = Some(deflater);
        } else {
            deflate.pool.give_deflater(deflater, plain, deflated);
        }
    }

    /// As [`Connection::rest`](crate::Connection::rest).
    pub fn rest(&mut self) {
        // Inside a message, the codec knows more than its window.
        if self.fragmented().is_some() {
            return;
        }
        if let (Some(mut deflater), Some(deflate)) = (self.take_kept(), &self.config.deflate) {
            deflater.reset();
            deflate.pool.put_deflater(deflater);
        }
        self.settle_rare();
    }

    /// The same, if the codec was of no use since the last call.
    pub(super) fn rest_if_idle(&mut self) {
        if self.deflater().is_some_and(|deflater| !mem::take(&mut deflater.used)) {
            self.rest();
        }
    }

    /// Appends a message, compressed if that is wanted and makes it shorter.
    pub(super) fn deflate(&mut self, kind: Kind, payload: &[u8], compress: Compress) {
        let wanted = match compress {
            Compress::Auto => self.is_worth_deflating(payload.len()),
            Compress::Always => true,
            Compress::Never => false,
        };
        let Some((mut deflater, takeover)) = wanted.then(|| self.take_deflater()).flatten() else {
            return self.frames_of(kind, 0, payload);
        };
        match deflater.message(payload, takeover) {
            Some(deflated) => {
                let len = deflated.len();
                self.frames_of(kind, RSV1, deflated);
                self.give_deflater(deflater, payload.len(), len);
            }
            None => {
                if takeover {
                    // The peer does not get to see what the deflater has seen: later messages must not refer to it.
                    deflater.reset();
                }
                self.frames_of(kind, 0, payload);
                self.give_deflater(deflater, payload.len(), payload.len());
            }
        }
    }

    /// Appends a fragment of a compressed message. Without context takeover it refers to no fragment before it, so that
    /// no codec is held for the next.
    pub(super) fn deflate_fragment(&mut self, kind: Kind, bytes: &[u8], last: bool) {
        let Some((mut deflater, takeover)) = self.take_deflater() else {
            return self.fragment(kind, false, false, bytes, last);
        };
        let deflated = deflater.fragment(bytes, last, takeover);
        let len = deflated.len();
        self.fragment(kind, false, true, deflated, last);
        self.give_deflater(deflater, bytes.len(), len);
    }

    /// Appends the compressed form of a prepared message, or the plain one if that is no longer.
    pub(super) fn send_deflated(&mut self, message: &Prepared) {
        let Some((params, deflate)) = self.params() else { return };
        if params.window_bits < Deflate::WINDOW_BITS {
            // The form that all others share has a larger window.
            return self.deflate(message.kind(), message.payload(), Compress::Auto);
        }
        let deflated = message.deflated(deflate);
        self.append_prepared(deflated.unwrap_or(message.frame()));
        if deflated.is_some()
            && let Some(deflater) = self.deflater()
        {
            // The peer has seen what this deflater has not: later messages must refer to nothing before.
            deflater.reset();
        }
    }
}
