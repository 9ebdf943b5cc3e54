//! TLS by the system's library.

use crate::secure_stream::SecureStream;
use crate::stream::Stream;
use sockless::driver::ConnectError;
use sockless_tls::NativeSession;
use sockless_tls::native_tls::{TlsAcceptor, TlsConnector};
use std::io;

/// TLS over another stream by the system's library, in either role.
///
/// OpenSSL wants what it could not write offered again, no byte other and none fewer, which `native_tls::TlsStream` leaves to
/// whoever writes. A WebSocket offers what is most urgent by then, and so goes over this.
///
/// ```
/// use sockless_std::native_tls::TlsAcceptor;
/// use sockless_std::{NativeTlsStream, WebSocket, accept};
/// use std::net::TcpStream;
/// use std::time::{Duration, Instant};
///
/// fn open(tls: &TlsAcceptor, stream: TcpStream) -> Result<WebSocket<NativeTlsStream<TcpStream>>, sockless_std::Error> {
///     let mut stream = NativeTlsStream::accept(tls, stream)?;
///     stream.handshake(Instant::now() + Duration::from_secs(10))?;
///     accept(stream)
/// }
/// ```
pub type NativeTlsStream<S> = SecureStream<S, NativeSession>;

impl<S: Stream> SecureStream<S, NativeSession> {
    /// A client's end, to this host. The handshake is still to be done, by [`handshake`](Self::handshake).
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for a host, or settings, that the library does not take.
    pub fn connect(tls: &TlsConnector, host: &str, stream: S) -> Result<Self, ConnectError> {
        let session = NativeSession::connect(tls, host);
        Ok(Self::new(session.map_err(|error| ConnectError::TlsSettings(error.into()))?, stream))
    }

    /// A server's end, likewise.
    ///
    /// # Errors
    /// Settings that the library does not take.
    pub fn accept(tls: &TlsAcceptor, stream: S) -> io::Result<Self> {
        let session = NativeSession::accept(tls);
        Ok(Self::new(session.map_err(io::Error::other)?, stream))
    }
}
