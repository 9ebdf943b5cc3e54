//! The PROXY protocol, versions 1 and 2: what a proxy says before the first byte of a connection.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::{self, FromStr};
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

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Both versions have a longer header.
const LEAST: usize = SIGNATURE.len();

/// Bytes of version 2 up to and with its length.
const FIXED: usize = LEAST + 4;

/// The version, 2, and a command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The last of the protocols.
const DATAGRAM: u8 = 2;

const PP2_TYPE_SSL: u8 = 0x20;

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
        if !is_front(SIGNATURE) {
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
    let line = str::from_utf8(bytes).ok().and_then(|line| line.strip_prefix("PROXY ")?.strip_suffix("\r\n"));
    let mut words = line.ok_or(ProxyHeaderError::Malformed)?.split(' ');
    let source = match words.next() {
        Some("TCP4") => Some(addresses::<Ipv4Addr>(words).ok_or(ProxyHeaderError::Malformed)?),
        Some("TCP6") => Some(addresses::<Ipv6Addr>(words).ok_or(ProxyHeaderError::Malformed)?),
        // Whatever else it says is not looked at.
        Some("UNKNOWN") => None,
        _ => return Err(ProxyHeaderError::Malformed),
    };
    Ok(Proxied { source, secure: None })
}

/// The source of two addresses and two ports.
fn addresses<'w, I: FromStr + Into<IpAddr>>(mut words: impl Iterator<Item = &'w str>) -> Option<SocketAddr> {
    // Neither signs nor leading zeros.
    let port = |word: &str| word.parse::<u16>().ok().filter(|port| port.to_string() == word);
    let (source, _) = (words.next()?.parse::<I>().ok()?, words.next()?.parse::<I>().ok()?);
    let (source_port, _) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then(|| SocketAddr::new(source.into(), source_port))
}

fn second(bytes: &[u8]) -> Result<Proxied, ProxyHeaderError> {
    let (fixed, body) = bytes.split_at(FIXED);
    let (command, family, protocol) = (fixed[LEAST], fixed[LEAST + 1] >> 4, fixed[LEAST + 1] & 0xF);
    // Two addresses and two ports; two paths.
    let lengths = [0, 2 * 4 + 4, 2 * 16 + 4, 2 * 108];
    let length = lengths.get(usize::from(family)).filter(|length| protocol <= DATAGRAM && **length <= body.len());
    let (addresses, fields) = body.split_at(*length.ok_or(ProxyHeaderError::Malformed)?);
    match command {
        LOCAL => return Ok(Proxied::default()),
        PROXY => {}
        _ => return Err(ProxyHeaderError::Malformed),
    }
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    let source = match *addresses {
        [] => return Ok(Proxied::default()),
        [a, b, c, d, ..] if family == 1 => Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port(8))),
        _ if family == 2 => {
            let ip = addresses[..16].try_into().map(|octets: [u8; 16]| Ipv6Addr::from(octets));
            ip.ok().map(|ip| SocketAddr::new(ip.into(), port(32)))
        }
        _ => None,
    };
    Ok(Proxied { source, secure: secure(fields)? })
}

/// What the fields behind the addresses say of TLS.
fn secure(mut fields: &[u8]) -> Result<Option<bool>, ProxyHeaderError> {
    let mut secure = None;
    while let [kind, high, low, rest @ ..] = fields {
        let length = u16::from_be_bytes([*high, *low]).into();
        let (value, behind) = rest.split_at_checked(length).ok_or(ProxyHeaderError::Malformed)?;
        // It begins with what the client did; the lowest bit is PP2_CLIENT_SSL.
        if *kind == PP2_TYPE_SSL {
            secure = Some(value.first().ok_or(ProxyHeaderError::Malformed)? & 1 == 1);
        }
        fields = behind;
    }
    if fields.is_empty() { Ok(secure) } else { Err(ProxyHeaderError::Malformed) }
}
