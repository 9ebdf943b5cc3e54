//! TLS by rustls, with ring: the usual settings, and a stream over any other.

use crate::error::ConnectError;
use crate::stream::Stream;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Bytes of TLS that one read brings at most: the longest record, and a little.
const READ: usize = 18 << 10;

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

fn settings(error: impl std::error::Error + Send + Sync + 'static) -> ConnectError {
    ConnectError::TlsSettings(error.into())
}

/// TLS over another stream, in either role.
///
/// It is a [`Stream`] like any other: its end without TLS's own goodbye is an end, for a WebSocket says goodbye itself.
pub struct TlsStream<S> {
    session: Connection,
    stream: S,
    /// What was read and not taken, from the index on.
    sealed: Vec<u8>,
    at: usize,
    /// What is to be written, from the index on.
    outgoing: Vec<u8>,
    written: usize,
}

impl<S: Stream> TlsStream<S> {
    /// A client's end, to this host. The handshake is done by [`handshake`](Self::handshake), or else by the first read.
    ///
    /// # Errors
    /// [`ConnectError::TlsSettings`] for a host that no certificate can name.
    pub fn connect(tls: &Tls, host: &str, stream: S) -> Result<Self, ConnectError> {
        let name = ServerName::try_from(host.to_owned()).map_err(settings)?;
        let session = ClientConnection::new(tls.0.clone(), name).map_err(settings)?;
        Ok(Self::new(session.into(), stream))
    }

    /// A server's end.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn accept(config: Arc<ServerConfig>, stream: S) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::new(session.into(), stream))
    }

    fn new(session: Connection, stream: S) -> Self {
        Self { session, stream, sealed: Vec::new(), at: 0, outgoing: Vec::new(), written: 0 }
    }

    /// Does the handshake, until this moment if there is one.
    ///
    /// # Errors
    /// `TimedOut`; `InvalidData` for a peer that is not trusted, or that doesn't speak TLS; those of the stream.
    pub fn handshake(&mut self, deadline: impl Into<Option<Instant>>) -> io::Result<()> {
        let deadline = deadline.into();
        loop {
            let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(ErrorKind::TimedOut.into());
            }
            // A stream without limits keeps none.
            _ = self.stream.set_read_timeout(left);
            _ = self.stream.set_write_timeout(left);
            let done = match self.flush() {
                Ok(()) if !self.session.is_handshaking() => return Ok(()),
                Ok(()) => self.fill(),
                Err(error) => Err(error),
            };
            match done {
                Ok(false) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(true) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if deadline.is_none() {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<S> TlsStream<S> {
    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What TLS has agreed on.
    pub fn session(&self) -> &rustls::CommonState {
        &self.session
    }
}

impl<S: Stream> TlsStream<S> {
    /// Reads from the stream, and opens what came; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.at == self.sealed.len() {
            self.sealed.resize(READ, 0);
            self.at = 0;
            let read = self.stream.read(&mut self.sealed);
            self.sealed.truncate(*read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(false);
            }
        }
        let mut rest = &self.sealed[self.at..];
        let taken = self.session.read_tls(&mut rest)?;
        self.at += taken;
        self.session.process_new_packets().map_err(|error| {
            // The peer is told why, if it still listens.
            _ = self.flush();
            io::Error::new(ErrorKind::InvalidData, error)
        })?;
        Ok(true)
    }

    /// Seals what the session has to say.
    fn seal(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.outgoing)?;
        }
        Ok(())
    }

    /// Writes what is sealed.
    fn write_out(&mut self) -> io::Result<()> {
        while self.written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(())
    }
}

impl<S: Stream> Read for TlsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        loop {
            match self.session.reader().read(&mut buf[len..]) {
                Ok(0) => return Ok(len),
                Ok(more) => len += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(len),
                Err(error) => return Err(error),
            }
            // What is at hand goes along; nothing more is waited for.
            if len == buf.len() || len > 0 && self.at == self.sealed.len() {
                return Ok(len);
            }
            if !self.fill()? {
                return Ok(len);
            }
        }
    }
}

impl<S: Stream> Write for TlsStream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing is piled up behind a peer that takes nothing.
        self.flush()?;
        let len = self.session.writer().write_vectored(bufs)?;
        match self.flush() {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(error),
            _ => Ok(len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.seal()?;
        self.write_out()?;
        self.stream.flush()
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        _ = self.flush();
        self.stream.shutdown()
    }
}

impl<S> std::fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("session", &self.session).finish_non_exhaustive()
    }
}
