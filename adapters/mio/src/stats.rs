//! What a server has done so far.

use sockless::{SendError, seen};
use std::sync::atomic::{AtomicU64, Ordering};

/// Plain counters, of all workers together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// WebSockets that are open now.
    pub open: u64,
    /// Connections that are there now, those in their opening or closing handshake included.
    pub connections: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were turned away by a limit, by [`on_accept`](crate::Handler::on_accept), or for want of
    /// descriptors.
    pub refused: u64,
    /// WebSockets that were opened.
    pub opened: u64,
    /// Messages that came.
    pub messages_received: u64,
    /// Messages that were sent; each receiver of a broadcast counts.
    pub messages_sent: u64,
    /// Bytes that came, without those of TLS.
    pub bytes_received: u64,
    /// Bytes that went out, without those of TLS.
    pub bytes_sent: u64,
    /// Messages from other threads, of broadcasts and of topics that a connection did not take: its peer was too slow, or
    /// it was closing.
    pub dropped: u64,
    /// Of those, for peers that were too slow.
    pub dropped_slow: u64,
    /// Of those, for connections that were closing, or gone.
    pub dropped_closing: u64,
    /// Panics of the application that were caught: they end the connection that they are of, or keep it out.
    pub panics: u64,
    /// Messages of topics that did not go to other nodes.
    pub unsent: u64,
}

/// All that a worker counts.
const FIELDS: usize = 12;

impl Stats {
    /// Counts a message that a connection did not take.
    pub(crate) fn drop_one(&mut self, error: SendError) {
        self.dropped += 1;
        match error {
            SendError::Full => self.dropped_slow += 1,
            error => self.dropped_closing += u64::from(error.is_closing()),
        }
    }

    fn fields(&mut self) -> [&mut u64; FIELDS] {
        let Self {
            open,
            connections,
            accepted,
            refused,
            opened,
            messages_received,
            messages_sent,
            bytes_received,
            bytes_sent,
            dropped,
            dropped_slow,
            dropped_closing,
            panics: _,
            unsent: _,
        } = self;
        [
            open,
            connections,
            accepted,
            refused,
            opened,
            messages_received,
            messages_sent,
            bytes_received,
            bytes_sent,
            dropped,
            dropped_slow,
            dropped_closing,
        ]
    }
}

/// The counters of one worker, as it last published them.
#[derive(Default)]
pub(crate) struct Published([AtomicU64; FIELDS]);

impl Published {
    /// Only its own worker stores.
    pub(crate) fn store(&self, mut stats: Stats) {
        if cfg!(feature = "metrics") {
            let mut before = Stats::default();
            self.add_to(&mut before);
            seen::dropped(stats.dropped.saturating_sub(before.dropped));
        }
        for (published, value) in self.0.iter().zip(stats.fields()) {
            published.store(*value, Ordering::Relaxed);
        }
    }

    /// Adds these counters to `sum`.
    pub(crate) fn add_to(&self, sum: &mut Stats) {
        for (published, value) in self.0.iter().zip(sum.fields()) {
            *value += published.load(Ordering::Relaxed);
        }
    }
}
