//! Plain counts of what a connection has done.

use core::time::Duration;

/// What has been received, or sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames, of any kind.
    pub frames: u64,
    /// Bytes of frames, their headers included, and of the opening handshake.
    pub bytes: u64,
}

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// What has been received.
    pub received: Traffic,
    /// What has been sent.
    pub sent: Traffic,
    /// Bytes that wait to go out.
    pub queued: usize,
    /// The most bytes that ever waited to go out at once; it counts to 4 GiB.
    pub most_queued: u32,
    /// The time from the latest keepalive ping that was answered to its pong, as exact as the times told to
    /// [`handle_timeout`](crate::Connection::handle_timeout).
    pub round_trip: Option<Duration>,
}
