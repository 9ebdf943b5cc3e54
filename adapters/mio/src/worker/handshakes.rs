//! Handshakes that are under way, and the descriptor that is kept to turn somebody away.

use crate::command::Id;
use std::collections::VecDeque;
use std::time::Duration;

/// Those that were accepted, the oldest first, when, and some that are open or gone.
#[derive(Default)]
pub(super) struct Handshakes(VecDeque<(Id, Duration)>);

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its request is not whole, or it was refused.
    Idle,
    /// The application has its request.
    Asked,
    /// It is open, or gone.
    Over,
}

impl Handshakes {
    pub(super) fn begin(&mut self, id: Id, now: Duration, under_way: usize, stage: impl Fn(Id) -> Stage) {
        if self.0.len() > 2 * under_way + 64 {
            self.0.retain(|(id, _)| stage(*id) != Stage::Over);
        }
        self.0.push_back((id, now));
    }

    /// The first that may be let go, and when it was accepted.
    pub(super) fn oldest(&mut self, stage: impl Fn(Id) -> Stage) -> Option<(Id, Duration)> {
        self.0.retain(|(id, _)| stage(*id) != Stage::Over);
        self.0.iter().find(|(id, _)| stage(*id) == Stage::Idle).copied()
    }
}

/// A descriptor of no other use.
pub(super) fn spare() -> Option<socket2::Socket> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).ok()
}
