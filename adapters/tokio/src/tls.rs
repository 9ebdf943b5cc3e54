//! TLS over a connection, as a client.

use crate::stream::NetStream;
use sockless::driver::ConnectError;
use sockless_tls::Tls;
use sockless_tls::rustls::ClientConfig;
use sockless_tls::rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// TLS over a connection to `host`, which may choose HTTP/2 if that is offered.
pub(crate) async fn handshake(
    tls: Option<&Tls>,
    host: &str,
    stream: TcpStream,
    http2: bool,
) -> Result<NetStream, ConnectError> {
    let mut tls = Arc::from(tls.cloned().or_else(Tls::usual).ok_or(ConnectError::NoTls)?);
    if http2 {
        Arc::<ClientConfig>::make_mut(&mut tls).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::TlsSettings(error.into()))?;
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(ConnectError::Tls)?;
    Ok(NetStream::Tls(Box::new(stream.into())))
}
