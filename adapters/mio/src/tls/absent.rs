//! Without TLS: its settings cannot be made, nor what follows from them.

use crate::transport::TlsInfo;
use sockless::ClientRequest;
use std::io::{self, IoSlice, Read, Write};

/// What there is none of.
#[derive(Clone, Copy)]
enum Never {}

#[derive(Clone)]
pub(crate) struct ServerTls(Never);

#[derive(Clone)]
pub(crate) struct ClientTls(Never);

pub(crate) struct Session(Never);

pub(crate) struct Layer(Never);

impl ServerTls {
    pub(crate) fn session(&self) -> Option<Session> {
        match self.0 {}
    }
}

impl ClientTls {
    pub(crate) fn usual() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "sockless-mio without its feature `tls`"))
    }

    pub(crate) fn session(&self, _: &ClientRequest) -> io::Result<Session> {
        match self.0 {}
    }
}

impl Layer {
    pub(crate) fn new(session: Session) -> Self {
        match session.0 {}
    }

    pub(crate) fn has_more(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn describe(&self) -> TlsInfo {
        match self.0 {}
    }

    pub(crate) fn say_goodbye(&mut self, _: &mut impl Write) {
        match self.0 {}
    }

    pub(crate) fn read(&mut self, _: &mut (impl Read + Write), _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn write(&mut self, _: &mut impl Write, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn flush(&mut self, _: &mut impl Write) -> io::Result<bool> {
        match self.0 {}
    }
}
