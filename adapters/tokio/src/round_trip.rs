//! The time from a ping to its pong, for whoever asks.

use sockless::driver::{PingId, Pings};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The pings of one connection that are asked after.
pub(crate) struct Asked {
    /// The moment that their times count from.
    started: Instant,
    pings: Mutex<Pings>,
}

/// One of them, and when it was sent.
#[derive(Clone, Copy)]
pub(crate) struct Sent(PingId, Duration);

impl Asked {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), pings: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Pings) -> T) -> T {
        work(&mut self.pings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new one, and its payload.
    pub(crate) fn ping(&self) -> (Sent, [u8; 8]) {
        let (id, payload) = self.with(Pings::ping);
        (Sent(id, self.started.elapsed()), payload)
    }

    /// A pong came; whether it answers any of them.
    pub(crate) fn handle_pong(&self, payload: &[u8]) -> bool {
        let now = self.started.elapsed();
        self.with(|pings| pings.handle_pong(payload, now))
    }

    /// How long the answer took, if it has come.
    pub(crate) fn round_trip(&self, Sent(id, sent): Sent) -> Option<Duration> {
        Some(self.with(|pings| pings.answered(id))?.saturating_sub(sent))
    }
}
