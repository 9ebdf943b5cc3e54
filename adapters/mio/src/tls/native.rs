//! TLS by the system's library.

use crate::transport::{TlsInfo, retry};
use sockless_tls::native_tls::{TlsAcceptor, TlsConnector};
use sockless_tls::{NativeSession, Session};
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// Bytes of TLS that one read brings at most: the longest record, and a little.
const READ: usize = 18 << 10;

/// Bytes; as [`rustls`](super::rustls) has it.
const MOST_OVERHEAD: usize = 32 << 10;

/// A session over a socket.
pub(crate) struct Layer {
    session: NativeSession,
    /// What is sealed and not written, from the index on.
    outgoing: Vec<u8>,
    written: usize,
    /// There may be more to read at once.
    more: bool,
    /// The socket has told its end.
    eof: bool,
}

impl Layer {
    /// With a client.
    pub(crate) fn server(acceptor: &TlsAcceptor) -> Option<Self> {
        NativeSession::accept(acceptor).ok().map(Self::new)
    }

    /// With the server of this name.
    pub(crate) fn client(connector: &TlsConnector, name: &str) -> io::Result<Self> {
        NativeSession::connect(connector, name).map_err(io::Error::other).map(Self::new)
    }

    fn new(session: NativeSession) -> Self {
        Self { session, outgoing: Vec::new(), written: 0, more: true, eof: false }
    }

    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    pub(crate) fn describe(&self) -> TlsInfo {
        TlsInfo { certificates: self.session.certificate().into_iter().collect(), ..TlsInfo::default() }
    }

    pub(crate) fn say_goodbye(&mut self, socket: &mut impl Write) {
        self.session.say_goodbye();
        _ = self.flush(socket);
    }

    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), into: &mut [u8]) -> io::Result<usize> {
        let mut sealed = [0; READ];
        let mut taken = 0;
        self.more = true;
        loop {
            match self.session.open(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.eof => {}
                // The end without TLS's own goodbye: what that means is for the WebSocket to say.
                Err(_) if self.eof => return Ok(0),
                opened => return opened,
            }
            if taken > MOST_OVERHEAD {
                return Err(ErrorKind::Interrupted.into());
            }
            match retry(|| socket.read(&mut sealed)) {
                Ok(0) => self.eof = true,
                Ok(len) => {
                    taken += len;
                    let result = self.session.take(&sealed[..len]);
                    // Handshakes and alerts go out at once.
                    self.flush(socket)?;
                    result?;
                }
                Err(error) => {
                    self.more = error.kind() != ErrorKind::WouldBlock;
                    return Err(error);
                }
            }
        }
    }

    pub(crate) fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        let mut slices = slices.iter().map(|slice| &slice[..]);
        let mut rest: &[u8] = &[];
        // What is sealed is not piled up behind a peer that does not read.
        while self.flush(socket)? {
            while rest.is_empty() {
                match slices.next() {
                    Some(next) => rest = next,
                    None => return Ok(written),
                }
            }
            let len = self.session.seal(&[IoSlice::new(rest)])?;
            if len == 0 {
                break;
            }
            rest = &rest[len..];
            written += len;
        }
        if written == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        loop {
            while self.written < self.outgoing.len() {
                match retry(|| socket.write(&self.outgoing[self.written..])) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(len) => self.written += len,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            self.outgoing.clear();
            self.written = 0;
            self.session.give(&mut self.outgoing)?;
            if self.outgoing.is_empty() {
                // One that waits holds no room.
                self.outgoing = Vec::new();
                return Ok(true);
            }
        }
    }
}
