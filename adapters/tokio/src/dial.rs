//! TCP connections to hosts with several addresses.

use sockless::driver::ConnectError;
use sockless::driver::{Attempt, Attempts};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Finds a host's addresses.
type Resolve = dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync;

/// Prepares a socket that is to connect to this address.
type Prepare = dyn Fn(&TcpSocket, SocketAddr) -> io::Result<()> + Send + Sync;

/// How TCP connections are made.
#[derive(Clone, Default)]
pub(crate) struct Dialer {
    /// In place of the system's.
    pub(crate) resolve: Option<Arc<Resolve>>,
    pub(crate) prepare: Vec<Arc<Prepare>>,
}

impl Dialer {
    /// Connects to the first of a host's addresses that answers.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(host, port).await?;
        self.connect_any(addresses).await.map_err(ConnectError::Tcp)
    }

    /// A host's addresses, the best first.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = match &self.resolve {
            Some(resolve) => resolve(host.to_owned(), port).await,
            None => lookup_host((host, port)).await.map(Iterator::collect),
        };
        found.map_err(ConnectError::Resolve)
    }

    /// Connects to the first of these addresses that answers.
    async fn connect_any(&self, addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
        let started = Instant::now();
        let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
        let mut attempts = Attempts::new(addresses);
        let mut sockets = JoinSet::new();
        loop {
            let ended = match attempts.poll(started.elapsed()) {
                Attempt::Connect(address) => {
                    let prepared = self.socket(address);
                    sockets.spawn(async move { prepared?.connect(address).await });
                    continue;
                }
                Attempt::Wait(None) => sockets.join_next().await,
                Attempt::Wait(Some(until)) => timeout_at(started + until, sockets.join_next()).await.unwrap_or(None),
                Attempt::Failed => return Err(failure),
            };
            match ended {
                // Whatever else is being tried ends with the set.
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => failure = error,
                Some(Err(error)) => failure = error.into(),
                None => continue,
            }
            attempts.handle_failure();
        }
    }

    fn socket(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        self.prepare.iter().try_for_each(|prepare| prepare(&socket, address))?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_swallows_what_it_is_sent_is_not_waited_for() {
        // A listener whose queue is full drops what would open one more connection (listen(2)).
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.2:0".parse().expect("an address")).expect("a port");
        let swallows = socket.listen(0).expect("a listener");
        let swallowing = swallows.local_addr().expect("an address");
        let _queue = TcpStream::connect(swallowing).await.expect("room for one");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = listener.local_addr().expect("an address");
        let patience = std::time::Duration::from_secs(30);
        let stream =
            tokio::time::timeout(patience, Dialer::default().connect_any([swallowing, swallowing, good])).await;
        assert_eq!(stream.expect("in time").expect("one answers").peer_addr().expect("connected"), good);
    }

    #[tokio::test]
    async fn addresses_that_refuse_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = listener.local_addr().expect("an address");
        // A port that was free a moment ago refuses.
        let refuses = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let stream = Dialer::default().connect_any([refuses, refuses, good]).await.expect("one answers");
        assert_eq!(stream.peer_addr().expect("connected"), good);
        let error = Dialer::default().connect_any([refuses, refuses]).await.expect_err("none answers");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(Dialer::default().connect_any([]).await.expect_err("none").kind(), ErrorKind::NotFound);
    }
}
