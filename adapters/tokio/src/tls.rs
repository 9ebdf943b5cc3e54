//! TLS by rustls, with ring.

use crate::error::ConnectError;
use crate::stream::NetStream;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Whom a client trusts to vouch for servers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Roots {
    /// Mozilla's list, compiled in.
    #[cfg(feature = "webpki-roots")]
    Webpki,
    /// Whom the operating system trusts.
    #[cfg(feature = "platform-roots")]
    Platform,
    /// These and nobody else.
    Own(Vec<CertificateDer<'static>>),
}

/// TLS settings of a client. Clones share them, and the sessions that they resume.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// TLS 1.2 or 1.3 to servers that `roots` vouch for.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for roots that are no certificates, or that the system does not give.
    pub fn new(roots: Roots) -> Result<Self, ConnectError> {
        Ok(builder(roots)?.with_no_client_auth().into())
    }

    /// The same, with a certificate of the client's own, followed by those that vouch for it, and its key.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for a key that does not fit.
    pub fn with_identity(
        roots: Roots,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, ConnectError> {
        Ok(builder(roots)?.with_client_auth_cert(chain, key).map_err(settings)?.into())
    }

    /// What a client takes that is given none: the platform's roots, or else Mozilla's, if their feature is there.
    fn default() -> Option<Self> {
        static DEFAULT: OnceLock<Option<Tls>> = OnceLock::new();
        let make = || {
            #[cfg(feature = "platform-roots")]
            if let Ok(tls) = Self::new(Roots::Platform) {
                return Some(tls);
            }
            #[cfg(feature = "webpki-roots")]
            if let Ok(tls) = Self::new(Roots::Webpki) {
                return Some(tls);
            }
            None
        };
        DEFAULT.get_or_init(make).clone()
    }
}

impl From<ClientConfig> for Tls {
    fn from(mut config: ClientConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            // The handshake is one of HTTP/1.1 (RFC 6455 §4.1).
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        Self(Arc::new(config))
    }
}

/// Settings as they are, for what else rustls offers.
impl From<Arc<ClientConfig>> for Tls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self(config)
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(roots: Roots) -> Result<Builder, ConnectError> {
    let provider: Arc<CryptoProvider> = ring::default_provider().into();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(settings)?;
    let mut store = RootCertStore::empty();
    match roots {
        #[cfg(feature = "webpki-roots")]
        Roots::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        #[cfg(feature = "platform-roots")]
        Roots::Platform => {
            use rustls_platform_verifier::BuilderVerifierExt;
            return builder.with_platform_verifier().map_err(settings);
        }
        Roots::Own(roots) => {
            for root in roots {
                store.add(root).map_err(settings)?;
            }
        }
    }
    Ok(builder.with_root_certificates(store))
}

fn settings(error: rustls::Error) -> ConnectError {
    ConnectError::TlsSettings(error.into())
}

/// TLS over a connection to `host`.
pub(crate) async fn handshake(tls: Option<&Tls>, host: &str, stream: TcpStream) -> Result<NetStream, ConnectError> {
    let Tls(config) = tls.cloned().or_else(Tls::default).ok_or(ConnectError::NoTls)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::TlsSettings(error.into()))?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(ConnectError::Tls)?;
    Ok(NetStream::Tls(Box::new(stream.into())))
}
