//! TLS by rustls.

use crate::transport::{TlsInfo, retry};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

/// Parts of what waits that are written by one call.
const SLICES: usize = 64;

/// Bytes; when one read has brought so many that were not the peer's own, it is enough for one turn. Records that say nothing
/// cost as much as any, and a new key costs more.
const MOST_OVERHEAD: usize = 32 << 10;

/// A session over a socket.
pub(crate) struct Layer {
    session: rustls::Connection,
    /// There may be more to read at once.
    more: bool,
    /// The socket has told its end.
    eof: bool,
}

impl Layer {
    /// With a client.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Option<Self> {
        ServerConnection::new(config).ok().map(|session| Self::new(session.into()))
    }

    /// With the server of this name.
    pub(crate) fn client(config: Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        ClientConnection::new(config, name).map_err(io::Error::other).map(|session| Self::new(session.into()))
    }

    fn new(session: rustls::Connection) -> Self {
        Self { session, more: true, eof: false }
    }

    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    pub(crate) fn describe(&self) -> TlsInfo {
        let tls = &self.session;
        let certificates = tls.peer_certificates().unwrap_or_default();
        TlsInfo {
            version: tls.protocol_version().and_then(|version| version.as_str()).map(str::to_owned),
            server_name: match tls {
                rustls::Connection::Server(tls) => tls.server_name().map(str::to_owned),
                rustls::Connection::Client(_) => None,
            },
            protocol: tls.alpn_protocol().map(<[u8]>::to_vec),
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        }
    }

    /// Tells that this is the end on purpose (RFC 8446 §6.1).
    pub(crate) fn say_goodbye(&mut self, socket: &mut impl Write) {
        self.session.send_close_notify();
        _ = self.flush(socket);
    }

    /// Reads as much as there is.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), into: &mut [u8]) -> io::Result<usize> {
        let (mut len, mut encrypted) = (0, 0);
        self.more = true;
        loop {
            match self.session.reader().read(&mut into[len..]) {
                // TLS has ended, by its own goodbye or without one: what that means is for the WebSocket to say.
                Ok(0) => return Ok(len),
                Ok(n) => {
                    len += n;
                    if len == into.len() {
                        return Ok(len);
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.eof => {}
                Err(_) if self.eof => return Ok(len),
                Err(error) => return Err(error),
            }
            if encrypted > len + MOST_OVERHEAD {
                return if len > 0 { Ok(len) } else { Err(ErrorKind::Interrupted.into()) };
            }
            match retry(|| self.session.read_tls(socket)) {
                Ok(n) => {
                    encrypted += n;
                    self.eof |= n == 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && len > 0 => {
                    self.more = false;
                    return Ok(len);
                }
                Err(error) => return Err(error),
            }
            let processed = self.session.process_new_packets();
            // Handshakes and alerts go out at once.
            self.flush(socket)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    pub(crate) fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut own = [IoSlice::new(&[]); SLICES];
        let count = slices.len().min(SLICES);
        own[..count].copy_from_slice(&slices[..count]);
        let (mut rest, mut written) = (&mut own[..count], 0);
        // Ciphertext is not piled up behind a peer that does not read.
        while self.flush(socket)? && !rest.is_empty() {
            let n = self.session.writer().write_vectored(rest)?;
            if n == 0 {
                break;
            }
            written += n;
            IoSlice::advance_slices(&mut rest, n);
        }
        if written == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.session.wants_write() {
            match retry(|| self.session.write_tls(socket)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
