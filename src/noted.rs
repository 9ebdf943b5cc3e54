//! What a connection was given and gave, kept while it lasts, for the tape of one that fails.

#[cfg(all(feature = "std", feature = "testing"))]
pub(crate) use on::{Kept, Notes, Part};

/// Nothing is kept without the features for it.
#[cfg(not(all(feature = "std", feature = "testing")))]
#[derive(Clone, Default)]
pub(crate) struct Notes(());

#[cfg(not(all(feature = "std", feature = "testing")))]
impl Notes {
    /// Whether there may be any that are on.
    pub(crate) const CAN: bool = false;

    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn tell_time(&self, _: core::time::Duration) {}

    #[inline(always)]
    pub(crate) fn received(&self, _: &[u8], _: Option<core::time::Duration>, _: bool) {}

    #[inline(always)]
    pub(crate) fn sent(&self, _: &impl bytes::Buf, _: usize) {}
}

#[cfg(all(feature = "std", feature = "testing"))]
mod on {
    use crate::message::Role;
    use alloc::{collections::VecDeque, sync::Arc, vec::Vec};
    use bytes::Buf;
    use core::{mem, time::Duration};
    use std::io::IoSlice;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Bytes; no head is longer, so that what is, is none.
    const LONGEST_HEAD: usize = 64 << 10;

    /// More interim responses than these count as what follows.
    const MOST_HEADS: usize = 16;

    /// As many parts as are written by one call.
    const SLICES: usize = 128;

    /// What is kept of a connection, for both of its halves; nothing if it is off, as it is by default.
    #[derive(Clone, Default)]
    pub(crate) struct Notes(Option<Arc<Mutex<Kept>>>);

    /// What was read or written at once.
    pub(crate) struct Part {
        pub(crate) at: Duration,
        pub(crate) from: Role,
        pub(crate) bytes: Vec<u8>,
        /// Whether a message begins with it, or a control frame between messages, as far as that is known.
        pub(crate) between: bool,
    }

    impl Part {
        /// What it takes to keep it, which many short ones are to pay for too.
        fn size(&self) -> usize {
            self.bytes.len() + size_of::<Self>()
        }
    }

    #[derive(Default)]
    pub(crate) struct Kept {
        /// The heads of the opening handshake, which are always kept.
        pub(crate) heads: Vec<Part>,
        /// What followed, without what was too much.
        pub(crate) parts: VecDeque<Part>,
        /// Bytes that were too much.
        pub(crate) lost: u64,
        role: Option<Role>,
        most: usize,
        size: usize,
        now: Duration,
        /// The time of the latest part was not told.
        untimed: bool,
        /// What was sent last went out only in part.
        within: bool,
        /// Of the client and the server: the head under way.
        opening: [Option<Vec<u8>>; 2],
    }

    impl Notes {
        /// Whether there may be any that are on.
        pub(crate) const CAN: bool = true;

        /// Keeps the heads, and what followed last in `most` bytes of memory.
        pub(crate) fn new(role: Role, most: usize, is_open: bool) -> Self {
            let opening = if is_open { [None, None] } else { [Some(Vec::new()), Some(Vec::new())] };
            Self(Some(Arc::new(Mutex::new(Kept { role: Some(role), most, opening, ..Kept::default() }))))
        }

        #[inline]
        pub(crate) fn is_on(&self) -> bool {
            self.0.is_some()
        }

        fn kept(&self) -> Option<MutexGuard<'_, Kept>> {
            Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
        }

        /// All that was kept; nothing is from here on.
        pub(crate) fn take(&self) -> Option<Kept> {
            let mut kept = self.kept()?;
            kept.role?;
            Some(mem::take(&mut *kept))
        }

        pub(crate) fn tell_time(&self, now: Duration) {
            let Some(mut kept) = self.kept() else { return };
            kept.now = now;
            if mem::take(&mut kept.untimed)
                && let Some(last) = kept.parts.back_mut()
            {
                last.at = now;
            }
        }

        /// These bytes came, `between` messages.
        pub(crate) fn received(&self, bytes: &[u8], now: Option<Duration>, between: bool) {
            let Some(mut kept) = self.kept() else { return };
            kept.now = now.unwrap_or(kept.now);
            let Some(role) = kept.role else { return };
            kept.note(role.peer(), bytes.to_vec(), between);
            kept.untimed = now.is_none();
        }

        /// So many bytes from the front of these go out.
        #[inline]
        pub(crate) fn sent(&self, outbound: &impl Buf, count: usize) {
            if self.is_on() {
                self.note_sent(outbound, count);
            }
        }

        #[cold]
        fn note_sent(&self, outbound: &impl Buf, count: usize) {
            let Some(mut kept) = self.kept() else { return };
            let Some(role) = kept.role else { return };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = outbound.chunks_vectored(&mut slices);
            let mut bytes = Vec::with_capacity(count);
            for slice in &slices[..filled] {
                bytes.extend_from_slice(&slice[..slice.len().min(count - bytes.len())]);
            }
            // What one call cannot have written together is not worth a loop of its own.
            kept.lost += (count - bytes.len()) as u64;
            let within = mem::replace(&mut kept.within, count < outbound.remaining());
            kept.note(role, bytes, !within);
        }
    }

    impl Kept {
        fn note(&mut self, from: Role, bytes: Vec<u8>, between: bool) {
            let at = self.now;
            let mut part = Part { at, from, bytes, between };
            let opening = &mut self.opening[usize::from(from == Role::Server)];
            if let Some(head) = opening {
                head.append(&mut part.bytes);
                let end = head.windows(4).position(|end| end == b"\r\n\r\n");
                let Some(end) = end.or((head.len() > LONGEST_HEAD).then_some(0)) else { return };
                let mut head = mem::take(head);
                if end > 0 {
                    part.bytes = head.split_off(end + 4);
                    // Another follows behind an interim one (RFC 9110 §15.2).
                    let interim = head.get(9) == Some(&b'1') && !head[9..].starts_with(b"101");
                    *opening = (interim && self.heads.len() < MOST_HEADS).then(Vec::new);
                    self.heads.push(Part { at, from, bytes: head, between });
                } else {
                    (*opening, part.bytes) = (None, head);
                }
                part.between = true;
            }
            if !part.bytes.is_empty() {
                self.size += part.size();
                self.parts.push_back(part);
            }
            while self.size > self.most
                && let Some(oldest) = self.parts.pop_front()
            {
                self.size -= oldest.size();
                self.lost += oldest.bytes.len() as u64;
            }
        }

        /// What came of a head that is not whole.
        pub(crate) fn unfinished(&self, from: Role) -> &[u8] {
            self.opening[usize::from(from == Role::Server)].as_deref().unwrap_or_default()
        }
    }
}
