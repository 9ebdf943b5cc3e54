//! The opening handshake (RFC 6455 §4) in both roles, as plain values and functions.
//!
//! A [`Connection`](crate::Connection) drives all of this. The parts are public for those who speak HTTP by other
//! means: a server parses a [`Request`] and answers it by [`write_accept`] or [`write_reject`], a client writes a
//! [`ClientRequest`] by [`write_request`] and reads the answer with a [`ClientHandshake`], and [`extended`] does the
//! same for HTTP/2 and HTTP/3.

mod answer;
mod asked;
mod body;
mod client;
#[cfg(feature = "client")]
mod connect;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod extended;
pub mod extension;
mod grammar;
mod head;
#[cfg(feature = "http")]
pub mod http;
mod opening;
mod redirect;
mod reject;
mod response;
#[cfg(feature = "routes")]
mod routes;
mod server;
pub mod stages;
mod url;

pub use answer::{Accept, write_accept, write_refusal, write_reject};
pub use body::{BODY_START, BODY_TIME};
pub use client::{ClientRequest, write_request};
#[cfg(feature = "client")]
pub(crate) use connect::{ConnectAnswer, write_connect};
pub(crate) use head::HeadReader;
pub use reject::{Answer, Reject};
pub use response::{ClientHandshake, Outcome, Response};
#[cfg(feature = "routes")]
pub use routes::{RouteError, Routes};
pub use server::Request;
#[cfg(feature = "client")]
pub(crate) use url::ascii_name;

use crate::config::{Config, Negotiated, Origins, SharedConfig};
use crate::extensions::Stages;
use crate::wire::error::{HandshakeError, SendError};
use alloc::{borrow::Cow, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use extension::Extension;
use grammar::{has, same};
use sha1::{Digest, Sha1};

/// What becomes of a handshake whose client offered subprotocols and whose server chose none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubprotocolPolicy {
    /// It goes on without a subprotocol, as RFC 6455 §4.2.2 has it.
    #[default]
    Rfc,
    /// It fails, as in browsers (WHATWG WebSockets §2).
    Browser,
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
///
/// ```
/// let accept = sockless::handshake::accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(&accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8; 24]) -> [u8; 28] {
    let mut text = *b"                        258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    text[..24].copy_from_slice(key);
    encode(&Sha1::digest(text))
}

/// `bytes` in base64, which must make exactly `N` letters.
#[inline]
fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    let written = STANDARD.encode_slice(bytes, &mut text);
    debug_assert_eq!(written, Ok(N));
    text
}

/// A client's request with the compression that the configuration has it offer, unless it offers extensions itself.
pub(crate) fn offer<'r>(request: &'r ClientRequest, config: &Config) -> Cow<'r, ClientRequest> {
    #[cfg(feature = "deflate")]
    if let Some(deflate) = &config.deflate
        && request.asked.extensions.is_empty()
    {
        return Cow::Owned(request.clone().with_extensions(&deflate::offer(deflate)));
    }
    let _ = config;
    Cow::Borrowed(request)
}

/// The same, and the program's own extensions.
pub(crate) fn offer_all<'r>(request: &'r ClientRequest, config: &Config) -> Result<Cow<'r, ClientRequest>, SendError> {
    let offering = offer(request, config);
    if config.extensions.is_empty() || !request.asked.extensions.is_empty() {
        return Ok(offering);
    }
    let mut list = offering.asked.extensions.clone();
    stages::offer(&mut list, &config.extensions)?;
    Ok(Cow::Owned(offering.into_owned().with_extensions(&list)))
}

/// What a server agrees on of a request's `offers`, and the extensions that its response says so with.
pub(crate) fn choose<'h>(
    offers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    config: &Config,
) -> (Negotiated, Option<String>) {
    #[cfg(feature = "deflate")]
    if let Some(deflate) = &config.deflate
        && let Some((params, extensions)) = deflate::choose(offers, deflate)
    {
        return (Negotiated { deflate: Some(params) }, Some(extensions));
    }
    #[cfg(not(feature = "deflate"))]
    let _ = (offers, config);
    Default::default()
}

/// The same with the program's own extensions.
pub(crate) fn choose_all<'h, O: Iterator<Item = Result<Extension<'h>, HandshakeError>>>(
    offers: impl Fn() -> O,
    config: &Config,
) -> (Negotiated, Option<String>, Stages) {
    let (negotiated, extensions) = choose(offers(), config);
    if config.extensions.is_empty() {
        return (negotiated, extensions, Stages::new());
    }
    let (stages, answer) = stages::choose(offers(), &config.extensions, negotiated.bits());
    let parts = [extensions.unwrap_or_default(), answer];
    let list: Vec<_> = parts.iter().map(|part| &**part).filter(|part| !part.is_empty()).collect();
    (negotiated, Some(list.join(", ")).filter(|list| !list.is_empty()), stages)
}

/// What a server's `answers` to an `offer` agree on.
#[cfg(feature = "deflate")]
pub(crate) fn agreed<'h>(
    answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    offer: &str,
    config: &Config,
) -> Result<Negotiated, HandshakeError> {
    let Some(deflate) = deflate_of(offer, config) else { return Ok(Negotiated::default()) };
    Ok(Negotiated { deflate: deflate::agreed_to(offer, answers, &deflate)? })
}

/// The same without a codec: compression, which the caller may have offered, cannot be agreed on.
#[cfg(not(feature = "deflate"))]
pub(crate) fn agreed<'h>(
    mut answers: impl Iterator<Item = Result<Extension<'h>, HandshakeError>>,
    _: &str,
    _: &Config,
) -> Result<Negotiated, HandshakeError> {
    match answers.any(|answer| answer.is_ok_and(|extension| extension.name() == extension::DEFLATE)) {
        true => Err(HandshakeError::Extensions),
        false => Ok(Negotiated::default()),
    }
}

/// How a client compresses that makes this offer: where it offers it itself, it can do it.
#[cfg(feature = "deflate")]
fn deflate_of(offer: &str, config: &Config) -> Option<crate::Deflate> {
    config.deflate.clone().or_else(|| deflate::is_in(offer).then(crate::Deflate::default))
}

/// The settings of a client with this request.
pub(crate) fn client_config(request: &ClientRequest, mut config: SharedConfig) -> SharedConfig {
    #[cfg(feature = "deflate")]
    if config.deflate.is_none()
        && let Some(deflate) = deflate_of(&request.asked.extensions, &config)
    {
        config.to_mut().deflate = Some(deflate);
    }
    let _ = (request, &mut config);
    config
}

/// Whether a request with this `Origin` and this `Host` is one that `origins` takes (RFC 6455 §10.2).
///
/// For [`Origins::SameHost`] the two must name the same host and port, compared without case, where a port left out is
/// the default of the origin's scheme; and that must be `https` or `http` as `secure` says, if it is known whether the
/// request came over TLS: anybody between can make a page of `http`. An opaque origin (`null`), and whatever is no `http` or `https` origin, has no
/// host and passes only where it is listed or any origin is taken.
///
/// ```
/// use sockless::{Origins, handshake::origin_allowed};
///
/// assert!(origin_allowed(&Origins::SameHost, None, Some("https://example.com"), "example.com:443"));
/// assert!(!origin_allowed(&Origins::SameHost, None, Some("https://evil.example"), "example.com"));
/// assert!(!origin_allowed(&Origins::SameHost, Some(true), Some("http://example.com"), "example.com"));
/// assert!(origin_allowed(&Origins::SameHost, Some(true), None, "example.com"));
/// ```
pub fn origin_allowed(origins: &Origins, secure: Option<bool>, origin: Option<&str>, host: &str) -> bool {
    let host = if grammar::is_host(host.as_bytes()) { host } else { "" };
    origin.is_none_or(|origin| allows(origins, secure, origin.as_bytes(), host.as_bytes()))
}

/// The same for an origin that is there and a `host` that has only letters of one, or none.
fn allows(origins: &Origins, secure: Option<bool>, origin: &[u8], host: &[u8]) -> bool {
    match origins {
        // An origin that is no text would look absent to the caller.
        Origins::Any => core::str::from_utf8(origin).is_ok(),
        Origins::List(list) => list.iter().any(|listed| same(listed.as_bytes(), origin)),
        Origins::SameHost => is_same_host(secure, origin, host).unwrap_or(false),
    }
}

fn is_same_host(secure: Option<bool>, origin: &[u8], host: &[u8]) -> Option<bool> {
    let behind = |scheme: &str| {
        let (start, authority) = origin.split_at_checked(scheme.len())?;
        same(start, scheme).then_some(authority)
    };
    let (authority, default) = match behind("https://") {
        Some(authority) => (authority, 443),
        None => (behind("http://")?, 80),
    };
    if secure.is_some_and(|secure| secure != (default == 443)) {
        return Some(false);
    }
    let (name, port) = split_port(host)?;
    if same(authority, host) {
        return Some(true);
    }
    let (origin_name, origin_port) = split_port(authority)?;
    Some(same(origin_name, name) && origin_port.unwrap_or(default) == port.unwrap_or(default))
}

/// A host and the port after it, if there is one; an empty one counts as none (RFC 3986 §3.2.3).
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    // Most have no port.
    if !has(authority, b':') {
        return (!authority.is_empty()).then_some((authority, None));
    }
    // The colons of an IPv6 address are inside its brackets.
    let colon = authority.iter().rposition(|byte| matches!(byte, b':' | b']')).filter(|at| authority[*at] == b':');
    let (host, port) = colon.map_or((authority, &[][..]), |colon| (&authority[..colon], &authority[colon + 1..]));
    let port = match port {
        [] => None,
        // `parse` alone would take a sign.
        [b'0'..=b'9', ..] => Some(core::str::from_utf8(port).ok()?.parse().ok()?),
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn same_host() {
        for (origin, host, allowed) in [
            ("http://example.com", "example.com", true),
            ("HTTP://Example.COM", "eXample.com", true),
            ("http://example.com", "example.com:80", true),
            ("http://example.com:80", "example.com", true),
            ("http://example.com:", "example.com:", true),
            ("https://example.com", "example.com", true),
            ("https://example.com", "example.com:443", true),
            ("https://example.com:443", "example.com", true),
            ("https://example.com:8443", "example.com:8443", true),
            ("http://[::1]:9001", "[::1]:9001", true),
            ("http://[::1]", "[::1]:80", true),
            ("http://[::1]", "[::2]", false),
            ("http://[::1]:80", "[::1]:81", false),
            ("http://example.com", "example.com:443", false),
            ("https://example.com", "example.com:80", false),
            ("http://example.com:8080", "example.com", false),
            ("http://example.com", "example.com.", false),
            ("http://example.com", "www.example.com", false),
            ("http://example.com:+80", "example.com", false),
            ("http://example.com:65616", "example.com:80", false),
            ("http://example.com/", "example.com", false),
            ("http://example.com/", "example.com/", false),
            ("http://a:b", "a:b", false),
            ("http://example.com@evil.example", "example.com", false),
            ("http://evil.example#example.com", "example.com", false),
            ("http://", "", false),
            ("http://:80", ":80", false),
            ("chrome-extension://example.com", "example.com", false),
            ("example.com", "example.com", false),
            ("null", "null", false),
            ("", "", false),
        ] {
            assert_eq!(origin_allowed(&Origins::SameHost, None, Some(origin), host), allowed, "{origin} at {host}");
            let over_tls = allowed && origin.starts_with("https");
            for (secure, allowed) in [(true, over_tls), (false, allowed && !over_tls)] {
                let told = origin_allowed(&Origins::SameHost, Some(secure), Some(origin), host);
                assert_eq!(told, allowed, "{origin} at {host}, {secure}");
            }
        }
    }

    #[test]
    fn any_or_listed() {
        assert!(origin_allowed(&Origins::Any, Some(true), Some("null"), "example.com"));
        let list = Origins::List(vec!["https://a.example".into(), "null".into()]);
        assert!(origin_allowed(&list, Some(true), Some("HTTPS://A.example"), "b.example"));
        assert!(origin_allowed(&list, Some(true), Some("null"), "b.example"));
        assert!(origin_allowed(&list, None, None, "b.example"));
        assert!(!origin_allowed(&list, Some(true), Some("https://b.example"), "b.example"));
        assert!(!origin_allowed(&list, Some(true), Some("https://a.example:443"), "b.example"));
    }
}
