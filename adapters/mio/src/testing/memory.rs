//! What a peer in a test has sent and was sent, in the place of a socket.

use crate::transport::{TlsInfo, Transport};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

#[derive(Default)]
pub(super) struct Memory {
    /// What the peer has sent, and was not read.
    pub(super) input: VecDeque<u8>,
    /// It sends nothing more.
    pub(super) is_over: bool,
    /// What it was sent, and has not looked at.
    pub(super) output: Vec<u8>,
    /// It takes nothing.
    pub(super) is_full: bool,
}

impl Transport for Memory {
    fn is_readable(&self) -> bool {
        self.is_over || !self.input.is_empty()
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn tls(&self) -> Option<TlsInfo> {
        None
    }
}

impl Read for Memory {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.input.read(into)? {
            0 if !self.is_over => Err(ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
