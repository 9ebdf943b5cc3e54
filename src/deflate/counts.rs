//! What compression has made of messages.

/// Bytes of messages before and after compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressed {
    /// As they are.
    pub plain: u64,
    /// As they are on the wire.
    pub compressed: u64,
}

impl Compressed {
    pub(super) fn count(&mut self, plain: usize, compressed: usize) {
        self.add(Self { plain: plain as u64, compressed: compressed as u64 });
    }

    pub(super) fn add(&mut self, other: Self) {
        self.plain += other.plain;
        self.compressed += other.compressed;
    }
}
