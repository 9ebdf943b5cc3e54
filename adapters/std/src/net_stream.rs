//! The stream that a client or a server gets from the network.

#[cfg(feature = "native-tls")]
use crate::native_stream::NativeTlsStream;
#[cfg(feature = "tls")]
use crate::rustls_stream::TlsStream;
use crate::stream::Stream;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// TCP, or TLS over it, over that of a proxy too.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetStream {
    /// For `ws`.
    Tcp(TcpStream),
    /// For `wss`.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<NetStream>>),
    /// For `wss`, by the system's library.
    #[cfg(feature = "native-tls")]
    NativeTls(Box<NativeTlsStream<NetStream>>),
}

impl NetStream {
    /// The TCP stream at the bottom, to see its addresses or set its options.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().tcp(),
            #[cfg(feature = "native-tls")]
            Self::NativeTls(stream) => stream.get_ref().tcp(),
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Tcp($stream) => $call,
            #[cfg(feature = "tls")]
            Self::Tls($stream) => $call,
            #[cfg(feature = "native-tls")]
            Self::NativeTls($stream) => $call,
        }
    };
}

impl Read for NetStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buf))
    }
}

impl Write for NetStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_vectored(bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        either!(self, stream => stream.flush())
    }
}

impl Stream for NetStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        either!(self, stream => Stream::shutdown(stream))
    }

    fn split(self) -> io::Result<(Self, Self)> {
        match self {
            Self::Tcp(stream) => stream.split().map(|(reader, writer)| (Self::Tcp(reader), Self::Tcp(writer))),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let (reader, writer) = (*stream).split()?;
                Ok((Self::Tls(Box::new(reader)), Self::Tls(Box::new(writer))))
            }
            #[cfg(feature = "native-tls")]
            Self::NativeTls(stream) => {
                let (reader, writer) = (*stream).split()?;
                Ok((Self::NativeTls(Box::new(reader)), Self::NativeTls(Box::new(writer))))
            }
        }
    }
}
