//! TLS over a connection, as a client, by whichever library.

use crate::net_stream::NetStream;
use sockless::driver::ConnectError;
use std::time::Instant;

/// The settings of TLS.
#[derive(Clone)]
pub(crate) enum ClientTls {
    #[cfg(feature = "tls")]
    Rustls(sockless_tls::Tls),
}

impl ClientTls {
    /// What a client takes that is given none.
    fn usual() -> Option<Self> {
        #[cfg(feature = "tls")]
        if let Some(tls) = sockless_tls::Tls::usual() {
            return Some(Self::Rustls(tls));
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
            let mut stream = crate::tls_stream::TlsStream::connect(&tls, name, stream)?;
            stream.handshake(deadline).map_err(ConnectError::Tls)?;
            Ok(NetStream::Tls(Box::new(stream)))
        }
        None => {
            _ = (name, stream, deadline);
            Err(ConnectError::NoTls)
        }
    }
}
