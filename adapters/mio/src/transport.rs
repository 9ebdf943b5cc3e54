//! What a session is read from and written to: a socket, or a test's memory.

use crate::stats::Stats;
use sockless::addresses::Proxied;
use sockless::driver::{Driver, Storage};
use sockless::{HandshakeError, ProtocolError};
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// Bytes both ways, without waiting. Reading says `Interrupted` where there may be more, but it is the others' turn; a write that takes
/// less than all of a slice takes no more now; what is taken and held back is written by `flush`.
pub(crate) trait Transport: Read + Write {
    /// Whether there may be something to read.
    fn is_readable(&self) -> bool;

    /// Whether it goes over TLS.
    fn is_secure(&self) -> bool;

    /// What a proxy has said of its client before the first byte; told once.
    fn take_proxied(&mut self) -> Proxied {
        Proxied::default()
    }

    /// What TLS says of it, if it goes over TLS.
    fn tls(&self) -> Option<TlsInfo>;
}

/// A transport whose bytes are counted.
pub(crate) struct Counted<'a, X: ?Sized> {
    transport: &'a mut X,
    stats: &'a mut Stats,
    /// It takes no more.
    pub(crate) blocked: bool,
}

impl<'a, X: Transport + ?Sized> Counted<'a, X> {
    pub(crate) fn new(transport: &'a mut X, stats: &'a mut Stats) -> Self {
        Self { transport, stats, blocked: false }
    }

    #[inline]
    fn wrote(&mut self, written: io::Result<usize>, offered: usize) -> io::Result<usize> {
        let taken = *written.as_ref().unwrap_or(&0);
        self.stats.bytes_sent += taken as u64;
        self.blocked |= taken < offered;
        written
    }
}

impl<X: Transport + ?Sized> Read for Counted<'_, X> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.transport.read(into).inspect(|len| self.stats.bytes_received += *len as u64)
    }
}

impl<X: Transport + ?Sized> Write for Counted<'_, X> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.transport.write(bytes);
        self.wrote(written, bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.transport.write_vectored(slices);
        self.wrote(written, slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.transport.flush()
    }
}

/// Writes what is outbound, as far as the transport takes it; whether all has left it.
#[inline]
pub(crate) fn write(driver: &mut Driver, storage: &mut Storage, mut transport: impl Write) -> io::Result<bool> {
    let all = driver.write(storage, &mut transport)?
        && match transport.flush() {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                driver.write_failed();
                return Err(error);
            }
        };
    driver.set_held_back(!all);
    Ok(all)
}

/// Whether it says no more than that the transport has ended.
pub(crate) fn is_eof(error: ProtocolError) -> bool {
    matches!(error, ProtocolError::UnexpectedEof | ProtocolError::Handshake(HandshakeError::UnexpectedEof))
}

/// Calls again where a signal came between.
#[inline]
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What is known of a TLS session; of one by the system's library no more than the peer's own certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version, such as `TLSv1_3`.
    pub version: Option<String>,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The protocol chosen by ALPN, such as `http/1.1`.
    pub protocol: Option<Vec<u8>>,
    /// The peer's certificates in DER, its own first, if it showed any.
    pub certificates: Vec<Vec<u8>>,
}
