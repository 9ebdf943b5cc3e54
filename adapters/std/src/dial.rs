//! TCP connections to hosts with several addresses.

use socket2::{Domain, Protocol, Socket, Type};
use sockless::driver::ConnectError;
use sockless::driver::{Attempt, Attempts};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Finds a host's addresses.
type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Prepares a socket that is to connect to this address.
type Prepare = dyn Fn(&Socket, SocketAddr) -> io::Result<()> + Send + Sync;

/// How long a socket tries to connect without a limit of the caller's: until the system gives up.
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// How much longer a socket tries than it is waited for.
const SPARE: Duration = Duration::from_millis(50);

/// What is left of the time, which has not passed.
///
/// # Errors
/// [`ConnectError::Timeout`] where nothing is left.
pub(crate) fn left(deadline: Option<Instant>) -> Result<Option<Duration>, ConnectError> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ConnectError::Timeout) } else { Ok(Some(left)) }
}

/// How TCP connections are made.
#[derive(Clone, Default)]
pub(crate) struct Dialer {
    /// In place of the system's.
    pub(crate) resolve: Option<Arc<Resolve>>,
    pub(crate) prepare: Vec<Arc<Prepare>>,
}

impl Dialer {
    /// Connects to the first of a host's addresses that answers.
    pub(crate) fn dial(&self, host: &str, port: u16, deadline: Option<Instant>) -> Result<TcpStream, ConnectError> {
        self.connect_any(&self.resolve(host, port, deadline)?, deadline)
    }

    /// A host's addresses, the best first. They take as long to be found as they like: nobody waits beyond the deadline.
    pub(crate) fn resolve(
        &self,
        host: &str,
        port: u16,
        deadline: Option<Instant>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, resolve) = (host.to_owned(), self.resolve.clone());
        let (found, finding) = mpsc::channel();
        thread::spawn(move || {
            found.send(match resolve {
                Some(resolve) => resolve(&host, port),
                None => (host, port).to_socket_addrs().map(Iterator::collect),
            })
        });
        match receive(&finding, left(deadline)?) {
            Ok(addresses) => addresses.map_err(ConnectError::Resolve),
            Err(RecvTimeoutError::Timeout) => Err(ConnectError::Timeout),
            Err(RecvTimeoutError::Disconnected) => {
                Err(ConnectError::Resolve(io::Error::other("the resolver panicked")))
            }
        }
    }

    /// Connects to the first of these addresses that answers; those that come too late are hung up on.
    fn connect_any(&self, addresses: &[SocketAddr], deadline: Option<Instant>) -> Result<TcpStream, ConnectError> {
        let started = Instant::now();
        let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
        let mut attempts = Attempts::new(addresses.iter().copied());
        let (connected, connecting) = mpsc::channel();
        loop {
            let left = left(deadline)?;
            let patience = match attempts.poll(started.elapsed()) {
                Attempt::Connect(address) => {
                    let (connected, prepared) = (connected.clone(), self.socket(address));
                    thread::spawn(move || connected.send(connect(prepared, address, left)));
                    continue;
                }
                Attempt::Wait(until) => until.map(|until| until.saturating_sub(started.elapsed())),
                Attempt::Failed => return Err(ConnectError::Tcp(failure)),
            };
            match receive(&connecting, patience.into_iter().chain(left).min()) {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    failure = error;
                    attempts.handle_failure();
                }
                Err(_) => {}
            }
        }
    }

    fn socket(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        self.prepare.iter().try_for_each(|prepare| prepare(&socket, address))?;
        Ok(socket)
    }
}

fn connect(prepared: io::Result<Socket>, address: SocketAddr, patience: Option<Duration>) -> io::Result<TcpStream> {
    let socket = prepared?;
    // Whoever waits gives up first, and says that the time has passed.
    socket.connect_timeout(&address.into(), patience.map_or(FOREVER, |left| left.saturating_add(SPARE)))?;
    Ok(socket.into())
}

fn receive<T>(from: &mpsc::Receiver<T>, patience: Option<Duration>) -> Result<T, RecvTimeoutError> {
    match patience {
        Some(patience) => from.recv_timeout(patience),
        None => from.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockless_test_support::{PATIENCE, within};
    use std::net::TcpListener;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + PATIENCE)
    }

    #[test]
    fn addresses_that_refuse_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let good = listener.local_addr().expect("an address");
        // A port that was free a moment ago refuses.
        let refuses = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let stream = within("a connection", || Dialer::default().connect_any(&[refuses, refuses, good], soon()))
            .expect("one answers");
        assert_eq!(stream.peer_addr().expect("connected"), good);
        for (addresses, kind) in [(&[refuses, refuses][..], ErrorKind::ConnectionRefused), (&[], ErrorKind::NotFound)] {
            let refused = within("a refusal", || Dialer::default().connect_any(addresses, soon()));
            assert!(matches!(&refused, Err(ConnectError::Tcp(error)) if error.kind() == kind), "{refused:?}");
        }
    }

    /// An address that swallows what it is sent, while what is returned with it lives: a listener whose queue is full drops
    /// what would open one more connection (listen(2)).
    #[cfg(target_os = "linux")]
    fn swallowing() -> (SocketAddr, impl Sized) {
        let listener = TcpListener::bind("127.0.0.2:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut queue = Vec::new();
        // However long the queue is, it has an end.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            queue.push(stream);
        }
        (address, (listener, queue))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_that_swallows_what_it_is_sent_is_not_waited_for() {
        let (swallowing, _queue) = swallowing();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let good = listener.local_addr().expect("an address");
        let stream = within("a connection", || Dialer::default().connect_any(&[swallowing, swallowing, good], soon()));
        assert_eq!(stream.expect("one answers").peer_addr().expect("connected"), good);
        let late = Dialer::default().connect_any(&[swallowing], Some(Instant::now() + Duration::from_millis(20)));
        assert!(matches!(late, Err(ConnectError::Timeout)), "{late:?}");
    }
}
