//! Addresses, and the sockets that listen on them.

use crate::listeners;
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
    /// The path of a Unix socket; empty for one without.
    Unix(PathBuf),
}

impl Address {
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
        _file: Option<Arc<SocketFile>>,
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
    /// One for each worker and each address that `text` stands for; `unix:` goes before the path of a Unix socket.
    pub(crate) fn bind(text: &str, tls: bool, backlog: i32, workers: usize) -> io::Result<Vec<(Address, Vec<Self>)>> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(vec![Self::bind_unix(path.into(), tls, workers)?]);
        }
        let addresses: Vec<_> = text.to_socket_addrs()?.collect();
        // The system gives the first a port that is free, which may be another's at the next address.
        let mut tries = if addresses.iter().all(|address| address.port() == 0) { FREE_PORTS } else { 1 };
        loop {
            tries -= 1;
            match Self::bind_tcp(&addresses, tls, backlog, workers) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                bound => return bound,
            }
        }
    }

    /// At all addresses, with one port. Some may not be this machine's, or not now: a name stands for both families, of which
    /// there may be one.
    fn bind_tcp(
        addresses: &[SocketAddr],
        tls: bool,
        backlog: i32,
        workers: usize,
    ) -> io::Result<Vec<(Address, Vec<Self>)>> {
        let mut bound: Vec<(Address, Vec<Self>)> = Vec::new();
        let mut left_out = io::Error::new(io::ErrorKind::NotFound, "name without an address");
        let mut port = None;
        for (index, address) in addresses.iter().enumerate() {
            let mut address = *address;
            address.set_port(port.unwrap_or(address.port()));
            if addresses[..index].contains(&addresses[index]) {
                continue;
            }
            match Self::bind_one(address, tls, backlog, workers) {
                Ok(listeners) => {
                    port = listeners.0.tcp().map(|address| address.port());
                    bound.push(listeners);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => return Err(error),
                    _ => left_out = error,
                },
            }
        }
        if bound.is_empty() { Err(left_out) } else { Ok(bound) }
    }

    /// Those of TCP are the workers' own, so that the system spreads connections over the workers (`SO_REUSEPORT`), where it
    /// can; others share one queue.
    fn bind_one(address: SocketAddr, tls: bool, backlog: i32, workers: usize) -> io::Result<(Address, Vec<Self>)> {
        let first = listen(address, backlog)?;
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
    fn bind_unix(path: PathBuf, tls: bool, workers: usize) -> io::Result<(Address, Vec<Self>)> {
        let first = listen_unix(&path)?;
        first.set_nonblocking(true)?;
        let file = Arc::new(SocketFile::of(&path)?);
        let mut sockets = vec![];
        for _ in 1..workers {
            sockets.push(first.try_clone()?);
        }
        sockets.push(first);
        let listeners = sockets.into_iter().map(UnixListener::from_std);
        let listener = |unix| Self::new(Inner::Unix { _file: Some(file.clone()), unix }, tls);
        Ok((Address::Unix(path), listeners.map(listener).collect()))
    }

    #[cfg(not(unix))]
    fn bind_unix(_: PathBuf, _: bool, _: usize) -> io::Result<(Address, Vec<Self>)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// One for each worker, of what listens already: they share its queue.
    pub(crate) fn adopt(given: &listeners::Listener, tls: bool, workers: usize) -> io::Result<(Address, Vec<Self>)> {
        match given {
            listeners::Listener::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                let of_worker = |_| Ok(Self::new(Inner::Tcp(TcpListener::from_std(tcp.try_clone()?)), tls));
                Ok((Address::Tcp(tcp.local_addr()?), (0..workers).map(of_worker).collect::<io::Result<_>>()?))
            }
            #[cfg(unix)]
            listeners::Listener::Unix(unix) => {
                unix.set_nonblocking(true)?;
                let path = unix.local_addr()?.as_pathname().map(Path::to_path_buf).unwrap_or_default();
                let of_worker = |_| {
                    let unix = UnixListener::from_std(unix.try_clone()?);
                    Ok(Self::new(Inner::Unix { _file: None, unix }, tls))
                };
                Ok((Address::Unix(path), (0..workers).map(of_worker).collect::<io::Result<_>>()?))
            }
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

/// How often a port is asked for that is free at all addresses of a name.
const FREE_PORTS: usize = 16;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn all_addresses_of_a_name_have_one_port() {
        // The first twice, and one that is kept for examples (RFC 5737), which is nobody's.
        let name = ["127.0.0.1:0", "127.0.0.1:0", "192.0.2.1:0", "127.0.0.2:0"].map(|it| it.parse().unwrap());
        let bound = Listener::bind_tcp(&name, false, 16, 2).unwrap();
        let addresses: Vec<_> = bound.iter().filter_map(|(address, _)| address.tcp()).collect();
        let port = addresses[0].port();
        assert_eq!(
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"),]
        );
        assert!(bound.iter().all(|(_, listeners)| listeners.len() == 2));
        for address in &addresses {
            TcpStream::connect(address).unwrap();
        }
        assert_eq!(Listener::bind_tcp(&name[2..3], false, 16, 1).err().map(|error| error.kind()), {
            Some(io::ErrorKind::AddrNotAvailable)
        });
        assert_eq!(
            Listener::bind_tcp(&[], false, 16, 1).err().map(|error| error.kind()),
            Some(io::ErrorKind::NotFound)
        );
        // In use at the second, without sharing it.
        let taken = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let name = ["127.0.0.1", "127.0.0.2"].map(|it| SocketAddr::new(it.parse().unwrap(), port));
        let error = Listener::bind_tcp(&name, false, 16, 1).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::AddrInUse));
    }
}
