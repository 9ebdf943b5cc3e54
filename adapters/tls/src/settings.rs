//! Settings of clients, and of servers whose certificate stays.

use crate::error::TlsError;
use crate::identity::Identity;
use crate::parts::{HTTP1, certificates, provider};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, KeyLogFile, RootCertStore, ServerConfig};
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
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// TLS 1.2 or 1.3 to servers that `roots` vouch for.
    ///
    /// # Errors
    /// Roots that are no certificates, or that the system does not give.
    pub fn new(roots: Roots) -> Result<Self, TlsError> {
        Ok(client(roots)?.with_no_client_auth().into())
    }

    /// The same, to servers that the certificates in a PEM file vouch for, and to no others.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no certificate.
    pub fn trusting(authorities: impl AsRef<Path>) -> Result<Self, TlsError> {
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
    ) -> Result<Self, TlsError> {
        Ok(client(roots)?.with_client_auth_cert(chain, key)?.into())
    }

    /// Shows servers that ask for one this certificate, which may be read again from its files; so that all see the new one, no
    /// session is resumed.
    ///
    /// ```no_run
    /// use sockless_tls::{Identity, Tls};
    ///
    /// let tls = Tls::trusting("ca.pem")?.identity(Identity::open("me.pem", "me-key.pem")?);
    /// # Ok::<(), sockless_tls::TlsError>(())
    /// ```
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        let config = Arc::make_mut(&mut self.0);
        config.client_auth_cert_resolver = identity.0;
        // A session that is resumed would go on with what was shown when it began.
        config.resumption = Resumption::disabled();
        self
    }

    /// Adds the keys of each connection to the file that the environment names in `SSLKEYLOGFILE`, for Wireshark to read what was
    /// recorded; nothing where it names none. Whoever has that file can read all of it. For a server, set `key_log` of its
    /// `rustls::ServerConfig`.
    #[must_use]
    pub fn log_keys(mut self) -> Self {
        Arc::make_mut(&mut self.0).key_log = Arc::new(KeyLogFile::new());
        self
    }

    /// What a client takes that is given none: the platform's roots, or else Mozilla's; `None` without the features of both.
    pub fn usual() -> Option<Self> {
        static USUAL: OnceLock<Option<Tls>> = OnceLock::new();
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
        USUAL.get_or_init(make).clone()
    }

    /// Settings of a server: its certificate, followed by those that vouch for it, and its key, from PEM files; it asks for no
    /// certificate of the client's. For files that are read again while the server runs, see [`Identity`].
    ///
    /// # Errors
    /// Files that cannot be read, that hold no certificate or key, or a key that is not the certificate's.
    pub fn server(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Arc<ServerConfig>, TlsError> {
        Ok(Identity::open(chain, key)?.into())
    }

    /// The same, of values.
    ///
    /// # Errors
    /// A key that is not the certificate's.
    pub fn server_with(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        Ok(Identity::new(chain, key)?.into())
    }
}

/// With HTTP/1.1 by ALPN, unless the settings have another.
impl From<ClientConfig> for Tls {
    fn from(mut config: ClientConfig) -> Self {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![HTTP1.to_vec()];
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

impl From<Tls> for Arc<ClientConfig> {
    fn from(tls: Tls) -> Self {
        tls.0
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client(roots: Roots) -> Result<Builder, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()?).with_safe_default_protocol_versions()?;
    let mut store = RootCertStore::empty();
    match roots {
        #[cfg(feature = "webpki-roots")]
        Roots::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        #[cfg(feature = "platform-roots")]
        Roots::Platform => {
            use rustls_platform_verifier::BuilderVerifierExt;
            return Ok(builder.with_platform_verifier()?);
        }
        Roots::Own(roots) => {
            for root in roots {
                store.add(root)?;
            }
        }
    }
    Ok(builder.with_root_certificates(store))
}
