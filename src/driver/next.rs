//! What a loop should do next.

use core::time::Duration;

/// What a loop should do now, as [`Driver::next`](super::Driver::next) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// Ask for events again at once, for there is input at hand; the others have had their turn.
    pub again: bool,
    /// Read from the transport.
    pub read: bool,
    /// Write, as soon as the transport takes more.
    pub write: bool,
    /// Shut the transport's write side down, now; it is told once.
    pub shutdown: bool,
    /// Close the transport. Nothing else is to be done.
    pub close: bool,
    /// When to come again at the latest, on the caller's clock; a past time means now.
    pub deadline: Option<Duration>,
}

/// How long a blocking call may wait at most while there is something to write: then the other of reading and writing is tried.
const TURN: Duration = Duration::from_millis(10);

impl Next {
    /// How long a blocking call may wait: until the deadline, and not for long while there is something to write, for neither
    /// reading nor writing may keep the loop from the other. At least a millisecond, for to sockets no time at all is for ever.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let left = self.deadline.map(|at| at.saturating_sub(now).max(Duration::from_millis(1)));
        if self.write { Some(left.map_or(TURN, |left| left.min(TURN))) } else { left }
    }
}
