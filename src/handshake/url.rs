//! URLs as people write them, and what they say of where to ask.

use super::grammar::HEX;
use crate::wire::error::UrlError;
use alloc::{format, string::String};
use fluent_uri::Uri;

/// What may stand in a path or a query as it is (RFC 3986 §3.3 and §3.4), besides letters and digits.
const TARGET: &[u8] = b"-._~!$&'()*+,;=:@/?";

/// What may stand in a user and a password (RFC 3986 §3.2.1).
const USER: &[u8] = b"-._~!$&'()*+,;=:";

/// What a URL says of where to ask, and for what.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authority: String,
    pub(super) target: String,
}

impl Place {
    pub(super) fn new(url: &Uri<&str>, zone: Option<&str>, secure: bool) -> Result<Self, UrlError> {
        let default = if secure { 443 } else { 80 };
        let authority = url.authority().ok_or(UrlError::Host)?;
        let host = authority.host();
        let port = authority.port_to_u16().map_err(|_| UrlError::Port)?.unwrap_or(default);
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let path = if url.path().is_empty() { "/" } else { url.path().as_str() };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host: zone.map_or(address.into(), |zone| format!("{address}%{zone}")),
            port,
            authority: if port == default { host.into() } else { format!("{host}:{port}") },
            target: url.query().map_or(path.into(), |query| format!("{path}?{query}")),
        })
    }
}

/// A URL or a reference as RFC 3986 has it, made from one that somebody wrote.
pub(super) struct Written {
    pub(super) url: String,
    /// That of an IPv6 address (RFC 6874), which the URL has no more.
    pub(super) zone: Option<String>,
}

impl Written {
    /// Encodes what must be, and takes the zone out. What is no URL for other reasons stays as it is.
    pub(super) fn new(reference: &[u8]) -> Result<Self, UrlError> {
        let (authority, path) = authority(reference);
        let (before, rest) = reference.split_at(path);
        let (scheme, authority) = before.split_at(authority);
        let (scheme, authority) = (utf8(scheme)?, utf8(authority)?);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (encoded(user.as_bytes(), USER) + "@", host),
            None => (String::new(), authority),
        };
        let (host, zone) = match host.strip_prefix('[').and_then(|host| host.split_once('%')) {
            Some((address, rest)) => {
                let (zone, port) = rest.split_once(']').ok_or(UrlError::Syntax)?;
                (format!("[{address}]{port}"), Some(decoded_zone(zone)?))
            }
            None => (ascii(host)?, None),
        };
        Ok(Self { url: format!("{scheme}{user}{host}{}", encode(rest)), zone })
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, UrlError> {
    str::from_utf8(bytes).map_err(|_| UrlError::Syntax)
}

/// A zone, which may lack the `25` of its first percent sign, as systems write it.
fn decoded_zone(zone: &str) -> Result<String, UrlError> {
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    let decoded = fluent_uri::pct_enc::EStr::<fluent_uri::pct_enc::encoder::RegName>::new(zone);
    let decoded = decoded.and_then(|zone| zone.decode().to_string().ok()).ok_or(UrlError::Syntax)?;
    if decoded.is_empty() { Err(UrlError::Syntax) } else { Ok(decoded.into_owned()) }
}

/// A host and its port with a name that DNS has.
fn ascii(host: &str) -> Result<String, UrlError> {
    if host.is_ascii() {
        return Ok(host.into());
    }
    let (name, port) = host.split_at(host.rfind(':').unwrap_or(host.len()));
    ascii_name(name).map(|name| name + port)
}

/// A name as DNS has it.
pub(crate) fn ascii_name(name: &str) -> Result<String, UrlError> {
    if name.is_ascii() { Ok(name.into()) } else { to_ascii(name) }
}

#[cfg(feature = "idn")]
fn to_ascii(name: &str) -> Result<String, UrlError> {
    use idna::AsciiDenyList;
    let name = idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::URL).map_err(|_| UrlError::Name)?;
    if name.is_empty() { Err(UrlError::Name) } else { Ok(name.into_owned()) }
}

#[cfg(not(feature = "idn"))]
fn to_ascii(_: &str) -> Result<String, UrlError> {
    Err(UrlError::Name)
}

/// A path and a query with all encoded that must be.
pub(super) fn encode(target: &[u8]) -> String {
    encoded(target, TARGET)
}

fn encoded(text: &[u8], also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (index, byte) in text.iter().copied().enumerate() {
        let is_escape =
            byte == b'%' && text[index + 1..].get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if is_escape || byte.is_ascii_alphanumeric() || also.contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push('%');
            encoded.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        }
    }
    encoded
}

/// Where a reference's authority begins, behind its scheme and `//` if it has them, and where it ends (RFC 3986 §3 and §4.2).
fn authority(reference: &[u8]) -> (usize, usize) {
    let is_scheme = |text: &[u8]| {
        text.first().is_some_and(u8::is_ascii_alphabetic)
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    };
    let colon = reference.iter().position(|byte| *byte == b':').filter(|at| is_scheme(&reference[..*at]));
    let start = colon.map_or(0, |colon| colon + 1);
    match &reference[start..] {
        [b'/', b'/', authority @ ..] => {
            let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?'));
            (start + 2, start + 2 + end.unwrap_or(authority.len()))
        }
        _ => (start, start),
    }
}
