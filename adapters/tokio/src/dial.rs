//! TCP connections to hosts with several addresses.

use crate::error::ConnectError;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// An address that has not answered for so long is tried beside the next one (RFC 8305 §5).
const DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of a host's addresses that answers.
pub(crate) async fn dial(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = lookup_host((host, port)).await.map_err(ConnectError::Resolve)?;
    connect_any(interleave(addresses)).await.map_err(ConnectError::Tcp)
}

/// Connects to the first of these addresses that answers, each tried a little later than the one before it.
async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    loop {
        match addresses.next() {
            Some(address) => _ = attempts.spawn(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let ended = match addresses.len() {
            0 => attempts.join_next().await,
            _ => timeout(DELAY, attempts.join_next()).await.ok().flatten(),
        };
        match ended {
            // Whatever else is being tried ends with the set.
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(error)) => failure = error.into(),
            None => {}
        }
    }
}

/// The addresses in the resolver's order, but the two families by turns (RFC 8305 §4).
fn interleave(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = addresses.collect();
    let first_family = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|address| address.is_ipv6() == first_family);
    let mut first = first.into_iter();
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    while first.len() + second.len() > 0 {
        mixed.extend(first.next());
        mixed.extend(second.next());
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn families_take_turns() {
        let mixed = interleave(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]).into_iter());
        assert_eq!(mixed, addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        let mixed = interleave(addresses(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]).into_iter());
        assert_eq!(mixed, addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]));
        assert_eq!(interleave([].into_iter()), []);
    }

    #[tokio::test]
    async fn addresses_that_refuse_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = listener.local_addr().expect("an address");
        // A port that was free a moment ago refuses.
        let refuses = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let stream = connect_any(vec![refuses, refuses, good]).await.expect("one answers");
        assert_eq!(stream.peer_addr().expect("connected"), good);
        let error = connect_any(vec![refuses, refuses]).await.expect_err("none answers");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(connect_any(vec![]).await.expect_err("none").kind(), ErrorKind::NotFound);
    }
}
