//! Codecs that the connections of a loop share, for who holds none while it is idle.

use super::counts::Compressed;
use super::deflater::Deflater;
use super::inflater::Inflater;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;
use std::sync::{Mutex, PoisonError};

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

impl Codecs {
    fn put_deflater(&mut self, deflater: Box<Deflater>, most: usize) {
        if self.deflaters.len() < most {
            self.deflaters.push(deflater);
        }
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

    /// A deflater of these window bits, level and memory level; it knows no message.
    pub(super) fn deflater(&self, key: (u8, u8, u8)) -> Box<Deflater> {
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
            codecs.put_deflater(deflater, self.0.most);
        });
    }

    /// Takes a deflater back that knows no message any more.
    pub(crate) fn put_deflater(&self, deflater: Box<Deflater>) {
        self.with(|codecs| codecs.put_deflater(deflater, self.0.most));
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
