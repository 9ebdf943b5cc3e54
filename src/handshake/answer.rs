//! What a server answers to a request (RFC 6455 §4.2.2).

use super::accept_key;
use super::grammar::{ExtraFields, is_token, is_value, join, members};
use super::opening::Key;
use crate::wire::error::{HandshakeError, SendError};
use alloc::format;
use alloc::{string::String, vec::Vec};

/// The answer that opens a WebSocket, made by [`Request::accept`](super::Request::accept). It borrows nothing, and
/// mistakes made with its methods are told when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    verdict: Result<(), HandshakeError>,
    /// None where the request was not of HTTP/1.
    key: Option<Key>,
    /// The subprotocols that the client offers, as a list.
    offered: String,
    subprotocol: Option<String>,
    extra: ExtraFields,
}

impl Accept {
    pub(super) fn new<'n>(
        verdict: Result<(), HandshakeError>,
        key: Option<Key>,
        subprotocols: impl Iterator<Item = &'n str>,
    ) -> Self {
        let mut offered = String::new();
        subprotocols.for_each(|name| join(&mut offered, name));
        Self { verdict, key, offered, subprotocol: None, extra: ExtraFields::default() }
    }

    /// Whether the request may be accepted.
    ///
    /// # Errors
    /// Those of [`Request::check`](super::Request::check), which made the verdict.
    pub fn check(&self) -> Result<(), HandshakeError> {
        self.verdict
    }

    /// Chooses one of the subprotocols that the client offers.
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        if self.offered_subprotocols().any(|offered| offered == name) {
            self.subprotocol = Some(name.into());
        } else {
            self.extra.fail(SendError::Subprotocol);
        }
        self
    }

    /// Adds a field to the response, such as `Set-Cookie`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.extra.push(name, value);
        self
    }

    /// The fields that were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extra.iter()
    }

    /// The subprotocol that was chosen.
    pub fn chosen_subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The subprotocols that the client offers, the one it likes best first (RFC 6455 §11.3.4).
    pub fn offered_subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
        members(&self.offered)
    }

    pub(super) fn extra(&self) -> &ExtraFields {
        &self.extra
    }

    /// The `Sec-WebSocket-Key`, for a request of HTTP/1.
    pub(super) fn key(&self) -> Result<&Key, SendError> {
        self.key.as_ref().ok_or(SendError::Unacceptable(HandshakeError::NotUpgrade))
    }

    /// The fields that say what was chosen.
    pub(super) fn fields<'f>(&'f self, extensions: Option<&'f str>) -> impl Iterator<Item = (&'f str, &'f str)> {
        [("Sec-WebSocket-Protocol", self.chosen_subprotocol()), ("Sec-WebSocket-Extensions", extensions)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The caller's fields as lines, if all is well with the answer.
    pub(super) fn lines(&self, extensions: Option<&str>) -> Result<&str, SendError> {
        self.verdict.map_err(SendError::Unacceptable)?;
        if extensions.is_some_and(|extensions| !is_value(extensions)) {
            return Err(SendError::Head);
        }
        self.extra.lines()
    }
}

/// Writes the response that opens a WebSocket to the end of `out`, with an answer to the offered `extensions`.
///
/// # Errors
/// `out` is then as it was: [`Unacceptable`](SendError::Unacceptable) for a request that breaks the rules, or that was
/// not of HTTP/1; [`Subprotocol`](SendError::Subprotocol), [`Head`](SendError::Head) and
/// [`ReservedHeader`](SendError::ReservedHeader) for what the caller added.
pub fn write_accept(accept: &Accept, extensions: Option<&str>, out: &mut Vec<u8>) -> Result<(), SendError> {
    let lines = accept.lines(extensions)?;
    let key = accept.key()?;
    out.reserve(256 + lines.len());
    const START: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: ";
    out.extend_from_slice(START);
    out.extend_from_slice(&accept_key(key));
    out.extend_from_slice(b"\r\n");
    for (name, value) in accept.fields(extensions) {
        write_field(name, value, out);
    }
    out.extend_from_slice(lines.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Writes a response of any other kind to the end of `out`: a refusal, a redirect, or the answer to a plain HTTP
/// request. `Content-Length` and `Connection: close` are added unless they, or `Transfer-Encoding`, are given.
///
/// # Errors
/// `out` is then as it was: [`Status`](SendError::Status) outside 200 to 599, and [`Head`](SendError::Head) for a name
/// that is no token, or a value with a CR, LF, NUL or another control character.
///
/// ```
/// let mut out = Vec::new();
/// sockless::handshake::write_reject(302, &[("Location", "/elsewhere")], b"", &mut out)?;
/// assert_eq!(out, b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
/// # Ok::<(), sockless::SendError>(())
/// ```
pub fn write_reject(status: u16, headers: &[(&str, &str)], body: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
    if !(200..=599).contains(&status) {
        return Err(SendError::Status(status));
    }
    if !headers.iter().all(|(name, value)| is_token(name) && is_value(value)) {
        return Err(SendError::Head);
    }
    write_response(status, headers, body, out);
    Ok(())
}

/// Writes the response that `error` asks for to the end of `out`, or nothing where it asks for none.
///
/// A 426 says what the server speaks (RFC 9110 §15.5.22, RFC 6455 §4.4), a 405 what it allows (RFC 9110 §15.5.6).
///
/// ```
/// use sockless::{HandshakeError, handshake::write_refusal};
///
/// let mut out = Vec::new();
/// write_refusal(HandshakeError::Version, &mut out);
/// assert!(String::from_utf8(out).unwrap().contains("\r\nSec-WebSocket-Version: 13\r\n"));
/// ```
pub fn write_refusal(error: HandshakeError, out: &mut Vec<u8>) {
    let Some(status) = error.status() else { return };
    let headers = [refusal_fields(status), &[("Content-Type", "text/plain")]].concat();
    write_response(status, &headers, format!("{error}\n").as_bytes(), out);
}

/// What a refusal of HTTP/1 has to say besides, by its status.
pub(super) fn refusal_fields(status: u16) -> &'static [(&'static str, &'static str)] {
    match status {
        405 => &[("Allow", "GET")],
        426 => &[("Upgrade", "websocket"), ("Connection", "Upgrade, close"), ("Sec-WebSocket-Version", "13")],
        _ => &[],
    }
}

fn write_response(status: u16, headers: &[(&str, &str)], body: &[u8], out: &mut Vec<u8>) {
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(status)).as_bytes());
    for (name, value) in headers {
        write_field(name, value, out);
    }
    // These two have no body, and say so by themselves (RFC 9110 §8.6).
    let bodiless = body.is_empty() && matches!(status, 204 | 304);
    if !bodiless && !given("content-length") && !given("transfer-encoding") {
        write_field("Content-Length", &format!("{}", body.len()), out);
    }
    if !given("connection") {
        write_field("Connection", "close", out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Writes one line of a head, whose parts were checked before.
pub(super) fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The reason phrases of RFC 9110 §15 that a server of WebSockets is likely to need; it may leave one out.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept() -> Accept {
        Accept::new(Ok(()), Some(*b"dGhlIHNhbXBsZSBub25jZQ=="), ["chat", "superchat"].into_iter())
    }

    fn written(accept: &Accept, extensions: Option<&str>) -> Result<String, SendError> {
        let mut out = b"before".to_vec();
        let result = write_accept(accept, extensions, &mut out);
        assert!(result.is_ok() || out == b"before");
        result.map(|()| String::from_utf8(out.split_off(6)).unwrap())
    }

    #[test]
    fn sample_of_the_rfc() {
        assert_eq!(
            written(&accept().subprotocol("chat"), None).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        );
    }

    #[test]
    fn extensions_and_fields_are_added() {
        let accept = accept().header("Set-Cookie", "a=b").header("Set-Cookie", "c=d");
        assert!(written(&accept, Some("permessage-deflate")).unwrap().ends_with(
            "xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n"
        ));
    }

    #[test]
    fn mistakes_are_told_and_write_nothing() {
        assert_eq!(written(&accept().subprotocol("Chat"), None), Err(SendError::Subprotocol));
        assert_eq!(written(&accept().subprotocol("chat, superchat"), None), Err(SendError::Subprotocol));
        assert_eq!(written(&accept().header("A", "b\r\n\r\n"), None), Err(SendError::Head));
        assert_eq!(written(&accept().header("connection", "close"), None), Err(SendError::ReservedHeader));
        assert_eq!(written(&accept(), Some("a\r\nb: c")), Err(SendError::Head));
        let refused = Accept::new(Err(HandshakeError::Origin), None, core::iter::empty());
        assert_eq!(written(&refused, None), Err(SendError::Unacceptable(HandshakeError::Origin)));
        let not_http1 = Accept::new(Ok(()), None, core::iter::empty());
        assert_eq!(written(&not_http1, None), Err(SendError::Unacceptable(HandshakeError::NotUpgrade)));
    }

    fn rejected(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<String, SendError> {
        let mut out = Vec::new();
        let result = write_reject(status, headers, body, &mut out);
        assert!(result.is_ok() || out.is_empty());
        result.map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn rejections() {
        assert_eq!(
            rejected(401, &[("WWW-Authenticate", "Basic realm=\"a\"")], b"who?").unwrap(),
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 4\r\n\
             Connection: close\r\n\r\nwho?"
        );
        assert_eq!(rejected(204, &[], b"").unwrap(), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        assert_eq!(
            rejected(499, &[("content-length", "9"), ("CONNECTION", "keep-alive")], b"").unwrap(),
            "HTTP/1.1 499 \r\ncontent-length: 9\r\nCONNECTION: keep-alive\r\n\r\n"
        );
        for status in [0, 100, 101, 199, 600, u16::MAX] {
            assert_eq!(rejected(status, &[], b""), Err(SendError::Status(status)));
        }
        for (name, value) in [("A", "b\nc"), ("A", "\r"), ("A", "\0"), ("A b", "c"), ("", "c")] {
            assert_eq!(rejected(400, &[(name, value)], b""), Err(SendError::Head));
        }
    }

    #[test]
    fn refusals() {
        let refusal = |error| {
            let mut out = Vec::new();
            write_refusal(error, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            refusal(HandshakeError::Version),
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
             Sec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\nContent-Length: 32\r\n\r\n\
             Sec-WebSocket-Version is not 13\n"
        );
        assert!(refusal(HandshakeError::Method).contains("\r\nAllow: GET\r\n"));
        assert!(
            refusal(HandshakeError::HeadTooLong { limit: 1 })
                .starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n")
        );
        assert!(refusal(HandshakeError::Origin).starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert_eq!(refusal(HandshakeError::UnexpectedEof), "");
    }
}
