//! Certificates: made on the spot by a server, or looked at by nobody.

use crate::status::{Failure, Status};
use sockless_tokio::Tls;
use sockless_tokio::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use sockless_tokio::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use sockless_tokio::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sockless_tokio::rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use std::sync::Arc;

/// Takes any certificate, whoever it vouches for; that the server has its key is still checked.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Settings of a client that trusts every server.
pub(crate) fn trusting_anybody() -> Result<Tls, Failure> {
    let provider = ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.clone().into()).with_safe_default_protocol_versions();
    let builder = builder.map_err(Failure::usage)?.dangerous();
    Ok(builder.with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth().into())
}

/// Settings of a server whose certificate is made now, for these names, and vouched for by nobody.
pub(crate) fn made_for(names: Vec<String>) -> Result<Arc<ServerConfig>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Status::NotConnected, format!("no certificate: {error}"));
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(|error| failed(&error))?;
    Ok(Tls::server_with(vec![made.cert.into()], key)?)
}
