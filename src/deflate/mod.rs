//! permessage-deflate (RFC 7692): the codecs, and the pool they come from. The negotiation is in
//! [`handshake`](crate::handshake).
//!
//! The codec is zlib-rs itself, not under flate2, which hides the memory level.

mod counts;
mod deflater;
mod inflater;
mod pool;
mod settings;
mod window;

pub use counts::Compressed;
pub(crate) use deflater::Deflater;
pub(crate) use inflater::Inflater;
pub use pool::Pool;
pub(crate) use settings::LEAST_WINDOW_BITS;
pub use settings::{Compress, Deflate, DeflateParams};

/// What ends every compressed message, and is left out of it (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
