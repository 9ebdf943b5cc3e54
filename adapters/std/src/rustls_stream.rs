//! TLS by rustls.

use crate::secure_stream::SecureStream;
use crate::stream::Stream;
use sockless::driver::ConnectError;
use sockless_tls::rustls::pki_types::ServerName;
use sockless_tls::rustls::{ClientConnection, CommonState, Connection, ServerConfig, ServerConnection};
use sockless_tls::{Tls, TlsError};
use std::io;
use std::sync::Arc;

/// TLS over another stream by rustls, in either role.
pub type TlsStream<S> = SecureStream<S, Connection>;

impl<S: Stream> SecureStream<S, Connection> {
    /// A client's end, to this host. The handshake is done by [`handshake`](Self::handshake), or else by the first read.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for a host that no certificate can name.
    pub fn connect(tls: &Tls, host: &str, stream: S) -> Result<Self, ConnectError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::TlsSettings(error.into()))?;
        let session = ClientConnection::new(tls.clone().into(), name).map_err(TlsError::from)?;
        Ok(Self::new(session.into(), stream))
    }

    /// A server's end.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn accept(config: Arc<ServerConfig>, stream: S) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::new(session.into(), stream))
    }
}

impl<S> SecureStream<S, Connection> {
    /// Looks at what TLS has agreed on.
    pub fn session<T>(&self, look: impl FnOnce(&CommonState) -> T) -> T {
        look(&self.lock())
    }
}
