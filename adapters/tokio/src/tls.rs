//! TLS over a connection, by whichever library.

#[cfg(feature = "native-tls")]
use crate::native_stream::NativeTlsStream;
use crate::stream::NetStream;
use sockless::driver::ConnectError;
use std::io;
#[cfg(feature = "native-tls")]
use std::sync::OnceLock;

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
    fn usual(http2: bool) -> Option<Self> {
        #[cfg(feature = "tls")]
        if let Some(tls) = sockless_tls::Tls::usual() {
            return Some(Self::Rustls(tls));
        }
        #[cfg(feature = "native-tls")]
        if let Some(tls) = usual_native(http2) {
            return Some(Self::Native(tls));
        }
        _ = http2;
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
    match tls.or_else(|| ClientTls::usual(http2)) {
        #[cfg(feature = "tls")]
        Some(ClientTls::Rustls(tls)) => by_rustls(tls, name, stream, http2).await,
        #[cfg(feature = "native-tls")]
        Some(ClientTls::Native(tls)) => {
            let stream = NativeTlsStream::connect(&tls, name, stream).await.map_err(ConnectError::Tls)?;
            Ok(NetStream::NativeTls(Box::new(stream)))
        }
        None => {
            _ = (name, stream);
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

/// Whom the system trusts.
#[cfg(feature = "native-tls")]
fn usual_native(http2: bool) -> Option<native_tls::TlsConnector> {
    static USUAL: [OnceLock<Option<native_tls::TlsConnector>>; 2] = [const { OnceLock::new() }; 2];
    let make = || {
        #[cfg(feature = "http2")]
        let made = {
            let protocols: &[_] = if http2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
            native_tls::TlsConnector::builder().request_alpns(protocols).build()
        };
        #[cfg(not(feature = "http2"))]
        let made = native_tls::TlsConnector::new();
        made.ok()
    };
    USUAL[usize::from(http2)].get_or_init(make).clone()
}

/// The settings of TLS of a server.
pub(crate) enum ServerTls {
    #[cfg(feature = "tls")]
    Rustls(tokio_rustls::TlsAcceptor),
    #[cfg(feature = "native-tls")]
    Native(native_tls::TlsAcceptor),
}

impl ServerTls {
    /// TLS over a connection from a client.
    pub(crate) async fn accept(&self, stream: NetStream) -> io::Result<NetStream> {
        _ = &stream;
        match *self {
            #[cfg(feature = "tls")]
            Self::Rustls(ref tls) => Ok(NetStream::Tls(Box::new(tls.accept(stream).await?.into()))),
            #[cfg(feature = "native-tls")]
            Self::Native(ref tls) => Ok(NetStream::NativeTls(Box::new(NativeTlsStream::accept(tls, stream).await?))),
        }
    }
}
