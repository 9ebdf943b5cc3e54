//! The byte budget of one connection, as docs/limits.md has it.

use sockless::{Config, Connection};

/// What a connection had to do with, where its settings do not say it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Bytes that came of the message under way.
    pub(crate) received: usize,
    /// Bytes of the largest message that the caller sent, framed.
    pub(crate) sent: usize,
    /// What waits beside the buffer: control frames of the caller's, and messages by reference.
    pub(crate) beside: usize,
    /// Whether the opening handshake is under way.
    pub(crate) opening: bool,
    /// Whether compression is negotiated.
    pub(crate) compressed: bool,
}

/// Bytes that hold whatever is small: the parts that an open connection allocates one by one.
const SMALL: usize = 2 << 10;

/// Frames that came behind a request which waits for its answer, at most.
const HELD: usize = 256 << 10;

/// The most bytes of memory that a connection holds at any time.
pub(crate) fn budget(config: &Config, load: Load) -> usize {
    let receiving = (load.received.saturating_mul(4)).min(2 * config.limits.message);
    let sending = 3 * (2 * config.outbound.hard + load.sent) + 240 * load.beside;
    let opening = if load.opening { 3 * (config.limits.head + HELD) } else { 0 };
    let compressed = if load.compressed { codecs(config, load) } else { 0 };
    size_of::<Connection>() + SMALL + receiving + sending + opening + compressed
}

#[cfg(not(feature = "deflate"))]
fn codecs(_: &Config, _: Load) -> usize {
    0
}

#[cfg(feature = "deflate")]
fn codecs(config: &Config, load: Load) -> usize {
    let Some(deflate) = &config.deflate else { return 0 };
    let window = 1_usize << deflate.window_bits;
    let inflating = (64 << 10) + 2 * config.limits.message;
    let deflating = (144 << 10) + 4 * window + (1 << (deflate.mem_level + 9)) + 3 * load.sent;
    inflating + deflating
}
