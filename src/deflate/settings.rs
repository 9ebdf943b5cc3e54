//! The settings of compression, and what two ends agree on.

use super::deflater::Deflater;
use super::pool::Pool;
use alloc::boxed::Box;

/// The least window that zlib can deflate raw with; it takes 8 for 9, which a peer of 8 cannot inflate.
pub(crate) const LEAST_WINDOW_BITS: u8 = 9;

/// Settings of permessage-deflate, for [`Config::deflate`](crate::Config::deflate). A number outside of its range counts as
/// the nearest in it.
///
/// ```
/// use sockless::{Config, Deflate};
///
/// let mut config = Config::default();
/// config.deflate = Some(Deflate::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The effort, 1 to 9.
    pub level: u8,
    /// The memory that zlib takes for its output, 1 to 9.
    pub mem_level: u8,
    /// Bytes; shorter messages go plain.
    pub threshold: usize,
    /// The window that messages are deflated with at most, 9 to 15: the logarithm of its bytes.
    pub window_bits: u8,
    /// The window that the peer may use, 9 to 15. A server tells a client that can be told; a client asks for less than 15,
    /// and fails where the answer is without it: [`HandshakeError::Parameter`](crate::HandshakeError::Parameter).
    pub peer_window_bits: u8,
    /// Whether messages refer to those before them: better compressed, at the cost of a codec held all the time.
    pub takeover: bool,
    /// Whether the peer's messages may.
    pub peer_takeover: bool,
    /// Where codecs come from while a message is under way; clones share it.
    pub pool: Pool,
}

impl Deflate {
    /// 1: a third of the time of 3 and more, for JSON of 1 KiB, at three quarters of its gain.
    pub const LEVEL: u8 = 1;
    /// 5: no message of a few KiB gains by more.
    pub const MEM_LEVEL: u8 = 5;
    /// 256 bytes: shorter ones gain less than a packet's overhead.
    pub const THRESHOLD: usize = 256;
    /// 12, which is 4 KiB: most of what 15 gains on messages without context takeover.
    pub const WINDOW_BITS: u8 = 12;
    /// 15, which is any: what the peer's window is takes no memory here, and a client that asks for less has to refuse the
    /// servers that leave it out of their answer, as gorilla's and libwebsockets do.
    pub const PEER_WINDOW_BITS: u8 = 15;

    /// A deflater whose window has `window_bits`; it knows no message.
    pub(crate) fn deflater(&self, window_bits: u8) -> Box<Deflater> {
        self.pool.deflater((window_bits, self.level, self.mem_level))
    }
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: Self::LEVEL,
            mem_level: Self::MEM_LEVEL,
            threshold: Self::THRESHOLD,
            window_bits: Self::WINDOW_BITS,
            peer_window_bits: Self::PEER_WINDOW_BITS,
            takeover: false,
            peer_takeover: false,
            pool: Pool::default(),
        }
    }
}

/// What two ends agreed on (RFC 7692 §7.1). [`Negotiated`](crate::Negotiated) takes those that are in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// The window that this end deflates with, 8 to 15: the logarithm of its bytes. With 8, which the codec does not have,
    /// its messages go plain.
    pub window_bits: u8,
    /// The window that the peer deflates with, 8 to 15.
    pub peer_window_bits: u8,
    /// Whether this end's messages refer to those before them.
    pub takeover: bool,
    /// Whether the peer's do.
    pub peer_takeover: bool,
}

/// Whether a message is compressed, where compression is negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// If it is as long as [`Deflate::threshold`].
    #[default]
    Auto,
    /// However short it is; still not one that would grow.
    Always,
    /// Not at all: it would not gain, or holds a secret beside what an attacker may choose.
    Never,
}
