//! How a server takes leave of its peers.

use crate::wire::close::{self, Code};
use crate::wire::error::SendError;
use alloc::borrow::Cow;
use core::time::Duration;

/// How the connections of a server end when it shuts down: what their peers are told, over what time, and how long they have.
///
/// All of them told at once, they would all come back at once. Over a [`span`](Self::span) they come back one after the other.
///
/// ```
/// use sockless::{Code, Drain};
/// use std::time::Duration;
///
/// let drain = Drain { span: Duration::from_secs(60), code: Code::RESTART, ..Drain::default() };
/// assert_eq!(drain.check(), Ok(()));
/// assert!(drain.delay(7) < drain.span);
/// assert_eq!(drain.end(), drain.span + Drain::GRACE);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The time over which the peers are told. None by default: all are told at once.
    pub span: Duration,
    /// The code of the close frame: 1001 by default, for a server that goes; 1012 for one that comes back.
    pub code: Code,
    /// The reason, of at most 123 bytes; none by default.
    pub reason: Cow<'static, str>,
    /// The time that connections have to end once all are told; 10 s by default. Those that have not are cut off.
    pub grace: Duration,
}

impl Drain {
    /// 10 s, as for a closing handshake.
    pub const GRACE: Duration = Duration::from_secs(10);

    /// The defaults, as a constant.
    pub const DEFAULT: Self =
        Self { span: Duration::ZERO, code: Code::AWAY, reason: Cow::Borrowed(""), grace: Self::GRACE };

    /// Whether the code and the reason can be said.
    ///
    /// # Errors
    /// [`CloseCode`](SendError::CloseCode) or [`LongControl`](SendError::LongControl).
    pub fn check(&self) -> Result<(), SendError> {
        close::payload(self.code, &self.reason).map(drop)
    }

    /// When the connection of this number is told, since the beginning of the end: less than the span, if that is not zero.
    /// Numbers one after the other, such as a server gives, are spread evenly, however many they are.
    pub fn delay(&self, number: u64) -> Duration {
        /// 2^64 divided by the golden ratio: the multiples of it lie evenly in the circle, of which these bits are a part.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let part = u128::from(number.wrapping_mul(GOLDEN) >> 32);
        let nanos = (self.span.as_nanos() * part) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When those that are left are cut off, since the beginning of the end.
    pub fn end(&self) -> Duration {
        self.span.saturating_add(self.grace)
    }
}

/// So much grace, and the defaults.
impl From<Duration> for Drain {
    fn from(grace: Duration) -> Self {
        Self { grace, ..Self::DEFAULT }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    #[test]
    fn numbers_in_a_row_are_spread_evenly() {
        let drain = Drain { span: SPAN, ..Drain::DEFAULT };
        for first in [0, 1, 1_000_003, u64::MAX - 50] {
            let mut tenths = [0; 10];
            for number in 0..1_000 {
                tenths[drain.delay(first.wrapping_add(number)).as_secs() as usize] += 1;
            }
            assert!(tenths.iter().all(|told| (98..=102).contains(told)), "{tenths:?}");
        }
    }

    #[test]
    fn without_a_span_all_are_told_at_once_and_the_longest_is_no_overflow() {
        for number in [0, 1, u64::MAX] {
            assert_eq!(Drain::DEFAULT.delay(number), Duration::ZERO);
            let longest = Drain { span: Duration::MAX, grace: Duration::MAX, ..Drain::DEFAULT };
            assert!(longest.delay(number) < Duration::MAX);
            assert_eq!(longest.end(), Duration::MAX);
        }
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        assert_eq!(Drain::DEFAULT.check(), Ok(()));
        assert_eq!(Drain { code: Code::RESTART, reason: "back soon".into(), ..Drain::DEFAULT }.check(), Ok(()));
        let bad = Drain { code: Code::ABNORMAL, ..Drain::DEFAULT };
        assert_eq!(bad.check(), Err(SendError::CloseCode(1006)));
        let long = Drain { reason: "x".repeat(124).into(), ..Drain::DEFAULT };
        assert_eq!(long.check(), Err(SendError::LongControl));
    }
}
