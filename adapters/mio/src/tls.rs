//! TLS by rustls with ring: the usual configurations. Any other is made with rustls itself, which [`rustls`] is.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A server's configuration: its certificate chain and its key from PEM files, HTTP/1.1 by ALPN, no client certificates.
///
/// # Errors
/// Files that cannot be read, that hold no certificate or key, or a key that is not the certificate's.
pub fn server(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Arc<ServerConfig>> {
    let chain = read_certificates(certificates.as_ref())?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(io::Error::other)?;
    config.alpn_protocols.push(b"http/1.1".into());
    // Tickets would need memory and entropy for every connection; a WebSocket lasts.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A client's configuration that trusts the authorities which Mozilla does.
///
/// # Errors
/// None with the algorithms of this build.
pub fn client() -> io::Result<Arc<ClientConfig>> {
    with_roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// A client's configuration that trusts the authorities in a PEM file, and no others.
///
/// # Errors
/// A file that cannot be read, or holds no certificate.
pub fn client_trusting(authorities: impl AsRef<Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(authorities.as_ref())? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    with_roots(roots)
}

fn with_roots(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols.push(b"http/1.1".into());
    Ok(Arc::new(config))
}

fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates.map_err(io::Error::other)? {
        none if none.is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, "no certificate in the file")),
        some => Ok(some),
    }
}
