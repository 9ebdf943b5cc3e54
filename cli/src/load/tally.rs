//! What is counted of one server.

use hdrhistogram::Histogram;
use sockless_tokio::ConnectError;
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest time that is told apart, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// One server's counts, which all connections to it share.
pub(super) struct Tally {
    pub(super) url: String,
    counts: Mutex<Counts>,
}

/// Times are in microseconds, to three digits.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) connecting: Histogram<u64>,
    pub(super) latencies: Histogram<u64>,
    pub(super) sent: u64,
    pub(super) failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new(url: &str) -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that are constant, and good");
        let counts = Counts { connecting: empty(), latencies: empty(), sent: 0, failures: BTreeMap::new() };
        Self { url: url.into(), counts: counts.into() }
    }

    pub(super) fn connected(&self, time: Duration) {
        self.lock().connecting.saturating_record(micros(time));
    }

    pub(super) fn failed(&self, reason: String) {
        *self.lock().failures.entry(reason).or_default() += 1;
    }

    pub(super) fn failures(&self) -> u64 {
        self.lock().failures.values().sum()
    }

    /// Whether no connection was made.
    pub(super) fn is_unreached(&self) -> bool {
        self.lock().connecting.is_empty()
    }

    /// How far it is, in a line.
    pub(super) fn progress(&self) -> String {
        let counts = self.lock();
        let failures: u64 = counts.failures.values().sum();
        format!("{} connected, {} answered, {failures} failures", counts.connecting.len(), counts.latencies.len())
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many latencies a connection notes before it counts them, and for how long.
const NOTED: usize = 16;
const KEPT: Duration = Duration::from_millis(100);

/// What one connection counts by itself, so that not every message takes the lock that all share. What is left is counted when it
/// is dropped.
pub(super) struct Notes<'a> {
    tally: &'a Tally,
    sent: u64,
    /// Latencies, each so many times: messages that are sent together and answered together have the same.
    latencies: Vec<(Duration, u64)>,
    /// When it last counted, since the start.
    counted: Duration,
}

impl<'a> Notes<'a> {
    pub(super) fn new(tally: &'a Tally) -> Self {
        Self { tally, sent: 0, latencies: Vec::new(), counted: Duration::ZERO }
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// One is answered, which took so long.
    #[inline]
    pub(super) fn answered(&mut self, latency: Duration, now: Duration) {
        if let Some((_, times)) = self.latencies.last_mut().filter(|(last, _)| *last == latency) {
            *times += 1;
            return;
        }
        if self.latencies.len() == NOTED || now >= self.counted + KEPT {
            self.count();
            self.counted = now;
        }
        self.latencies.push((latency, 1));
    }

    pub(super) fn failed_often(&self, reason: &str, times: u64) {
        if times > 0 {
            *self.tally.lock().failures.entry(reason.into()).or_default() += times;
        }
    }

    fn count(&mut self) {
        let mut counts = self.tally.lock();
        counts.sent += mem::take(&mut self.sent);
        for (latency, times) in self.latencies.drain(..) {
            counts.latencies.saturating_record_n(micros(latency), times);
        }
    }
}

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

/// Why there was no connection, in words that many share.
pub(super) fn of_connecting(error: &ConnectError) -> String {
    match error {
        ConnectError::Tcp(error) => format!("not connected: {}", error.kind()),
        ConnectError::Tls(error) => format!("TLS: {}", error.kind()),
        ConnectError::Resolve(_) => "host not found".into(),
        error => error.to_string(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}
