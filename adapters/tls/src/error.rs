//! Why TLS settings cannot be used.

use sockless::driver::ConnectError;
use std::error::Error;
use std::{fmt, io};

/// Why TLS settings cannot be used: a file, a certificate or a key.
#[derive(Debug)]
pub struct TlsError(pub(crate) Box<dyn Error + Send + Sync>);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(feature = "rustls")]
impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self(error.into())
    }
}

#[cfg(feature = "rustls")]
impl From<rustls::pki_types::pem::Error> for TlsError {
    fn from(error: rustls::pki_types::pem::Error) -> Self {
        Self(error.into())
    }
}

impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::TlsSettings(error.into())
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
