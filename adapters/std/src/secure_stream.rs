//! TLS over another stream.

use crate::stream::Stream;
use sockless_tls::Session;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of TLS that one read brings at most: the longest record, and a little.
const READ: usize = 18 << 10;

/// TLS over another stream, in either role, by a session `C` of one of the libraries: a `TlsStream`, or a `NativeTlsStream`.
///
/// It is a [`Stream`] like any other: its end without TLS's own goodbye is an end, for a WebSocket says goodbye itself.
pub struct SecureStream<S, C> {
    /// Held for no longer than bytes take to be opened or sealed: of a stream in two, each has this one.
    session: Arc<Mutex<C>>,
    stream: S,
    /// What was read and not taken, from the index on.
    sealed: Vec<u8>,
    at: usize,
    /// What is to be written, from the index on.
    outgoing: Vec<u8>,
    written: usize,
}

impl<S: Stream, C: Session> SecureStream<S, C> {
    pub(crate) fn new(session: C, stream: S) -> Self {
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

impl<S, C> SecureStream<S, C> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, C> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Stream, C: Session> SecureStream<S, C> {
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
        self.at += session.take(&self.sealed[self.at..])?;
        Ok(true)
    }

    /// Seals what the session has to say.
    fn seal(&mut self) -> io::Result<()> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.give(&mut self.outgoing)
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

impl<S: Stream, C: Session> Read for SecureStream<S, C> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        loop {
            let opened = self.lock().open(&mut buf[len..]);
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
            // Whoever waits for the handshake to go on has to say its part.
            let is_handshaking = self.lock().is_handshaking();
            if is_handshaking {
                self.flush()?;
            }
            if !self.fill()? {
                return Ok(len);
            }
            if is_handshaking {
                self.flush()?;
            }
        }
    }
}

impl<S: Stream, C: Session> Write for SecureStream<S, C> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing is piled up behind a peer that takes nothing.
        self.flush()?;
        let len = self.lock().seal(bufs)?;
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

impl<S: Stream, C: Session> Stream for SecureStream<S, C> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.lock().say_goodbye();
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

impl<S, C: fmt::Debug> fmt::Debug for SecureStream<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureStream").field("session", &self.session).finish_non_exhaustive()
    }
}
