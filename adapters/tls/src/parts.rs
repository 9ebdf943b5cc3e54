//! What the settings of clients and of servers are made of.

use crate::error::TlsError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

/// The handshake is one of HTTP/1.1 (RFC 6455 §4.1).
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// Who does the cryptography: aws-lc-rs if it is asked for, else ring; without the features of both, whom the process has
/// installed.
pub(crate) fn provider() -> Result<Arc<CryptoProvider>, TlsError> {
    #[cfg(feature = "aws-lc-rs")]
    return Ok(rustls::crypto::aws_lc_rs::default_provider().into());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(rustls::crypto::ring::default_provider().into());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    CryptoProvider::get_default().cloned().ok_or_else(|| TlsError("no provider of cryptography is installed".into()))
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
    match certificates.is_empty() {
        true => Err(TlsError(format!("no certificate in {}", path.display()).into())),
        false => Ok(certificates),
    }
}
