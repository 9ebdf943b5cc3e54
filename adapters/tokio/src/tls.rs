//! TLS over a connection, as a client, by whichever library.

use crate::stream::NetStream;
use sockless::driver::ConnectError;

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

/// TLS over a connection to the server of this name, which may choose HTTP/2 if that is offered.
pub(crate) async fn handshake(
    tls: Option<ClientTls>,
    name: &str,
    stream: NetStream,
    http2: bool,
) -> Result<NetStream, ConnectError> {
    match tls.or_else(ClientTls::usual) {
        #[cfg(feature = "tls")]
        Some(ClientTls::Rustls(tls)) => by_rustls(tls, name, stream, http2).await,
        None => {
            _ = (name, stream, http2);
            Err(ConnectError::NoTls)
        }
    }
}

#[cfg(feature = "tls")]
async fn by_rustls(
    tls: sockless_tls::Tls,
    name: &str,
    stream: NetStream,
    http2: bool,
) -> Result<NetStream, ConnectError> {
    use sockless_tls::rustls::ClientConfig;
    use sockless_tls::rustls::pki_types::ServerName;
    use std::sync::Arc;
    use tokio_rustls::TlsConnector;
    let mut tls = Arc::from(tls);
    if http2 {
        Arc::<ClientConfig>::make_mut(&mut tls).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    let name = ServerName::try_from(name.to_owned()).map_err(|error| ConnectError::TlsSettings(error.into()))?;
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(ConnectError::Tls)?;
    Ok(NetStream::Tls(Box::new(stream.into())))
}
