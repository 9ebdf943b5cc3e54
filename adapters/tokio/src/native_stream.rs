//! TLS by the system's library.

use native_tls::{Error, TlsAcceptor, TlsConnector};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_native_tls::TlsStream;

/// The most bytes that a record of TLS carries (RFC 8446 §5.1).
const RECORD: usize = 16 << 10;

/// TLS over another stream by the system's library, in either role.
///
/// OpenSSL wants what it could not write offered again, no byte other and none fewer, which `tokio_native_tls::TlsStream` leaves
/// to whoever writes. A WebSocket offers what is most urgent by then, so this keeps a record until it is written.
///
/// ```
/// use sockless_tokio::native_tls::TlsAcceptor;
/// use sockless_tokio::{NativeTlsStream, WebSocket, accept};
/// use tokio::net::TcpStream;
///
/// async fn open(
///     tls: &TlsAcceptor,
///     stream: TcpStream,
/// ) -> Result<WebSocket<NativeTlsStream<TcpStream>>, sockless_tokio::Error> {
///     accept(NativeTlsStream::accept(tls, stream).await?).await
/// }
/// ```
pub struct NativeTlsStream<S> {
    tls: TlsStream<Below<S>>,
    /// What was taken, and is written up to the index.
    taken: Vec<u8>,
    written: usize,
    /// TLS's own goodbye was said.
    goodbye: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> NativeTlsStream<S> {
    /// A client's end, to this host, once the handshake is done.
    ///
    /// # Errors
    /// `InvalidData` for a peer that is not trusted, or that does not speak TLS.
    ///
    /// # Cancel safety
    /// Dropped, the future drops the stream with it.
    pub async fn connect(tls: &TlsConnector, host: &str, stream: S) -> io::Result<Self> {
        let tls = tokio_native_tls::TlsConnector::from(tls.clone());
        Self::done(tls.connect(host, Below(stream)).await)
    }

    /// A server's end, likewise.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropped, the future drops the stream with it.
    pub async fn accept(tls: &TlsAcceptor, stream: S) -> io::Result<Self> {
        let tls = tokio_native_tls::TlsAcceptor::from(tls.clone());
        Self::done(tls.accept(Below(stream)).await)
    }

    fn done(handshake: Result<TlsStream<Below<S>>, Error>) -> io::Result<Self> {
        let tls = handshake.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Self { tls, taken: Vec::new(), written: 0, goodbye: false })
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.tls.get_ref().get_ref().get_ref().0
    }

    /// What TLS has chosen to be spoken.
    #[cfg(feature = "http2")]
    pub(crate) fn alpn(&self) -> Option<Vec<u8>> {
        self.tls.get_ref().negotiated_alpn().ok().flatten()
    }

    /// Writes what was taken.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.taken.len() {
            match ready!(Pin::new(&mut self.tls).poll_write(cx, &self.taken[self.written..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.taken.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for NativeTlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for NativeTlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_taken(cx))?;
        for buf in bufs {
            let room = RECORD - self.taken.len();
            self.taken.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        let len = self.taken.len();
        match self.poll_taken(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(len)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_taken(cx))?;
        // A connection at rest holds none.
        self.taken = Vec::new();
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_taken(cx))?;
        if !self.goodbye {
            // Once: said again, it waits for the peer's.
            ready!(Pin::new(&mut self.tls).poll_shutdown(cx))?;
            self.goodbye = true;
        }
        Pin::new(&mut self.tls.get_mut().get_mut().get_mut().0).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for NativeTlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeTlsStream").finish_non_exhaustive()
    }
}

/// The stream below, whose end TLS is told as `UnexpectedEof`: where its own goodbye was said before, it does not ask.
struct Below<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Below<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        Poll::Ready(match buf.filled().len() > before {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Below<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
