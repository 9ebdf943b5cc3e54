//! A session of the system's library.

use crate::session::Session;
use native_tls::{HandshakeError, MidHandshakeTlsStream, TlsAcceptor, TlsConnector, TlsStream};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The most bytes that a record of TLS carries (RFC 8446 §5.1).
const RECORD: usize = 16 << 10;

/// The settings of a client that is given none: whom the system trusts, which takes a while to be read and is read once.
pub fn usual_native() -> Option<TlsConnector> {
    static USUAL: OnceLock<Option<TlsConnector>> = OnceLock::new();
    USUAL.get_or_init(|| TlsConnector::new().ok()).clone()
}

/// A session of the system's library, which reads and writes memory: there it never has to wait for room.
pub struct NativeSession {
    state: State,
    pipes: Pipes,
    /// What was taken and is not sealed, for want of something to be read first.
    taken: Vec<u8>,
}

enum State {
    Handshake(MidHandshakeTlsStream<Pipes>),
    Open(TlsStream<Pipes>),
    /// Its own goodbye is said.
    Ended(TlsStream<Pipes>),
    Failed,
}

impl NativeSession {
    /// A client's session with this host.
    ///
    /// # Errors
    /// For a host, or settings, that the library does not take.
    pub fn connect(tls: &TlsConnector, host: &str) -> Result<Self, native_tls::Error> {
        Self::new(|pipes| tls.connect(host, pipes))
    }

    /// A server's session.
    ///
    /// # Errors
    /// For settings that the library does not take.
    pub fn accept(tls: &TlsAcceptor) -> Result<Self, native_tls::Error> {
        Self::new(|pipes| tls.accept(pipes))
    }

    /// The peer's own certificate in DER, if it showed one.
    #[doc(hidden)]
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let State::Open(stream) = &self.state else { return None };
        stream.peer_certificate().ok().flatten().and_then(|certificate| certificate.to_der().ok())
    }

    fn new(
        begin: impl FnOnce(Pipes) -> Result<TlsStream<Pipes>, HandshakeError<Pipes>>,
    ) -> Result<Self, native_tls::Error> {
        let pipes = Pipes::default();
        let mut session = Self { state: State::Failed, pipes: pipes.clone(), taken: Vec::new() };
        session.proceed(begin(pipes))?;
        Ok(session)
    }

    fn proceed(&mut self, handshake: Result<TlsStream<Pipes>, HandshakeError<Pipes>>) -> Result<(), native_tls::Error> {
        self.state = match handshake {
            Ok(stream) => State::Open(stream),
            Err(HandshakeError::WouldBlock(handshake)) => State::Handshake(handshake),
            Err(HandshakeError::Failure(error)) => return Err(error),
        };
        Ok(())
    }

    fn stream(&mut self) -> io::Result<&mut TlsStream<Pipes>> {
        match &mut self.state {
            State::Open(stream) | State::Ended(stream) => Ok(stream),
            State::Handshake(_) => Err(ErrorKind::WouldBlock.into()),
            State::Failed => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Seals what was taken.
    fn seal_taken(&mut self) -> io::Result<()> {
        while !self.taken.is_empty() {
            let taken = mem::take(&mut self.taken);
            let sealed = self.stream().and_then(|stream| stream.write(&taken));
            self.taken = taken;
            self.taken.drain(..sealed?);
        }
        Ok(())
    }
}

impl Session for NativeSession {
    fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshake(_))
    }

    fn take(&mut self, sealed: &[u8]) -> io::Result<usize> {
        self.pipes.lock().incoming.extend_from_slice(sealed);
        match mem::replace(&mut self.state, State::Failed) {
            State::Handshake(handshake) => {
                self.proceed(handshake.handshake()).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            }
            state => self.state = state,
        }
        Ok(sealed.len())
    }

    fn open(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream()?;
        let mut len = 0;
        while len < buf.len() {
            match stream.read(&mut buf[len..]) {
                Ok(0) => break,
                Ok(more) => len += more,
                // It will be said again.
                Err(_) if len > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    fn seal(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.seal_taken()?;
        for buf in bufs {
            let room = RECORD - self.taken.len();
            self.taken.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        let len = self.taken.len();
        match self.seal_taken() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(len),
        }
    }

    fn give(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        match self.seal_taken() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        outgoing.append(&mut self.pipes.lock().outgoing);
        Ok(())
    }

    fn say_goodbye(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Failed) {
            State::Open(mut stream) => {
                _ = stream.shutdown();
                State::Ended(stream)
            }
            // Said again, it would wait for the peer's.
            state => state,
        };
    }
}

impl fmt::Debug for NativeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeSession").finish_non_exhaustive()
    }
}

/// What the library reads and writes; what it says is there still if it fails.
#[derive(Clone, Default)]
struct Pipes(Arc<Mutex<Both>>);

#[derive(Default)]
struct Both {
    incoming: Vec<u8>,
    /// How far that is read.
    at: usize,
    outgoing: Vec<u8>,
}

impl Pipes {
    fn lock(&self) -> MutexGuard<'_, Both> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Pipes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut both = self.lock();
        let rest = &both.incoming[both.at..];
        if rest.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        both.at += len;
        if both.at == both.incoming.len() {
            both.incoming.clear();
            both.at = 0;
        }
        Ok(len)
    }
}

impl Write for Pipes {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.lock().outgoing.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
