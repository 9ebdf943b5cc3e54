//! Limits on the connections from one address, or one network of IPv6.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts the connections of each address, for all threads of a server: so many at once, and so many new ones in a time.
#[derive(Debug)]
pub struct Admission {
    most: Option<u32>,
    rate: Option<(u32, Duration)>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    visitors: HashMap<IpAddr, Visitor>,
    /// When there are more, those that no longer matter are looked for.
    sweep_at: usize,
}

#[derive(Debug)]
struct Visitor {
    open: u32,
    /// When the time that is counted began, and how many came since.
    since: Duration,
    came: u32,
}

/// Whose an address is: IPv4, be it written as IPv6, is one host's; of IPv6 a customer has at least 64 bits (RFC 6177).
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

impl Admission {
    /// At most so many at once, and at most so many new ones in a time.
    pub fn new(most: Option<u32>, rate: Option<(u32, Duration)>) -> Self {
        Self { most, rate, table: Mutex::new(Table { visitors: HashMap::new(), sweep_at: 1024 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_off(&self) -> bool {
        self.most.is_none() && self.rate.is_none()
    }

    /// Takes in a connection at the time `now`, or not. A Unix socket has no address, and no limit.
    pub fn enter(&self, peer: Option<SocketAddr>, now: Duration) -> bool {
        let Some(peer) = peer.filter(|_| !self.is_off()) else { return true };
        let mut table = self.lock();
        if table.visitors.len() > table.sweep_at {
            let window = self.rate.map_or(Duration::ZERO, |(_, window)| window);
            table.visitors.retain(|_, visitor| visitor.open > 0 || now < visitor.since.saturating_add(window));
            table.sweep_at = (2 * table.visitors.len()).max(1024);
        }
        let new = Visitor { open: 0, since: now, came: 0 };
        let visitor = table.visitors.entry(network(peer.ip())).or_insert(new);
        if let Some((most, window)) = self.rate {
            if now >= visitor.since.saturating_add(window) {
                (visitor.since, visitor.came) = (now, 0);
            }
            if visitor.came >= most {
                return false;
            }
        }
        if self.most.is_some_and(|most| visitor.open >= most) {
            return false;
        }
        visitor.open += 1;
        visitor.came += 1;
        true
    }

    /// A connection that was taken in has gone.
    pub fn leave(&self, peer: Option<SocketAddr>) {
        let Some(peer) = peer.filter(|_| !self.is_off()) else { return };
        let mut table = self.lock();
        let address = network(peer.ip());
        if let Some(visitor) = table.visitors.get_mut(&address) {
            visitor.open = visitor.open.saturating_sub(1);
            if visitor.open == 0 && self.rate.is_none() {
                table.visitors.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn peer(last: u8) -> Option<SocketAddr> {
        Some(SocketAddr::from(([10, 0, 0, last], 4000)))
    }

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn so_many_at_once() {
        let admission = Admission::new(Some(2), None);
        assert!(admission.enter(peer(1), S) && admission.enter(peer(1), S));
        assert!(!admission.enter(peer(1), S));
        assert!(admission.enter(peer(2), S));
        admission.leave(peer(1));
        assert!(admission.enter(peer(1), S));
        for last in [1, 1, 2] {
            admission.leave(peer(last));
        }
        assert!(admission.lock().visitors.is_empty());
    }

    #[test]
    fn so_many_in_a_time() {
        let admission = Admission::new(None, Some((2, S)));
        assert!(admission.enter(peer(1), S) && admission.enter(peer(1), S));
        admission.leave(peer(1));
        assert!(!admission.enter(peer(1), S + S / 2));
        assert!(admission.enter(peer(1), S + S));
        let admission = Admission::new(None, Some((1, Duration::MAX)));
        assert!(admission.enter(peer(1), S));
        assert!(!admission.enter(peer(1), 100 * S), "never again");
    }

    #[test]
    fn the_table_forgets() {
        let admission = Admission::new(None, Some((1, S)));
        for number in 0..10_000_u32 {
            let peer = Some(SocketAddr::from((number.to_be_bytes(), 1)));
            assert!(admission.enter(peer, S * number));
            admission.leave(peer);
        }
        assert!(admission.lock().visitors.len() <= 1026);
    }

    #[test]
    fn whose_an_address_is() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2:ffff:ffff:ffff:ffff"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:3::1"), "2001:db8:1:3::");
        let admission = Admission::new(Some(1), None);
        let peer = |address: &str| Some(SocketAddr::from((address.parse::<IpAddr>().unwrap(), 1)));
        assert!(admission.enter(peer("2001:db8::1"), S));
        assert!(!admission.enter(peer("2001:db8::2"), S));
        assert!(admission.enter(peer("2001:db8:0:1::1"), S));
        admission.leave(peer("2001:db8::1"));
        assert!(admission.enter(peer("2001:db8::3"), S));
    }
}
