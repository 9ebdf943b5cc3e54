//! The stream that a client or a server gets from the network.

#[cfg(feature = "http2")]
use crate::http2_stream::Http2Stream;
#[cfg(feature = "native-tls")]
use crate::native_stream::NativeTlsStream;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// TCP, a Unix socket, one of the streams of an HTTP/2 connection, or another stream; or TLS over one of these, over that of a
/// proxy too.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetStream {
    /// For `ws`.
    Tcp(TcpStream),
    /// For `wss`.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<NetStream>>),
    /// For `wss`, by the system's library.
    #[cfg(feature = "native-tls")]
    NativeTls(Box<NativeTlsStream<NetStream>>),
    /// For a server at a Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// For a client's WebSocket that shares a connection of HTTP/2.
    #[cfg(feature = "http2")]
    Http2(Box<Http2Stream>),
    /// What the caller had.
    Other(OtherStream),
}

/// Any stream, for [`Client::connect_by`](crate::Client::connect_by) to add TLS to.
pub struct OtherStream(Pin<Box<dyn Stream>>);

trait Stream: AsyncRead + AsyncWrite + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Send + Sync> Stream for S {}

impl OtherStream {
    /// This stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Sync + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl fmt::Debug for OtherStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherStream").finish_non_exhaustive()
    }
}

impl From<TcpStream> for NetStream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for NetStream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<OtherStream> for NetStream {
    fn from(stream: OtherStream) -> Self {
        Self::Other(stream)
    }
}

impl NetStream {
    /// The TCP stream at the bottom, if there is one of its own, to see its addresses or set its options.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.tcp(),
            #[cfg(feature = "native-tls")]
            Self::NativeTls(stream) => stream.get_ref().tcp(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(feature = "http2")]
            Self::Http2(_) => None,
            Self::Other(_) => None,
        }
    }

    /// Whether it is over TLS.
    pub fn is_tls(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
            #[cfg(feature = "native-tls")]
            Self::NativeTls(_) => true,
            #[cfg(feature = "http2")]
            Self::Http2(stream) => stream.is_tls(),
            _ => false,
        }
    }

    /// Whether TLS has chosen anything else than HTTP/2.
    #[cfg(feature = "http2")]
    pub(crate) fn is_http1(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() != Some(b"h2"),
            #[cfg(feature = "native-tls")]
            Self::NativeTls(stream) => stream.alpn().as_deref() != Some(b"h2"),
            _ => false,
        }
    }
}

macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "native-tls")]
            Self::NativeTls(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "http2")]
            Self::Http2(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
            Self::Other(OtherStream(stream)) => {
                let $stream = stream.as_mut();
                $call
            }
        }
    };
}

impl AsyncRead for NetStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
            #[cfg(feature = "native-tls")]
            Self::NativeTls(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_write_vectored(),
            #[cfg(feature = "http2")]
            Self::Http2(stream) => stream.is_write_vectored(),
            Self::Other(OtherStream(stream)) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(cx))
    }
}
