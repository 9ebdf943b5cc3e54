//! TLS over a connection, as a client.

use crate::stream::NetStream;
use sockless::driver::ConnectError;
use sockless_tls::Tls;
use sockless_tls::rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// TLS over a connection to `host`.
pub(crate) async fn handshake(tls: Option<&Tls>, host: &str, stream: TcpStream) -> Result<NetStream, ConnectError> {
    let tls = tls.cloned().or_else(Tls::usual).ok_or(ConnectError::NoTls)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::TlsSettings(error.into()))?;
    let stream = TlsConnector::from(Arc::from(tls)).connect(name, stream).await.map_err(ConnectError::Tls)?;
    Ok(NetStream::Tls(Box::new(stream.into())))
}
