//! From a host's name to a connection that is being made.

use crate::stream::{Socket, Stream};
use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use sockless::ClientRequest;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long connecting takes at most, unless the caller has it otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Names that the system is asked for at once: it takes the time it likes, and goes on behind those who have given up.
const MOST_LOOKUPS: usize = 32;

/// The end of a time that begins now; `None` where that is never.
pub(crate) fn after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

/// A connection that is being made, for a worker to go on with.
pub(crate) struct Target {
    pub(crate) request: ClientRequest,
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// What else to try, the next one last.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Target {
    /// Begins to connect to the first address that can be tried at all.
    pub(crate) fn dial(request: &ClientRequest, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let mut addresses = resolve(request, after(TIMEOUT))?;
        let tls = tls.map(|config| session(config, request)).transpose()?;
        loop {
            let Some(peer) = addresses.pop() else { return Err(no_address()) };
            match TcpStream::connect(peer) {
                Ok(socket) => {
                    let stream = Stream::new(Socket::Tcp(socket), tls.map(Into::into));
                    return Ok(Self { request: request.clone(), stream, peer, addresses });
                }
                Err(error) if addresses.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
    }
}

/// A TLS session with the server that a request is for.
pub(crate) fn session(config: Arc<ClientConfig>, request: &ClientRequest) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(request.host().to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(config, name).map_err(io::Error::other)
}

/// The addresses of a request's host, the one to try first last.
///
/// # Errors
/// What the system says, and [`TimedOut`](ErrorKind::TimedOut) if it has said nothing by the deadline.
pub(crate) fn resolve(request: &ClientRequest, deadline: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = (request.host().to_owned(), request.port());
    let mut addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => in_time(deadline, move || Ok((host, port).to_socket_addrs()?.collect::<Vec<_>>()))?,
    };
    addresses.reverse();
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
mod tests {
    use super::*;

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
