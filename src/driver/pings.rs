//! Pings that somebody waits for the answer to, beside those of keepalive.

use alloc::collections::VecDeque;
use core::time::Duration;

/// Answers that are remembered for those who have not asked after them yet; of earlier ones, the next later tells.
const REMEMBERED: usize = 16;

/// Which pings have been answered, and when: any number of them may be under way at once.
///
/// A pong answers its ping and those before it, for a peer may answer only the newest (RFC 6455 §5.5.3). One that nobody asked
/// for answers none. Whoever gives up waiting has nothing to take back.
///
/// ```
/// use sockless::driver::Pings;
/// use std::time::Duration;
///
/// let (ms, mut pings) = (Duration::from_millis, Pings::default());
/// let (first, _) = pings.ping();
/// let (second, payload) = pings.ping();
/// assert!(!pings.handle_pong(b"unasked", ms(5)));
/// assert_eq!(pings.answered(second), None);
/// assert!(pings.handle_pong(&payload, ms(30)));
/// assert_eq!((pings.answered(first), pings.answered(second)), (Some(ms(30)), Some(ms(30))));
/// ```
#[derive(Debug, Default)]
pub struct Pings {
    sent: u64,
    /// Which were answered, the newest last, and when.
    answered: VecDeque<(u64, Duration)>,
}

/// One of several [`Pings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PingId(u64);

impl Pings {
    /// A new ping, and the payload to send it with.
    pub fn ping(&mut self) -> (PingId, [u8; 8]) {
        self.sent += 1;
        (PingId(self.sent), self.sent.to_be_bytes())
    }

    /// A pong came at this time, on a clock of the caller's; whether it answers any that was not answered before.
    pub fn handle_pong(&mut self, payload: &[u8], now: Duration) -> bool {
        let Ok(id) = payload.try_into().map(u64::from_be_bytes) else { return false };
        let newest = self.answered.back().map_or(0, |(id, _)| *id);
        if id <= newest || id > self.sent {
            return false;
        }
        if self.answered.len() == REMEMBERED {
            self.answered.pop_front();
        }
        self.answered.push_back((id, now));
        true
    }

    /// When it was answered, if it was.
    pub fn answered(&self, ping: PingId) -> Option<Duration> {
        self.answered.iter().find(|(id, _)| *id >= ping.0).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_answers_its_ping_and_those_before_once_and_no_others() {
        let ms = Duration::from_millis;
        let mut pings = Pings::default();
        let sent: [_; 4] = core::array::from_fn(|_| pings.ping());
        let answered = |pings: &Pings| sent.map(|(id, _)| pings.answered(id).map(|at| at.as_millis()));
        for unasked in [&b""[..], b"1234567", &[0; 8], &5_u64.to_be_bytes(), &[0xFF; 8], &[0; 9]] {
            assert!(!pings.handle_pong(unasked, ms(1)), "{unasked:?}");
        }
        assert!(pings.handle_pong(&sent[1].1, ms(20)));
        assert_eq!(answered(&pings), [Some(20), Some(20), None, None]);
        // Again, and one before it: they tell nothing new.
        assert!(!pings.handle_pong(&sent[1].1, ms(30)));
        assert!(!pings.handle_pong(&sent[0].1, ms(30)));
        assert!(pings.handle_pong(&sent[3].1, ms(40)));
        assert_eq!(answered(&pings), [Some(20), Some(20), Some(40), Some(40)]);
    }

    #[test]
    fn no_more_is_remembered_than_so_many() {
        let mut pings = Pings::default();
        let (first, _) = pings.ping();
        for round in 0..1000_u64 {
            let (_, payload) = pings.ping();
            assert!(pings.handle_pong(&payload, Duration::from_secs(round)));
        }
        assert_eq!(pings.answered.len(), REMEMBERED);
        assert_eq!(pings.answered(first), Some(Duration::from_secs(1000 - REMEMBERED as u64)));
    }
}
