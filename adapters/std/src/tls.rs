//! TLS by rustls, with ring: the usual settings.

use crate::error::ConnectError;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, OnceLock};

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
pub struct Tls(pub(crate) Arc<ClientConfig>);

impl Tls {
    /// TLS 1.2 or 1.3 to servers that `roots` vouch for.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for roots that are no certificates, or that the system does not give.
    pub fn new(roots: Roots) -> Result<Self, ConnectError> {
        Ok(builder(roots)?.with_no_client_auth().into())
    }

    /// The same, to servers that the certificates in a PEM file vouch for.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for a file that cannot be read, or holds no certificate.
    pub fn trusting(authorities: impl AsRef<Path>) -> Result<Self, ConnectError> {
        Self::new(Roots::Own(certificates(authorities.as_ref())?))
    }

    /// The same as [`new`](Self::new), with a certificate of the client's own, followed by those that vouch for it, and its
    /// key.
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

    /// Settings of a server: its certificate, followed by those that vouch for it, and its key, from PEM files.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for files that cannot be read, that hold no certificate or key, or a key that is not the
    /// certificate's.
    pub fn server(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Arc<ServerConfig>, ConnectError> {
        let chain = certificates(chain.as_ref())?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(settings)?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.map_err(settings)?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(settings)?;
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(config.into())
    }

    /// What a client takes that is given none: the platform's roots, or else Mozilla's, if their feature is there.
    pub(crate) fn default() -> Option<Self> {
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
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
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

fn provider() -> Arc<CryptoProvider> {
    ring::default_provider().into()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates.map_err(settings)? {
        none if none.is_empty() => Err(settings(io::Error::new(ErrorKind::InvalidData, "no certificate in the file"))),
        some => Ok(some),
    }
}

pub(crate) fn settings(error: impl std::error::Error + Send + Sync + 'static) -> ConnectError {
    ConnectError::TlsSettings(error.into())
}
