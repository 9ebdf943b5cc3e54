//! How long a client waits before it connects again, and when it gives up.

use crate::wire::close::Code;
use core::time::Duration;

/// How long to wait before a client connects again: doubled with each failure, and cut by chance to between half and all
/// of it, so that clients which lost their server together don't come back together.
///
/// A connection that is lost before it has lived for long is a failure too, so that a server which accepts and closes is not
/// called again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// No wait is longer. After close code 1013 (try again later), none is shorter than half of it.
    pub longest: Duration,
    /// The end is told after so many failures in a row; `None`: never.
    pub attempts: Option<u32>,
    /// The failures before a connection are forgotten when it has lived so long.
    pub settled: Duration,
}

impl Backoff {
    /// 500 ms: a server that restarts is back soon.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// 30 s: a user who waits longer thinks that it is broken.
    pub const LONGEST: Duration = Duration::from_secs(30);
    /// 10 s: what is wrong with a session, a token that has expired, say, shows when it begins.
    pub const SETTLED: Duration = Duration::from_secs(10);

    /// The wait after so many failures in a row; `chance` is any number.
    fn wait(&self, failures: u32, chance: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        whole / 2 + (whole / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Self::FIRST, longest: Self::LONGEST, attempts: None, settled: Self::SETTLED }
    }
}

/// The failures of one client.
#[derive(Debug)]
pub(super) struct Failures {
    backoff: Backoff,
    in_a_row: u32,
    /// When the connection was made, while there is one; on the caller's clock.
    connected: Option<Duration>,
}

impl Failures {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, in_a_row: 0, connected: None }
    }

    pub(super) fn connected(&mut self, now: Duration) {
        self.connected = Some(now);
    }

    /// The attempt has failed, or the connection was lost; how long to wait, by the `code` that the server closed with, and
    /// `None` if it is time to give up, with which all is forgotten.
    pub(super) fn failed(&mut self, now: Duration, code: Option<Code>, chance: u32) -> Option<Duration> {
        let lived = self.connected.take().map(|since| now.saturating_sub(since));
        self.in_a_row = match lived {
            Some(lived) if lived >= self.backoff.settled => 0,
            _ => self.in_a_row.saturating_add(1),
        };
        if self.backoff.attempts.is_some_and(|most| self.in_a_row >= most.max(1)) {
            self.in_a_row = 0;
            return None;
        }
        Some(self.backoff.wait(if code == Some(Code::TRY_LATER) { u32::MAX } else { self.in_a_row }, chance))
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_half() {
        let backoff = Backoff::default();
        for (failures, whole) in
            [(0, 500), (1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (40, 30_000), (u32::MAX, 30_000)]
        {
            let whole = Duration::from_millis(whole);
            assert_eq!(backoff.wait(failures, 0), whole / 2);
            assert_eq!(backoff.wait(failures, u32::MAX), whole);
            let middle = backoff.wait(failures, u32::MAX / 2);
            assert!(whole / 2 < middle && middle < whole);
        }
    }

    #[test]
    fn failures_are_forgotten_when_a_connection_has_lived_and_not_before() {
        let mut now = Duration::ZERO;
        let mut failures = Failures::new(Backoff { attempts: Some(5), ..Backoff::default() });
        let mut fail = |lived: Option<Duration>, code| {
            if let Some(lived) = lived {
                failures.connected(now);
                now += lived;
            }
            failures.failed(now, code, u32::MAX)
        };
        let half = Duration::from_millis(500);
        assert_eq!(fail(None, None), Some(half));
        assert_eq!(fail(None, None), Some(2 * half));
        assert_eq!(fail(Some(s(9)), None), Some(4 * half));
        assert_eq!(fail(None, None), Some(8 * half));
        assert_eq!(fail(Some(s(10)), None), Some(half));
        // From the beginning, then.
        assert_eq!(fail(None, None), Some(half));
        // Who is overloaded is left alone for long, be it only once.
        assert_eq!(fail(Some(s(3600)), Some(Code::TRY_LATER)), Some(s(30)));
        assert_eq!(fail(Some(s(3600)), Some(Code::AWAY)), Some(half));
        for _ in 0..4 {
            assert!(fail(Some(s(1)), None).is_some());
        }
        assert_eq!(fail(Some(s(1)), None), None);
        assert_eq!(fail(None, None), Some(half));
    }
}
