//! TLS over a connection, by whichever library.

#[cfg(feature = "native-tls")]
use crate::native_stream::NativeTlsStream;
use crate::net_stream::NetStream;
#[cfg(feature = "tls")]
use crate::rustls_stream::TlsStream;
use sockless::driver::ConnectError;
#[cfg(feature = "native-tls")]
use sockless_tls::native_tls;
use std::io;
use std::time::Instant;

/// The settings of TLS of a client.
#[derive(Clone)]
pub(crate) enum ClientTls {
    #[cfg(feature = "tls")]
    Rustls(sockless_tls::Tls),
    #[cfg(feature = "native-tls")]
    Native(native_tls::TlsConnector),
}

impl ClientTls {
    /// What a client takes that is given none.
    fn usual() -> Option<Self> {
        #[cfg(feature = "tls")]
        if let Some(tls) = sockless_tls::Tls::usual() {
            return Some(Self::Rustls(tls));
        }
        #[cfg(feature = "native-tls")]
        if let Some(tls) = sockless_tls::usual_native() {
            return Some(Self::Native(tls));
        }
        None
    }
}

/// TLS over a connection to the server of this name.
///
/// # Errors
/// [`ConnectError::NoTls`], [`ConnectError::TlsSettings`] or [`ConnectError::Tls`], that the time has passed among them.
pub(crate) fn handshake(
    tls: Option<ClientTls>,
    name: &str,
    stream: NetStream,
    deadline: Option<Instant>,
) -> Result<NetStream, ConnectError> {
    match tls.or_else(ClientTls::usual) {
        #[cfg(feature = "tls")]
        Some(ClientTls::Rustls(tls)) => {
            let mut stream = TlsStream::connect(&tls, name, stream)?;
            stream.handshake(deadline).map_err(ConnectError::Tls)?;
            Ok(NetStream::Tls(Box::new(stream)))
        }
        #[cfg(feature = "native-tls")]
        Some(ClientTls::Native(tls)) => {
            let mut stream = NativeTlsStream::connect(&tls, name, stream)?;
            stream.handshake(deadline).map_err(ConnectError::Tls)?;
            Ok(NetStream::NativeTls(Box::new(stream)))
        }
        None => {
            _ = (name, stream, deadline);
            Err(ConnectError::NoTls)
        }
    }
}

/// The settings of TLS of a server.
pub(crate) enum ServerTls {
    #[cfg(feature = "tls")]
    Rustls(std::sync::Arc<sockless_tls::rustls::ServerConfig>),
    #[cfg(feature = "native-tls")]
    Native(native_tls::TlsAcceptor),
}

impl ServerTls {
    /// TLS over a connection from a client.
    ///
    /// # Errors
    /// As [`SecureStream::handshake`](crate::SecureStream::handshake), and for settings that can't be used.
    pub(crate) fn accept(&self, stream: NetStream, deadline: Option<Instant>) -> io::Result<NetStream> {
        _ = (&stream, deadline);
        match *self {
            #[cfg(feature = "tls")]
            Self::Rustls(ref tls) => {
                let mut stream = TlsStream::accept(tls.clone(), stream)?;
                stream.handshake(deadline)?;
                Ok(NetStream::Tls(Box::new(stream)))
            }
            #[cfg(feature = "native-tls")]
            Self::Native(ref tls) => {
                let mut stream = NativeTlsStream::accept(tls, stream)?;
                stream.handshake(deadline)?;
                Ok(NetStream::NativeTls(Box::new(stream)))
            }
        }
    }
}
