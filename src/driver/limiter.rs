//! What a peer may still send, by the rates of its connection.

use crate::rates::{Bucket, Excess, Rates};
use core::time::Duration;

/// Bytes that are read at once, at most: of what comes too early no more is kept.
const MOST_READ: u64 = 64 << 10;

/// Bytes that are read at once, at least.
const LEAST_READ: u64 = 1 << 10;

/// The buckets of a connection.
pub(super) struct Limiter {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    pub(super) excess: Excess,
    /// The latest time that was told, if any was.
    now: Option<Duration>,
}

impl Limiter {
    pub(super) fn new(rates: Rates) -> Self {
        let Rates { messages, bytes, excess } = rates;
        Self { messages: messages.map(Bucket::new), bytes: bytes.map(Bucket::new), excess, now: None }
    }

    /// Other rates from now on; what the peer owes it still does.
    pub(super) fn set(&mut self, rates: Rates) {
        let now = self.now.unwrap_or_default();
        let keep = |bucket: &mut Option<Bucket>, rate| match (bucket, rate) {
            (Some(bucket), Some(rate)) => bucket.set_rate(rate, now),
            (bucket, rate) => *bucket = rate.map(Bucket::new),
        };
        keep(&mut self.messages, rates.messages);
        keep(&mut self.bytes, rates.bytes);
        self.excess = rates.excess;
    }

    /// Tells the time; whether the peer may send.
    pub(super) fn tell(&mut self, now: Duration) -> bool {
        self.now = Some(self.now.map_or(now, |known| known.max(now)));
        self.ready_at() <= now
    }

    /// Counts what has come; whether the peer was allowed to send it. Nothing counts before a time was told.
    pub(super) fn charge(&mut self, frames: u64, bytes: usize) -> bool {
        let Some(now) = self.now else { return true };
        let mut fits = true;
        for (bucket, amount) in [(&mut self.messages, frames), (&mut self.bytes, bytes as u64)] {
            if let Some(bucket) = bucket {
                fits &= bucket.left(now) >= amount;
                bucket.charge(amount, now);
            }
        }
        fits
    }

    /// When the peer may send at least something.
    pub(super) fn ready_at(&self) -> Duration {
        let at = |bucket: &Option<Bucket>| bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.ready_at(1));
        at(&self.messages).max(at(&self.bytes))
    }

    /// Whether the peer may send at the time that was last told.
    pub(super) fn is_ready(&self) -> bool {
        self.now.is_none_or(|now| self.ready_at() <= now)
    }

    /// Bytes to be read at once.
    pub(super) fn space(&self) -> usize {
        let left = self.bytes.zip(self.now).map_or(MOST_READ, |(bucket, now)| bucket.left(now));
        left.clamp(LEAST_READ, MOST_READ) as usize
    }
}
