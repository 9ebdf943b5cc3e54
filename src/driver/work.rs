//! What a turn of one connection may cost, so that no peer takes the turns of others: bytes, about a nanosecond each.

use super::incoming::Incoming;

/// When a turn's events have cost more, the rest waits until it was the others' turn.
pub(super) const MOST: usize = 4 << 20;

/// What an event costs besides its payload.
pub(super) const EVENT: usize = 128;

/// What an event costs that is no message, besides.
pub(super) const RARE: usize = 512;

/// What a ping costs, whose answer is written before the next is read.
pub(super) const PING: usize = 16 << 10;

/// What a byte costs that is inflated or deflated, as often as one that is not. Blocks that inflate to nothing take some
/// thirty nanoseconds a byte.
pub(super) const CODEC: usize = 32;

/// Compressed bytes that a connection is given at once, for it takes all that it is given.
const MOST_COMPRESSED: usize = MOST / CODEC;

/// Of so many bytes of input as many as a connection is given at once.
#[inline]
pub(super) fn portion(connection: &impl Incoming, len: usize) -> usize {
    if connection.is_compressed() { len.min(MOST_COMPRESSED) } else { len }
}

/// What so many bytes of input cost besides.
#[inline]
pub(super) fn inflating(connection: &impl Incoming, taken: usize) -> usize {
    if connection.is_compressed() { taken * CODEC } else { 0 }
}

/// What it cost to take the frames of which a message is put together, but for one.
pub(super) fn fragments(connection: &impl Incoming, frames_before: u64) -> usize {
    let frames = (connection.frames() - frames_before) as usize;
    frames.saturating_sub(1).saturating_mul(EVENT)
}
