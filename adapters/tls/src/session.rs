//! What every library does for a connection.

#[cfg(feature = "rustls")]
use rustls::{CommonState, Connection};
use std::io::{self, IoSlice};
#[cfg(feature = "rustls")]
use std::io::{ErrorKind, Read, Write};

/// What opens and seals bytes that others read and write: a session of rustls, or of the system's library.
pub trait Session {
    #[doc(hidden)]
    fn is_handshaking(&self) -> bool;

    /// Takes sealed bytes from the front; how many.
    #[doc(hidden)]
    fn take(&mut self, sealed: &[u8]) -> io::Result<usize>;

    /// Gives what is open; `WouldBlock` where more has to be taken first.
    #[doc(hidden)]
    fn open(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Takes bytes to seal; how many.
    #[doc(hidden)]
    fn seal(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Gives what is sealed.
    #[doc(hidden)]
    fn give(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()>;

    /// Seals TLS's own goodbye.
    #[doc(hidden)]
    fn say_goodbye(&mut self);
}

#[cfg(feature = "rustls")]
impl Session for Connection {
    fn is_handshaking(&self) -> bool {
        CommonState::is_handshaking(self)
    }

    fn take(&mut self, mut sealed: &[u8]) -> io::Result<usize> {
        let taken = self.read_tls(&mut sealed)?;
        self.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(taken)
    }

    fn open(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader().read(buf)
    }

    fn seal(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writer().write_vectored(bufs)
    }

    fn give(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        while self.wants_write() {
            self.write_tls(outgoing)?;
        }
        Ok(())
    }

    fn say_goodbye(&mut self) {
        self.send_close_notify();
    }
}
