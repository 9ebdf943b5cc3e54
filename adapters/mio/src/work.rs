//! What a turn of one connection may cost, so that no peer takes the turns of others: bytes, about a nanosecond each.

/// When a turn has cost more, the rest of what was read waits until it was the others' turn.
pub(crate) const MOST: usize = 4 << 20;

/// What an event costs, however little it says, besides the bytes that were read of it.
pub(crate) const EVENT: usize = 128;

/// What a ping costs besides, which is answered by a write of its own.
pub(crate) const PING: usize = 16 << 10;

/// What a byte costs that is inflated or deflated, as often as any other. Blocks that inflate to nothing take some thirty
/// nanoseconds a byte.
pub(crate) const CODEC: usize = 32;

/// Compressed bytes that a connection is given at once, for it takes all that it is given.
pub(crate) const MOST_COMPRESSED: usize = MOST / CODEC;
