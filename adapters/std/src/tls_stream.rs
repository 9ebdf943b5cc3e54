//! TLS over another stream.

use crate::stream::Stream;
use sockless::driver::ConnectError;
use sockless_tls::rustls::pki_types::ServerName;
use sockless_tls::rustls::{ClientConnection, CommonState, Connection, ServerConfig, ServerConnection};
use sockless_tls::{Tls, TlsError};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of TLS that one read brings at most: the longest record, and a little.
const READ: usize = 18 << 10;

/// TLS over another stream, in either role.
///
/// It is a [`Stream`] like any other: its end without TLS's own goodbye is an end, for a WebSocket says goodbye itself.
pub struct TlsStream<S> {
    /// Held for no longer than bytes take to be opened or sealed: of a stream in two, each has this one.
    session: Arc<Mutex<Connection>>,
    stream: S,
    /// What was read and not taken, from the index on.
    sealed: Vec<u8>,
    at: usize,
    /// What is to be written, from the index on.
    outgoing: Vec<u8>,
    written: usize,
}

impl<S: Stream> TlsStream<S> {
    /// A client's end, to this host. The handshake is done by [`handshake`](Self::handshake), or else by the first read.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for a host that no certificate can name.
    pub fn connect(tls: &Tls, host: &str, stream: S) -> Result<Self, ConnectError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::TlsSettings(error.into()))?;
        let session = ClientConnection::new(tls.clone().into(), name).map_err(TlsError::from)?;
        Ok(Self::new(session.into(), stream))
    }

    /// A server's end.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn accept(config: Arc<ServerConfig>, stream: S) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::new(session.into(), stream))
    }

    fn new(session: Connection, stream: S) -> Self {
        Self {
            session: Arc::new(Mutex::new(session)),
            stream,
            sealed: Vec::new(),
            at: 0,
            outgoing: Vec::new(),
            written: 0,
        }
    }

    /// Does the handshake, until this moment if there is one.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidData` for a peer that is not trusted, or that doesn't speak TLS; those of the stream.
    pub fn handshake(&mut self, deadline: impl Into<Option<Instant>>) -> io::Result<()> {
        let deadline = deadline.into();
        loop {
            let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(ErrorKind::TimedOut.into());
            }
            // A stream without limits keeps none.
            _ = self.stream.set_read_timeout(left);
            _ = self.stream.set_write_timeout(left);
            let done = match self.flush() {
                Ok(()) if !self.lock().is_handshaking() => return Ok(()),
                Ok(()) => self.fill(),
                Err(error) => Err(error),
            };
            match done {
                Ok(false) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(true) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if deadline.is_none() {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // The peer is told why, if it still listens.
                    _ = self.flush();
                    return Err(error);
                }
            }
        }
    }
}

impl<S> TlsStream<S> {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Looks at what TLS has agreed on.
    pub fn session<T>(&self, look: impl FnOnce(&CommonState) -> T) -> T {
        look(&self.lock())
    }
}

impl<S: Stream> TlsStream<S> {
    /// Reads from the stream, and opens what came; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.at == self.sealed.len() {
            self.sealed.resize(READ, 0);
            self.at = 0;
            let read = self.stream.read(&mut self.sealed);
            self.sealed.truncate(*read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(false);
            }
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        self.at += session.read_tls(&mut &self.sealed[self.at..])?;
        session.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(true)
    }

    /// Seals what the session has to say.
    fn seal(&mut self) -> io::Result<()> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        while session.wants_write() {
            session.write_tls(&mut self.outgoing)?;
        }
        Ok(())
    }

    /// Writes what is sealed.
    fn write_out(&mut self) -> io::Result<()> {
        while self.written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(())
    }
}

impl<S: Stream> Read for TlsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        loop {
            let opened = self.lock().reader().read(&mut buf[len..]);
            match opened {
                Ok(0) => return Ok(len),
                Ok(more) => len += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(len),
                Err(error) => return Err(error),
            }
            // What is at hand goes along; nothing more is waited for.
            if len == buf.len() || len > 0 && self.at == self.sealed.len() {
                return Ok(len);
            }
            if !self.fill()? {
                return Ok(len);
            }
        }
    }
}

impl<S: Stream> Write for TlsStream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing is piled up behind a peer that takes nothing.
        self.flush()?;
        let len = self.lock().writer().write_vectored(bufs)?;
        match self.flush() {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(error),
            _ => Ok(len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.seal()?;
        self.write_out()?;
        self.stream.flush()
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.lock().send_close_notify();
        _ = self.flush();
        self.stream.shutdown()
    }

    fn split(self) -> io::Result<(Self, Self)> {
        let Self { session, stream, sealed, at, outgoing, written } = self;
        let (reader, writer) = stream.split()?;
        let reader = Self { session: session.clone(), stream: reader, sealed, at, outgoing: Vec::new(), written: 0 };
        Ok((reader, Self { session, stream: writer, sealed: Vec::new(), at: 0, outgoing, written }))
    }

    fn unsplit(self, writer: Self) -> Self {
        let Self { session, stream, sealed, at, .. } = self;
        let Self { stream: written_to, outgoing, written, .. } = writer;
        Self { session, stream: stream.unsplit(written_to), sealed, at, outgoing, written }
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("session", &self.session).finish_non_exhaustive()
    }
}
