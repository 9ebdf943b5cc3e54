//! A socket, TCP or Unix, with or without TLS: nonblocking, and its bytes in order.

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;

pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// There is none yet.
    Unconnected,
}

/// What a socket is watched for: both from the start. Readiness is told by edges, so neither is told in vain.
pub(crate) const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Does the same to either kind of socket.
macro_rules! either {
    ($socket:expr, $name:ident => $do:expr) => {
        match $socket {
            Socket::Tcp($name) => $do,
            #[cfg(unix)]
            Socket::Unix($name) => $do,
            Socket::Unconnected => Err(ErrorKind::NotConnected.into()),
        }
    };
}

/// A socket, and the TLS session over it if there is one.
pub(crate) struct Stream {
    socket: Socket,
    tls: Option<Box<Session>>,
}

/// Bytes; when one read has brought so many that were not the peer's own, it is enough for one turn. Records that say nothing
/// cost as much as any, and a new key costs more.
const MOST_OVERHEAD: usize = 32 << 10;

struct Session {
    tls: rustls::Connection,
    /// The socket has told its end.
    eof: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes; none at the end.
    pub(crate) len: usize,
    /// Whether there may be more to read at once.
    pub(crate) more: bool,
}

impl Stream {
    pub(crate) fn new(socket: Socket, tls: Option<rustls::Connection>) -> Self {
        Self { socket, tls: tls.map(|tls| Box::new(Session { tls, eof: false })) }
    }

    /// Has the socket watched, if there is one.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Socket::Unconnected => Ok(()),
            socket => either!(socket, socket => socket.register(registry, token, INTERESTS)),
        }
    }

    /// Gets a socket that is connected, and watched under another token.
    pub(crate) fn connect(&mut self, mut socket: TcpStream, registry: &Registry, token: Token) -> io::Result<()> {
        socket.reregister(registry, token, INTERESTS)?;
        self.socket = Socket::Tcp(socket);
        Ok(())
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        either!(&mut self.socket, socket => socket.deregister(registry))
    }

    pub(crate) fn set_nodelay(&self) {
        if let Socket::Tcp(socket) = &self.socket {
            // A socket that refuses is slower, and no worse.
            _ = socket.set_nodelay(true);
        }
    }

    pub(crate) fn tls(&self) -> Option<&rustls::Connection> {
        self.tls.as_deref().map(|session| &session.tls)
    }

    /// Reads once from the socket, or from TLS as much as there is.
    ///
    /// # Errors
    /// `WouldBlock` where there is nothing; `Interrupted` where TLS has read much that said nothing, and there may be more.
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Received> {
        match &mut self.tls {
            None => {
                let len = retry(|| either!(&mut self.socket, socket => socket.read(into)))?;
                // A stream that gives less than was asked for has no more (epoll(7), question 9).
                Ok(Received { len, more: len == into.len() })
            }
            Some(session) => session.read(&mut self.socket, into),
        }
    }

    /// Writes as much as is taken; with TLS, that has perhaps not left this process ([`flush`](Self::flush)).
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => retry(|| either!(&mut self.socket, socket => socket.write(bytes))),
            Some(session) => session.write(&mut self.socket, &[IoSlice::new(bytes)]),
        }
    }

    /// The same of several slices.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            None => retry(|| either!(&mut self.socket, socket => socket.write_vectored(slices))),
            Some(session) => session.write(&mut self.socket, slices),
        }
    }

    /// Writes what TLS holds back; whether it holds nothing any more.
    #[inline]
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => Ok(true),
            Some(session) => session.flush(&mut self.socket),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn shutdown(&mut self) {
        self.say_goodbye();
        // If it fails, the peer is gone already, which reading will tell.
        _ = either!(&self.socket, socket => socket.shutdown(Shutdown::Write));
    }

    /// Tells TLS that this is the end on purpose (RFC 8446 §6.1).
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(session) = &mut self.tls {
            session.tls.send_close_notify();
            _ = session.flush(&mut self.socket);
        }
    }
}

impl Session {
    fn read(&mut self, socket: &mut Socket, into: &mut [u8]) -> io::Result<Received> {
        let (mut len, mut encrypted) = (0, 0);
        loop {
            match self.tls.reader().read(&mut into[len..]) {
                // TLS has ended, by its own goodbye or without one: what that means is for the WebSocket to say.
                Ok(0) => return Ok(Received { len, more: true }),
                Ok(n) => {
                    len += n;
                    if len == into.len() {
                        return Ok(Received { len, more: true });
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.eof => {}
                Err(_) if self.eof => return Ok(Received { len, more: true }),
                Err(error) => return Err(error),
            }
            if encrypted > len + MOST_OVERHEAD {
                return if len > 0 { Ok(Received { len, more: true }) } else { Err(ErrorKind::Interrupted.into()) };
            }
            match retry(|| either!(&mut *socket, socket => self.tls.read_tls(socket))) {
                Ok(n) => {
                    encrypted += n;
                    self.eof |= n == 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && len > 0 => {
                    return Ok(Received { len, more: false });
                }
                Err(error) => return Err(error),
            }
            let processed = self.tls.process_new_packets();
            // Handshakes and alerts go out at once.
            self.flush(socket)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&mut self, socket: &mut Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // Ciphertext is not piled up behind a peer that does not read.
        if !self.flush(socket)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = self.tls.writer().write_vectored(slices)?;
        self.flush(socket)?;
        if n == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }

    fn flush(&mut self, socket: &mut Socket) -> io::Result<bool> {
        while self.tls.wants_write() {
            match retry(|| either!(&mut *socket, socket => self.tls.write_tls(socket))) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[inline]
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
