//! What a server or a client shows, which may be read again while it runs.

use crate::error::TlsError;
use crate::parts::{HTTP1, certificates, provider};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A certificate, followed by those that vouch for it, and its key. It may be replaced while servers run that show it, and
/// clients: connections that are made from then on see the new one, and those that are open go on. Clones are of the same.
///
/// It becomes the settings of a server, for each adapter's `tls`: TLS 1.2 or 1.3, without a certificate of the client's. A client
/// shows it by [`Tls::identity`](crate::Tls::identity).
///
/// ```no_run
/// use sockless_tls::Identity;
///
/// let identity = Identity::open("cert.pem", "key.pem")?;
/// let settings: std::sync::Arc<rustls::ServerConfig> = identity.clone().into();
/// // Each day, or on a signal:
/// if let Err(error) = identity.reload() {
///     eprintln!("the old certificate stays: {error}");
/// }
/// # Ok::<(), sockless_tls::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Identity(pub(crate) Arc<Shown>);

#[derive(Debug)]
pub(crate) struct Shown {
    files: Option<(PathBuf, PathBuf)>,
    key: RwLock<Arc<CertifiedKey>>,
}

impl Identity {
    /// Reads PEM files.
    ///
    /// # Errors
    /// Files that cannot be read, that hold no certificate or key, or a key that is not the certificate's.
    pub fn open(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        Ok(Self::shown(Some((chain.into(), key.into())), read(chain, key)?))
    }

    /// The same, of values.
    ///
    /// # Errors
    /// A key that is not the certificate's.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        Ok(Self::shown(None, certified(chain, key)?))
    }

    fn shown(files: Option<(PathBuf, PathBuf)>, key: Arc<CertifiedKey>) -> Self {
        Self(Arc::new(Shown { files, key: RwLock::new(key) }))
    }

    /// Reads the files again, if there are any.
    ///
    /// # Errors
    /// As [`open`](Self::open): what was shown before stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        if let Some((chain, key)) = &self.0.files {
            self.put(read(chain, key)?);
        }
        Ok(())
    }

    /// Shows something else from now on.
    ///
    /// # Errors
    /// As [`new`](Self::new): what was shown before stays.
    pub fn replace(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), TlsError> {
        self.put(certified(chain, key)?);
        Ok(())
    }

    fn put(&self, key: Arc<CertifiedKey>) {
        *self.0.key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl From<Identity> for Arc<ServerConfig> {
    fn from(identity: Identity) -> Self {
        let provider = provider().expect("it has loaded the key");
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("each provider has TLS 1.3").with_no_client_auth();
        let mut config = builder.with_cert_resolver(identity.0);
        config.alpn_protocols.push(HTTP1.to_vec());
        // Tickets would need memory and entropy for every connection; a WebSocket lasts.
        config.send_tls13_tickets = 0;
        config.into()
    }
}

fn read(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    certified(certificates(chain)?, PrivateKeyDer::from_pem_file(key)?)
}

fn certified(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<CertifiedKey>, TlsError> {
    Ok(CertifiedKey::from_der(chain, key, &*provider()?)?.into())
}
