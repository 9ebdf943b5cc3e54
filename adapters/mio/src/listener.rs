//! Addresses, and the sockets that listen on them.

use crate::stream::Socket;
use mio::event::Source;
use mio::net::TcpListener;
#[cfg(unix)]
use mio::net::UnixListener;
use mio::{Interest, Registry, Token};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
#[cfg(unix)]
use std::sync::Arc;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Of the first address that a name stands for; `unix:` goes before the path of a Unix socket.
    pub(crate) fn resolve(text: &str) -> io::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let first = text.to_socket_addrs()?.next();
        first.map(Self::Tcp).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "name without an address"))
    }

    /// The address and port, unless it is a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

enum Inner {
    Tcp(TcpListener),
    /// The file goes before the socket does: while that holds it, the system gives its number to no other.
    #[cfg(unix)]
    Unix {
        _file: Arc<SocketFile>,
        unix: UnixListener,
    },
}

/// A listening socket of one worker.
pub(crate) struct Listener {
    inner: Inner,
    pub(crate) tls: bool,
    /// There may be connections to accept.
    pub(crate) ready: bool,
}

impl Listener {
    /// One for each worker. Those of TCP are their own, so that the system spreads connections over the workers
    /// (`SO_REUSEPORT`), where it can; the others share one queue.
    pub(crate) fn bind(address: &Address, tls: bool, backlog: i32, workers: usize) -> io::Result<(Address, Vec<Self>)> {
        match address {
            Address::Tcp(address) => {
                let first = listen(*address, backlog)?;
                let address = first.local_addr()?;
                let mut sockets = vec![first];
                for _ in 1..workers {
                    let next = if CAN_SHARE_PORT { listen(address, backlog)? } else { sockets[0].try_clone()? };
                    sockets.push(next);
                }
                let listeners = sockets.into_iter().map(TcpListener::from_std);
                Ok((Address::Tcp(address), listeners.map(|tcp| Self::new(Inner::Tcp(tcp), tls)).collect()))
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let first = listen_unix(path)?;
                first.set_nonblocking(true)?;
                let file = Arc::new(SocketFile::of(path)?);
                let mut sockets = vec![];
                for _ in 1..workers {
                    sockets.push(first.try_clone()?);
                }
                sockets.push(first);
                let listeners = sockets.into_iter().map(UnixListener::from_std);
                let listener = |unix| Self::new(Inner::Unix { _file: file.clone(), unix }, tls);
                Ok((Address::Unix(path.clone()), listeners.map(listener).collect()))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn new(inner: Inner, tls: bool) -> Self {
        Self { inner, tls, ready: true }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.inner {
            Inner::Tcp(tcp) => tcp.register(registry, token, Interest::READABLE),
            #[cfg(unix)]
            Inner::Unix { unix, .. } => unix.register(registry, token, Interest::READABLE),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match &self.inner {
            Inner::Tcp(tcp) => tcp.accept().map(|(socket, peer)| (Socket::Tcp(socket), Some(peer))),
            #[cfg(unix)]
            Inner::Unix { unix, .. } => unix.accept().map(|(socket, _)| (Socket::Unix(socket), None)),
        }
    }
}

/// Whether several sockets may listen on one port, each with a queue of its own.
const CAN_SHARE_PORT: bool = cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd"));

fn listen(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // On Windows it would let another program take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Listens in place of a server that is gone, whose socket is left. What is no socket, or has somebody who listens, stays.
#[cfg(unix)]
fn listen_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            match UnixStream::connect(path) {
                Err(refused) if is_socket && refused.kind() == io::ErrorKind::ConnectionRefused => {}
                _ => return Err(error),
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
}

/// The file of a Unix socket, which is removed with the last of those who listen on it, unless another has taken its place.
#[cfg(unix)]
struct SocketFile {
    path: PathBuf,
    /// The device and the number that the system knows it by.
    identity: (u64, u64),
}

#[cfg(unix)]
impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), identity: identity(path)? })
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Whoever has removed it meanwhile has saved the work.
            _ = std::fs::remove_file(&self.path);
        }
    }
}
