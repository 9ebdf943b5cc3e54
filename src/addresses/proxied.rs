//! The PROXY protocol, versions 1 and 2: what a proxy says before the first byte of a connection.

use alloc::vec::Vec;
use core::net::SocketAddr;
use ppp::{v1, v2};
use thiserror::Error;

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxied {
    /// The client's address. `None` where the connection is the proxy's own, as for a check of health, or where it does not say.
    pub source: Option<SocketAddr>,
    /// Whether the client reached the proxy over TLS, if it says so.
    pub secure: Option<bool>,
}

/// What is no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// It breaks the format, or there is none.
    #[error("no good header of the PROXY protocol")]
    Malformed,
    /// It is longer than [`ProxyHeader::MOST`] bytes, or than 107 where it is of version 1.
    #[error("header of the PROXY protocol too long")]
    TooLong,
}

impl ProxyHeaderError {
    /// What such a peer is answered before it is hung up on, where it may speak plain HTTP.
    pub const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
}

/// Reads a header of the PROXY protocol, of either version, from the front of a connection.
///
/// Not a byte behind it is asked for, so that what follows, be it TLS, is read by whoever reads it.
///
/// ```
/// use sockless::addresses::ProxyHeader;
///
/// let mut header = ProxyHeader::default();
/// let mut input = &b"PROXY TCP4 192.0.2.7 10.0.0.1 4000 443\r\nGET / HTTP/1.1\r\n"[..];
/// let proxied = loop {
///     // A transport would be read for so many bytes at most.
///     let (mut bytes, rest) = input.split_at(header.wants());
///     input = rest;
///     if let Some(proxied) = header.receive(&mut bytes)? {
///         break proxied;
///     }
/// };
/// assert_eq!(proxied.source, Some("192.0.2.7:4000".parse()?));
/// assert_eq!(input, b"GET / HTTP/1.1\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxyHeader {
    bytes: Vec<u8>,
}

/// Both versions have a longer header.
const LEAST: usize = v2::PROTOCOL_PREFIX.len();

/// Bytes of version 2 up to and with its length.
const FIXED: usize = LEAST + 4;

/// Bytes of version 1, at most.
const MOST_V1: usize = 107;

impl ProxyHeader {
    /// Bytes of a header, at most: proxies add a few hundred of their own to the addresses, and a certificate some thousand.
    pub const MOST: usize = 4 << 10;

    /// Bytes that are read behind what is no header, at most, to be left out: hung up on with bytes unread, a peer might not see what
    /// it is [answered](ProxyHeaderError::ANSWER).
    pub const MOST_LEFT: usize = 64 << 10;

    /// How many bytes are missing of the header, at least; as many may be read.
    pub fn wants(&self) -> usize {
        let bytes = &self.bytes[..];
        match bytes {
            _ if bytes.len() < LEAST => LEAST - bytes.len(),
            [b'P', .., b'\r'] => 1,
            [b'P', ..] => (MOST_V1 - bytes.len().min(MOST_V1)).clamp(1, 2),
            _ if bytes.len() < FIXED => FIXED - bytes.len(),
            _ => FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]])) - bytes.len(),
        }
    }

    /// Takes bytes of the header from the front of `input`; what it says, once it is whole.
    ///
    /// # Errors
    /// [`ProxyHeaderError`], at the first byte that cannot be of a header.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Proxied>, ProxyHeaderError> {
        loop {
            let take = self.wants().min(input.len());
            if take == 0 {
                return Ok(None);
            }
            let (front, rest) = input.split_at(take);
            self.bytes.extend_from_slice(front);
            *input = rest;
            if let Some(proxied) = self.look()? {
                return Ok(Some(proxied));
            }
        }
    }

    /// What has come so far.
    fn look(&self) -> Result<Option<Proxied>, ProxyHeaderError> {
        let bytes = &self.bytes[..];
        let is_front = |of: &[u8]| bytes.iter().zip(of).all(|(byte, of)| byte == of);
        if is_front(b"PROXY ") {
            return match bytes {
                [.., b'\r', b'\n'] => first(bytes).map(Some),
                // It ends with both, and has none of either before.
                _ if bytes.contains(&b'\n') || bytes[..bytes.len() - 1].contains(&b'\r') => {
                    Err(ProxyHeaderError::Malformed)
                }
                _ if bytes.len() >= MOST_V1 => Err(ProxyHeaderError::TooLong),
                _ => Ok(None),
            };
        }
        if !is_front(v2::PROTOCOL_PREFIX) {
            return Err(ProxyHeaderError::Malformed);
        }
        match bytes.len() {
            ..FIXED => Ok(None),
            len if len + self.wants() > Self::MOST => Err(ProxyHeaderError::TooLong),
            _ if self.wants() > 0 => Ok(None),
            _ => second(bytes).map(Some),
        }
    }
}

fn first(bytes: &[u8]) -> Result<Proxied, ProxyHeaderError> {
    if bytes.len() > MOST_V1 {
        return Err(ProxyHeaderError::TooLong);
    }
    let header = v1::Header::try_from(bytes).map_err(|_| ProxyHeaderError::Malformed)?;
    let source = match header.addresses {
        v1::Addresses::Tcp4(ip) => Some(SocketAddr::new(ip.source_address.into(), ip.source_port)),
        v1::Addresses::Tcp6(ip) => Some(SocketAddr::new(ip.source_address.into(), ip.source_port)),
        v1::Addresses::Unknown => None,
    };
    Ok(Proxied { source, secure: None })
}

fn second(bytes: &[u8]) -> Result<Proxied, ProxyHeaderError> {
    let header = v2::Header::try_from(bytes).map_err(|_| ProxyHeaderError::Malformed)?;
    if header.command == v2::Command::Local {
        return Ok(Proxied::default());
    }
    let source = match header.addresses {
        v2::Addresses::IPv4(ip) => Some(SocketAddr::new(ip.source_address.into(), ip.source_port)),
        v2::Addresses::IPv6(ip) => Some(SocketAddr::new(ip.source_address.into(), ip.source_port)),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    };
    let mut secure = None;
    for field in header.tlvs() {
        let field = field.map_err(|_| ProxyHeaderError::Malformed)?;
        // PP2_TYPE_SSL begins with what the client did; its lowest bit is PP2_CLIENT_SSL.
        if field.kind == u8::from(v2::Type::SSL) {
            let client = field.value.first().ok_or(ProxyHeaderError::Malformed)?;
            secure = Some(client & 1 == 1);
        }
    }
    Ok(Proxied { source, secure })
}
