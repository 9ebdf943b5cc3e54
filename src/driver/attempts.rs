//! Which of a host's addresses to connect to, and when.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

/// "Happy eyeballs" (RFC 8305 §4 and §5): a host's addresses are tried one after the other, the two families by turns, each as
/// soon as the one before it has failed or has not answered for a while, and the first that answers is taken.
///
/// ```
/// use sockless::driver::{Attempt, Attempts};
/// use std::time::Duration;
///
/// let (first, second) = ("[::1]:80".parse()?, "127.0.0.1:80".parse()?);
/// let mut attempts = Attempts::new([first, second]);
/// assert_eq!(attempts.poll(Duration::ZERO), Attempt::Connect(first));
/// assert_eq!(attempts.poll(Duration::ZERO), Attempt::Wait(Some(Attempts::DELAY)));
/// // ... which has not answered by then
/// assert_eq!(attempts.poll(Attempts::DELAY), Attempt::Connect(second));
/// assert_eq!(attempts.poll(Attempts::DELAY), Attempt::Wait(None));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Attempts {
    /// Those not tried yet, the next one last.
    untried: Vec<SocketAddr>,
    under_way: usize,
    /// When the next one is tried beside those under way, on the caller's clock.
    next: Duration,
}

/// What [`Attempts`] would have done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Begin to connect to this address, beside those under way, and ask again.
    Connect(SocketAddr),
    /// Wait for those under way; ask again at this time, if there is one, and when one has failed.
    Wait(Option<Duration>),
    /// None has answered, and there is no other.
    Failed,
}

impl Attempts {
    /// 250 ms, as RFC 8305 §5 recommends: an address that has not answered for so long is tried beside the next one.
    pub const DELAY: Duration = Duration::from_millis(250);

    /// Attempts at these addresses, the resolver's favourite first.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { untried: by_turns(addresses), under_way: 0, next: Duration::ZERO }
    }

    /// What to do at this time, on a monotonic clock of the caller's.
    pub fn poll(&mut self, now: Duration) -> Attempt {
        if self.under_way > 0 && (self.untried.is_empty() || now < self.next) {
            return Attempt::Wait(Some(self.next).filter(|_| !self.untried.is_empty()));
        }
        let Some(address) = self.untried.pop() else { return Attempt::Failed };
        self.under_way += 1;
        self.next = now.saturating_add(Self::DELAY);
        Attempt::Connect(address)
    }

    /// One of those under way has failed: the next one is tried at once.
    pub fn handle_failure(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.next = Duration::ZERO;
    }
}

/// The addresses in their order, but the two families by turns (RFC 8305 §4), the first of them last.
fn by_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = addresses.into_iter().collect();
    let favoured = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|address| address.is_ipv6() == favoured);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    while first.len() + second.len() > 0 {
        mixed.extend(first.next());
        mixed.extend(second.next());
    }
    mixed.reverse();
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        for (given, tried) in [
            (&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"][..], &["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"][..]),
            (&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]),
            (&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "[::2]:1"], &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1", "[::2]:1"]),
            (&[], &[]),
        ] {
            let mut attempts = Attempts::new(addresses(given));
            for address in addresses(tried) {
                assert_eq!(attempts.poll(Duration::ZERO), Attempt::Connect(address));
                attempts.handle_failure();
            }
            assert_eq!(attempts.poll(Duration::ZERO), Attempt::Failed);
        }
    }

    #[test]
    fn each_is_tried_when_the_one_before_it_is_silent_for_long_or_fails() {
        let [first, second, third] = addresses(&["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"]).try_into().unwrap();
        let mut attempts = Attempts::new([first, second, third]);
        assert_eq!(attempts.poll(ms(1000)), Attempt::Connect(first));
        for now in [1000, 1001, 1249] {
            assert_eq!(attempts.poll(ms(now)), Attempt::Wait(Some(ms(1250))));
        }
        assert_eq!(attempts.poll(ms(1250)), Attempt::Connect(second));
        assert_eq!(attempts.poll(ms(1250)), Attempt::Wait(Some(ms(1500))));
        // Whichever of them failed.
        attempts.handle_failure();
        assert_eq!(attempts.poll(ms(1300)), Attempt::Connect(third));
        assert_eq!(attempts.poll(ms(9000)), Attempt::Wait(None));
        attempts.handle_failure();
        assert_eq!(attempts.poll(ms(9001)), Attempt::Wait(None));
        attempts.handle_failure();
        assert_eq!(attempts.poll(ms(9002)), Attempt::Failed);
        assert_eq!(attempts.poll(ms(9003)), Attempt::Failed);
        // More failures than attempts are a mistake that does no harm.
        attempts.handle_failure();
        assert_eq!(attempts.poll(Duration::MAX), Attempt::Failed);
    }
}
