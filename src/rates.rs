//! How much of something may come in a time: token buckets, told the time.

use core::time::Duration;

/// How often something may happen: so many times a second, and so many at once when it has not happened for a while.
///
/// ```
/// use sockless::Rate;
///
/// let rate = Rate::per_second(10).burst(30);
/// assert_eq!((rate.per_second, rate.burst), (10, 30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many come to a second, at least 1.
    pub per_second: u32,
    /// How many may come at once, at least 1.
    pub burst: u32,
}

impl Rate {
    /// So many a second, and as many at once.
    pub const fn per_second(per_second: u32) -> Self {
        Self { per_second, burst: per_second }
    }

    /// The same with so many at once.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self { burst, ..self }
    }
}

/// How much a peer may send in a time; run by a [`Driver`](crate::Driver), which is told the time. Off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Messages, of which one in fragments counts for each of them; pings, pongs and closes count as well.
    pub messages: Option<Rate>,
    /// Bytes of frames, their headers included, as they are on the wire.
    pub bytes: Option<Rate>,
    /// What becomes of a peer that sends more.
    pub excess: Excess,
}

/// What becomes of a peer that sends more than its [`Rates`] allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Excess {
    /// It is not read until it may send again: TCP has it wait, and nothing is lost. Meanwhile no deadline counts but that of a
    /// closing handshake. A loop that blocks waits until [`Next::deadline`](crate::driver::Next::deadline) then, instead of reading.
    #[default]
    Wait,
    /// It is refused with 1008, and [`RateExceeded`](crate::ProtocolError::RateExceeded) tells of it.
    Close,
}

impl Rates {
    /// No limit: honest peers know how much they have to say, and back-pressure bounds what they take.
    pub const NONE: Self = Self { messages: None, bytes: None, excess: Excess::Wait };

    pub(crate) const fn is_off(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }
}

/// A token bucket: what a [`Rate`] allows, told the time by its caller.
///
/// It is full at first. What is taken beyond that is a debt, which time pays.
///
/// ```
/// use sockless::{Bucket, Rate};
/// use std::time::Duration;
///
/// let mut bucket = Bucket::new(Rate::per_second(2));
/// let now = Duration::from_secs(100); // since any moment that stays the same
/// assert!(bucket.take(1, now) && bucket.take(1, now) && !bucket.take(1, now));
/// assert_eq!(bucket.ready_at(1), now + Duration::from_millis(500));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    rate: Rate,
    /// What lacked to a full one at the time below, in billionths.
    owed: u64,
    /// In nanoseconds.
    at: u64,
}

/// The billionths of one.
const ONE: u64 = 1_000_000_000;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Bucket {
    /// A full one.
    pub const fn new(rate: Rate) -> Self {
        Self { rate, owed: 0, at: 0 }
    }

    /// Changes the rate; as many are left or owed as before.
    pub fn set_rate(&mut self, rate: Rate, now: Duration) {
        let owed = self.owed(now).saturating_add(ONE.saturating_mul(rate.burst.max(1).into()));
        *self = Self { rate, owed: owed.saturating_sub(self.burst()), at: self.at.max(nanos(now)) };
    }

    /// The burst, in billionths.
    fn burst(&self) -> u64 {
        ONE * u64::from(self.rate.burst.max(1))
    }

    /// What lacks to a full one, in billionths.
    fn owed(&self, now: Duration) -> u64 {
        let paid = nanos(now).saturating_sub(self.at).saturating_mul(self.rate.per_second.max(1).into());
        self.owed.saturating_sub(paid)
    }

    /// How many may be taken.
    pub fn left(&self, now: Duration) -> u64 {
        self.burst().saturating_sub(self.owed(now)) / ONE
    }

    /// Takes so many, if there are so many left; whether there were.
    pub fn take(&mut self, amount: u64, now: Duration) -> bool {
        let fits = self.left(now) >= amount;
        if fits {
            self.charge(amount, now);
        }
        fits
    }

    /// Takes so many, be they left or owed.
    pub fn charge(&mut self, amount: u64, now: Duration) {
        self.owed = self.owed(now).saturating_add(amount.saturating_mul(ONE));
        self.at = self.at.max(nanos(now));
    }

    /// When so many are left at the earliest, or as many as there can be; perhaps in the past.
    pub fn ready_at(&self, amount: u64) -> Duration {
        let too_much = self.owed.saturating_sub(self.burst().saturating_sub(amount.saturating_mul(ONE)));
        let wait = too_much.div_ceil(self.rate.per_second.max(1).into());
        Duration::from_nanos(self.at.saturating_add(wait))
    }
}
