//! A socket, TCP or Unix, with or without TLS: nonblocking, and its bytes in order.

use crate::dial::{Dialing, INTERESTS};
use crate::tls::Layer;
use crate::transport::{TlsInfo, Transport, retry};
use mio::event::{Event, Source};
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Registry, Token};
use sockless::addresses::{Proxied, ProxyHeader, ProxyHeaderError};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// There is none yet, but those that try to connect.
    Dialing(Box<Dialing>),
    /// A proxy says who its client is, before anything else.
    Heading(Box<Heading>),
    /// It is being put elsewhere.
    Gone,
}

/// A socket from which a header of the PROXY protocol is to be read first.
pub(crate) struct Heading {
    socket: Socket,
    header: ProxyHeader,
}

/// Does the same to either kind of socket.
macro_rules! either {
    ($socket:expr, $name:ident => $do:expr) => {
        match $socket {
            Socket::Tcp($name) => $do,
            #[cfg(unix)]
            Socket::Unix($name) => $do,
            Socket::Dialing(_) | Socket::Heading(_) | Socket::Gone => Err(ErrorKind::WouldBlock.into()),
        }
    };
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        retry(|| either!(&mut *self, socket => socket.read(into)))
    }
}

impl Write for Socket {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| either!(&mut *self, socket => socket.write(bytes)))
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| either!(&mut *self, socket => socket.write_vectored(slices)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket, and the TLS session over it if there is one.
pub(crate) struct Stream {
    socket: Socket,
    /// There may be bytes to read.
    readable: bool,
    /// The socket has told that its end is near, so bytes are read up to it.
    hung_up: bool,
    tls: Option<Box<Layer>>,
    /// What a proxy has said of its client.
    proxied: Option<Box<Proxied>>,
}

impl Stream {
    pub(crate) fn new(socket: Socket, tls: Option<Layer>) -> Self {
        Self { socket, readable: true, hung_up: false, tls: tls.map(Box::new), proxied: None }
    }

    /// A header of the PROXY protocol is to come first.
    pub(crate) fn expect_header(&mut self) {
        let socket = mem::replace(&mut self.socket, Socket::Gone);
        self.socket = Socket::Heading(Box::new(Heading { socket, header: ProxyHeader::default() }));
    }

    /// Has the socket watched, if there is one.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Socket::Dialing(_) => Ok(()),
            Socket::Heading(heading) => {
                either!(&mut heading.socket, socket => socket.register(registry, token, INTERESTS))
            }
            socket => either!(socket, socket => socket.register(registry, token, INTERESTS)),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.socket {
            Socket::Heading(heading) => either!(&mut heading.socket, socket => socket.deregister(registry)),
            socket => either!(socket, socket => socket.deregister(registry)),
        }
    }

    /// Goes on with connecting, if that is what it does; to whom, once it has. What tries to connect is watched under the token
    /// of the `attempts`.
    ///
    /// # Errors
    /// Why nobody can be connected to.
    pub(crate) fn dial(
        &mut self,
        now: Duration,
        registry: &Registry,
        attempts: Token,
        token: Token,
    ) -> io::Result<Option<SocketAddr>> {
        let Socket::Dialing(dialing) = &mut self.socket else { return Ok(None) };
        let Some((peer, mut socket)) = dialing.poll(now, registry, attempts)? else { return Ok(None) };
        socket.reregister(registry, token, INTERESTS)?;
        self.socket = Socket::Tcp(socket);
        self.readable = true;
        Ok(Some(peer))
    }

    /// When to go on with that, if nothing happens.
    pub(crate) fn dial_at(&self) -> Option<Duration> {
        if let Socket::Dialing(dialing) = &self.socket { dialing.deadline } else { None }
    }

    pub(crate) fn set_nodelay(&self) {
        if let Socket::Tcp(socket) = &self.socket {
            // A socket that refuses is slower, and no worse.
            _ = socket.set_nodelay(true);
        }
    }

    /// Something happened to the socket; whether its end is near.
    pub(crate) fn ready(&mut self, event: &Event) -> bool {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.hung_up |= event.is_read_closed() || event.is_error();
        self.hung_up
    }

    /// Says that nothing more will be written.
    pub(crate) fn shutdown(&mut self) {
        self.say_goodbye();
        // If it fails, the peer is gone already, which reading will tell.
        _ = either!(&self.socket, socket => socket.shutdown(Shutdown::Write));
    }

    /// Tells TLS that this is the end on purpose (RFC 8446 §6.1).
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye(&mut self.socket);
        }
    }
}

impl Transport for Stream {
    #[inline]
    fn is_readable(&self) -> bool {
        self.readable
    }

    fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    fn take_proxied(&mut self) -> Proxied {
        self.proxied.take().map_or_else(Proxied::default, |proxied| *proxied)
    }

    fn tls(&self) -> Option<TlsInfo> {
        self.tls.as_ref().map(|tls| tls.describe())
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.tls {
            None => self.socket.read(into),
            Some(tls) => tls.read(&mut self.socket, into),
        };
        if read.is_err() && matches!(self.socket, Socket::Heading(_)) {
            return self.read_header(into);
        }
        self.readable = match &read {
            Ok(0) => false,
            // A stream that gives less than was asked for has no more (epoll(7), question 9).
            Ok(len) => *len == into.len() || self.hung_up || self.tls.as_ref().is_some_and(|tls| tls.has_more()),
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
        read
    }
}

impl Stream {
    /// Reads the header that is to come first, as far as it is there, and what is behind it.
    #[cold]
    fn read_header(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Socket::Heading(heading) = &mut self.socket else { return Err(ErrorKind::WouldBlock.into()) };
        let Heading { socket, header } = &mut **heading;
        let mut bytes = [0; 256];
        loop {
            let room = header.wants().min(bytes.len());
            let read = retry(|| either!(&mut *socket, socket => socket.read(&mut bytes[..room])));
            self.readable = read.is_ok();
            let told = match read? {
                0 => Err(ProxyHeaderError::Malformed),
                len => header.receive(&mut &bytes[..len]),
            };
            match told {
                Ok(None) => {}
                Ok(Some(proxied)) => {
                    self.proxied = Some(Box::new(proxied));
                    self.socket = mem::replace(socket, Socket::Gone);
                    return self.read(into);
                }
                Err(error) => {
                    if self.tls.is_none() {
                        // Who takes no bytes yet takes none for good.
                        _ = either!(&mut *socket, socket => socket.write(ProxyHeaderError::ANSWER));
                    }
                    _ = either!(&*socket, socket => socket.shutdown(Shutdown::Write));
                    let mut left = ProxyHeader::MOST_LEFT;
                    while let Ok(len @ 1..) = either!(&mut *socket, socket => socket.read(&mut bytes)) {
                        left = left.saturating_sub(len);
                        if left == 0 {
                            break;
                        }
                    }
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
            }
        }
    }

    /// Notes whether writing has failed: what the peer said before it went may still be read.
    #[inline]
    fn wrote(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        self.readable |= written.as_ref().is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
        written
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write(&mut self.socket, &[IoSlice::new(bytes)]),
        };
        self.wrote(written)
    }

    #[inline(never)]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match &mut self.tls {
            None => self.socket.write_vectored(slices),
            Some(tls) => tls.write(&mut self.socket, slices),
        };
        self.wrote(written)
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => match tls.flush(&mut self.socket)? {
                true => Ok(()),
                false => Err(ErrorKind::WouldBlock.into()),
            },
        }
    }
}
