//! From a host's name to a socket that is connected.

use crate::tls::{ClientTls, Layer};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use sockless::ClientRequest;
use sockless::driver::{Attempt, Attempts};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long connecting takes at most, unless the caller has it otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// What a socket is watched for: both from the start. Readiness is told by edges, so neither is told in vain.
pub(crate) const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Names that the system is asked for at once: it takes the time it likes, and goes on behind those who have given up.
const MOST_LOOKUPS: usize = 32;

/// The end of a time that begins now; `None` where that is never.
pub(crate) fn after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

/// A connection that is to be made, for a worker.
pub(crate) struct Target {
    pub(crate) request: ClientRequest,
    pub(crate) tls: Option<Layer>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Target {
    /// One whose addresses are known already.
    pub(crate) fn new(request: &ClientRequest, addresses: Vec<SocketAddr>, tls: Option<ClientTls>) -> io::Result<Self> {
        let tls = tls.map(|tls| tls.session(request)).transpose()?;
        Ok(Self { request: request.clone(), tls, addresses })
    }
}

/// Connects to the first of a host's addresses that answers.
pub(crate) struct Dialing {
    attempts: Attempts,
    sockets: Vec<(SocketAddr, TcpStream)>,
    failure: Option<io::Error>,
    /// When to look again, if nothing happens.
    pub(crate) deadline: Option<Duration>,
}

impl Dialing {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { attempts: Attempts::new(addresses), sockets: Vec::new(), failure: None, deadline: None }
    }

    /// Looks what has become of the sockets, and begins with what is due; `None` while nothing is decided. All are watched
    /// under the `token`, the one that is connected too.
    ///
    /// # Errors
    /// Why the last of the addresses cannot be connected to.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<(SocketAddr, TcpStream)>> {
        let mut index = 0;
        while let Some((_, socket)) = self.sockets.get(index) {
            match connected(socket) {
                None => index += 1,
                Some(Ok(())) => return Ok(Some(self.sockets.swap_remove(index))),
                Some(Err(error)) => {
                    self.sockets.swap_remove(index);
                    self.fail(error);
                }
            }
        }
        loop {
            match self.attempts.poll(now) {
                Attempt::Connect(address) => match begin(address, registry, token) {
                    Ok(socket) => self.sockets.push((address, socket)),
                    Err(error) => self.fail(error),
                },
                Attempt::Wait(until) => {
                    self.deadline = until;
                    return Ok(None);
                }
                Attempt::Failed => {
                    self.deadline = None;
                    return Err(self.failure.take().unwrap_or_else(no_address));
                }
            }
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.failure = Some(error);
        self.attempts.handle_failure();
    }
}

fn begin(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    registry.register(&mut socket, token, INTERESTS)?;
    Ok(socket)
}

/// The outcome of connecting; `None` while there is none.
fn connected(socket: &TcpStream) -> Option<io::Result<()>> {
    if let Ok(Some(error)) | Err(error) = socket.take_error() {
        return Some(Err(error));
    }
    match socket.peer_addr() {
        Ok(_) => Some(Ok(())),
        Err(error) if error.kind() == ErrorKind::NotConnected => None,
        Err(error) => Some(Err(error)),
    }
}

/// Connects, and waits for it until the deadline; the socket is watched by `poll` under the `token`.
///
/// # Errors
/// Why there is no connection, [`TimedOut`](ErrorKind::TimedOut) for the deadline.
pub(crate) fn dial(
    addresses: Vec<SocketAddr>,
    deadline: Option<Instant>,
    poll: &mut Poll,
    token: Token,
) -> io::Result<TcpStream> {
    let started = Instant::now();
    let mut dialing = Dialing::new(addresses);
    let mut events = Events::with_capacity(4);
    loop {
        let now = started.elapsed();
        if let Some((_, socket)) = dialing.poll(now, poll.registry(), token)? {
            return Ok(socket);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        let next = dialing.deadline.map(|until| until.saturating_sub(now));
        match poll.poll(&mut events, left.into_iter().chain(next).min()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}

/// The addresses of a request's host, the system's favourite first.
///
/// # Errors
/// What the system says, and [`TimedOut`](ErrorKind::TimedOut) if it has said nothing by the deadline.
pub(crate) fn resolve(request: &ClientRequest, deadline: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = (request.host().to_owned(), request.port());
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => in_time(deadline, move || Ok((host, port).to_socket_addrs()?.collect::<Vec<_>>()))?,
    };
    if addresses.is_empty() { Err(no_address()) } else { Ok(addresses) }
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "name without an address")
}

/// Does what blocks in a thread of its own, and waits for it until the deadline.
fn in_time<T: Send + 'static>(
    deadline: Option<Instant>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let lookup = Lookup::begin(deadline)?;
    let (result, done) = mpsc::channel();
    thread::Builder::new().name("lookup".into()).spawn(move || {
        let _lookup = lookup;
        // Whoever has given up does not want to know.
        _ = result.send(work());
    })?;
    let waited = match deadline {
        None => done.recv().ok(),
        Some(deadline) => done.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok(),
    };
    waited.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
}

/// One of the lookups that go on at once.
struct Lookup;

static LOOKUPS: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

impl Lookup {
    fn begin(deadline: Option<Instant>) -> io::Result<Self> {
        let mut under_way = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
        while *under_way >= MOST_LOOKUPS {
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            (under_way, _) = ENDED.wait_timeout(under_way, left).unwrap_or_else(PoisonError::into_inner);
        }
        *under_way += 1;
        Ok(Self)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        *LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;

    /// An address that drops what would open a connection to it, as a listener does whose queue is full (listen(2)).
    #[cfg(target_os = "linux")]
    pub(crate) struct Swallowing {
        pub(crate) address: SocketAddr,
        _held: (socket2::Socket, std::net::TcpStream),
    }

    #[cfg(target_os = "linux")]
    impl Swallowing {
        pub(crate) fn new() -> Self {
            let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            listener.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            let only = std::net::TcpStream::connect(address).unwrap();
            Self { address, _held: (listener, only) }
        }
    }

    #[test]
    fn a_name_that_is_looked_up_for_ever_is_not_waited_for_and_harms_no_other() {
        let generous = || after(Duration::from_secs(30));
        let (end, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let for_ever = |deadline| {
            let wait = wait.clone();
            in_time(deadline, move || Ok(wait.lock().map(|wait| wait.recv().is_ok()).is_ok()))
        };
        assert_eq!(for_ever(after(Duration::from_millis(10))).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(in_time(generous(), || Ok(7)).unwrap(), 7);
        let failed = in_time(None, || Err::<(), _>(ErrorKind::NotFound.into()));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::NotFound);
        // There is one already, and perhaps one that is just ending.
        for _ in 0..MOST_LOOKUPS {
            _ = for_ever(after(Duration::from_millis(10)));
        }
        assert_eq!(*LOOKUPS.lock().unwrap(), MOST_LOOKUPS);
        let more = in_time(after(Duration::from_millis(10)), || Ok(()));
        assert_eq!(more.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(end);
        in_time(generous(), || Ok(())).unwrap();
    }
}
