//! Those that a worker which ends has still to take leave of.

use crate::command::Id;
use sockless::Drain;
use std::sync::Arc;
use std::time::Duration;

/// Who has still to be told, and when, the first last.
pub(super) struct Leaving {
    pub(super) drain: Arc<Drain>,
    left: Vec<(Duration, Id)>,
}

impl Leaving {
    pub(super) fn new(drain: Arc<Drain>, mut left: Vec<(Duration, Id)>) -> Self {
        left.sort_unstable_by(|one, other| other.cmp(one));
        Self { drain, left }
    }

    /// The next whose time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<Id> {
        self.left.pop_if(|(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// When the next is told.
    pub(super) fn next(&self) -> Option<Duration> {
        self.left.last().map(|(at, _)| *at)
    }
}
